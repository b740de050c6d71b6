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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final

from tokenway.dialects.known import Service
from tokenway.dialects.providers import KNOWN
from tokenway.metering.price_book import asked_name, find, read_book
from tools.tree import ROOT

PAGE: Final = Path("src/tokenway/metering/price_data.json")

_LOWER: Final = frozenset({"zai", "zhipuai"})
"""Whose models genai-prices names in capitals, as their price lists do, and their API takes in small letters."""
_EPOCH: Final = date(1970, 1, 1)
_NANO: Final = 10**9
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

_LITELLM: Final = {
    "openai": ("", "openai"),
    "anthropic": ("", "anthropic"),
    "google": ("gemini/", "gemini"),
    "aws": ("", "bedrock"),
    "azure": ("azure/", "azure"),
    "mistral": ("mistral/", "mistral"),
    "x-ai": ("xai/", "xai"),
    "deepseek": ("deepseek/", "deepseek"),
    "cohere": ("", "cohere"),
    "groq": ("groq/", "groq"),
    "together": ("together_ai/", "together_ai"),
    "fireworks": ("fireworks_ai/accounts/fireworks/models/", "fireworks_ai"),
    "perplexity": ("perplexity/", "perplexity"),
    "openrouter": ("openrouter/", "openrouter"),
    "cerebras": ("cerebras/", "cerebras"),
    "novita": ("novita/", "novita"),
    "databricks": ("databricks/", "databricks"),
    "cloudflare": ("cloudflare/", "cloudflare"),
    "baseten": ("baseten/", "baseten"),
    "moonshotai": ("moonshot/", "moonshot"),
    "zai": ("zai/", "zai"),
    "minimax": ("minimax/", "minimax"),
    "voyageai": ("voyage/", "voyage"),
    "deepinfra": ("deepinfra/", "deepinfra"),
    "nebius": ("nebius/", "nebius"),
    "dashscope": ("dashscope/", "dashscope"),
    "hyperbolic": ("hyperbolic/", "hyperbolic"),
    "nscale": ("nscale/", "nscale"),
    "sambanova": ("sambanova/", "sambanova"),
    "ai21": ("", "ai21"),
    "jina": ("", "jina_ai"),
    "volcengine": ("volcengine/", "volcengine"),
    "scaleway": ("scaleway/", "scaleway"),
    "vercel": ("vercel_ai_gateway/", "vercel_ai_gateway"),
}
"""A provider as the book names it, to the beginning of its models' names in LiteLLM's table and its name there."""

_VENDORS: Final = {
    **{name: name for name in ("anthropic", "cohere", "deepseek", "google", "minimax", "moonshotai", "openai", "x-ai")},
    "mistralai": "mistral",
    "z-ai": "zai",
}
"""Whose model a name at OpenRouter begins with, as the book names the vendor."""
_ANYWHERE: Final = ("vision", "tools")
"""What a model can do wherever it is served."""

_SERVICES: Final = {
    "rerank": Service.RERANK,
    "audio_transcription": Service.TRANSCRIPTIONS,
    "audio_speech": Service.SPEECH,
    "image_generation": Service.IMAGES,
    "image_edit": Service.IMAGES,
}
"""What a row of LiteLLM's table is for, to the service of a provider that does it."""
_BY_PIECE: Final = {
    "rerank": ("search", ("input_cost_per_query",)),
    "audio_transcription": ("sound_hour", ("input_cost_per_second",)),
    "audio_speech": ("characters", ("input_cost_per_character",)),
    "image_generation": ("image", ("output_cost_per_image", "input_cost_per_image")),
    "image_edit": ("image", ("output_cost_per_image", "input_cost_per_image")),
}
"""The same to the rate of ours, and where it stands there."""

Json = dict[str, Any]


def nano(amount: object) -> int:
    """Dollars to nano-dollars, rounded half up: the only inexact rates are thirds and slips of floating point."""
    return int((Decimal(str(amount)) * _NANO).to_integral_value(ROUND_HALF_UP))


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
    """Every dated price of a model, in the order of the data, batches included."""
    written = model.prices if isinstance(model.prices, list) else [model]
    found = []
    for each in written:
        amount = price(each.prices)
        if amount is None and model.id.endswith(":free"):
            amount = {"input": 0, "output": 0}
        batch = None if amount is None else _batch(model, each)
        dated: Json = {"price": amount if batch is None else {**(amount or {}), "batch": batch}}
        found.append(dated | _constraint(getattr(each, "constraint", None)))
    return found


