"""The dialect as a whole, between an upstream and a caller that both speak it but go by way of the neutral form."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.openai_responses.made import (
    client,
    decoded,
    event,
    maker,
    message,
    response,
    said,
    stream,
    text_events,
)
from tokenway.dialects.openai_responses.format import FORMAT
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import ErrorType, Problem, WireError
from tokenway.model.usage import Metered, Usage

HELLO = stream(*text_events("Hel", "lo"), end=response("completed", message(said("Hello"))))
COUNTED = Metered(given=True, usage=Usage(3, 4, 2, 0, 2, 5))


def translated(pieces: list[bytes]) -> tuple[bytes, Translation]:
    """What the caller gets of these pieces before the end, and the translation."""
    translation = Translation(FORMAT, FORMAT, maker(stream=True))
    out = b"".join([translation.feed(piece, float(now)) for now, piece in enumerate(pieces, start=1)])
    return out + translation.finish(), translation


def test_a_stream_is_translated() -> None:
    """The SDK takes it; usage, finish and pace are known."""
    out, translation = translated([HELLO])
    assert (translation.is_whole, translation.metered, translation.finish_reason) == (True, COUNTED, "completed")
    assert translation.first_answer == 1.0
    sent = out + translation.tail(b'"cost":0.5', b'"tokenway":{}')
    with client(sent, is_stream=True).responses.stream(model="m", input="hi") as sdk:
        final = sdk.get_final_response()
    assert (final.id, final.output_text) == ("resp_7", "Hello")


@given(st.lists(st.integers(0, len(HELLO)), max_size=8))
def test_how_it_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Any pieces give the same bytes."""
    edges = sorted({0, len(HELLO), *cuts})
    out, translation = translated([HELLO[a:b] for a, b in pairwise(edges)])
    whole, other = translated([HELLO])
    assert out + translation.tail(b"", b"") == whole + other.tail(b"", b"")


def test_a_stream_that_breaks_ends_as_one() -> None:
    """The upstream's error, as the last event of the caller's stream."""
    begun = HELLO.partition(b"event: response.completed")[0]
    out, translation = translated([begun, event("error", message="busy", code="slow_down")])
    assert (translation.fault, translation.is_whole) == ("busy", False)
    problem = Problem(502, ErrorType.PROVIDER_OVERLOADED, translation.fault)
    numbers = [each["sequence_number"] for each in decoded(out)]
    last = FORMAT.error_event(problem, msgspec.structs.replace(maker(), sequence=len(numbers)))
    assert [each["sequence_number"] for each in decoded(out + last)] == list(range(len(numbers) + 1))
    assert {each["response"]["id"] for each in decoded(out + last) if "response" in each} == {"resp_7"}


def test_a_whole_answer_is_translated() -> None:
    """With its count and its finish."""
    body = msgspec.json.encode(response("completed", message(said("Hello"))))
    answer, out = translate_answer(FORMAT, FORMAT, body, maker())
    assert (answer.metered, answer.finish_reason) == (COUNTED, "completed")
    assert client(out, is_stream=False).responses.create(model="m", input="hi").output_text == "Hello"


def test_a_page_is_no_answer() -> None:
    """In neither way."""
    with pytest.raises(WireError):
        translated([b"data: <html>\n\n"])
    with pytest.raises(WireError):
        translate_answer(FORMAT, FORMAT, b"<html>", maker())


def test_the_record() -> None:
    """What others read of it."""
    assert (FORMAT.dialect, FORMAT.stream_type) == (Dialect.OPENAI_RESPONSES, b"text/event-stream")
    assert FORMAT.path(Operation.CHAT, "m", True) == "/responses"
    assert FORMAT.spelling["max_tokens"] == "max_output_tokens"
