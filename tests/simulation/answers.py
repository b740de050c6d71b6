"""What the caller got, read strictly and compared with what the provider sent: invariants 2 and 5."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tests.simulation.client import Answer, load, parse_answer, parse_events, texts_of
from tests.simulation.facts import Facts
from tests.simulation.heard import check_cost, check_heard, check_heard_whole
from tests.simulation.splices import check_spliced
from tokenway.exchange import commands as c
from tokenway.metering.ledger import Settled

DONE = "[DONE]"
GONE = 499


def check_answer(facts: Facts) -> Iterator[str]:
    """The caller has one complete answer or one well-formed error; or it left, and has the beginning of one."""
    client, plan = facts.history.client, facts.plan
    is_over = client.left_at is None and not client.aborted
    answer = parse_answer(b"".join(client.writes), closed=is_over)
    settled = facts.settled
    if is_over and not answer.complete:
        yield "the answer has no end"
        return
    if not is_over:
        if settled is not None and settled.status != GONE:
            yield f"the caller left, and the record says {settled.status}"
        if plan.stream and answer.status == 200:
            yield from _check_streamed(facts, answer, None)
        return
    if settled is not None and settled.status != answer.status:
        yield f"the caller saw {answer.status}, the record says {settled.status}"
    yield from _check_head(facts, answer)
    yield from _check_no_loss(facts, answer)
    if answer.status != 200:
        yield from _check_error(facts, answer)
        if b"by a mistake of its own" in answer.body:
            yield "the gateway made a mistake in taking in the request"
    elif settled is None:
        yield "an answer without a settlement"
    elif plan.stream:
        yield from _check_streamed(facts, answer, settled)
    elif plan.is_mixed:
        yield from check_heard_whole(facts, answer)
    elif plan.gathers:
        yield from _check_gathered(facts, answer)
    else:
        yield from _check_whole(facts, answer)


def _check_streamed(facts: Facts, answer: Answer, settled: Settled | None) -> Iterator[str]:
    """A stream, of one part or several; `settled` is given where it ended."""
    if len(facts.parts) > 1:
        yield from check_spliced(facts, answer, settled)
    elif facts.plan.is_mixed:
        yield from check_heard(facts, answer, settled)
    elif settled is None:
        yield from _check_beginning(facts, answer)
    else:
        yield from _check_stream(facts, answer)


def _check_head(facts: Facts, answer: Answer) -> Iterator[str]:
    """The head tells how many attempts there were when it was sent."""
    history = facts.history
    made = len(history.calls)
    if facts.parts and facts.plan.stream:
        place = next(n for n, step in enumerate(history.steps) if any(isinstance(each, c.SendHead) for each in step[2]))
        made = sum(each.place <= place for each in facts.opened)
    if answer.headers.get("x-tokenway-attempts", "0") != str(made):
        yield f"{answer.headers.get('x-tokenway-attempts')} attempts in the head, {made} made"


def _check_beginning(facts: Facts, answer: Answer) -> Iterator[str]:
    """What a caller that left has is the beginning of the provider's events."""
    if not answer.body:
        return
    events = parse_events(answer.body)
    if DONE in events and not facts.history.client.aborted:
        yield "the caller left after the end"
    if DONE in events and facts.history.client.aborted:
        yield "the caller saw the end, and the ledger does not know"
    forwarded = b"".join(facts.call.reading.forwarded)
    if not forwarded.startswith(answer.body):
        yield f"the caller has {answer.body!r}, the provider sent {forwarded!r}"


def _check_no_loss(facts: Facts, answer: Answer) -> Iterator[str]:
    """A provider's complete answer reaches the caller: it is neither retried nor turned into an error."""
    history = facts.history
    for number, call in enumerate(history.calls, start=1):
        if facts.frozen_call(number) is not None:
            continue  # it ended while another went on with it
        if call is None or call.how not in {"end", "fail", "finished early"}:
            continue
        is_whole = call.reading.is_whole if call.script.items else bool(call.script.answer) and call.how == "end"
        if is_whole and not (facts.has_end and number == facts.answering and answer.status == 200):
            yield f"attempt {number} ({call.script.name}) gave a whole answer that nobody got"


