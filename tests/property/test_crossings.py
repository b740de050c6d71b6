"""What crossing from one dialect into another must not break: requests that one vendor takes and another refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.property.crossing import crossed
from tests.replay import shapes
from tokenway.model.catalog import Dialect
from tokenway.model.errors import Refusal

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect

TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
STRICT_OPENERS = (ANTHROPIC, BEDROCK)


@pytest.mark.parametrize("upstream", [ANTHROPIC, GEMINI, BEDROCK])
def test_instructions_alone_are_answered_everywhere(upstream: Dialect) -> None:
    """OpenAI answers a request that has nothing but a system message, so it goes to others as the user's word."""
    written = crossed(CHAT, {"messages": [{"role": "system", "content": "Say hello."}]}, upstream)
    shapes.check(upstream, written.body)
    assert written.body.count(b"Say hello.") == 1
    assert written.dropped == ()


@pytest.mark.parametrize("upstream", STRICT_OPENERS)
def test_instructions_open_what_the_model_begins(upstream: Dialect) -> None:
    """Gemini takes a conversation that begins with the model's call; elsewhere the instructions come before it."""
    body = {
        "systemInstruction": {"parts": [{"text": "Use the tool."}]},
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "4"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
    }
    written = crossed(GEMINI, body, upstream)
    shapes.check(upstream, written.body)
    assert "system" not in json.loads(written.body)


@pytest.mark.parametrize("upstream", STRICT_OPENERS)
def test_what_cannot_be_opened_is_refused(upstream: Dialect) -> None:
    """Without instructions nothing is made up: the caller is told, and where."""
    with pytest.raises(Refusal) as caught:
        crossed(CHAT, {"messages": [{"role": "assistant", "content": "Hello"}]}, upstream)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "messages")


def test_calls_of_two_turns_are_one_message_in_chat() -> None:
    """Anthropic takes two turns of the model's with a call each before the results; chat wants results at once."""
    body = {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "b", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                ],
            },
        ],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    }
    written = crossed(ANTHROPIC, body, CHAT)
    shapes.check(CHAT, written.body)
    messages = json.loads(written.body)["messages"]
    assert [each["role"] for each in messages] == ["user", "assistant", "tool", "tool"]
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["a", "b"]


def test_turns_of_the_model_without_calls_stay_apart_in_chat() -> None:
    """Nothing is owed between them, so nothing is joined."""
    messages = [{"role": "user", "content": "go"}, *({"role": "assistant", "content": text} for text in "ab")]
    written = crossed(ANTHROPIC, {"max_tokens": 9, "messages": messages}, CHAT)
    assert [each["content"] for each in json.loads(written.body)["messages"]] == ["go", "a", "b"]


def test_a_vendors_own_part_of_the_instructions_is_declared_by_gemini() -> None:
    """Anthropic's announcement of a tool in a system turn has no counterpart: dropped and named, not refused."""
    body = {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "well"},
            {"role": "system", "content": [{"type": "tool_addition", "tool_name": "f"}]},
            {"role": "user", "content": "on"},
        ],
    }
    written = crossed(ANTHROPIC, body, GEMINI)
    shapes.check(GEMINI, written.body)
    assert "tool_addition" in written.dropped


@pytest.mark.parametrize("upstream", [CHAT, RESPONSES, ANTHROPIC, GEMINI])
def test_a_place_in_s3_is_no_url_elsewhere(upstream: Dialect) -> None:
    """Only Bedrock reads Amazon's storage: others would be sent an address that means nothing to them."""
    image = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}}
    with pytest.raises(Refusal) as caught:
        crossed(BEDROCK, {"messages": [{"role": "user", "content": [{"text": "see"}, image]}]}, upstream)
    problem = caught.value.problem
    assert (problem.status, problem.code) == (400, "unsupported_media")
    assert (problem.param or "").startswith("messages[0].content[1]")


@pytest.mark.parametrize(
    ("caller", "body", "upstream", "name"),
    [
        (
            ANTHROPIC,
            {"role": "assistant", "content": [{"type": "compaction", "content": "so far"}]},
            RESPONSES,
            "compaction",
        ),
        (
            BEDROCK,
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t", "name": "n", "input": {}, "type": "server_tool_use"}}],
            },
            ANTHROPIC,
            "server_tool_use",
        ),
        (RESPONSES, {"type": "compaction", "encrypted_content": "x"}, ANTHROPIC, "compaction"),
    ],
)
def test_blocks_of_one_name_are_not_one_vendors(
    caller: Dialect, body: dict[str, Any], upstream: Dialect, name: str
) -> None:
    """Two vendors have a block of this name, in shapes of their own: neither is sent the other's."""
    before: dict[str, Any] = {"role": "user", "content": [{"text": "hi"}] if caller is BEDROCK else "hi"}
    turns = {"input" if caller is RESPONSES else "messages": [before, body, before]}
    written = crossed(caller, turns | ({"max_tokens": 9} if caller is ANTHROPIC else {}), upstream)
    assert name.encode() not in written.body
    assert name in written.dropped
