"""What all dialects share: the records they fill, and what is shown of an upstream's own words."""

from __future__ import annotations

import inspect

import pytest

from tokenway.dialects.base import FAULT_TEXT, GATEWAY_FIELDS, Format, fault_text
from tokenway.dialects.inbound import InboundFields
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "no room", "code": 5}, "no room"),
        ({"message": ""}, "{'message': ''}"),
        ({"message": None, "code": 5}, "{'message': None, 'code': 5}"),
        ({"message": {"en": "no"}}, "{'en': 'no'}"),
        ({"code": 5}, "{'code': 5}"),
        ("no room", "no room"),
        (["no"], "['no']"),
        (529, "529"),
        (True, "True"),
    ],
)
def test_an_error_of_any_shape_is_a_text(error: object, text: str) -> None:
    """Its message, else all of it."""
    assert fault_text(error) == text


def test_an_upstreams_words_are_cut() -> None:
    """They end in a header line of a log, and in the caller's error."""
    assert fault_text({"message": "é" * 1000}) == "é" * FAULT_TEXT == "é" * 400


def test_the_gateways_own_members_are_those_that_are_read() -> None:
    """Whoever adds one to what is read takes it out of what is sent."""
    read = set(InboundFields.__struct_fields__)
    theirs = {"model", "stream", "prompt_cache_key", "metadata", "client_metadata", "conversation"}
    assert set(GATEWAY_FIELDS) == read - theirs


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect_fills_every_function(dialect: Dialect) -> None:
    """With one that takes as many arguments as the table's type says."""
    form = FORMATS[dialect]
    counts = {
        "parse": 4,
        "passing": 1,
        "read_whole": 2,
        "priced": 3,
        "writer": 1,
        "write_answer": 2,
        "error_body": 2,
        "error_event": 2,
        "path": 3,
        "write_request": 2,
        "framing": 0,
        "reader": 0,
        "read_answer": 1,
        "read_error": 2,
    }
    assert set(counts) <= set(Format.__struct_fields__)
    for name, count in counts.items():
        inspect.signature(getattr(form, name)).bind(*range(count))
