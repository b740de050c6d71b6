"""A Gemini stream to neutral events."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import chunk, event, events, raw, read_stream
from tokenway.dialects.gemini.reader import Reader
from tokenway.dialects.seal import GEMINI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Started,
    Whole,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Text, ToolCall
from tokenway.model.usage import ABSURD, Metered, Usage

CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
STOP = {"finishReason": "STOP"}
TEXT, REASONING = PartKind.TEXT, PartKind.REASONING


def parts(*pieces: object) -> tuple[object, ...]:
    """The parts of an answer whose chunks hold one piece each."""
    return read_stream([*(chunk(piece) for piece in pieces), chunk({"text": ""}, **STOP)]).choices[0].parts


def test_the_events_of_a_plain_stream() -> None:
    """Text goes on as long as text follows; what is owed comes with the end of the body."""
    assert events([chunk({"text": "a"}), chunk({"text": "b"}), chunk({"text": ""}, **STOP)]) == [
        Started("r1", "gemini-2.5-flash"),
        Opened(0, TEXT),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0),
        Finished(FinishReason.STOP, "STOP"),
        Ended(),
    ]


def test_thoughts_then_text() -> None:
    """A change of kind closes what was open; Google calls what it shows summaries."""
    assert events([chunk({"text": "hm", "thought": True}), chunk({"text": "a"}, **STOP)])[1:-2] == [
        Opened(0, REASONING, format=GEMINI, summary=True),
        Added(0, "hm"),
        Closed(0),
        Opened(1, TEXT),
        Added(1, "a"),
        Closed(1),
    ]


def test_calls_come_whole() -> None:
    """Without an id they get one that does not depend on how often the answer is read; spacing goes."""
    given_id = {"functionCall": {"id": "own", "name": "g"}, "thoughtSignature": "c2ln"}
    found = read_stream([chunk({"text": "a"}), chunk(CALL, given_id, CALL), chunk({"text": ""}, **STOP)]).choices[0]
    assert found.parts == (
        Text("a"),
        ToolCall("call_r1_0", "f", '{"a":1}'),
        ToolCall("own", "g", "{}", signature="c2ln", format=GEMINI),
        ToolCall("call_r1_2", "f", '{"a":1}'),
    )
    assert found.finish == Finished(FinishReason.TOOL_CALLS, "STOP")


def test_calls_of_several_candidates() -> None:
    """Each candidate counts its own."""
    stream = [chunk(CALL, index=1, **STOP), chunk(CALL, index=0, **STOP)]
    first, second = read_stream(stream).choices
    assert (first.parts, second.parts) == (
        (ToolCall("call_r1_0", "f", '{"a":1}'),),
        (ToolCall("call_r1_1_0", "f", '{"a":1}'),),
    )


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        # a signature beside a text, or alone behind it, is a sealed thought after the text
        ([{"text": "a"}, {"text": "b", "thoughtSignature": "s"}], (Text("ab"), Reasoning(sealed="s", format=GEMINI))),
        ([{"text": "a"}, {"text": "", "thoughtSignature": "s"}], (Text("a"), Reasoning(sealed="s", format=GEMINI))),
        ([{"thoughtSignature": "s"}], (Reasoning(sealed="s", format=GEMINI),)),
        (
            [{"text": "a", "thoughtSignature": "s"}, {"text": "b", "thoughtSignature": "t"}],
            (Text("a"), Reasoning(sealed="s", format=GEMINI), Text("b"), Reasoning(sealed="t", format=GEMINI)),
        ),
        # beside a thought it signs it
        (
            [{"text": "h", "thought": True}, {"text": "m", "thought": True, "thoughtSignature": "s"}],
            (Reasoning("hm", "s", format=GEMINI, summary=True),),
        ),
        (
            [{"text": "h", "thought": True}, {"text": "", "thought": True, "thoughtSignature": "s"}, {"text": "a"}],
            (Reasoning("h", "s", format=GEMINI, summary=True), Text("a")),
        ),
        ([{"text": "", "thought": True, "thoughtSignature": "s"}], (Reasoning(sealed="s", format=GEMINI),)),
        (
            [{"text": "h", "thought": True}, {"text": "", "thoughtSignature": "s"}],
            (Reasoning("h", format=GEMINI, summary=True), Reasoning(sealed="s", format=GEMINI)),
        ),
        # media
        ([{"inlineData": {"mimeType": "image/png", "data": "AA"}}], (Media(MediaKind.IMAGE, "image/png", data="AA"),)),
        ([{"fileData": {"fileUri": "u.mp3"}}], (Media(MediaKind.AUDIO, url="u.mp3"),)),
        # nothing
        ([{"text": ""}, {"thought": True}, {"text": None}, {}], ()),
    ],
)
def test_what_pieces_become(pieces: list[object], expected: tuple[object, ...]) -> None:
    """The table, piece by piece, and the same when all of them come in one chunk."""
    assert parts(*pieces) == expected
    assert read_stream([chunk(*pieces, **STOP)]).choices[0].parts == expected


def test_parts_of_gemini_s_own() -> None:
    """They keep their bytes and their name, also where the name is new; text around them is apart."""
    code = {"executableCode": {"code": "1"}, "thoughtSignature": "c2ln"}
    new = {"somethingNew": {"a": 1}}
    assert events([chunk({"text": "a"}, code, new, {"text": "b"}, **STOP)])[3:7] == [
        Closed(0),
        Whole(1, Foreign("executableCode", raw(code))),
        Whole(2, Foreign("somethingNew", raw(new))),
        Opened(3, TEXT),
    ]


def test_usage_is_told_with_every_chunk() -> None:
    """The last one counts; Vertex's usage without counts is none, and an absurd one is told as such."""

    def counted(**usage: object) -> bytes:
        return event({"candidates": [], "usageMetadata": usage})

    found = [
        each.metered
        for each in events(
            [
                counted(promptTokenCount=5, totalTokenCount=5),
                counted(trafficType="ON_DEMAND"),
                counted(promptTokenCount=5, candidatesTokenCount=2, totalTokenCount=7),
                counted(promptTokenCount=-1),
            ]
        )
        if isinstance(each, Counted)
    ]
    assert found == [Metered(given=True, usage=Usage(5)), Metered(given=True, usage=Usage(5, output_text=2)), ABSURD]


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.ERROR),
        ("OTHER", FinishReason.ERROR),
        ("SOMETHING_NEW", FinishReason.STOP),
    ],
)
def test_finish_reasons(native: str, reason: FinishReason) -> None:
    """Each with the upstream's own word; its message is told where it tells anything."""
    found = read_stream([chunk({"text": "a"}, finishReason=native, finishMessage="because")]).choices[0].finish
    detail = "because" if reason in {FinishReason.CONTENT_FILTER, FinishReason.ERROR} else ""
    assert found == Finished(reason, native, detail=detail)


