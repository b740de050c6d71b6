"""Several answers where an endpoint gives one at a time: as many exchanges, and one answer of them all.

Each exchange is whole: it reserves, tries, settles and is found in the ledger by an id of its own. Their answers are
read back into the neutral form, numbered as choices, and written once. When one fails, the others are given up, and the
caller is told why.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.dialects.base import CallerRequest, EventReader, EventWriter, Framing, Maker
from tokenway.dialects.registry import FORMATS
from tokenway.edge import reply
from tokenway.edge.attempt import JSON
from tokenway.edge.client import Inner
from tokenway.edge.crossing import Crossings
from tokenway.edge.deliver import end_stream, forward_made, header_lines
from tokenway.exchange.events import UpstreamEnd
from tokenway.metering.estimate import tokens_most, worst_case
from tokenway.model.errors import ErrorType, Problem, WireError
from tokenway.model.event import Answer, Counted, Ended, Event, Finished, Started
from tokenway.model.money import NANO_PER_USD, marked_up_ceiling
from tokenway.model.request import Request
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

if TYPE_CHECKING:
    from tokenway.edge.claims import Claim
    from tokenway.edge.intake import Intake
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState


_TOLD: Final = (b"x-tokenway-endpoint", b"x-tokenway-overhead-ms", b"x-tokenway-dropped")
"""Header lines of one copy that are true of the whole answer."""
_ATTEMPTS: Final = b"x-tokenway-attempts"


class One:
    """A caller's request as one of its copies sees it: the same, for a single answer."""

    choices = 1
    answers = 1
    look = None

    def __init__(self, request: CallerRequest) -> None:
        self._request = request
        self.dialect = request.dialect
        self.operation = request.operation
        self.body = request.body
        self.model = request.model
        self.stream = request.stream
        self.size = request.size
        self.asks_usage = True
        self.max_tokens = request.max_tokens
        self.stream_type = request.stream_type
        self.models = request.models
        self.fields = request.fields
        self.chain = request.chain
        self.preferences = request.preferences

    def upstream_body(self, model: str) -> bytes:
        """A copy only ever goes to another dialect."""
        raise NotImplementedError(model)

    def neutral(self) -> Request:
        """The request, for one answer."""
        return msgspec.structs.replace(self._request.neutral(), n=None)


class _Copy:
    """One exchange of a fan and what has come of it."""

    def __init__(self, number: int, framing: Framing, reader: EventReader) -> None:
        self.number = number
        self.framing = framing
        self.reader = reader
        self.relay: Relay
        self.inner: Inner
        self.is_over = False
        self.finished: Finished | None = None
        self.made: UpstreamEnd | None = None
        """The end of a whole answer, until the others have theirs."""
        self.metered: Metered = UNMETERED


class _All:
    """The copies together, as their admission sees them: nobody is asked for one of them unless all can be paid for."""

    def __init__(
        self, relay: Relay, counted: str, singles: Sequence[Intake], then: Callable[[Problem | None], None]
    ) -> None:
        """`then` is told whether they can be begun: None, or why not."""
        self.principal = relay.principal
        self.counted = counted
        self.run, self.trace = singles[0].run, singles[0].trace
        self.asked_at = relay.asked_at
        self.claim: Claim | None = None
        self.singles = singles
        self._then: Callable[[Problem | None], None] = then
        self._broke: Callable[[Exception], None] = relay.broke

    @property
    def content(self) -> object:
        """The body of the request that they are of."""
        return self.singles[0].request.body

    def tokens_most(self) -> tuple[int, int]:
        """The most tokens that go in, and that come out."""
        single = self.singles[0]
        request, endpoints = single.request, single.order.endpoints
        came_in, came_out = tokens_most(endpoints, request.operation, request.size, request.max_tokens, 1)
        return came_in * len(self.singles), came_out * len(self.singles)

    def admitted(self, _at: float) -> None:
        """They can be begun."""
        self._told(None)

    def refused(self, problem: Problem) -> None:
        """They cannot."""
        self._told(problem)

    def broke(self, error: Exception) -> None:
        """Beginning them has raised this."""
        self._broke(error)

    def _told(self, problem: Problem | None) -> None:
        then, self._then = self._then, _nothing
        then(problem)
        self._broke = _nothing  # both lead back to the relay, and would make a circle


def _nothing(_told: object) -> None:
    """For what was told already."""


