"""The exchange: the life of one call, from the caller's request to the settled ledger entry.

This machine does no I/O. It is told events and answers with commands; `edge.relay` turns sockets into the
one and the other into writes. Retries, fallback, deadlines, cancellation and settlement meet here and
nowhere else.

Phases of an exchange:

    FRESH ──ClientRequest──▶ ADMITTING ──Admitted──▶ TRYING ──first bytes──▶ FLOWING ──end──▶ CLOSED
                                 │                    │  ▲ next attempt         │
                              Refused                 └──┘ (at once or RETRY)  fault: in-band error
                                 ▼                    │ none left               ▼
                               CLOSED ◀───────────────┴──────────────────────CLOSED

Rules, which the simulation checks after every run:

1. `Reserve` is answered once. After `Admitted` there is exactly one `Settle`; after `Refused` none.
2. The caller gets `SendHead` at most once. An answer ends with `SendEnd` or with `SendError`, unless the
   caller left. After `SendHead` an error is in-band: the status is spent.
3. `Settle` comes before the command that shows the caller the end.
4. When the exchange closes, every live attempt but the winner has been cancelled.
5. While an exchange is open, `wake_at` is no later than the earliest deadline, and the shell reports when it has come.

A step that is not in the table below is a bug of the shell, and raises.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from math import inf
from typing import Any, Final

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.attempts import ANSWERING, DELIVERED, OPENING, OVER, RELEASED, SENT, Attempt, AttemptPhase, Field
from tokenway.exchange.deadlines import Deadline, Deadlines
from tokenway.exchange.problems import CLIENT_GONE, no_endpoint, passes_unchanged, problem_of
from tokenway.metering.ledger import Settlement
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.faults import Fault
from tokenway.routing import retry

OK: Final = 200


class Phase(IntEnum):
    """Where an exchange is; see the picture above."""

    FRESH = 0
    ADMITTING = 1
    TRYING = 2
    FLOWING = 3
    CLOSED = 4


# Names of their own, for the reason that `attempts` gives.
FRESH: Final = Phase.FRESH
ADMITTING: Final = Phase.ADMITTING
TRYING: Final = Phase.TRYING
FLOWING: Final = Phase.FLOWING
CLOSED: Final = Phase.CLOSED
ABSORBED: Final = Settlement.ABSORBED
UPSTREAM_BILLED: Final = Settlement.UPSTREAM_BILLED
CONNECT, FIRST_TOKEN, BETWEEN_TOKENS, TOTAL, RETRY = Deadline


class ImpossibleStepError(RuntimeError):
    """The shell reported something that cannot happen in this phase."""


class Exchange:
    """One exchange. `feed` takes an event and gives the commands that follow from it, in order."""

    __slots__ = (
        "_attempts",
        "_deadlines",
        "_field",
        "_order",
        "_retries_left",
        "_retry_slot",
        "_winner",
        "phase",
    )

    _order: e.Order
    _field: Field
    _retry_slot: int
    _retries_left: int

    def __init__(self) -> None:
        self.phase = FRESH
        self._attempts: list[Attempt] = []
        self._deadlines = Deadlines()
        self._winner: Attempt | None = None

    @property
    def attempts(self) -> int:
        """How many attempts were made."""
        return len(self._attempts)

    @property
    def endpoint_id(self) -> str:
        """The endpoint that answers, or that was tried last; empty before the first attempt."""
        attempt = self._winner or (self._attempts[-1] if self._attempts else None)
        return attempt.endpoint.id if attempt is not None else ""

    def feed(self, event: e.Event) -> list[c.Command]:
        """The commands that follow from `event`; raises ImpossibleStepError for one that cannot come now."""
        out: list[c.Command] = []
        _ROWS[self.phase][type(event)](self, event, out)
        return out

    @property
    def wake_at(self) -> float:
        """When the shell is to report `DeadlinePassed`, in monotonic seconds; `inf` when nothing can pass."""
        return inf if self.phase is CLOSED else self._deadlines.armed

    # -- from the caller ---------------------------------------------------------------------------------

    def _begin(self, event: e.ClientRequest, out: list[c.Command]) -> None:
        order = event.order
        self._order = order
        self._field = Field(order.endpoints)
        self._retries_left = order.max_retries
        if not order.endpoints:
            self.phase = CLOSED
            out.append(c.SendError(no_endpoint(), in_band=False))
            return
        self.phase = ADMITTING
        self._deadlines.set(TOTAL, event.at + order.timeouts.total)
        out.append(c.Reserve(order.amount))

    def _gone(self, event: e.ClientGone, out: list[c.Command]) -> None:
        for attempt in self._attempts:
            if attempt.is_live:
                attempt.usage, attempt.absurd = event.usage, event.absurd
        self._close(out, ABSORBED if event.waits else UPSTREAM_BILLED, CLIENT_GONE)

    # -- admission ---------------------------------------------------------------------------------------

    def _admitted(self, event: e.Admitted, out: list[c.Command]) -> None:
        self.phase = TRYING
        self._open(0, event.at, out)

    def _admitted_late(self, _event: e.Admitted, out: list[c.Command]) -> None:
        """The reservation came after the caller had gone: it is given back."""
        out.append(c.Settle(RELEASED, (), 0, CLIENT_GONE))

    def _refused(self, event: e.Refused, out: list[c.Command]) -> None:
        self.phase = CLOSED
        out.append(c.SendError(event.problem, in_band=False))

    # -- attempts ----------------------------------------------------------------------------------------

    def _open(self, slot: int, at: float, out: list[c.Command]) -> None:
        endpoint = self._field.begin(slot)
        attempt = Attempt(len(self._attempts) + 1, endpoint, slot)
        self._attempts.append(attempt)
        self._deadlines.set(CONNECT, at + self._order.timeouts.connect)
        out.append(c.Open(attempt.number, endpoint))

    def _live(self, number: int) -> Attempt | None:
        attempt = self._attempts[number - 1]
        return attempt if attempt.phase is not OVER else None

    def _opened(self, event: e.UpstreamOpen, _out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.phase = SENT
        attempt.was_sent = True
        self._deadlines.clear(CONNECT)
        if self._order.stream:
            self._deadlines.set(FIRST_TOKEN, event.at + self._order.timeouts.first_token)

    def _head(self, event: e.UpstreamHead, _out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is not None:
            attempt.phase = ANSWERING
            attempt.status = event.status
            # From its text on: a translated stream can have some before there is anything to forward.
            self._deadlines.set(BETWEEN_TOKENS, event.at + self._order.timeouts.between_tokens)

    def _first_bytes(self, event: e.UpstreamBytes, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        self.phase = FLOWING
        self._winner = attempt
        for other in self._attempts:
            if other.is_live and other is not attempt:
                self._cancel(other, out)
        self._deadlines.clear(RETRY)
        self._deadlines.set(BETWEEN_TOKENS, event.at + self._order.timeouts.between_tokens)
        out += (c.SendHead(attempt.number), c.SendBytes(event.data), c.Splice(attempt.number))

    def _end(self, event: e.UpstreamEnd, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.usage = event.usage
        attempt.absurd = event.absurd
        attempt.phase = OVER
        attempt.status = OK
        is_headed = self.phase is FLOWING
        self._winner = attempt
        self._close(out, DELIVERED, OK)
        if not is_headed:
            out.append(c.SendHead(attempt.number))
        if event.data:
            out.append(c.SendBytes(event.data))
        out.append(c.SendEnd(attempt.number))

    # -- failures ----------------------------------------------------------------------------------------

    def _failed(self, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        attempt = self._live(event.attempt)
        if attempt is None:
            return
        attempt.phase = OVER
        self._fail(attempt, event, out)

    def _fail(self, attempt: Attempt, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        """An attempt is over without an answer: another one, or the caller is told."""
        attempt.fault = event.fault
        attempt.status = event.status
        attempt.usage, attempt.absurd = event.usage, event.absurd
        if self.phase is FLOWING:
            self._give_up(attempt, event, out)
            return
        verdict = retry.verdict(event.fault, event.status, event.code, should_retry=event.should_retry)
        wait = retry.pause(self._field.tries(attempt.slot), event.dice, event.retry_after)
        self._field.note(attempt.slot, verdict, event.at + wait)
        if any(other.is_live for other in self._attempts):
            return
        self._deadlines.clear_attempt()
        choice = None
        if verdict is not retry.Verdict.FATAL and self._retries_left > 0:
            choice = self._field.next(event.at)
        if choice is None or not self._can_wait(choice.at, event.at):
            self._give_up(attempt, event, out)
            return
        self._retries_left -= 1
        delay = choice.at - event.at
        out.append(c.Note(attempt.number, attempt.endpoint, event.fault, event.detail, delay))
        if delay <= 0.0:
            self._open(choice.slot, event.at, out)
        else:
            self._retry_slot = choice.slot
            self._deadlines.set(RETRY, choice.at)

    def _can_wait(self, until: float, now: float) -> bool:
        """Whether a pause is worth it: not beyond our bound, nor beyond the exchange's end."""
        return until - now <= retry.RETRY_AFTER_MAX and until < self._deadlines.time_of(TOTAL)

    def _give_up(self, attempt: Attempt, event: e.UpstreamFailed, out: list[c.Command]) -> None:
        """No attempt is left to answer with; `event` is why the last one failed."""
        problem = problem_of(event, attempt.endpoint, len(self._attempts))
        in_band = self.phase is FLOWING
        out.append(c.Note(attempt.number, attempt.endpoint, event.fault, event.detail, None))
        keeps_body = passes_unchanged(event) and in_band is (event.fault is Fault.IN_BAND)
        self._close(out, ABSORBED, OK if in_band else problem.status, problem.type, passes=keeps_body)
        out.append(c.SendError(problem, in_band, event.body if keeps_body else b""))

    # -- time --------------------------------------------------------------------------------------------

    def _tick(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        for which in self._deadlines.passed(event.at):
            if self.phase is CLOSED:
                return
            DEADLINE_STEPS[which](self, event, out)
        self._deadlines.rearm()

    def _total_passed(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        if self._attempts:
            last = self._attempts[-1]
            if last.is_live:
                last.fault = Fault.TOTAL_DEADLINE
                last.usage, last.absurd = event.usage, event.absurd
            self._give_up(last, self._deadline_failure(last, Fault.TOTAL_DEADLINE, event), out)
        else:
            problem = Problem(504, ErrorType.TIMEOUT, "The request was not admitted in time.", code="total_deadline")
            self._close(out, RELEASED, problem.status, problem.type)
            out.append(c.SendError(problem, in_band=False))

    def _connect_passed(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        self._deadlines.clear(CONNECT)
        self._time_out(OPENING, Fault.CONNECT_DEADLINE, event, out)

    def _first_token_passed(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        self._deadlines.clear(FIRST_TOKEN)
        if not event.has_text:
            self._time_out(SENT, Fault.FIRST_TOKEN_DEADLINE, event, out)

    def _between_passed(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        """Moves with the stream: the shell says when it last moved, so no chunk has to touch a timer."""
        limit = self._order.timeouts.between_tokens
        waits_for_text = not event.has_text and self._deadlines.time_of(FIRST_TOKEN) > event.at
        moved_at = event.at if waits_for_text else event.last_activity
        if moved_at + limit > event.at:
            self._deadlines.set(BETWEEN_TOKENS, moved_at + limit)
        else:
            self._time_out(SENT, Fault.BETWEEN_TOKENS_DEADLINE, event, out)

    def _retry_passed(self, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        self._deadlines.clear(RETRY)
        self._open(self._retry_slot, event.at, out)

    def _time_out(self, least: AttemptPhase, fault: Fault, event: e.DeadlinePassed, out: list[c.Command]) -> None:
        """Gives up the live attempts that a deadline is about: those still opening, or those already sent."""
        opening = least is OPENING
        for attempt in list(self._attempts):
            if attempt.is_live and (attempt.phase is OPENING) is opening and self.phase is not CLOSED:
                self._cancel(attempt, out)
                self._fail(attempt, self._deadline_failure(attempt, fault, event), out)

    @staticmethod
    def _deadline_failure(attempt: Attempt, fault: Fault, event: e.DeadlinePassed) -> e.UpstreamFailed:
        return e.UpstreamFailed(
            event.at, attempt.number, fault, usage=event.usage, dice=event.dice, absurd=event.absurd
        )

    # -- the end -----------------------------------------------------------------------------------------

    @staticmethod
    def _cancel(attempt: Attempt, out: list[c.Command]) -> None:
        attempt.phase = OVER
        out.append(c.Cancel(attempt.number))

    def _close(
        self, out: list[c.Command], ending: Settlement, status: int, error_type: str = "", *, passes: bool = False
    ) -> None:
        """Cancels what is live and settles. `ending` is what becomes of the attempts that were not lost before."""
        was_admitted = self.phase is not ADMITTING
        self.phase = CLOSED
        winner = self._winner
        shares = []
        for attempt in self._attempts:
            is_live = attempt.phase is not OVER
            lost_before = not is_live and attempt is not winner
            if is_live:
                self._cancel(attempt, out)
            shares.append(attempt.share(ABSORBED if lost_before else ending))
        if was_admitted:
            number = winner.number if winner is not None else 0
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
TABLE: Final[dict[tuple[Phase, type[e.Event]], Handler]] = {
    (Phase.FRESH, e.ClientRequest): Exchange._begin,
    (Phase.ADMITTING, e.Admitted): Exchange._admitted,
    (Phase.ADMITTING, e.Refused): Exchange._refused,
    (Phase.ADMITTING, e.ClientGone): Exchange._gone,
    (Phase.ADMITTING, e.DeadlinePassed): Exchange._tick,
    (Phase.TRYING, e.UpstreamOpen): Exchange._opened,
    (Phase.TRYING, e.UpstreamHead): Exchange._head,
    (Phase.TRYING, e.UpstreamBytes): Exchange._first_bytes,
    (Phase.TRYING, e.UpstreamEnd): Exchange._end,
    (Phase.TRYING, e.UpstreamFailed): Exchange._failed,
    (Phase.TRYING, e.DeadlinePassed): Exchange._tick,
    (Phase.TRYING, e.ClientGone): Exchange._gone,
    (Phase.FLOWING, e.UpstreamEnd): Exchange._end,
    (Phase.FLOWING, e.UpstreamFailed): Exchange._failed,
    (Phase.FLOWING, e.DeadlinePassed): Exchange._tick,
    (Phase.FLOWING, e.ClientGone): Exchange._gone,
    # The caller is served: what still arrives from connections or callers concerns nobody.
    (Phase.CLOSED, e.UpstreamOpen): lambda *_: None,
    (Phase.CLOSED, e.UpstreamHead): lambda *_: None,
    (Phase.CLOSED, e.UpstreamBytes): lambda *_: None,
    (Phase.CLOSED, e.UpstreamEnd): lambda *_: None,
    (Phase.CLOSED, e.UpstreamFailed): lambda *_: None,
    (Phase.CLOSED, e.DeadlinePassed): lambda *_: None,
    (Phase.CLOSED, e.ClientGone): lambda *_: None,
    (Phase.CLOSED, e.Admitted): Exchange._admitted_late,
    (Phase.CLOSED, e.Refused): lambda *_: None,
}

_ROWS: Final = [{event: TABLE.get((phase, event), _impossible) for event in e.Event.__args__} for phase in Phase]
"""The table by phase: one look-up on the way of every event."""

DEADLINE_STEPS: Final[dict[Deadline, Handler]] = {
    TOTAL: Exchange._total_passed,
    CONNECT: Exchange._connect_passed,
    FIRST_TOKEN: Exchange._first_token_passed,
    BETWEEN_TOKENS: Exchange._between_passed,
    RETRY: Exchange._retry_passed,
}
