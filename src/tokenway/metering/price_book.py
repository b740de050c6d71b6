"""The price book: what providers charge for their models, from which day on, and how large the models are.

The book is data (`price_data.json`, written by `tools/build_prices.py`) with our own corrections over it
(`price_overrides.json`); this module only looks things up. A model is found by the rules of the data: the first row
of the provider that means the name, then the rows of the providers whose models it serves too, and then all of it
again with a date in the name written with dashes. Prices are only ever added, each with the day on which it begins, so
what a day cost can be told later. A price that is not known is None, and never zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tokenway.model.catalog import Capabilities, Hours, Listing, Price, Rates
from tokenway.model.match import Either, Equals, Rule, first_meant

_RATES: Final = Rates.__struct_fields__


class Dated(msgspec.Struct, frozen=True, omit_defaults=True):
    """One price of a model. `since` is the Unix day on which it begins; `hours` its window of the day, in minutes.

    `source` is for corrections: where the price was read. A model that is listed without a price has None.
    """

    price: Price | None = None
    since: int = 0
    hours: tuple[int, int] | None = None
    source: str = ""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model of a provider: which names mean it, its prices in the order of the data, and what it can do.

    `asked` is a name that callers can ask for and that means this entry, where there is one; `second` what another
    collection says of its input and output, to compare.
    """

    name: str
    rule: Rule
    prices: tuple[Dated, ...] = ()
    title: str = ""
    asked: str = ""
    capabilities: Capabilities = Capabilities()
    embeds: bool = False
    is_old: bool = False
    second: tuple[int, int] | None = None

    def price_on(self, day: int) -> Price | None:
        """Its price on a Unix day; where none has begun yet, the first one holds."""
        if not self.prices:
            return None
        base = self.prices[0].price
        windows: list[Hours] = []
        for dated in self.prices:
            if dated.since > day:
                continue
            if dated.hours is None:
                base, windows = dated.price, []
            elif dated.price is not None:
                begin, end = dated.hours
                rates = {name: getattr(dated.price, name) for name in _RATES}
                # What stands later in the data goes first, and so do the windows of a price.
                windows.insert(0, Hours(begin=begin, end=end, **rates))
        if base is None or not windows:
            return base
        return msgspec.structs.replace(base, hours=tuple(windows))


class Shelf(msgspec.Struct, frozen=True, omit_defaults=True):
    """One provider's models. `more` are the providers whose models it serves too."""

    entries: tuple[Entry, ...]
    more: tuple[str, ...] = ()


class Book(msgspec.Struct, frozen=True):
    """Every provider, by the name that the data gives it. `made` says of which data, for people."""

    made: str
    shelves: dict[str, Shelf]


_decoder: Final = msgspec.json.Decoder(Book)


def read_book(data: bytes) -> Book:
    """The book in a data file; raises msgspec.DecodeError when it is none."""
    return _decoder.decode(data)


def corrected(book: Book, corrections: Book) -> Book:
    """A book with corrections over it: an entry of the same name gets further prices, another one goes in front."""
    shelves = dict(book.shelves)
    for name, ours in corrections.shelves.items():
        shelf = shelves.get(name, Shelf(()))
        known = {entry.name for entry in shelf.entries}
        more = {entry.name: entry.prices for entry in ours.entries if entry.name in known}
        kept = (
            msgspec.structs.replace(entry, prices=(*entry.prices, *more.get(entry.name, ()))) for entry in shelf.entries
        )
        new = (entry for entry in ours.entries if entry.name not in known)
        shelves[name] = Shelf((*new, *kept), (*shelf.more, *ours.more))
    return msgspec.structs.replace(book, shelves=shelves)


def find(book: Book, provider: str, model: str) -> Entry | None:
    """The entry that a model's name means at a provider, both as the book names them."""
    return first_meant(rows(book, provider), model)


def price_at(book: Book, provider: str, model: str, day: int) -> Price | None:
    """What a model costs at a provider on a Unix day; None when that is not known."""
    entry = find(book, provider, model)
    return None if entry is None else entry.price_on(day)


def listings(book: Book, provider: str, day: int, names: str = ".") -> tuple[Listing, ...]:
    """A provider's rows on a Unix day, for a snapshot.

    `names` is a pattern of those that are names of its models, and not only the book's own.
    """
    own = len(book.shelves[provider].entries) if provider in book.shelves else 0
    callable_as = re.compile(names)
    return tuple(
        Listing(
            name=entry.asked or entry.name,
            rule=entry.rule,
            title=entry.title,
            price=entry.price_on(day),
            capabilities=entry.capabilities,
            embeds=entry.embeds,
            is_listed=index < own
            and not entry.is_old
            and bool(entry.asked)
            and callable_as.search(entry.asked) is not None,
        )
        for index, entry in enumerate(rows(book, provider))
    )


def asked_name(shelf: Shelf, entry: Entry) -> str:
    """A name that means this entry of the shelf and no row before it: its own, or one that its rule has whole."""
    rule = entry.rule
    whole = [each.text for each in (rule.rules if isinstance(rule, Either) else (rule,)) if isinstance(each, Equals)]
    return next((name for name in (entry.name, *whole) if first_meant(shelf.entries, name) is entry), "")


def rows(book: Book, provider: str) -> Iterator[Entry]:
    """Every row that may mean a model of a provider, in the order in which they are asked."""
    shelf = book.shelves.get(provider)
    if shelf is not None:
        yield from shelf.entries
        for other in shelf.more:
            if other in book.shelves:
                yield from book.shelves[other].entries
