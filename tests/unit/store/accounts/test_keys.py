"""Keys: shown once, stored as a digest, ended at once or after an overlap."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tests.records import NOON, reserved, settled
from tests.unit.store.conftest import Clock
from tokenway.metering.ledger import Reserved, Settled
from tokenway.model.limits import Measure, Term
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import CLI, FirstStart, KeyFilter, KeyState, KeyTerms, LimitTerms
from tokenway.store.accounts.secret_texts import digest_of
from tokenway.store.base import Conflict, InUse, Invalid, NotFound, Progress
from tokenway.store.open import Store
from tokenway.store.sqlite import open_sqlite

EVERYTHING = KeyTerms(
    user_id="admin",
    labels={"team": "blue"},
    expires=NOON + 60,
    max_cost=5,
    models=("gpt-*",),
    endpoints=("openai",),
    addresses=("10.0.0.0/8",),
)


def test_only_the_digest_is_stored(tmp_path: Path) -> None:
    """The key is in no file of the store, nor the log; its SHA-256 and its first eight characters are."""
    store = open_sqlite(tmp_path / "t.db", clock=lambda: NOON)
    store.accounts.bootstrap()
    made = store.accounts.keys.create("ci", by=CLI, terms=EVERYTHING)
    log = msgspec.json.encode(store.accounts.audit.page().rows).decode()
    store.close()
    secret = made.secret.reveal()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert secret[9:].encode() not in content
    assert made.row.digest.encode() in content
    assert made.row.digest == digest_of(made.secret)
    assert made.row.prefix == secret[:8]
    assert secret not in repr(made)
    assert made.row.digest not in log


def test_a_key_is_found_as_it_was_made(accounts: Accounts, first: FirstStart) -> None:
    """With its limits, in one change; users are meant by name or id."""
    number = accounts.changes.revision()
    wanted = [LimitTerms(Measure.USD, 5, Term.MONTH), LimitTerms(Measure.REQUESTS, 60, Term.MINUTE)]
    made = accounts.keys.create("ci", by=CLI, terms=EVERYTHING, limits=wanted)
    assert accounts.changes.revision() == number + 1
    assert accounts.keys.find("ci") == made.row
    assert (made.row.user_id, made.row.models, made.row.addresses) == (first.user.id, ("gpt-*",), ("10.0.0.0/8",))
    assert {row.limit.subject for row in made.limits} == {made.row.id}
    assert [row.limit.amount for row in made.limits] == [5, 60]
    (logged,) = accounts.audit.page(size=1).rows
    assert len(logged.detail["limits"]) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terms", "limits", "field"),
    [
        (KeyTerms(max_cost=-1), [], "max_cost"),
        (KeyTerms(expires=-1.0), [], "expires"),
        (KeyTerms(addresses=("x",)), [], "addresses"),
        (KeyTerms(), [LimitTerms(Measure.USD, -1)], "limits[0].amount"),
        (KeyTerms(), [LimitTerms(Measure.USD, 1), LimitTerms(Measure.USD, 2)], "limits[1]"),
        (KeyTerms(), [LimitTerms(Measure.USD, 1), LimitTerms(Measure.USD, 1, Term.MINUTE)], "limits[1].term"),
    ],
)
def test_of_a_key_that_cannot_be_nothing_is_made(
    accounts: Accounts, terms: KeyTerms, limits: list[LimitTerms], field: str
) -> None:
    """Neither the key nor its other limits."""
    before = accounts.keys.names()
    with pytest.raises(Invalid) as caught:
        accounts.keys.create("ci", by=CLI, terms=terms, limits=limits)
    assert caught.value.field == field
    assert accounts.keys.names() == before
    assert accounts.limits.page().rows == []


def test_a_key_needs_a_project_and_a_user_who_are_there(accounts: Accounts) -> None:
    """The message names the projects there are."""
    with pytest.raises(NotFound, match="no project 'lba'; there are: default"):
        accounts.keys.create("ci", by=CLI, project="lba")
    with pytest.raises(NotFound, match="no user 'bob'"):
        accounts.keys.create("ci", by=CLI, terms=KeyTerms(user_id="bob"))


def test_a_key_is_found_by_id_or_by_its_only_active_name(accounts: Accounts) -> None:
    """A name that several active keys have, or none, is not guessed at."""
    first = accounts.keys.create("ci", by=CLI).row
    assert accounts.keys.find("ci") == accounts.keys.find(first.id) == first
    second = accounts.keys.create("ci", by=CLI).row
    with pytest.raises(Conflict, match=f"{first.id}, {second.id}|{second.id}, {first.id}"):
        accounts.keys.find("ci")
    accounts.keys.revoke(first.id, by=CLI)
    assert accounts.keys.find("ci") == second
    accounts.keys.revoke("ci", by=CLI)
    with pytest.raises(NotFound, match="no active key"):
        accounts.keys.find("ci")
    with pytest.raises(NotFound, match="there is no key"):
        accounts.keys.find("nobody")
    with pytest.raises(NotFound, match="there is no key"):
        accounts.keys.find(second.id, project="other")


def test_a_revoked_key_has_ended_and_stays_so(accounts: Accounts, clock: Clock) -> None:
    """The time of the first revocation is kept."""
    row = accounts.keys.create("ci", by=CLI).row
    assert accounts.keys.revoke(row.id, by=CLI).revoked == NOON
    clock.now += 10
    assert accounts.keys.revoke(row.id, by=CLI).revoked == NOON
    assert not accounts.keys.find(row.id).is_active(clock.now)


def test_a_rotated_key_is_the_same_account_with_another_secret(accounts: Accounts) -> None:
    """Only the secret's traces differ, so what was spent, and the name in reports, go on under the same id."""
    old = accounts.keys.create("ci", by=CLI, terms=EVERYTHING)
    new = accounts.keys.rotate("ci", by=CLI)
    assert new.secret != old.secret
    expected = {"digest": digest_of(new.secret), "prefix": new.secret.reveal()[:8], "version": 2}
    assert new.row == msgspec.structs.replace(old.row, **expected)
    assert accounts.keys.find("ci") == new.row


