"""Pages of lists: `limit` rows and a cursor that the rest begins after.

A cursor names the last row that was seen, so rows that come or go between two pages neither repeat others nor hide
them. It is signed and belongs to one list: what was made up or comes from another list is refused.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import Field

from tokenway.control.api.problems import Problem
from tokenway.control.api.types import Shown
from tokenway.store.accounts.records import Page as Rows
from tokenway.store.seal import Seal

LIMIT: Final = 50
LIMIT_MAX: Final = 200
_SIGNED: Final = 9
"""Bytes of the signature; three fit four characters."""

Row = TypeVar("Row")
Stored = TypeVar("Stored")

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows of a page.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before.")]


class Page(Shown, Generic[Row]):
    """Some rows of a list."""

    data: list[Row]
    next_cursor: str | None = Field(description="What the rest begins after; null when there is no more.")


class Cursors:
    """Makes and reads cursors."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def make(self, listed: str, after: str) -> str:
        """The cursor after a row of a list."""
        return urlsafe_b64encode(self._sign(listed, after) + after.encode()).decode().rstrip("=")

    def read(self, listed: str, cursor: str | None) -> str | None:
        """What the cursor was made of; None for the beginning. Raises Problem."""
        if cursor is None:
            return None
        try:
            raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
            after = raw[_SIGNED:].decode()
        except (UnicodeError, binascii.Error):
            raise _wrong() from None
        if raw[:_SIGNED] != self._sign(listed, after):
            raise _wrong()
        return after

    def page(self, listed: str, rows: Rows[Stored], make: Callable[[Stored], Row]) -> Page[Row]:
        """A page of the store's, as it is shown."""
        return Page(
            data=[make(row) for row in rows.rows],
            next_cursor=None if rows.next is None else self.make(listed, rows.next),
        )

    def _sign(self, listed: str, after: str) -> bytes:
        return self._seal.sign("cursor", f"{listed}\0{after}".encode())[:_SIGNED]


def _wrong() -> Problem:
    return Problem(422, "this is no cursor of this list; leave it out to begin anew", field="cursor")
