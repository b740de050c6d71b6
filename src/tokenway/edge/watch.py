"""What is watched of one exchange while it runs: how its attempts stand, and what its caller has got so far.

The last is kept only as long as the answer could go on at another endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.dialects.resume import Progress, Sent, sent_so_far
from tokenway.edge.crossing import Crossings
from tokenway.edge.sampling import sample_of
from tokenway.exchange.commands import Settle
from tokenway.exchange.events import Look, Shown
from tokenway.exchange.timers import WINDOW_SHARE
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.model.request import why_not_continued
from tokenway.wire.limits import KEPT_STREAM

if TYPE_CHECKING:
    from tokenway.dialects.base import Format
    from tokenway.edge.attempt import AttemptReader
    from tokenway.edge.intake import Intake
    from tokenway.edge.receipt import Receipt
    from tokenway.edge.state import EdgeState
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
                request = (intake.crossings or Crossings(intake.request, intake.route)).neutral
            except Refusal:  # a request that only its own endpoint understands, or a mistake of ours
                return Shown.OTHER
            if why_not_continued(request):
                return Shown.OTHER
        return _SHOWN[sent.progress]


class Watch:
    """What the shell of one exchange looks at when it is asked how things stand."""

    __slots__ = ("_form", "_intake", "_state", "hedges", "kept")

    def __init__(self, state: EdgeState, intake: Intake, form: Format, *, can_go_on: bool) -> None:
        """`form` is the caller's dialect; `can_go_on` is whether a broken stream may go on elsewhere at all."""
        self._state = state
        self._intake = intake
        self._form = form
        order = intake.order
        self.kept = Kept(order.endpoints) if can_go_on and order.rescue is not Rescue.OFF else None
        """What the caller has got, where its answer could go on elsewhere."""
        self.hedges = state.fleet.hedges(intake.route.model.name)
        """What may be spent on races of its model."""

    def shown(self, reader: AttemptReader, winner: AttemptReader | None) -> Shown:
        """What the caller has seen of an attempt's answer, as far as another endpoint may go on with it."""
        kept = self.kept
        if kept is None or reader is not winner:
            return Shown.OTHER
        return kept.shown(self._intake, self._form)

    def done(self, readers: Sequence[AttemptReader], now: float, *, paused: bool) -> AttemptReader | None:
        """An attempt whose answer is whole but for an end mark that does not come."""
        order = self._intake.order
        for reader in readers if not paused else ():
            if reader.ends_by_silence(reader.last_activity, now, order.limits_of(reader.endpoint).between_tokens):
                return reader
        return None

    def looks(
        self,
        readers: Sequence[AttemptReader],
        winner: AttemptReader | None,
        now: float,
        *,
        paused: bool,
        may_fail: bool,
        may_retry: bool,
    ) -> tuple[Look, ...]:
        """How each attempt stands; `paused` is whether the caller reads slowly: then they are as if they moved.

        `may_fail` is whether a deadline has passed that can end one, and `may_retry` whether the budget allows another
        one: only then it matters what has been sent, which takes reading all of it again.
        """
        looks = [reader.look(now if paused else reader.last_activity) for reader in readers]
        order = self._intake.order
        if order.rescue is Rescue.OFF:
            return tuple(looks)
        for place, reader in enumerate(readers):
            tps = self._speed(reader, now) if order.rescue is Rescue.ON and not paused else inf
            if tps < order.min_tps or (may_fail and reader is winner):
                shown = self.shown(reader, winner) if may_retry else Shown.OTHER
                looks[place] = msgspec.structs.replace(looks[place], tps=tps, shown=shown)
        return tuple(looks)

    def _speed(self, reader: AttemptReader, now: float) -> float:
        """Tokens per second lately, as far as bytes tell."""
        per_token = self._state.fleet.board.of(reader.endpoint.id).sent_per_token
        tps = reader.speed(now, self._intake.order.grace * WINDOW_SHARE, per_token.value)
        # Before anything is known of how many bytes a token has, only what is very slow is slow.
        return tps if per_token.seen else 2.0 * tps

    def settled(self, command: Settle, receipt: Receipt, readers: Sequence[AttemptReader]) -> None:
        """The exchange is over: its attempts end for who keeps count, and what they were like is told for routing."""
        hedges, share = self.hedges, self._intake.order.hedge_share
        for reader in readers:
            if reader.trip is not None:
                reader.trip.over()
        now = monotonic()
        samples = []
        for part, line, reader in zip(command.shares, receipt.record.lines, readers, strict=True):
            if reader.trip is not None:
                weight = reader.trip.weight()
                if weight:
                    ended_at = reader.ended_at or now
                    samples.append(sample_of(reader, part, self._intake, receipt.record.at, ended_at, weight))
            if part.fault == Fault.OUTRUN and line.cost:
                hedges.lost(line.cost)
        if samples:
            self._state.fleet.learn(samples)
        if share:
            hedges.charged(receipt.record.charged, share)


def may_go_on(intake: Intake) -> bool:
    """Whether a stream for this request may go on elsewhere, by what its neutral form does not tell."""
    return intake.request.stream and intake.request.operation is Operation.CHAT and intake.copies == 1
