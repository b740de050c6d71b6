"""What a caller has got of a stream, kept as long as its answer could go on at another endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from tokenway.dialects.resume import Progress, Sent, sent_so_far
from tokenway.exchange.events import Shown
from tokenway.model.errors import Refusal
from tokenway.model.request import can_continue
from tokenway.wire.limits import KEPT_STREAM

if TYPE_CHECKING:
    from tokenway.dialects.base import Format
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.intake import Intake
    from tokenway.model.catalog import Endpoint

Write = Callable[[bytes], None]
_SHOWN: Final = {Progress.NOTHING: Shown.NOTHING, Progress.TEXT: Shown.TEXT, Progress.OTHER: Shown.OTHER}


class Kept:
    """The bytes of one stream.

    Where no endpoint of the order can go on from a text, they are kept until the first text only: then nothing can be
    done with them. In any case there is a bound, beyond which an answer is too long to be rescued.
    """

    __slots__ = ("_can_prefill", "_parts", "_sent", "_size")

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._can_prefill = any(endpoint.capabilities.prefill for endpoint in endpoints)
        self._parts: list[bytes] | None = []
        self._size = 0
        self._sent: Sent | None = None

    def add(self, data: bytes) -> None:
        """A piece went out."""
        parts = self._parts
        if parts is None:
            return
        self._size += len(data)
        self._sent = None
        if self._size > KEPT_STREAM:
            self._parts = None
        else:
            parts.append(data)

    def keeping(self, write: Write, reader: AttemptReader) -> Write:
        """Writes and keeps; it hands the reader over to `write` alone where keeping is of no use any more."""

        def write_and_keep(data: bytes) -> None:
            stream = reader.stream
            if self._parts is None or not (self._can_prefill or stream is None or not stream.first_delta):
                self._parts = None
                reader.splice(write)
            else:
                self.add(data)
            write(data)

        return write_and_keep

    def sent(self, form: Format) -> Sent:
        """What the pieces say, in the caller's dialect."""
        if self._parts is None:
            return Sent(Progress.OTHER)
        if self._sent is None:
            self._sent = sent_so_far(form, b"".join(self._parts))
        return self._sent

    def shown(self, intake: Intake, form: Format) -> Shown:
        """What the caller has seen, as far as another endpoint may go on with it."""
        sent = self.sent(form)
        if sent.progress is Progress.TEXT:
            try:
                request = intake.request.neutral() if intake.crossings is None else intake.crossings.neutral
            except Refusal:  # a request that only its own endpoint understands
                return Shown.OTHER
            if can_continue(request):
                return Shown.OTHER
        return _SHOWN[sent.progress]
