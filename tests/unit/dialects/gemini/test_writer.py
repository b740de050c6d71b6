"""Neutral events to a Gemini stream."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import chunks, content, events, maker, raw, read_stream, request, written
from tokenway.dialects.gemini.signature import closed
from tokenway.dialects.gemini.writer import Writer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
    Choice,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
    fold,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Text, ToolCall
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

TEXT, REASONING, TOOL_CALL = PartKind.TEXT, PartKind.REASONING, PartKind.TOOL_CALL
COUNTED = Metered(given=True, usage=Usage(7, output_text=3, reasoning=2))


def pieces(*given: Event, writer: Writer | None = None) -> list[object]:
    """The parts in the chunks of these events."""
    writer = writer or Writer(maker())
    found = chunks(b"".join([writer.write(each) for each in given]))
    return [piece for each in found for piece in candidate(each)["content"]["parts"]]


def candidate(response: dict[str, object]) -> dict[str, dict[str, list[object]]]:
    """The one candidate of a chunk."""
    found = response["candidates"]
    assert isinstance(found, list)
    assert len(found) == 1
    only = found[0]
    assert isinstance(only, dict)
    return only


def test_a_delta_is_one_chunk() -> None:
    """A whole response of its own, with the model that was asked for and the exchange's id."""
    writer = Writer(maker())
    assert writer.write(Started("upstream", "other")) == b""
    assert writer.write(Opened(0, TEXT)) == b""
    assert chunks(writer.write(Added(0, 'a"\n\u2028'))) == [
        {
            "candidates": [{"content": {"parts": [{"text": 'a"\n\u2028'}], "role": "model"}, "index": 0}],
            "modelVersion": "asked",
            "responseId": "gen-1",
        }
    ]
    assert writer.write(Closed(0)) == b""


def test_thoughts_are_marked_and_signed_behind() -> None:
    """The signature has a chunk of its own; another vendor's is sealed."""
    assert pieces(
        Opened(0, REASONING, format=ANTHROPIC), Added(0, "h"), Added(0, "m"), Closed(0, "sig", format=ANTHROPIC)
    ) == [
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": closed("sig", ANTHROPIC)},
    ]


def test_a_call_is_kept_until_it_is_whole() -> None:
    """Gemini has no calls in pieces; arguments that are no object are shown inside of one."""
    writer = Writer(maker())
    assert pieces(Opened(0, TOOL_CALL, "1", "f"), Added(0, '{"a"'), Added(0, ":1}"), writer=writer) == []
    assert pieces(Closed(0, "c2ln", format=GEMINI), writer=writer) == [
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}, "thoughtSignature": "c2ln"}
    ]
    assert pieces(Opened(1, TOOL_CALL, "2", "g"), Added(1, "{oops"), Closed(1), writer=writer) == [
        {"functionCall": {"name": "g", "args": {"_raw": "{oops"}, "id": "2"}}
    ]


def test_calls_may_overlap() -> None:
    """They are told apart by their number."""
    found = pieces(
        *(Opened(0, TOOL_CALL, "1", "f"), Opened(1, TOOL_CALL, "2", "g")),
        *(Added(1, '{"b":2}'), Added(0, '{"a":1}'), Closed(1), Closed(0)),
    )
    assert found == [
        {"functionCall": {"name": "g", "args": {"b": 2}, "id": "2"}},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1"}},
    ]


def test_whole_parts() -> None:
    """Media, sealed thoughts and Gemini's own; another vendor's own part has no form."""
    own = raw({"executableCode": {"code": "1"}})
    assert pieces(
        Whole(0, Media(MediaKind.IMAGE, "image/png", data="AA==")),
        Whole(1, Reasoning(sealed="enc", format=OPENAI)),
        Whole(2, Foreign("executableCode", own)),
        Whole(3, Foreign("server_tool_use", own)),
    ) == [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"text": "", "thoughtSignature": closed("enc", OPENAI)},
        {"executableCode": {"code": "1"}},
    ]


def test_a_refusal_is_text() -> None:
    """Gemini has no field for one."""
    assert pieces(Opened(0, PartKind.REFUSAL), Added(0, "no"), Closed(0)) == [{"text": "no"}]


def test_the_last_chunk_has_the_rest() -> None:
    """Why it ended, the sources, the probabilities and the usage; there is no mark behind it, and no cost."""
    writer = Writer(maker())
    for each in (
        *(Opened(0, TEXT), Added(0, "Größe"), Cited(0, "u", "t", "", 0, 5)),
        *(Logprobs(0, raw([{"token": "G", "logprob": -1.0}])), Closed(0), Counted(COUNTED)),
        *(Finished(FinishReason.CONTENT_FILTER, "refusal", detail="because"), Ended()),
    ):
        writer.write(each)
    assert chunks(writer.tail(b'"cost":1', b'"x":1')) == [
        {
            "candidates": [
                {
                    "content": {"parts": [{"text": ""}], "role": "model"},
                    "finishReason": "SAFETY",
                    "finishMessage": "because",
                    "index": 0,
                    "groundingMetadata": {
                        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
                        "groundingSupports": [
                            {"segment": {"endIndex": 7, "text": "Größe"}, "groundingChunkIndices": [0]}
                        ],
                    },
                    "logprobsResult": {
                        "chosenCandidates": [{"token": "G", "logProbability": -1.0}],
                        "topCandidates": [{"candidates": []}],
                    },
                }
            ],
            "usageMetadata": {
                "promptTokenCount": 7,
                "candidatesTokenCount": 3,
                "thoughtsTokenCount": 2,
                "totalTokenCount": 12,
            },
            "modelVersion": "asked",
            "responseId": "gen-1",
        }
    ]


