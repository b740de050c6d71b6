"""Self-service: all of an account or nothing of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tokenway.model.limits import Measure, Scope, Term
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.audit import AuditFilter
from tokenway.store.accounts.records import CLI, LimitTerms, MemberRole, Role, SignUpTerms
from tokenway.store.base import Conflict, Invalid
from tokenway.store.open import Store
from tokenway.store.schema import balances, transfers
from tokenway.store.verify import verify

PASSWORD = Secret("correct horse")
TERMS = SignUpTerms(grant=5_000, limits=(LimitTerms(Measure.REQUESTS, 10, Term.MINUTE),), models=("free-*",))


def test_each_gets_a_prepaid_project_of_his_own(accounts: Accounts, store: Store) -> None:
    """With the grant in its wallet, by double entry; the limits are the user's, so that more keys are not more."""
    made = accounts.sign_up("Ann@Example.org", PASSWORD, TERMS, address="10.0.0.1")
    assert (made.user.name, made.user.role) == ("ann@example.org", Role.USER)
    assert passwords.check(accounts.users.candidate("ann@example.org").password, PASSWORD).is_right
    assert (made.project.id, made.project.prepaid) == ("ann-example-org", True)
    assert made.user.labels == {"origin": "sign-up"}
    assert accounts.memberships.role(made.user.id, made.project.id) is MemberRole.MEMBER
    assert accounts.keys.find(made.key.row.id) == made.key.row
    assert (made.key.row.project, made.key.row.user_id, made.key.row.models) == (
        made.project.id,
        made.user.id,
        ("free-*",),
    )
    (limit,) = accounts.limits.page(scope=Scope.USER, subject=made.user.id).rows
    assert (limit.limit.measure, limit.limit.amount) == (Measure.REQUESTS, 10)
    with store.database.read() as connection:
        (moved,) = connection.execute(sa.select(transfers)).all()
        rows = connection.execute(sa.select(balances.c.account, balances.c.debits, balances.c.credits))
        sums = {account: (debits, credits_) for account, debits, credits_ in rows}
    assert (moved.kind, moved.debit, moved.credit, moved.amount) == (
        "grant",
        "promotion",
        "wallet:ann-example-org",
        5_000,
    )
    assert sums == {"promotion": (5_000, 0), "wallet:ann-example-org": (0, 5_000)}


def test_or_all_join_one_project_with_the_grant_as_their_budget(accounts: Accounts, store: Store) -> None:
    """Its wallet is not touched."""
    terms = SignUpTerms(project="default", grant=5_000)
    made = accounts.sign_up("ann", PASSWORD, terms, address="")
    assert made.project.id == "default"
    assert accounts.memberships.role(made.user.id, "default") is MemberRole.MEMBER
    assert [(row.limit.measure, row.limit.amount) for row in made.key.limits] == [(Measure.USD, 5_000)]
    assert made.key.row.models is None
    with store.database.read() as connection:
        assert connection.execute(sa.select(transfers)).all() == []


def test_grants_of_several_add_up(accounts: Accounts, store: Store) -> None:
    """What promotion gave is the sum of what wallets got."""
    for name in ("a", "b"):
        accounts.sign_up(name, PASSWORD, TERMS, address="")
    with store.database.read() as connection:
        total = connection.execute(sa.select(sa.func.sum(balances.c.debits), sa.func.sum(balances.c.credits))).one()
    assert tuple(map(int, total)) == (10_000, 10_000)


def test_each_machine_adds_to_rows_of_its_own(open_store: Callable[..., Store], accounts: Accounts) -> None:
    """So none waits for another one's row, and who verifies the ledger finds both."""
    accounts.sign_up("a", PASSWORD, TERMS, address="")
    other = open_store(clock=accounts.changes.clock, node="0000000b")
    other.accounts.sign_up("b", PASSWORD, TERMS, address="")
    other.money.grant("a", 1, by=CLI)
    with other.database.read() as connection:
        rows = connection.execute(sa.select(balances.c.node, balances.c.account, balances.c.debits)).all()
    assert {(node, account): debits for node, account, debits in rows} == {
        ("", "promotion"): 5_000,
        ("", "wallet:a"): 0,
        ("0000000b", "promotion"): 5_001,
        ("0000000b", "wallet:a"): 0,
        ("0000000b", "wallet:b"): 0,
    }
    assert verify(other.database, accounts.changes.clock()).faults == []


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [("admin", PASSWORD, Conflict), ("a b", PASSWORD, Invalid), ("ann", Secret("short"), Invalid)],
)
def test_who_cannot_sign_up_leaves_nothing(
    accounts: Accounts, name: str, password: Secret, error: type[Exception]
) -> None:
    """No user, no project, no key."""
    before = accounts.changes.revision()
    with pytest.raises(error):
        accounts.sign_up(name, password, TERMS, address="")
    assert accounts.changes.revision() == before
    assert len(accounts.projects.page().rows) == 1


def test_the_log_has_every_part_of_it_with_the_address(accounts: Accounts) -> None:
    """The user himself is who did it, once there is one."""
    made = accounts.sign_up("ann", PASSWORD, TERMS, address="10.0.0.1")
    rows = [row for row in accounts.audit.page().rows if row.address == "10.0.0.1"]
    assert {row.resource for row in rows} == {"user", "project", "membership", "limit", "credits", "key"}
    assert {row.actor for row in rows} == {"sign-up", made.user.id}
    assert accounts.audit.page(AuditFilter(actor="sign-up")).rows[0].resource == "user"
