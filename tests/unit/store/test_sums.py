"""What a batch comes to: with whom each figure stands, and in which bucket."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.records import NOON, USAGE, line, reserved, settled
from tokenway.metering.ledger import Draw, Settled, Settlement, Trace
from tokenway.model.usage import Usage
from tokenway.store.rows import Batch
from tokenway.store.schema import balances, rollups, run_agents, runs, spend
from tokenway.store.sums import Sums, digest_of, facet_rows, provider_of

MINUTE, HOUR, DAY = int(NOON // 60), int(NOON // 3_600), int(NOON // 86_400)


def sums_of(*records: Settled) -> Sums:
    """The sums of settlements."""
    batch = Batch({})
    batch.take(records, set())
    return batch.sums


def rows(sums: Sums, table: sa.Table) -> list[dict[str, Any]]:
    """The rows that are added to a table, by column."""
    _, tables = sums.tables("n1")
    names = table.columns.keys()
    return [dict(zip(names, row, strict=True)) for found, added in tables if found is table for row in added]


def test_a_call_is_in_its_minute_hour_and_day() -> None:
    """All three say the same of calls of one minute; the hour and the day have all of them."""
    found = rows(sums_of(settled(1), settled(2, slow=True), settled(61)), rollups)
    counts = {(row["grain"], row["bucket"]): (row["calls"], row["slow"], row["cost"]) for row in found}

    assert counts == {
        (60, MINUTE): (2, 1, 2_468),
        (60, MINUTE + 1): (1, 0, 1_234),
        (3_600, HOUR): (3, 1, 3_702),
        (86_400, DAY): (3, 1, 3_702),
    }
    assert {row["node"] for row in found} == {"n1"}
    assert {row["facet"] for row in found} == {digest_of(("key_a", "default", "", "mock", "lab/mock"))}


def test_a_call_belongs_to_the_moment_at_which_it_was_admitted() -> None:
    """One that ends after midnight is of the day before."""
    found = rows(sums_of(settled(1, at=NOON + 86_400, admitted=NOON)), rollups)

    assert {(row["grain"], row["bucket"]) for row in found} == {(60, MINUTE), (3_600, HOUR), (86_400, DAY)}


def test_times_are_added_up_in_microseconds() -> None:
    """TTFT, the output between the first and the last delta, and the whole."""
    (row,) = [row for row in rows(sums_of(settled(1), settled(2)), rollups) if row["grain"] == 60]

    assert (row["ttft_us"], row["first_tokens"], row["duration_us"]) == (500_000, 2, 2 * 1_300_000)
    assert (row["timed_tokens"], row["timed_us"]) == (120, 2_000_000)


def test_tokens_stand_where_they_were_made_and_the_call_where_it_was_answered() -> None:
    """What another endpoint burnt is its own, absorbed, and nobody's charge."""
    lost = line(attempt=1, endpoint="far/big", settlement=Settlement.ABSORBED, usage=Usage(5, searches=2), cost=70)
    sums = sums_of(settled(1, lines=(lost, line(attempt=2)), withheld=9))
    found = {row["facet"]: row for row in rows(sums, rollups) if row["grain"] == 60}
    named = {digest: endpoint for digest, *_, endpoint in facet_rows(sums.tables("")[0])}
    by_endpoint = {named[facet]: row for facet, row in found.items()}
    far, lab = by_endpoint["far/big"], by_endpoint["lab/mock"]

    assert (far["calls"], far["attempts"], far["charged"], far["cost"], far["absorbed"]) == (0, 1, 0, 70, 70)
    assert (far["input_uncached"], far["searches"], far["withheld"]) == (5, 2, 0)
    assert (lab["calls"], lab["attempts"], lab["charged"], lab["cost"], lab["absorbed"]) == (1, 1, 1_234, 1_234, 0)
    assert (lab["output_text"], lab["withheld"]) == (51, 9)


def test_what_is_not_known_is_counted_and_not_invented() -> None:
    """Attempts without usage, without a price, and with usage that cannot be believed."""
    sums = sums_of(
        settled(1, lines=(line(usage=None, cost=None),)),
        settled(2, lines=(line(cost=None),)),
        settled(3, lines=(line(usage=Usage(10**9), cost=None, absurd=True),)),
        settled(4, lines=(line(usage=None, cost=None, settlement=Settlement.RELEASED),)),
    )
    (row,) = [row for row in rows(sums, rollups) if row["grain"] == 60]

    assert (row["calls"], row["attempts"], row["unmetered"], row["unpriced"]) == (4, 4, 1, 1)
    assert (row["input_uncached"], row["cost"]) == (100, 0)


@pytest.mark.parametrize(("status", "error", "expected"), [(200, "", 0), (500, "", 1), (200, "upstream", 1)])
def test_errors_are_counted(status: int, error: str, expected: int) -> None:
    """Whether the status says so or the end."""
    (row,) = [row for row in rows(sums_of(settled(1, status=status, error_type=error)), rollups) if row["grain"] == 60]
    assert row["errors"] == expected