@pytest.mark.parametrize("metered", [UNMETERED, ABSURD])
def test_no_usage_is_made_up(metered: Metered) -> None:
    """A count that did not come, or cannot be, is left out."""
    writer = Writer(maker())
    writer.write(Counted(metered))
    assert "usageMetadata" not in chunks(writer.tail(b"", b""))[0]


def test_what_says_nothing_writes_nothing() -> None:
    """Google's clients take a comment for a chunk, so a keep-alive is nothing too."""
    writer = Writer(maker())
    assert [writer.write(each) for each in (Ping(), Failed("no"), Ended())] == [b"", b"", b""]


@pytest.mark.parametrize("event", [Added(0, "a"), Closed(0), Added(0, "a", 1)])
def test_parts_must_be_open(event: Event) -> None:
    """More of a part that never began is a fault of the reader before."""
    writer = Writer(maker())
    writer.write(Opened(1, TEXT))
    with pytest.raises(WireError):
        writer.write(event)


def test_an_array_for_who_asked_for_one() -> None:
    """The chunks are its elements, and the last one closes it."""
    answer = Answer("", "", 0, (Choice((Text("a"), Text("b")), Finished(FinishReason.STOP, "STOP")),), COUNTED)
    assert json.loads(written(answer, array=True)) == chunks(written(answer))


WORDS = st.text(min_size=1, max_size=8)
OBJECTS = st.dictionaries(WORDS, st.integers() | WORDS | st.none(), max_size=3).map(json.dumps)
PARTS = st.lists(
    st.one_of(
        st.builds(Text, WORDS),
        st.builds(
            Reasoning,
            WORDS,
            st.sampled_from(["", "c2ln"]),
            st.just(""),
            st.just(GEMINI),
            st.just(True),
        ),
        st.just(Reasoning(sealed="b25l", format=GEMINI)),
        st.builds(lambda name, args: ToolCall(f"id-{name}", name, args), WORDS, OBJECTS),
        st.builds(lambda name: ToolCall("i", name, "{}", signature="c2ln", format=GEMINI), WORDS),
        st.just(Media(MediaKind.IMAGE, "image/png", data="AA==")),
        st.just(Foreign("toolResponse", raw({"toolResponse": {"id": "x"}}))),
    ),
    max_size=6,
)


def merged(parts: list[object]) -> bool:
    """Whether two parts would be one in a stream of Gemini's, which has no marks between them."""
    return any(
        (isinstance(one, Text) and isinstance(other, Text))
        or (
            isinstance(one, Reasoning)
            and isinstance(other, Reasoning)
            and bool(other.text)
            and bool(one.text)
            and not one.signature
        )
        for one, other in pairwise(parts)
    )


@given(PARTS.filter(lambda parts: not merged(list(parts))), st.sampled_from([COUNTED, UNMETERED]))
def test_what_is_written_reads_back(parts: list[Text], metered: Metered) -> None:
    """A stream of what Gemini can say is read as the same answer."""
    calls = any(isinstance(each, ToolCall) for each in parts)
    finish = Finished(FinishReason.TOOL_CALLS if calls else FinishReason.STOP, "STOP")
    plain = tuple(
        ToolCall(each.id, each.name, compact(each.arguments), each.custom, each.signature, each.format)
        if isinstance(each, ToolCall)
        else each
        for each in parts
    )
    answer = Answer("", "", 0, (Choice(plain, finish),), metered)
    stream = written(answer)
    assert content(read_stream([stream])) == content(answer)
    assert fold(events([stream[at : at + 7] for at in range(0, len(stream), 7)])) == read_stream([stream])


def compact(arguments: str) -> str:
    """JSON without spaces, in the letters that a writer uses."""
    return json.dumps(json.loads(arguments), separators=(",", ":"), ensure_ascii=False)


def test_an_answer_that_another_has_begun_keeps_its_name() -> None:
    """Its id is what it has told; citations count from the beginning of what it has said."""
    writer = Writer(msgspec.structs.replace(maker(), answer="resp-up"))
    writer.follow(b"", (Started("resp-up"), Opened(0, TEXT), Added(0, "hi ")))
    (chunk,) = chunks(writer.write(Added(0, "there")))
    assert chunk["responseId"] == "resp-up"
    writer.write(Cited(0, "https://u", start=3, end=8))
    (last,) = chunks(writer.tail(b"", b""))
    assert "there" in json.dumps(candidate(last)["groundingMetadata"])


def test_an_array_that_another_has_begun_goes_on() -> None:
    """Also where all that was sent is an empty chunk."""
    asked = msgspec.structs.replace(maker(), request=request(array=True))
    writer = Writer(asked)
    writer.follow(b"{}", (Started(),))
    out = writer.write(Opened(0, TEXT)) + writer.write(Added(0, "hi")) + writer.tail(b"", b"")
    assert len(json.loads(b"[{}" + out)) == 3
