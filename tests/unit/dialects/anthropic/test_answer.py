"""Whole answers, read into the neutral form and written from it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.anthropic.samples import MAKER
from tokenway.dialects.anthropic.answer import message_id, read_answer, stop_members, write_answer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, AnswerPart, Choice, Cited, Finished, FinishReason
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import UNMETERED, Metered, Usage

SOURCE = {
    "type": "web_search_result_location",
    "cited_text": "said",
    "url": "https://a.example",
    "title": "A",
    "encrypted_index": "x",
}
PLACE = {"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0, "end_char_index": 1}
CONTENT: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": "b3BhcXVl"},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    {"type": "text", "text": "so", "citations": [SOURCE, PLACE]},
    {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1.0}, "caller": {"type": "direct"}},
    {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
]
BODY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": CONTENT,
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 4, "output_tokens": 5},
}
FINISH = Finished(FinishReason.STOP, "end_turn")


def encoded(value: object) -> bytes:
    """Compact JSON."""
    return msgspec.json.encode(value)


def answer(*parts: AnswerPart, finish: Finished = FINISH, metered: Metered = UNMETERED) -> Answer:
    """An answer of one choice."""
    return Answer("id", "m", 0, (Choice(parts, finish),), metered)


def content(*parts: AnswerPart) -> list[dict[str, Any]]:
    """The blocks that are written of these parts."""
    found: list[dict[str, Any]] = json.loads(write_answer(answer(*parts), MAKER))["content"]
    return found


def test_a_message_is_read() -> None:
    """Each block is the part it says; what only Anthropic has is kept whole, and sources with an address are found."""
    assert read_answer(encoded(BODY)) == Answer(
        "msg_1",
        "claude-x",
        0,
        (
            Choice(
                (
                    Reasoning("hm", "c2ln", format=ANTHROPIC),
                    Reasoning(sealed="b3BhcXVl", format=ANTHROPIC),
                    Foreign("server_tool_use", msgspec.Raw(encoded(CONTENT[2])), ANTHROPIC),
                    Foreign("web_search_tool_result", msgspec.Raw(encoded(CONTENT[3])), ANTHROPIC),
                    Text("so"),
                    ToolCall("toolu_1", "f", '{"a":1.0}'),
                    ToolCall("toolu_2", "g", "{}"),
                ),
                Finished(FinishReason.TOOL_CALLS, "tool_use"),
                (Cited(4, "https://a.example", "A", "said"),),
            ),
        ),
        Metered(given=True, usage=Usage(3, 4, output_text=5)),
    )


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("compaction", FinishReason.STOP),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("of_tomorrow", FinishReason.STOP),
    ],
)
def test_every_stop_reason_has_a_meaning(reason: str, expected: FinishReason) -> None:
    """The upstream's own word is kept beside it."""
    finish = read_answer(encoded({**BODY, "stop_reason": reason})).choices[0].finish
    assert (finish.reason, finish.native) == (expected, reason)


def test_the_stop_sequence_and_the_refusal_are_told() -> None:
    """Which sequence was met, and why it was refused."""
    met = read_answer(encoded({**BODY, "stop_reason": "stop_sequence", "stop_sequence": "END"}))
    assert met.choices[0].finish.stop == "END"
    details = {"type": "refusal", "category": "bio", "explanation": "no"}
    refused = read_answer(encoded({**BODY, "stop_reason": "refusal", "stop_details": details}))
    assert refused.choices[0].finish.detail == "no"


@pytest.mark.parametrize(
    ("finish", "word", "sequence"),
    [
        (Finished(FinishReason.STOP, "stop"), "end_turn", None),
        (Finished(FinishReason.STOP, "stop", stop="END"), "stop_sequence", "END"),
        (Finished(FinishReason.STOP, "pause_turn"), "pause_turn", None),
        (Finished(FinishReason.LENGTH, "MAX_TOKENS"), "max_tokens", None),
        (Finished(FinishReason.LENGTH, "model_context_window_exceeded"), "model_context_window_exceeded", None),
        (Finished(FinishReason.TOOL_CALLS, "tool_calls"), "tool_use", None),
        (Finished(FinishReason.TOOL_CALLS, "end_turn"), "tool_use", None),
        (Finished(FinishReason.CONTENT_FILTER, "SAFETY"), "refusal", None),
        (Finished(FinishReason.ERROR, "OTHER"), "end_turn", None),
    ],
)
def test_every_finish_has_a_stop_reason(finish: Finished, word: str, sequence: str | None) -> None:
    """The upstream's word is only taken where it is Anthropic's and says the same."""
    members = stop_members(finish)
    assert (members["stop_reason"], members["stop_sequence"]) == (word, sequence)


def test_a_refusal_is_explained() -> None:
    """Anthropic has a place for the explanation."""
    details = stop_members(Finished(FinishReason.CONTENT_FILTER, detail="no"))["stop_details"]
    assert details == {"type": "refusal", "category": None, "explanation": "no"}


def test_an_answer_is_written_in_anthropics_shape() -> None:
    """Ids are the exchange's, the model the one that the caller asked for, the usage Anthropic's totals."""
    usage = Metered(given=True, usage=Usage(3, 4, 5, 6, 7, 8, audio_in=1, searches=2))
    assert json.loads(write_answer(answer(Text("hi"), metered=usage), MAKER)) == {
        "id": "msg_1a2b3",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 4,
            "cache_creation_input_tokens": 11,
            "cache_read_input_tokens": 4,
            "output_tokens": 15,
            "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6},
            "output_tokens_details": {"thinking_tokens": 8},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        },
    }


