"""The neutral form of a request's input and of its fields."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.dialects.openai_responses.made import neutral, problem_of
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.request import (
    NO_JSON,
    Foreign,
    Message,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

CALL: dict[str, Any] = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
USER = Message(Role.USER, (Text("hi"),))


def messages(*items: dict[str, Any], **members: Any) -> tuple[Message, ...]:
    """The messages of an input with these items."""
    return neutral(input=list(items), **members).messages


def test_a_text_is_the_users_message() -> None:
    """And nothing that the caller did not say is said."""
    assert neutral() == Request("m", (USER,))


def test_instructions_are_the_first_message() -> None:
    """As a system message, before all others."""
    assert neutral(instructions="be kind").messages == (Message(Role.SYSTEM, (Text("be kind"),)), USER)


def test_instructions_may_be_items() -> None:
    """A response object tells them so, and callers send it back."""
    given = [{"role": "developer", "content": "be kind"}]
    assert neutral(instructions=given).messages == (Message(Role.DEVELOPER, (Text("be kind"),)), USER)


def test_roles_stand_where_the_caller_put_them() -> None:
    """With a type or without, content as a text or as parts."""
    found = messages(
        {"role": "system", "content": "a"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "c", "annotations": []}]},
        {"role": "developer", "content": "d"},
    )
    assert found == (
        Message(Role.SYSTEM, (Text("a"),)),
        Message(Role.USER, (Text("b"),)),
        Message(Role.ASSISTANT, (Text("c"),)),
        Message(Role.DEVELOPER, (Text("d"),)),
    )


def test_what_the_model_did_is_one_turn_and_its_tools_another() -> None:
    """Reasoning, text and two calls; then both results; then what the user says."""
    found = messages(
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"role": "assistant", "content": "I look."},
        CALL,
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "user", "content": "and?"},
    )
    assert found == (
        Message(
            Role.ASSISTANT,
            (
                Reasoning("hm", summary=True, id="rs_1"),
                Text("I look."),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "patch", "*** Begin", custom=True),
            ),
        ),
        Message(
            Role.USER,
            (
                ToolResult("c1", (Text("1"),), "f"),
                ToolResult("c2", (Text("2"),), "patch", custom=True),
            ),
        ),
        Message(Role.USER, (Text("and?"),)),
    )


def test_a_refusal_of_the_model() -> None:
    """It stays one."""
    assert messages({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}) == (
        Message(Role.ASSISTANT, (Refusal("no"),)),
    )


@pytest.mark.parametrize(
    ("item", "part"),
    [
        (
            {"id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            Reasoning(sealed="gAAA", format=OPENAI, id="rs_1"),
        ),
        (
            {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
            Reasoning("a\n\nb", summary=True),
        ),
        (
            {"summary": [{"type": "summary_text", "text": "a"}], "content": [{"type": "reasoning_text", "text": "b"}]},
            Reasoning("b"),
        ),
        (
            {
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "hm"}],
                "encrypted_content": "tw1.anthropic-claude-v1.c2ln",
            },
            Reasoning("hm", signature="c2ln", format=ANTHROPIC),
        ),
        (
            {
                "summary": [],
                "content": [{"type": "reasoning_text", "text": ""}],
                "encrypted_content": "tw1.anthropic-claude-v1.c2ln",
            },
            Reasoning(signature="c2ln", format=ANTHROPIC),
        ),
        (
            {"summary": [], "encrypted_content": "tw1.anthropic-claude-v1.c2ln"},
            Reasoning(sealed="c2ln", format=ANTHROPIC),
        ),
    ],
)
def test_reasoning_tells_whose_it_is(item: dict[str, Any], part: Reasoning) -> None:
    """OpenAI's own, or what another vendor's carries through its field: a signature has a text, if an empty one."""
    assert messages({"type": "reasoning", **item}, {"role": "assistant", "content": "x"})[0].parts[0] == part


def test_reasoning_without_anything_is_nothing() -> None:
    """OpenAI sends such items where nothing was asked for."""
    assert messages({"type": "reasoning", "summary": []}, {"role": "user", "content": "hi"}) == (USER,)


def test_a_calls_signature_goes_back_to_its_call() -> None:
    """It came in an item behind the call."""
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "tw1.google-gemini-v1@c1.c2ln"}
    assert messages(CALL, sealed) == (
        Message(Role.ASSISTANT, (ToolCall("c1", "f", "{}", signature="c2ln", format=GEMINI),)),
    )


def test_items_that_only_openai_knows_are_foreign() -> None:
    """By their type; results of its tools come from the other side."""
    shell = {"type": "local_shell_call", "call_id": "s", "action": {"type": "exec", "command": ["ls"]}}
    output = {"type": "local_shell_call_output", "id": "s", "output": "x"}
    found = messages(shell, output)
    assert [(each.role, [part.name for part in each.parts if isinstance(part, Foreign)]) for each in found] == [
        (Role.ASSISTANT, ["local_shell_call"]),
        (Role.USER, ["local_shell_call_output"]),
    ]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ],
)
def test_what_needs_state_cannot_be_converted(members: dict[str, Any], param: str) -> None:
    """The text that it stands for is not in the request."""
    problem = problem_of(**members)
    assert (problem.status, problem.param, problem.code) == (400, param, "unsupported_parameter")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{}]}, "input[0].role"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "call_id": ""}]}, "input[0].call_id"),
        ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": "{"}]}, "input[0].arguments"),
        ({"input": [{**CALL, "arguments": "[]"}]}, "input[0].arguments"),
        ({"reasoning": {"context": []}}, "reasoning.context"),
        ({"reasoning": {"mode": {}}}, "reasoning.mode"),
        ({"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}, "input[0].call_id"),
        ({"input": [CALL, {"type": "function_call_output", "call_id": "c1"}]}, "input[1].output"),
        ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input[0].summary[0].text"),
        ({"temperature": "hot"}, "temperature"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"include": "x"}, "include"),
        ({"metadata": []}, "metadata"),
    ],
)
def test_a_mistake_is_named_by_its_place(members: dict[str, Any], param: str) -> None:
    """Status 400 and the path of the field."""
    problem = problem_of(**members)
    assert (problem.status, problem.param) == (400, param)


def test_fields_with_a_neutral_place() -> None:
    """Each goes to its own."""
    found = neutral(
        stream=True,
        max_output_tokens=10,
        temperature=0.5,
        top_p=1,
        parallel_tool_calls=False,
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        safety_identifier="u",
        text={"verbosity": "low"},
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=3,
    )
    assert found == Request(
        "m",
        (USER,),
        stream=True,
        max_tokens=10,
        temperature=0.5,
        top_p=1,
        parallel_tool_calls=False,
        metadata=msgspec.Raw(b'{"a":"b"}'),
        service_tier="flex",
        prompt_cache_key="k",
        user="u",
        verbosity="low",
        logprobs=True,
        top_logprobs=3,
    )


def test_what_has_no_neutral_place_stays_by_its_name() -> None:
    """So that a writer can declare it; what asks something of the gateway, and defaults, do not."""
    found = neutral(
        user="u",
        store=True,
        background=False,
        stream_options={"include_obfuscation": False},
        metadata={},
        truncation="auto",
        max_tool_calls=3,
        include=["web_search_call.action.sources", "reasoning.encrypted_content"],
        reasoning={"context": "all_turns", "mode": "standard", "exclude": True},
        text={"verbosity": "low", "voice": "deep"},
        novelty={"x": 1},
    )
    assert found.rest == {
        "max_tool_calls": msgspec.Raw(b"3"),
        "novelty": msgspec.Raw(b'{"x":1}'),
        "include": msgspec.Raw(b'["web_search_call.action.sources"]'),
        "truncation": msgspec.Raw(b'"auto"'),
        "reasoning.context": msgspec.Raw(b'"all_turns"'),
        "reasoning.exclude": msgspec.Raw(b"true"),
        "text.voice": msgspec.Raw(b'"deep"'),
    }
    assert (found.user, found.metadata, found.logprobs) == ("u", NO_JSON, None)
    assert neutral(truncation="disabled", reasoning={"context": "auto"}).rest == {}


def test_members_of_items_and_tools_without_a_neutral_place_are_declared() -> None:
    """By their names; what is false or null asks for nothing."""
    found = neutral(
        input=[
            {"role": "assistant", "content": "x", "phase": "commentary"},
            {**CALL, "toolset": "n", "caller": None},
        ],
        tools=[
            {"type": "function", "name": "f", "defer_loading": True, "async": False},
            {"type": "web_search", "search_context_size": "low"},
            {
                "type": "namespace",
                "name": "n",
                "description": "Weather.",
                "tools": [{"type": "function", "name": "f", "output_schema": {}}],
            },
        ],
    )
    assert found.rest == {
        "phase": msgspec.Raw(b'"commentary"'),
        "toolset": msgspec.Raw(b'"n"'),
        "defer_loading": msgspec.Raw(b"true"),
        "namespace.description": msgspec.Raw(b'"Weather."'),
        "output_schema": msgspec.Raw(b"{}"),
    }


def test_a_call_in_a_namespace_has_the_joined_name() -> None:
    """So has its result, and a custom call."""
    custom = {"type": "custom_tool_call", "call_id": "c9", "name": "g", "namespace": "n", "input": "x"}
    output = {"type": "function_call_output", "call_id": CALL["call_id"], "output": "ok"}
    found = neutral(input=[{**CALL, "namespace": "n"}, custom, output])
    (turn, results) = found.messages
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    assert [call.name for call in calls] == [f"n__{CALL['name']}", "n__g"]
    (result,) = results.parts
    assert isinstance(result, ToolResult)
    assert result.name == f"n__{CALL['name']}"
    assert found.rest == {}
