"""What the caller got, read strictly and compared with what the provider sent: invariants 2 and 5."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.simulation.client import Answer, load, parse_answer, parse_events, texts_of
from tests.simulation.heard import check_cost, check_heard, check_heard_whole
from tests.simulation.provider import Call
from tests.simulation.world import History
from tokenway.exchange import commands as c
from tokenway.metering.ledger import Settled

DONE = "[DONE]"
GONE = 499


def check_answer(history: History) -> Iterator[str]:
    """The caller has one complete answer or one well-formed error; or it left, and has the beginning of one."""
    client, plan = history.client, history.plan
    is_over = client.left_at is None and not client.aborted
    answer = parse_answer(b"".join(client.writes), closed=is_over)
    settled = next((record for record in history.records if isinstance(record, Settled)), None)
    if is_over and not answer.complete:
        yield "the answer has no end"
        return
    if not is_over:
        if settled is not None and settled.status != GONE:
            yield f"the caller left, and the record says {settled.status}"
        if plan.stream and answer.status == 200:
            check = check_heard if plan.is_mixed else _check_beginning
            yield from check(history, answer)
        return
    if settled is not None and settled.status != answer.status:
        yield f"the caller saw {answer.status}, the record says {settled.status}"
    if answer.headers.get("x-tokenway-attempts", "0") != str(len(history.calls)):
        yield f"{answer.headers.get('x-tokenway-attempts')} attempts in the head, {len(history.calls)} made"
    yield from _check_no_loss(history, answer)
    if answer.status != 200:
        yield from _check_error(history, answer)
    elif settled is None:
        yield "an answer without a settlement"
    elif plan.is_mixed:
        yield from (check_heard if plan.stream else check_heard_whole)(history, answer, settled)
    elif plan.stream:
        yield from _check_stream(history, answer, settled)
    else:
        yield from _check_whole(history, answer, settled)


def _last(history: History) -> Call:
    call = history.calls[-1]
    if call is None:
        raise AssertionError("an answer from an attempt that was never made")
    return call


def _check_beginning(history: History, answer: Answer) -> Iterator[str]:
    """What a caller that left has is the beginning of the provider's events."""
    if not answer.body:
        return
    events = parse_events(answer.body)
    if DONE in events and not history.client.aborted:
        yield "the caller left after the end"
    if DONE in events and history.client.aborted:
        yield "the caller saw the end, and the ledger does not know"
    forwarded = b"".join(_last(history).reading.forwarded)
    if not forwarded.startswith(answer.body):
        yield f"the caller has {answer.body!r}, the provider sent {forwarded!r}"


def _check_no_loss(history: History, answer: Answer) -> Iterator[str]:
    """A provider's complete answer reaches the caller: it is neither retried nor turned into an error."""
    has_end = any(isinstance(command, c.SendEnd) for command in history.commands)
    for number, call in enumerate(history.calls, start=1):
        if call is None or call.how not in {"end", "fail", "finished early"}:
            continue
        is_whole = call.reading.is_whole if call.script.items else bool(call.script.answer) and call.how == "end"
        if is_whole and not (has_end and number == len(history.calls) and answer.status == 200):
            yield f"attempt {number} ({call.script.name}) gave a whole answer that nobody got"


def _check_error(history: History, answer: Answer) -> Iterator[str]:
    """An error answer is one of the dialect: the gateway's own, or the upstream's as it came."""
    if answer.headers.get("content-type") != "application/json":
        yield "an error of another type"
    call = history.calls[-1] if history.calls else None
    passes = call is not None and not history.plan.crosses(call.endpoint)
    if call is not None and passes and call.script.error_body and answer.body == call.script.error_body:
        if answer.status != call.script.status:
            yield f"the upstream's own error with status {answer.status}"
        return
    history.plan.voice.hear_error(answer.body)
    if answer.headers.get("x-should-retry") not in {"true", "false"}:
        yield "an error that does not say whether a retry helps"


def _check_stream(history: History, answer: Answer, settled: Settled) -> Iterator[str]:
    """A stream: the provider's events, then what the gateway adds."""
    call = _last(history)
    reading = call.reading
    events = parse_events(answer.body)
    forwarded = b"".join(reading.forwarded)
    if events and events[-1] == DONE:
        if events.count(DONE) > 1:
            yield "more than one end mark"
        if not reading.is_whole:
            yield f"a truncated answer ({call.script.name}) looks whole"
        chunks = [load(event) for event in events[:-1]]
        if texts_of(chunks) != reading.texts:
            yield f"the caller read {texts_of(chunks)}, the provider sent {reading.texts}"
        tail = b"data: [DONE]\n\n"
        if history.plan.asks_usage:
            yield from _check_usage_event(history, chunks[-1], settled)
            at = answer.body.rfind(b"data: ", 0, -len(tail))
            tail = answer.body[at:]
        if answer.body != forwarded + tail:
            yield f"the caller has {answer.body!r}, the provider sent {forwarded!r}"
        return
    if not events or DONE in events:
        yield "a stream without an end"
        return
    error = load(events[-1]).get("error")
    if not error:
        yield "a stream that ends with neither mark nor error"
    at = answer.body.rfind(b"data:")
    if not forwarded.startswith(answer.body[:at].removesuffix(b"\xef\xbb\xbf")):
        yield f"the caller has {answer.body!r}, the provider sent {forwarded!r}"
    if reading.ending == "error" and answer.body[:at] != forwarded:
        yield "events before the upstream's error are lost"


def _check_usage_event(history: History, chunk: Any, settled: Settled) -> Iterator[str]:
    """The chunk before the end mark says what the answer took."""
    line = settled.lines[-1]
    if chunk["choices"] != [] or chunk["tokenway"]["attempts"] != len(history.calls):
        yield f"not a last chunk: {chunk}"
    usage = chunk["usage"]
    if line.usage is None:
        if usage and "cost" in usage:
            yield "a cost without a count that can be believed"
        return
    if (usage["prompt_tokens"], usage["completion_tokens"]) != (line.usage.input_tokens, line.usage.output_tokens):
        yield f"the caller was told {usage}, the provider told {line.usage}"
    if line.cost is not None:  # else a cost there is the provider's own, passed on as it came
        yield from check_cost(usage.get("cost"), line)


def _check_whole(history: History, answer: Answer, settled: Settled) -> Iterator[str]:
    """An answer in one object: the provider's, with the cost in its usage."""
    call = _last(history)
    if not call.script.answer:
        yield f"not an answer ({call.script.name}): {answer.body!r}"
        return
    line = settled.lines[-1]
    got, sent = load(answer.body), load(call.script.answer)
    if line.cost is not None:
        yield from check_cost(got["usage"].pop("cost"), line)
        yield from check_cost(answer.headers.get("x-tokenway-cost"), line)
        del got["usage"]["cost_details"]
        sent["usage"].pop("cost", None)
        sent["usage"].pop("cost_details", None)
    elif answer.body != call.script.answer:
        yield "the bytes of the answer changed"
    if got != sent:
        yield f"the caller has {answer.body!r}, the provider sent {call.script.answer!r}"
