"""An answer that went on at another endpoint: that the caller has the exact text so far, and its continuation.

1. A continuation was asked for exactly what the caller had, but for white space at its end, of an endpoint that can do
   that; where the caller had seen nothing, of any, from the beginning.
2. What the caller has is what it had, and what the second provider said behind it: without white space that it has
   already, and without what a provider repeats of the text that it was given.
3. Nothing but text is ever gone on with: no call, no thought, no answer that has a form.
4. While an attempt is frozen the caller gets nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.client import Answer
from tests.simulation.facts import Facts, Said, joined
from tests.simulation.heard import check_told
from tests.simulation.voices.base import TEXT, THOUGHT
from tokenway.metering.ledger import Settled
from tokenway.model.preferences import Rescue


def check_spliced(facts: Facts, answer: Answer, settled: Settled | None) -> Iterator[str]:
    """A stream of several parts; `settled` is given where it ended."""
    plan, history = facts.plan, facts.history
    heard = facts.hear(answer.body)
    yield from _check_parts(facts, heard)
    if settled is None:
        if heard.ending and not plan.voice.ends_with_body:
            yield f"the caller left after the end ({heard.ending}), or the ledger does not know of it"
        return
    if not heard.ending:
        yield "a stream that ends with neither mark nor error"
    elif (heard.ending == "whole") is not (settled.error_type == ""):
        yield f"the caller has seen {heard.ending}, the record says '{settled.error_type}'"
    if heard.ending == "whole" and plan.is_mixed:
        query = plan.asked.query if plan.asked is not None else b""
        yield from check_told(history, plan.voice.hear(answer.body, query), facts.line())


def _check_parts(facts: Facts, heard: Said) -> Iterator[str]:
    """Each part goes on where the one before it ended."""
    plan = facts.plan
    before: dict[str, str] = {}
    for number, part in enumerate(facts.parts):
        is_last = number + 1 == len(facts.parts)
        after = heard if is_last else facts.heard(facts.parts[number + 1].written)
        call = facts.call_of(part.attempt)
        if call is None:
            yield "an answer from an attempt that was never made"
            return
        said = call.reading.said
        expected = joined(before, said, ended=True) if number else said
        for kind, text in after.texts.items():
            if not expected.get(kind, "").startswith(text):
                yield f"part {number}: the caller read the {kind} {text!r}, and {expected.get(kind)!r} is right"
        if is_last and after.ending == "whole":
            expected = {kind: text for kind, text in expected.items() if text}
            if after.texts not in (expected, {kind: text for kind, text in expected.items() if kind != THOUGHT}):
                yield f"the caller read {after.texts}, and {expected} is right"
            if not call.reading.is_whole:
                yield f"a truncated answer ({call.script.name}) looks whole"
        if number == 0 and not plan.crosses(call.endpoint):
            got = facts.body(facts.parts[1].written)
            sent = b"".join(call.reading.forwarded)
            if not plan.voice.hears_arrays and not sent.startswith(got):
                yield f"the caller had {got!r}, the provider sent {sent!r}"
        before = after.texts


def check_splices(facts: Facts) -> Iterator[str]:
    """What continuations were asked for, and when."""
    history, plan = facts.history, facts.plan
    for made in facts.opened:
        call = facts.call_of(made.number)
        if made.resumes:
            yield from _check_resumed(facts, made.number, made.place)
        elif history.written[made.place]:
            yield f"attempt {made.number} begins anew behind the beginning of an answer"
        elif call is not None and call.prefix:
            yield f"attempt {made.number} was asked to go on with {call.prefix!r}, and nothing had begun"
    for each in facts.frozen:
        if each.written != each.written_after:
            yield f"attempt {each.attempt} was frozen, and {each.written_after - each.written} pieces were sent"
        if plan.fleet.rescue is not Rescue.ON:
            yield f"attempt {each.attempt} was frozen, which nobody wants"


def _check_resumed(facts: Facts, number: int, place: int) -> Iterator[str]:
    """One continuation."""
    plan, call = facts.plan, facts.call_of(number)
    if plan.fleet.rescue is Rescue.OFF:
        yield f"attempt {number} goes on with an answer, which nobody wants"
    shown = facts.shown(place)
    if shown == "other":
        yield f"attempt {number} goes on with more than text: {facts.heard(facts.history.written[place]).texts}"
        return
    text = facts.heard(facts.history.written[place]).texts.get(TEXT, "")
    endpoint = facts.history.attempt_endpoints[number - 1]
    if text.strip() and not endpoint.capabilities.prefill:
        yield f"attempt {number} is to go on with a text at {endpoint.id}, which cannot do that"
    if call is not None and call.prefix != text.rstrip():
        yield f"attempt {number} was asked to go on with {call.prefix!r}, and the caller has {text!r}"
