"""Sources that disagree about a price."""

from __future__ import annotations

from pathlib import Path

from tokenway.control.config import load
from tokenway.control.price_check import Disagreement, Origin, disagreements
from tokenway.metering.price_book import read_book

BOOK = read_book(
    b'{"made":"","shelves":{"openai":{"entries":[{"name":"gpt-x","rule":["^","gpt-x"],"second":[1000000000,3000000000],'
    b'"prices":[{"price":{"input":1000000000,"output":2000000000,"tiers":[{"above":100,"input":5000000000}]}}]},'
    b'{"name":"none","rule":["=","none"],"second":[1,1]}]}}}'
)
OURS = read_book(
    b'{"made":"","shelves":{"openai":{"entries":[{"name":"gpt-x","rule":["=","gpt-x"],'
    b'"prices":[{"price":{"input":1000000000,"output":2500000000,"tiers":[{"above":100,"input":5000000000}]}}]}]}}}'
)
EMPTY = read_book(b'{"made":"","shelves":{}}')


def test_a_configured_price_is_compared_rate_by_rate(tmp_path: Path) -> None:
    """Above each length too; a rate that is not written is compared as what it is charged at."""
    file = tmp_path / "f.yaml"
    file.write_text("""
providers: {openai: {api_key: k}}
models:
  a: {endpoints: [{provider: openai, model: gpt-x-1, price: {input: 1, output: 2, cache_read: 1}}]}
  b: {endpoints: [{provider: openai, model: gpt-x-1, price: {input: 7, output: 7}}]}
""")
    found = disagreements(load(file, {}).demand(), {}, BOOK, EMPTY, 0)
    configured = [each for each in found if each.origin is Origin.CONFIGURED]
    assert configured == [
        Disagreement("openai", "gpt-x-1", rate, Origin.CONFIGURED, 10**9, Origin.BOOK, 5 * 10**9)
        for rate in ("input above 100", "cache_read above 100", "cache_write above 100", "cache_write_1h above 100")
    ]


def test_corrections_and_a_second_collection_are_compared() -> None:
    """Of corrections each, of the second collection what the enabled providers charge."""
    settings = load(None, {}).demand()
    corrected = Disagreement("openai", "gpt-x", "output", Origin.CORRECTED, 25 * 10**8, Origin.BOOK, 2 * 10**9)
    above = Disagreement("openai", "gpt-x", "output above 100", Origin.CORRECTED, 25 * 10**8, Origin.BOOK, 2 * 10**9)
    second = Disagreement("openai", "gpt-x", "output", Origin.BOOK, 2 * 10**9, Origin.SECOND, 3 * 10**9)
    assert disagreements(settings, {}, BOOK, OURS, 0) == [corrected, above]
    assert disagreements(settings, {"OPENAI_API_KEY": "k"}, BOOK, EMPTY, 0) == [second]


def test_a_correction_goes_before_the_second_collection() -> None:
    """What was corrected to what it says is no disagreement any more."""
    agreed = read_book(
        b'{"made":"","shelves":{"openai":{"entries":[{"name":"gpt-x","rule":["=","gpt-x"],'
        b'"prices":[{"price":{"input":1000000000,"output":3000000000}}]}]}}}'
    )
    found = disagreements(load(None, {}).demand(), {"OPENAI_API_KEY": "k"}, BOOK, agreed, 0)
    assert {each.other for each in found} == {Origin.BOOK}


def test_unknown_models_and_agreement_are_silent(tmp_path: Path) -> None:
    """Nothing to compare with is no disagreement."""
    file = tmp_path / "f.yaml"
    file.write_text("""
providers: {lab: {base_url: 'http://x/v1'}, eu: {base_url: 'http://y/v1', like: openai}}
models:
  a:
    endpoints:
      - {provider: lab, model: gpt-x, price: {input: 9, output: 9}}
      - {provider: eu, model: other, price: {input: 9, output: 9}}
      - {provider: eu, model: gpt-x, price: {input: 1, output: 2, tiers: [{above: 100, input: 5}]}}
""")
    found = disagreements(load(file, {}).demand(), {}, BOOK, EMPTY, 0)
    assert [(each.provider, each.origin) for each in found] == [("eu", Origin.BOOK)]


def test_a_price_by_the_hour_agrees_with_any_of_its_hours() -> None:
    """A collection without hours has one of them; names that are the book's own are not compared."""
    book = read_book(
        b'{"made":"","shelves":{"openai":{"entries":[{"name":"gpt-h","rule":["=","gpt-h"],"second":[2,5],"prices":['
        b'{"price":{"input":1,"output":3}},{"price":{"input":2,"output":4},"hours":[0,60]}]},'
        b'{"name":"gpt-silent","rule":["=","gpt-silent"],"second":[1,0],"prices":[{"price":{"input":1,"output":3}}]},'
        b'{"name":"ft:gpt-h","rule":["^","ft:gpt-h"],"second":[9,9],"prices":[{"price":{"input":1,"output":3}}]}]}}}'
    )
    found = disagreements(load(None, {}).demand(), {"OPENAI_API_KEY": "k"}, book, EMPTY, 0)
    assert [(each.model, each.rate, each.other_says) for each in found] == [("gpt-h", "output", 5)]
