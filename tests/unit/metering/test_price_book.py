"""Looking prices up in a book that was written for it."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.metering.price_book import Book, asked_name, corrected, find, listings, price_at, read_book
from tokenway.model.catalog import Capabilities, Hours, Price
from tokenway.model.money import Rate

TEXT = b"""
{"made": "by hand", "shelves": {
  "maker": {"entries": [
    {"name": "big", "rule": ["|", [["=", "big"], ["^", "big-"]]], "title": "Big", "asked": "big",
     "capabilities": {"context": 1000},
     "prices": [
       {"price": {"input": 10, "output": 20}},
       {"price": {"input": 12, "output": 24}, "since": 100},
       {"price": {"input": 15, "output": 30}, "since": 200}]},
    {"name": "night", "rule": ["=", "night"], "prices": [
       {"price": {"input": 4, "output": 8}},
       {"price": {"input": 6, "output": 12}, "since": 50},
       {"price": {"input": 2, "output": 4}, "hours": [1320, 60]},
       {"price": {"input": 3, "output": 5, "cache_read": 1}, "hours": [60, 120]}]},
    {"name": "odd", "rule": ["=", "odd"], "prices": [{}], "is_old": true, "asked": "odd"},
    {"name": "later", "rule": ["=", "later"], "prices": [{"price": {"input": 7, "output": 7}, "since": 300}]}
  ]},
  "host": {"entries": [{"name": "own", "rule": ["~", "own"], "prices": [{"price": {"input": 1, "output": 1}}],
    "embeds": true, "asked": "our-own"}], "more": ["maker", "nobody"]}
}}
"""
BOOK = read_book(TEXT)


def rates(price: Price | None) -> tuple[int, int] | None:
    """Its input and output."""
    return None if price is None else (price.input, price.output)


@pytest.mark.parametrize(
    ("provider", "model", "day", "expected"),
    [
        ("maker", "big", 0, (10, 20)),
        ("maker", "big", 99, (10, 20)),
        ("maker", "big", 100, (12, 24)),
        ("maker", "BIG-2", 250, (15, 30)),
        ("maker", "later", 0, (7, 7)),
        ("maker", "odd", 0, None),
        ("maker", "unknown", 0, None),
        ("nobody", "big", 0, None),
        ("host", "big", 150, (12, 24)),
        ("host", "my-own", 150, (1, 1)),
    ],
)
def test_a_price_is_that_of_its_day(provider: str, model: str, day: int, expected: tuple[int, int] | None) -> None:
    """The last one that has begun, the first one before any has; none where none is known."""
    assert rates(price_at(BOOK, provider, model, day)) == expected


def test_times_of_the_day_belong_to_the_price() -> None:
    """The usual rates are those of the day, and the windows lie over them."""
    price = price_at(BOOK, "maker", "night", 60)
    assert rates(price) == (6, 12)
    assert price is not None
    assert price.hours == (
        Hours(begin=60, end=120, input=Rate(3), output=Rate(5), cache_read=Rate(1)),
        Hours(begin=1320, end=60, input=Rate(2), output=Rate(4)),
    )


def test_a_later_price_ends_the_windows_before_it() -> None:
    """What stands later in the data holds, when it has begun."""
    entry = msgspec.json.decode(
        b'{"made":"","shelves":{"m":{"entries":[{"name":"a","rule":["=","a"],"prices":['
        b'{"price":{"input":4,"output":4}},{"price":{"input":1,"output":1},"hours":[0,60]},'
        b'{"price":{"input":9,"output":9},"since":10}]}]}}}',
        type=Book,
    )
    before, after = price_at(entry, "m", "a", 9), price_at(entry, "m", "a", 10)
    assert before is not None
    assert after is not None
    assert (rates(before), len(before.hours)) == ((4, 4), 1)
    assert (rates(after), len(after.hours)) == ((9, 9), 0)


def test_corrections_are_added() -> None:
    """A known entry gets another price on top, of its day; a new entry goes in front; nothing is taken away."""
    ours = read_book(
        b'{"made":"ours","shelves":{"maker":{"entries":['
        b'{"name":"big","rule":["=","x"],"prices":[{"price":{"input":99,"output":99},"since":400,"source":"a page"}]},'
        b'{"name":"new","rule":["^","big-new"],"prices":[{"price":{"input":5,"output":5}}]}]}}}'
    )
    book = corrected(BOOK, ours)
    assert rates(price_at(book, "maker", "big", 399)) == (15, 30)
    assert rates(price_at(book, "maker", "big", 400)) == (99, 99)
    assert rates(price_at(book, "maker", "big-new", 0)) == (5, 5)
    assert book.shelves["host"] == BOOK.shelves["host"]
    found = find(book, "maker", "x")
    assert found is None


def test_listings_are_what_a_snapshot_needs() -> None:
    """Prices of the day; other providers' rows, old models and names that are none are not listed."""
    rows = listings(BOOK, "host", 100)
    assert [(row.name, rates(row.price), row.is_listed) for row in rows] == [
        ("our-own", (1, 1), True),
        ("big", (12, 24), False),
        ("night", (6, 12), False),
        ("odd", None, False),
        ("later", (7, 7), False),
    ]
    assert rows[0].embeds
    assert rows[1].capabilities == Capabilities(context=1000)
    assert [row.name for row in listings(BOOK, "maker", 0, "^[bo]") if row.is_listed] == ["big"]
    assert listings(BOOK, "nobody", 0) == ()


def test_the_name_to_ask_for_means_the_entry_itself() -> None:
    """Its own name, or another that its rule has whole; none where an earlier row means them all."""
    shelf = read_book(
        b'{"made":"","shelves":{"m":{"entries":[{"name":"a","rule":["^","a"]},{"name":"b","rule":["=","b"]},'
        b'{"name":"c","rule":["|",[["=","abc"],["=","real/c"]]]},{"name":"ab","rule":["=","ab"]}]}}}'
    ).shelves["m"]
    assert [asked_name(shelf, entry) for entry in shelf.entries] == ["a", "b", "real/c", ""]
