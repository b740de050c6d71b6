"""Accounts to principals and limits, and what a key is told about itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.control.keyring import credit_figures, key_figures, limits, with_accounts
from tokenway.control.publish import build_snapshot, key_digest
from tokenway.control.quotas import credits_id
from tokenway.model.limits import Limit, Measure, OnOutage, Scope, Term
from tokenway.model.money import NANO_PER_USD, NanoUsd, Share
from tokenway.model.quotas import Budget, BudgetPeriod, ProjectSettings
from tokenway.model.secret import Secret
from tokenway.model.settings import AuthSettings, FixedKey, Settings
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.accounts.holdings import Holdings
from tokenway.store.accounts.records import KeyRow, ProjectRow
from tokenway.store.money import Balance
from tokenway.store.usage import KeyUsage, Sums

SERVE = OnOutage.SERVE
NOW = 1_800_000_000.0
CI = FixedKey("ci", Secret("tk-0123456789abcdef"), "lab", Budget(NanoUsd(5 * NANO_PER_USD), BudgetPeriod.DAY))
FIXED = Settings(auth=AuthSettings(keys=(CI,)))
CI_DIGEST = key_digest("tk-0123456789abcdef")


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


def usd(amount: int, subject: str = "key_1", scope: Scope = Scope.KEY, **more: Any) -> Limit:
    """A limit of money."""
    return Limit(f"lim_{subject}_{amount}", scope, subject, Measure.USD, amount, **more)


def held(
    *keys: KeyRow,
    bounds: tuple[Limit, ...] = (),
    projects: tuple[ProjectRow, ...] = (ProjectRow("default", "default", 1.0),),
    paid_in: dict[str, int] | None = None,
) -> Holdings:
    """What the store has."""
    holdings = Holdings()
    holdings.keys = {key.id: key for key in keys}
    holdings.limits = {limit.id: limit for limit in bounds}
    holdings.projects = {project.id: project for project in projects}
    holdings.credits = paid_in or {}
    return holdings


def whole(settings: Settings, holdings: Holdings, now: float = NOW) -> Snapshot:
    """The snapshot of these settings and accounts."""
    bare = build_snapshot(settings, keys={}, environment={}, local=None, version=7)
    return with_accounts(bare, settings, holdings, now)


def principals(settings: Settings, holdings: Holdings, now: float = NOW) -> dict[str, Principal]:
    """Whom each key stands for in it."""
    return whole(settings, holdings, now).keys


def test_a_fixed_key_stands_for_its_project_and_has_its_budget() -> None:
    """The key is known by its digest only, and its budget by what it is of."""
    name = "config:key:ci:usd:day"
    made = whole(FIXED, held())
    assert made.keys == {CI_DIGEST: Principal("config:ci", "ci", "lab", limits=(name,))}
    assert made.limits == {name: Limit(name, Scope.KEY, "config:ci", Measure.USD, 5 * NANO_PER_USD, Term.DAY)}


def test_a_key_of_the_store_without_a_budget_has_no_bound() -> None:
    """No limit counts for it."""
    assert principals(Settings(), held(row())) == {"d1": Principal("key_1", "laptop", "default")}


def test_what_the_configuration_says_of_a_project_goes_before_the_store() -> None:
    """Its price and what becomes of it in an outage; the limits of both count."""
    settings = Settings(
        projects={"default": ProjectSettings(Budget(NanoUsd(9)), markup=Share(500_000), on_outage=SERVE)}
    )
    project = ProjectRow("default", "default", 1.0, markup=7, on_outage=OnOutage.REFUSE)
    holdings = held(row(), bounds=(usd(2, "default", Scope.PROJECT),), projects=(project,))
    found = principals(settings, holdings)["d1"]
    assert (found.markup, found.on_outage) == (500_000, SERVE)
    assert set(found.limits) == {"config:project:default:usd:total", "lim_default_2"}


def test_a_principal_has_all_that_is_said_of_its_key_and_project() -> None:
    """Whose it is, what it may be used for, what it costs, and the limits that count for each call."""
    key = row(
        project="lab",
        user_id="usr_1",
        expires=NOW + 9,
        max_cost=7,
        models=("m",),
        endpoints=("e",),
        addresses=("::/0",),
    )
    project = ProjectRow("lab", "Lab", 1.0, markup=-5, prepaid=True, on_outage=OnOutage.REFUSE)
    own, its, his = usd(1), usd(2, "lab", Scope.PROJECT), usd(3, "usr_1", Scope.USER)
    others = usd(4, "key_2"), usd(5, "key_1", Scope.PROJECT), usd(6, "m", Scope.MODEL), usd(7, "", Scope.USER)
    holdings = held(key, bounds=(own, its, his, *others), projects=(project,), paid_in={"lab": 10})
    assert principals(Settings(), holdings, NOW)["d1"] == Principal(
        "key_1",
        "laptop",
        "lab",
        user="usr_1",
        limits=(own.id, its.id, his.id, "credits:lab"),
        expires_at=NOW + 9,
        max_cost=NanoUsd(7),
        models=("m",),
        endpoints=("e",),
        addresses=("::/0",),
        markup=-5,
        on_outage=OnOutage.REFUSE,
    )


def test_the_credits_of_a_prepaid_project_are_a_limit_of_it() -> None:
    """In total, of money: what was paid in; with nothing paid in, nothing may be spent."""
    projects = tuple(ProjectRow(name, name, 1.0, prepaid=name != "free") for name in ("lab", "empty", "free"))
    found = limits(held(projects=projects, paid_in={"lab": 10, "free": 5}, bounds=(usd(1),)), FIXED)
    assert found[credits_id("lab")] == Limit("credits:lab", Scope.PROJECT, "lab", Measure.USD, 10)
    assert found[credits_id("empty")].amount == 0
    assert set(found) == {"credits:lab", "credits:empty", usd(1).id}


def test_a_project_that_the_configuration_makes_prepaid_has_what_was_paid_in() -> None:
    """Else its limit would be of nothing, and refuse each call that is larger than what is lent ahead."""
    settings = msgspec.structs.replace(FIXED, projects={"lab": ProjectSettings(prepaid=True)})
    made = whole(settings, held(projects=(ProjectRow("lab", "Lab", 1.0),), paid_in={"lab": 10}))
    assert made.limits["credits:lab"].amount == 10
    assert "credits:lab" in made.keys[CI_DIGEST].limits


def test_what_the_configuration_leaves_out_of_a_project_is_the_stores() -> None:
    """A budget in the file does not take away the price that an administrator has set."""
    project = ProjectRow("lab", "Lab", 1.0, markup=5, on_outage=OnOutage.REFUSE)
    settings = msgspec.structs.replace(FIXED, projects={"lab": ProjectSettings()})
    found = principals(settings, held(projects=(project,)))[CI_DIGEST]
    assert (found.markup, found.on_outage) == (5, OnOutage.REFUSE)
    settings = msgspec.structs.replace(FIXED, projects={"lab": ProjectSettings(markup=Share(0), on_outage=SERVE)})
    found = principals(settings, held(projects=(project,)))[CI_DIGEST]
    assert (found.markup, found.on_outage) == (0, SERVE)


def test_a_fixed_key_counts_for_its_project_in_the_store() -> None:
    """With its price, its limits and its credits; when the project is archived, so is the key's use."""
    project = ProjectRow("lab", "Lab", 1.0, markup=5, prepaid=True)
    holdings = held(projects=(project,), bounds=(usd(2, "lab", Scope.PROJECT),), paid_in={"lab": 10})
    found = principals(FIXED, holdings, NOW)[CI_DIGEST]
    assert (found.markup, found.limits) == (5, ("config:key:ci:usd:day", "lim_lab_2", "credits:lab"))
    holdings.projects["lab"] = msgspec.structs.replace(project, archived=NOW - 1)
    assert principals(FIXED, holdings, NOW) == {}


