"""Whole answers of the dialect."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from tests.unit.dialects.gemini.samples import chunk, content, maker, raw, read_stream, written
from tests.unit.dialects.gemini.test_writer import PARTS, compact, merged
from tokenway.dialects.gemini.answer import read_answer, write_answer
from tokenway.dialects.gemini.signature import closed
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, Choice, Cited, Finished, FinishReason, Logprobs
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import Metered, Usage

STOP = Finished(FinishReason.STOP, "STOP")


def test_a_whole_answer_is_read_like_a_stream() -> None:
    """One response, the same parts."""
    body = chunk({"text": "hm", "thought": True}, {"text": "a"}, finishReason="STOP").removeprefix(b"data: ").strip()
    assert read_answer(body) == read_stream([b"data: " + body + b"\n\n"])


def test_a_finish_reason_may_be_missing() -> None:
    """The answer is there all the same."""
    assert read_answer(b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}').choices == (
        Choice((Text("a"),), Finished(FinishReason.STOP)),
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"candidates":[]}',
        b'{"usageMetadata":{"promptTokenCount":1}}',
        b'{"error":{"message":"no"}}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    """No candidate and no reason why there is none."""
    with pytest.raises(WireError):
        read_answer(body)


def test_what_is_written() -> None:
    """Every part in its form, why it ended, the sources, the probabilities and the totals."""
    answer = Answer(
        "upstream",
        "other",
        5,
        (
            Choice(
                (
                    Reasoning("hm", "sig", format=ANTHROPIC),
                    Foreign("server_tool_use", raw({})),
                    Text("ab"),
                    Refusal("no"),
                    ToolCall("1", "f", '{"a":1}'),
                    Media(MediaKind.IMAGE, "image/png", data="AA=="),
                ),
                Finished(FinishReason.ERROR, "x", detail="why"),
                (Cited(2, "u", "", "", 1, 2),),
                (Logprobs(2, raw([{"token": "ab", "logprob": -1.0}])),),
            ),
        ),
        Metered(given=True, usage=Usage(5, 2, output_text=3)),
    )
    assert json.loads(write_answer(answer, maker())) == {
        "candidates": [
            {
                "content": {
                    "parts": [
                        {"text": "hm", "thought": True, "thoughtSignature": closed("sig", ANTHROPIC)},
                        {"text": "ab"},
                        {"text": "no"},
                        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}},
                        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
                    ],
                    "role": "model",
                },
                "finishReason": "OTHER",
                "finishMessage": "why",
                "index": 0,
                "groundingMetadata": {
                    "groundingChunks": [{"web": {"uri": "u"}}],
                    "groundingSupports": [
                        {
                            "segment": {"partIndex": 1, "startIndex": 1, "endIndex": 2, "text": "b"},
                            "groundingChunkIndices": [0],
                        }
                    ],
                },
                "logprobsResult": {
                    "chosenCandidates": [{"token": "ab", "logProbability": -1.0}],
                    "topCandidates": [{"candidates": []}],
                },
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 7,
            "candidatesTokenCount": 3,
            "cachedContentTokenCount": 2,
            "totalTokenCount": 10,
        },
        "modelVersion": "asked",
        "responseId": "gen-1",
    }


@given(PARTS.filter(lambda parts: not merged(list(parts))))
def test_what_is_written_reads_back(parts: list[Text]) -> None:
    """Whole or as a stream, it is the same answer."""
    plain = tuple(
        ToolCall(each.id, each.name, compact(each.arguments), each.custom, each.signature, each.format)
        if isinstance(each, ToolCall)
        else each
        for each in parts
    )
    calls = any(isinstance(each, ToolCall) for each in parts)
    finish = Finished(FinishReason.TOOL_CALLS, "STOP") if calls else STOP
    second = Choice((Text("b"),), Finished(FinishReason.LENGTH, "MAX_TOKENS", choice=1))
    answer = Answer("", "", 0, (Choice(plain, finish), second), Metered(given=True, usage=Usage(1, output_text=2)))
    assert content(read_answer(write_answer(answer, maker()))) == content(answer)
    assert content(read_stream([written(answer)])) == content(answer)
