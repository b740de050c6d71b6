"""Function calls emulated: the plan, the prompt, the schema, and the unwrapping of any way to cut the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.local.requests import BadRequest, ChatRequest, decode
from tokenway.local.toolcalls import Unwrapper, chat_task, plan_tools

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PING = {"type": "function", "function": {"name": "ping"}}
USER = {"role": "user", "content": "Weather in Paris?"}
RESULT: list[dict[str, Any]] = [
    USER,
    {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "ping", "arguments": '{"a":1}'}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "pong"},
]


def chat(*messages: dict[str, Any], **fields: object) -> ChatRequest:
    """A request with these messages and fields."""
    return decode(json.dumps({"model": "local", "messages": messages or [USER]} | fields).encode(), ChatRequest)


def forced(request: ChatRequest) -> dict[str, Any]:
    """The schema that the runtime is given."""
    schema = chat_task(request, plan_tools(request))["response_format"]["json_schema"]["schema"]
    assert isinstance(schema, dict)
    return schema


@pytest.mark.parametrize("fields", [{}, {"tools": [WEATHER], "tool_choice": "none"}, {"tools": []}])
def test_without_tools_nothing_is_forced(fields: dict[str, object]) -> None:
    """No tools, or tools that may not be used, leave the request as it is."""
    request = chat(**fields)
    assert plan_tools(request) is None
    task = chat_task(request, None)
    assert task["messages"] == [USER]
    assert "response_format" not in task


def test_a_required_call_offers_each_function_and_no_answer() -> None:
    """One shape for each function, its name fixed and its parameters its own."""
    schema = forced(chat(tools=[WEATHER, PING], tool_choice="required"))
    assert [shape["properties"]["name"]["const"] for shape in schema["anyOf"]] == ["get_weather", "ping"]
    assert schema["$defs"]["tool0"]["required"] == ["city"]
    assert schema["$defs"]["tool1"] == {"type": "object", "properties": {}, "additionalProperties": False}


def test_a_free_choice_offers_a_plain_answer_too() -> None:
    """With `auto`, which is the default, text is one of the shapes."""
    shapes = forced(chat(tools=[WEATHER]))["anyOf"]
    assert [list(shape["properties"]) for shape in shapes] == [["answer"], ["name", "arguments"]]


def test_a_plain_answer_keeps_its_own_format() -> None:
    """`response_format` together with tools decides what the plain answer looks like."""
    wanted = {"type": "object", "properties": {"t": {"type": "number"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": wanted}}
    assert forced(chat(tools=[PING], response_format=form))["$defs"]["answer"] == wanted
    assert forced(chat(tools=[PING], response_format={"type": "json_object"}))["$defs"]["answer"] == {"type": "object"}


def test_a_named_function_is_the_only_one() -> None:
    """The other functions are not even listed in the prompt."""
    request = chat(tools=[WEATHER, PING], tool_choice={"type": "function", "function": {"name": "ping"}})
    assert len(forced(request)["anyOf"]) == 1
    assert "get_weather" not in json.dumps(chat_task(request, plan_tools(request))["messages"])


def test_references_inside_parameters_still_lead_somewhere() -> None:
    """A schema that refers to its own definitions does so from its new place."""
    tree = {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}, "self": {"$ref": "#"}},
        "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    }
    schema = forced(chat(tools=[{"type": "function", "function": {"name": "t", "parameters": tree}}]))
    moved = schema["$defs"]["tool0"]
    assert moved["properties"] == {"root": {"$ref": "#/$defs/tool0/$defs/node"}, "self": {"$ref": "#/$defs/tool0"}}
    assert moved["$defs"]["node"]["items"] == {"$ref": "#/$defs/tool0/$defs/node"}


def test_after_a_result_a_model_that_would_call_forever_answers() -> None:
    """With `auto` and a result at the end, such a model gets no functions; a required call stays required."""
    assert plan_tools(chat(*RESULT, tools=[PING]), answers_results=True) is None
    assert plan_tools(chat(*RESULT, tools=[PING]), answers_results=False) is not None
    assert plan_tools(chat(*RESULT, tools=[PING], tool_choice="required"), answers_results=True) is not None


def test_calls_and_results_become_text() -> None:
    """Templates without a place for them still show them to the model."""
    messages = chat_task(chat(*RESULT), None)["messages"]
    assert messages[1] == {"role": "assistant", "content": '{"name": "ping", "arguments": {"a":1}}'}
    assert messages[2] == {"role": "user", "content": "Result of ping: pong"}


def test_functions_are_listed_in_the_system_message() -> None:
    """An existing one is extended, otherwise there is a new one."""
    system = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    request = chat(system, USER, tools=[WEATHER])
    first = chat_task(request, plan_tools(request))["messages"][0]
    assert first["role"] == "system"
    assert first["content"].startswith("Be brief.\n\n")
    assert "get_weather" in first["content"]
    request = chat(tools=[WEATHER])
    assert [m["role"] for m in chat_task(request, plan_tools(request))["messages"]] == ["system", "user"]


def test_images_are_refused() -> None:
    """The message names the part."""
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(BadRequest, match="not image_url") as caught:
        chat_task(chat({"role": "user", "content": [part]}), None)
    assert caught.value.param == "messages[0].content"


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"},
        {"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "fly"}}},
        {"functions": [{"name": "old"}]},
        {"tools": [{"type": "function", "function": {"name": "t", "parameters": {"type": "array"}}}]},
    ],
)
def test_impossible_wishes_are_refused(fields: dict[str, object]) -> None:
    """A choice without tools, of an unknown name, of another age, or without an object."""
    request = chat(**fields)
    with pytest.raises(BadRequest):
        chat_task(request, plan_tools(request))


def test_formats_and_log_probabilities_are_passed_on() -> None:
    """Without tools the runtime gets them as they are."""
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    task = chat_task(chat(response_format=form, logprobs=True, top_logprobs=2, max_completion_tokens=5), None)
    assert task["response_format"] == form
    assert (task["logprobs"], task["top_logprobs"], task["max_tokens"]) == (True, 2, 5)
    assert chat_task(chat(logprobs=True), None)["top_logprobs"] == 1  # with 0 the runtime would give none at all
    assert chat_task(chat(response_format={"type": "json_object"}), None)["response_format"] == {"type": "json_object"}
    with pytest.raises(BadRequest, match="json_schema"):
        chat_task(chat(response_format={"type": "json_schema"}), None)


def unwrapped(pieces: list[str]) -> tuple[str, str | None, str]:
    """(text, name of the call, its arguments) out of the pieces."""
    unwrapper = Unwrapper(lambda: "call_1")
    deltas = [delta for piece in pieces for delta in unwrapper.feed(piece)]
    text = "".join(delta.get("content", "") for delta in deltas)
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    if calls:
        assert calls[0]["id"] == "call_1"
        assert all("id" not in call and "name" not in call["function"] for call in calls[1:])
    name = calls[0]["function"]["name"] if calls else None
    assert unwrapper.has_call == (name is not None)
    return text, name, "".join(call["function"]["arguments"] for call in calls)


@pytest.mark.parametrize("indent", [None, 2])
@given(data=st.data(), value=st.dictionaries(st.text(max_size=4), st.text(max_size=6) | st.integers(), max_size=3))
def test_a_call_is_unwrapped_however_it_is_cut(indent: int | None, data: st.DataObject, value: dict[str, Any]) -> None:
    """Name and arguments come out whole, for any pieces, spacing and trailing text."""
    raw = json.dumps({"name": 'a"b', "arguments": value}, indent=indent) + " \n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    text, name, arguments = unwrapped(pieces)
    assert (text, name, json.loads(arguments)) == ("", 'a"b', value)


@given(data=st.data(), answer=st.text(max_size=12), ascii_only=st.booleans())
def test_a_plain_answer_is_unwrapped_however_it_is_cut(data: st.DataObject, answer: str, ascii_only: bool) -> None:
    """Escapes and surrogate pairs may fall apart into any pieces."""
    raw = json.dumps({"answer": answer}, ensure_ascii=ascii_only)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert unwrapped(pieces) == (answer, None, "")
    assert unwrapped(list(raw)) == (answer, None, "")


def test_an_answer_that_is_an_object_passes_as_text() -> None:
    """A JSON answer is the message's content, without its wrapping."""
    assert unwrapped(['{"answer": {"a": "}', '\\"", "b": [1]}', "}"]) == ('{"a": "}\\"", "b": [1]}', None, "")


def test_half_a_surrogate_pair_becomes_a_replacement() -> None:
    """Text that no encoding can carry does not leave the engine."""
    assert unwrapped(['{"answer": "a\\ud83d b"}'])[0] == "a\N{REPLACEMENT CHARACTER} b"


def test_an_answer_cut_off_by_its_limit_keeps_what_is_there() -> None:
    """The arguments so far are delivered, and nothing is made up."""
    assert unwrapped(['{"name": "f", "arguments": {"city": "Pa']) == ("", "f", '{"city": "Pa')
    assert unwrapped(['{"na']) == ("", None, "")
