"""Whole answers: the SDK takes them, and they say what the stream of the same events says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from tests.unit.dialects.openai_responses.made import (
    client,
    decoded,
    maker,
    message,
    read_all,
    response,
    said,
    stream,
    text_events,
    written,
)
from tokenway.dialects.openai_responses.answer import read_answer, write_answer
from tokenway.dialects.seal import OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, Choice, Cited, Finished, FinishReason, fold, unfold
from tokenway.model.request import Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import UNMETERED, Metered, Usage

_WORDS = st.text(min_size=1, max_size=12)
_PARTS = st.one_of(
    st.builds(Text, _WORDS),
    st.builds(Refusal, _WORDS),
    st.builds(ToolCall, st.just("c"), _WORDS, _WORDS, custom=st.booleans()),
    st.builds(Reasoning, _WORDS, summary=st.booleans()),
    st.builds(Reasoning, _WORDS, sealed=st.just("gAAA"), format=st.just(OPENAI), summary=st.booleans()),
    st.builds(Reasoning, sealed=_WORDS.filter(lambda text: not text.startswith("tw1.")), format=st.just(OPENAI)),
    st.builds(Media, st.just(MediaKind.IMAGE), st.just("image/png"), st.just("aGk=")),
)


def finished(parts: tuple[Any, ...], finish: Finished | None = None) -> Answer:
    """An answer with these parts and the finish that a reader gives them."""
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    usual = Finished(FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP, "completed")
    metered = Metered(given=True, usage=Usage(3, 4, 2, 0, 2, 5))
    return Answer("resp_7", "m", 1700000000, (Choice(parts, finish or usual),), metered)


def unnamed(answer: Answer) -> Answer:
    """The answer without the ids of its reasoning, which are made anew."""
    choice = answer.choices[0]
    parts = tuple(
        Reasoning(part.text, part.signature, part.sealed, part.format, part.summary)
        if isinstance(part, Reasoning)
        else part
        for part in choice.parts
    )
    return Answer(
        answer.id, answer.model, answer.created, (Choice(parts, choice.finish, choice.citations),), answer.metered
    )


@given(st.lists(_PARTS, max_size=6))
def test_what_was_written_reads_back(parts: list[Any]) -> None:
    """Every answer that this API can say, whole and as a stream."""
    answer = finished(tuple(parts))
    assert unnamed(read_answer(write_answer(answer, maker()))) == answer
    assert unnamed(fold(read_all(written(unfold(answer))))) == answer


@given(st.lists(_PARTS, max_size=6))
def test_the_stream_ends_with_the_whole_answer(parts: list[Any]) -> None:
    """The response in the last event is the one that a caller gets who does not stream."""
    answer = finished(tuple(parts))
    assert decoded(written(unfold(answer)))[-1]["response"] == json.loads(write_answer(answer, maker()))


def test_the_sdk_takes_it() -> None:
    """By its own type, strictly, and by its client."""
    answer = finished((Reasoning("hm"), Text("a"), ToolCall("c", "f", "{}")))
    body = write_answer(answer, maker())
    assert Response.model_validate_json(body).status == "completed"
    got = client(body, is_stream=False).responses.create(model="m", input="hi")
    assert (got.id, got.output_text) == ("resp_7", "a")
    assert got.usage is not None
    assert got.usage.output_tokens_details.reasoning_tokens == 5


@pytest.mark.parametrize(
    "finish",
    [
        Finished(FinishReason.LENGTH, "max_output_tokens"),
        Finished(FinishReason.CONTENT_FILTER, "content_filter", detail="why"),
    ],
)
def test_why_it_is_incomplete_reads_back(finish: Finished) -> None:
    """The reason, and a refusal's explanation."""
    answer = finished((Text("a"),), finish)
    assert read_answer(write_answer(answer, maker())) == answer


def test_sources_read_back() -> None:
    """With their part and their place in it."""
    cited = Cited(1, "https://x", "X", start=0, end=1)
    answer = finished((Text("a"), Text("b")))
    answer = Answer(answer.id, answer.model, answer.created, (Choice(*_first(answer), (cited,)),), UNMETERED)
    assert read_answer(write_answer(answer, maker())) == answer


def _first(answer: Answer) -> tuple[tuple[Any, ...], Finished]:
    return answer.choices[0].parts, answer.choices[0].finish


def test_a_stream_amounts_to_the_whole_answer() -> None:
    """What the upstream says twice is read the same both ways."""
    end = response("completed", message(said("Hello")))
    assert fold(read_all(stream(*text_events("Hel", "lo"), end=end))) == read_answer(json.dumps(end).encode())


def test_an_error_is_no_answer() -> None:
    """Also with status 200."""
    body = json.dumps(response("failed", error={"code": "server_error", "message": "it broke"})).encode()
    with pytest.raises(WireError, match="it broke"):
        read_answer(body)
