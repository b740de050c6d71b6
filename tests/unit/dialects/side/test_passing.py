"""Answers of the side endpoints: what is counted, and what a stream holds back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import AnswerStream
from tokenway.dialects.side.passing import PassingBytes, PassingEvents, read_whole
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

IMAGE_USAGE = {
    "total_tokens": 1100,
    "input_tokens": 50,
    "output_tokens": 1050,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
}


def counted(operation: Operation, **answer: Any) -> Metered:
    """What an answer's usage comes to."""
    return read_whole(operation, msgspec.json.encode({"results": [], "data": [], "text": ""} | answer)).metered


def given_(**buckets: int) -> Metered:
    """A count of these buckets."""
    return Metered(given=True, usage=Usage(**buckets))


# -- whole answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Operation.MODERATION, b'{"id":"x","results":[{"flagged":false}]}'),
        (Operation.RERANK, b'{"results":[]}'),
        (Operation.RERANK, b'{"data":[{"index":0,"relevance_score":0.5}]}'),
        (Operation.IMAGE, b'{"created":1,"data":[]}'),
        (Operation.IMAGE_EDIT, b'{"data":[]}'),
        (Operation.IMAGE_VARIATION, b'{"data":[]}'),
        (Operation.TRANSCRIPTION, b'{"text":""}'),
        (Operation.TRANSLATION, b'{"text":"hi","usage":null,"error":null}'),
    ],
)
def test_an_answer_without_a_count(operation: Operation, body: bytes) -> None:
    """It is one of its operation, and says nothing of what it took."""
    answer = read_whole(operation, body)
    assert (answer.metered, answer.finish_reason) == (UNMETERED, "")


@pytest.mark.parametrize("operation", [Operation.TRANSCRIPTION, Operation.TRANSLATION])
@pytest.mark.parametrize("body", [b"hello", b"", b"1\n00:00:00,000 --> 00:00:01,000\nhi\n", b"WEBVTT\n\n\xff"])
def test_a_transcription_may_be_plain_text(operation: Operation, body: bytes) -> None:
    """Also subtitles; nothing is counted there."""
    assert read_whole(operation, body).metered == UNMETERED


@pytest.mark.parametrize(
    ("operation", "body", "words"),
    [
        (Operation.MODERATION, b'{"data":[]}', "not one of this operation"),
        (Operation.MODERATION, b"hello", "not one of this operation"),
        (Operation.IMAGE, b'{"results":[]}', "not one of this operation"),
        (Operation.IMAGE, b"[]", "not one of this operation"),
        (Operation.IMAGE, b'{"data":[', "not one of this operation"),
        (Operation.RERANK, b'{"text":""}', "not one of this operation"),
        (Operation.RERANK, b'{"results":{}}', "not one of this operation"),
        (Operation.TRANSCRIPTION, b'{"text":1}', "not one of this operation"),
        (Operation.TRANSCRIPTION, b' {"data":[]}', "not one of this operation"),
        (Operation.IMAGE, b'{"data":[],"error":{"message":"no room"}}', "status 200: no room"),
        (Operation.TRANSCRIPTION, b'{"error":"no room"}', "status 200: no room"),
    ],
)
def test_what_is_no_answer(operation: Operation, body: bytes, words: str) -> None:
    """Something else, half of one, or an error with status 200."""
    with pytest.raises(WireError, match=words):
        read_whole(operation, body)


def test_a_usage_is_kept_as_it_is_written() -> None:
    """So that it can be given to the caller with its cost."""
    body = b'{"data":[],"usage": {"total_tokens" : 7}}'
    assert read_whole(Operation.RERANK, body).usage == b'{"total_tokens" : 7}'


