"""Two turns with thoughts and a tool, for every caller's dialect and every vendor: whose signature goes to whom.

A model of the vendor answers with a signed thought and a call of a tool; the caller sends that answer back with the
tool's result, in its own dialect, whole or put together from the stream. The vendor gets its signature back unchanged,
and no other vendor is shown it. Claude on Bedrock and at Anthropic is one vendor; OpenRouter's chat takes everybody's.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.golden.build import ANSWERS, CALLER_MODEL, CREATED, IN_PATH, suffix
from tokenway.dialects.base import Maker, Upstream
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.seal import MARKS
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect, Operation, Quirks
from tokenway.model.event import fold

A, B, G, C, R = Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.GEMINI, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES

UPSTREAMS: Final = {
    A: Upstream("claude-sonnet-4-5"),
    B: Upstream("us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    G: Upstream("gemini-3-pro-preview"),
    C: Upstream("anthropic/claude-sonnet-4.5", quirks=Quirks(reasoning_field="reasoning_details")),
    R: Upstream("gpt-5"),
}
OF_THOUGHT: Final = "RmFrZVNpZ25hdHVyZU9mUmVhc29uaW5n"
OF_CALL: Final = "RmFrZVNpZ25hdHVyZU9mQ2FsbA=="
SIGNED: Final = {A: (OF_THOUGHT,), B: (OF_THOUGHT,), R: (OF_THOUGHT,), G: (OF_CALL,)}
"""The signatures in the answers of `tests/golden/cases/answers/*/reasoning-tools`, which none of the vendors shares."""
KIN: Final = {A: {A, B}, B: {A, B}, R: {R}, G: {G}}
ASKED: Final = "What is the weather?"
TOLD: Final = "21 degrees"
SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}}


def first(dialect: Dialect) -> dict[str, Any]:
    """The first turn's request."""
    requests: dict[Dialect, dict[str, Any]] = {
        A: {
            "model": CALLER_MODEL,
            "max_tokens": 9000,
            "messages": [{"role": "user", "content": ASKED}],
            "thinking": {"type": "enabled", "budget_tokens": 2000},
            "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
        },
        B: {
            "messages": [{"role": "user", "content": [{"text": ASKED}]}],
            "toolConfig": {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]},
        },
        G: {
            "contents": [{"role": "user", "parts": [{"text": ASKED}]}],
            "tools": [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": SCHEMA}]}],
        },
        C: {
            "model": CALLER_MODEL,
            "messages": [{"role": "user", "content": ASKED}],
            "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}],
        },
        R: {
            "model": CALLER_MODEL,
            "input": [{"role": "user", "content": ASKED}],
            "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA}],
            "store": False,
        },
    }
    return requests[dialect]


def second(dialect: Dialect, answer: dict[str, Any]) -> dict[str, Any]:
    """The next request of a client that keeps what the model said as it came."""
    return {"anthropic": _messages, "bedrock": _converse, "gemini": _contents, "openai_chat": _chat}.get(
        dialect.value, _items
    )(first(dialect), answer)


def _messages(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    call = next(block["id"] for block in answer["content"] if block["type"] == "tool_use")
    request["messages"] += [
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": TOLD}]},
    ]
    return request


def _converse(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    said = answer["output"]["message"]
    call = next(block["toolUse"]["toolUseId"] for block in said["content"] if "toolUse" in block)
    result = {"toolResult": {"toolUseId": call, "content": [{"text": TOLD}]}}
    request["messages"] += [said, {"role": "user", "content": [result]}]
    return request


def _contents(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    said = answer["candidates"][0]["content"]
    call = next(part["functionCall"] for part in said["parts"] if "functionCall" in part)
    result = {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": TOLD}}}
    request["contents"] += [said, {"role": "user", "parts": [result]}]
    return request


def _chat(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    said = answer["choices"][0]["message"]
    request["messages"] += [said, {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": TOLD}]
    return request


def _items(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    call = next(item["call_id"] for item in answer["output"] if item["type"] == "function_call")
    request["input"] += [*answer["output"], {"type": "function_call_output", "call_id": call, "output": TOLD}]
    return request


def parsed(dialect: Dialect, body: dict[str, Any], *, stream: bool) -> Any:
    """A request as the gateway reads it."""
    if stream and dialect not in IN_PATH:
        body = {**body, "stream": True}
    name = CALLER_MODEL if dialect in IN_PATH else ""
    return FORMATS[dialect].parse(Operation.CHAT, json.dumps(body).encode(), name, stream)


def whole(caller: Dialect, vendor: Dialect) -> dict[str, Any]:
    """The vendor's answer as the caller gets it."""
    maker = Maker("gen-1", CALLER_MODEL, CREATED, parsed(caller, first(caller), stream=False))
    body = (ANSWERS / vendor / "reasoning-tools.json").read_bytes()
    if caller is vendor:
        return dict(json.loads(body))
    return dict(json.loads(translate_answer(FORMATS[vendor], FORMATS[caller], body, maker)[1]))


def streamed(caller: Dialect, vendor: Dialect) -> dict[str, Any]:
    """The same, put together from the stream."""
    maker = Maker("gen-1", CALLER_MODEL, CREATED, parsed(caller, first(caller), stream=True))
    body = (ANSWERS / vendor / f"reasoning-tools.{suffix(vendor)}").read_bytes()
    form = FORMATS[caller]
    if caller is not vendor:
        translation = Translation(FORMATS[vendor], form, maker)
        body = translation.feed(body, 0.0) + translation.finish() + translation.tail(b"", b"")
    reader, framing = form.reader(), form.framing()
    frames = [*framing.feed(body), *framing.rest()]
    events = [event for frame in frames if frame for event in reader.read(frame)]
    return dict(json.loads(form.write_answer(fold([*events, *reader.end()]), maker)))


CALLERS_AND_VENDORS = [pytest.param(caller, vendor, id=f"{caller}-{vendor}") for caller in Dialect for vendor in SIGNED]


@pytest.mark.parametrize("answered", [whole, streamed])
@pytest.mark.parametrize(("caller", "vendor"), CALLERS_AND_VENDORS)
def test_a_signature_goes_back_to_its_vendor_and_to_nobody_else(
    caller: Dialect, vendor: Dialect, answered: Callable[[Dialect, Dialect], dict[str, Any]]
) -> None:
    """What the vendor signed is in the next request to it, and in no request to another."""
    again = parsed(caller, second(caller, answered(caller, vendor)), stream=False).neutral()
    for upstream, to in UPSTREAMS.items():
        written = FORMATS[upstream].write_request(again, to)
        has = [signature for signature in SIGNED[vendor] if signature.encode() in written.body]
        if upstream in KIN[vendor] or upstream is C:
            assert has == [*SIGNED[vendor]], f"{upstream} is not given what {vendor} signed"
        else:
            hidden = [base64.b64encode(signature.encode()) for signature in SIGNED[vendor]]
            assert not has, f"{upstream} is shown {vendor}'s"
            assert not any(each in written.body for each in hidden), f"{upstream} is shown {vendor}'s"
            assert "reasoning" in written.dropped
        assert not any(mark[1:] in written.body for mark in MARKS)