def test_a_former_secret_is_good_until_the_overlap_ends(accounts: Accounts, clock: Clock) -> None:
    """It is kept by its digest with its end; the next rotation ends it in favour of the one it replaces."""
    first = accounts.keys.create("ci", by=CLI)
    second = accounts.keys.rotate("ci", by=CLI, overlap=60)
    assert (second.row.former_digest, second.row.former_ends) == (first.row.digest, NOON + 60)
    clock.now += 10
    third = accounts.keys.rotate("ci", by=CLI, overlap=5)
    assert (third.row.former_digest, third.row.former_ends) == (second.row.digest, NOON + 15)
    fourth = accounts.keys.rotate("ci", by=CLI)
    assert (fourth.row.former_digest, fourth.row.former_ends) == (None, None)
    assert accounts.keys.find("ci") == fourth.row
    for overlap in (-1.0, float("nan"), 1e9):
        with pytest.raises(Invalid):
            accounts.keys.rotate("ci", by=CLI, overlap=overlap)


def test_of_two_who_rotate_what_they_have_seen_one_does(
    open_store: Callable[..., Store], accounts: Accounts, clock: Clock
) -> None:
    """At the same time, each by a connection of his own: nobody's new secret is replaced unseen."""
    accounts.keys.create("ci", by=CLI)
    stores = [open_store(clock=clock) for _ in range(2)]

    def rotate(store: Store) -> str | None:
        try:
            return store.accounts.keys.rotate("ci", by=CLI, version=1).row.digest
        except Conflict:
            return None

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(rotate, stores))
    (digest,) = [each for each in done if each is not None]
    assert accounts.keys.find("ci").digest == digest


def test_an_ended_key_is_not_rotated(accounts: Accounts) -> None:
    """There is nothing to succeed."""
    row = accounts.keys.create("ci", by=CLI).row
    accounts.keys.revoke(row.id, by=CLI)
    with pytest.raises(Conflict, match="has ended"):
        accounts.keys.rotate(row.id, by=CLI)


