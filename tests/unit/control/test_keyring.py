"""Keys to principals, and what a key is told about itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.control.keyring import key_figures, with_keys
from tokenway.control.publish import build_snapshot, key_digest
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.quotas import Budget, BudgetPeriod
from tokenway.model.secret import Secret
from tokenway.model.settings import AuthSettings, FixedKey, Settings
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.base import KeyRow, Period
from tokenway.store.usage import KeyUsage

NOW = 1_800_000_000.0
CI = FixedKey("ci", Secret("tk-0123456789abcdef"), "lab", Budget(NanoUsd(5 * NANO_PER_USD), BudgetPeriod.DAY))
FIXED = Settings(auth=AuthSettings(keys=(CI,)))


def row(**changes: Any) -> KeyRow:
    """A key of the store."""
    values: dict[str, Any] = {
        "id": "key_1",
        "name": "laptop",
        "project": "default",
        "digest": "d1",
        "prefix": "tw-",
        "created": 1.0,
    }
    return KeyRow(**(values | changes))


def keys_of(settings: Settings, *rows: KeyRow, now: float = NOW) -> dict[str, Principal]:
    """Whom the keys stand for, in a snapshot."""
    return whole(settings, *rows, now=now).keys


def whole(settings: Settings, *rows: KeyRow, now: float = NOW) -> Snapshot:
    """The snapshot of these settings and keys."""
    bare = build_snapshot(settings, keys={}, environment={}, local=None, version=1)
    return with_keys(bare, settings, rows, now)


def test_a_fixed_key_stands_for_its_project_and_has_its_budget() -> None:
    """The key is known by its digest only, and its budget by what it is of."""
    snapshot = whole(FIXED)
    name = "config:key:ci:usd:day"
    assert snapshot.keys == {
        key_digest("tk-0123456789abcdef"): Principal("config:ci", "ci", "lab", limits=(name,)),
    }
    assert snapshot.limits == {
        name: Limit(name, Scope.KEY, "config:ci", Measure.USD, 5 * NANO_PER_USD, Term.DAY),
    }


def test_a_key_of_the_store_without_a_budget_has_no_bound() -> None:
    """No limit counts for it."""
    assert keys_of(Settings(), row()) == {"d1": Principal("key_1", "laptop", "default")}


@pytest.mark.parametrize("ended", [{"revoked": NOW}, {"expires": NOW}, {"revoked": NOW - 1, "expires": NOW + 9}])
def test_a_key_that_has_ended_is_left_out(ended: dict[str, float]) -> None:
    """Also in the very second."""
    assert keys_of(Settings(), row(**ended)) == {}


def test_a_key_that_will_end_says_when() -> None:
    """The earlier of the two times counts, so a worker refuses it without a new snapshot."""
    (found,) = keys_of(Settings(), row(revoked=NOW + 5, expires=NOW + 9)).values()
    assert found.expires_at == NOW + 5


def test_both_secrets_of_a_rotated_key_draw_on_one_budget() -> None:
    """They stand for one account with one limit; the former one ends with the overlap, or the key if that is sooner."""
    rotated = row(former_digest="d0", former_ends=NOW + 5, budget=100)
    principal = Principal("key_1", "laptop", "default", limits=("key:key_1:usd",))
    former = msgspec.structs.replace(principal, expires_at=NOW + 5)
    assert keys_of(Settings(), rotated) == {"d1": principal, "d0": former}

    assert set(keys_of(Settings(), rotated, now=NOW + 5)) == {"d1"}
    ending = msgspec.structs.replace(rotated, expires=NOW + 3)
    assert keys_of(Settings(), ending)["d0"].expires_at == NOW + 3


def test_a_budget_of_the_store_has_the_keys_own_period() -> None:
    """As its limit."""
    found = whole(Settings(), row(budget=100, period=Period.MONTH)).limits
    assert found == {"key:key_1:usd": Limit("key:key_1:usd", Scope.KEY, "key_1", Measure.USD, 100, Term.MONTH)}


def test_a_key_in_both_places_is_the_stores() -> None:
    """The store knows what it spent under its own id."""
    (found,) = keys_of(FIXED, row(digest=key_digest("tk-0123456789abcdef"))).values()
    assert (found.key_id, found.limits) == ("key_1", ())


USAGE = KeyUsage(requests=3, total=7 * NANO_PER_USD, day=NANO_PER_USD, week=2 * NANO_PER_USD, month=3 * NANO_PER_USD)


def test_a_key_is_told_what_it_used_and_what_is_left() -> None:
    """In dollars; what is left is counted in the budget's own period."""
    assert key_figures(FIXED, [], "config:ci", USAGE) == {
        "label": "ci",
        "usage": 7.0,
        "usage_daily": 1.0,
        "usage_weekly": 2.0,
        "usage_monthly": 3.0,
        "limit": 5.0,
        "limit_remaining": 4.0,
        "limit_reset": "day",
    }


def test_a_total_budget_has_no_reset_and_is_never_negative() -> None:
    """Seven dollars of five are used: nothing is left, and it will not start anew."""
    figures = key_figures(Settings(), [row(budget=5 * NANO_PER_USD)], "key_1", USAGE)
    assert (figures["label"], figures["limit_remaining"], figures["limit_reset"]) == ("laptop", 0.0, None)


def test_a_key_without_a_budget_has_no_limit() -> None:
    """All three figures are null, as with OpenRouter; so for calls without a key."""
    for key_id, label in (("key_1", "laptop"), ("anonymous", "anonymous")):
        figures = key_figures(Settings(), [row()], key_id, USAGE)
        assert figures["label"] == label
        assert [figures[name] for name in ("limit", "limit_remaining", "limit_reset")] == [None] * 3
