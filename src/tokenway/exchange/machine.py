"""The exchange: the life of one call, from the caller's request to the settled ledger entry.

This machine does no I/O. It is told events and answers with commands; `edge.relay` turns sockets into the
one and the other into writes. Retries, fallback, races, rescue, deadlines, cancellation and settlement meet here and
nowhere else.

Phases of an exchange:

    FRESH ──ClientRequest──▶ ADMITTING ──Admitted──▶ TRYING ──first bytes──▶ FLOWING ──end──▶ CLOSED
                                 │                    │  ▲ next attempt        │  ▲
                              Refused                 └──┘ (at once or RETRY)  │  │ first bytes of the continuation,
                                 ▼                    │ none left        fault │  │ or a slow one thaws
                               CLOSED ◀───────────────┤                or slow ▼  │
                                                      └────────in-band────── RESCUING ──▶ next continuation

What follows when time has passed is in `exchange.timers`, how an answer is continued elsewhere in `exchange.rescue`.

Rules, which the simulation checks after every run:

1. `Reserve` is answered once. After `Admitted` there is exactly one `Settle`; after `Refused` none.
2. The caller gets `SendHead` at most once. An answer ends with `SendEnd` or with `SendError`, unless the
   caller left. After `SendHead` an error is in-band: the status is spent.
3. `Settle` comes before the command that shows the caller the end.
4. When the exchange closes, every live attempt but the winner has been cancelled. At most two live at once.
5. While an exchange is open, `wake_at` is no later than the earliest deadline, and the shell reports when it has come.
6. A caller pays for one attempt at most: the winner, or the one that it left.

A step that is not in the table below is a bug of the shell, and raises.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange import rescue, timers
from tokenway.exchange.attempts import ANSWERING, DELIVERED, OVER, RELEASED, SENT, Attempt, Choice, Field
from tokenway.exchange.deadlines import Deadline, Deadlines
from tokenway.exchange.phases import ADMITTING, CLOSED, FLOWING, FRESH, RESCUING, TRYING, Phase
from tokenway.exchange.problems import CLIENT_GONE, no_endpoint, passes_unchanged, problem_of
from tokenway.metering.ledger import Settlement
from tokenway.model.faults import Fault
from tokenway.routing import retry

OK: Final = 200
PATIENCE_SHARE: Final = 0.5
"""How much of the time that is left an attempt at a whole answer has, while another endpoint could be asked: whether
an upstream that says nothing is at work cannot be told, and the other one needs time as well."""

ABSORBED: Final = Settlement.ABSORBED
UPSTREAM_BILLED: Final = Settlement.UPSTREAM_BILLED
TOTAL, RETRY, HEDGE, SLOW, CONNECT, FIRST_TOKEN, BETWEEN_TOKENS, ATTEMPT, PATIENCE = Deadline


class ImpossibleStepError(RuntimeError):
    """The shell reported something that cannot happen in this phase."""


class Exchange:
    """One exchange. `feed` takes an event and gives the commands that follow from it, in order.

    The other attributes belong to this package.
    """

    __slots__ = (
        "deadlines",
        "field",
        "frozen",
        "made",
        "order",
        "phase",
        "retries_left",
        "retry_slot",
        "shown",
        "to_the_end",
        "winner",
    )

    order: e.Order
    field: Field
    retry_slot: int
    retries_left: int

    def __init__(self) -> None:
        self.phase = FRESH
        self.made: list[Attempt] = []
        self.deadlines = Deadlines()
        self.winner: Attempt | None = None
        """The attempt that the caller's answer comes from."""
        self.frozen: Attempt | None = None
        """A slow winner whose answer another attempt is about to continue."""
        self.shown = e.Shown.NOTHING
        """What the caller had seen when the rescue began."""
        self.to_the_end = False
        """Whether a race goes on until an answer is whole, because the first one is slow."""

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self.made)

    @property
    def endpoint_id(self) -> str:
        """The endpoint that answers, or that was tried last; empty before the first attempt."""
        attempt = self.winner or (self.made[-1] if self.made else None)
        return attempt.endpoint.id if attempt is not None else ""

    def feed(self, event: e.Event) -> list[c.Command]:
        """The commands that follow from `event`; raises ImpossibleStepError for one that cannot come now."""
        out: list[c.Command] = []
        _ROWS[self.phase][type(event)](self, event, out)
        return out

    @property
    def wake_at(self) -> float:
        """When the shell is to report `DeadlinePassed`, in monotonic seconds; `inf` when nothing can pass."""
        return inf if self.phase is CLOSED else self.deadlines.armed

    def holds(self, number: int) -> None:
        """An attempt's whole answer is there, and waits for others: only the exchange's own end can still come."""
        self.deadlines.clear_lane(self.made[number - 1].lane)

    def may_fail(self, now: float) -> bool:
        """Whether a deadline has passed at which more is decided than how fast an answer is."""
        return any(which is not SLOW for which, _ in self.deadlines.passed(now))

    # -- from the caller ---------------------------------------------------------------------------------

    def _begin(self, event: e.ClientRequest, out: list[c.Command]) -> None:
        order = event.order
        self.order = order
        self.field = Field(order.endpoints, order.takers)
        self.retries_left = order.max_retries
        if not order.endpoints:
            self.phase = CLOSED
            out.append(c.SendError(no_endpoint(), in_band=False))
            return
        self.phase = ADMITTING
        self.deadlines.set(TOTAL, event.at + order.timeouts.total)
        out.append(c.Reserve(order.amount))

    def _gone(self, event: e.ClientGone, out: list[c.Command]) -> None:
        live = self.live
        for attempt in live:
            self.take_count(attempt, event.looks)
        # The caller pays for what it left. What was started beside that, or was lost before, is ours.
        self.winner = live[0] if live else None
        self.close(out, ABSORBED if event.waits else UPSTREAM_BILLED, CLIENT_GONE)

    def _broken(self, event: e.Broken, out: list[c.Command]) -> None:
        """Whatever was under way is ours to pay."""
        for attempt in self.live:
            self.take_count(attempt, event.looks)
        problem, in_band = event.problem, self.phase is FLOWING or self.phase is RESCUING
        self.close(out, ABSORBED, OK if in_band else problem.status, problem.type)
        out.append(c.SendError(problem, in_band))

    # -- admission ---------------------------------------------------------------------------------------

    def _admitted(self, event: e.Admitted, out: list[c.Command]) -> None:
        self.phase = TRYING
        self.open(0, event.at, out)

    def _admitted_late(self, _event: e.Admitted, out: list[c.Command]) -> None:
        """The reservation came after the caller had gone: it is given back."""
        out.append(c.Settle(RELEASED, (), 0, CLIENT_GONE))

    def _refused(self, event: e.Refused, out: list[c.Command]) -> None:
        self.phase = CLOSED
        out.append(c.SendError(event.problem, in_band=False))

    # -- attempts ----------------------------------------------------------------------------------------

    @property
    def live(self) -> list[Attempt]:
        """The attempts that are not over, the first one first."""
        return [attempt for attempt in self.made if attempt.phase is not OVER]

    def open(self, slot: int, at: float, out: list[c.Command], *, hedge: bool = False, resumes: bool = False) -> None:
        """Starts an attempt, in the lane that is free."""
        endpoint = self.field.begin(slot)
        limits = self.order.limits_of(endpoint)
        lane = 1 if self.made and any(other.lane == 0 for other in self.live) else 0
        attempt = Attempt(len(self.made) + 1, endpoint, slot, limits, lane, hedge, resumes)
        self.made.append(attempt)
        self.deadlines.set(CONNECT, at + limits.connect, lane)
        if endpoint.timeouts is not None:
            self.deadlines.set(ATTEMPT, at + limits.total, lane)
        out.append(c.Open(attempt.number, endpoint, self.order.credential_of(slot), hedge, resumes))

    def _live(self, number: int) -> Attempt | None:
        attempt = self.made[number - 1]
        return attempt if attempt.phase is not OVER else None

    def _opened(self, event: e.UpstreamOpen, _out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.phase = SENT
        attempt.was_sent = True
        lane = attempt.lane
        self.deadlines.clear(CONNECT, lane)
        if self.order.stream:
            # A caller whose stream stands still for a rescue waits no longer than for a slow one.
            patience = attempt.limits.first_token
            if self.frozen is not None:
                patience = min(patience, self.order.grace)
            self.deadlines.set(FIRST_TOKEN, event.at + patience, lane)
            if event.attempt == 1 and self.order.hedge_after < inf:
                self.deadlines.set(HEDGE, event.at + self.order.hedge_after)
        elif len(self.order.endpoints) > 1 and self.can_turn_from(attempt, event.at):
            share = PATIENCE_SHARE * (self.deadlines.time_of(TOTAL) - event.at)
            patience = min(share, self.order.patience) if event.attempt == 1 else share
            self.deadlines.set(PATIENCE, event.at + patience, lane)

    def can_turn_from(self, attempt: Attempt, now: float) -> bool:
        """Whether somebody could be asked in an attempt's place whom nobody has asked yet."""
        return self.retries_left > 0 and self.field.next_beside(attempt.slot, now) is not None

    def _head(self, event: e.UpstreamHead, _out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is not None:
            attempt.phase = ANSWERING
            attempt.status = event.status
            # From its text on: a translated stream can have some before there is anything to forward.
            self.deadlines.set(BETWEEN_TOKENS, event.at + attempt.limits.between_tokens, attempt.lane)

    def _first_bytes(self, event: e.UpstreamBytes, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        begins = self.phase is TRYING
        self._wins(attempt, out)
        self.deadlines.set(BETWEEN_TOKENS, event.at + attempt.limits.between_tokens, attempt.lane)
        timers.watch_speed(self, event.at)
        number = attempt.number
        out += (c.SendHead(number) if begins else c.Resume(number), c.SendBytes(event.data), c.Splice(number))

    def _first_text(self, event: e.UpstreamText, out: list[c.Command]) -> None:
        """Of an answer that its caller gets whole: it has won its race, unless that goes to the end."""
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        self.deadlines.clear(HEDGE)
        if not self.to_the_end:
            self._outrun_others(attempt, out)
        timers.watch_speed(self, event.at)

    def _wins(self, attempt: Attempt, out: list[c.Command]) -> None:
        """From here on the caller's answer comes from this attempt alone."""
        self.phase = FLOWING
        self.winner = attempt
        if len(self.made) > 1:
            self._outrun_others(attempt, out)
            self.deadlines.clear(RETRY)
        if self.order.hedge_after < inf:
            self.deadlines.clear(HEDGE)

    def _outrun_others(self, attempt: Attempt, out: list[c.Command]) -> None:
        for other in self.live:
            if other is not attempt:
                other.fault = Fault.SLOW if other is self.frozen else Fault.OUTRUN
                if other is not self.frozen:
                    self.field.forget(other.slot)
                self.cancel(other, out, for_good=True)
        self.frozen = None

    def _end(self, event: e.UpstreamEnd, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.usage = event.usage
        attempt.absurd = event.absurd
        attempt.status = OK
        phase = self.phase
        self._wins(attempt, out)
        attempt.phase = OVER
        self.close(out, DELIVERED, OK)
        if phase is TRYING:
            out.append(c.SendHead(attempt.number))
        elif phase is RESCUING:
            out.append(c.Resume(attempt.number))
        if event.data:
            out.append(c.SendBytes(event.data))
        out.append(c.SendEnd(attempt.number))

    # -- failures ----------------------------------------------------------------------------------------

    def _failed(self, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.phase = OVER
        self.fail(attempt, event, out)

    def fail(self, attempt: Attempt, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        """An attempt is over without an answer: another one, or the caller is told."""
        attempt.fault = event.fault
        attempt.status = event.status
        attempt.usage, attempt.absurd = event.usage, event.absurd
        self.deadlines.clear_lane(attempt.lane)
        verdict = retry.verdict(event.fault, event.status, event.code, should_retry=event.should_retry)
        if verdict is retry.Verdict.FATAL and attempt.resumes and event.code not in retry.CONTENT_CODES:
            # The first endpoint took what the caller had said: what is wrong is how it is to be gone on with.
            verdict = retry.Verdict.ELSEWHERE
        wait = retry.pause(self.field.tries(attempt.slot), event.dice, event.retry_after)
        scope = retry.scope(event.fault, event.status, event.code)
        self.field.note(attempt.slot, verdict, event.at + wait, scope)
        if self.phase is FLOWING or self.phase is RESCUING:
            rescue.after_failure(self, attempt, event, verdict, out)
        elif self.live:
            out.append(self.note(attempt, event, None))
        else:
            choice = self.field.next(event.at) if self.may_go_on(event, verdict) else None
            if choice is None or not self.can_wait(choice.at, event.at):
                self.give_up(attempt, event, out)
            else:
                out.append(self.note(attempt, event, choice.at - event.at))
                self.go_to(choice, event.at, out)

    def may_go_on(self, event: e.UpstreamFailed, verdict: retry.Verdict) -> bool:
        """Whether another attempt may follow a failure."""
        return verdict is not retry.Verdict.FATAL and self.retries_left > 0 and event.may_retry

    def can_wait(self, until: float, now: float) -> bool:
        """Whether a pause is worth it: not beyond our bound, nor beyond the exchange's end."""
        return until - now <= retry.RETRY_AFTER_MAX and until < self.deadlines.time_of(TOTAL)

    def go_to(self, choice: Choice, now: float, out: list[c.Command]) -> None:
        """Makes the next attempt, now or after its pause."""
        self.retries_left -= 1
        self.deadlines.clear(HEDGE)
        if choice.at <= now:
            self.open(choice.slot, now, out, resumes=self.phase is RESCUING)
        else:
            self.retry_slot = choice.slot
            self.deadlines.set(RETRY, choice.at)

    @staticmethod
    def note(attempt: Attempt, event: e.UpstreamFailed, retry_in: float | None) -> c.Note:
        """What is told of a failed attempt."""
        return c.Note(attempt.number, attempt.endpoint, event, retry_in)

    def give_up(self, attempt: Attempt, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        """No attempt is left to answer with; `event` is why the last one failed."""
        problem = problem_of(event, attempt.endpoint, len(self.made))
        in_band = self.phase is not TRYING
        out.append(self.note(attempt, event, None))
        keeps_body = passes_unchanged(event) and in_band is (event.fault is Fault.IN_BAND)
        self.close(out, ABSORBED, OK if in_band else problem.status, problem.type, passes=keeps_body)
        out.append(c.SendError(problem, in_band, event.body if keeps_body else b""))

    # -- the end -----------------------------------------------------------------------------------------

    def cancel(self, attempt: Attempt, out: list[c.Command], *, for_good: bool = False) -> None:
        """Gives an attempt up."""
        attempt.phase = OVER
        self.deadlines.clear_lane(attempt.lane)
        out.append(c.Cancel(attempt.number, for_good))

    @staticmethod
    def take_count(attempt: Attempt, looks: tuple[e.Look, ...]) -> None:
        """What an attempt's provider has counted before it is given up."""
        if attempt.number <= len(looks):
            look = looks[attempt.number - 1]
            attempt.usage, attempt.absurd = look.usage, look.absurd

    def close(
        self, out: list[c.Command], ending: Settlement, status: int, error_type: str = "", *, passes: bool = False
    ) -> None:
        """Cancels what is live and settles. `ending` is what becomes of the winner, or of the last one without one."""
        phase, self.phase = self.phase, CLOSED
        winner = self.winner
        shares = []
        for attempt in self.made:
            is_live = attempt.phase is not OVER
            if is_live:
                self.cancel(attempt, out)
            is_ours = attempt is not winner if winner is not None or not is_live else False
            shares.append(attempt.share(ABSORBED if is_ours else ending))
        if phase is not ADMITTING:
            number = winner.number if winner is not None and phase is not TRYING else 0
            out.append(c.Settle(_summary(ending, shares), tuple(shares), number, status, error_type, passes))


def _impossible(exchange: Exchange, event: e.Event, _out: list[c.Command]) -> None:
    raise ImpossibleStepError(f"{type(event).__name__} in phase {exchange.phase.name}")


def _summary(ending: Settlement, shares: list[c.Share]) -> Settlement:
    """The exchange's own settlement: released when nobody did any work, else how it ended."""
    if ending is DELIVERED:
        return ending
    found = {share.settlement for share in shares} - {RELEASED}
    if not found:
        return RELEASED
    return ABSORBED if ending is UPSTREAM_BILLED and ending not in found else ending


Handler = Callable[[Exchange, Any, list[c.Command]], None]

# ruff: noqa: SLF001 - the tables below are the body of the class above, written where they can be read
_UNDER_WAY: Final[dict[type[e.Event], Handler]] = {
    e.UpstreamOpen: Exchange._opened,
    e.UpstreamHead: Exchange._head,
    e.UpstreamBytes: Exchange._first_bytes,
    e.UpstreamEnd: Exchange._end,
    e.UpstreamFailed: Exchange._failed,
    e.DeadlinePassed: timers.passed,
    e.ClientGone: Exchange._gone,
    e.Broken: Exchange._broken,
}
"""While an attempt is awaited: before anything was sent, and while an answer is continued elsewhere."""

TABLE: Final[dict[tuple[Phase, type[e.Event]], Handler]] = {
    (Phase.FRESH, e.ClientRequest): Exchange._begin,
    (Phase.ADMITTING, e.Admitted): Exchange._admitted,
    (Phase.ADMITTING, e.Refused): Exchange._refused,
    (Phase.ADMITTING, e.ClientGone): Exchange._gone,
    (Phase.ADMITTING, e.DeadlinePassed): timers.passed,
    (Phase.ADMITTING, e.Broken): Exchange._broken,
    **{(Phase.TRYING, event): handler for event, handler in _UNDER_WAY.items()},
    (Phase.TRYING, e.UpstreamText): Exchange._first_text,
    (Phase.FLOWING, e.UpstreamEnd): Exchange._end,
    (Phase.FLOWING, e.UpstreamFailed): Exchange._failed,
    (Phase.FLOWING, e.DeadlinePassed): timers.passed,
    (Phase.FLOWING, e.ClientGone): Exchange._gone,
    (Phase.FLOWING, e.Broken): Exchange._broken,
    **{(Phase.RESCUING, event): handler for event, handler in _UNDER_WAY.items()},
    # The caller is served: what still arrives from connections or callers concerns nobody.
    (Phase.CLOSED, e.UpstreamOpen): lambda *_: None,
    (Phase.CLOSED, e.UpstreamHead): lambda *_: None,
    (Phase.CLOSED, e.UpstreamBytes): lambda *_: None,
    (Phase.CLOSED, e.UpstreamText): lambda *_: None,
    (Phase.CLOSED, e.UpstreamEnd): lambda *_: None,
    (Phase.CLOSED, e.UpstreamFailed): lambda *_: None,
    (Phase.CLOSED, e.DeadlinePassed): lambda *_: None,
    (Phase.CLOSED, e.ClientGone): lambda *_: None,
    (Phase.CLOSED, e.Broken): lambda *_: None,
    (Phase.CLOSED, e.Admitted): Exchange._admitted_late,
    (Phase.CLOSED, e.Refused): lambda *_: None,
}

_ROWS: Final = [{event: TABLE.get((phase, event), _impossible) for event in e.Event.__args__} for phase in Phase]
"""The table by phase: one look-up on the way of every event."""
