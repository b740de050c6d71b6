"""Keys: shown once, stored as a digest, ended at once or after an overlap."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.records import NOON
from tokenway.model.secret import Secret
from tokenway.store.base import Period, StoreError
from tokenway.store.keys import SqlKeys, digest_of, make_key
from tokenway.store.open import Store
from tokenway.store.sqlite import open_sqlite


class Clock:
    """A clock that is set by hand."""

    now = NOON

    def __call__(self) -> float:
        """The time it was set to."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock at noon."""
    return Clock()


@pytest.fixture
def store(open_store: Callable[..., Store], clock: Clock) -> Store:
    """A store after its first start."""
    opened = open_store(clock=clock)
    opened.keys.bootstrap()
    return opened


def test_a_key_is_its_prefix_and_256_bits() -> None:
    """The text is `tw-` and the 43 URL-safe characters of the 32 bytes that were drawn."""
    key = make_key(lambda count: b"\xfb" * count)

    assert key.reveal() == "tw-" + "-_v7" * 10 + "-_s"
    assert len(key.reveal()) == 46
    assert make_key() != make_key()


def test_only_the_digest_is_stored(tmp_path: Path, clock: Clock) -> None:
    """The key is in no file of the store; its SHA-256 and its first eight characters are."""
    store = open_sqlite(tmp_path / "t.db", clock=clock)
    store.keys.bootstrap()
    made = store.keys.create("ci", budget=5_000_000_000, period=Period.MONTH, expires=NOON + 60)
    secret = made.secret.reveal()
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert secret.encode() not in content
    assert secret[9:].encode() not in content
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in content
    assert made.row.prefix == secret[:8]
    assert secret not in repr(made)


def test_a_key_is_listed_as_it_was_made(store: Store, clock: Clock) -> None:
    """What `create` returns is what `keys` shows, by project too."""
    clock.now += 1
    store.keys.add_project("lab")
    made = store.keys.create("ci", project="lab", budget=7, period=Period.DAY, expires=NOON + 60)

    assert store.keys.keys("lab") == [made.row]
    assert [row.name for row in store.keys.keys(project=None)] == ["default", "ci"]
    assert made.row.digest == digest_of(Secret(made.secret.reveal()))


def test_an_unknown_project_is_refused_with_the_known_ones(store: Store) -> None:
    """The message names the projects there are."""
    with pytest.raises(StoreError, match="no project 'lba'; there are: default"):
        store.keys.create("ci", project="lba")


def test_a_key_is_found_by_id_or_by_its_only_active_name(store: Store) -> None:
    """A name that several active keys have, or none, is not guessed at."""
    first = store.keys.create("ci").row
    assert store.keys.find("ci") == store.keys.find(first.id) == first

    second = store.keys.create("ci").row
    with pytest.raises(StoreError, match=f"{first.id}, {second.id}|{second.id}, {first.id}"):
        store.keys.find("ci")
    store.keys.revoke(first.id)
    assert store.keys.find("ci") == second
    store.keys.revoke("ci")
    with pytest.raises(StoreError, match="no active key"):
        store.keys.find("ci")
    with pytest.raises(StoreError, match="there is no key"):
        store.keys.find("nobody")


def test_a_revoked_key_has_ended_and_stays_so(store: Store, clock: Clock) -> None:
    """The time of the first revocation is kept."""
    row = store.keys.create("ci").row
    assert store.keys.revoke(row.id).revoked == NOON
    clock.now += 10

    assert store.keys.revoke(row.id).revoked == NOON
    assert not store.keys.find(row.id).is_active(clock.now)


def test_a_rotated_key_is_the_same_account_with_another_secret(store: Store) -> None:
    """Only the secret's traces differ, so what was spent, and the name in reports, go on under the same id."""
    old = store.keys.create("ci", budget=7, period=Period.WEEK, expires=NOON + 900)
    new = store.keys.rotate("ci")

    assert new.secret != old.secret
    expected = {"digest": digest_of(new.secret), "prefix": new.secret.reveal()[:8]}
    assert new.row == msgspec.structs.replace(old.row, **expected)
    assert store.keys.find("ci") == new.row


def test_a_former_secret_is_good_until_the_overlap_ends(store: Store, clock: Clock) -> None:
    """It is kept by its digest with its end; the next rotation ends it in favour of the one it replaces."""
    first = store.keys.create("ci")
    second = store.keys.rotate("ci", overlap=60)
    assert (second.row.former_digest, second.row.former_ends) == (first.row.digest, NOON + 60)

    clock.now += 10
    third = store.keys.rotate("ci", overlap=5)
    assert (third.row.former_digest, third.row.former_ends) == (second.row.digest, NOON + 15)
    fourth = store.keys.rotate("ci")
    assert (fourth.row.former_digest, fourth.row.former_ends) == (None, None)
    assert store.keys.find("ci") == fourth.row


def test_an_ended_key_is_not_rotated(store: Store) -> None:
    """There is nothing to succeed."""
    row = store.keys.create("ci").row
    store.keys.revoke(row.id)

    with pytest.raises(StoreError, match="has ended"):
        store.keys.rotate(row.id)


def test_the_first_start_makes_an_account_once(open_store: Callable[..., Store], clock: Clock) -> None:
    """An empty store gets a project, an admin and a key; a second start gets nothing."""
    store = open_store(clock=clock)
    first = store.keys.bootstrap()

    assert first is not None
    assert first.project == "default"
    assert store.keys.projects() == ["default"]
    assert store.keys.keys() == [first.key.row]
    assert store.keys.bootstrap() is None
    assert open_store().keys.bootstrap() is None


def test_every_change_raises_the_revision_for_other_processes(store: Store, open_store: Callable[..., Store]) -> None:
    """Another connection to the database sees that keys changed, and nothing else raises the number."""
    other = open_store()
    seen = [other.keys.revision()]
    store.keys.create("ci")
    seen.append(other.keys.revision())
    store.keys.rotate("ci")
    seen.append(other.keys.revision())
    store.keys.revoke("ci")
    seen.append(other.keys.revision())
    store.keys.keys()
    unchanged = other.keys.revision()

    assert seen == sorted(set(seen))
    assert unchanged == seen[-1]


def test_ids_and_secrets_come_from_the_given_source(store: Store, clock: Clock) -> None:
    """With the randomness fixed, the id and the key are too."""
    made = SqlKeys(store.database, clock, lambda count: bytes(range(count))).create("ci")

    assert made.row.id == "key_0001020304050607"
    assert made.secret.reveal().startswith("tw-AAECAwQF")


def test_adding_a_project_twice_adds_it_once(store: Store) -> None:
    """The second time says that it was there."""
    assert store.keys.add_project("lab")
    assert not store.keys.add_project("lab")
    assert store.keys.projects() == ["default", "lab"]
