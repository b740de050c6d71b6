"""The hard part of a caller's wishes: which endpoints they exclude, and why, told for each.

Every filter looks at one endpoint alone, so that the order in which they are applied makes no difference to what is
left; where several exclude an endpoint, the first of the table is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from tokenway.model.catalog import DataPolicy, Endpoint, Price, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal, invalid_request
from tokenway.model.money import format_usd
from tokenway.model.quantization import fits, quantization_of
from tokenway.model.snapshot import Snapshot
from tokenway.routing.preferences import MaxPrice, Wishes, nearest_of

TOLD: Final = 12
"""Endpoints whose exclusion is told in words; the rest is counted, and stands in the error's details."""

KEY_POLICY: Final = "key_policy"
"""What excludes an endpoint that a key may not use."""

OPENROUTER: Final[Mapping[str, tuple[str, ...]]] = {
    "bedrock": ("amazon-bedrock", "amazon bedrock"),
    "dashscope": ("alibaba",),
    "gemini": ("google-ai-studio", "google ai studio"),
    "moonshot": ("moonshotai", "moonshot ai"),
    "vertex": ("google-vertex", "google"),
    "vertex-anthropic": ("google-vertex", "google"),
    "voyage": ("voyageai", "voyageai by mongodb"),
    "zai": ("z-ai", "z.ai"),
}
"""A known provider to its names at OpenRouter (`ProviderName`, and its slugs), where those are others."""

_OTHERS: Final = frozenset(name for names in OPENROUTER.values() for name in names)


class Exclusion(msgspec.Struct, frozen=True):
    """Why an endpoint may not serve a call: a code, after OpenRouter's `excluded_by`, and the rest of a sentence."""

    code: str
    words: str


NO_PRICE: Final = Exclusion("unknown_price", "has no price, and 'limits.unpriced' refuses those")
"""What excludes an endpoint without a price from all calls that cost something, where the configuration says so."""


def exclusion(endpoint: Endpoint, provider: Provider | None, wishes: Wishes) -> Exclusion | None:
    """What excludes an endpoint; None where it fits all of the hard wishes."""
    data = DataPolicy() if provider is None else provider.data
    for code, excluding in FILTERS:
        words = excluding(endpoint, data, wishes)
        if words:
            return Exclusion(code, words)
    return None


def is_named(endpoint: Endpoint, names: Iterable[str]) -> bool:
    """Whether one of these names means the endpoint: its provider's, `provider/model`, or OpenRouter's for those."""
    own = _names_of(endpoint)
    return any(name in own for name in names)


def rank(endpoint: Endpoint, order: tuple[str, ...]) -> int:
    """The endpoint's place in a caller's order; behind all of it where it is not named."""
    own = _names_of(endpoint)
    return next((index for index, name in enumerate(order) if name in own), len(order))


def _names_of(endpoint: Endpoint) -> frozenset[str]:
    return _folded(endpoint.provider, endpoint.id)


@lru_cache(4096)
def _folded(provider: str, whole: str) -> frozenset[str]:
    own = provider.casefold()
    return frozenset((own, whole.casefold(), *OPENROUTER.get(own, ())))


# -- the filters: what is wrong with an endpoint as the rest of a sentence, or nothing -----------------------------


