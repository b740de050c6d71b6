"""Answers that come in a stream and are given whole: for a caller who waits, where the upstream is asked to stream.

So an answer that does not stream has a first token, a pace and deadlines as well, and can be rescued. Nothing goes out
before the end; `Gathering.whole` is the answer then. The request for it is `streamed`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tokenway.dialects.base import CallerRequest, Format, Maker, WholeAnswer
from tokenway.dialects.inbound import Inbound
from tokenway.dialects.openai_chat.request import ChatRequest
from tokenway.dialects.translate import Translation, written
from tokenway.model.errors import WireError
from tokenway.model.event import Event, fold
from tokenway.wire.limits import ANSWER


class _Keeping:
    """Takes events in the place of a writer: nothing goes out."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, event: Event) -> bytes:
        """Keeps the event."""
        self.events.append(event)
        return b""

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """Nothing: the answer is `Gathering.whole`."""
        del cost, extra
        return b""

    def follow(self, frame: bytes, events: Sequence[Event]) -> None:
        """Keeps what another has begun."""
        del frame
        self.events += events


class Gathering(Translation):
    """One streamed answer for a caller who wants it whole; see `Translation` for what it tells on its way."""

    __slots__ = ("_caller", "_kept", "_maker", "_size")

    def __init__(self, upstream: Format, caller: Format, maker: Maker) -> None:
        super().__init__(upstream, caller, maker)
        self._caller = caller
        self._maker = maker
        self._kept = _Keeping()
        self._writer = self._kept
        self._size = 0

    def feed(self, data: bytes, now: float) -> bytes:
        """Nothing, for any piece; raises WireError when it breaks its format, or the answer passes its bound."""
        self._size += len(data)
        if self._size > ANSWER:
            raise WireError(f"an answer of more than {ANSWER} bytes")
        return super().feed(data, now)

    def whole(self) -> tuple[WholeAnswer, bytes]:
        """The answer in the caller's dialect, once it `is_whole`, and what the gateway reads of it."""
        return written(fold(self._kept.events), self._caller, self._maker)


def streamed(request: CallerRequest) -> CallerRequest:
    """The same request for an answer that streams; the one that is given is not changed.

    Raises TypeError for a request that no chat can answer.
    """
    if isinstance(request, ChatRequest | Inbound):
        return request.streamed()
    raise TypeError(f"a request for {request.operation.value} has no stream")