def test_refusals_and_media_are_text() -> None:
    """Anthropic has no blocks for them in an answer; an empty text is none."""
    assert content(Refusal("no"), Text(""), Media(MediaKind.IMAGE, "image/png", data="QUJD")) == [
        {"type": "text", "text": "no"},
        {"type": "text", "text": "![image](data:image/png;base64,QUJD)"},
    ]


def test_another_vendors_thoughts_are_sealed() -> None:
    """What they mean is only known to their vendor, and they come back in the next request."""
    assert content(
        Reasoning("t", "sig", format=GEMINI),
        Reasoning("summary", sealed="enc", format=OPENAI, summary=True),
        Reasoning(sealed="enc", format=OPENAI),
        Reasoning("plain"),
        Reasoning(),
        ToolCall("call_1", "f", "{}", signature="sig", format=GEMINI),
    ) == [
        {"type": "thinking", "thinking": "t", "signature": "tw1.google-gemini-v1.sig"},
        {"type": "thinking", "thinking": "summary", "signature": "tw1.openai-responses-v1.enc"},
        {"type": "redacted_thinking", "data": "tw1.openai-responses-v1.enc"},
        {"type": "thinking", "thinking": "plain", "signature": ""},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": "tw1.google-gemini-v1@call_1.sig"},
    ]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (ToolCall("c", "f", ""), {}),
        (ToolCall("c", "f", '{"a": [1]}'), {"a": [1]}),
        (ToolCall("c", "f", '{"a": [1'), {"input": '{"a": [1'}),
        (ToolCall("c", "f", "[1]"), {"input": "[1]"}),
        (ToolCall("c", "f", '{"a": 1}', custom=True), {"input": '{"a": 1}'}),
    ],
)
def test_a_calls_input_is_an_object(call: ToolCall, given: dict[str, Any]) -> None:
    """Free text, or an object that a limit cut, stands inside of one."""
    assert content(call)[0]["input"] == given


def test_only_anthropics_own_blocks_are_written() -> None:
    """Another vendor's would break the caller's SDK."""
    raw = msgspec.Raw(encoded(CONTENT[2]))
    assert content(Foreign("server_tool_use", raw), Foreign("executableCode", raw)) == [CONTENT[2]]
    assert content(Foreign("compaction", raw, OPENAI)) == []


TEXTS = st.text(min_size=1, max_size=8)
PARTS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(lambda text, sign: Reasoning(text, sign, format=ANTHROPIC), TEXTS, TEXTS),
    st.builds(lambda data: Reasoning(sealed=data, format=ANTHROPIC), TEXTS),
    st.builds(lambda key, text: ToolCall(key, text, json.dumps({text: [key, None, 1.5]})), TEXTS, TEXTS),
    st.just(Foreign("server_tool_use", msgspec.Raw(encoded(CONTENT[2])), ANTHROPIC)),
)
COUNTS = st.integers(0, 1000)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, searches=COUNTS)
FINISHES = st.sampled_from(
    [
        FINISH,
        Finished(FinishReason.STOP, "stop_sequence", stop="END"),
        Finished(FinishReason.LENGTH, "model_context_window_exceeded"),
        Finished(FinishReason.TOOL_CALLS, "tool_use"),
        Finished(FinishReason.CONTENT_FILTER, "refusal", detail="no"),
    ]
)


@given(st.lists(PARTS, max_size=6), FINISHES, USAGES)
def test_what_is_written_reads_the_same(parts: list[AnswerPart], finish: Finished, usage: Usage) -> None:
    """Nothing that the dialect can say is lost on the way."""
    metered = Metered(given=True, usage=usage)
    citations = tuple(Cited(at, "https://a", "t", "c") for at, part in enumerate(parts) if isinstance(part, Text))
    given_answer = Answer(message_id(MAKER.exchange), "claude", 0, (Choice(tuple(parts), finish, citations),), metered)
    assert read_answer(write_answer(given_answer, MAKER)) == given_answer


def test_the_sdk_reads_what_is_written() -> None:
    """Anthropic's own client finds its types."""
    parts = (
        Reasoning("hm", "sig", format=ANTHROPIC),
        Reasoning(sealed="x", format=GEMINI),
        Text("hi"),
        ToolCall("t", "f", '{"a":1}'),
    )
    body = write_answer(answer(*parts, metered=Metered(given=True, usage=Usage(3, output_text=2))), MAKER)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json=json.loads(body)))
    with anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=transport)) as client:
        message = client.messages.create(
            model="claude-sonnet-4-6", max_tokens=10, messages=[{"role": "user", "content": "hi"}]
        )
    assert [block.type for block in message.content] == ["thinking", "redacted_thinking", "text", "tool_use"]
    anthropic.types.Message.model_validate(json.loads(body))
    assert (message.usage.input_tokens, message.usage.output_tokens, message.stop_reason) == (3, 2, "end_turn")


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b'{"content":[3]}', b'{"error":{"message":"m"}}', b'{"content":[{"type":"text","text":3}]}'],
)
def test_what_is_no_message_is_a_wire_error(body: bytes) -> None:
    """A 200 with something else is the upstream's fault."""
    with pytest.raises(WireError):
        read_answer(body)


def test_a_tolerant_reader_takes_nulls() -> None:
    """Servers that imitate the dialect leave things out."""
    found = read_answer(b'{"content":[{"type":"tool_use","id":null,"name":"f","input":null}],"usage":null}')
    assert found.choices[0].parts == (ToolCall("", "f", "{}"),)
    assert found.metered == UNMETERED
