"""The price book from the package's own files: read once, when it is first asked for."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

from tokenway.metering.price_book import Book, corrected, read_book

_PLACE: Final = "tokenway.metering"
DATA: Final = "price_data.json"
CORRECTIONS: Final = "price_overrides.json"


@lru_cache(maxsize=1)
def price_book() -> Book:
    """The book with our corrections over it."""
    return corrected(published_book(), corrections())


def published_book() -> Book:
    """The book as its sources have it."""
    return read_book(files(_PLACE).joinpath(DATA).read_bytes())


def corrections() -> Book:
    """Our corrections alone; each says where it was read, and since when it holds."""
    return read_book(files(_PLACE).joinpath(CORRECTIONS).read_bytes())
