"""A neutral request for an upstream of this API: what it says, and what it declares."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.dialects.openai_responses.made import asked
from tokenway.dialects.base import Upstream
from tokenway.dialects.openai_responses.request import parse
from tokenway.dialects.openai_responses.write import write
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.catalog import Operation, Quirks
from tokenway.model.errors import Refusal as Refused
from tokenway.model.request import (
    Foreign,
    FormatKind,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
    Written,
)

USER = Message(Role.USER, (Text("hi"),))
HI = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


def wrote(request: Request, **quirks: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body and what was left out."""
    written: Written = write(request, Upstream("up", quirks=Quirks(**quirks)))
    return json.loads(written.body), written.dropped


def items(*messages: Message) -> tuple[list[Any], tuple[str, ...]]:
    """The input that these messages become, and what was left out."""
    body, dropped = wrote(Request("m", messages))
    return body["input"], dropped


def test_the_least_request() -> None:
    """The upstream's name of the model; nothing is kept there, and reasoning comes back sealed."""
    assert wrote(Request("m", (USER,))) == (
        {"model": "up", "input": [HI], "include": ["reasoning.encrypted_content"], "store": False},
        (),
    )


def test_sealed_reasoning_is_not_asked_of_who_refuses_it() -> None:
    """A quirk of the provider."""
    body, _ = wrote(Request("m", (USER,)), encrypted_reasoning=False)
    assert "include" not in body


def test_a_first_system_message_is_the_instructions() -> None:
    """If it is one text and something follows it; others stay items."""
    system = Message(Role.SYSTEM, (Text("be kind"),))
    body, _ = wrote(Request("m", (system, USER, system)))
    assert body["instructions"] == "be kind"
    assert [each["role"] for each in body["input"]] == ["user", "system"]

    alone, _ = wrote(Request("m", (system,)))
    assert "instructions" not in alone
    assert [each["role"] for each in alone["input"]] == ["system"]

    two, _ = wrote(Request("m", (Message(Role.SYSTEM, (Text("a"), Text("b"))), USER)))
    assert [part["text"] for part in two["input"][0]["content"]] == ["a", "b"]


def test_a_turn_with_tools() -> None:
    """Reasoning of one's own, text, calls and results are items in their order."""
    found, dropped = items(
        USER,
        Message(
            Role.ASSISTANT,
            (
                Reasoning("hm", sealed="gAAA", format=OPENAI, summary=True, id="rs_1"),
                Text("I look."),
                Refusal("not there"),
                ToolCall("c1", "f", '{"a":1}'),
                ToolCall("c2", "patch", "***", custom=True),
                ToolCall("c3", "f", ""),
            ),
        ),
        Message(
            Role.USER,
            (
                ToolResult("c1", (Text("1"),), "f"),
                ToolResult("c2", (Text("2"), Media(MediaKind.IMAGE, "image/png", "aGk=")), custom=True),
                ToolResult("c3", ()),
                Text("and?"),
            ),
        ),
    )
    assert dropped == ()
    assert found == [
        HI,
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAA",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "I look.", "annotations": []},
                {"type": "refusal", "refusal": "not there"},
            ],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "***"},
        {"type": "function_call", "call_id": "c3", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [
                {"type": "input_text", "text": "2"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
            ],
        },
        {"type": "function_call_output", "call_id": "c3", "output": ""},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]


def test_a_tools_error_is_said_in_its_text() -> None:
    """The API has no field for it."""
    call = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
    picture = Media(MediaKind.IMAGE, "image/png", "aGk=")
    cases: list[tuple[tuple[Text | Media, ...], Any]] = [
        ((Text("no file"),), "Error: no file"),
        ((), "Error: "),
        ((picture,), [{"type": "input_text", "text": "Error:"}, *(write_of(picture))]),
    ]
    for content, output in cases:
        found, _ = items(call, Message(Role.USER, (ToolResult("c", content, is_error=True),)))
        assert found[1]["output"] == output


