"""What must be true of every history, whatever its seed: the invariants of an exchange.

1. Every reservation ends in exactly one settlement; the sum of the entries is the sum of what the simulated providers
   billed and told; an attempt without a count is flagged, and only such a one; a caller is charged only for what it
   got whole, or left while it was made.
2. The caller gets a complete answer or a well-formed error, never a truncated answer that looks whole.
3. No attempt outlives its exchange, nor takes up a place once it is over; a caller that leaves ends them all.
4. Every deadline is met within the granularity of the sweep, and none is called early.
5. What the caller got is a prefix of one valid answer, however the bytes were cut.

And: one head, the settlement before the end, at most two attempts at once, no more attempts than allowed, pauses that
upstreams asked for are kept, and while an endpoint is untried no other is asked again (`retries`). Races and deadlines
keep their times (`deadlines`), and an answer that goes on elsewhere is one answer (`splices`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.simulation.answers import check_answer
from tests.simulation.client import load
from tests.simulation.deadlines import check_deadlines, check_early, check_speed
from tests.simulation.facts import Facts
from tests.simulation.heard import check_asked, marked
from tests.simulation.plan import BUDGET
from tests.simulation.provider import NEVER, Call
from tests.simulation.retries import check_order, check_promises, check_retries
from tests.simulation.splices import check_splices
from tests.simulation.world import History
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.metering.ledger import PAYING, Line, Reserved, Settled, Settlement, State, follow
from tokenway.model.faults import Fault
from tokenway.model.limits import Limit, Measure


def violations(history: History) -> list[str]:
    """What is wrong with a history, as sentences; empty when nothing is."""
    if history.crash is not None:
        return [f"it raised {type(history.crash).__name__}: {history.crash}"]
    found: list[str] = []
    facts = Facts(history)
    for check in CHECKS:
        try:
            found += check(facts)
        except Exception as error:  # noqa: BLE001 - what the checks cannot read is not what must be there
            found.append(f"{check.__name__}: {type(error).__name__}: {error}")
    return found


# -- 1: money --------------------------------------------------------------------------------------------


def check_ledger(facts: Facts) -> Iterator[str]:
    """One reservation, one settlement, in that order; none of both without admission."""
    history = facts.history
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


def check_limits(facts: Facts) -> Iterator[str]:
    """What was drawn and not used comes back, to the nano-dollar; nothing goes back that was not held."""
    history = facts.history
    plan, settled = history.plan, facts.settled
    if history.state is not None:
        yield from history.state.broker.faults
    reserved = next((record.amount for record in history.records if isinstance(record, Reserved)), 0)
    if plan.budget is not None and (reserved > plan.budget or (plan.budget == 0 and history.records)):
        yield f"{reserved} was reserved of {plan.budget}"
    if settled is None and plan.journal_breaks_at == 2 and history.records:
        return  # settled in memory, and the journal does not say for how much
    for name, limit in plan.limits().items():
        left = limit.amount - history.unspent[name]
        if name == BUDGET:
            if left != spent_of(settled):
                yield f"{left} is gone of the budget, and {spent_of(settled)} was charged or withheld"
        elif limit.measure is Measure.CONCURRENCY:
            if left and not plan.broker.may_be_blind:
                yield f"{left} places are not free in the end"
        elif left > _most_of(limit, settled) or (left < 0 and not plan.broker.may_be_blind):
            yield f"{left} of {name} is gone"
    yield from _check_withheld(settled, reserved)


def spent_of(settled: Settled | None) -> int:
    """What an exchange takes of budgets."""
    return 0 if settled is None else settled.charged + settled.withheld


def _most_of(limit: Limit, settled: Settled | None) -> int:
    """The most that an exchange can have taken of a rate: what was counted, or all that it had set aside."""
    if settled is None:
        return 0
    if limit.measure is Measure.REQUESTS:
        return 1
    usages = [line.usage for line in settled.lines if line.settlement in PAYING]
    if None in usages:
        return limit.amount
    sums = [(usage.input_tokens, usage.output_tokens) for usage in usages if usage is not None]
    came_in, came_out = sum(each for each, _ in sums), sum(each for _, each in sums)
    return {Measure.INPUT_TOKENS: came_in, Measure.OUTPUT_TOKENS: came_out}.get(limit.measure, came_in + came_out)


def _check_withheld(settled: Settled | None, reserved: int) -> Iterator[str]:
    """Only what a caller has left is withheld for, and with what it was charged no more than was set aside."""
    if settled is None or not settled.withheld:
        return
    if all(line.settlement is not Settlement.UPSTREAM_BILLED for line in settled.lines):
        yield f"{settled.withheld} is withheld for an answer that nobody left"
    if settled.withheld < 0 or settled.charged + settled.withheld > reserved:
        yield f"{settled.withheld} is withheld beside {settled.charged}, of {reserved}"


def check_money(facts: Facts) -> Iterator[str]:
    """The entries say what the providers billed and told, and who pays."""
    history = facts.history
    settled = facts.settled
    if settled is None:
        return
    if len(settled.lines) != len(history.calls):
        yield f"{len(settled.lines)} lines for {len(history.calls)} attempts"
        return
    charged = booked = billed = paying = 0
    for line, call in zip(settled.lines, history.calls, strict=True):
        booked += line.cost or 0
        if line.settlement in {Settlement.DELIVERED, Settlement.UPSTREAM_BILLED}:
            charged += marked(line.cost or 0, history.plan.markup)
            paying += 1
        if call is not None:
            frozen = facts.frozen_call(line.attempt)
            bill = call.bill_at(None if frozen is None else frozen.begin)
            if facts.is_mute(line.attempt):
                bill = line.cost
            billed += bill or 0
            yield from _check_line(facts, line, call, bill, None if frozen is None else frozen.begin)
        elif line.settlement is not Settlement.RELEASED:
            yield f"attempt {line.attempt} was never made, yet {line.settlement}"
    if booked != billed:
        yield f"the entries say {booked}, the providers billed {billed}"
    if settled.charged != charged:
        yield f"charged {settled.charged}, not {charged}"
    if paying > 1:
        yield f"the caller pays for {paying} attempts"


def _check_line(facts: Facts, line: Line, call: Call, bill: int | None, frozen_at: float | None) -> Iterator[str]:
    history = facts.history
    name = f"attempt {line.attempt} ({call.script.name})"
    told, usage = call.told_at(frozen_at)
    if facts.is_mute(line.attempt):
        told, usage = told and (line.absurd or line.usage is not None), line.usage
    if line.usage != usage:
        yield f"{name}: entered {line.usage}, told {usage}"
    if line.cost != bill:
        yield f"{name}: entered {line.cost}, billed {bill}"
    if line.absurd is not (told and usage is None):
        yield f"{name}: absurd is {line.absurd}"
    if call.opened_at == NEVER:
        expected = {Settlement.RELEASED}
    elif facts.has_end and line.attempt == facts.answering:
        expected = {Settlement.DELIVERED}
    elif line.attempt == _left_with(facts):
        expected = {Settlement.ABSORBED if history.given_up else Settlement.UPSTREAM_BILLED}
    elif line.fault == Fault.STATUS:
        expected = {Settlement.RELEASED}
    else:
        expected = {Settlement.ABSORBED}
    if line.settlement not in expected:
        yield f"{name}: {line.settlement}, not {min(expected)}"
    if line.fault == Fault.STATUS and call.script.status < 400:
        yield f"{name}: a fault of status without such a status"


def _left_with(facts: Facts) -> int:
    """The attempt that a caller left: the first of those that lived then; 0 where it did not leave, or none did."""
    history = facts.history
    left_at = history.client.left_at
    if left_at is None or facts.has_end:
        return 0
    if history.held:
        return next((n for n, call in enumerate(history.calls, 1) if call is not None and n not in facts.noted), 0)
    newest = facts.parts[-1].attempt if facts.parts else 0
    for number, call in enumerate(history.calls, start=1):
        if call is None or number < newest or number in facts.noted:
            continue  # it has failed, or another one has outrun it, or gone on with it
        is_frozen = any(each.attempt == number and not each.thaws for each in facts.frozen)
        if is_frozen or (call.over_at == left_at and call.how == "cancelled"):
            return number
    return 0


# -- 3: attempts -----------------------------------------------------------------------------------------


def check_attempts(facts: Facts) -> Iterator[str]:
    """Attempts are at most two at once, end with the exchange, and ask for what the caller asked for."""
    history = facts.history
    client = history.client
    if client.finishes != 1 or client.finished_at is None:
        yield f"the answer ended {client.finishes} times"
        return
    for made in facts.opened:
        live = facts.beside[made.number]
        if len(live) > 1:
            yield f"attempts {live} were under way when attempt {made.number} began"
    for number, call in enumerate(history.calls, start=1):
        if call is None:
            continue
        if not call.is_over:
            yield f"attempt {number} ({call.script.name}) outlived its exchange"
        elif call.over_at > client.finished_at:
            yield f"attempt {number} ended after its exchange"
        yield from _check_request(history, call, facts.opened[number - 1].slot)
    if client.left_at is not None and client.finished_at != client.left_at:
        yield "the exchange outlived its caller"


def check_places(facts: Facts) -> Iterator[str]:
    """A place at an endpoint is taken as long as an attempt lives there: who was outrun makes room at once."""
    places = zip(facts.history.taken, facts.lived, strict=True) if not facts.plan.is_fan else ()
    for number, (taken, lived) in enumerate(places):
        if taken != lived:
            yield f"{taken} places are taken before step {number}, and {lived} attempts live"
            return


def _check_request(history: History, call: Call, slot: int) -> Iterator[str]:
    plan, order = history.plan, history.order
    keys = plan.fleet.keys.get(call.endpoint.provider, 0)
    if order is not None and keys:
        number = order.credentials[slot] if order.credentials else 0
        secret = f"{call.endpoint.provider}-key-{number}".encode()
        if call.head.count(b"-key-") != 1 or secret not in call.head:
            yield f"key {number} of {keys} is not in {call.head!r}"
    elif b"-key-" in call.head:
        yield f"a key that nobody gave: {call.head!r}"
    if plan.is_mixed:
        yield from check_asked(history, call)
        return
    body = load(call.request)
    if call.prefix:
        body["messages"].pop()
    expected: dict[str, Any] = {**plan.request, "model": call.endpoint.upstream_model}
    for name in ("session_id", "provider"):
        expected.pop(name, None)
    if plan.streams_up:
        expected["stream"] = True
        expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
    if call.resumes:
        # In the gateway's own words, which say the same of what decides about the answer.
        for name in ("max_tokens", "max_completion_tokens", "metadata"):
            expected.pop(name, None)
            body.pop(name, None)
    if body != expected:
        yield f"the provider was asked {call.request!r}, which is not {expected}"


def check_commands(facts: Facts) -> Iterator[str]:
    """At most one head and one end; nothing for the caller after the end."""
    history = facts.history
    shown = [command for command in history.commands if isinstance(command, _SHOWN)]
    heads = sum(isinstance(command, c.SendHead) for command in shown)
    ends = [n for n, command in enumerate(shown) if isinstance(command, c.SendEnd | c.SendError)]
    if heads > 1 or (heads and isinstance(shown[0], c.SendBytes)):
        yield f"{heads} heads"
    if len(ends) > 1 or (ends and ends[0] != len(shown) - 1):
        yield "something came after the end"
    if not ends and history.client.left_at is None and history.steps:
        yield "no end, though the caller waits"
    if history.client.wrote_after_end:
        yield "bytes were written after the end"


_SHOWN: Final = (c.SendHead, c.SendBytes, c.SendEnd, c.SendError)


CHECKS: Final[tuple[Callable[[Facts], Iterator[str]], ...]] = (
    check_ledger,
    check_limits,
    check_money,
    check_attempts,
    check_places,
    check_commands,
    check_order,
    check_splices,
    check_answer,
    check_deadlines,
    check_early,
    check_speed,
    check_retries,
    check_promises,
)
