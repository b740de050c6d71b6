"""Embeddings in Cohere's own form."""

from __future__ import annotations

import json

import pytest

from tokenway.dialects.cohere import read_answer, write_request
from tokenway.dialects.gemini.embedding import Texts
from tokenway.model.errors import WireError
from tokenway.model.usage import UNMETERED, Metered, Usage

ANSWER = {
    "id": "1",
    "embeddings": {"float": [[0.5, -1.0], [0.25, 2.0]]},
    "texts": ["a", "b"],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 6}},
}


def test_a_request_says_what_the_texts_are_for() -> None:
    """Which OpenAI's callers cannot; what Cohere has no place for is named."""
    written = write_request(Texts(("a", "b"), 256, as_base64=True, rest=("user",)), "embed-v4.0")
    assert json.loads(written.body) == {
        "model": "embed-v4.0",
        "texts": ["a", "b"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert written.dropped == ("user",)
    assert "output_dimension" not in json.loads(write_request(Texts(("a",)), "m").body)


def test_an_answer_has_its_vectors_and_what_is_billed() -> None:
    """In the order of the texts."""
    vectors = read_answer(json.dumps(ANSWER).encode())
    assert vectors.values == ([0.5, -1.0], [0.25, 2.0])
    assert vectors.metered == Metered(given=True, usage=Usage(input_uncached=6))
    assert read_answer(json.dumps(ANSWER | {"meta": None}).encode()).metered == UNMETERED


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"message":"too many texts"}', b'{"embeddings":{"int8":[[1]]}}'])
def test_what_is_no_answer_is_a_fault(body: bytes) -> None:
    """Whatever its status said."""
    with pytest.raises(WireError):
        read_answer(body)