def test_a_call_does_not_hide_a_failure() -> None:
    """Only STOP with calls means that tools are wanted."""
    found = read_stream([chunk(CALL, finishReason="MAX_TOKENS")]).choices[0].finish
    assert found.reason is FinishReason.LENGTH


def test_a_blocked_prompt() -> None:
    """No candidates, but an answer: empty, ended by the content filter."""
    blocked = event({"promptFeedback": {"blockReason": "JAILBREAK", "blockReasonMessage": "no"}})
    found = read_stream([blocked]).choices
    assert [(each.parts, each.finish) for each in found] == [
        ((), Finished(FinishReason.CONTENT_FILTER, "JAILBREAK", detail="no"))
    ]


def test_an_answer_that_is_cut_owes_nothing() -> None:
    """Without a finish reason of every candidate there is no end."""
    assert not any(isinstance(each, Finished | Ended) for each in events([chunk({"text": "a"})]))
    assert events([chunk({"text": "a"}, index=0, **STOP), chunk({"text": "b"}, index=1)])[-1] == Added(0, "b", 1)
    assert Reader().end() == ()


def test_citations_stand_at_the_text_that_is_open() -> None:
    """Chunks repeat them; each comes once, before the text closes, also where a signature follows it."""
    grounding = {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [{"segment": {"endIndex": 2, "text": "ab"}, "groundingChunkIndices": [0]}],
    }
    stream = [
        chunk({"text": "a"}, groundingMetadata={}),
        chunk({"text": "b"}, groundingMetadata=grounding),
        chunk({"text": "", "thoughtSignature": "s"}, groundingMetadata=grounding, **STOP),
    ]
    assert events(stream)[4:7] == [
        Cited(0, "u", "t", "", 0, 2),
        Closed(0),
        Whole(1, Reasoning(sealed="s", format=GEMINI)),
    ]


