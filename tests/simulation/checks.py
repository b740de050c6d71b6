"""What must be true of every history, whatever its seed: the invariants of an exchange.

1. Every reservation ends in exactly one settlement; the sum of the entries is the sum of what the simulated providers
   billed and told; an attempt without a count is flagged, and only such a one; a caller is charged only for what it
   got whole, or left while it was made.
2. The caller gets a complete answer or a well-formed error, never a truncated answer that looks whole.
3. No attempt outlives its exchange; a caller that leaves ends them all.
4. Every deadline is met within the granularity of the sweep, and none is called early.
5. What the caller got is a prefix of one valid answer, however the bytes were cut.

And: one head, the settlement before the end, no more attempts than allowed, pauses that upstreams asked for are kept,
and while an endpoint is untried no other is asked again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.simulation.answers import check_answer
from tests.simulation.client import load
from tests.simulation.clock import START
from tests.simulation.heard import check_asked
from tests.simulation.provider import NEVER, Call
from tests.simulation.world import History
from tokenway.edge.state import SWEEP_SECONDS
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.metering.ledger import Line, Reserved, Settled, Settlement, State, follow
from tokenway.model.faults import Fault

EPSILON: Final = 1e-6
LATE: Final = SWEEP_SECONDS + EPSILON
BACKOFF_LONGEST: Final = 8.0
PAUSE_LONGEST: Final = 30.0


def violations(history: History) -> list[str]:
    """What is wrong with a history, as sentences; empty when nothing is."""
    if history.crash is not None:
        return [f"it raised {type(history.crash).__name__}: {history.crash}"]
    found: list[str] = []
    for check in CHECKS:
        try:
            found += check(history)
        except Exception as error:  # noqa: BLE001 - what the checks cannot read is not what must be there
            found.append(f"{check.__name__}: {type(error).__name__}: {error}")
    return found


def settled_of(history: History) -> Settled | None:
    """The settlement in the journal."""
    return next((record for record in history.records if isinstance(record, Settled)), None)


# -- 1: money --------------------------------------------------------------------------------------------


def check_ledger(history: History) -> Iterator[str]:
    """One reservation, one settlement, in that order; none of both without admission."""
    commands = history.commands
    was_admitted = any(isinstance(event, e.Admitted) for _, event, _ in history.steps)
    settles = [n for n, command in enumerate(commands) if isinstance(command, c.Settle)]
    if len(settles) != was_admitted:
        yield f"{len(settles)} settlements for {int(was_admitted)} reservations"
    ends = [n for n, command in enumerate(commands) if isinstance(command, c.SendEnd | c.SendError)]
    if was_admitted and ends and settles and settles[0] > ends[0]:
        yield "the caller saw the end before the settlement"
    state = State.ABSENT
    for record in history.records:
        state = follow(state, record)
    breaks_at = history.plan.journal_breaks_at
    if breaks_at:
        expected = State.ABSENT if breaks_at == 1 or not was_admitted else State.OPEN
    else:
        expected = State.SETTLED if was_admitted else State.ABSENT
    if state is not expected:
        yield f"the reservation is {state}, not {expected}"
    if sum(isinstance(record, Reserved) for record in history.records) > 1 or len(history.records) > 2:
        yield f"{len(history.records)} records"


def check_budget(history: History) -> Iterator[str]:
    """What was reserved and not charged comes back, to the nano-dollar; a key's budget is not overdrawn by that."""
    granted = history.plan.budget
    if granted is None:
        return
    settled = settled_of(history)
    reserved = next((record.amount for record in history.records if isinstance(record, Reserved)), 0)
    charged = settled.charged if settled is not None else 0
    if history.plan.journal_breaks_at == 2 and history.left != granted:
        return  # settled in memory, and the journal does not say for how much
    if history.left != granted - charged:
        yield f"{history.left} is left of {granted}, and {charged} was charged"
    if reserved > granted or (granted == 0 and history.records):
        yield f"{reserved} was reserved of {granted}"


