"""Users: people and service accounts, their passwords, and their end."""

from __future__ import annotations

import msgspec
import pytest

from tests.records import settled
from tests.unit.store.conftest import Clock
from tokenway.model.limits import Measure, Scope
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import (
    CLI,
    Candidate,
    FirstStart,
    KeyTerms,
    LimitTerms,
    MemberRole,
    Role,
    UserKind,
    UserRow,
    UserTerms,
)
from tokenway.store.base import Conflict, InUse, Invalid, NotFound, Progress
from tokenway.store.open import Store

PASSWORD = Secret("correct horse")


def test_a_user_is_found_by_id_and_by_name_whatever_its_case(accounts: Accounts, clock: Clock) -> None:
    """As he was made."""
    terms = UserTerms(role=Role.ADMIN, identity="https://id.example 7", labels={"a": "b"})
    made = accounts.users.create("Ann@Example.org", by=CLI, password=PASSWORD, terms=terms)
    assert made == UserRow(
        made.id,
        "ann@example.org",
        Role.ADMIN,
        clock.now,
        has_password=True,
        identity="https://id.example 7",
        labels={"a": "b"},
    )
    assert accounts.users.find(made.id) == accounts.users.find(" ANN@example.org") == made
    with pytest.raises(NotFound, match="no user 'bob'"):
        accounts.users.find("bob")


def test_an_id_is_nobody_elses_name(accounts: Accounts, first: FirstStart) -> None:
    """Who calls himself by another's id is not taken for him."""
    accounts.users.create(first.user.id, by=CLI)
    assert accounts.users.find(first.user.id) == first.user


def test_names_and_identities_are_unique(accounts: Accounts) -> None:
    """Also those of who has been archived, because the ledger goes on to speak of him."""
    ann = accounts.users.create("ann", by=CLI, terms=UserTerms(identity="i s"))
    accounts.users.create("bob", by=CLI)
    with pytest.raises(Conflict, match="called ann already"):
        accounts.users.create("ANN", by=CLI)
    with pytest.raises(Conflict, match="called ann already"):
        accounts.users.update("bob", UserTerms(name="Ann"), by=CLI)
    with pytest.raises(Conflict, match="identity"):
        accounts.users.update("bob", UserTerms(identity="i s"), by=CLI)
    accounts.users.archive(ann.id, by=CLI)
    with pytest.raises(Conflict, match="and is archived"):
        accounts.users.create("ann", by=CLI)


def test_a_password_is_checked_outside_of_the_store(accounts: Accounts) -> None:
    """The store says whose name it is; who is nobody, has none or has ended, is nobody."""
    ann = accounts.users.create("ann", by=CLI, password=PASSWORD)
    accounts.users.create("bot", by=CLI, kind=UserKind.SERVICE)
    found = accounts.users.candidate(" Ann")
    assert found.user == ann
    assert passwords.check(found.password, PASSWORD).is_right
    assert str(found).count("argon2") == 0
    assert accounts.users.candidate("bot") == accounts.users.candidate("nobody") == Candidate(None, None)
    accounts.users.archive("ann", by=CLI)
    assert accounts.users.candidate("ann") == Candidate(None, None)


def test_another_password_signs_out_everywhere_else(accounts: Accounts) -> None:
    """The session that the change comes from goes on; the old password is no more, the new one not in the log."""
    accounts.users.create("ann", by=CLI, password=PASSWORD)
    here, row = accounts.sessions.create("ann", 60, by=CLI)
    there, _ = accounts.sessions.create("ann", 60, by=CLI)
    changed = accounts.users.set_password("ann", Secret("another horse"), by=CLI, keep=row.digest)
    assert changed.version == 2
    assert accounts.sessions.find(here) is not None
    assert accounts.sessions.find(there) is None
    stored = accounts.users.candidate("ann").password
    assert passwords.check(stored, Secret("another horse")).is_right
    assert not passwords.check(stored, PASSWORD).is_right
    log = msgspec.json.encode(accounts.audit.page().rows)
    assert b"horse" not in log
    assert b"argon2" not in log


def test_a_service_account_has_no_password(accounts: Accounts) -> None:
    """Neither from the beginning nor later."""
    with pytest.raises(Invalid, match="token"):
        accounts.users.create("bot", by=CLI, kind=UserKind.SERVICE, password=PASSWORD)
    accounts.users.create("bot", by=CLI, kind=UserKind.SERVICE)
    with pytest.raises(Invalid, match="token"):
        accounts.users.set_password("bot", PASSWORD, by=CLI)