class Fan:
    """The copies of one request."""

    def __init__(self, state: EdgeState, relay: Relay, intake: Intake) -> None:
        """`relay` is the caller's: it writes what comes of the copies, and lives until they have ended."""
        self._state = state
        self._relay = relay
        self._intake = intake
        self._form = FORMATS[relay.door.dialect]
        self._maker = Maker(relay.id, intake.request.model, int(time.time()), intake.request)
        self._writer: EventWriter = self._form.writer(self._maker)
        self._copies = [_Copy(number, self._form.framing(), self._form.reader()) for number in range(intake.copies)]
        self._all: _All
        self._are_begun = False
        self._has_begun = False
        self._is_over = False

    def start(self) -> None:
        """Begins all copies when their limits hold every one of them; one that cannot be begun ends them all."""
        singles = [self._single() for _ in self._copies]
        self._all = _All(self._relay, self._intake.route.counted, singles, self._decided)
        self._state.admission.reserve(self._all, sum(single.order.amount for single in singles))

    def _decided(self, problem: Problem | None) -> None:
        """All of them may be begun, or not."""
        if problem is not None:
            self._is_over = True
            self._relay.refuse(problem)
        elif self._all.claim is None:
            self._begin()
        else:
            self._state.loop.call_soon(self._begin)

    def _begin(self) -> None:
        """What is set aside for all goes back, and each copy takes its own before anybody else can."""
        if self._all.claim is not None:
            self._state.admission.undo(self._all.claim)
        if self._is_over:
            return
        for copy in self._copies:
            copy.inner = Inner(functools.partial(self._ended, copy), self._taker(copy))
            copy.relay = self._relay.sibling(copy.inner)
            if not self._intake.request.stream:
                copy.relay.holder = functools.partial(self._made, copy)
            # The first is found under the answer's own id, the others behind it.
            copy.relay.id = self._relay.id if not copy.number else f"{self._relay.id}-{copy.number + 1}"
        self._are_begun = True
        for copy, single in zip(self._copies, self._all.singles, strict=True):
            if not self._is_over:
                copy.relay.begin(single)

    def client_paused(self, *, paused: bool) -> None:
        """The caller reads slowly, or again."""
        for copy in self._copies if self._are_begun else ():
            copy.inner.is_write_paused = paused
            copy.relay.client_paused(paused=paused)

    def client_gone(self) -> None:
        """The caller left: nothing is made for it any more."""
        self._is_over = True
        if not self._are_begun and self._all.claim is not None:
            self._state.admission.withdraw(self._all.claim)
        for copy in self._copies if self._are_begun else ():
            copy.relay.client_gone()

    def _single(self) -> Intake:
        intake = self._intake
        one = One(intake.request)
        route = intake.route
        amount = worst_case(route.bounds_for(one.body), one.size, one.max_tokens, 1)
        amount = marked_up_ceiling(amount, self._relay.principal.markup)
        order = msgspec.structs.replace(intake.order, amount=min(amount, intake.order.amount))
        crossings = Crossings(one, route)
        if intake.crossings is not None:
            # With the images that were fetched for it.
            crossings.complete(msgspec.structs.replace(intake.crossings.neutral, n=None))
        return msgspec.structs.replace(intake, request=one, asked=one, order=order, crossings=crossings, copies=1)

    def _taker(self, copy: _Copy) -> Callable[[Inner, bytes], None] | None:
        """Who takes a copy's stream; None where the answers are whole."""
        if not self._intake.request.stream:
            return None
        return lambda _inner, data: self._arrived(copy, data)

    # -- streams -----------------------------------------------------------------------------------------

    def _arrived(self, copy: _Copy, data: bytes) -> None:
        if self._is_over:
            return
        frames = copy.framing.feed(data)
        self._forward(copy, [event for frame in frames if frame for event in copy.reader.read(frame)])

    def _forward(self, copy: _Copy, events: Iterable[Event]) -> None:
        """What events of a copy become goes to the caller."""
        out = b"".join([self._write(copy, event) for event in events])
        if out:
            forward_made(self._relay, out, self._lines(copy), self._intake.request.stream_type)

    def _write(self, copy: _Copy, event: Event) -> bytes:
        """What one event of a copy becomes in the stream of all."""
        if isinstance(event, Started):
            if self._has_begun:
                return b""
            self._has_begun = True
        elif isinstance(event, Counted):
            copy.metered = event.metered
            return b""
        elif isinstance(event, Ended):
            return b""
        elif hasattr(event, "choice"):
            event = msgspec.structs.replace(event, choice=copy.number)
            if isinstance(event, Finished):
                copy.finished = event
        return self._writer.write(event)

    # -- whole answers -----------------------------------------------------------------------------------

    def _made(self, copy: _Copy, end: UpstreamEnd) -> None:
        """A copy's answer is there: it is delivered, and so paid for, once all of them are."""
        copy.made = end
        if all(each.made is not None for each in self._copies):
            for each in self._copies:
                if each.made is not None:
                    each.relay.tell(each.made)

    # -- ends --------------------------------------------------------------------------------------------

    def _ended(self, copy: _Copy, _inner: Inner) -> None:
        copy.is_over = True
        if self._is_over:
            return
        inner = copy.inner
        receipt = copy.relay.receipt
        is_good = inner.status == 200 and not inner.was_aborted
        if self._intake.request.stream and is_good and (receipt is None or receipt.record.error_type):
            is_good = False
        if is_good and self._intake.request.stream:
            self._forward(copy, copy.reader.end())  # a dialect without an end mark finishes here
        if not is_good:
            self._give_up(copy)
        elif all(each.is_over for each in self._copies):
            self._is_over = True
            if self._intake.request.stream:
                self._end_stream()
            else:
                self._answer()

    def _give_up(self, broken: _Copy) -> None:
        """One copy failed: the others are not wanted any more."""
        self._is_over = True
        for copy in self._copies:
            if copy is not broken:
                copy.relay.client_gone(waits=True)
        problem = Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "One of the answers could not be made.", code="copies")
        if self._relay.is_streaming:
            end_stream(self._relay, self._form.error_event(problem, self._maker))
        elif broken.inner.status >= 400:
            lines = self._lines(broken)
            head = reply.STATUS_LINES[broken.inner.status] + b"content-type: application/json\r\n"
            length = b"content-length: %d\r\n" % len(broken.inner.body)
            advice = broken.inner.head_lines((b"retry-after", b"x-should-retry"))
            self._relay.answered(head + length + advice + lines + b"\r\n" + broken.inner.body)
        else:
            self._relay.refuse(problem)

    def _end_stream(self) -> None:
        writer = self._writer
        writer.write(Counted(self._metered()))
        end_stream(self._relay, writer.tail(self._cost_members(), b""))

    def _answer(self) -> None:
        try:
            answers = [self._form.read_answer(copy.inner.body) for copy in self._copies]
        except WireError:
            self._give_up(self._copies[0])
            return
        choices = []
        for number, answer in enumerate(answers):
            [choice] = answer.choices
            finish = msgspec.structs.replace(choice.finish, choice=number)
            choices.append(msgspec.structs.replace(choice, finish=finish))
            self._copies[number].metered = answer.metered
        first = answers[0]
        whole = Answer(first.id, first.model, first.created, tuple(choices), self._metered())
        body = self._form.write_answer(whole, self._maker)
        cost = self._cost_members()
        if cost:
            body = self._form.priced(body, cost, b"")
        self._relay.answered(
            reply.answer_head(self._lines(self._copies[0]), self._cost(), None, JSON, len(body)) + body
        )

    # -- sums --------------------------------------------------------------------------------------------

    def _metered(self) -> Metered:
        """The sum of the copies' counts."""
        counts = [copy.metered for copy in self._copies]
        if any(count.is_absurd for count in counts):
            return ABSURD
        usages = [count.usage for count in counts if count.usage is not None]
        if len(usages) < len(counts):
            return UNMETERED
        columns = zip(*(msgspec.structs.astuple(usage) for usage in usages), strict=True)
        return Metered(given=True, usage=Usage(*(sum(column) for column in columns)))

    def _cost(self) -> int | None:
        costs = [copy.relay.receipt.cost for copy in self._copies if copy.relay.receipt is not None]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if len(known) == len(self._copies) else None

    def _cost_members(self) -> bytes:
        cost = self._cost()
        return b"" if cost is None else b'"cost":%d.%09d' % divmod(cost, NANO_PER_USD)

    def _lines(self, copy: _Copy) -> bytes:
        """The header lines of the answer: the caller's own id, a copy's endpoint, and the attempts of all so far."""
        told = copy.inner.head_lines(_TOLD)
        attempts = sum(each.inner.number(_ATTEMPTS) for each in self._copies)
        count = b"x-tokenway-attempts: %d\r\n" % attempts if attempts else b""
        return header_lines(self._relay) + self._intake.route.label + count + told
