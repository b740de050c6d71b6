"""Answers as they pass: what is forwarded, what is held back, what is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import HELLO, chunk, event, request
from tokenway.dialects.gemini.passing import PassingGemini, Phase, priced, read_whole
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, UNMETERED, Usage

USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
COUNTED = Usage(input_uncached=7, output_text=3)
ERROR = event({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
PING = b": ping\n\n"


def text(content: str, **candidate: object) -> bytes:
    """A chunk that adds text."""
    return chunk({"text": content}, **candidate)


def thought(content: str) -> bytes:
    """A chunk that adds to a thought."""
    return chunk({"text": content, "thought": True})


def last(content: str = "", count: int = 3, index: int = 0) -> bytes:
    """A chunk that ends a candidate and counts."""
    found = json.loads(chunk({"text": content}, index=index, finishReason="STOP").removeprefix(b"data: "))
    usage = {"promptTokenCount": 7, "candidatesTokenCount": count, "totalTokenCount": 7 + count}
    return event(found | {"usageMetadata": usage})


def read(pieces: Iterable[bytes], reader: PassingGemini | None = None) -> tuple[bytes, PassingGemini]:
    """What is forwarded of these pieces, a second apart, and the reader."""
    reader = reader or PassingGemini(request())
    return b"".join([reader.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)]), reader


def test_chunks_pass_as_they_came() -> None:
    """Everything is forwarded with its own bytes; the chunk that ends the answer is for the tail."""
    parts = [thought("hm"), text("a"), PING, text("b"), last("c")]
    out, reader = read(parts)
    assert out == b"".join(parts[:-1])
    assert (reader.is_whole, reader.is_calm) == (False, True)
    assert reader.finish() == b""
    assert (reader.is_whole, reader.phase, reader.is_calm) == (True, Phase.DONE, False)
    assert reader.tail(b'"cost":1', b'"x":2') == parts[-1]
    assert (reader.metered.usage, reader.finish_reason) == (COUNTED, "STOP")


CALL = {"functionCall": {"name": "f", "args": {}}}


def test_an_answer_with_tools_to_call_says_so() -> None:
    """In the books: no finish reason of this dialect does. Also in a chunk of its own, behind others that are plain."""
    _, reader = read([text("a"), text("b"), chunk(CALL), last()])
    assert reader.finish_reason == "tool_calls"
    _, reader = read([text("a"), text("b"), chunk(CALL, finishReason="MAX_TOKENS")])
    assert reader.finish_reason == "MAX_TOKENS"
    whole = chunk(CALL, finishReason="STOP").removeprefix(b"data: ")
    assert read_whole(Operation.CHAT, whole).finish_reason == "tool_calls"


def test_stamps() -> None:
    """Thoughts are deltas, but not the answer; an empty text is neither."""
    _, reader = read([chunk({"text": ""}), thought("hm"), text("a"), text("b"), last()])
    assert (reader.first_delta, reader.first_answer, reader.last_delta) == (2.0, 3.0, 4.0)
    _, reader = read([chunk({"functionCall": {"name": "f"}})])
    assert reader.first_answer == 1.0


def test_a_finish_reason_in_every_chunk_delays_one_chunk() -> None:
    """Older models write it everywhere: what is held goes out when another chunk follows."""
    parts = [text("a", finishReason="STOP"), text("b", finishReason="STOP"), last("c")]
    reader = PassingGemini(request())
    assert [reader.feed(part, 1.0) for part in parts] == [b"", parts[0], parts[1]]
    assert reader.finish() == b""
    assert reader.tail(b"", b"") == parts[2]


def test_after_the_end_only_chunks_count() -> None:
    """A keep-alive behind it is dropped, so that what is held keeps its place."""
    out, reader = read([text("a"), last("b"), PING, b"nonsense\n\n"])
    assert out + reader.finish() == text("a")
    assert reader.tail(b"", b"") == last("b")


def test_every_candidate_must_finish() -> None:
    """With two of them, one finish reason does not end the answer."""
    body = {**HELLO, "generationConfig": {"candidateCount": 2}}
    out, reader = read([last("a", index=0)], PassingGemini(request(body)))
    assert (out, reader.finish(), reader.is_whole) == (last("a", index=0), b"", False)
    assert (reader.feed(last("b", index=1), 2.0), reader.finish(), reader.is_whole) == (b"", b"", True)


def test_a_blocked_prompt_is_a_whole_answer() -> None:
    """It has no candidates, only the reason why."""
    blocked = event({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}})
    out, reader = read([blocked])
    assert out + reader.finish() == b""
    assert reader.is_whole
    assert reader.finish_reason == "SAFETY"
    assert reader.tail(b"", b"") == blocked


@pytest.mark.parametrize("error", [ERROR, b'{\n  "error": {\n    "message": "overloaded"\n  }\n}\n\n'])
@pytest.mark.parametrize("before", [[], [text("a")], [text("a"), last("b")]])
def test_an_error_ends_the_stream(before: list[bytes], error: bytes) -> None:
    """With or without `data:`; nothing after it is forwarded, and it is kept as it came."""
    out, reader = read([*before, error, text("late")])
    assert b"overloaded" not in out
    assert b"late" not in out
    assert (reader.fault, reader.fault_event, reader.is_calm) == ("overloaded", error, False)


def test_an_error_ends_an_array_as_its_last_element() -> None:
    """Who asked for one array gets one, whether or not the error came in one read with what was before it."""
    for pieces in ([text("a"), ERROR], [text("a") + ERROR]):
        out, reader = read(pieces, PassingGemini(request(array=True)))
        first, second = json.loads(out + reader.fault_event)
        assert first["candidates"][0]["content"]["parts"] == [{"text": "a"}]
        assert second["error"]["message"] == "overloaded"


def test_what_is_counted_behind_an_error_does_not_count() -> None:
    """The count before it stays, also where all came in one read."""
    _, reader = read([text("a") + last("b"), ERROR + last("c", count=99)])
    assert reader.metered.usage == COUNTED


def test_a_finish_reason_is_no_end_while_the_body_goes_on() -> None:
    """A connection that breaks behind one may have lost the rest: older models write it into every chunk."""
    _, reader = read([text("a", finishReason="STOP")])
    assert not reader.is_whole
    reader.finish()
    assert reader.is_whole


def test_a_stream_that_is_cut_is_not_whole() -> None:
    """The end of the body without a finish reason ends nothing; half an event gives nothing."""
    out, reader = read([text("a"), text("b")[:-20]])
    assert out + reader.finish() == text("a")
    assert not reader.is_whole
    assert reader.is_calm


def test_a_last_event_without_its_blank_line() -> None:
    """It counts as if it had one."""
    _, reader = read([text("a"), last("b").rstrip()])
    assert (reader.is_whole, reader.finish(), reader.phase) == (False, b"", Phase.DONE)
    assert reader.tail(b"", b"") == last("b")
    assert reader.metered.usage == COUNTED


@pytest.mark.parametrize("first", [b"data: {}\n\n", b"data: [1]\n\n", b"data: x\n\n", b'data: {"candidates":5}\n\n'])
def test_what_is_no_response_is_refused(first: bytes) -> None:
    """Before the first text, an event of something else is a fault of the upstream."""
    with pytest.raises(WireError):
        read([first])
    odd = b'data: {"candidates":5}\n\n'
    assert read([text("a"), odd])[0].endswith(odd)
    out, reader = read([text("a"), text("b") + b"data: x\n\n" + text("c")])
    assert out == text("a") + text("b")
    assert "not one of this dialect" in reader.fault


def test_comments_before_the_first_chunk_commit_nobody() -> None:
    """A keep-alive before the first chunk is not forwarded, so that another endpoint can still be asked."""
    out, reader = read([PING, b"data:\n\n"])
    assert out == b""
    assert reader.phase is Phase.WAITING


def test_usage_is_there_when_a_stream_is_left_early() -> None:
    """Every chunk has the count so far; one that counts nothing hides none."""
    counting = event(json.loads(text("b").removeprefix(b"data: ")) | {"usageMetadata": USAGE})
    other = event(json.loads(text("c").removeprefix(b"data: ")) | {"usageMetadata": {"trafficType": "ON_DEMAND"}})
    _, reader = read([text("a"), counting, other])
    assert reader.metered.usage == COUNTED
    assert PassingGemini(request()).metered == UNMETERED


def test_absurd_counts_are_flagged() -> None:
    """The chunk passes all the same."""
    out, reader = read([text("a"), last(count=-3)])
    assert out == text("a")
    assert reader.metered == ABSURD
    assert reader.tail(b"", b"") == last(count=-3)


WHOLE = (
    b": hello\n\n"
    + thought("hm")
    + text("é\U0001f600")
    + text('"finishReason"')
    + text("data: [DONE]")
    + last("x")
    + PING
)


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], line_end: bytes, array: bool) -> None:
    """Any pieces, with any line ends, give the same bytes, usage and finish reason as the whole."""
    stream = WHOLE.replace(b"\n", line_end)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})

    def passed(pieces: Iterable[bytes]) -> tuple[bytes, object, str, Phase]:
        reader = PassingGemini(request(array=array))
        out, _ = read(pieces, reader)
        out += reader.finish()
        return out + reader.tail(b"", b""), reader.metered, reader.finish_reason, reader.phase

    assert passed(stream[a:b] for a, b in pairwise(edges)) == passed([stream])


class Careful(PassingGemini):
    """A reader that decodes every event."""

    @property
    def _is_quick(self) -> bool:
        return False

    @_is_quick.setter
    def _is_quick(self, value: bool) -> None:
        pass


PARTS = st.sampled_from(
    [
        *(text("a"), text('"'), text("\\"), text("x\\"), text("\n\n"), text('"error":'), thought("t"), PING),
        *(last("b"), last(), ERROR, text("c", finishReason="MAX_TOKENS"), chunk({"functionCall": {"name": "error"}})),
        event({"usageMetadata": USAGE, "candidates": []}),
        text("e").replace(b'":', b'" : '),
    ]
)


@given(st.lists(PARTS, max_size=20), st.integers(1, 3))
def test_the_quick_way_sees_what_the_careful_one_sees(parts: list[bytes], at_once: int) -> None:
    """Chunks that are not decoded hold nothing that matters: bytes, usage, finish, faults and stamps are the same."""
    parts = [text("first"), *parts]
    pieces = [b"".join(parts[at : at + at_once]) for at in range(0, len(parts), at_once)]
    out, quick = read(pieces)
    expected, careful = read(pieces, Careful(request()))
    assert out + quick.finish() + quick.tail(b"", b"") == expected + careful.finish() + careful.tail(b"", b"")
    for name in (
        "metered",
        "finish_reason",
        "phase",
        "fault",
        "fault_event",
        "is_whole",
        "first_delta",
        "first_answer",
    ):
        assert getattr(quick, name) == getattr(careful, name)


@pytest.mark.parametrize("colon", [":", ": ", " : ", ":  ", ":\t", " :"])
def test_spacing_hides_nothing(colon: str) -> None:
    """However a provider spaces its JSON, usage and finish reason are found behind the first text."""
    parts = [part.replace(b'": ', b'"' + colon.encode()) for part in (text("a"), text("b"), last("c"))]
    out, reader = read(parts)
    assert out + reader.finish() == b"".join(parts[:2])
    assert reader.is_whole
    assert reader.metered.usage == COUNTED


def test_an_array_for_who_asked_for_one() -> None:
    """The same chunks as elements; the last one and the bracket are for the tail."""
    caller = request(array=True)
    reader = PassingGemini(caller)
    out, _ = read([text("a"), text("b"), PING, last("c")], reader)
    out += reader.finish()
    assert out.startswith(b"[{")
    assert caller.array_opened
    found = json.loads(out + reader.tail(b"", b""))
    assert [each["candidates"][0]["content"]["parts"][0]["text"] for each in found] == ["a", "b", "c"]


# -- whole answers ---------------------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    """Its usage, and why it ended; it has no room for a cost."""
    body = json.dumps({"candidates": [{"finishReason": "MAX_TOKENS"}], "usageMetadata": USAGE}).encode()
    found = read_whole(Operation.CHAT, body)
    assert (found.metered.usage, found.finish_reason) == (COUNTED, "MAX_TOKENS")
    assert json.loads(found.usage) == USAGE
    assert priced(body, b'"cost":1', found.usage) == body


def test_a_blocked_prompt_is_an_answer() -> None:
    """The block is why it ended."""
    assert read_whole(Operation.CHAT, b'{"promptFeedback":{"blockReason":"OTHER"}}').finish_reason == "OTHER"


@pytest.mark.parametrize(
    "body", [b'{"embedding":{"values":[1]}}', b'{"embeddings":[],"usageMetadata":{"promptTokenCount":2}}']
)
def test_embeddings(body: bytes) -> None:
    """One or a list of them; newer models count."""
    usage = read_whole(Operation.EMBEDDING, body).metered.usage
    assert usage == (Usage(input_uncached=2) if b"usage" in body else None)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Operation.CHAT, b"<html>"),
        (Operation.CHAT, b"[]"),
        (Operation.CHAT, b"{}"),
        (Operation.CHAT, b'{"candidates":[]}'),
        (Operation.CHAT, b'{"promptFeedback":{}}'),
        (Operation.CHAT, b'{"error":{"message":"no"}}'),
        (Operation.EMBEDDING, b"{}"),
        (Operation.EMBEDDING, b'{"error":{"message":"no"},"embeddings":[]}'),
    ],
)
def test_what_is_no_answer(operation: Operation, body: bytes) -> None:
    """An error, nothing, or something else with status 200 is a fault of the upstream."""
    with pytest.raises(WireError):
        read_whole(operation, body)
