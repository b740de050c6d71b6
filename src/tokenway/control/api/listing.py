"""Pages of what is in memory and has names, in the order of the names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tokenway.control.api.paging import Cursors, Page
from tokenway.control.api.services import Services

Row = TypeVar("Row")


def page_by_name(
    services: Services, listed: str, names: Iterable[str], make: Callable[[str], Row], *, limit: int, cursor: str | None
) -> Page[Row]:
    """A page of names in order, each as `make` shows it. `listed` is the list that the cursor belongs to."""
    cursors = Cursors(services.seal)
    after = cursors.read(listed, cursor)
    rest = sorted(name for name in names if after is None or name > after)
    more = cursors.make(listed, rest[limit - 1]) if len(rest) > limit else None
    return Page(data=[make(name) for name in rest[:limit]], next_cursor=more)