def _constraint(constraint: Any) -> Json:
    if constraint is None:
        return {}
    if hasattr(constraint, "start_date"):
        return {"since": (constraint.start_date - _EPOCH).days}
    begin, end = constraint.start_time, constraint.end_time
    return {"hours": [begin.hour * 60 + begin.minute, end.hour * 60 + end.minute]}


def _batch(model: Any, dated: Any) -> Json | None:
    """What a batch pays instead, where the data says so of the time of this price."""
    constraint = getattr(dated, "constraint", None)
    day = getattr(constraint, "start_date", None) or _EPOCH
    for variant in getattr(model, "price_variants", None) or ():
        begins = getattr(variant.constraint, "start_date", None) or _EPOCH
        if variant.when == {"processing": "batch"} and begins <= day:
            given = {_KEYS[key]: value for key, value in vars(variant.prices).items() if _KEYS.get(key) in _TIERED}
            rates: Json = {
                name: nano(getattr(value, "base", value)) for name, value in given.items() if value is not None
            }
            tiers = _tiers({name: value for name, value in given.items() if value is not None})
            return rates | ({"tiers": tiers} if tiers else {})
    return None


def shelf(provider: Any, table: Mapping[str, Json]) -> Json:
    """A provider of genai-prices as a shelf of the book."""
    entries = []
    for model in provider.models:
        entry: Json = {"name": model.id, "rule": rule(model.match), "prices": prices(model)}
        if model.name and model.name != model.id:
            entry["title"] = model.name
        if model.deprecated:
            entry["is_old"] = True
        entries.append(entry | _seconded(provider.id, entry, model.context_window, table))
    return {"entries": entries} | (
        {"more": list(provider.fallback_model_providers)} if provider.fallback_model_providers else {}
    )


def _seconded(provider: str, entry: Json, context: int | None, table: Mapping[str, Json]) -> Json:
    """What LiteLLM's table adds to an entry: capabilities, and its own rates to compare."""
    row = next((table[name] for name in _spellings(provider, entry) if name in table), {})
    able = capabilities(row, context)
    if provider == "openrouter" and not row:
        theirs = capabilities(next((table[name] for name in _at_vendor(entry["name"]) if name in table), {}))
        able |= {name: theirs[name] for name in _ANYWHERE if name in theirs}
    found: Json = {"capabilities": able} if able else {}
    if row.get("mode") == "embedding":
        found["embeds"] = True
    if "input_cost_per_token" in row:
        found["second"] = [million(row["input_cost_per_token"]), million(row.get("output_cost_per_token", 0))]
    return found


def _spellings(provider: str, entry: Json) -> Iterator[str]:
    prefix = _LITELLM.get(provider, ("", ""))[0]
    yield prefix + entry["name"]
    sign, value = entry["rule"]
    for each in value if sign == "|" else [entry["rule"]]:
        if each[0] == "=":
            yield prefix + each[1]


def _at_vendor(name: str) -> Iterator[str]:
    """The names that a model of OpenRouter's may have in LiteLLM's table at its vendor."""
    vendor, _, model = name.partition("/")
    prefix, _ = _LITELLM.get(_VENDORS.get(vendor, ""), ("", ""))
    if vendor in _VENDORS:
        bare = model.partition(":")[0]
        yield prefix + bare
        yield prefix + bare.replace(".", "-")


def capabilities(row: Json, context: int | None = None) -> Json:
    """What a row of LiteLLM's table says that a model can do; the larger of two contexts, which is the safer bound."""
    found: Json = {}
    sizes = [size for size in (context, row.get("max_input_tokens")) if isinstance(size, int) and size > 0]
    if sizes:
        found["context"] = max(sizes)
    longest = row.get("max_output_tokens")
    if isinstance(longest, int) and longest > 0 and row.get("mode") in {"chat", "responses", "completion"}:
        found["max_output"] = longest
    if row.get("supports_vision"):
        found["vision"] = True
    if row.get("supports_assistant_prefill"):
        found["prefill"] = True
    if row and not row.get("supports_function_calling"):
        found["tools"] = False
    return found