def test_log_probabilities() -> None:
    """They belong to the text that is open."""
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1.0}]}
    found = [
        each for each in events([chunk({"text": "a"}, logprobsResult=result, **STOP)]) if isinstance(each, Logprobs)
    ]
    assert [(each.part, json.loads(bytes(each.tokens))[0]["logprob"]) for each in found] == [(0, -1.0)]


def test_when_vertex_made_it() -> None:
    """Its time of creation becomes Unix time; nonsense is none."""
    for text, created in (("2025-01-01T00:00:00.5Z", 1735689600), ("soon", 0), (None, 0), (5, 0)):
        answer = read_stream([event({"candidates": [{"finishReason": "STOP"}], "createTime": text})])
        assert answer.created == created


def test_an_error_in_the_stream() -> None:
    """Its message, status name and code."""
    found = Reader().read(b'{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}')
    assert found == [Failed("overloaded", "UNAVAILABLE", 503)]
    assert Reader().read(b'{"error":"broken"}') == [Failed("broken")]


@pytest.mark.parametrize(
    "frame",
    [
        b"x",
        b"[]",
        b"{}",
        b'{"candidates":[{"content":{"parts":[{"text":5}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","willContinue":true}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":5}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"inlineData":5}]}}]}',
    ],
)
def test_what_is_no_response(frame: bytes) -> None:
    """Each is a WireError; a comment is nothing."""
    with pytest.raises(WireError):
        Reader().read(frame)
    assert Reader().read(b"") == ()


PIECES = st.sampled_from(
    [
        *({"text": "a"}, {"text": "é"}, {"text": ""}, {"text": "h", "thought": True}, CALL),
        *({"text": "b", "thoughtSignature": "s"}, {"text": "", "thoughtSignature": "t"}, {"executableCode": {}}),
        *({"text": "", "thought": True, "thoughtSignature": "u"}, {"inlineData": {"mimeType": "a/b", "data": "AA"}}),
    ]
)


@given(st.lists(st.lists(PIECES, max_size=3), max_size=6), st.lists(st.integers(0, 3000), max_size=8))
def test_how_an_answer_is_cut_does_not_matter(cut: list[list[object]], cuts: list[int]) -> None:
    """Neither into chunks nor into pieces of the network: the parts are the whole answer's."""
    whole = read_stream([chunk(*(piece for pieces in cut for piece in pieces), **STOP)])
    stream = b"".join([*(chunk(*pieces) for pieces in cut), chunk({"text": ""}, **STOP)])
    edges = sorted({0, len(stream), *(min(each, len(stream)) for each in cuts)})
    assert read_stream(stream[a:b] for a, b in pairwise(edges)) == whole


def test_a_text_that_is_over_may_still_be_cited() -> None:
    """What comes last says what each text rests on: a stretch is found in the text that has it."""
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    last = chunk(
        CALL,
        **STOP,
        groundingMetadata={
            "groundingChunks": [{"web": {"uri": "https://a.test"}}, {"image": {"sourceUri": "https://b.test"}}],
            "groundingSupports": [
                {"segment": {"endIndex": 5, "text": "first"}, "groundingChunkIndices": [0]},
                {"segment": {"startIndex": 1, "endIndex": 3, "text": "ec"}, "groundingChunkIndices": [1]},
            ],
        },
        logprobsResult={"chosenCandidates": [{"token": "x", "logProbability": -1}]},
    )
    found = read_stream([chunk({"text": "first"}), chunk(code), chunk({"text": "second"}), last]).choices[0]
    assert found.citations == (
        Cited(0, "https://a.test", start=0, end=5),
        Cited(2, "https://b.test", start=1, end=3),
    )
    assert [each.part for each in found.logprobs] == [2]
