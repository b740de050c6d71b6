"""Limits: one for each combination of what is bounded, how, and for how long."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import CLI, FirstStart, LimitTerms
from tokenway.store.base import Conflict, Invalid, NotFound

MONTHLY = LimitTerms(Measure.USD, 5_000_000_000, Term.MONTH)


def test_a_limit_is_found_as_it_was_set(accounts: Accounts, first: FirstStart) -> None:
    """For each scope; the log says for which project."""
    key = first.key.row.id
    for scope, subject, project in (
        (Scope.KEY, key, "default"),
        (Scope.PROJECT, "default", "default"),
        (Scope.USER, first.user.id, ""),
        (Scope.MODEL, "gpt-4o", ""),
    ):
        row = accounts.limits.set(scope, subject, MONTHLY, by=CLI)
        assert row.limit == Limit(row.limit.id, scope, subject, Measure.USD, 5_000_000_000, Term.MONTH)
        assert accounts.limits.get(row.limit.id) == row
        assert accounts.audit.page(size=1).rows[0].project == project


def test_setting_it_again_changes_its_amount(accounts: Accounts) -> None:
    """Below what is spent is as good as any; another term, or a rolling one, is another limit."""
    first = accounts.limits.set(Scope.PROJECT, "default", MONTHLY, by=CLI)
    again = accounts.limits.set(Scope.PROJECT, "default", msgspec.structs.replace(MONTHLY, amount=0), by=CLI)
    assert (again.limit.id, again.limit.amount, again.version) == (first.limit.id, 0, 2)
    (row,) = accounts.audit.page(size=1).rows
    assert row.detail["amount"] == {"from": 5_000_000_000, "to": 0}
    others = [
        LimitTerms(Measure.USD, 1, Term.MONTH, rolling=True),
        LimitTerms(Measure.USD, 1, Term.DAY),
        LimitTerms(Measure.USD, 1, per_run=True),
        LimitTerms(Measure.TOKENS, 1, Term.MONTH),
    ]
    for each in others:
        accounts.limits.set(Scope.PROJECT, "default", each, by=CLI)
    assert len(accounts.limits.page(project="default").rows) == 5


def test_who_has_seen_another_version_is_told(accounts: Accounts) -> None:
    """0 says that there is none; a version of one that is gone is not made anew."""
    row = accounts.limits.set(Scope.PROJECT, "default", MONTHLY, by=CLI, version=0)
    with pytest.raises(Conflict):
        accounts.limits.set(Scope.PROJECT, "default", MONTHLY, by=CLI, version=0)
    with pytest.raises(Conflict):
        accounts.limits.delete(row.limit.id, by=CLI, version=2)
    assert accounts.limits.delete(row.limit.id, by=CLI, version=1) == row
    with pytest.raises(NotFound):
        accounts.limits.set(Scope.PROJECT, "default", MONTHLY, by=CLI, version=1)
    with pytest.raises(NotFound):
        accounts.limits.delete(row.limit.id, by=CLI)


def test_what_is_bounded_must_be_there(accounts: Accounts) -> None:
    """Models are the configuration's, so any name will do, but none will not."""
    for scope in (Scope.KEY, Scope.PROJECT, Scope.USER):
        with pytest.raises(NotFound):
            accounts.limits.set(scope, "nowhere", MONTHLY, by=CLI)
    with pytest.raises(Invalid):
        accounts.limits.set(Scope.MODEL, " ", MONTHLY, by=CLI)
    with pytest.raises(Invalid):
        accounts.limits.set(Scope.PROJECT, "default", LimitTerms(Measure.USD, -1), by=CLI)
    assert accounts.limits.page().rows == []


def test_they_are_listed_by_owner(accounts: Accounts, first: FirstStart) -> None:
    """A project's list has those of its keys; several subjects may be asked about at once."""
    accounts.projects.create("Lab", by=CLI)
    lab = accounts.keys.create("k", project="lab", by=CLI, limits=[MONTHLY]).row.id
    accounts.limits.set(Scope.PROJECT, "lab", MONTHLY, by=CLI)
    accounts.limits.set(Scope.KEY, first.key.row.id, MONTHLY, by=CLI)
    subjects = [row.limit.subject for row in accounts.limits.page(project="lab").rows]
    assert sorted(subjects) == sorted([lab, "lab"])
    assert [row.limit.subject for row in accounts.limits.page(scope=Scope.PROJECT).rows] == ["lab"]
    assert [row.limit.subject for row in accounts.limits.page(scope=Scope.KEY, subject=lab).rows] == [lab]
    of = accounts.limits.of(Scope.KEY, [lab, first.key.row.id, "lab", "nobody"])
    assert {subject: len(rows) for subject, rows in of.items()} == {lab: 1, first.key.row.id: 1}
    assert accounts.limits.of(Scope.KEY, []) == {}
