"""The first start: once, whoever starts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.unit.store.conftest import Clock
from tokenway.store.accounts import passwords
from tokenway.store.accounts.records import CLI, MemberRole, Role
from tokenway.store.open import Store


def test_it_makes_an_account_that_can_be_used(store: Store) -> None:
    """A project, an admin who can sign in and whose token is good, and a key of his."""
    made = store.accounts.bootstrap()
    assert made is not None
    accounts = store.accounts
    assert accounts.projects.get(made.project).id == "default"
    candidate = accounts.users.candidate("admin")
    assert candidate.user == made.user
    assert made.user.role is Role.ADMIN
    assert passwords.check(candidate.password, made.password).is_right
    assert accounts.memberships.role(made.user.id, "default") is MemberRole.ADMIN
    used = accounts.tokens.use(made.token.secret)
    assert used is not None
    assert used[1] == made.user
    assert accounts.keys.find("default") == made.key.row
    assert made.key.row.user_id == made.user.id
    assert made.password.reveal() not in repr(made)


def test_it_happens_once(store: Store) -> None:
    """A key that was made before leaves it to come; its project is not made twice."""
    store.accounts.ensure_default_project(by=CLI)
    store.accounts.ensure_default_project(by=CLI)
    store.accounts.keys.create("early", by=CLI)
    assert store.accounts.bootstrap() is not None
    assert store.accounts.bootstrap() is None
    assert sorted(store.accounts.keys.names().values()) == ["default", "early"]


def test_of_several_who_start_at_once_one_is_the_first(open_store: Callable[..., Store], clock: Clock) -> None:
    """On machines that share a database only one of them prints a key."""
    stores = [open_store(clock=clock) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda store: store.accounts.bootstrap(), stores))
    assert [each is None for each in made].count(False) == 1
    assert len(stores[0].accounts.users.page().rows) == 1
