"""Answers as they pass: what is forwarded, what is held back, what is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import FAULT_TEXT, fault_text
from tokenway.dialects.openai_chat.passing import (
    END,
    NO_FINISH,
    PassingChat,
    Phase,
    are_plain,
    read_whole,
    with_usage_members,
)
from tokenway.dialects.passing import GAP_BUCKETS
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import Usage

ROLE = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
ERROR = b'data: {"error":{"message":"overloaded","code":529}}\n\n'
COUNTED = Usage(input_uncached=7, output_text=3)


def text(content: str, index: int = 0) -> bytes:
    """A chunk that adds text."""
    delta = json.dumps({"index": index, "delta": {"content": content}, "finish_reason": None}, separators=(",", ":"))
    return b'data: {"id":"c","choices":[%b]}\n\n' % delta.encode()


def finish(index: int = 0) -> bytes:
    """A chunk that ends a choice."""
    return b'data: {"id":"c","choices":[{"index":%d,"delta":{},"finish_reason":"stop"}]}\n\n' % index


def read(pieces: Iterable[bytes], reader: PassingChat | None = None) -> tuple[bytes, PassingChat]:
    """What is forwarded of these pieces, a second apart, and the reader."""
    reader = reader or PassingChat()
    return b"".join([reader.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)]), reader


def test_chunks_pass_as_they_came() -> None:
    """Every chunk is forwarded with its own bytes; the usage without choices and the end mark are held back."""
    chunks = [ROLE, text("a"), b": ping\n\n", text("b"), finish()]
    out, reader = read([*chunks, USAGE, END])
    assert out == b"".join(chunks)
    assert not reader.is_calm
    assert reader.is_whole
    assert reader.metered.usage == COUNTED
    assert reader.finish_reason == "stop"


FORCED = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}


def test_a_call_that_was_forced_says_so() -> None:
    """In the books: its finish reason is `stop`."""
    delta = json.dumps({"index": 0, "delta": FORCED, "finish_reason": None})
    _, reader = read([ROLE, b'data: {"id":"c","choices":[%b]}\n\n' % delta.encode(), finish(), USAGE, END])
    assert reader.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("message", "finish_reason", "word"),
    [
        (FORCED, "stop", "tool_calls"),
        (FORCED, "tool_calls", "tool_calls"),
        (FORCED, "length", "length"),
        ({"content": 'say "tool_calls":[{"', "tool_calls": []}, "stop", "stop"),
        ({"content": "hi", "tool_calls": None}, "stop", "stop"),
        ("odd", "stop", "stop"),
    ],
)
def test_a_whole_answer_with_a_forced_call(message: Any, finish_reason: str, word: str) -> None:
    """The same of an answer that does not stream."""
    body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}]}).encode()
    assert read_whole(Operation.CHAT, body).finish_reason == word


def test_an_end_mark_behind_half_an_answer() -> None:
    """With neither a finish reason nor usage the answer was cut; either of them is enough for a whole one."""
    out, reader = read([ROLE, text("a"), END])
    assert (out, reader.fault, reader.is_whole) == (ROLE + text("a"), NO_FINISH, False)
    for last in (finish(), USAGE):
        _, reader = read([ROLE, text("a"), last, END])
        assert (reader.fault, reader.is_whole) == ("", True)


WHOLE = b": hello\n\n" + ROLE + text("é\U0001f600") + text('"usage":{') + text("[DONE]") + finish() + USAGE + END


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int], line_end: bytes) -> None:
    """Any pieces, with any line ends, give the same bytes, usage and finish reason as the whole."""
    stream = WHOLE.replace(b"\n", line_end)
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    out, reader = read(stream[a:b] for a, b in pairwise(edges))
    whole, other = read([stream])
    assert out == whole
    assert (reader.metered, reader.finish_reason, reader.phase) == (other.metered, other.finish_reason, Phase.DONE)


class Careful(PassingChat):
    """A reader that decodes every event."""

    def _is_plain(self, whole: bytes) -> bool:
        return False


PARTS = st.sampled_from(
    [
        *(
            text("a"),
            text("b"),
            text(""),
            text('"'),
            text("\\"),
            text("x\\"),
            text("\n\n"),
            text('"usage":{'),
            text("a", 1),
        ),
        *(finish(), finish(1), USAGE, ERROR, END, ROLE, b": ping\n\n", b"data: {broken\n\n"),
        text("c").replace(b'"delta"', b'"usage":{"prompt_tokens":1},"delta"'),
        text("d").replace(b'"id":"c"', b'"id":"other"'),
        text("e").replace(b'":', b'" : '),
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"f\\"},"finish_reason":null}]}\n\n',
    ]
)


@given(st.lists(PARTS, max_size=25), st.integers(1, 3))
def test_the_quick_way_sees_what_the_careful_one_sees(parts: list[bytes], at_once: int) -> None:
    """Chunks that are not decoded hold nothing that matters: bytes, usage, finish, faults and stamps are the same."""
    parts = [text("first"), *parts]
    pieces = [b"".join(parts[at : at + at_once]) for at in range(0, len(parts), at_once)]
    out, quick = read(pieces)
    expected, careful = read(pieces, Careful())
    assert out == expected
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


def test_byte_by_byte() -> None:
    """A stream that comes in single bytes is forwarded event by event."""
    out, reader = read(WHOLE[at : at + 1] for at in range(len(WHOLE)))
    assert out == read([WHOLE])[0]
    assert reader.metered.usage == COUNTED


@pytest.mark.parametrize("colon", [":", ": ", " : ", ":  ", ":\t", " :"])
def test_spacing_hides_no_usage_and_no_finish(colon: str) -> None:
    """However a provider spaces its JSON, the usage and the finish reason are found behind the first text."""
    parts = [part.replace(b'":', b'"' + colon.encode()) for part in (text("a"), text("b"), finish(), USAGE)]
    out, reader = read(parts)
    assert reader.is_whole
    assert reader.metered.usage == COUNTED
    assert out == b"".join(parts[:3])


def test_comments_before_the_first_chunk_commit_nobody() -> None:
    """A keep-alive before the first chunk is not forwarded, so that another endpoint can still be asked."""
    out, reader = read([b": PROCESSING\n\n", b"data:\n\n"])
    assert out == b""
    assert reader.phase is Phase.WAITING


@pytest.mark.parametrize(
    "event",
    [
        b"data: {}\n\n",
        b'data: {"usage":null}\n\n',
        b"data: [DONE]\n\n",
        b"data: <html>\n\n",
        b"data: []\n\n",
        b'data: {"id":"\xff"}\n\n',
        b'data: {"error":%b}\n\n' % (b"[" * 100_000),
    ],
    ids=range(7),
)
def test_a_stream_must_begin_with_a_chunk(event: bytes) -> None:
    """What is no chunk, and an end mark before any, is no answer of this dialect."""
    with pytest.raises(WireError):
        PassingChat().feed(event, 1.0)


def test_a_first_event_may_be_usage_alone() -> None:
    """A provider that begins with the count of the prompt has begun to answer."""
    _, reader = read([USAGE])
    assert reader.phase is Phase.FLOWING
    assert reader.metered.usage == COUNTED


def test_what_is_no_chunk_after_the_first_text_passes_if_it_is_an_object() -> None:
    """After the first text events are not decoded one by one, so how they are cut must not matter."""
    odd, broken = b'data: {"choices":5}\n\n', b"data: {broken\n\n"
    assert read([text("a") + odd + finish()])[0] == read([text("a"), odd, finish()])[0] == text("a") + odd + finish()
    for pieces in ([text("a") + broken + finish()], [text("a"), broken, finish()], [text("a") + broken, finish()]):
        out, reader = read(pieces)
        assert out == text("a")
        assert (reader.is_whole, reader.fault_event) == (False, b"")
        assert "not one of this dialect" in reader.fault


def test_plain_chunks_are_told_at_a_glance() -> None:
    """One or many; what else is among them is looked at, and so is what is spelled in another way."""
    plain = text("a") + text('"error"') + b'data: {"choices":[],"usage":null,"error":null}\n\n'
    assert are_plain(text("a"))
    assert are_plain(plain)
    others = [finish(), USAGE, END, ERROR, b": ping\n\n", b"data: {broken\n\n", b'data: {"choices":5}\n\n']
    others += [text("a").replace(b"\n", b"\r\n"), text("a").replace(b":[", b":\n["), text("a").replace(b":[", b":\r[")]
    for other in others:
        for events in (other, plain + other, other + plain):
            assert not are_plain(events)


def test_an_error_ends_the_stream() -> None:
    """An error in the stream is kept with its bytes; what came before it in the same piece is still forwarded."""
    out, reader = read([ROLE, text("a") + ERROR + text("b")])
    assert out == ROLE + text("a")
    assert reader.fault == "overloaded"
    assert reader.fault_event == ERROR
    assert not reader.is_whole


def test_nothing_follows_the_end_mark() -> None:
    """A provider that repeats its end mark, or talks on behind it, is not heard."""
    out, reader = read([text("a"), finish(), END + END + text("b"), text("c")])
    assert out == text("a") + finish()
    assert not reader.is_calm


def test_a_stream_without_mark_is_whole_when_every_choice_finished() -> None:
    """Two finish reasons of one choice do not stand for the other choice's."""
    _, reader = read([text("a"), finish(0), finish(0)], PassingChat(2))
    assert not reader.is_whole
    reader.feed(finish(1), 9.0)
    assert reader.is_whole