@pytest.mark.parametrize("ended", [{"revoked": NOW}, {"expires": NOW}, {"revoked": NOW - 1, "expires": NOW + 9}])
def test_a_key_that_has_ended_is_left_out(ended: dict[str, float]) -> None:
    """Also in the very second."""
    assert principals(Settings(), held(row(**ended)), NOW) == {}


def test_a_key_that_will_end_says_when() -> None:
    """The earlier of the two times counts, so a worker refuses it without a new snapshot."""
    (found,) = principals(Settings(), held(row(revoked=NOW + 5, expires=NOW + 9)), NOW).values()
    assert found.expires_at == NOW + 5


def test_both_secrets_of_a_rotated_key_draw_on_one_budget() -> None:
    """They stand for one account with one limit; the former one ends with the overlap, or the key if that is sooner."""
    rotated = row(former_digest="d0", former_ends=NOW + 5)
    budget = usd(100)
    principal = Principal("key_1", "laptop", "default", limits=(budget.id,))
    former = msgspec.structs.replace(principal, expires_at=NOW + 5)
    holdings = held(rotated, bounds=(budget,))
    assert principals(Settings(), holdings) == {"d1": principal, "d0": former}

    assert set(principals(Settings(), holdings, NOW + 5)) == {"d1"}
    ending = msgspec.structs.replace(rotated, expires=NOW + 3)
    assert principals(Settings(), held(ending), NOW)["d0"].expires_at == NOW + 3


def test_a_key_in_both_places_is_the_stores() -> None:
    """The store knows what it spent under its own id."""
    (found,) = principals(FIXED, held(row(digest=CI_DIGEST))).values()
    assert (found.key_id, found.limits) == ("key_1", ())


