"""Keys to principals, and what a key is told about itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.control.budgets import Grants, Term
from tokenway.control.keyring import key_figures, principals
from tokenway.control.publish import key_digest
from tokenway.model.money import NANO_PER_USD, NanoUsd
from tokenway.model.secret import Secret
from tokenway.model.settings import AuthSettings, Budget, BudgetPeriod, FixedKey, Settings
from tokenway.model.snapshot import Principal
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


def nothing_spent(workers: int = 1) -> Grants:
    """Grants of budgets of which nothing was spent."""
    return Grants(workers, lambda _key, _term: 0)


def test_a_fixed_key_stands_for_its_project_and_has_its_share() -> None:
    """Two workers have half of the five dollars each; the key is known by its digest only."""
    found = principals(FIXED, [], nothing_spent(2), 1, NOW)
    share = NanoUsd(5 * NANO_PER_USD // 2)
    assert found == {
        key_digest("tk-0123456789abcdef"): Principal("config:ci", "ci", "lab", budget=share, budget_epoch=1)
    }


def test_a_key_of_the_store_without_a_budget_has_no_bound() -> None:
    """Nothing is granted and nothing asked of the ledger."""
    grants = Grants(1, lambda _key, _term: pytest.fail("asked for what was spent"))
    assert principals(Settings(), [row()], grants, 1, NOW) == {"d1": Principal("key_1", "laptop", "default")}


@pytest.mark.parametrize("ended", [{"revoked": NOW}, {"expires": NOW}, {"revoked": NOW - 1, "expires": NOW + 9}])
def test_a_key_that_has_ended_is_left_out(ended: dict[str, float]) -> None:
    """Also in the very second."""
    assert principals(Settings(), [row(**ended)], nothing_spent(), 1, NOW) == {}


def test_a_key_that_will_end_says_when() -> None:
    """The earlier of the two times counts, so a worker refuses it without a new snapshot."""
    (found,) = principals(Settings(), [row(revoked=NOW + 5, expires=NOW + 9)], nothing_spent(), 1, NOW).values()
    assert found.expires_at == NOW + 5


def test_both_secrets_of_a_rotated_key_draw_on_one_budget() -> None:
    """They stand for one account with one grant; the former one ends with the overlap, or the key if that is sooner."""
    rotated = row(former_digest="d0", former_ends=NOW + 5, budget=100)
    principal = Principal("key_1", "laptop", "default", budget=NanoUsd(100), budget_epoch=1)
    former = msgspec.structs.replace(principal, expires_at=NOW + 5)
    assert principals(Settings(), [rotated], nothing_spent(), 1, NOW) == {"d1": principal, "d0": former}

    assert set(principals(Settings(), [rotated], nothing_spent(), 1, NOW + 5)) == {"d1"}
    ending = msgspec.structs.replace(rotated, expires=NOW + 3)
    assert principals(Settings(), [ending], nothing_spent(), 1, NOW)["d0"].expires_at == NOW + 3


def test_a_rotation_gives_a_worker_no_new_budget() -> None:
    """The grant goes on under the key's id: it is the same one, so what the worker spent since stays counted."""
    spent = 0
    grants = Grants(1, lambda _key, _term: spent)
    before = principals(Settings(), [row(budget=100)], grants, 1, NOW)["d1"]
    spent = 70
    assert principals(Settings(), [row(budget=100, digest="d2")], grants, 1, NOW) == {"d2": before}


def test_a_budget_of_the_store_is_counted_by_its_period() -> None:
    """The ledger is asked for what was spent in the key's own period."""
    asked: list[tuple[str, Term]] = []

    def spent(key: str, term: Term) -> int:
        asked.append((key, term))
        return 30

    (found,) = principals(Settings(), [row(budget=100, period=Period.MONTH)], Grants(1, spent), 1, NOW).values()
    assert found.budget == 70
    assert set(asked) == {("key_1", Term.MONTH)}


def test_a_key_in_both_places_is_the_stores() -> None:
    """The store knows what it spent under its own id."""
    (found,) = principals(FIXED, [row(digest=key_digest("tk-0123456789abcdef"))], nothing_spent(), 1, NOW).values()
    assert (found.key_id, found.budget) == ("key_1", None)


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