def check_money(history: History) -> Iterator[str]:
    """The entries say what the providers billed and told, and who pays."""
    settled = settled_of(history)
    if settled is None:
        return
    if len(settled.lines) != len(history.calls):
        yield f"{len(settled.lines)} lines for {len(history.calls)} attempts"
        return
    charged = booked = billed = 0
    for line, call in zip(settled.lines, history.calls, strict=True):
        booked += line.cost or 0
        if line.settlement in {Settlement.DELIVERED, Settlement.UPSTREAM_BILLED}:
            charged += line.cost or 0
        if call is not None:
            billed += call.bill or 0
            yield from _check_line(history, line, call)
        elif line.settlement is not Settlement.RELEASED:
            yield f"attempt {line.attempt} was never made, yet {line.settlement}"
    if booked != billed:
        yield f"the entries say {booked}, the providers billed {billed}"
    if settled.charged != charged:
        yield f"charged {settled.charged}, not {charged}"


def _check_line(history: History, line: Line, call: Call) -> Iterator[str]:
    name = f"attempt {line.attempt} ({call.script.name})"
    told, usage = call.told
    if line.usage != usage:
        yield f"{name}: entered {line.usage}, told {usage}"
    if line.cost != call.bill:
        yield f"{name}: entered {line.cost}, billed {call.bill}"
    if line.absurd is not (told and usage is None):
        yield f"{name}: absurd is {line.absurd}"
    left_at = history.client.left_at
    has_end = any(isinstance(command, c.SendEnd) for command in history.commands)
    is_last = line.attempt == len(history.calls)
    if call.opened_at == NEVER:
        expected = {Settlement.RELEASED}
    elif has_end and is_last:
        expected = {Settlement.DELIVERED}
    elif left_at is not None and (call.over_at == left_at if call.how == "cancelled" else history.held and is_last):
        expected = {Settlement.ABSORBED if history.given_up else Settlement.UPSTREAM_BILLED}
    elif line.fault == Fault.STATUS:
        expected = {Settlement.RELEASED}
    else:
        expected = {Settlement.ABSORBED}
    if line.settlement not in expected:
        yield f"{name}: {line.settlement}, not {min(expected)}"
    if line.fault == Fault.STATUS and call.script.status < 400:
        yield f"{name}: a fault of status without such a status"


# -- 3: attempts -----------------------------------------------------------------------------------------


def check_attempts(history: History) -> Iterator[str]:
    """Attempts are as many as allowed, end with the exchange, and ask for what the caller asked for."""
    client = history.client
    if client.finishes != 1 or client.finished_at is None:
        yield f"the answer ended {client.finishes} times"
        return
    if len(history.calls) > 1 + history.plan.max_retries:
        yield f"{len(history.calls)} attempts with {history.plan.max_retries} retries"
    for number, call in enumerate(history.calls, start=1):
        if call is None:
            continue
        if not call.is_over:
            yield f"attempt {number} ({call.script.name}) outlived its exchange"
        elif call.over_at > client.finished_at:
            yield f"attempt {number} ended after its exchange"
        yield from _check_request(history, call)
    if client.left_at is not None and client.finished_at != client.left_at:
        yield "the exchange outlived its caller"


def _check_request(history: History, call: Call) -> Iterator[str]:
    plan = history.plan
    if plan.is_mixed:
        yield from check_asked(history, call)
        return
    expected: dict[str, Any] = {**plan.request, "model": call.endpoint.upstream_model}
    expected.pop("session_id", None)
    if plan.stream:
        expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
    if load(call.request) != expected:
        yield f"the provider was asked {call.request!r}"


def check_commands(history: History) -> Iterator[str]:
    """At most one head and one end; nothing for the caller after the end."""
    shown = [command for command in history.commands if isinstance(command, _SHOWN)]
    heads = sum(isinstance(command, c.SendHead) for command in shown)
    ends = [n for n, command in enumerate(shown) if isinstance(command, c.SendEnd | c.SendError)]
    if heads > 1:
        yield f"{heads} heads"
    if len(ends) > 1 or (ends and ends[0] != len(shown) - 1):
        yield "something came after the end"
    if not ends and history.client.left_at is None:
        yield "no end, though the caller waits"
    if history.client.wrote_after_end:
        yield "bytes were written after the end"


_SHOWN: Final = (c.SendHead, c.SendBytes, c.SendEnd, c.SendError)


# -- 4: time ---------------------------------------------------------------------------------------------


