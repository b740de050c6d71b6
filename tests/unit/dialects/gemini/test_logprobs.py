"""Log probabilities, both ways."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.dialects.gemini.samples import raw
from tokenway.dialects.gemini.logprobs import read_logprobs, write_logprobs

RESULT = {
    "chosenCandidates": [{"token": "a", "tokenId": 5, "logProbability": -0.5}, {"token": "b", "logProbability": -1.5}],
    "topCandidates": [
        {"candidates": [{"token": "a", "logProbability": -0.5}, {"token": "c", "logProbability": -2.0}]},
        {},
    ],
}


def test_two_lists_become_one() -> None:
    """Each token has the likely ones of its step inside; there are no bytes."""
    found = read_logprobs(raw(RESULT))
    assert found is not None
    assert msgspec.json.decode(found) == [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": None,
            "top_logprobs": [
                {"token": "a", "logprob": -0.5, "bytes": None},
                {"token": "c", "logprob": -2.0, "bytes": None},
            ],
        },
        {"token": "b", "logprob": -1.5, "bytes": None, "top_logprobs": []},
    ]


def test_one_list_becomes_two() -> None:
    """Lists of several chunks are one result, which reads back as their sum."""
    whole = read_logprobs(raw(RESULT))
    assert whole is not None
    written = write_logprobs([whole, whole])
    assert written is not None
    again = read_logprobs(raw(written))
    assert again is not None
    assert msgspec.json.decode(again) == msgspec.json.decode(whole) * 2


@pytest.mark.parametrize(
    "value", [{}, {"chosenCandidates": []}, {"chosenCandidates": None}, [], {"chosenCandidates": 5}]
)
def test_what_says_nothing_is_nothing(value: object) -> None:
    """Empty or unreadable results are passed over."""
    assert read_logprobs(raw(value)) is None


def test_lists_that_nobody_can_read_are_left_out() -> None:
    """As an empty one is."""
    assert write_logprobs([]) is None
    assert write_logprobs([raw({"a": 1})]) is None
