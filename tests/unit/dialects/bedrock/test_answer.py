"""Whole answers of Converse, from and to the neutral form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenway.dialects.base import Maker
from tokenway.dialects.bedrock.answer import read_answer, seals, tool_input, write_answer
from tokenway.dialects.bedrock.request import parse
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, AnswerPart, Choice, Cited, Finished, FinishReason
from tokenway.model.request import NO_JSON, Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import UNMETERED, Metered, Usage

MAKER = Maker("gen-1", "m", 0, parse(Operation.CHAT, b"{}", "m", stream=False))
USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
COUNTED = Metered(given=True, usage=Usage(3, output_text=2))
STOP = Finished(FinishReason.STOP, "end_turn")


def body(*content: dict[str, Any], **more: object) -> bytes:
    """An answer of Converse with this content."""
    message = {"role": "assistant", "content": list(content)}
    shape = {"output": {"message": message}, "stopReason": "end_turn", "usage": USAGE, "metrics": {"latencyMs": 9}}
    return json.dumps({**shape, **more}, ensure_ascii=False).encode()


def answer(*parts: AnswerPart, finish: Finished = STOP, citations: tuple[Cited, ...] = ()) -> Answer:
    """The neutral answer with these parts."""
    return Answer("", "", 0, (Choice(parts, finish, citations),), COUNTED)


def content(whole: Answer) -> list[dict[str, Any]]:
    """The blocks that are written for an answer."""
    blocks: list[dict[str, Any]] = json.loads(write_answer(whole, MAKER))["output"]["message"]["content"]
    return blocks


CITATION = {
    "title": "A page",
    "sourceContent": [{"text": "what "}, {"text": "it says"}],
    "location": {"web": {"url": "https://example.com", "domain": "example.com"}},
}

BLOCKS: list[tuple[dict[str, Any], AnswerPart]] = [
    ({"text": "hello"}, Text("hello")),
    ({"text": ""}, Text("")),
    (
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1, "é"]}}},
        ToolCall("t1", "f", '{"a":[1,"é"]}'),
    ),
    ({"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}, ToolCall("t1", "f", "{}")),
    (
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        Reasoning("hm", "c2ln", format=ANTHROPIC),
    ),
    ({"reasoningContent": {"reasoningText": {"text": "hm"}}}, Reasoning("hm", format=ANTHROPIC)),
    ({"reasoningContent": {"redactedContent": "RXVRRg=="}}, Reasoning(sealed="EuQF", format=ANTHROPIC)),
    (
        {"image": {"format": "png", "source": {"bytes": "iVBO"}}},
        Media(MediaKind.IMAGE, "image/png", "iVBO"),
    ),
]


@pytest.mark.parametrize(("block", "part"), BLOCKS)
def test_each_block_is_read_and_written(block: dict[str, Any], part: AnswerPart) -> None:
    """A block is the part that it says, and becomes the same block again."""
    assert read_answer(body(block)) == answer(part)
    assert content(answer(part)) == [block]


def test_an_answer_of_several_blocks() -> None:
    """Order, stop reason and usage are kept, and what is written is read as the same."""
    whole = Answer(
        "",
        "",
        0,
        (Choice(tuple(part for _, part in BLOCKS), Finished(FinishReason.TOOL_CALLS, "tool_use")),),
        COUNTED,
    )
    assert read_answer(body(*(block for block, _ in BLOCKS), stopReason="tool_use")) == whole
    assert read_answer(write_answer(whole, MAKER)) == whole


def test_text_with_its_sources() -> None:
    """Cited text is text, with the pages that it rests on; sources without an address are left out."""
    block = {
        "citationsContent": {
            "content": [{"text": "so "}, {"text": "it is"}],
            "citations": [CITATION, {"title": "a document", "location": {"documentPage": {"start": 1}}}],
        }
    }
    source = Cited(1, "https://example.com", "A page", "what it says")
    whole = answer(Text("first"), Text("so it is"), citations=(source,))
    assert read_answer(body({"text": "first"}, block)) == whole
    assert read_answer(write_answer(whole, MAKER)) == whole
    told = {
        "location": {"web": {"url": "https://example.com"}},
        "title": "A page",
        "sourceContent": [{"text": "what it says"}],
    }
    assert content(whole) == [
        {"text": "first"},
        {"text": "so it is"},
        {"citationsContent": {"content": [], "citations": [told]}},
    ]


@pytest.mark.parametrize(
    "block",
    [
        {"toolUse": {"toolUseId": "t", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "t", "content": []}},
        {"somethingNew": {"text": "x"}},
        {},
        {"reasoningContent": {}},
    ],
)
def test_blocks_that_are_not_the_callers(block: dict[str, Any]) -> None:
    """Tools that Amazon runs itself, their results and blocks of tomorrow are skipped."""
    assert read_answer(body({"text": "a"}, block, {"text": "b"})) == answer(Text("a"), Text("b"))


def test_an_answer_with_little_in_it() -> None:
    """Fields that are missing or null are no fault: providers leave them out."""
    assert read_answer(b'{"output":{"message":{}},"stopReason":null,"usage":null,"new":1}') == Answer(
        "", "", 0, (Choice((), Finished(FinishReason.STOP)),), UNMETERED
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"message":"m","__type":"ThrottlingException"}',
        b'{"output":{}}',
        b'{"output":{"message":{"content":[{"text":1}]}}}',
        b'{"output":{"message":{"content":[{"reasoningContent":{"redactedContent":"%"}}]}}}',
    ],
)
def test_what_is_no_answer(text: bytes) -> None:
    """An error, another format and types that cannot be are faults of the upstream."""
    with pytest.raises(WireError, match="not one of this dialect"):
        read_answer(text)


def test_what_other_vendors_seal() -> None:
    """Another vendor's signature and sealed content travel marked, in the fields that Bedrock has for Claude's."""
    whole = answer(
        Reasoning("summary", sealed="gAAA", format=OPENAI),
        Reasoning(sealed="gAAB", format=OPENAI),
        Reasoning("thought", "Q2c=", format=GEMINI),
        ToolCall("c1", "f", "{}", signature="c2ln", format=GEMINI),
        Text("done"),
    )
    assert content(whole) == [
        {"reasoningContent": {"reasoningText": {"text": "summary", "signature": "tw1.openai-responses-v1.gAAA"}}},
        {"reasoningContent": {"redactedContent": "dHcxLm9wZW5haS1yZXNwb25zZXMtdjEuZ0FBQg=="}},
        {"reasoningContent": {"reasoningText": {"text": "thought", "signature": "tw1.google-gemini-v1.Q2c="}}},
        {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}},
        {"reasoningContent": {"redactedContent": "dHcxLmdvb2dsZS1nZW1pbmktdjFAYzEuYzJsbg=="}},
        {"text": "done"},
    ]


def test_what_converse_has_no_block_for() -> None:
    """A refusal is text, a picture by its URL a link; sound and another vendor's own part are left out."""
    whole = answer(
        Refusal("I cannot."),
        Media(MediaKind.AUDIO, "audio/wav", "UklG"),
        Media(MediaKind.IMAGE, "image/png", url="https://example.com/a.png"),
        Foreign("server_tool_use", NO_JSON),
        finish=Finished(FinishReason.CONTENT_FILTER, "refusal"),
    )
    written = json.loads(write_answer(whole, MAKER))
    link = "![image](https://example.com/a.png)"
    assert written["output"]["message"]["content"] == [{"text": "I cannot."}, {"text": link}]
    assert written["stopReason"] == "content_filtered"


