"""Writes the price book's data file from two published collections of prices: `python -m tools.build_prices`.

    python -m tools.build_prices --litellm FILE     needs the package genai-prices beside this repository's own

The prices are those of genai-prices (MIT licence, Pydantic Services Inc.): dated, with rules that say which names mean
a model. Its package is read here and not shipped, because it would bring an HTTP client and pydantic into every
process. What a model can do, and the prices of providers that genai-prices does not know, come from LiteLLM's table
(MIT licence, Berri AI), which is also the second opinion that `tokenway models --check` compares with.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final

from tokenway.dialects.providers import KNOWN
from tokenway.metering.price_book import asked_name, read_book
from tools.second_prices import LITELLM, Json, nano, second_entry, second_rows, seconded, with_side_models
from tools.tree import ROOT

PAGE: Final = Path("src/tokenway/metering/price_data.json")

_LOWER: Final = frozenset({"zai", "zhipuai"})
"""Whose models genai-prices names in capitals, as their price lists do, and their API takes in small letters."""
_EPOCH: Final = date(1970, 1, 1)
_KEYS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
    "input_audio_mtok": "audio_input",
    "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input",
    "output_image_mtok": "image_output",
    "web_searches_kcount": "search",
    "requests_kcount": "request",
    "input_audio_hours": "sound_hour",
    "input_mchars": "characters",
}
_EACH: Final = frozenset({"search", "request"})
"""Prices of a thousand, where ours are of one."""
_SOLD: Final = frozenset({"input", "output", "sound_hour", "characters"})
"""What makes a price of a model's: of what it takes or makes."""
_SERVICES: Final = {
    (("processing", "batch"),): "batch",
    (("service_tier", "flex"),): "flex",
    (("service_tier", "priority"),): "priority",
    (("service_tier", "fast"),): "fast",
    (("speed", "fast"),): "fast",
}
"""The conditions of genai-prices that are classes of service here."""
_TIERED: Final = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_CLAUSES: Final = {
    "ClauseEquals": ("=", "equals"),
    "ClauseStartsWith": ("^", "starts_with"),
    "ClauseEndsWith": ("$", "ends_with"),
    "ClauseContains": ("~", "contains"),
    "ClauseRegex": ("r", "regex"),
    "ClauseOr": ("|", "or_"),
    "ClauseAnd": ("&", "and_"),
}


def rule(clause: Any) -> list[Any]:
    """A clause of genai-prices as a rule of ours."""
    sign, attribute = _CLAUSES[type(clause).__name__]
    value = getattr(clause, attribute)
    if sign in {"|", "&"}:
        return [sign, [rule(each) for each in value]]
    return [sign, value if sign == "r" else value.lower()]


def price(written: Any) -> Json | None:
    """A `ModelPrice` as a price of ours; None when it says nothing that we could charge by."""
    given = {_KEYS[key]: value for key, value in vars(written).items() if value is not None and key in _KEYS}
    if not _SOLD & set(given):
        return None
    found: Json = {"input": 0, "output": 0}
    for name, value in given.items():
        amount = nano(getattr(value, "base", value))
        found[name] = amount // 1000 if name in _EACH else amount
    tiers = _tiers(given)
    return found | ({"tiers": tiers} if tiers else {})


def _tiers(given: Mapping[str, Any]) -> list[Json]:
    """One tier for each threshold of any rate, with every rate that has one."""
    tiered = {name: value for name, value in given.items() if name in _TIERED and hasattr(value, "tiers")}
    starts = sorted({tier.start for value in tiered.values() for tier in value.tiers})
    return [{"above": start} | {name: _above(value, start) for name, value in tiered.items()} for start in starts]


def _above(value: Any, start: int) -> int:
    """The rate just above a threshold, be it one of its own or another rate's."""
    rate = value.base
    for tier in sorted(value.tiers, key=lambda each: each.start):
        if tier.start <= start:
            rate = tier.price
    return nano(rate)


def prices(model: Any) -> list[Json]:
    """Every dated price of a model, in the order of the data, with the classes of service that there are by then.

    A class of service that begins later than its price makes a price of that day: the same, and the class.
    """
    written = model.prices if isinstance(model.prices, list) else [model]
    found: list[Json] = []
    for place, each in enumerate(written):
        amount = price(each.prices)
        if amount is None and model.id.endswith(":free"):
            amount = {"input": 0, "output": 0}
        constraint = getattr(each, "constraint", None)
        if amount is None or hasattr(constraint, "start_time"):
            found.append({"price": amount} | _constraint(constraint))
            continue
        begins = _begins(each)
        ends = min((day for later in written[place + 1 :] if (day := _begins(later)) > begins), default=date.max)
        news = {day for variant in _variants(model) if begins < (day := _begins(variant)) < ends}
        found += [
            {"price": amount | _services(model, day)} | ({"since": (day - _EPOCH).days} if day > _EPOCH else {})
            for day in (begins, *sorted(news))
        ]
    return found


