"""What the caller of a mixed history got, heard strictly in its own dialect and compared with what the provider said.

A stream that stays in its dialect is compared byte by byte as well, up to the events that may be kept back; what is
translated is compared by what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

from tests.simulation.client import Answer, load
from tests.simulation.facts import Facts
from tests.simulation.provider import Call
from tests.simulation.voices.base import CALL, Heard
from tests.simulation.world import History
from tokenway.metering.ledger import Line, Settled


def check_asked(history: History, call: Call) -> Iterator[str]:
    """A provider was asked in its own dialect for what the caller asked for in another, or got the caller's bytes."""
    plan = history.plan
    voice = plan.voice_of(call.endpoint)
    body = load(call.request)
    if call.prefix:
        body[voice.turns].pop()
    model, text, stream = voice.asked(call.head, body)
    if (model, text, stream) != (call.endpoint.upstream_model, plan.text, plan.streams_up):
        yield f"the provider was asked {call.head!r} {call.request!r}"
    if not plan.crosses(call.endpoint) and not call.resumes:
        expected = dict(plan.request)
        expected.pop("provider", None)
        if plan.gathers and "stream" in body:
            expected["stream"] = True
        if "model" in expected:
            expected["model"] = call.endpoint.upstream_model
        if "stream_options" in body:
            expected["stream_options"] = {**(expected.get("stream_options") or {}), "include_usage": True}
        if body != expected:
            yield f"the provider was asked {call.request!r}, which is not {expected}"


def check_heard(facts: Facts, answer: Answer, settled: Settled | None = None) -> Iterator[str]:
    """A stream is the beginning of a valid one that says what the provider said; `settled` is given where it ended."""
    history, plan, call = facts.history, facts.plan, facts.call
    if not answer.body and settled is None:
        return
    reading, crosses = call.reading, plan.crosses(call.endpoint)
    heard = plan.voice.hear(answer.body, plan.asked.query if plan.asked is not None else b"")
    whole: dict[str, str] | None = {} if heard.ending == "whole" else None
    if heard.ending == reading.ending == "error":
        # Everything before the error is there, but for a call that cannot be said before it is complete.
        whole = {CALL: ""} if plan.voice.says_calls_whole else {}
    yield from _check_texts(heard, reading.texts, whole)
    if not crosses and answer.body:
        yield from _check_bytes(history, call, answer, heard)
    if settled is None:
        if heard.ending and (crosses or not plan.voice.ends_with_body):
            yield f"the caller left after the end ({heard.ending}), or the ledger does not know of it"
        elif heard.ending and reading.is_whole and answer.body.endswith(reading.held[-1]):
            yield "the caller has the last event, and the ledger does not know"
        return
    if not heard.ending:
        yield f"a stream ({call.script.name}) that ends with neither mark nor error"
    elif (heard.ending == "whole") is not (settled.error_type == ""):
        yield f"the caller has seen {heard.ending}, the record says '{settled.error_type}'"
    if heard.ending == "whole":
        if not reading.is_whole:
            yield f"a truncated answer ({call.script.name}) looks whole"
        yield from check_told(history, heard, facts.line())


def _check_texts(heard: Heard, said: dict[Any, str], whole: dict[str, str] | None) -> Iterator[str]:
    """What was heard is the beginning of what was said, or all of it but for the kinds in `whole`, if that is given."""
    for kind, text in heard.texts.items():
        if not said.get(kind, "").startswith(text):
            yield f"the caller read the {kind} {text!r}, the provider said {said.get(kind)!r}"
    if whole is not None and {**heard.texts, **whole} != {**said, **whole}:
        yield f"the caller read {heard.texts}, the provider said {said}"


def _check_bytes(history: History, call: Call, answer: Answer, heard: Heard) -> Iterator[str]:
    """A stream that is not translated has the provider's own events."""
    asked = history.plan.asked
    if asked is not None and asked.query != b"alt=sse" and history.plan.voice.hears_arrays:
        return
    reading = call.reading
    forwarded = b"".join(reading.forwarded)
    if heard.ending == "whole":
        if not answer.body.startswith(forwarded):
            yield f"the caller has {answer.body!r}, the provider sent {forwarded!r}"
        return
    got = answer.body[: heard.last_at] if heard.ending else answer.body
    if not (forwarded + b"".join(reading.held)).startswith(got):
        yield f"the caller has {got!r}, the provider sent {forwarded!r}"


def check_heard_whole(facts: Facts, answer: Answer) -> Iterator[str]:
    """An answer in one object says what the provider's said, which may have been a stream."""
    history, plan, call = facts.history, facts.plan, facts.call
    if not (call.reading.is_whole if plan.gathers else call.script.answer):
        yield f"not an answer: {answer.body!r}"
        return
    heard = plan.voice.hear_whole(answer.body)
    yield from _check_texts(heard, call.reading.said if plan.gathers else call.script.said, {})
    yield from check_told(history, heard, facts.line())
    line = facts.line()
    if line.cost is not None:
        yield from check_cost(answer.headers.get("x-tokenway-cost"), line, facts.history.plan.markup)
    passes = not plan.crosses(call.endpoint) and not plan.gathers
    if passes and not plan.voice.tells_cost and answer.body != call.script.answer:
        yield "the bytes of the answer changed"


def check_told(history: History, heard: Heard, line: Line) -> Iterator[str]:
    """The count that the caller was told is the provider's, with its cost where the dialect has room for it."""
    plan = history.plan
    if line.usage is None or (plan.stream and not plan.asks_usage):
        return
    if heard.usage != (line.usage.input_tokens, line.usage.output_tokens):
        yield f"the caller was told {heard.usage}, the provider told {line.usage}"
    if plan.voice.tells_cost and line.cost is not None:
        yield from check_cost(heard.cost, line, plan.markup)


def check_cost(told: Any, line: Line, markup: int) -> Iterator[str]:
    """What was told is what is charged for what was entered."""
    if (told is None) is not (line.cost is None):
        yield f"told a cost of {told}, entered {line.cost}"
    elif (
        told is not None and line.cost is not None and abs(Decimal(str(told)) * 10**9 - marked(line.cost, markup)) >= 1
    ):
        yield f"told a cost of {told}, entered {line.cost} with {markup} on top"


def marked(cost: int, markup: int) -> int:
    """What is charged for a cost, rounded half up."""
    return floor(Fraction(cost * (1_000_000 + markup), 1_000_000) + Fraction(1, 2))