@pytest.mark.parametrize(
    ("operation", "usage", "metered"),
    [
        (Operation.IMAGE, IMAGE_USAGE, given_(input_uncached=10, image_in=40, image_out=1050)),
        (
            Operation.IMAGE,
            IMAGE_USAGE | {"output_tokens_details": {"text_tokens": 50, "image_tokens": 1000}},
            given_(input_uncached=10, image_in=40, output_text=50, image_out=1000),
        ),
        (
            Operation.IMAGE_EDIT,
            {"input_tokens": 50, "input_tokens_details": {"image_tokens": 30, "cached_tokens": 15}},
            given_(input_uncached=5, cache_read=15, image_in=30),
        ),
        (
            Operation.TRANSCRIPTION,
            {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 14}, "output_tokens": 45},
            given_(audio_in=14, output_text=45),
        ),
        (
            Operation.TRANSCRIPTION,
            {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635, "total_tokens": 3264},
            given_(input_uncached=4, output_text=635, sound_ms=203_000),
        ),
        (Operation.TRANSCRIPTION, {"type": "duration"}, UNMETERED),
        (Operation.RERANK, {"total_tokens": 7}, given_(input_uncached=7)),
        (Operation.MODERATION, {"prompt_tokens": 3, "total_tokens": 3}, given_(input_uncached=3)),
        (Operation.RERANK, {"prompt_tokens": 0, "total_tokens": 7}, given_()),
        (Operation.RERANK, None, UNMETERED),
        (Operation.IMAGE, {}, UNMETERED),
    ],
)
def test_totals_become_disjoint_buckets(operation: Operation, usage: object, metered: Metered) -> None:
    """Each token is in one bucket; their sum is the provider's total."""
    assert counted(operation, usage=usage) == metered


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": -1},
        {"input_tokens": 10**12},
        {"input_tokens": "7"},
        {"input_tokens": 1.5},
        {"input_tokens": 5, "input_tokens_details": {"image_tokens": 6}},
        {"input_tokens": 5, "input_tokens_details": {"image_tokens": 3, "cached_tokens": 3}},
        {"input_tokens": 5, "output_tokens": 1, "output_tokens_details": {"text_tokens": 2}},
        [],
        7,
    ],
)
def test_a_count_that_cannot_be_believed(usage: object) -> None:
    """It is no money."""
    assert counted(Operation.IMAGE, usage=usage) == ABSURD


@pytest.mark.parametrize(
    ("units", "metered"),
    [
        ({"search_units": 1}, given_(searches=1)),
        ({"search_units": 2.0}, given_(searches=2)),
        ({"search_units": 0}, given_()),
        ({"input_tokens": 5}, UNMETERED),
        ({"search_units": None}, UNMETERED),
        (None, UNMETERED),
        ({"search_units": -1.5}, ABSURD),
        ({"search_units": -1}, ABSURD),
        ({"search_units": 1.5}, ABSURD),
        ({"search_units": 1e300}, ABSURD),
        ({"search_units": "1"}, ABSURD),
    ],
)
def test_a_search_is_counted_by_its_units(units: object, metered: Metered) -> None:
    """Cohere bills them; half of one, or less than none, cannot be believed, and the answer is one all the same."""
    assert counted(Operation.RERANK, meta={"api_version": {"version": "2"}, "billed_units": units}) == metered


@pytest.mark.parametrize("operation", [Operation.IMAGE, Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION])
def test_images_are_counted(operation: Operation) -> None:
    """Those that are there, whatever was asked for and beside whatever tokens there are."""
    pair = [{"url": "u"}, {"b64_json": "AA=="}]
    assert counted(operation, data=pair) == given_(images=2)
    assert counted(operation, data=pair, usage=None) == given_(images=2)
    assert counted(operation, data=pair, usage={"input_tokens": 5}) == given_(input_uncached=5, images=2)
    assert counted(operation, data=pair, usage={"input_tokens": -5}) == ABSURD


@pytest.mark.parametrize("operation", [Operation.TRANSCRIPTION, Operation.TRANSLATION])
@pytest.mark.parametrize(
    ("told", "metered"),
    [
        ({"usage": {"type": "duration", "seconds": 9}}, given_(sound_ms=9_000)),
        ({"duration": 8.470000267028809}, given_(sound_ms=8_470)),
        ({"duration": "8.47"}, given_(sound_ms=8_470)),
        ({"duration": 8.47, "usage": {"type": "duration", "seconds": 9}}, given_(sound_ms=9_000)),
        ({"duration": 8.47, "usage": {"input_tokens": 5}}, given_(input_uncached=5, sound_ms=8_470)),
        ({"duration": 0}, UNMETERED),
        ({"duration": None}, UNMETERED),
        ({"duration": -1}, ABSURD),
        ({"duration": 10**9}, ABSURD),
        ({"duration": "nan"}, ABSURD),
        ({"duration": "long"}, ABSURD),
        ({"duration": [1]}, ABSURD),
        ({"duration": 10**400}, ABSURD),
        ({"usage": {"type": "duration", "seconds": -9}}, ABSURD),
        ({"usage": {"type": "duration", "seconds": "9"}}, ABSURD),
    ],
)
def test_sound_is_as_long_as_the_answer_says(operation: Operation, told: dict[str, Any], metered: Metered) -> None:
    """What is billed goes before what was measured, and a length that cannot be is no money."""
    assert counted(operation, **told) == metered


