"""Every field of every vendor's answer, to callers of every other dialect: told, or known to have no place there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.property.answer_places import UNTOLD
from tests.property.answer_sdks import WHOLE
from tests.property.answer_types import Leaf, leaves
from tests.property.crossing import maker
from tokenway.dialects.base import Maker
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import translate_answer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError

PAIRS = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect if one is not other]
PAGES = Path(__file__).parents[2] / "docs" / "dialects"
COUNTS = ("usage", "usageMetadata")
"""Members that `test_answer_fields_usage` is about."""

_maker = cache(maker)
_leaves = cache(lambda dialect: [each for each in leaves(dialect) if not each.path.startswith(COUNTS)])


def told(upstream: Dialect, caller: Dialect, answer: Any) -> bytes:
    """An answer as the caller gets it; empty where it is none."""
    by: Maker = _maker(caller)
    try:
        return translate_answer(FORMATS[upstream], FORMATS[caller], json.dumps(answer).encode(), by)[1]
    except WireError:
        return b""


def is_told(upstream: Dialect, caller: Dialect, leaf: Leaf) -> bool:
    """Whether the caller's answer is another with another value of a field; where it has but one, without it."""
    values = [leaf.make(each) for each in leaf.values]
    answers = values if len(values) > 1 else [*values, leaf.without]
    return len({told(upstream, caller, each) for each in answers}) > 1


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_every_field_is_told_or_has_no_place(upstream: Dialect, caller: Dialect) -> None:
    """The fields that are lost are those of the table, which has a reason for each, and no others."""
    lost = {leaf.path for leaf in _leaves(upstream) if not is_told(upstream, caller, leaf)}
    rows = [row for row in UNTOLD[upstream] if caller in row.to]
    known = {leaf.path for leaf in _leaves(upstream) if any(row.holds(leaf.path) for row in rows)}
    assert lost == known


@pytest.mark.parametrize("dialect", Dialect)
def test_every_row_is_about_something(dialect: Dialect) -> None:
    """A path that no SDK has any more would hide what takes its place."""
    paths = [leaf.path for leaf in _leaves(dialect)]
    for row in UNTOLD[dialect]:
        for each in row.paths.split():
            assert any(type(row)(row.said, each).holds(path) for path in paths), each


@pytest.mark.parametrize("dialect", Dialect)
def test_what_has_no_place_is_documented(dialect: Dialect) -> None:
    """Its page says so."""
    page = " ".join((PAGES / f"{dialect}.md").read_text().split())
    assert [row.said for row in UNTOLD[dialect] if row.said not in page] == []


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_what_is_told_is_of_the_callers_types(upstream: Dialect, caller: Dialect) -> None:
    """Every answer is one by the types of the caller's own SDK."""
    bodies = {told(upstream, caller, leaf.make(value)) for leaf in _leaves(upstream) for value in leaf.values}
    for body in bodies - {b""}:
        assert WHOLE[caller](body)
