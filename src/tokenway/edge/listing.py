"""The list of models in the shapes that clients look for: OpenAI's with OpenRouter's fields, Anthropic's, Google's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from msgspec import structs

from tokenway.model.catalog import Endpoint, Model, Operation, Price, Rates
from tokenway.model.errors import invalid_request
from tokenway.model.money import NANO_PER_USD, UNITS_PER_RATE, format_usd
from tokenway.model.quantization import quantization_of
from tokenway.model.snapshot import Snapshot
from tokenway.routing.names import may_ask
from tokenway.routing.plan import from_listing, resolve

PAGE: Final = 50
"""Models of one page where the caller does not say, as Google has it."""
PAGE_MAX: Final = 1000
UNPRICED: Final = "-1"
"""What OpenRouter writes for a price that is not one number; here it is not known."""
_CHOICES: Final = ("auto", "none", "required", "function")
_OFFSET_MAX: Final = 10**6
_PARAMETERS: Final = ("max_tokens", "temperature", "top_p", "stop", "response_format", "seed")
_SHOWN: Final = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
}


Allowed = tuple[str, ...] | None
"""The models that a key may use (`routing.names.may_ask`); None for all."""


def listed(snapshot: Snapshot, allowed: Allowed = None) -> Iterator[tuple[str, Model]]:
    """Every model of the list by its name, of those that a key may use."""
    for name, model in _all(snapshot):
        if may_ask(snapshot, allowed, name):
            yield name, model


def _all(snapshot: Snapshot) -> Iterator[tuple[str, Model]]:
    """The configured ones, their aliases, and what each provider is known to serve."""
    yield from snapshot.models.items()
    for alias in snapshot.aliases:
        meant = resolve(snapshot, alias)
        if meant is not None:
            yield alias, meant
    for name, listings in snapshot.listings.items():
        provider = snapshot.providers[name]
        for listing in listings:
            full = f"{name}/{listing.name}"
            if listing.is_listed and full not in snapshot.models and full not in snapshot.aliases:
                yield full, from_listing(provider, listing, full, listing.name)


def describe(model: Model) -> dict[str, object]:
    """A model in OpenAI's shape, with OpenRouter's fields where they are known; prices in USD per token."""
    # None of its providers may be there: the local engine does not run, or they are switched off.
    first = model.endpoints[0] if model.endpoints else Endpoint("", "")
    shape: dict[str, object] = {
        "id": model.name,
        "canonical_slug": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner,
        "name": model.title or model.name,
        "description": model.description,
        "context_length": first.capabilities.context,
        "top_provider": {
            "context_length": first.capabilities.context,
            "max_completion_tokens": first.capabilities.max_output,
            "is_moderated": False,
        },
        "architecture": architecture(first),
        "supported_parameters": supported(first),
        "default_parameters": None,
        "per_request_limits": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{model.name}/endpoints"},
        "endpoints": [endpoint.id for endpoint in model.endpoints],
        **priced(first),
    }
    return shape


def architecture(endpoint: Endpoint) -> dict[str, object]:
    """What goes in and what comes out, in OpenRouter's words."""
    taken = ["text", "image"] if endpoint.capabilities.vision else ["text"]
    made = ["text"] if Operation.CHAT in endpoint.operations else ["embeddings"]
    return {
        "modality": f"{'+'.join(taken)}->{made[0]}",
        "input_modalities": taken,
        "output_modalities": made,
        "tokenizer": "Other",
        "instruct_type": None,
    }


def supported(endpoint: Endpoint) -> list[str]:
    """The request's parameters that make a difference, in OpenRouter's words; every endpoint that chats takes most."""
    if Operation.CHAT not in endpoint.operations:
        return []
    return [*_PARAMETERS, *(("tools", "tool_choice") if endpoint.capabilities.tools else ())]