def test_a_length_is_of_sound_alone() -> None:
    """Elsewhere the word means something else."""
    assert counted(Operation.RERANK, duration=3.0) == UNMETERED


# -- streams of events -------------------------------------------------------------------------------------

PARTIAL = (
    b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image","b64_json":"AA=="}\n\n'
)
COMPLETED = (
    b"event: image_generation.completed\n"
    b'data: {"type":"image_generation.completed","b64_json":"AA==","usage":{"input_tokens":5,"output_tokens":7}}\n\n'
)
DELTA = b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
DONE = b'data: {"type":"transcript.text.done","text":"a","usage":{"input_tokens":5,"output_tokens":7}}\n\n'


def test_an_image_is_held_back_until_it_is_settled() -> None:
    """What comes before it passes at once, and the last event is the tail."""
    stream: AnswerStream = PassingEvents(Operation.IMAGE)
    assert stream.accepts(b"text/event-stream; charset=utf-8")
    assert stream.feed(PARTIAL, 1.0) == PARTIAL
    was_whole = stream.is_whole
    assert stream.feed(COMPLETED, 2.0) == b""
    assert (was_whole, stream.is_whole) == (False, True)
    assert stream.metered == given_(input_uncached=5, image_out=7, images=1)
    assert stream.tail(b'"cost":1', b"") == COMPLETED
    assert (stream.first_delta, stream.first_answer) == (1.0, 1.0)


def test_a_transcription_passes_delta_by_delta() -> None:
    """Its text is what is counted out; plain deltas are forwarded without a look."""
    stream = PassingEvents(Operation.TRANSCRIPTION)
    assert stream.feed(DELTA, 1.0) + stream.feed(DELTA * 3, 1.5) + stream.feed(DONE, 2.0) == DELTA * 4
    assert (stream.metered, stream.is_whole) == (given_(input_uncached=5, output_text=7), True)
    assert stream.tail(b"", b"") == DONE
    assert (stream.first_delta, stream.last_delta) == (1.0, 1.5)


def test_every_whole_image_of_a_stream_is_counted() -> None:
    """Partial ones are not; the tokens are those that the last one tells."""
    bare = b'data: {"type":"image_edit.completed","b64_json":"AA=="}\n\n'
    stream = PassingEvents(Operation.IMAGE_EDIT)
    assert stream.feed(PARTIAL + bare * 2, 1.0) == PARTIAL
    assert stream.metered == given_(images=2)
    assert stream.feed(COMPLETED, 2.0) == b""
    assert stream.metered == given_(input_uncached=5, image_out=7, images=3)
    assert stream.tail(b"", b"") == bare * 2 + COMPLETED


def test_speech_in_events_is_counted_when_it_is_done() -> None:
    """Its characters, beside the tokens where it tells any."""
    delta = b'data: {"type":"speech.audio.delta","audio":"AA=="}\n\n'
    stream = PassingEvents(Operation.SPEECH, 12)
    assert stream.feed(delta, 1.0) == delta
    assert stream.metered == UNMETERED
    stream.feed(b'data: {"type":"speech.audio.done"}\n\n', 2.0)
    assert stream.metered == given_(characters=12)
    told = PassingEvents(Operation.SPEECH, 12)
    told.feed(b'data: {"type":"speech.audio.done","usage":{"input_tokens":5,"output_tokens":7}}\n\n', 2.0)
    assert told.metered == given_(input_uncached=5, output_text=7, characters=12)
    absurd = PassingEvents(Operation.SPEECH, 12)
    absurd.feed(b'data: {"type":"speech.audio.done","usage":{"input_tokens":-5}}\n\n', 2.0)
    assert absurd.metered == ABSURD


def test_sound_in_events_is_as_long_as_the_last_one_says() -> None:
    """Whisper's servers bill by time in streams too."""
    stream = PassingEvents(Operation.TRANSCRIPTION)
    stream.feed(DELTA + b'data: {"type":"transcript.text.done","usage":{"type":"duration","seconds":3}}\n\n', 1.0)
    assert stream.metered == given_(sound_ms=3_000)