def test_a_hash_made_anew_does_not_undo_another_password(accounts: Accounts) -> None:
    """It replaces only the hash that was checked."""
    accounts.users.create("ann", by=CLI, password=PASSWORD)
    seen = accounts.users.candidate("ann")
    anew = passwords.hashed(PASSWORD)
    accounts.users.keep_rehashed(seen, anew, by=CLI)
    assert accounts.users.candidate("ann").password == anew
    accounts.users.set_password("ann", Secret("another horse"), by=CLI)
    accounts.users.keep_rehashed(seen, anew, by=CLI)
    accounts.users.keep_rehashed(Candidate(None, None), anew, by=CLI)
    assert passwords.check(accounts.users.candidate("ann").password, Secret("another horse")).is_right


def test_an_archived_user_has_no_key_token_or_session_any_more(accounts: Accounts, clock: Clock) -> None:
    """All of it at once; the row stays."""
    ann = accounts.users.create("ann", by=CLI, password=PASSWORD, terms=UserTerms(identity="i s"))
    key = accounts.keys.create("k", by=CLI, terms=KeyTerms(user_id="ann")).row
    token = accounts.tokens.create("ann", "t", by=CLI)
    session, _ = accounts.sessions.create("ann", 60, by=CLI)
    assert accounts.users.of_identity("i s") == ann
    archived = accounts.users.archive("ann", by=CLI)
    assert archived.archived == clock.now
    assert accounts.users.archive("ann", by=CLI) == archived
    assert not accounts.keys.find(key.id).is_active(clock.now)
    assert accounts.tokens.use(token.secret) is None
    assert accounts.sessions.find(session) is None
    assert accounts.users.of_identity("i s") is None
    with pytest.raises(Conflict, match="is archived"):
        accounts.users.set_password("ann", PASSWORD, by=CLI)
    with pytest.raises(Conflict, match="is archived"):
        accounts.tokens.create("ann", "t2", by=CLI)


def test_one_admin_is_always_left(accounts: Accounts) -> None:
    """He can neither go nor become less, until there is another who is in force."""
    for end in (
        lambda: accounts.users.archive("admin", by=CLI),
        lambda: accounts.users.delete("admin", by=CLI),
        lambda: accounts.users.update("admin", UserTerms(role=Role.USER), by=CLI),
    ):
        with pytest.raises(InUse, match=r"only admin|keys"):
            end()
    accounts.users.create("ann", by=CLI, terms=UserTerms(role=Role.ADMIN))
    assert accounts.users.update("admin", UserTerms(role=Role.USER), by=CLI).role is Role.USER
    with pytest.raises(InUse, match="only admin"):
        accounts.users.archive("ann", by=CLI)


def test_an_unused_user_goes_with_what_is_his(accounts: Accounts, store: Store) -> None:
    """Not while he has keys, and never when he was charged."""
    ann = accounts.users.create("ann", by=CLI)
    accounts.memberships.set("ann", "default", MemberRole.MEMBER, by=CLI)
    accounts.tokens.create("ann", "t", by=CLI)
    accounts.sessions.create("ann", 60, by=CLI)
    accounts.limits.set(Scope.USER, ann.id, LimitTerms(Measure.USD, 5), by=CLI)
    key = accounts.keys.create("k", by=CLI, terms=KeyTerms(user_id=ann.id)).row
    with pytest.raises(InUse, match="has 1 keys"):
        accounts.users.delete("ann", by=CLI)
    accounts.keys.delete(key.id, by=CLI)
    accounts.users.delete("ann", by=CLI)
    with pytest.raises(NotFound):
        accounts.users.find("ann")
    assert accounts.limits.page().rows == []

    bob = accounts.users.create("bob", by=CLI)
    store.ledger.commit(Progress("j", "edge-1", "life", 10), [settled(2, user=bob.id)])
    with pytest.raises(InUse, match="archive it instead"):
        accounts.users.delete("bob", by=CLI)


def test_users_are_listed_by_what_is_asked(accounts: Accounts, clock: Clock) -> None:
    """Kind, project, archived or not."""
    for name, kind in (("ann", UserKind.PERSON), ("bot", UserKind.SERVICE)):
        clock.now += 1
        accounts.users.create(name, by=CLI, kind=kind)
    accounts.memberships.set("bot", "default", MemberRole.MEMBER, by=CLI)
    accounts.users.archive("ann", by=CLI)

    def names(**which: object) -> list[str]:
        return [row.name for row in accounts.users.page(**which).rows]  # type: ignore[arg-type]

    assert names() == ["admin", "ann", "bot"]
    assert names(archived=False) == names(project="default") == ["admin", "bot"]
    assert names(archived=True) == ["ann"]
    assert names(kind=UserKind.SERVICE) == ["bot"]