def _not_for_key(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    if wishes.allowed is None or endpoint.id in wishes.allowed or endpoint.provider in wishes.allowed:
        return ""
    return "may not be used with this API key"


def _not_allowed(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    if wishes.only and not is_named(endpoint, wishes.only):
        return "is not in 'provider.only'"
    if wishes.order and not wishes.allow_fallbacks and not is_named(endpoint, wishes.order):
        return "is not in 'provider.order', and 'provider.allow_fallbacks' is false"
    return ""


def _ignored(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    return "is in 'provider.ignore'" if is_named(endpoint, wishes.ignore) else ""


def _other_quantization(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    grade = endpoint.grade.weights
    if not wishes.quantizations or fits(grade, wishes.quantizations):
        return ""
    return f"has the quantization {quantization_of(grade)}, which is not in 'provider.quantizations'"


def _unpriced(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    known = endpoint.price is not None
    return "" if known or wishes.max_cost is None else "has no price, so 'provider.max_cost' cannot be kept"


def _too_dear(endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    if wishes.is_free and not (endpoint.price is not None and _is_free(endpoint.price)):
        return "is not free, as ':free' asks"
    if wishes.max_price is None:
        return ""
    if endpoint.price is None:
        return "has no price, so 'provider.max_price' cannot be kept"
    return next(_above(endpoint.price, wishes.max_price), "")


def _trains(_endpoint: Endpoint, data: DataPolicy, wishes: Wishes) -> str:
    if wishes.no_training and data.training and not data.zdr:
        return "may train on what it is sent, which 'provider.data_collection' denies"
    return ""


def _keeps(_endpoint: Endpoint, data: DataPolicy, wishes: Wishes) -> str:
    return "may keep what it is sent, which 'provider.zdr' forbids" if wishes.zdr and not data.zdr else ""


def _not_distillable(_endpoint: Endpoint, _data: DataPolicy, wishes: Wishes) -> str:
    # No provider's list tells it, so nothing can be promised.
    return (
        "does not say that its text may be distilled ('provider.enforce_distillable_text')"
        if wishes.distillable
        else ""
    )


Filter = Callable[[Endpoint, DataPolicy, Wishes], str]

FILTERS: Final[tuple[tuple[str, Filter], ...]] = (
    (KEY_POLICY, _not_for_key),
    ("allowed_providers", _not_allowed),
    ("ignored_providers", _ignored),
    ("quantization", _other_quantization),
    ("unknown_price", _unpriced),
    ("max_price", _too_dear),
    ("data_policy:zdr", _keeps),
    ("data_policy:training", _trains),
    ("distillable_text", _not_distillable),
)


def _above(price: Price, most: MaxPrice) -> Iterator[str]:
    """What of a price is above a bound. Ordinary rates count, and what has no rate of its own is charged as input.

    An image is one that is made, at the dearest of its sizes and qualities; where it has no price by the piece it is
    charged by its tokens, and no bound on it can be passed.
    """
    pictures = [each for each in (price.image, *(picture.image for picture in price.images)) if each is not None]
    asked = (
        ("prompt", price.input, most.prompt, " per million tokens"),
        ("completion", price.output, most.completion, " per million tokens"),
        ("audio", price.input if price.audio_input is None else price.audio_input, most.audio, " per million tokens"),
        ("request", price.request, most.request, ""),
        ("image", max(pictures, default=0), most.image, ""),
    )
    for name, rate, bound, unit in asked:
        if bound is not None and rate > bound:
            yield (f"costs {format_usd(rate)} USD{unit}, above the {format_usd(bound)} of 'provider.max_price.{name}'")


def _is_free(price: Price) -> bool:
    """Whether nothing that a price names costs anything, at any length, hour or class of service."""
    return not any(_rates_of(price))


def _rates_of(record: msgspec.Struct) -> Iterator[int]:
    for name, value in msgspec.structs.asdict(record).items():
        if isinstance(value, msgspec.Struct):
            yield from _rates_of(value)
        elif isinstance(value, tuple):
            for each in value:
                yield from _rates_of(each)
        elif isinstance(value, int) and name not in _NO_RATES:
            yield value


_NO_RATES: Final = frozenset({"above", "begin", "end"})


# -- what is told --------------------------------------------------------------------------------------------------


def check_names(snapshot: Snapshot, endpoints: Iterable[Endpoint], wishes: Wishes) -> None:
    """Raises Refusal (400) for a name in a caller's lists that means nothing here, with the nearest that do.

    A known provider that is not enabled is a name, and so are its endpoints: nobody here can tell which it has.
    """
    wanted = [
        (f"provider.{field}[{index}]", name)
        for field in ("order", "only", "ignore")
        for index, name in enumerate(getattr(wishes, field))
    ]
    own = frozenset(name for each in endpoints for name in _names_of(each)) if wanted else frozenset()
    doubtful = [(place, name) for place, name in wanted if name not in own and not _is_provider(snapshot, name)]
    if not doubtful:
        return
    listed = {f"{provider}/{row.name}".casefold() for provider, rows in snapshot.listings.items() for row in rows}
    listed.update(each.id.casefold() for model in snapshot.models.values() for each in model.endpoints)
    for place, name in doubtful:
        if name not in listed:
            known = [*snapshot.providers, *snapshot.known, *(each.id for each in endpoints)]
            raise invalid_request(
                f"'{place}' is '{name[:64]}', which is no provider and no endpoint here.{nearest_of(name, known)}",
                param=place,
                code="unknown_provider",
            )


def _is_provider(snapshot: Snapshot, name: str) -> bool:
    """Whether it is a provider's name, or any endpoint's of a known one that is not enabled."""
    provider, slash, _ = name.partition("/")
    if any(provider == each.casefold() for each in snapshot.providers):
        return not slash
    return provider in snapshot.known or provider in _OTHERS


def nothing_left(name: str, excluded: Mapping[str, Exclusion]) -> Refusal:
    """503: the wishes exclude every endpoint, and for each what did; 403 where the key may use none of them."""
    told = [f"{endpoint} {why.words}" for endpoint, why in list(excluded.items())[:TOLD]]
    more = len(excluded) - len(told)
    if more:
        told.append(f"and {more} more are excluded too")
    is_denied = all(why.code == KEY_POLICY for why in excluded.values())
    return Refusal(
        Problem(
            403 if is_denied else 503,
            ErrorType.PERMISSION_DENIED if is_denied else ErrorType.PROVIDER_UNAVAILABLE,
            f"No endpoint of the model '{name[:120]}' is left: {'; '.join(told)}.",
            param="model" if is_denied else "provider",
            code="endpoint_not_allowed" if is_denied else "no_endpoints",
            should_retry=False,
            details={
                "availability": {
                    "code": "constraint_filtered",
                    "excluded_by": {endpoint: why.code for endpoint, why in excluded.items()},
                }
            },
        )
    )
