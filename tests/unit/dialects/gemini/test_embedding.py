"""Embeddings between OpenAI's form and Gemini's."""

from __future__ import annotations

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.gemini.embedding import (
    Texts,
    Vectors,
    read_gemini_answer,
    read_gemini_request,
    read_openai_answer,
    read_openai_request,
    write_gemini_answer,
    write_gemini_request,
    write_openai_answer,
    write_openai_request,
)
from tokenway.model.errors import Refusal, WireError
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

COUNTED = Metered(given=True, usage=Usage(5))


def encoded(value: object) -> bytes:
    """A value as JSON."""
    return json.dumps(value).encode()


def gemini(text: str, **more: object) -> dict[str, object]:
    """One request of a batch."""
    return {"model": "models/m", "content": {"parts": [{"text": text}]}, **more}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"model": "m", "input": "a"}, Texts(("a",))),
        ({"model": "m", "input": ["a", "b"], "dimensions": 8}, Texts(("a", "b"), 8)),
        ({"input": "a", "encoding_format": "base64", "user": "u"}, Texts(("a",), as_base64=True, rest=("user",))),
        ({"input": "a", "encoding_format": "float", "provider": {}}, Texts(("a",))),
    ],
)
def test_requests_of_openai(body: object, expected: Texts) -> None:
    """A text or a list of them; what has no counterpart is named."""
    assert read_openai_request(encoded(body)) == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m"}, "input"),
        ({"input": []}, "input"),
        ({"input": [1, 2]}, "input[0]"),
        ({"input": [[1, 2]]}, "input[0]"),
        ({"input": ["a"], "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_cannot_be_embedded_elsewhere(body: object, param: str) -> None:
    """Token ids mean nothing to another vendor's model."""
    with pytest.raises(Refusal) as caught:
        read_openai_request(encoded(body))
    assert (caught.value.problem.status, caught.value.problem.param) == (400, param)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gemini("a"), Texts(("a",), is_single=True)),
        (
            {"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "output_dimensionality": 8},
            Texts(("ab",), 8, is_single=True),
        ),
        (
            {"requests": [gemini("a", taskType="X"), gemini("b", title="t")]},
            Texts(("a", "b"), rest=("taskType", "title")),
        ),
        (
            {"requests": [gemini("a", embedContentConfig={"outputDimensionality": 4, "autoTruncate": True})]},
            Texts(("a",), 4, rest=("autoTruncate",)),
        ),
    ],
)
def test_requests_of_gemini(body: object, expected: Texts) -> None:
    """One content or a batch, in both spellings, with options in either place."""
    assert read_gemini_request(encoded(body)) == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "content"),
        ({"requests": []}, "requests"),
        ({"content": {"parts": [{"inlineData": {}}]}}, "content.parts[0]"),
        ({"requests": [gemini("a", outputDimensionality=1), gemini("b")]}, "requests"),
    ],
)
def test_what_openai_cannot_embed(body: object, param: str) -> None:
    """Pictures, and vectors of different sizes."""
    with pytest.raises(Refusal) as caught:
        read_gemini_request(encoded(body))
    assert caught.value.problem.param == param


def test_requests_are_written() -> None:
    """Each reads back as it was meant; what could not be said is declared."""
    texts = Texts(("a", "b"), 8, rest=("user",))
    to_gemini = write_gemini_request(texts, "m")
    assert json.loads(to_gemini.body)["requests"][1] == gemini("b", outputDimensionality=8)
    assert to_gemini.dropped == ("user",)
    assert read_gemini_request(to_gemini.body) == Texts(("a", "b"), 8)
    to_openai = write_openai_request(texts, "m")
    assert json.loads(to_openai.body) == {
        "model": "m",
        "input": ["a", "b"],
        "encoding_format": "float",
        "dimensions": 8,
    }
    assert to_openai.dropped == ("user",)
    assert "dimensions" not in json.loads(write_openai_request(Texts(("a",)), "m").body)
    assert "outputDimensionality" not in json.loads(write_gemini_request(Texts(("a",)), "m").body)["requests"][0]


def test_answers_of_gemini() -> None:
    """One vector, or one for each request; newer models count tokens."""
    assert [list(each) for each in read_gemini_answer(b'{"embedding":{"values":[1,0.5]}}').values] == [[1, 0.5]]
    found = read_gemini_answer(b'{"embeddings":[{"values":[1]},{"values":[2]}],"usageMetadata":{"promptTokenCount":5}}')
    assert ([list(each) for each in found.values], found.metered) == ([[1], [2]], COUNTED)


def test_answers_of_openai() -> None:
    """In the order of their index, as numbers or as float32 in base64."""
    half = base64.b64encode(struct.pack("<2f", 0.5, -2.0)).decode()
    body = {"data": [{"index": 1, "embedding": half}, {"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 5}}
    found = read_openai_answer(encoded(body))
    assert ([list(each) for each in found.values], found.metered) == ([[1.0], [0.5, -2.0]], COUNTED)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": -1}, ABSURD),
        ({"prompt_tokens": 10**9}, ABSURD),
        ({}, UNMETERED),
        (None, UNMETERED),
        (5, ABSURD),
    ],
)
def test_counts_of_openai(usage: object, expected: Metered) -> None:
    """What cannot be believed is flagged, what did not come is not made up."""
    assert read_openai_answer(encoded({"data": [], "usage": usage})).metered == expected


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b"{}",
        b'{"error":{"message":"no"}}',
        b'{"data":[1],"embeddings":[1]}',
        b'{"data":[{"embedding":"%"}],"embeddings":[{"values":"%"}]}',
        b'{"data":[{"embedding":"AAA="}],"embeddings":[{"values":"AAA="}]}',
        b'{"data":[{"embedding":["a"]}],"embeddings":[{"values":["a"]}]}',
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    """Neither of the one nor of the other."""
    for reads in (read_openai_answer, read_gemini_answer):
        with pytest.raises(WireError):
            reads(body)


FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8)


@given(st.lists(FLOATS, min_size=1, max_size=3), st.booleans(), st.sampled_from([COUNTED, UNMETERED]))
def test_what_is_written_reads_back(values: list[list[float]], as_base64: bool, metered: Metered) -> None:
    """Vectors of float32 keep every bit, in both forms and both dialects."""
    vectors = Vectors(tuple(values), metered)
    openai = read_openai_answer(write_openai_answer(vectors, "m", as_base64=as_base64))
    assert ([list(each) for each in openai.values], openai.metered) == (values, metered)
    again = read_gemini_answer(write_gemini_answer(vectors, is_single=False))
    assert ([list(each) for each in again.values], again.metered) == (values, metered)


def test_the_form_of_answers() -> None:
    """What each vendor's clients look for; base64 is little-endian float32."""
    vectors = Vectors(((1.0,),), COUNTED)
    assert json.loads(write_openai_answer(vectors, "m", as_base64=True)) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
        "model": "m",
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    assert json.loads(write_gemini_answer(vectors, is_single=True)) == {
        "embedding": {"values": [1.0]},
        "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5},
    }


def test_a_number_too_large_for_float32() -> None:
    """It cannot be written in base64."""
    with pytest.raises(WireError):
        write_openai_answer(Vectors(((1e39,),)), "m", as_base64=True)
