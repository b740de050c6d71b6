"""Whole answers, written."""

from __future__ import annotations

import json

import msgspec
from openai.types.chat import ChatCompletion

from tests.unit.dialects.openai_chat.answers import ANSWER, PLAIN, apart, maker
from tokenway.dialects.openai_chat.answer import finish_members, write_answer
from tokenway.dialects.openai_chat.stream_reader import read_answer
from tokenway.model.catalog import Operation
from tokenway.model.event import Answer, Choice, Cited, Finished, FinishReason
from tokenway.model.request import Foreign, Media, MediaKind, Refusal, Text
from tokenway.model.usage import ABSURD


def message(choice: Choice) -> dict[str, object]:
    """The message of an answer with this one choice."""
    found: dict[str, object] = json.loads(write_answer(Answer("", "", 0, (choice,)), maker()))["choices"][0]["message"]
    return found


def test_a_plain_answer() -> None:
    """Every member, by hand."""
    assert json.loads(write_answer(PLAIN, maker())) == {
        "id": "gen-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "system_fingerprint": None,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "a", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 22,
            "completion_tokens": 29,
            "total_tokens": 51,
            "prompt_tokens_details": {
                "cached_tokens": 2,
                "cache_write_tokens": 3,
                "audio_tokens": 7,
                "image_tokens": 9,
            },
            "completion_tokens_details": {"reasoning_tokens": 6, "audio_tokens": 8, "image_tokens": 10},
        },
    }


def test_what_is_written_is_read_again() -> None:
    """The same parts, sources, probabilities, finish and usage."""
    assert apart(read_answer(write_answer(ANSWER, maker(choices=2)))) == apart(ANSWER)


def test_openais_types_take_it() -> None:
    """Strictly: every field of the SDK's type is there and of its type."""
    found = ChatCompletion.model_validate_json(write_answer(ANSWER, maker(choices=2)), strict=True)
    calls = found.choices[0].message.tool_calls or []
    assert [call.id for call in calls] == ["c1", "c2"]
    assert found.choices[1].message.refusal == "no"


def test_reasoning_stands_in_two_fields() -> None:
    """The text for who shows it, the items for who gives them back."""
    found = json.loads(write_answer(ANSWER, maker(choices=2)))["choices"][0]["message"]
    assert found["reasoning_content"] == "thinksummore"
    assert found["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "think",
            "format": "anthropic-claude-v1",
            "index": 0,
            "signature": "sig",
        },
        {"type": "reasoning.encrypted", "data": "SEALED", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.summary", "summary": "sum", "format": "openai-responses-v1", "id": "rs_1", "index": 2},
        {"type": "reasoning.encrypted", "data": "ENC", "format": "openai-responses-v1", "id": "rs_1", "index": 3},
        {"type": "reasoning.text", "text": "more", "index": 4},
    ]


def test_citations_count_from_the_beginning_of_the_message() -> None:
    """Two text parts are one text here."""
    parts = (Text("abc"), Text("def"))
    found = message(Choice(parts, Finished(FinishReason.STOP), (Cited(1, "u", start=0, end=2),)))
    assert found["content"] == "abcdef"
    assert found["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "u", "title": "", "start_index": 3, "end_index": 5}}
    ]


def test_nothing_said_is_an_empty_text() -> None:
    """Null is for a message that has something else."""
    assert message(Choice((), Finished(FinishReason.STOP)))["content"] == ""
    assert message(Choice((Refusal("no"),), Finished(FinishReason.STOP)))["content"] is None


def test_an_explanation_is_a_refusal() -> None:
    """Where a model refused without words of its own."""
    finish = Finished(FinishReason.CONTENT_FILTER, detail="because")
    assert message(Choice((), finish))["refusal"] == "because"


def test_sound_has_openais_shape() -> None:
    """Its own unchanged, another model's with the exchange's id."""
    own = Foreign("audio", msgspec.Raw(b'{"id":"x","data":"AA"}'))
    other = Media(MediaKind.AUDIO, "audio/wav", "AA")
    finish = Finished(FinishReason.STOP)
    assert message(Choice((own,), finish))["audio"] == {"id": "x", "data": "AA"}
    assert message(Choice((other,), finish))["audio"] == {
        "id": "gen-1",
        "data": "AA",
        "transcript": "",
        "expires_at": 5,
    }


def test_another_vendors_part_is_left_out() -> None:
    """There is no place for it, nor for a document."""
    parts = (Foreign("server_tool_use", msgspec.Raw(b"{}")), Media(MediaKind.DOCUMENT, text="x"), Text("a"))
    assert message(Choice(parts, Finished(FinishReason.STOP))) == {
        "role": "assistant",
        "content": "a",
        "refusal": None,
    }


def test_a_usage_that_cannot_be_is_none() -> None:
    """No count is made up."""
    answer = msgspec.structs.replace(PLAIN, metered=ABSURD)
    assert json.loads(write_answer(answer, maker()))["usage"] is None


def test_a_legacy_completion_has_its_text() -> None:
    """In `text`, a refusal too; there is no place for calls."""
    found = json.loads(write_answer(ANSWER, maker(Operation.COMPLETION, choices=2)))
    assert found["object"] == "text_completion"
    assert [choice["text"] for choice in found["choices"]] == ["hello wörld", "no"]
    assert "message" not in found["choices"][0]


def test_what_failed_stands_at_its_choice() -> None:
    """As OpenRouter has it; an answer that ended well has no such member."""
    assert finish_members(Finished(FinishReason.STOP, "stop")) == {
        "finish_reason": "stop",
        "native_finish_reason": "stop",
    }
    assert finish_members(Finished(FinishReason.ERROR, "OTHER", detail="no luck")) == {
        "finish_reason": "error",
        "native_finish_reason": "OTHER",
        "error": {"code": 502, "message": "The model did not complete its answer: no luck."},
    }
