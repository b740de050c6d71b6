"""What the rest of the program asks of a store, and the records it gets back.

A store belongs to one thread at a time: its methods block, and the control process runs them all in one
thread of their own. Times are Unix seconds, money is nano-dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from tokenway.metering.ledger import Record, Reserved, Settled
from tokenway.model.errors import TokenwayError
from tokenway.model.secret import Secret
from tokenway.model.stored import StoredResponse

DEFAULT_PROJECT = "default"


class StoreError(TokenwayError):
    """The store cannot do what was asked; the text says why and what to do."""


class Period(StrEnum):
    """What a key's budget is for."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class KeyRow(msgspec.Struct, frozen=True):
    """A key as it is stored: everything but its secret. What it spends is counted by its id, whatever the secret.

    `digest` is the SHA-256 of the secret in hexadecimal, `prefix` its first eight characters, `revoked` when the
    key stopped, `budget` nano-dollars per `period`. The secret before the last rotation is good until `former_ends`.
    """

    id: str
    name: str
    project: str
    digest: str
    prefix: str
    created: float
    revoked: float | None = None
    expires: float | None = None
    budget: int | None = None
    period: Period = Period.TOTAL
    former_digest: str | None = None
    former_ends: float | None = None

    def is_active(self, now: float) -> bool:
        """Whether the key is good at `now`."""
        return (self.revoked is None or now < self.revoked) and (self.expires is None or now < self.expires)


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made. `secret` is shown once and kept nowhere."""

    row: KeyRow
    secret: Secret


class FirstStart(msgspec.Struct, frozen=True):
    """What the first start of a store made: ids of the project and the admin user, and a key."""

    project: str
    user: str
    key: NewKey


class KeyStore(Protocol):
    """Keys, and the projects they belong to."""

    def create(
        self,
        name: str,
        *,
        project: str = DEFAULT_PROJECT,
        budget: int | None = None,
        period: Period = Period.TOTAL,
        expires: float | None = None,
    ) -> NewKey:
        """A new key. Raises StoreError when the project does not exist."""

    def keys(self, project: str | None = None) -> list[KeyRow]:
        """All keys, or those of one project, oldest first; revoked ones too."""

    def find(self, reference: str) -> KeyRow:
        """The key with this id, or the only active key of this name. Raises StoreError."""

    def revoke(self, reference: str) -> KeyRow:
        """Ends a key now; one that has ended already stays as it is."""

    def rotate(self, reference: str, *, overlap: float = 0.0) -> NewKey:
        """Another secret for the same key; the old one ends after `overlap` seconds. Raises StoreError."""

    def bootstrap(self) -> FirstStart | None:
        """Makes the default project, an admin and a key in an empty store; None when it is not empty."""

    def revision(self) -> int:
        """A number that rises with every change of a key or project, by whatever process."""


class Progress(msgspec.Struct, frozen=True):
    """How far a journal was read, in bytes. `journal` identifies the file, `owner` the life of its writer."""

    journal: str
    name: str
    owner: str
    offset: int


class Committed(msgspec.Struct, frozen=True):
    """What a batch changed: the settlements that are new, and how many records were not what should follow.

    `replayed` records were known already; `unreserved` settlements had no reservation, and are kept all the same.
    """

    settled: list[Settled]
    replayed: int = 0
    unreserved: int = 0


class LedgerStore(Protocol):
    """The ledger as the ingest needs it."""

    def offset(self, journal: str) -> int:
        """Bytes of this journal that are in the ledger; 0 for one that was never read."""

    def commit(self, progress: Progress, records: Sequence[Record]) -> Committed:
        """Writes the records and the progress in one transaction: both or neither."""

    def forget(self, journal: str) -> None:
        """Drops the position of a journal whose file is gone."""

    def positions(self) -> list[str]:
        """The journals with a position."""

    def expire(self, owner: str) -> list[Reserved]:
        """Closes what `owner` left open, and gives it back."""

    def owners(self) -> set[str]:
        """The owners of open reservations."""


class ResponseStore(Protocol):
    """Kept responses; see `store.responses`."""

    def put(self, response: StoredResponse, *, expires: float, maker: str) -> None:
        """Keeps a response until a Unix time, in place of an earlier state of it."""

    def get(self, identity: str, project: str) -> StoredResponse | None:
        """A response of a project, or None."""

    def events(self, identity: str, project: str) -> bytes | None:
        """The stream of a response; None where it was not kept."""

    def chain(self, identity: str, project: str) -> list[StoredResponse] | None:
        """A response with those that it went on from, the oldest first; None when one is not kept any more."""

    def delete(self, identity: str, project: str) -> bool:
        """Forgets a response; whether there was one."""

    def makers(self) -> set[str]:
        """The lives of the workers that are at work on a response."""

    def abandon(self, maker: str) -> int:
        """Marks what a worker left unfinished as failed."""

    def purge(self) -> int:
        """Drops what has ended."""