def _begins(dated: Any) -> date:
    """The day on which something of the data begins; long ago where it does not say."""
    begins: date = getattr(getattr(dated, "constraint", None), "start_date", None) or _EPOCH
    return begins


def _variants(model: Any) -> list[Any]:
    """The variants of a model's price that are classes of service."""
    return [each for each in getattr(model, "price_variants", None) or () if tuple(each.when.items()) in _SERVICES]


def _services(model: Any, day: date) -> Json:
    """The classes of service on a day, each with the rates that it has of its own."""
    found: Json = {}
    for variant in _variants(model):
        given = {
            _KEYS[key]: value
            for key, value in vars(variant.prices).items()
            if value is not None and _KEYS.get(key) in _TIERED
        }
        if _begins(variant) <= day and given:
            rates: Json = {name: nano(getattr(value, "base", value)) for name, value in given.items()}
            tiers = _tiers(given)
            found.setdefault(_SERVICES[tuple(variant.when.items())], rates | ({"tiers": tiers} if tiers else {}))
    return found


def _constraint(constraint: Any) -> Json:
    """The hours of a price, and nothing where it has none."""
    if not hasattr(constraint, "start_time"):
        return {}
    begin, end = constraint.start_time, constraint.end_time
    return {"hours": [begin.hour * 60 + begin.minute, end.hour * 60 + end.minute]}


def shelf(provider: Any, table: Mapping[str, Json]) -> Json:
    """A provider of genai-prices as a shelf of the book."""
    entries = []
    for model in provider.models:
        entry: Json = {"name": model.id, "rule": rule(model.match), "prices": prices(model)}
        if model.name and model.name != model.id:
            entry["title"] = model.name
        if model.deprecated:
            entry["is_old"] = True
        entries.append(entry | seconded(provider.id, entry, model.context_window, table))
    return {"entries": entries} | (
        {"more": list(provider.fallback_model_providers)} if provider.fallback_model_providers else {}
    )


def book(providers: Iterable[Any], table: Mapping[str, Json], made: str) -> Json:
    """The whole book: the providers that are known here, and those that they point to."""
    by_id = {provider.id: provider for provider in providers}
    wanted = {row.prices or row.name for row in KNOWN.values() if not row.is_keyless}
    wanted |= {other for name in wanted & set(by_id) for other in by_id[name].fallback_model_providers or ()}
    shelves = {}
    for name in sorted(wanted):
        if name in by_id:
            shelves[name] = shelf(by_id[name], table)
        elif name in LITELLM:
            rows = second_rows(name, table)
            shelves[name] = {
                "entries": [second_entry(each, row) for each, row in rows if "input_cost_per_token" in row]
            }
    found = {"made": made, "shelves": {name: each for name, each in shelves.items() if each["entries"]}}
    return with_side_models(found, table)


def named(made: Json) -> Json:
    """The book with the name, of each entry that has one, that callers can ask for."""
    read = read_book(json.dumps(made).encode())
    for name, each in made["shelves"].items():
        for written, entry in zip(each["entries"], read.shelves[name].entries, strict=True):
            asked = asked_name(read.shelves[name], entry)
            if asked:
                written["asked"] = asked.lower() if name in _LOWER else asked
    return made


def render(made: Json) -> str:
    """The file: one entry a line, so that a change of one price is a change of one line."""
    lines = [f'{{"made":{json.dumps(made["made"])},"shelves":{{']
    shelves = list(made["shelves"].items())
    for index, (name, each) in enumerate(shelves):
        more = f',"more":{_compact(each["more"])}' if "more" in each else ""
        rows = ",\n".join(_compact(entry) for entry in each["entries"])
        lines.append(f'{json.dumps(name)}:{{"entries":[\n{rows}\n]{more}}}{"," if index + 1 < len(shelves) else ""}')
    return "\n".join([*lines, "}}\n"])


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Writes the data file; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_prices")
    parser.add_argument("--litellm", type=Path, required=True, help="LiteLLM's table of prices and context sizes, JSON")
    parser.add_argument("--litellm-version", default="", help="its version, for the record")
    options = parser.parse_args(arguments)
    table = json.loads(options.litellm.read_text(encoding="utf-8"))
    providers = import_module("genai_prices.data").providers
    made = f"genai-prices {metadata.version('genai-prices')}, LiteLLM {options.litellm_version}".rstrip()
    (root / PAGE).write_text(render(named(book(providers, table, made))), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