def test_a_snapshot_gets_the_keys_the_limits_and_those_of_models() -> None:
    """The ids that principals and models refer to are all there."""
    bounds = usd(1), usd(2, "gpt", Scope.MODEL), usd(3, "gpt", Scope.MODEL)
    holdings = held(row(), bounds=bounds)
    made = whole(Settings(), holdings)
    assert set(made.keys) == {"d1"}
    assert made.limits == {limit.id: limit for limit in bounds}
    assert made.model_limits == {"gpt": ("lim_gpt_2", "lim_gpt_3")}
    assert made.version == 7


USAGE = KeyUsage(requests=3, total=7 * NANO_PER_USD, day=NANO_PER_USD, week=2 * NANO_PER_USD, month=3 * NANO_PER_USD)


def test_a_key_is_told_what_it_used_and_what_is_left() -> None:
    """In dollars; what is left is counted in the budget's own period."""
    figures = key_figures(FIXED, held(), "config:ci", USAGE)
    told = {
        "label": "ci",
        "usage": 7.0,
        "usage_daily": 1.0,
        "usage_weekly": 2.0,
        "usage_monthly": 3.0,
        "withheld": 0.0,
        "limit": 5.0,
        "limit_remaining": 4.0,
        "limit_reset": "daily",
        "expires_at": None,
        "creator_user_id": None,
    }
    assert {name: figures[name] for name in told} == told
    assert figures["budgets"] == [figures["effective_budget"]]


def test_a_key_is_told_all_of_its_budgets_and_when_it_ends() -> None:
    """Each with what was spent of it; the one that blocks first is the limit."""
    bounds = usd(5 * NANO_PER_USD), usd(4 * NANO_PER_USD, term=Term.MONTH)
    mine = row(expires=NOW, user_id="usr_1")
    figures = key_figures(Settings(), held(mine, bounds=bounds), "key_1", USAGE)
    budgets: Any = figures["budgets"]
    told = [(each["limit_usd"], each["spend_usd"], each["remaining_usd"], each["reset_interval"]) for each in budgets]
    assert told == [(5.0, 7.0, 0.0, None), (4.0, 3.0, 1.0, "monthly")]
    assert figures["effective_budget"] == budgets[0]
    assert (figures["expires_at"], figures["creator_user_id"]) == ("2027-01-15T08:00:00Z", "usr_1")
    ending = Settings(auth=AuthSettings(keys=(msgspec.structs.replace(CI, expires="2030-01-31"),)))
    assert key_figures(ending, held(), "config:ci", USAGE)["expires_at"] == "2030-01-31T00:00:00Z"


def test_what_is_withheld_is_not_left() -> None:
    """Of the budget's own term; a call that needs it is refused, so the key is not told that it is there."""
    withheld = Sums(total=9 * NANO_PER_USD, day=NANO_PER_USD // 2)
    figures = key_figures(FIXED, held(), "config:ci", msgspec.structs.replace(USAGE, withheld=withheld))
    assert [figures[name] for name in ("usage_daily", "withheld", "limit_remaining")] == [1.0, 9.0, 3.5]


def test_a_total_budget_has_no_reset_and_is_never_negative() -> None:
    """Seven dollars of five are used: nothing is left, and it will not start anew; a larger budget does not matter."""
    bounds = usd(5 * NANO_PER_USD), usd(5 * NANO_PER_USD + 1, term=Term.MONTH)
    figures = key_figures(Settings(), held(row(), bounds=bounds), "key_1", USAGE)
    assert (figures["label"], figures["limit_remaining"], figures["limit_reset"]) == ("laptop", 0.0, None)


def test_a_key_without_a_budget_has_no_limit() -> None:
    """All three figures are null, as with OpenRouter; so for calls without a key."""
    for key_id, label in (("key_1", "laptop"), ("anonymous", "anonymous")):
        figures = key_figures(Settings(), held(row()), key_id, USAGE)
        assert figures["label"] == label
        assert [figures[name] for name in ("limit", "limit_remaining", "limit_reset")] == [None] * 3


def test_a_project_is_told_its_credits() -> None:
    """In dollars; whether they bind is said, also of a project that only the configuration knows."""
    balance = Balance(5 * NANO_PER_USD, NANO_PER_USD // 2)
    usage = KeyUsage(withheld=Sums(total=NANO_PER_USD // 4))
    figures = {"total_credits": 5.0, "total_usage": 0.5, "withheld": 0.25}
    stored = held(row(), projects=(ProjectRow("default", "default", 1.0, prepaid=True),))
    fixed = Settings(projects={"lab": ProjectSettings(prepaid=True), "free": ProjectSettings()})
    for project, holdings, prepaid in (
        ("default", stored, True),
        ("default", held(row()), False),
        ("lab", held(row()), True),
        ("free", held(row()), False),
        ("nobody", held(row()), False),
    ):
        assert credit_figures(fixed, holdings, project, balance, usage) == figures | {"prepaid": prepaid}