def million(per_token: object) -> int:
    """Dollars per token to a rate."""
    return nano(Decimal(str(per_token)) * 1_000_000)


def second_price(row: Json) -> Json | None:
    """A price by a row of LiteLLM's table: by the token, else by the piece; None where it says neither."""
    if row.get("input_cost_per_token") or ("input_cost_per_token" in row and row.get("mode") not in _BY_PIECE):
        amount: Json = {
            "input": million(row["input_cost_per_token"]),
            "output": million(row.get("output_cost_per_token", 0)),
        }
        if "cache_read_input_token_cost" in row:
            amount["cache_read"] = million(row["cache_read_input_token_cost"])
        return amount
    rate, places = _BY_PIECE.get(row.get("mode", ""), ("", ()))
    dollars = next((row[place] for place in places if row.get(place)), None)
    return None if dollars is None else {"input": 0, "output": 0, rate: _piece(rate, dollars)}


def _piece(rate: str, dollars: object) -> int:
    """A rate by the piece. Hours are sold by the tenth of a cent, of which a second is a fraction that was cut."""
    if rate == "characters":
        return million(dollars)
    if rate == "sound_hour":
        return nano((Decimal(str(dollars)) * 3600).quantize(Decimal("0.001"), ROUND_HALF_UP))
    return nano(dollars)


def second_rows(provider: str, table: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The rows of a provider in LiteLLM's table that have a price, by the names that they mean there."""
    prefix, owner = _LITELLM[provider]
    for name, row in table.items():
        if row.get("litellm_provider") == owner and name.startswith(prefix) and second_price(row) is not None:
            yield name.removeprefix(f"{owner}/"), row


def second_entry(name: str, row: Json) -> Json:
    """One of them as an entry of the book: an exact name, and a price without a date."""
    entry: Json = {"name": name, "rule": ["=", name.lower()], "prices": [{"price": second_price(row)}]}
    able = capabilities(row)
    if row.get("mode") == "embedding":
        entry["embeds"] = True
    return entry | ({"capabilities": able} if able else {})


def is_side_model(name: str, row: Json, services: Sequence[Service]) -> bool:
    """Whether a row is of a model that ranks, paints, hears or speaks, at a provider that does this, for a sure price.

    Images and sound by the token are left to genai-prices, since here a token of text and one of an image are one. So
    are images at several prices: their names hold a size that nobody can ask for so, or they have more columns.
    """
    mode = row.get("mode", "")
    by_token = mode != "rerank" and "input_cost_per_token" in row and bool(row["input_cost_per_token"])
    by_size = "-x-" in name or any(column.startswith("output_cost_per_image_") for column in row)
    return _SERVICES.get(mode) in services and not by_token and not by_size


def with_side_models(made: Json, table: Mapping[str, Json]) -> Json:
    """The book with what only LiteLLM's table knows of rankings, images and sound."""
    read = read_book(json.dumps(made).encode())
    for known in KNOWN.values():
        name = known.prices or known.name
        if name not in made["shelves"] or name not in _LITELLM:
            continue
        made["shelves"][name]["entries"].extend(
            second_entry(model, row)
            for model, row in second_rows(name, table)
            if is_side_model(model, row, known.services) and find(read, name, model) is None
        )
    return made


def book(providers: Iterable[Any], table: Mapping[str, Json], made: str) -> Json:
    """The whole book: the providers that are known here, and those that they point to."""
    by_id = {provider.id: provider for provider in providers}
    wanted = {row.prices or row.name for row in KNOWN.values() if not row.is_keyless}
    wanted |= {other for name in wanted & set(by_id) for other in by_id[name].fallback_model_providers or ()}
    shelves = {}
    for name in sorted(wanted):
        if name in by_id:
            shelves[name] = shelf(by_id[name], table)
        elif name in _LITELLM:
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
