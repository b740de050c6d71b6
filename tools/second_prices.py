"""What the price book takes from LiteLLM's table: a second opinion, capabilities, and what genai-prices lacks.

A row of the table is a model by its exact name, with a price that has no date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from tokenway.dialects.known import Service
from tokenway.dialects.providers import KNOWN
from tokenway.metering.price_book import find, read_book

_NANO: Final = 10**9
LITELLM: Final = {
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

_RATES: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
"""Its columns of rates to ours."""
_SERVED: Final = re.compile(
    rf"(?P<rate>{'|'.join(_RATES)})(?:_above_(?P<above>\d+)k_tokens)?_(?P<service>flex|priority)"
)
"""The columns of classes of service, some of them for long input."""

Json = dict[str, Any]


def nano(amount: object) -> int:
    """Dollars to nano-dollars, rounded half up: the only inexact rates are thirds and slips of floating point."""
    return int((Decimal(str(amount)) * _NANO).to_integral_value(ROUND_HALF_UP))


def seconded(provider: str, entry: Json, context: int | None, table: Mapping[str, Json]) -> Json:
    """What LiteLLM's table adds to an entry: capabilities, classes of service, and its own rates to compare."""
    row = next((table[name] for name in _spellings(provider, entry) if name in table), {})
    able = capabilities(row, context)
    if provider == "openrouter" and not row:
        theirs = capabilities(next((table[name] for name in _at_vendor(entry["name"]) if name in table), {}))
        able |= {name: theirs[name] for name in _ANYWHERE if name in theirs}
    found: Json = {"capabilities": able} if able else {}
    if row.get("mode") == "embedding":
        found["embeds"] = True
    if "input_cost_per_token" in row:
        second = [million(row["input_cost_per_token"]), million(row.get("output_cost_per_token", 0))]
        found["second"] = second
        services = second_services(row)
        if services:
            found["prices"] = [with_services(dated, second, services) for dated in entry["prices"]]
    return found


def _spellings(provider: str, entry: Json) -> Iterator[str]:
    prefix = LITELLM.get(provider, ("", ""))[0]
    yield prefix + entry["name"]
    sign, value = entry["rule"]
    for each in value if sign == "|" else [entry["rule"]]:
        if each[0] == "=":
            yield prefix + each[1]


def _at_vendor(name: str) -> Iterator[str]:
    """The names that a model of OpenRouter's may have in LiteLLM's table at its vendor."""
    vendor, _, model = name.partition("/")
    prefix, _ = LITELLM.get(_VENDORS.get(vendor, ""), ("", ""))
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
        return amount | second_services(row)
    rate, places = _BY_PIECE.get(row.get("mode", ""), ("", ()))
    dollars = next((row[place] for place in places if row.get(place)), None)
    return None if dollars is None else {"input": 0, "output": 0, rate: _piece(rate, dollars)}


def second_services(row: Json) -> Json:
    """The classes of service in a row of LiteLLM's table, each with its rates and its tiers."""
    found: dict[str, Json] = {}
    tiers: dict[str, dict[int, Json]] = {}
    for column, dollars in row.items():
        meant = _SERVED.fullmatch(column)
        if meant is None or not dollars:
            continue
        rate, above, service = _RATES[meant["rate"]], meant["above"], meant["service"]
        if above is None:
            found.setdefault(service, {})[rate] = million(dollars)
        else:
            tiers.setdefault(service, {}).setdefault(int(above) * 1000, {})[rate] = million(dollars)
    for service, rates in found.items():
        if service in tiers:
            rates["tiers"] = [{"above": above} | tier for above, tier in sorted(tiers[service].items())]
    return found


def with_services(dated: Json, second: Sequence[int], services: Json) -> Json:
    """A dated price with the classes of service of LiteLLM's table that it lacks, where both agree on the usual one."""
    amount = dated["price"]
    if amount is None or "hours" in dated or [amount["input"], amount["output"]] != list(second):
        return dated
    return dated | {"price": amount | {name: each for name, each in services.items() if name not in amount}}


def _piece(rate: str, dollars: object) -> int:
    """A rate by the piece. Hours are sold by the tenth of a cent, of which a second is a fraction that was cut."""
    if rate == "characters":
        return million(dollars)
    if rate == "sound_hour":
        return nano((Decimal(str(dollars)) * 3600).quantize(Decimal("0.001"), ROUND_HALF_UP))
    return nano(dollars)


def second_rows(provider: str, table: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The rows of a provider in LiteLLM's table that have a price, by the names that they mean there."""
    prefix, owner = LITELLM[provider]
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


def is_side_model(name: str, row: Json, services: Collection[Service]) -> bool:
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
    services: dict[str, set[Service]] = {}
    for known in KNOWN.values():
        services.setdefault(known.prices or known.name, set()).update(known.services)
    for name, each in made["shelves"].items():
        each["entries"] += [
            second_entry(model, row)
            for model, row in (second_rows(name, table) if name in LITELLM else ())
            if is_side_model(model, row, services.get(name, set())) and find(read, name, model) is None
        ]
    return made