def test_everybody_whose_limits_count_has_spent() -> None:
    """Key, project, user and model, each by hour, day and in all; nobody is no user."""
    found = rows(sums_of(settled(1, withheld=5, user="usr_a"), settled(2)), spend)
    charged = {(row["scope"], row["subject"], row["grain"]): row["charged"] for row in found}

    assert charged == {
        (scope, subject, grain): amount
        for scope, subject, amount in (
            ("key", "key_a", 2_468),
            ("project", "default", 2_468),
            ("user", "usr_a", 1_234),
            ("model", "mock", 2_468),
        )
        for grain in (0, 3_600, 86_400)
    }
    (ever,) = [row for row in found if (row["scope"], row["grain"]) == ("key", 0)]
    assert (ever["bucket"], ever["calls"], ever["withheld"], ever["last_used"]) == (0, 2, 5, NOON + 2)
    assert (ever["input_tokens"], ever["output_tokens"]) == (2 * USAGE.input_tokens, 2 * USAGE.output_tokens)


def test_tokens_that_the_caller_does_not_pay_for_are_not_spent() -> None:
    """Of a call with a failed attempt, the one that answered counts."""
    lost = line(attempt=1, settlement=Settlement.ABSORBED, usage=Usage(1_000))
    found = rows(sums_of(settled(1, lines=(lost, line(attempt=2)))), spend)

    assert {row["input_tokens"] for row in found} == {USAGE.input_tokens}
    assert {row["calls"] for row in found} == {1}


def test_a_charge_and_a_cost_are_two_transfers() -> None:
    """From the wallet to sales, and from cost, or what we absorb, to who has made it; nothing is left over."""
    lost = line(attempt=1, endpoint="far/big", settlement=Settlement.ABSORBED, cost=70)
    found = rows(sums_of(settled(1, lines=(lost, line(attempt=2, cost=1_000)))), balances)
    accounts = {row["account"]: (row["debits"], row["credits"]) for row in found}

    assert accounts == {
        "wallet:default": (1_234, 0),
        "sales": (0, 1_234),
        "absorbed": (70, 0),
        "provider:far": (0, 70),
        "cost": (1_000, 0),
        "provider:lab": (0, 1_000),
    }
    assert provider_of("lab/big/model") == "provider:lab"


def test_a_run_is_the_sum_of_its_agents() -> None:
    """Each agent with its parent and kind; what the user saw is of the run's own alone."""
    explorer = Trace("b", "a", "Explore", "", "subagent")
    sums = sums_of(
        settled(1, run="r", trace=Trace("a")),
        settled(2, run="r", trace=explorer, status=500),
        settled(3, run="r", trace=explorer),
        settled(4),
    )
    (run,) = rows(sums, runs)
    agents = {row["agent"]: row for row in rows(sums, run_agents)}

    assert (run["key"], run["run"], run["project"], run["calls"], run["errors"]) == ("key_a", "r", "default", 3, 1)
    assert (run["started"], run["ended"]) == (NOON + 1, pytest.approx(NOON + 4.3))
    assert (run["shown"], run["shown_tokens"], run["output_text"]) == (1, 51, 153)
    assert {name: (row["parent"], row["agent_type"], row["calls"]) for name, row in agents.items()} == {
        "a": (None, None, 1),
        "b": ("a", "Explore", 2),
    }


def test_what_is_taken_of_leases_is_added_up() -> None:
    """By limit and period."""
    sums = sums_of(
        settled(1, draws=(Draw("l", 7, 3), Draw("m", 0, 1))), settled(2, draws=(Draw("l", 7, 4), Draw("l", 8, 5)))
    )

    assert sums.draws == {("l", 7): 7, ("m", 0): 1, ("l", 8): 5}


def test_an_expired_reservation_is_a_call_until_its_settlement_is_found() -> None:
    """Only in the roll-ups: nobody has spent anything."""
    sums = Sums()
    sums.expire(reserved(1))
    (row,) = [row for row in rows(sums, rollups) if row["grain"] == 60]
    assert (row["calls"], row["expired"], row["attempts"]) == (1, 1, 0)
    assert (rows(sums, spend), rows(sums, balances)) == ([], [])

    sums.expire(reserved(1), -1)
    assert [row["calls"] for row in rows(sums, rollups)] == [0, 0, 0]


@pytest.mark.parametrize(
    "change", [{"charged": 2**60}, {"run": "r", "withheld": 2**60}, {"draws": (Draw("l", 0, 2**60),)}]
)
def test_a_sum_beyond_reason_is_an_error(change: dict[str, Any]) -> None:
    """It would overflow the columns that it is added to."""
    with pytest.raises(OverflowError):
        sums_of(settled(1, **change)).tables("")
