"""What the rest of the program asks of a store, and the records it gets back.

A store belongs to one thread at a time: its methods block, and the control process runs them all in one
thread of their own. Times are Unix seconds, money is nano-dollars.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec

from tokenway.metering.ledger import Record, Reserved, Settled
from tokenway.model.errors import TokenwayError
from tokenway.model.stored import StoredResponse


class StoreError(TokenwayError):
    """The store cannot do what was asked; the text says why and what to do.

    Its kinds are told apart because the control API answers them differently.
    """


class NotFound(StoreError):
    """There is no such row; `listed_by` is the command that lists those there are."""

    def __init__(self, message: str, *, listed_by: str = "") -> None:
        super().__init__(message)
        self.hint = f"`{listed_by}` shows all" if listed_by else ""


class Conflict(StoreError):
    """Somebody else was first: the row is at another version, or the name is taken."""


class InUse(StoreError):
    """It cannot go, because something else needs it."""


class Invalid(StoreError):
    """A value that a field cannot have; `field` is its name."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


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

    def abandon(self, maker: str | None = None, *, node: str | None = None, but: Collection[str] = ()) -> int:
        """Marks what a worker of this machine, anybody `but` these, or another machine left unfinished as failed."""

    def purge(self) -> int:
        """Drops what has ended."""