def test_the_last_event_may_lack_its_blank_line() -> None:
    """A body that ends right behind the last event's data has that event."""
    reader = PassingChat()
    reader.feed(text("a") + finish().rstrip(), 1.0)
    assert reader.finish() == finish()
    assert reader.is_whole


@pytest.mark.parametrize("half", [b'data: {"id":"c","cho', b"data", b"data: ", b": pi", b"\n", b"data: [DO"])
def test_half_an_event_gives_nothing(half: bytes) -> None:
    """What the body breaks off in is not forwarded, and does not spoil an answer that was whole before."""
    reader = PassingChat()
    reader.feed(text("a") + finish() + half, 1.0)
    assert reader.finish() == b""
    assert reader.is_whole


def test_stamps_say_when_text_came() -> None:
    """The first delta may be reasoning, the first answer is not, and the last one is the last."""
    reasoning = b'data: {"id":"c","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\n\n'
    _, reader = read([ROLE, reasoning, text("a"), text("b")])
    assert (reader.first_delta, reader.first_answer, reader.last_delta) == (2.0, 3.0, 4.0)


def test_a_comment_is_no_delta() -> None:
    """A keep-alive in the middle of a stream passes and does not make the stream look faster or slower."""
    _, reader = read([ROLE, *[text("a")] * 20, b": ping\n\n"])
    assert reader.last_delta == 21.0


