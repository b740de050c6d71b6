"""Where two sources disagree about a price: the configuration, our corrections, the book, and a second collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum

import msgspec

from tokenway.control.addresses import enabled_by, row_of
from tokenway.dialects.known import KnownProvider
from tokenway.metering.price import in_force
from tokenway.metering.price_book import Book, Entry, corrected, find
from tokenway.model.catalog import Price, Rates
from tokenway.model.settings import Settings


class Origin(StrEnum):
    """Where a price comes from."""

    CONFIGURED = "configuration"
    CORRECTED = "correction"
    BOOK = "price book"
    SECOND = "second collection"


class Disagreement(msgspec.Struct, frozen=True):
    """One rate of which two origins say different things, in nano-dollars per million; None is unknown."""

    provider: str
    model: str
    rate: str
    origin: Origin
    says: int | None
    other: Origin
    other_says: int | None


def disagreements(
    settings: Settings, environment: Mapping[str, str], published: Book, corrections: Book, day: int
) -> list[Disagreement]:
    """Everything that differs on a Unix day: configured endpoints, corrections, and what enabled providers charge."""
    found = list(_configured(settings, published, day))
    found += _corrected(published, corrections, day)
    book = corrected(published, corrections)
    for name in sorted({*settings.providers, *enabled_by(environment)[0]}):
        row = _row(settings, name)
        if row is not None and not settings.is_off(name):
            found += _seconded(name, row, book, day)
    return found


def _row(settings: Settings, provider: str) -> KnownProvider | None:
    """The known provider whose prices hold for a provider."""
    return row_of(provider, settings.providers.get(provider))


def _configured(settings: Settings, book: Book, day: int) -> Iterator[Disagreement]:
    seen = set()
    for model in settings.models.values():
        for endpoint in model.endpoints:
            row, price = _row(settings, endpoint.provider), endpoint.price
            place = (endpoint.provider, endpoint.model)
            if row is None or price is None or place in seen:
                continue
            seen.add(place)
            entry = find(book, row.prices or row.name, endpoint.model)
            known = None if entry is None else entry.price_on(day)
            if known is not None:
                yield from _differing(place, (Origin.CONFIGURED, price), (Origin.BOOK, known))


def _corrected(book: Book, corrections: Book, day: int) -> Iterator[Disagreement]:
    for provider, shelf in corrections.shelves.items():
        for ours in shelf.entries:
            theirs = _named(book, provider, ours.name)
            price, known = ours.price_on(day), None if theirs is None else theirs.price_on(day)
            if price is not None and known is not None:
                yield from _differing((provider, ours.name), (Origin.CORRECTED, price), (Origin.BOOK, known))


def _named(book: Book, provider: str, name: str) -> Entry | None:
    shelf = book.shelves.get(provider)
    return None if shelf is None else next((entry for entry in shelf.entries if entry.name == name), None)


def _seconded(name: str, row: KnownProvider, book: Book, day: int) -> Iterator[Disagreement]:
    """The second collection has one price for a model, that of some hour, and zero where it says nothing.

    Only names that can be called are compared.
    """
    shelf, callable_as = row.prices or row.name, re.compile(row.models)
    for entry in book.shelves[shelf].entries if shelf in book.shelves else ():
        price = entry.price_on(day)
        if price is None or entry.second is None or callable_as.search(entry.name) is None:
            continue
        for rate, other in zip(("input", "output"), entry.second, strict=True):
            says = getattr(price, rate)
            if other and other not in {says, *(getattr(hours, rate) for hours in price.hours)}:
                yield Disagreement(name, entry.name, rate, Origin.BOOK, says, Origin.SECOND, other)


def _differing(
    place: tuple[str, str], one: tuple[Origin, Price], other: tuple[Origin, Price]
) -> Iterator[Disagreement]:
    """The rates of two prices that differ: the usual ones, then those of each length of input that either names.

    A rate that is not said is charged like its parent, so it is compared as what it is charged at.
    """
    starts = sorted({0, *(tier.above + 1 for _, price in (one, other) for tier in price.tiers)})
    for tokens in starts:
        ours, theirs = (in_force(price, tokens) for _, price in (one, other))
        for rate in Rates.__struct_fields__:
            says, other_says = _charged(ours, rate), _charged(theirs, rate)
            if says != other_says:
                shown = rate if not tokens else f"{rate} above {tokens - 1}"
                yield Disagreement(*place, shown, one[0], says, other[0], other_says)


def _charged(price: Price, rate: str) -> int:
    """The rate, or the one that stands in for it."""
    said = getattr(price, rate)
    if said is not None:
        return int(said)
    return _charged(price, "cache_write") if rate == "cache_write_1h" else price.input