def write_of(picture: Media) -> list[dict[str, str]]:
    """A picture as it stands in an output."""
    return [
        {
            "type": "input_image",
            "detail": "auto",
            "image_url": f"data:{picture.media_type};base64,{picture.data}",
        }
    ]


@pytest.mark.parametrize(
    ("reasoning", "shape"),
    [
        (
            Reasoning(sealed="gAAA", format=OPENAI, id="x1"),
            {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        ),
        (
            Reasoning("raw", sealed="gAAA", format=OPENAI),
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "raw"}],
                "encrypted_content": "gAAA",
            },
        ),
    ],
)
def test_ones_own_sealed_reasoning_goes_back(reasoning: Reasoning, shape: dict[str, Any]) -> None:
    """Without an id that is not of this API; a text that is no summary is content."""
    assert items(Message(Role.ASSISTANT, (reasoning,)))[0] == [shape]


@pytest.mark.parametrize(
    "part",
    [
        Reasoning("hm"),
        Reasoning("hm", signature="s", format=ANTHROPIC),
        Reasoning(sealed="s", format=ANTHROPIC),
        Reasoning(sealed="s"),
    ],
)
def test_reasoning_of_others_is_declared(part: Reasoning) -> None:
    """No vendor is shown another's, and a text alone is not taken back."""
    assert items(USER, Message(Role.ASSISTANT, (part, Text("x"))))[1] == ("reasoning",)


def test_what_parts_say_beyond_this_api_is_declared_once() -> None:
    """Names, breakpoints, a call's signature, other vendors' parts."""
    _, dropped = items(
        Message(Role.USER, (Text("a", cache="5m"), Text("b", cache="1h")), name="ann"),
        Message(
            Role.ASSISTANT,
            (
                ToolCall("c", "f", "{}", signature="s", format=GEMINI),
                Foreign("server_tool_use", msgspec.Raw(b"{}")),
                Foreign("compaction", msgspec.Raw(b"{}"), ANTHROPIC),
            ),
            name="bob",
        ),
        Message(Role.USER, (ToolResult("c", (Text("x", cache="5m"),), cache="5m"),)),
    )
    assert dropped == ("name", "cache_control", "reasoning", "server_tool_use", "compaction")


@pytest.mark.parametrize(
    ("media", "dropped"),
    [
        (Media(MediaKind.IMAGE, "image/png", "AAAA", title="a.png"), ("title",)),
        (Media(MediaKind.DOCUMENT, url="https://a/b", title="a"), ("title",)),
        (Media(MediaKind.DOCUMENT, file_id="file-1", title="a"), ("title",)),
        (Media(MediaKind.DOCUMENT, "application/pdf", "AAAA", title="a"), ()),
    ],
)
def test_only_a_document_in_the_request_has_a_name(media: Media, dropped: tuple[str, ...]) -> None:
    """Also in a tool's result."""
    assert items(Message(Role.USER, (media,)))[1] == dropped
    assert items(Message(Role.USER, (ToolResult("c", (media,)),)))[1] == dropped


def test_items_of_this_api_go_back_as_they_were() -> None:
    """They are only foreign elsewhere."""
    raw = msgspec.Raw(b'{"type":"web_search_call","id":"ws_1"}')
    assert items(Message(Role.ASSISTANT, (Foreign("web_search_call", raw),))) == (
        [{"type": "web_search_call", "id": "ws_1"}],
        (),
    )


def test_another_vendors_part_of_the_same_name_is_declared() -> None:
    """Anthropic has a compaction too, sealed for its own models."""
    raw = msgspec.Raw(b'{"type":"compaction","encrypted_content":"x"}')
    assert items(USER, Message(Role.ASSISTANT, (Foreign("compaction", raw, OPENAI),)))[1] == ()
    assert items(USER, Message(Role.ASSISTANT, (Foreign("compaction", raw, ANTHROPIC),)))[1] == ("compaction",)