def test_an_answer_without_choices_or_usage() -> None:
    """No usage is written where none was given."""
    written = json.loads(write_answer(Answer("id", "model", 1, ()), MAKER))
    assert written == {
        "output": {"message": {"role": "assistant", "content": []}},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": 0},
    }


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (" ", {}),
        ("[1]", {"arguments": "[1]"}),
        ('{"a":', {"arguments": '{"a":'}),
        ('"text"', {"arguments": '"text"'}),
    ],
)
def test_a_tools_input_is_an_object(arguments: str, expected: dict[str, Any]) -> None:
    """Arguments that a model got wrong stand in an object as they are."""
    part = ToolCall("t", "f", arguments)
    assert content(answer(part))[0]["toolUse"]["input"] == expected
    assert isinstance(tool_input(arguments), dict) == (expected != {"a": 1})


@pytest.mark.parametrize(
    ("signature", "sealed", "whose", "has_text", "expected"),
    [
        ("s", "", ANTHROPIC, True, ("s", "")),
        ("", "x", ANTHROPIC, False, ("", "x")),
        ("s", "x", ANTHROPIC, True, ("s", "x")),
        ("", "x", OPENAI, True, ("tw1.openai-responses-v1.x", "")),
        ("", "x", OPENAI, False, ("", "tw1.openai-responses-v1.x")),
        ("", "", OPENAI, True, ("", "")),
    ],
)
def test_where_a_seal_goes(signature: str, sealed: str, whose: str, has_text: bool, expected: tuple[str, str]) -> None:
    """What seals a text stands at the text."""
    assert seals(signature, sealed, whose, has_text=has_text) == expected