def test_what_is_said_of_a_key_can_be_changed_and_taken_back(accounts: Accounts) -> None:
    """None is everything, or never; what is not said stays."""
    row = accounts.keys.create("ci", by=CLI, terms=EVERYTHING).row
    changed = accounts.keys.update(row.id, KeyTerms(models=None, expires=None, user_id=""), by=CLI)
    assert changed == msgspec.structs.replace(row, models=None, expires=None, user_id="", version=2)
    assert accounts.keys.find(row.id) == changed
    assert set(accounts.audit.page(size=1).rows[0].detail) == {"models", "expires", "user_id"}
    accounts.keys.archive(row.id, by=CLI)
    with pytest.raises(Conflict, match="archived"):
        accounts.keys.update(row.id, KeyTerms(name="x"), by=CLI)


def test_an_unused_key_can_be_deleted_and_a_used_one_archived(accounts: Accounts, store: Store, clock: Clock) -> None:
    """What was counted for it needs its name for ever."""
    unused = accounts.keys.create("a", by=CLI, limits=[LimitTerms(Measure.USD, 1)]).row
    accounts.keys.delete(unused.id, by=CLI)
    assert accounts.limits.page().rows == []
    makers: list[Callable[..., Reserved | Settled]] = [reserved, settled]
    for number, record in enumerate(makers):
        used = accounts.keys.create("b", by=CLI).row
        store.ledger.commit(Progress(f"j{number}", "edge-1", "life", 10), [record(number, key=used.id)])
        with pytest.raises(InUse, match="archive it instead"):
            accounts.keys.delete(used.id, by=CLI)
        clock.now += 1
        archived = accounts.keys.archive(used.id, by=CLI)
        assert (archived.archived, archived.revoked) == (clock.now, clock.now)
        assert accounts.keys.archive(used.id, by=CLI) == archived
        assert accounts.keys.find(used.id).state(clock.now) is KeyState.ARCHIVED


def test_a_key_says_when_it_was_last_used(accounts: Accounts, store: Store) -> None:
    """As the ledger has it, whoever asks; None before."""
    used = accounts.keys.create("a", by=CLI).row
    assert used.last_used is None
    store.ledger.commit(Progress("j", "edge-1", "life", 10), [settled(7, key=used.id), settled(5, key=used.id)])
    assert accounts.keys.find("a").last_used == NOON + 7
    assert {row.name: row.last_used for row in accounts.keys.page().rows} == {"default": None, "a": NOON + 7}


def test_keys_are_listed_by_what_is_asked(accounts: Accounts, clock: Clock) -> None:
    """Project, user, label, state; a label's text may be anything, also what looks like another label."""
    accounts.projects.create("Lab", by=CLI)
    create = accounts.keys.create
    create("lab", project="lab", by=CLI, terms=KeyTerms(labels={"team": "blue"}))
    create("upper", by=CLI, terms=KeyTerms(labels={"Team": "Blue"}))
    create("sly", by=CLI, terms=KeyTerms(labels={"x": '"team":"blue"'}))
    create("late", by=CLI, terms=KeyTerms(expires=NOON + 5))
    accounts.keys.archive(create("gone", by=CLI).row.id, by=CLI)
    accounts.keys.revoke(create("ended", by=CLI).row.id, by=CLI)
    clock.now += 5

    def names(**which: object) -> set[str]:
        return {row.name for row in accounts.keys.page(KeyFilter(**which)).rows}  # type: ignore[arg-type]

    assert names(project="lab") == {"lab"}
    assert names(user_id="") == {"lab", "upper", "sly", "late", "gone", "ended"}
    assert names(label=("team", None)) == names(label=("team", "blue")) == {"lab"}
    assert names(label=("Team", "Blue")) == {"upper"}
    assert names(label=("x", '"team":"blue"')) == {"sly"}
    assert names(label=("team", "%")) == set()
    assert {state: names(state=state) for state in KeyState} == {
        KeyState.ACTIVE: {"default", "lab", "upper", "sly"},
        KeyState.EXPIRED: {"late"},
        KeyState.REVOKED: {"ended"},
        KeyState.ARCHIVED: {"gone"},
    }
    for row in accounts.keys.page().rows:
        assert row.name in names(state=row.state(clock.now))