def test_a_picture_of_the_models_own_is_refused() -> None:
    """The API has no part for one in an assistant's message."""
    picture = Media(MediaKind.IMAGE, "image/png", "aGk=", place="messages[1].content[0]")
    with pytest.raises(Refused) as refused:
        items(Message(Role.ASSISTANT, (picture,)))
    assert refused.value.problem.param == "messages[1].content[0]"


def test_pictures_by_url_are_refused_where_they_are_not_taken() -> None:
    """A quirk of the provider."""
    message = Message(Role.USER, (Media(MediaKind.IMAGE, url="https://x", place="p"),))
    with pytest.raises(Refused):
        wrote(Request("m", (message,)), image_urls=False)


def test_every_field_of_this_api() -> None:
    """By its own name."""
    body, dropped = wrote(
        Request(
            "m",
            (USER,),
            stream=True,
            tools=(Tool("f"),),
            tool_choice=ToolChoice(ToolMode.REQUIRED),
            parallel_tool_calls=False,
            response_format=ResponseFormat(FormatKind.JSON),
            thinking=Thinking(effort="low", summary="auto"),
            max_tokens=10,
            temperature=0.5,
            top_p=0.9,
            logprobs=True,
            top_logprobs=2,
            n=1,
            user="u",
            metadata=msgspec.Raw(b'{"a":"b"}'),
            service_tier="flex",
            prompt_cache_key="k",
            verbosity="low",
        )
    )
    assert dropped == ()
    assert body == {
        "model": "up",
        "input": [HI],
        "stream": True,
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
        ],
        "tool_choice": "required",
        "max_output_tokens": 10,
        "temperature": 0.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "top_logprobs": 2,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "store": False,
    }


def test_every_field_that_this_api_lacks_is_declared() -> None:
    """By its neutral name, in a stable order."""
    _, dropped = wrote(
        Request(
            "m",
            (USER,),
            tool_choice=ToolChoice(ToolMode.NAMED),
            response_format=ResponseFormat(FormatKind.SCHEMA, "n"),
            top_k=1,
            min_p=0.1,
            frequency_penalty=0.0,
            presence_penalty=0.1,
            repetition_penalty=1.1,
            seed=0,
            stop=("x",),
            logit_bias=msgspec.Raw(b"{}"),
            n=2,
            user="u" * 129,
            service_tier="standard_only",
            rest={"container": msgspec.Raw(b'"x"')},
        ),
        json_schema=False,
    )
    assert dropped == (
        "tool_choice",
        "response_format",
        "user",
        "service_tier",
        "container",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "stop",
        "logit_bias",
        "n",
    )


def test_a_callers_own_store_and_include_are_kept() -> None:
    """Members that the chat API has with the same meaning come through `rest`."""
    rest = {"store": msgspec.Raw(b"true"), "include": msgspec.Raw(b'["x"]'), "truncation": msgspec.Raw(b'"auto"')}
    body, dropped = wrote(Request("m", (USER,), rest=rest))
    assert (body["store"], body["truncation"], dropped) == (True, "auto", ())
    assert body["include"] == ["x", "reasoning.encrypted_content"]
    body, dropped = wrote(Request("m", (USER,), rest=rest, words=ANTHROPIC))
    assert (body["store"], dropped) == (False, ("store", "include", "truncation"))


def test_what_was_written_reads_back_the_same() -> None:
    """A request of this dialect that goes by way of the neutral form says the same."""
    request = asked(
        instructions="be kind",
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"role": "assistant", "content": [{"type": "output_text", "text": "done", "annotations": []}]},
        ],
        tools=[{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}, "strict": False}],
        tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
        reasoning={"effort": "low"},
        text={"format": {"type": "text"}, "verbosity": "high"},
    ).neutral()

    written = write(request, Upstream("m"))

    assert parse(Operation.CHAT, written.body, "", False).neutral() == request
    assert written.dropped == ()