def check_deadlines(history: History) -> Iterator[str]:
    """Nobody waits longer than a deadline says, but for the sweep."""
    plan, client = history.plan, history.client
    limits = plan.timeouts
    end = client.finished_at if client.left_at is None else client.left_at
    if end is not None and end - START > limits.total + LATE:
        yield f"the exchange took {end - START:.3f} s"
    for number, call in enumerate(history.calls, start=1):
        if call is None:
            continue
        name = f"attempt {number} ({call.script.name})"
        opening = (call.opened_at if call.opened_at != NEVER else call.over_at) - call.started_at
        if opening > limits.connect + LATE:
            yield f"{name} took {opening:.3f} s to connect"
        if not plan.stream or call.opened_at == NEVER:
            continue
        waited = (call.first_text_at if call.first_text_at != NEVER else call.over_at) - call.opened_at
        if waited > limits.first_token + LATE:
            yield f"{name} took {waited:.3f} s to its first text"
        silence = max(_silences(history, call), default=0.0)
        if call.first_text_at != NEVER and silence > limits.between_tokens + LATE:
            yield f"{name} was silent for {silence:.3f} s"


def _silences(history: History, call: Call) -> Iterator[float]:
    """The pauses of a stream after its first text; while the caller is slow there is none."""
    times = [at for at in call.arrivals if at >= call.first_text_at] + [call.over_at]
    for begin, end in itertools.pairwise(times):
        at = begin
        for paused, resumed in history.client.pauses:
            if paused < end and resumed > at:
                yield max(0.0, paused - at)
                at = min(resumed, end)
        yield end - at


def check_early(history: History) -> Iterator[str]:
    """No deadline is called before its time."""
    settled = settled_of(history)
    if settled is None:
        return
    limits = history.plan.timeouts
    for line, call in zip(settled.lines, history.calls, strict=True):
        if call is None or line.fault not in _DEADLINES or (history.held and call.how == "end"):
            continue
        if line.fault == Fault.CONNECT_DEADLINE:
            waited, limit = call.over_at - call.started_at, limits.connect
        elif line.fault == Fault.FIRST_TOKEN_DEADLINE:
            waited, limit = call.over_at - call.opened_at, limits.first_token
        elif line.fault == Fault.BETWEEN_TOKENS_DEADLINE:
            waited, limit = list(_silences(history, call))[-1], limits.between_tokens
        else:
            waited, limit = call.over_at - START, limits.total
        if call.how != "cancelled" or waited < limit - EPSILON:
            yield f"attempt {line.attempt}: {line.fault} after {waited:.3f} s of {limit} s"


_DEADLINES: Final = {
    Fault.CONNECT_DEADLINE,
    Fault.FIRST_TOKEN_DEADLINE,
    Fault.BETWEEN_TOKENS_DEADLINE,
    Fault.TOTAL_DEADLINE,
}


# -- retries ---------------------------------------------------------------------------------------------

_ELSEWHERE: Final = {401, 402, 403, 404, 405, 501}
_AGAIN: Final = {408, 409, 424, 425, 429}
_SPENT: Final = {"insufficient_quota", "context_length_exceeded"}


def meaning(line: Line, call: Call | None) -> str:
    """What a failed attempt means by the rules of retrying: `fatal`, `elsewhere` or `again`."""
    if line.fault == Fault.TLS:
        return "elsewhere"
    if line.fault != Fault.STATUS:
        return "again"
    status, advice, code = 503, None, ""
    if call is not None:
        status, advice, code = call.script.status, call.script.should_retry, call.script.code
        if call.script.name == "status, large":
            code = ""
    if code in _SPENT:
        return "elsewhere"
    if advice is True:
        return "again"
    if status in _ELSEWHERE:
        return "elsewhere"
    if status < 500 and status not in _AGAIN:
        return "fatal"
    return "again" if advice is None else "elsewhere"


