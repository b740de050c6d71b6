"""From a caller's request and a snapshot to an ordered list of endpoints.

A name resolves in this order: `models`, `aliases`, `provider/model` of an enabled provider, then a family of
names that an enabled provider is known for (`gpt-4o`). Endpoints come in the order of the model's own
list, then those of its fallbacks and of the caller's `models`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from tokenway.model.catalog import Capabilities, Endpoint, Listing, Model, Operation, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.match import first_meant
from tokenway.model.snapshot import ProviderHint, Snapshot

ALIASES_MAX: Final = 8
"""How many aliases may lead to one another."""
NEAREST_MAX: Final = 3
_ALIKE_FROM: Final = 4
"""With how many characters a provider's model has to begin like a name, to be compared with it."""
_EMBEDDING: Final = (Operation.EMBEDDING, Operation.EMBED_CONTENT)
MODELS_MAX: Final = 16
"""How many models one request may name as fallbacks."""


class Wishes(msgspec.Struct, frozen=True):
    """What a caller prefers, after OpenRouter's `provider` object: provider names, or `provider/model`."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    known_cost: bool = False
    """Whether only endpoints with a price may serve, because the caller has named the most that the call may cost."""


NO_WISHES: Final = Wishes()


class Plan(msgspec.Struct, frozen=True):
    """Endpoints in the order in which they are tried, and the model that was asked for."""

    model: Model
    endpoints: tuple[Endpoint, ...]


def resolve(snapshot: Snapshot, name: str) -> Model | None:
    """The model that a name stands for; None when nothing here serves it."""
    for _ in range(ALIASES_MAX):
        model = snapshot.models.get(name)
        if model is not None:
            return model
        target = snapshot.aliases.get(name)
        if target is None:
            break
        name = target
    provider, slash, upstream = name.partition("/")
    if slash and upstream and provider in snapshot.providers:
        if not snapshot.providers[provider].serves_any_model:
            return None
        return _unlisted(snapshot, name, provider, upstream)
    for prefix, family in snapshot.families:
        if name.startswith(prefix):
            return _unlisted(snapshot, name, family, name)
    return None


def _unlisted(snapshot: Snapshot, name: str, provider: str, upstream: str) -> Model:
    """A provider's model that the configuration does not list, as far as the price book knows it."""
    identity = f"{provider}/{upstream}"
    # Another name for an endpoint that the configuration describes must not lose its price.
    for model in snapshot.models.values():
        for described in model.endpoints:
            if described.id == identity:
                return Model(name, (described,), owner=provider)
    server = snapshot.providers[provider]
    listing = first_meant(snapshot.listings.get(provider, ()), upstream)
    if listing is None:
        able = able_at(server, Capabilities())
        bare = Endpoint(provider, upstream, capabilities=able, operations=server.operations)
        return Model(name, (bare,), owner=provider)
    return from_listing(server, listing, name, upstream)


def from_listing(provider: Provider, listing: Listing, name: str, upstream: str) -> Model:
    """A model of the price book, asked for by `name`."""
    endpoint = Endpoint(
        provider.name,
        upstream,
        price=listing.price,
        capabilities=able_at(provider, listing.capabilities),
        operations=_EMBEDDING if listing.embeds else provider.operations,
    )
    return Model(name, (endpoint,), owner=provider.name, title=listing.title)


def able_at(provider: Provider, able: Capabilities) -> Capabilities:
    """What a model can do where it is served."""
    return able if provider.completions else msgspec.structs.replace(able, completions=False)


def plan(
    snapshot: Snapshot,
    name: str,
    operation: Operation,
    more: Sequence[str] = (),
    wishes: Wishes = NO_WISHES,
) -> Plan:
    """The plan for a request that names `name` and the fallbacks `more`.

    Raises Refusal: 404 for a name that nothing serves, 400 when its endpoints do something else, 503 when
    none of its providers is there or the caller's wishes exclude every endpoint.
    """
    model = resolve(snapshot, name)
    if model is None:
        raise Refusal(unknown_model(snapshot, name))
    endpoints = model.endpoints
    if wishes.allow_fallbacks and (model.fallbacks or more):
        endpoints = _with_fallbacks(snapshot, model, (*model.fallbacks, *more[:MODELS_MAX]))
    if not endpoints:
        raise Refusal(_nobody(name))
    able = tuple(endpoint for endpoint in endpoints if endpoint.can(operation))
    if not able:
        raise Refusal(wrong_operation(name, operation))
    if wishes is not NO_WISHES:
        able = _as_wished(able, wishes)
    return Plan(model, able)


def _with_fallbacks(snapshot: Snapshot, model: Model, names: Iterable[str]) -> tuple[Endpoint, ...]:
    endpoints = list(model.endpoints)
    for name in names:
        other = resolve(snapshot, name)
        if other is None:
            raise Refusal(unknown_model(snapshot, name))
        endpoints += (endpoint for endpoint in other.endpoints if endpoint not in endpoints)
    return tuple(endpoints)


