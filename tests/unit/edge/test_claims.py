"""What a call takes of each limit at most, and what it took in the end."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.edge.calls import limit
from tokenway.edge.claims import digest_of, most_of, rules_of, tells, tokens_of, tokens_of_run, took_of
from tokenway.edge.stocks import Stock
from tokenway.metering.ledger import Line, Settlement
from tokenway.model.limits import Measure, Term
from tokenway.model.usage import Usage

PAID = Line(1, "p/e", Settlement.DELIVERED, Usage(input_uncached=7, cache_read=2, output_text=5))
LOST = msgspec.structs.replace(PAID, settlement=Settlement.ABSORBED)
UNTOLD = msgspec.structs.replace(PAID, settlement=Settlement.UPSTREAM_BILLED, usage=None)


@pytest.mark.parametrize(
    ("measure", "most", "used"),
    [
        (Measure.USD, 1000, 400),
        (Measure.REQUESTS, 1, 1),
        (Measure.INPUT_TOKENS, 30, 9),
        (Measure.OUTPUT_TOKENS, 20, 5),
        (Measure.TOKENS, 50, 14),
        (Measure.CONCURRENCY, 1, 0),
        (Measure.DEPTH, 0, 0),
        (Measure.LOOPS, 1, 1),
    ],
)
def test_a_call_is_bounded_first_and_counted_then(measure: Measure, most: int, used: int) -> None:
    """By each measure; of attempts that nobody pays for no token counts."""
    kind = Stock("s", limit(measure, 10**6)).kind
    assert most_of(1000, (30, 20))[kind] == most
    assert took_of(400, tokens_of([LOST, PAID]))[kind] == used


def test_what_nobody_counted_is_not_invented() -> None:
    """Of tokens nothing is said; money and calls are known all the same."""
    assert took_of(9, tokens_of([UNTOLD])) == (9, 1, 0, 0, None, None, None)


def test_tokens_are_those_of_paid_attempts() -> None:
    """None where one of them was not counted."""
    assert tokens_of([LOST, PAID]) == (9, 5)
    assert tokens_of([]) == (0, 0)
    assert tokens_of([PAID, UNTOLD]) is None


def test_a_run_takes_what_all_attempts_took() -> None:
    """As the books add it up: a lease that lost less than they count would be spent twice."""
    absurd = msgspec.structs.replace(PAID, absurd=True)
    assert tokens_of_run([LOST, PAID, UNTOLD, absurd]) == (18, 10)
    kind = Stock("r", limit(Measure.TOKENS, 100, per_run=True)).kind
    assert took_of(0, tokens_of_run([LOST, PAID]))[kind] == 28


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (b'{"a":1,"b":[1,2]}', b'{ "b":[1, 2],"a" :1 }', True),
        (b'{"a":1,"metadata":{"trace":"x"}}', b'{"a":1}', True),
        (b'{"a":{"metadata":1}}', b'{"a":{}}', False),
        (b'{"a":1}', b'{"a":2}', False),
        (b"not json", b"not json", True),
        (b"not json", b"not json ", False),
        (b"[1]", b"[1]", True),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode(), True),
    ],
)
def test_a_request_is_known_by_what_it_says(one: bytes, other: bytes, is_same: bool) -> None:
    """Not by how it is written, nor by its own metadata."""
    assert (digest_of(one) == digest_of(other)) is is_same


def test_a_form_is_known_too() -> None:
    """By its own description."""
    assert digest_of(("form", 1)) == digest_of(("form", 1)) != digest_of(("form", 2))


def test_rules_are_sorted() -> None:
    """Those of all calls and of each run; whether tokens are to be bounded, and whether callers are told of rates."""
    rate, total, run = limit(Measure.REQUESTS, 1, Term.MINUTE), limit(), limit(Measure.TOKENS, 1, per_run=True)
    found = rules_of([rate, total, run])
    assert (found.common, found.per_run, found.needs_tokens, found.is_told) == ((rate, total), (run,), True, True)
    found = rules_of([total, limit(Measure.CONCURRENCY, 1)])
    assert (found.per_run, found.needs_tokens, found.is_told) == ((), False, False)


def test_rates_of_requests_and_tokens_are_told() -> None:
    """Neither money nor places, nor what lasts a day."""
    assert tells(limit(Measure.OUTPUT_TOKENS, 1, Term.MINUTE))
    for each in (limit(), limit(Measure.CONCURRENCY, 1), limit(Measure.REQUESTS, 1, Term.DAY)):
        assert not tells(each)
