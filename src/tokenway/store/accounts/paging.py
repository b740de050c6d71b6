"""Lists by pages. A cursor names the last row that was seen, by when it was made and its id.

So rows that come or go between two pages neither repeat others nor hide them. A cursor is opaque to its holder, but it
is no secret: it is checked like any input.
"""

from __future__ import annotations

import binascii
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa

from tokenway.store.accounts.records import Page
from tokenway.store.base import Invalid

PAGE_SIZE: Final = 50
PAGE_MAX: Final = 500

Row = TypeVar("Row")


def page_of(
    connection: sa.Connection,
    query: sa.Select[Any],
    order: tuple[sa.ColumnElement[float], sa.ColumnElement[str]],
    make: Callable[[sa.Row[Any]], Row],
    *,
    cursor: str | None,
    size: int,
    key: Callable[[Row], tuple[float, str]],
) -> Page[Row]:
    """The next `size` rows of a query, oldest first. `order` are the columns of what `key` gives of a row.

    Raises Invalid for a cursor that is none, or a size that is not in 1 to 500.
    """
    created, identity = order
    if cursor is not None:
        at, last = _position(cursor)
        query = query.where(sa.or_(created > at, sa.and_(created == at, identity > last)))
    rows = [make(row) for row in connection.execute(query.order_by(created, identity).limit(checked(size) + 1))]
    if len(rows) <= size:
        return Page(rows)
    del rows[size:]
    return Page(rows, cursor_of(*key(rows[-1])))


def checked(size: int) -> int:
    """The size of a page; raises Invalid when it cannot have that many rows."""
    if not 1 <= size <= PAGE_MAX:
        raise Invalid("limit", f"a page has 1 to {PAGE_MAX} rows and not {size}")
    return size


def cursor_of(created: float, identity: str) -> str:
    """The cursor after a row."""
    return urlsafe_b64encode(msgspec.json.encode((created, identity))).rstrip(b"=").decode()


def _position(cursor: str) -> tuple[float, str]:
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        at, identity = msgspec.json.decode(text, type=tuple[float, str])
    except (UnicodeEncodeError, binascii.Error, msgspec.MsgspecError, UnicodeDecodeError):
        raise Invalid("cursor", "this is not a cursor that a list has given; leave it out to begin anew") from None
    if not math.isfinite(at) or "\0" in identity:
        raise Invalid("cursor", "this is not a cursor that a list has given; leave it out to begin anew")
    return at, identity
