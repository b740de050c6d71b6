"""Prices by the token to compare machines with: named ones, and what the price book has of a model."""

from __future__ import annotations

import math
import time
from typing import Final

from tokenway.cli.errors import BadUsage
from tokenway.control.prices import price_book
from tokenway.metering.price_book import price_at
from tokenway.model.catalog import Price
from tokenway.model.money import NANO_PER_USD, Rate
from tokenway.planner.errors import nearest
from tokenway.planner.fleet.breakeven import Api
from tokenway.planner.fleet.workload import Mix
from tokenway.planner.report import Source
from tokenway.planner.shapes import known_as

_DAY: Final = 86_400
_WANTED: Final = (2, 3)


def named_api(text: str) -> Api:
    """`PROVIDER/MODEL` of the price book, or dollars for a million tokens as `IN,OUT` or `IN,OUT,CACHED`.

    Raises BadUsage for anything else.
    """
    if "/" not in text:
        return Api(f"${text} a million", _price(text))
    provider, _, model = text.partition("/")
    book = price_book()
    price = price_at(book, provider, model, _today())
    if price is None or not (price.input and price.output):
        shelf = book.shelves.get(provider)
        near = nearest(provider, book.shelves) if shelf is None else nearest(model, [e.name for e in shelf.entries])
        hint = f"did you mean {near}? Or " if near else ""
        raise BadUsage(
            f"The price book has no price by the token of '{model}' at '{provider}'; {hint}give it as IN,OUT[,CACHED]."
        )
    return Api(text, price)


def book_source() -> Source:
    """Where prices of the book are from."""
    return Source("prices by the token", price_book().made, "the gateway's price book")


def found_in_book(model: str, mix: Mix, most: int) -> tuple[list[Api], tuple[Source, ...]]:
    """What providers take for a model by its name in `planner.shapes`: at most so many, the cheapest for a mix."""
    book, day = price_book(), _today()

    def in_all(api: Api) -> float:
        return api.per_request(mix)

    found: dict[str, Api] = {}
    for provider, shelf in book.shelves.items():
        for entry in shelf.entries:
            price = entry.price_on(day) if known_as(entry.name) == model else None
            if price is not None and price.input and price.output:
                found[provider] = min(found.get(provider, Api(provider, price)), Api(provider, price), key=in_all)
    cheapest = sorted(found.values(), key=in_all)[:most]
    return cheapest, (book_source(),) if cheapest else ()


def _price(text: str) -> Price:
    try:
        dollars = [float(part) for part in text.split(",")]
    except ValueError:
        dollars = []
    if len(dollars) not in _WANTED or not all(math.isfinite(each) and each >= 0 for each in dollars):
        raise BadUsage(f"--api {text} is no PROVIDER/MODEL, and no prices such as 0.50,1.50.")
    came_in, came_out, *cached = (Rate(round(each * NANO_PER_USD)) for each in dollars)
    return Price(input=came_in, output=came_out, cache_read=cached[0] if cached else None)


def _today() -> int:
    return int(time.time()) // _DAY
