"""What probes are called, by which the ledger and the samples know them."""

from __future__ import annotations

import json

import pytest

from tokenway.model.identity import day_in, day_of, ids_of_day
from tokenway.model.probe import OUTPUT_MOST, asked_as, body_of, id_of, ids_end, ids_of, is_asked_as, is_id

NOON = 1_767_268_800.0
"""1 January 2026, 12:00 UTC: the day 20454."""


def test_the_name_says_which_model() -> None:
    """A model that callers ask for is none of them, whatever it is called."""
    assert asked_as("llama") == "tokenway-probe/llama"
    assert is_asked_as(asked_as("llama"))
    assert not any(map(is_asked_as, ("llama", "tokenway-probe", "tokenway-probes/llama", "")))


def test_ids_of_a_day_stand_together() -> None:
    """They rise within it, and stand behind all ids of the day that workers make, and before the next day's."""
    times = (NOON - 43200, NOON, NOON + 1, NOON + 43199)
    ids = [id_of(at, "beef") for at in times]
    assert ids == sorted(ids)
    assert ids[1] == "gen-4fe6-probe-43200-beef"
    assert {day_of(at) for at in times} == {day_in(each) for each in ids} == {20454}
    assert all(ids_of(20454) <= each < ids_end(20454) < ids_of_day(20455) for each in ids)
    assert id_of(NOON + 43200, "beef") >= ids_of(20455) > ids[-1]
    worker = "gen-4fe6-ffffffffffffffffffffffffff"
    assert ids_of_day(20454) < worker < ids_of(20454)
    assert all(map(is_id, ids))
    assert not any(map(is_id, (worker, "probe-20454-43200-beef", "gen-4fe6", "")))


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_it_asks_for_a_short_stream(field: str) -> None:
    """With the limit by the name that the provider has for it, and nothing that a provider could refuse."""
    body = json.loads(body_of("llama", field))
    assert body.pop("messages")[0]["role"] == "user"
    assert body == {"model": "tokenway-probe/llama", field: OUTPUT_MOST, "stream": True}