def _as_wished(endpoints: tuple[Endpoint, ...], wishes: Wishes) -> tuple[Endpoint, ...]:
    kept: list[Endpoint] = []
    excluded: dict[str, str] = {}
    for endpoint in endpoints:
        if wishes.only and not _named(endpoint, wishes.only):
            excluded[endpoint.id] = "allowed_providers"
        elif _named(endpoint, wishes.ignore):
            excluded[endpoint.id] = "ignored_providers"
        elif wishes.known_cost and endpoint.price is None:
            excluded[endpoint.id] = "unknown_price"
        else:
            kept.append(endpoint)
    if wishes.order:
        kept.sort(key=lambda endpoint: _rank(endpoint, wishes.order))
    if not wishes.allow_fallbacks:
        kept = kept[:1]
    if not kept:
        raise Refusal(
            Problem(
                503,
                ErrorType.PROVIDER_UNAVAILABLE,
                "The provider preferences exclude every endpoint of this model.",
                param="provider",
                code="no_endpoints",
                should_retry=False,
                details={"availability": {"code": "constraint_filtered", "excluded_by": excluded}},
            )
        )
    return tuple(kept)


def _named(endpoint: Endpoint, names: Iterable[str]) -> bool:
    return any(name in {endpoint.provider, endpoint.id} for name in names)


def _rank(endpoint: Endpoint, order: Sequence[str]) -> int:
    ranks = [index for index, name in enumerate(order) if name in {endpoint.provider, endpoint.id}]
    return ranks[0] if ranks else len(order)


def nearest(snapshot: Snapshot, name: str) -> list[str]:
    """Other names that lead somewhere here and look like `name`: a provider's model of that name, then the most alike.

    Providers list thousands of models, and comparing is slow: of theirs only those that begin like the name are.
    """
    wanted = name.casefold()
    known = (each for each in (*snapshot.models, *snapshot.aliases) if each != name)
    by_folded = {each.casefold(): each for each in known if resolve(snapshot, each) is not None}
    found = [by_folded[each] for each in difflib.get_close_matches(wanted, by_folded, n=NEAREST_MAX, cutoff=0.5)]
    exact: list[str] = []
    begun: dict[str, str] = {}
    for full, listed in _listed_names(snapshot):
        last = listed.rpartition("/")[2]
        if wanted in {listed, last}:
            exact.append(full)
        elif last.startswith(wanted.rpartition("/")[2][:_ALIKE_FROM]):
            begun.setdefault(last, full)
    alike = difflib.get_close_matches(wanted.rpartition("/")[2], begun, n=NEAREST_MAX, cutoff=0.75)
    return list(dict.fromkeys((*exact, *found, *(begun[each] for each in alike))))[:NEAREST_MAX]


def _listed_names(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """What providers are known to serve: `provider/model`, and the folded name of the model there."""
    for provider, rows in snapshot.listings.items():
        for row in rows:
            if row.is_listed:
                yield f"{provider}/{row.name}", row.name.casefold()


def unknown_model(snapshot: Snapshot, name: str) -> Problem:
    """404: what exists instead, and what to configure when the name belongs to a known provider."""
    shown = name[:120]
    sentences = [f"The model '{shown}' is not available here."]
    meant = snapshot.aliases.get(name, name)
    hint = next((hint for hint in snapshot.hints if _is_served(meant, hint)), None)
    if hint is not None:
        sentences.append(
            f"It is a model of {hint.title}: {hint.remedy} and start again, "
            f"or point an alias at a model you have (aliases: {{{shown}: ...}})."
        )
    names = nearest(snapshot, name)
    if names:
        sentences.append(f"The nearest names are: {', '.join(names)}.")
    elif snapshot.models:
        sentences.append(f"Models here: {', '.join(list(snapshot.models)[:NEAREST_MAX])}; GET /v1/models lists all.")
    return Problem(
        404,
        ErrorType.NOT_FOUND,
        " ".join(sentences),
        param="model",
        code="model_not_found",
        should_retry=False,
        details={"availability": {"code": "model_not_found", "nearest": names}},
    )


def _is_served(name: str, hint: ProviderHint) -> bool:
    """Whether the provider would serve this model, were it there."""
    return name in hint.models or name.startswith((*hint.prefixes, f"{hint.name}/"))


def _nobody(name: str) -> Problem:
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        f"No provider of the model '{name[:120]}' is there: it is switched off, or the local engine does not run.",
        param="model",
        code="no_endpoints",
        should_retry=False,
    )


def wrong_operation(name: str, operation: Operation) -> Problem:
    """400: the model is there, for other things."""
    return Problem(
        400,
        ErrorType.INVALID_REQUEST,
        f"The model '{name[:120]}' has no endpoint for this operation ({operation.value}).",
        param="model",
        code="wrong_endpoint",
        should_retry=False,
    )