def test_amazons_sdk_reads_our_answers() -> None:
    """The SDK's own parser sees the same blocks, usage and stop reason."""
    parsers = pytest.importorskip("botocore.parsers")
    session = pytest.importorskip("botocore.session")
    model = session.get_session().get_service_model("bedrock-runtime")
    shape = model.operation_model("Converse").output_shape
    whole = answer(*(part for _, part in BLOCKS), finish=Finished(FinishReason.TOOL_CALLS, "tool_use"))
    parser = parsers.create_parser("rest-json")
    parsed = parser.parse({"status_code": 200, "headers": {}, "body": write_answer(whole, MAKER)}, shape)
    blocks = parsed["output"]["message"]["content"]
    assert blocks[2] == {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": [1, "é"]}}}
    assert blocks[4] == {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}}
    assert blocks[6] == {"reasoningContent": {"redactedContent": b"EuQF"}}
    assert blocks[7]["image"]["source"]["bytes"] == b"\x89PN"
    assert parsed["stopReason"] == "tool_use"
    assert parsed["usage"]["totalTokens"] == 5


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/a.png"}}}}, "s3://b/a.png"),
        ({"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}, "AAAA"),
        ({"audio": {"format": "wav", "source": {"bytes": "UklG"}}}, "UklG"),
        ({"document": {"format": "txt", "name": "n", "source": {"text": "words"}}}, "words"),
        ({"document": {"name": "n", "source": {"content": [{"text": "a"}, {"text": "b"}, {}]}}}, "a\n\nb"),
    ],
)
def test_media_of_every_kind_are_read(block: dict[str, Any], part: str) -> None:
    """By their bytes, their place or their text, with the kind and the media type."""
    ((found,),) = (each.parts for each in read_answer(body(block)).choices)
    assert isinstance(found, Media)
    assert found.kind in block
    assert part in {found.data, found.url, found.text}


def test_a_picture_that_was_not_made_is_no_empty_one() -> None:
    """The reason stands for it; without one there is nothing."""
    failed = {"image": {"format": "png", "source": {}, "error": {"message": "not allowed"}}}
    assert read_answer(body(failed, {"image": {"source": {}}})) == answer(Refusal("not allowed"))


def test_a_search_result_is_a_source() -> None:
    """It has no page, but says what it is of."""
    cited = {"citations": [{"source": "https://b.example", "location": {"searchResultLocation": {}}}], "content": []}
    found = read_answer(body({"text": "a"}, {"citationsContent": cited})).choices[0]
    assert found.citations == (Cited(0, "https://b.example"),)


def test_free_text_is_no_object_even_if_it_looks_like_one() -> None:
    """A custom tool's text stands under one name, whatever is in it."""
    (block,) = content(answer(ToolCall("c", "f", '{"a":1}', custom=True)))
    assert block["toolUse"]["input"] == {"arguments": '{"a":1}'}
