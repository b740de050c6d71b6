"""From a caller's request and a snapshot to an ordered list of endpoints.

A name resolves in this order: `models`, `aliases`, `provider/model` of an enabled provider, then a family of
names that an enabled provider is known for (`gpt-4o`). Endpoints come in groups, one for each model: the model's own,
then those of its fallbacks and of the caller's `models`; one that several of them have is asked as the first has it.
The hard part of a caller's wishes is applied here (`routing.exclude`); in which order the endpoints of a group are
tried is decided later, when their speed is known.

A name may end in a *suffix* after OpenRouter's: `:nitro` sorts by throughput, `:floor` by price, `:free` admits only
what costs nothing. It is one where the whole name means nothing else; of OpenRouter's own models, of Ollama's tags and
of a provider whose models nobody here knows it is a part of the name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from tokenway.model.catalog import Capabilities, Endpoint, Listing, Model, Operation, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.match import first_meant
from tokenway.model.preferences import Partition, SortOrder
from tokenway.model.snapshot import ProviderHint, Snapshot
from tokenway.routing.exclude import NO_PRICE, Exclusion, check_names, exclusion, nothing_left, rank
from tokenway.routing.preferences import NO_WISHES, Wishes

ALIASES_MAX: Final = 8
"""How many aliases may lead to one another."""
NEAREST_MAX: Final = 3
_ALIKE_FROM: Final = 4
"""With how many characters a provider's model has to begin like a name, to be compared with it."""
_EMBEDDING: Final = (Operation.EMBEDDING, Operation.EMBED_CONTENT)
MODELS_MAX: Final = 16
"""How many models one request may name as fallbacks."""


FREE: Final = "free"
SUFFIXES: Final[Mapping[str, SortOrder | None]] = {
    "nitro": SortOrder.THROUGHPUT,
    "floor": SortOrder.PRICE,
    FREE: None,
}
"""What a suffix sorts by."""


class Plan(msgspec.Struct, frozen=True):
    """Who may serve a request, and the model that was asked for.

    `groups` are the endpoints of each model that may serve it: those of one are tried only after those of the groups
    before it. `endpoints` are all of them, in order. `wishes` are the caller's, and what a suffix adds to them.
    """

    model: Model
    groups: tuple[tuple[Endpoint, ...], ...]
    wishes: Wishes = NO_WISHES
    excluded: Mapping[str, Exclusion] = {}
    """The endpoints that the wishes leave out, and why."""
    others: Mapping[str, Model] = {}
    """By the ids of their endpoints: the models that may serve in place of the one that was asked for."""
    endpoints: tuple[Endpoint, ...] = ()
    """Made from `groups`."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "endpoints", tuple(each for group in self.groups for each in group))

    def among(self, able: Container[Endpoint]) -> Plan:
        """The plan with those of its endpoints that are among `able`."""
        groups = (tuple(each for each in group if each in able) for group in self.groups)
        return Plan(self.model, tuple(group for group in groups if group), self.wishes, self.excluded, self.others)


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


def split_suffix(snapshot: Snapshot, name: str) -> tuple[str, str]:
    """A name and its suffix; the whole name and nothing where what looks like one is a part of it."""
    base, _, suffix = name.rpartition(":")
    if not base or suffix not in SUFFIXES or name in snapshot.models or name in snapshot.aliases:
        return name, ""
    provider, _, upstream = name.partition("/")
    server = snapshot.providers.get(provider)
    rows = snapshot.listings.get(provider, ())
    if server is not None and (server.quirks.variants or any(row.name == upstream for row in rows)):
        return name, ""
    if base in snapshot.models or base in snapshot.aliases:
        return base, suffix
    if server is not None and first_meant(rows, base.partition("/")[2]) is None:
        return name, ""
    return base, suffix


def plan(
    snapshot: Snapshot,
    name: str,
    operation: Operation,
    more: Sequence[str] = (),
    wishes: Wishes = NO_WISHES,
    may_ask: Callable[[str], bool] = lambda _name: True,
) -> Plan:
    """The plan for a request that names `name` and the fallbacks `more`.

    `may_ask` says which of the model's own fallbacks the caller may use. A suffix of `name` counts for all of the plan
    but the caller's own fallbacks, of whose suffixes `:free` counts for each by itself. `wishes.sort` goes before a
    suffix.

    Raises Refusal: 404 for a name that nothing serves, 400 when its endpoints do something else or a preferred
    provider is none, 503 when none of its providers is there or the caller's wishes, or the want of a price, exclude
    every endpoint.
    """
    model, suffix = _found(snapshot, name)
    offers = [(model, suffix)]
    if wishes.allow_fallbacks:
        offers += ((_found(snapshot, each)[0], suffix) for each in model.fallbacks if may_ask(each))
        offers += (_found(snapshot, each) for each in more[:MODELS_MAX])
    offered = [endpoint for offer, _ in offers for endpoint in offer.endpoints]
    if not offered:
        raise Refusal(_nobody(name))
    if not any(endpoint.can(operation) for endpoint in offered):
        raise Refusal(wrong_operation(name, operation))
    check_names(snapshot, offered, wishes)
    if SUFFIXES.get(suffix) and wishes.sort is None:
        wishes = msgspec.structs.replace(wishes, sort=SUFFIXES[suffix])
    needs_price = snapshot.refuses_unpriced and operation is not Operation.COUNT
    groups: list[tuple[Endpoint, ...]] = []
    excluded: dict[str, Exclusion] = {}
    seen: set[str] = set()
    others: dict[str, Model] = {}
    for offer, own in offers:
        hard = msgspec.structs.replace(wishes, is_free=True) if own == FREE else wishes
        kept = []
        for endpoint in offer.endpoints:
            if not endpoint.can(operation) or endpoint.id in seen:
                continue
            if needs_price and endpoint.price is None:
                why: Exclusion | None = NO_PRICE
            else:
                server = snapshot.providers.get(endpoint.provider)
                why = None if hard is NO_WISHES else exclusion(endpoint, server, hard)
            if why is None:
                kept.append(endpoint)
            else:
                excluded.setdefault(endpoint.id, why)
        groups.append(tuple(kept))
        seen.update(each.id for each in kept)
        if offer is not model:
            others.update((each.id, offer) for each in kept)
    if not any(groups):
        raise nothing_left(name, excluded)
    return Plan(model, tuple(_ordered(groups, wishes)), wishes, excluded, others)


def _found(snapshot: Snapshot, name: str) -> tuple[Model, str]:
    """The model that a name means, and its suffix; raises Refusal (404) where nothing serves it."""
    base, suffix = split_suffix(snapshot, name)
    model = resolve(snapshot, base)
    if model is None:
        raise Refusal(unknown_model(snapshot, name if suffix and nearest(snapshot, name) else base))
    return model, suffix


def _ordered(groups: Iterable[tuple[Endpoint, ...]], wishes: Wishes) -> Iterator[tuple[Endpoint, ...]]:
    """The groups that have endpoints, each in the caller's order; one of all where the models make no difference."""
    if wishes.partition is Partition.NONE:
        groups = (tuple(each for group in groups for each in group),)
    for group in groups:
        if group:
            yield tuple(sorted(group, key=lambda each: rank(each, wishes.order))) if wishes.order else group


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