def _check_error(facts: Facts, answer: Answer) -> Iterator[str]:
    """An error answer is one of the dialect: the gateway's own, or the upstream's as it came."""
    if answer.headers.get("content-type") != "application/json":
        yield "an error of another type"
    history = facts.history
    call = facts.call_of(facts.answering) if history.calls else None
    passes = call is not None and not history.plan.crosses(call.endpoint)
    if call is not None and passes and call.script.error_body and answer.body == call.script.error_body:
        if answer.status != call.script.status:
            yield f"the upstream's own error with status {answer.status}"
        return
    history.plan.voice.hear_error(answer.body)
    if answer.headers.get("x-should-retry") not in {"true", "false"}:
        yield "an error that does not say whether a retry helps"


def _check_stream(facts: Facts, answer: Answer) -> Iterator[str]:
    """A stream: the provider's events, then what the gateway adds."""
    history, call = facts.history, facts.call
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
            yield from _check_usage_event(facts, chunks[-1])
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


def _check_usage_event(facts: Facts, chunk: Any) -> Iterator[str]:
    """The chunk before the end mark says what the answer took."""
    line = facts.line()
    if chunk["choices"] != [] or chunk["tokenway"]["attempts"] != len(facts.history.calls):
        yield f"not a last chunk: {chunk}"
    usage = chunk["usage"]
    if line.usage is None:
        if usage and "cost" in usage:
            yield "a cost without a count that can be believed"
        return
    if (usage["prompt_tokens"], usage["completion_tokens"]) != (line.usage.input_tokens, line.usage.output_tokens):
        yield f"the caller was told {usage}, the provider told {line.usage}"
    if line.cost is not None:  # else a cost there is the provider's own, passed on as it came
        yield from check_cost(usage.get("cost"), line, facts.history.plan.markup)


def _check_gathered(facts: Facts, answer: Answer) -> Iterator[str]:
    """An answer in one object that came as a stream: it says what the stream said."""
    reading, line = facts.call.reading, facts.line()
    if not reading.is_whole:
        yield f"a truncated answer ({facts.call.script.name}) looks whole"
    got = load(answer.body)
    [choice] = got["choices"]
    message = choice.get("message", choice)
    name = "text" if "message" not in choice else "content"
    said = {"text": message.get(name) or "", "thought": message.get("reasoning_content") or ""}
    if {kind: text for kind, text in said.items() if text} != reading.said:
        yield f"the caller read {said}, the provider said {reading.said}"
    if not isinstance(choice["finish_reason"], str):
        yield "no finish reason"
    if line.usage is not None:
        usage = got["usage"]
        if (usage["prompt_tokens"], usage["completion_tokens"]) != (line.usage.input_tokens, line.usage.output_tokens):
            yield f"the caller was told {usage}, the provider told {line.usage}"
        yield from check_cost(usage.get("cost"), line, facts.history.plan.markup)


def _check_whole(facts: Facts, answer: Answer) -> Iterator[str]:
    """An answer in one object: the provider's, with the cost in its usage."""
    call = facts.call
    if not call.script.answer:
        yield f"not an answer ({call.script.name}): {answer.body!r}"
        return
    line = facts.line()
    got, sent = load(answer.body), load(call.script.answer)
    if line.cost is not None:
        yield from check_cost(got["usage"].pop("cost"), line, facts.history.plan.markup)
        yield from check_cost(answer.headers.get("x-tokenway-cost"), line, facts.history.plan.markup)
        parts = got["usage"].pop("cost_details")
        told = [parts[f"upstream_inference_{name}cost"] for name in ("", "prompt_", "completions_")]
        whole, *halves = (round(Decimal(str(each)) * 10**9) for each in told)
        if whole != sum(halves):
            yield f"told {whole}, which is not {halves}"
        sent["usage"].pop("cost", None)
        sent["usage"].pop("cost_details", None)
    elif answer.body != call.script.answer:
        yield "the bytes of the answer changed"
    if got != sent:
        yield f"the caller has {answer.body!r}, the provider sent {call.script.answer!r}"