def test_gaps_are_counted_by_powers_of_two() -> None:
    """Gap i is below 2^i milliseconds; beyond the last bucket all go into it."""
    reader = PassingChat()
    for now in (1.0, 1.0, 1.003, 5000.0):
        reader.feed(text("a"), now)
    assert reader.gap_counts[0] == 1
    assert reader.gap_counts[2] == 1
    assert reader.gap_counts[GAP_BUCKETS - 1] == 1


def test_tail_for_who_did_not_ask() -> None:
    """Without interest in usage the caller gets the end mark alone."""
    reader = PassingChat(asks_usage=False)
    for event in (text("a"), finish(), USAGE, END):
        reader.feed(event, 1.0)
    assert reader.tail(b'"cost":1', b'"tokenway":{}') == END


def tail_of(reader: PassingChat, members: bytes = b"") -> dict[str, object]:
    """The event before the end mark, decoded."""
    tail = reader.tail(members, b'"tokenway":{"attempts":1}')
    assert tail.endswith(END)
    decoded: dict[str, object] = json.loads(tail.removeprefix(b"data: ").removesuffix(END))
    return decoded


def test_tail_carries_the_providers_usage_and_what_is_added() -> None:
    """The provider's own last chunk comes with the cost in its usage and the gateway's member behind it."""
    _, reader = read([text("a"), finish(), USAGE, END])
    assert tail_of(reader, b'"cost":0.5') == {
        "id": "c",
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5},
        "tokenway": {"attempts": 1},
    }


def test_tail_of_several_lines_becomes_one() -> None:
    """A usage event whose data had several lines is told in one."""
    several = b'data: {"id":"c","choices":[],\r\ndata: "usage":{"prompt_tokens":7,"completion_tokens":3}}\r\n\r\n'
    _, reader = read([text("a"), several, END])
    assert tail_of(reader)["usage"] == {"prompt_tokens": 7, "completion_tokens": 3}


def test_tail_is_made_where_the_provider_sent_none() -> None:
    """Usage that came in another chunk is told in one of its own, and none is null, never a guess."""
    with_usage = finish().replace(b'"choices"', b'"usage":{"prompt_tokens":7,"completion_tokens":3},"choices"')
    _, reader = read([text("a"), with_usage, END])
    usage = tail_of(reader)["usage"]
    assert isinstance(usage, dict)
    assert usage["total_tokens"] == 10
    assert tail_of(read([text("a"), finish(), END])[1])["usage"] is None


