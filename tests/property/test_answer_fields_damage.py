"""Wrong types in any field of any vendor's answer: our own error, or passed over; never another exception."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, Final

import pytest

from tests.property.answer_places import sample
from tests.property.answer_streams import EVENTS, encoded
from tests.property.crossing import maker
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError

WRONG: Final[tuple[Any, ...]] = (None, 1, -1, 1.5, "x", True, [], {}, [1], [None], {"a": 1}, [[]], [{}], "", 10**30)
SHARE: Final = 20
"""One damaged stream of so many is read, and for one other dialect: all of them would take minutes."""

_maker = cache(maker)


def places(value: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each member and item of a value is."""
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield (*before, name)
        yield from places(each, (*before, name))


def with_value(value: Any, place: tuple[str | int, ...], wrong: Any) -> Any:
    """A copy with another value at one place."""
    if not place:
        return wrong
    copy = value.copy()
    copy[place[0]] = with_value(value[place[0]], place[1:], wrong)
    return copy


@cache
def answers(dialect: Dialect) -> tuple[Any, ...]:
    """An answer for each field, the same but once."""
    made = {json.dumps(answer): answer for leaf in sample(dialect) for answer in [leaf.make(leaf.values[0])]}
    return tuple(made.values())


def damaged(value: Any, chance: Random, share: int) -> Iterator[Any]:
    """The value with wrong ones at each place, one of so many."""
    for place in places(value):
        for wrong in WRONG:
            if not chance.randrange(share):
                yield with_value(value, place, wrong)


@pytest.mark.parametrize("upstream", Dialect)
def test_a_wrong_type_in_a_whole_answer(upstream: Dialect) -> None:
    """Each is read; what is read is written for some other dialect."""
    chance = Random(str(upstream))
    callers = [each for each in Dialect if each is not upstream]
    seen = refused = 0
    for answer in answers(upstream):
        for each in damaged(answer, chance, 2):
            caller = chance.choice(callers)
            seen += 1
            try:
                translate_answer(FORMATS[upstream], FORMATS[caller], json.dumps(each).encode(), _maker(caller))
            except WireError:
                refused += 1
    assert 0 < refused < seen


@pytest.mark.parametrize("upstream", Dialect)
def test_a_wrong_type_in_a_stream(upstream: Dialect) -> None:
    """In any event of it."""
    chance = Random(str(upstream))
    callers = [each for each in Dialect if each is not upstream]
    seen = 0
    for answer in answers(upstream):
        events = list(EVENTS[upstream](answer))
        for number, event in enumerate(events):
            for wrong in damaged(event[1] if isinstance(event, tuple) else event, chance, SHARE):
                new = (event[0], wrong) if isinstance(event, tuple) else wrong
                caller = chance.choice(callers)
                found = Translation(FORMATS[upstream], FORMATS[caller], maker(caller, stream=True))
                try:
                    out = found.feed(encoded(upstream, [*events[:number], new, *events[number + 1 :]]), 1.0)
                    assert isinstance(out + found.finish() + found.tail(b"", b""), bytes)
                except WireError:
                    continue
                seen += 1
    assert seen > 100
