"""What is billed is what the provider counted: in every recording the buckets sum to its totals, each token in one.

Skipped where no file of recordings is at hand (see `tests.replay.exchanges`). The totals are read by hand in
`tests.replay.said`; the sums of all, which some dialects tell as well, are looked up here.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest

from tests.fake_provider.aws import split
from tests.property.crossing import asked, read
from tests.replay import said
from tests.replay.exchanges import Exchange, answered, find
from tests.replay.said import Counts
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.usage import Metered, Usage

pytestmark = pytest.mark.skipif(
    find() is None, reason="no file of recorded exchanges is at hand; TOKENWAY_RECORDINGS names one"
)
EACH = [pytest.param(dialect, id=str(dialect)) for dialect in Dialect]
OWN_TOTALS = {
    Dialect.OPENAI_CHAT: "total_tokens",
    Dialect.OPENAI_RESPONSES: "total_tokens",
    Dialect.GEMINI: "totalTokenCount",
    Dialect.BEDROCK: "totalTokens",
}
"""The member of a usage that is the sum of all tokens."""


def with_counts(dialect: Dialect) -> list[tuple[Exchange, Counts]]:
    """The recordings of a dialect whose provider counted, with what it counted."""
    found = []
    for each in answered():
        if each.dialect is dialect and b'"status":"queued"' not in each.answer.replace(b" ", b""):
            counts = said.read(dialect, each.answer, stream=each.stream).counts
            if counts is not None:
                found.append((each, counts))
    assert len(found) > 50
    return found


def passed(each: Exchange) -> Metered:
    """What the gateway meters where both sides speak the dialect: a stream in pieces, or a whole answer."""
    form = FORMATS[each.dialect]
    if not each.stream:
        return form.read_whole(Operation.CHAT, each.answer).metered
    chance = Random(each.id)
    stream = form.passing(asked(each.dialect, stream=True))
    start = 0
    while start < len(each.answer):
        end = start + chance.randrange(1, 400)
        stream.feed(each.answer[start:end], 1.0)
        start = end
    stream.finish()
    return stream.metered


def agrees(usage: Usage, counts: Counts) -> bool:
    """Whether disjoint buckets are these totals."""
    reasoning = usage.reasoning if counts.reasoning is not None else None
    return Counts(usage.input_tokens, usage.output_tokens, usage.cache_read, reasoning) == counts


@pytest.mark.parametrize("dialect", EACH)
def test_buckets_sum_to_the_providers_totals_as_it_passes(dialect: Dialect) -> None:
    """Input, output, cached tokens and reasoning; none is below zero."""
    for each, counts in with_counts(dialect):
        usage = passed(each).usage
        assert usage is not None, each.id
        assert agrees(usage, counts), (each.id, usage, counts)
        assert min(msgspec.structs.astuple(usage)) >= 0, each.id


@pytest.mark.parametrize("dialect", EACH)
def test_buckets_are_the_same_across_dialects(dialect: Dialect) -> None:
    """The two readers of a dialect, one for what passes and one for what is translated, count alike."""
    for each, _ in with_counts(dialect):
        assert read(dialect, each.answer, stream=each.stream).metered == passed(each), each.id


@pytest.mark.parametrize("dialect", [pytest.param(dialect, id=str(dialect)) for dialect in OWN_TOTALS])
def test_all_buckets_sum_to_the_providers_own_sum(dialect: Dialect) -> None:
    """Where a provider tells the sum of all tokens, that is the sum of all buckets."""
    seen = 0
    for each, _ in with_counts(dialect):
        totals = list(sums(each, OWN_TOTALS[dialect]))
        if not totals:
            continue
        usage = passed(each).usage
        assert usage is not None, each.id
        assert usage.input_tokens + usage.output_tokens == totals[-1], each.id
        seen += 1
    assert seen > 50


def sums(each: Exchange, name: str) -> list[int]:
    """A member of every usage in an answer, in order; of several in one event the one that stands highest."""
    if each.dialect is Dialect.BEDROCK and each.stream:
        objects = [json.loads(payload) for _, payload in split(each.answer)]
    else:
        objects = list(said.events(each.answer)) if each.stream else [json.loads(each.answer)]
    usages = [usage for one in objects for usage in [*found(one, "usage"), *found(one, "usageMetadata")][:1]]
    return [usage[name] for usage in usages if usage and name in usage]


def found(value: Any, name: str) -> list[Any]:
    """The values of members of this name, however deep."""
    if isinstance(value, list):
        return [each for one in value for each in found(one, name)]
    if not isinstance(value, dict):
        return []
    own = [value[name]] if name in value else []
    return own + [each for one in value.values() for each in found(one, name)]
