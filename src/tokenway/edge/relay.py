"""The shell of one exchange: sockets to events, commands to writes.

A relay lives from a request's head to the settled entry. It reads the request, lets the exchange machine
decide, opens attempts and writes the answer. It is also what uvicorn calls a cycle: the connection asks it
whether its answer is complete. What it may assume: all calls come from the event loop's thread, and an
attempt that was cancelled reports nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from tokenway.dialects.base import CallerRequest, Format
from tokenway.dialects.registry import FORMATS
from tokenway.edge import reply
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.claims import Claim
from tokenway.edge.client import Client
from tokenway.edge.crossing import mistake
from tokenway.edge.deliver import header_lines
from tokenway.edge.doors import Door
from tokenway.edge.entry import enter
from tokenway.edge.execute import STEPS, cancel
from tokenway.edge.fan import Fan
from tokenway.edge.inflate import too_large
from tokenway.edge.intake import Intake, draining
from tokenway.edge.mistakes import log_mistake
from tokenway.edge.receipt import Receipt
from tokenway.edge.stand_in import StandIn, claims_of
from tokenway.edge.start import start
from tokenway.edge.upload import Body, Upload
from tokenway.edge.watch import Watch, may_go_on
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.machine import Exchange
from tokenway.exchange.phases import Phase
from tokenway.metering.estimate import tokens_most
from tokenway.metering.ledger import Trace
from tokenway.metering.stamps import Stamps
from tokenway.model.errors import Problem, Refusal
from tokenway.model.probe import PROBE
from tokenway.model.snapshot import Principal

if TYPE_CHECKING:
    from tokenway.edge.background import Background
    from tokenway.edge.routes import Route
    from tokenway.edge.state import EdgeState
    from tokenway.model.catalog import Endpoint


class Relay:
    """One exchange on a client connection."""

    principal: Principal
    # The request, and the connection that it came on.
    begun = False
    body_complete = False
    disconnected = False
    response_complete = False
    problem: Problem | None = None
    """Why it is refused; nothing of it is read any more where that is known before it begins."""
    # What is asked for.
    intake: Intake
    watch: Watch
    is_stream = False
    model = ""
    """The name that it was asked for by."""
    counted = ""
    """The name of the model that it counts for."""
    run = ""
    trace: Trace | None = None
    """Where in its run it belongs."""
    min_tps = 0.0
    asked_at = 0.0
    """When the whole request was there, from which on its time counts; 0.0 for the exchange's beginning."""
    # Its admission.
    claim: Claim | None = None
    """What it needs, and has drawn, of limits; None where none counts for it."""
    stand_ins: list[StandIn] | None = None
    """Other models that served in the place of its own, where they have limits."""
    reserved = 0
    """Nano-dollars that are set aside for it."""
    on_admitted: Callable[[], None] | None = None
    """Hears that it is admitted, before anything is sent."""
    admitted_at = 0.0
    """When it was admitted, in Unix time."""
    # Its answer.
    winner: AttemptReader | None = None
    holder: Callable[[e.UpstreamEnd], None] | None = None
    """Hears of a whole answer in place of the machine, and tells it when all others are there."""
    labels = b""
    """Header lines of the model that it asks for."""
    head = b""
    """The head of a stream, as long as it has not gone out."""
    is_streaming = False
    """Whether a stream has begun."""
    warmed_at = 0.0
    """When its caller was told last that it goes on."""
    keeps = True
    """Whether what the caller wants kept is kept when the answer is out."""
    # What it was like.
    overhead = 0.0
    finish_reason = ""
    gaps: tuple[int, ...] = ()
    receipt: Receipt | None = None
    """What it took; None until it is settled."""
    _busy = False
    maker: Fan | Background | None = None
    """Makes its answer with other exchanges, and hears of its caller."""

    def __init__(
        self,
        state: EdgeState,
        client: Client,
        door: Door,
        headers: dict[bytes, bytes],
        query: bytes,
        *,
        keep_alive: bool,
        chunked: bool,
    ) -> None:
        """`chunked` is whether the client understands chunked transfer coding (HTTP/1.1)."""
        self.door = door
        self.form: Format = FORMATS[door.dialect]
        self.keep_alive = keep_alive
        self.id = state.new_id()
        self.times = Stamps(monotonic())
        self.state = state
        self.client = client
        self.headers = headers
        self.query = query
        self.is_chunked = chunked
        self._machine = Exchange()
        self.attempts: list[AttemptReader] = []
        self._inbox: list[e.Event] = []
        self._body = Body() if not door.is_form else Upload()

    # -- the request arrives -----------------------------------------------------------------------------

    def check_head(self) -> None:
        """Refuses early what its head already condemns, so that no body is held for it."""
        state = self.state
        try:
            if state.draining:
                raise Refusal(draining())
            self.principal = state.gate.admit(self.headers, self.query, time.time(), self.client.peer)
            length = self.headers.get(b"content-length")
            if length is not None and int(length) > state.snapshot.max_body:
                raise too_large(state.snapshot.max_body)
        except Refusal as refusal:
            self.problem = refusal.problem

    def add_body(self, data: bytes) -> None:
        """A piece of the request's body; beyond the bound it is dropped and the call refused."""
        if self.problem is not None:
            return
        try:
            self._body.add(data, self.state.snapshot.max_body)
        except Refusal as refusal:
            self.problem = refusal.problem
            self._body.drop()

    @property
    def size(self) -> int:
        """Bytes of the body so far."""
        return self._body.size

    def start(self) -> None:
        """The connection's turn has come and the body is complete, or the call is refused already."""
        self.begun = True
        try:
            if self.problem is not None:
                raise Refusal(self.problem)
            body = self._body.take()
        except Refusal as refusal:
            self._body.drop()
            self.refuse(refusal.problem)
        else:
            start(self.state, self, body)

    def fan_out(self, intake: Intake) -> None:
        """The request is understood, and takes several exchanges."""
        fan = self.maker = Fan(self.state, self, intake)
        fan.start()

    def begin(self, intake: Intake) -> None:
        """The request is understood: the exchange begins."""
        self.intake = intake
        watch = self.watch = Watch(self.state, intake, self.form, can_go_on=may_go_on(intake))
        watch.hedges.call(intake.order.hedge_share)
        request = intake.request
        self.model = request.model
        # A probe stands apart from what callers ask of its model.
        self.counted = intake.route.counted if self.principal.project != PROBE else request.model
        self.is_stream = request.stream
        self.min_tps = intake.min_tps
        self.run, self.trace = intake.run, intake.trace
        self.labels = intake.route.label
        self.state.open.add(self)
        try:
            self.tell(e.ClientRequest(self.asked_at or monotonic(), intake.order))
        except Exception as error:  # noqa: BLE001 - a deadline or its client's leaving would only end it later
            self.broke(error)

    def refuse(self, problem: Problem, body: bytes = b"") -> None:
        """Answers with an error; `body` is an upstream's own, passed on as it came."""
        self.problem = problem
        if not self.disconnected:
            self.keep_alive = self.keep_alive and self.body_complete
            content = body or self.form.error_body(problem, self.id)
            status = self.form.statuses.get(problem.type, problem.status) if not body else problem.status
            self.client.transport.write(reply.problem_answer(problem, status, header_lines(self), content))
        self.finish()

    # -- the machine -------------------------------------------------------------------------------------

    def tell(self, event: e.Event) -> None:
        """Feeds the machine and carries out what it orders; an event that arises meanwhile waits its turn."""
        inbox = self._inbox
        if self._busy:
            inbox.append(event)
            return
        self._busy = True
        feed = self._machine.feed
        try:
            while True:
                for command in feed(event):
                    STEPS[type(command)](self, command)
                if not inbox:
                    return
                event = inbox.pop(0)
        finally:
            self._busy = False

    def dice(self) -> float:
        """A random number in [0, 1)."""
        return self.state.dice()

    def take_whole(self, end: e.UpstreamEnd) -> None:
        """A whole answer is there: the machine delivers it, unless somebody holds it until it is wanted."""
        if self.holder is None:
            self.tell(end)
        else:
            self._machine.holds(end.attempt)
            self.holder(end)

    @property
    def wake_at(self) -> float:
        """When a deadline may pass, in monotonic seconds."""
        return inf if self.response_complete else self._machine.wake_at

    def wake(self, now: float) -> None:
        """A deadline may have passed."""
        watch, paused = self.watch, self.client.is_write_paused
        done = watch.done(self.attempts, now, paused=paused)
        if done is not None:
            done.end()
            return
        may_fail, may_retry = self._machine.may_fail(now), self.may_retry(now)
        readers, winner = self.attempts, self.winner
        looks = watch.looks(readers, winner, now, paused=paused, may_fail=may_fail, may_retry=may_retry)
        self.tell(e.DeadlinePassed(now, looks, self.dice(), watch.hedges.is_open, may_retry))

    def may_retry(self, now: float) -> bool:
        """Whether the worker's budget for retries allows one more."""
        return self.state.fleet.retries.is_open(now)

    def shown_of(self, reader: AttemptReader) -> e.Shown:
        """What the caller has seen of an attempt's answer, where that decides whether it can go on elsewhere."""
        return self.watch.shown(reader, self.winner)

    def client_gone(self, *, waits: bool = False) -> None:
        """The caller closed its connection, or `waits` for an answer that is given up all the same."""
        self.disconnected = True
        if self.maker is not None:
            self.maker.client_gone()
        elif not self.response_complete and self._machine.phase is not Phase.FRESH:
            now = monotonic()
            self.tell(e.ClientGone(now, tuple([reader.look(now) for reader in self.attempts]), waits))
        self.finish()

    def broke(self, error: Exception) -> None:
        """It has met a mistake of ours: it ends, and its caller is told as far as that can be done."""
        log_mistake("an exchange could not go on", self.id, error)
        now = monotonic()
        try:
            looks = tuple([reader.look(now) for reader in self.attempts])
            self.tell(e.Broken(now, mistake("go on with"), looks))
        except Exception as another:  # noqa: BLE001 - it is cut in any case
            log_mistake("an exchange could not be ended", self.id, another)
            if self.claim is not None:  # nothing else gives back the places that it has
                self.state.admission.undo(self.claim)
        if not self.response_complete:  # what had to end it is what has failed
            for number in range(1, len(self.attempts) + 1):
                cancel(self, c.Cancel(number, for_good=True))
            self.client.transport.abort()
            self.finish()

    def counted_at(self, endpoint: Endpoint) -> str:
        """The name of the model that an endpoint serves it as."""
        return self.intake.route.others.get(endpoint.id, self.counted)

    def service_of(self, attempt: int) -> str:
        """The class of service that an attempt's answer says it had; empty for the usual one."""
        return self.attempts[attempt - 1].metered.service

    @property
    def request(self) -> CallerRequest:
        """What is asked for, once that is understood."""
        return self.intake.request

    @property
    def route(self) -> Route:
        """Where it is asked."""
        return self.intake.route

    @property
    def answered_by(self) -> str:
        """The endpoint that answered; empty before one has."""
        return "" if self.receipt is None else self.receipt.record.endpoint

    def client_paused(self, *, paused: bool) -> None:
        """The caller reads slowly, or again: the upstream is slowed with it."""
        winner = self.winner
        if self.maker is not None:
            self.maker.client_paused(paused=paused)
        elif winner is not None and winner.call is not None and not self.response_complete:
            if paused:
                winner.call.pause()
            else:
                winner.resume()

    # -- its admission ------------------------------------------------------------------------------------

    def admitted(self, at: float) -> None:
        """Its limits hold it; `at` is the Unix time to which it belongs."""
        try:
            enter(self.state, self, at)
        except Refusal as refusal:
            self.refused(refusal.problem)
        else:
            if self.on_admitted is not None:
                self.on_admitted()
            self.tell(e.Admitted(monotonic()))

    def refused(self, problem: Problem) -> None:
        """It may not go on."""
        self.tell(e.Refused(monotonic(), problem))

    def tokens_most(self) -> tuple[int, int]:
        """The most tokens that go in, and that come out."""
        request = self.request
        most = request.max_tokens
        return tokens_most(self.intake.order.endpoints, request.operation, request.size, most, request.answers)

    @property
    def content(self) -> object:
        """The body of its request."""
        return self.intake.request.body

    # -- an answer that is made of others ----------------------------------------------------------------

    def sibling(self, client: Client) -> Relay:
        """Another exchange for the same caller, whose answer goes to `client`; `begin` starts it."""
        made = Relay(self.state, client, self.door, self.headers, self.query, keep_alive=False, chunked=False)
        made.principal = self.principal
        made.begun = made.body_complete = True
        return made

    def answered(self, data: bytes) -> None:
        """A whole answer that was made elsewhere, head and body."""
        if not self.disconnected:
            self.client.transport.write(data)
        self.finish()

    def finish(self) -> None:
        """The answer is out, or nobody waits for it: the connection goes on to its next request."""
        if self.response_complete:
            return
        self.response_complete = True
        if self.is_streaming:
            self.state.streams -= 1
        self.state.open.discard(self)
        for claim in claims_of(self):
            self.state.admission.withdraw(claim)
        # Attempts and copies refer back to their relay: without this every exchange would wait for the collector.
        for attempt in self.attempts:
            attempt.release()
        self.attempts.clear()
        self.winner = self.maker = self.holder = self.on_admitted = None
        self.client.relay_finished(self)