def test_a_gateway_behind_a_gateway_tells_each_thing_once() -> None:
    """What an upstream has told of its own cost and of itself gives way to ours: no key comes twice."""
    theirs = (
        b'data: {"id":"c","choices":[],"tokenway":{"attempts":9},'
        b'"usage":{"prompt_tokens":7,"cost":9,"completion_tokens":3,"cost_details":{"cost":9}}}\n\n'
    )
    _, reader = read([text("a"), finish(), theirs, END])
    tail = reader.tail(b'"cost":0.5,"cost_details":{}', b'"tokenway":{"attempts":1}')
    assert (tail.count(b'"tokenway"'), tail.count(b'"cost"'), tail.count(b'"cost_details"')) == (1, 1, 1)
    assert json.loads(tail.removeprefix(b"data: ").removesuffix(END)) == {
        "id": "c",
        "choices": [],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.5, "cost_details": {}},
        "tokenway": {"attempts": 1},
    }
    body = b'{"choices":[],"usage":{"cost":9,"prompt_tokens":7}}'
    assert with_usage_members(body, b'"cost":1') == b'{"choices":[],"usage":{"prompt_tokens":7,"cost":1}}'


def test_a_last_chunk_too_broken_to_add_to_is_made_anew() -> None:
    """A provider's own chunk with a key twice is told as one of ours, with its count."""
    broken = (
        b'data: {"id":"c","choices":[],"tokenway":1,"tokenway":2,"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
    )
    decoded = tail_of(read([text("a"), finish(), broken, END])[1])
    assert decoded["tokenway"] == {"attempts": 1}
    assert isinstance(decoded["usage"], dict)
    assert decoded["usage"]["total_tokens"] == 10


def test_absurd_usage_is_passed_on_and_not_counted() -> None:
    """A count below zero reaches the caller as it came, and no ledger."""
    absurd = USAGE.replace(b"7", b"-7")
    _, reader = read([text("a"), finish(), absurd, END])
    assert reader.metered.is_absurd
    assert reader.metered.usage is None
    assert tail_of(reader)["usage"] == {"prompt_tokens": -7, "completion_tokens": 3}


def test_an_event_beyond_the_bound_is_refused() -> None:
    """An event that never ends is a fault, not a growing buffer."""
    reader = PassingChat()
    for _ in range(8):
        reader.feed(b"x" * 2**20, 1.0)
    with pytest.raises(WireError, match="larger than"):
        reader.feed(b"x", 1.0)


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Operation.CHAT, b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}'),
        (
            Operation.COMPLETION,
            b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        ),
    ],
)
def test_a_whole_answer_is_read(operation: Operation, body: bytes) -> None:
    """Usage and finish reason of an answer that does not stream."""
    answer = read_whole(operation, body)
    assert answer.metered.usage == COUNTED
    assert answer.finish_reason == "stop"


def test_embeddings_have_data_and_no_reason() -> None:
    """A list of embeddings is an answer; where it is missing, choices do not replace it."""
    assert read_whole(Operation.EMBEDDING, b'{"data":[]}').finish_reason == ""
    with pytest.raises(WireError):
        read_whole(Operation.EMBEDDING, b'{"choices":[]}')


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":null}',
        b'{"choices":5}',
        b'{"error":{"message":"no"}}',
        b"[" * 100_000,
    ],
)
def test_other_bodies_are_no_answer(body: bytes) -> None:
    """A page, another object, an error with status 200 and nonsense are refused."""
    with pytest.raises(WireError):
        read_whole(Operation.CHAT, body)


@pytest.mark.parametrize(
    ("error", "says"),
    [({"message": "m"}, "m"), ("t", "t"), ({"code": 1}, "{'code': 1}"), ({"message": "x" * 999}, "x" * FAULT_TEXT)],
)
def test_an_upstreams_words_are_kept_short(error: object, says: str) -> None:
    """The message of an error object, or the error itself, cut at the bound."""
    assert fault_text(error) == says


@pytest.mark.parametrize(
    "body",
    [b"{}", b'{"usage":null}', b'{"usage":3}', b'{"\xff":1,"usage":{}}', b'{"usage":{},"usage":{"a":1}}', b"<html>"],
    ids=range(6),
)
def test_cost_needs_a_usage(body: bytes) -> None:
    """An answer without a usage object, or one that leaves its place in doubt, stays as it is."""
    assert with_usage_members(body, b'"cost":1') == body


def test_cost_goes_into_the_outer_usage() -> None:
    """The members are added to the object's own usage, not to one inside another value."""
    body = b'{"x":{"usage":{"a":1}}, "usage" : {"a":1} }'
    assert json.loads(with_usage_members(body, b'"cost":1')) == {"x": {"usage": {"a": 1}}, "usage": {"a": 1, "cost": 1}}