def test_an_end_mark_belongs_to_the_end() -> None:
    """Some servers send OpenAI's, which comes behind the last event."""
    stream = PassingEvents(Operation.SPEECH)
    assert stream.feed(DONE + b"data: [DONE]\n\n", 1.0) == b""
    assert stream.tail(b"", b"") == DONE + b"data: [DONE]\n\n"


def test_an_error_ends_the_stream() -> None:
    """Nothing behind it counts."""
    error = b'data: {"type":"error","error":{"message":"no room"}}\n\n'
    stream = PassingEvents(Operation.IMAGE)
    assert stream.feed(PARTIAL + error + COMPLETED, 1.0) == PARTIAL
    assert (stream.fault, stream.fault_event) == ("no room", error)
    assert not stream.is_calm
    assert not stream.is_whole


def test_a_comment_passes() -> None:
    """It keeps the connection alive, and is no delta."""
    stream = PassingEvents(Operation.IMAGE)
    assert stream.feed(b": ping\n\n", 1.0) == b": ping\n\n"
    assert stream.first_delta == 0.0


@pytest.mark.parametrize("data", [b"data: hello\n\n", b"data: []\n\n", b'data: {"usage":\n\n'])
def test_an_event_that_is_none_of_these(data: bytes) -> None:
    """Not JSON, or not an object."""
    with pytest.raises(WireError, match="not one of this dialect"):
        PassingEvents(Operation.IMAGE).feed(data, 1.0)


def test_the_last_event_may_lack_its_blank_line() -> None:
    """It is whole up to its brace; half of one is nothing."""
    stream = PassingEvents(Operation.TRANSCRIPTION)
    assert stream.feed(DELTA + DONE.rstrip(b"\n"), 1.0) == DELTA
    assert stream.finish() == b""
    assert stream.tail(b"", b"") == DONE
    cut = PassingEvents(Operation.TRANSCRIPTION)
    assert cut.feed(DELTA + DONE[:-20], 1.0) == DELTA
    assert cut.finish() == b""
    assert not cut.is_whole


@given(st.lists(st.integers(1, 40), max_size=40))
def test_a_stream_is_the_same_however_it_is_cut(sizes: list[int]) -> None:
    """What passes, what is held back and what is counted."""
    whole = DELTA * 2 + b": ping\r\n\r\n" + DELTA + DONE
    stream = PassingEvents(Operation.TRANSCRIPTION)
    passed, at = b"", 0
    for size in [*sizes, len(whole)]:
        passed += stream.feed(whole[at : at + size], 1.0)
        at += size
    assert passed == DELTA * 2 + b": ping\r\n\r\n" + DELTA
    assert stream.tail(b"", b"") == DONE
    assert stream.metered == given_(input_uncached=5, output_text=7)


# -- sound -------------------------------------------------------------------------------------------------


def test_sound_passes_as_it_comes() -> None:
    """Nothing is held back or looked at, and its end is the end of the body."""
    stream: AnswerStream = PassingBytes()
    assert stream.feed(b"ID3\0", 1.0) == b"ID3\0"
    assert stream.feed(b"data: [DONE]\n\n", 1.1) == b"data: [DONE]\n\n"
    was_whole = stream.is_whole
    assert (stream.finish(), stream.tail(b'"cost":1', b"x")) == (b"", b"")
    assert (was_whole, stream.is_whole) == (False, True)
    assert (stream.is_calm, stream.fault, stream.metered) == (True, "", UNMETERED)
    assert (stream.first_delta, stream.last_delta) == (1.0, 1.1)


@pytest.mark.parametrize(
    ("content_type", "is_sound"),
    [
        (b"audio/mpeg", True),
        (b"application/octet-stream", True),
        (b"", True),
        (b"application/json", False),
        (b"text/html; charset=utf-8", False),
        (b"text/event-stream", False),
    ],
)
def test_sound_is_anything_but_a_message(content_type: bytes, is_sound: bool) -> None:
    """Providers name its type as they like."""
    assert PassingBytes().accepts(content_type) is is_sound


def test_no_sound_is_no_answer() -> None:
    """A body that ends without a byte."""
    stream = PassingBytes()
    assert (stream.finish(), stream.is_whole) == (b"", False)


def test_what_was_spoken_is_counted_at_the_end() -> None:
    """Not before, and not where no sound came."""
    stream = PassingBytes(12)
    stream.feed(b"ID3", 1.0)
    assert stream.metered == UNMETERED
    stream.finish()
    assert stream.metered == given_(characters=12)
    silent = PassingBytes(12)
    silent.finish()
    assert silent.metered == UNMETERED