def check_retries(history: History) -> Iterator[str]:
    """Each attempt after the first is allowed, in time, and at the right place."""
    settled = settled_of(history)
    if settled is None or len(settled.lines) != len(history.calls):
        return
    endpoints = history.attempt_endpoints
    for number in range(1, len(history.calls)):
        line, call = settled.lines[number - 1], history.calls[number - 1]
        if meaning(line, call) == "fatal":
            yield f"attempt {number} could not be helped, and another was made"
        tried = endpoints[:number]
        if endpoints[number] not in tried:
            if history.opened_at[number] - _failed_at(history, number - 1) > EPSILON:
                yield f"attempt {number + 1} waited for a new endpoint"
            continue
        if any(endpoint not in tried for endpoint in history.plan.endpoints):
            yield f"attempt {number + 1} went to a tried endpoint, and one was untried"
        yield from _check_pause(history, settled, number)
    yield from _check_giving_up(history, settled)


def _check_pause(history: History, settled: Settled, number: int) -> Iterator[str]:
    endpoints = history.attempt_endpoints
    before = max(n for n in range(number) if endpoints[n] == endpoints[number])
    call = history.calls[before]
    if meaning(settled.lines[before], call) != "again":
        yield f"attempt {number + 1} went to an endpoint that had sent us away"
    advice = call.script.retry_after if call is not None and settled.lines[before].fault == Fault.STATUS else None
    paused = history.opened_at[number] - _failed_at(history, before)
    if paused < (advice or 0.0) - EPSILON:
        yield f"attempt {number + 1} came after {paused:.3f} s, and {advice} s were asked for"
    waited = history.opened_at[number] - _failed_at(history, number - 1)
    if waited > max(advice or 0.0, BACKOFF_LONGEST) + LATE or waited > PAUSE_LONGEST + LATE:
        yield f"attempt {number + 1} came after {waited:.3f} s"


def check_promises(history: History) -> Iterator[str]:
    """A retry that was announced is made when it was announced, unless the exchange is over by then."""
    end = history.client.finished_at
    for place, (at, _, commands) in enumerate(history.steps):
        for command in commands:
            if not isinstance(command, c.Note) or command.retry_in is None:
                continue
            due = at + command.retry_in + LATE
            later = history.steps[place:]
            opened = next((when for when, _, more in later if any(isinstance(each, c.Open) for each in more)), None)
            if (opened is None or opened > due) and (end is None or end > due):
                yield f"a retry was announced in {command.retry_in:.3f} s and came not"


def _failed_at(history: History, number: int) -> float:
    call = history.calls[number]
    return history.opened_at[number] if call is None else call.over_at


def _check_giving_up(history: History, settled: Settled) -> Iterator[str]:
    """An error is no answer as long as there is another way."""
    plan = history.plan
    count = len(history.calls)
    error = next((command for command in history.commands if isinstance(command, c.SendError)), None)
    if error is None or error.in_band or not count or count > plan.max_retries:
        return
    last = settled.lines[-1]
    if meaning(last, history.calls[-1]) == "fatal" or last.fault == Fault.TOTAL_DEADLINE:
        return
    now = _failed_at(history, count - 1)
    if now - START >= plan.timeouts.total:
        return
    latest: dict[str, int] = {endpoint.id: n for n, endpoint in enumerate(history.attempt_endpoints)}
    for endpoint in plan.endpoints:
        if endpoint.id not in latest:
            yield f"it gave up after {count} attempts, and {endpoint.id} was untried"
            continue
        number = latest[endpoint.id]
        call = history.calls[number]
        advice = call.script.retry_after if call is not None and settled.lines[number].fault == Fault.STATUS else None
        ready = _failed_at(history, number) + (BACKOFF_LONGEST if advice is None else advice)
        in_time = ready - now <= PAUSE_LONGEST - EPSILON and ready - START < plan.timeouts.total - EPSILON
        is_open = settled.status != 504 or client_waits(history, now)
        if meaning(settled.lines[number], call) == "again" and in_time and is_open:
            yield f"it gave up after {count} attempts, and {endpoint.id} could be asked again"


def client_waits(history: History, now: float) -> bool:
    """Whether the exchange ended with its last attempt, and not by the total deadline in a pause after it."""
    finished = history.client.finished_at
    return finished is not None and finished - now <= EPSILON


CHECKS: Final[tuple[Callable[[History], Iterator[str]], ...]] = (
    check_ledger,
    check_budget,
    check_money,
    check_attempts,
    check_commands,
    check_answer,
    check_deadlines,
    check_early,
    check_retries,
    check_promises,
)