def describe_endpoint(model: Model, endpoint: Endpoint) -> dict[str, object]:
    """An endpoint in OpenRouter's shape; what is not known, such as measured speed before there is any, is null."""
    return {
        "name": f"{endpoint.provider} | {model.name}",
        "tag": endpoint.id,
        "model_id": model.name,
        "model_name": endpoint.upstream_model,
        "provider_name": endpoint.provider,
        "quantization": quantization_of(endpoint.grade.weights),
        "grade": structs.asdict(endpoint.grade),
        "context_length": endpoint.capabilities.context or 0,
        "max_completion_tokens": endpoint.capabilities.max_output,
        "max_prompt_tokens": None,
        "supported_parameters": supported(endpoint),
        "supports_tool_choice": dict.fromkeys(_CHOICES, endpoint.capabilities.tools),
        "supports_implicit_caching": endpoint.price is not None and endpoint.price.cache_read is not None,
        "supports_diarization": False,
        "native_tools": {},
        "service_tier": None,
        "status": 0,
        "latency_last_30m": None,
        "throughput_last_30m": None,
        "uptime_last_5m": None,
        "uptime_last_30m": None,
        "uptime_last_1d": None,
        **priced(endpoint),
    }


def priced(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint's price; one that has none says so, with OpenRouter's `-1` for what has no price of its own."""
    if endpoint.price is None:
        return {"pricing": {"prompt": UNPRICED, "completion": UNPRICED}, "unpriced": True}
    return {"pricing": pricing(endpoint.price)}


def pricing(price: Price) -> dict[str, object]:
    """USD per token, request, search or output image, as exact decimal strings; only the rates that the endpoint has.

    OpenRouter has no names for sound and spoken text: `sound_hour` is for an hour, `character` for each.
    """
    rates = {
        **{shown: getattr(price, field) for field, shown in _SHOWN.items()},
        "internal_reasoning": price.reasoning,
        "audio": price.audio_input,
        "audio_output": price.audio_output,
        "image_token": price.image_input,
        "image_output": price.image_output,
        "character": price.characters,
    }
    known: dict[str, object] = {name: per_token(rate) for name, rate in rates.items() if rate is not None}
    known["request"] = format_usd(price.request)
    if price.search:
        known["web_search"] = format_usd(price.search)
    if price.image is not None:
        known["image_output"] = format_usd(price.image)
    if price.sound_hour is not None:
        known["sound_hour"] = format_usd(price.sound_hour)
    overrides = [{"min_prompt_tokens": tier.above + 1} | _per_token(tier) for tier in price.tiers]
    overrides += [
        {"utc_start": _clock(hours.begin), "utc_end": _clock(hours.end)} | _per_token(hours) for hours in price.hours
    ]
    return known | ({"overrides": overrides} if overrides else {})


def _per_token(rates: Rates) -> dict[str, object]:
    return {shown: per_token(rate) for field, shown in _SHOWN.items() if (rate := getattr(rates, field)) is not None}


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}{minute % 60:02d}"


def per_token(rate: int) -> str:
    """A rate (nano-dollars per million tokens) as USD per token, exactly: `500_000_000` gives `0.0000005`."""
    dollars = Decimal(rate) / (NANO_PER_USD * UNITS_PER_RATE)
    return f"{dollars.normalize():f}"


def openai_list(snapshot: Snapshot, query: Mapping[str, str], allowed: Allowed = None) -> dict[str, object]:
    """`GET /v1/models` as OpenAI's and OpenRouter's clients read it, by OpenRouter's filters.

    `q` is part of a name; `supported_parameters`, `input_modalities` and `output_modalities` are lists of which a
    model must have all; `offset` and `limit` cut a page out. Raises Refusal (400) for a number that is none.
    """
    shapes = [describe(model) | {"id": name, "canonical_slug": model.name} for name, model in listed(snapshot, allowed)]
    found = [shape for shape in shapes if _is_wanted(shape, query)]
    start = number(query.get("offset"), 0, "offset", _OFFSET_MAX, least=0)
    end = start + number(query.get("limit"), _OFFSET_MAX, "limit", _OFFSET_MAX)
    return {"object": "list", "data": found[start:end], "total_count": len(found), "links": {"next": None}}


def _is_wanted(shape: dict[str, Any], query: Mapping[str, str]) -> bool:
    has = {
        "supported_parameters": shape["supported_parameters"],
        "input_modalities": shape["architecture"]["input_modalities"],
        "output_modalities": shape["architecture"]["output_modalities"],
    }
    text = query.get("q", "").lower()
    if text and text not in shape["id"].lower() and text not in shape["name"].lower():
        return False
    wanted = [(given, each) for name, given in has.items() for each in query.get(name, "").split(",")]
    return all(not each or each == "all" or each in given for given, each in wanted)


def anthropic_page(
    snapshot: Snapshot, limit: int, *, after: str = "", before: str = "", allowed: Allowed = None
) -> dict[str, object]:
    """`GET /v1/models` as Anthropic's clients read it: from behind the model `after`, or the last ones before `before`.

    Raises Refusal (400) where the list has no such model.
    """
    models = list(listed(snapshot, allowed))
    names = [name for name, _ in models]
    start, end = 0, len(models)
    if before:
        end = _place(names, before, "before_id")
        start = max(0, end - limit)
    elif after:
        start = _place(names, after, "after_id") + 1
    page = [anthropic_model(name, model) for name, model in models[start : min(end, start + limit)]]
    return {
        "data": page,
        "has_more": start > 0 if before else start + len(page) < len(models),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def _place(names: list[str], name: str, parameter: str) -> int:
    if name not in names:
        raise invalid_request(f"'{parameter}' names no model of the list.", param=parameter)
    return names.index(name)


def anthropic_model(name: str, model: Model) -> dict[str, object]:
    """One model in Anthropic's shape; sizes are left out where no endpoint tells them."""
    able = _first(model).capabilities
    created = datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z")
    shape: dict[str, object] = {
        "type": "model",
        "id": name,
        "display_name": model.title or name,
        "created_at": created,
    }
    if model.description:
        shape["description"] = model.description
    if able.context is not None:
        shape["max_input_tokens"] = able.context
    if able.max_output is not None:
        shape["max_tokens"] = able.max_output
    return shape


def gemini_page(snapshot: Snapshot, size: int, token: str, allowed: Allowed = None) -> dict[str, object]:
    """`GET /v1beta/models`; `token` is the place where the page begins, as the page before told it.

    Raises Refusal (400) for a token that no page tells.
    """
    models = list(listed(snapshot, allowed))
    if token and not (token.isascii() and token.isdigit() and len(token) < 10):
        raise invalid_request("'pageToken' is not one that a page of this list told.", param="pageToken")
    start = int(token or "0")
    shapes = [gemini_model(name, model) for name, model in models[start : start + size]]
    page: dict[str, object] = {"models": shapes}
    if start + size < len(models):
        page["nextPageToken"] = str(start + size)
    return page


def gemini_model(name: str, model: Model) -> dict[str, object]:
    """One model in Google's shape."""
    able = _first(model).capabilities
    shape: dict[str, object] = {
        "name": f"models/{name}",
        "baseModelId": name,
        "version": "",
        "displayName": model.title or name,
        "description": model.description,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent"],
    }
    if able.context is not None:
        shape["inputTokenLimit"] = able.context
    if able.max_output is not None:
        shape["outputTokenLimit"] = able.max_output
    return shape


def _first(model: Model) -> Endpoint:
    return model.endpoints[0] if model.endpoints else Endpoint("", "")


def number(text: str | None, usual: int, name: str, most: int, least: int = 1) -> int:
    """How many of a list a query asks for; raises Refusal (400) for what is no such number."""
    try:
        count = usual if text is None else int(text)
    except ValueError:
        count = least - 1
    if not least <= count <= most:
        raise invalid_request(f"'{name}' must be a number from {least} to {most}.", param=name)
    return count
