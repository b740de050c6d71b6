"""Settings, the environment and the keys to one snapshot: built whole, from arguments only."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from typing import Final

import msgspec

from tokenway.control.addresses import enabled_by, row_of, signing_region, speeches_of
from tokenway.control.model_rules import alias_chain
from tokenway.control.quotas import limits_of, with_models_limits
from tokenway.control.vertex import credentials_of
from tokenway.dialects.known import KnownProvider
from tokenway.dialects.providers import KNOWN
from tokenway.metering.price_book import Book, listings
from tokenway.model.catalog import (
    AwsKeys,
    Capabilities,
    DataPolicy,
    Endpoint,
    Grade,
    Listing,
    Model,
    Operation,
    Price,
    Probing,
    Provider,
    Quirks,
    Routing,
    Timeouts,
    credential_header,
)
from tokenway.model.match import first_meant
from tokenway.model.money import Rate
from tokenway.model.offers import EndpointSettings, EndpointTimeouts, RoutingSettings
from tokenway.model.quotas import Unpriced
from tokenway.model.secret import Secret
from tokenway.model.settings import (
    LOCAL_CHAT,
    LOCAL_EMBEDDING,
    LOCAL_PROVIDER,
    ProviderSettings,
    Settings,
)
from tokenway.model.snapshot import Principal, ProviderHint, Snapshot
from tokenway.routing.plan import able_at, resolve

_DEMONSTRATION: Final = "A 135M-parameter demonstration model inside the gateway: real tokens, small answers."
_DEMONSTRATION_EMBEDDING: Final = (
    "The embedding model beside the 135M-parameter demonstration model; over-long texts are cut."
)
_FREE: Final = Price(input=Rate(0), output=Rate(0))
_CHATTING: Final = (Operation.CHAT, Operation.COMPLETION)


class LocalModel(msgspec.Struct, frozen=True):
    """A model that the embedded engine serves. `context` and `max_output` in tokens, None when unknown."""

    name: str
    operations: tuple[Operation, ...] = _CHATTING
    description: str = ""
    weights: str = "unknown"
    """The number format of its weights."""
    context: int | None = None
    max_output: int | None = None


DEMONSTRATION: Final = (
    LocalModel(LOCAL_CHAT, _CHATTING, _DEMONSTRATION),
    LocalModel(LOCAL_EMBEDDING, (Operation.EMBEDDING,), _DEMONSTRATION_EMBEDDING),
)
"""What the engine serves out of the box."""


class LocalOffer(msgspec.Struct, frozen=True):
    """The embedded engine as a provider: where it listens, its key, what it serves."""

    base_url: str
    key: Secret
    models: tuple[LocalModel, ...] = DEMONSTRATION


class Facts(msgspec.Struct, frozen=True):
    """What a snapshot needs of the world: prices, the Unix day of them, access tokens by credentials file.

    `credits` is what was paid in for prepaid projects, in nano-dollars.
    """

    book: Book | None = None
    day: int = 0
    tokens: dict[str, Secret] = {}
    credits: dict[str, int] = {}


def key_digest(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal: how snapshots and the store know it."""
    return hashlib.sha256(key.encode()).hexdigest()


def build_snapshot(
    settings: Settings,
    *,
    keys: Mapping[str, Principal],
    environment: Mapping[str, str],
    local: LocalOffer | None,
    version: int,
    not_ready: str = "",
    facts: Facts | None = None,
) -> Snapshot:
    """The snapshot that these settings mean. Nothing is read, called or contacted.

    Of the price book only the rows of the enabled providers go in, with what they cost on its day.

    `keys` are whom each key stands for, by digest (`control.keyring`).
    `environment` enables known providers that the settings do not name.
    """
    facts = facts or Facts()
    if settings.is_off(LOCAL_PROVIDER):
        local = None
    providers = _providers(settings, environment, facts.tokens)
    offered = {model.name: model for model in local.models} if local is not None else {}
    if local is not None:
        providers[LOCAL_PROVIDER] = _local_provider(local)
    listed = _listings(settings, providers, facts)
    models = {name: _local_model(model) for name, model in offered.items()}
    for name, model in settings.models.items():
        # Without the engine its endpoints are nowhere, nor are those of a provider that is switched off; what is
        # left of the model still has its fallbacks.
        endpoints = [
            msgspec.structs.replace(
                _endpoint(endpoint, offered, providers[endpoint.provider], listed.get(endpoint.provider, ())),
                timeouts=_timeouts(settings.timeouts, endpoint.timeouts),
            )
            for endpoint in model.endpoints
            if endpoint.provider in providers
        ]
        models[name] = Model(
            name=name,
            endpoints=tuple(endpoints),
            fallbacks=model.fallbacks,
            min_tps=model.routing.min_tps,
            routing=_routing(model.routing),
        )
    limits = limits_of(settings, facts.credits)
    snapshot = Snapshot(
        version=version,
        providers=providers,
        models=models,
        aliases={name: alias_chain(name, settings.aliases, models)[-1] for name in settings.aliases},
        keys=dict(keys),
        limits=limits,
        queue=settings.limits.queue,
        refuses_unpriced=settings.limits.unpriced is Unpriced.REFUSE,
        families=_families(providers),
        listings=listed,
        hints=(*_hints(settings, providers, environment), *_local_hint(settings, offered)),
        known=tuple(KNOWN),
        auth_required=settings.auth.required,
        timeouts=settings.timeouts,
        max_retries=settings.retries.max,
        workers=settings.server.workers,
        max_body=settings.server.max_body,
        response_retention=settings.responses.retention,
        guesses_runs=settings.runs.guess,
        not_ready=not_ready,
    )
    return with_models_limits(_with_reachable_fallbacks(snapshot))


def _with_reachable_fallbacks(snapshot: Snapshot) -> Snapshot:
    """Leaves out the fallbacks that nothing serves here: a missing spare must not refuse the calls."""
    models = {}
    for name, model in snapshot.models.items():
        reachable = tuple(fallback for fallback in model.fallbacks if resolve(snapshot, fallback) is not None)
        models[name] = msgspec.structs.replace(model, fallbacks=reachable)
    return msgspec.structs.replace(snapshot, models=models)


def _providers(settings: Settings, environment: Mapping[str, str], tokens: Mapping[str, Secret]) -> dict[str, Provider]:
    found = {
        name: _provider(name, provider, environment, tokens)
        for name, provider in settings.providers.items()
        if name != LOCAL_PROVIDER and provider.enabled
    }
    for name, row in enabled_by(environment)[0].items():
        if name not in settings.providers:
            found[name] = _provider(name, ProviderSettings(), environment, tokens, row)
    return found


def _provider(
    name: str,
    written: ProviderSettings,
    environment: Mapping[str, str],
    tokens: Mapping[str, Secret],
    row: KnownProvider | None = None,
) -> Provider:
    """What was written, filled up from the row of a known provider."""
    row = row or row_of(name, written)
    api_keys = written.api_keys or (() if written.api_key is None else (written.api_key,))
    usual = None if row is None else row.key(environment)
    if not api_keys and usual is not None:
        api_keys = (usual,)
    token = tokens.get(credentials_of(name, written, environment) or "")
    if token is not None:
        api_keys = (token,)
    speeches = speeches_of(written, row, environment)
    if not speeches:
        raise ValueError(f"provider {name!r} has no address: these settings were not checked")
    dialect, (base_url, header) = next(iter(speeches.items()))
    others = [(other, *speech) for other, speech in speeches.items() if other is not dialect]
    return Provider(
        name=name,
        base_url=base_url,
        dialect=dialect,
        api_keys=api_keys,
        credential_header=header,
        headers=tuple(written.headers.items()),
        speaks=tuple((other, address) for other, address, _ in others),
        speaks_with=tuple((other, header) for other, _, header in others if header != credential_header(other)),
        quirks=_quirks(written, row),
        fetch_urls=written.fetch_urls,
        operations=tuple(Operation) if row is None else row.operations,
        elsewhere=() if row is None or written.base_url else row.elsewhere,
        completions=row is None or row.chats_by_completions,
        aws=_aws(written, row, environment) if not api_keys else None,
        data=written.data,
    )


def _quirks(written: ProviderSettings, row: KnownProvider | None) -> Quirks:
    """The row's, with what was written over them."""
    said = {name: value for name, value in msgspec.structs.asdict(written.quirks).items() if value is not None}
    known = Quirks() if row is None else row.quirks
    if written.base_url:
        said["embeddings"] = ""  # the form of its own belongs to the address that it has for them
    return msgspec.structs.replace(known, **said)


def _aws(written: ProviderSettings, row: KnownProvider | None, environment: Mapping[str, str]) -> AwsKeys | None:
    """What signs its requests: what was written, else the environment's."""
    region = signing_region(written, environment)
    if written.aws is None:
        return None if row is None else row.aws({**environment, "AWS_REGION": region})
    return AwsKeys(written.aws.access_key.reveal(), written.aws.secret_key, region, written.aws.session_token)


def _listings(settings: Settings, providers: Mapping[str, Provider], facts: Facts) -> dict[str, tuple[Listing, ...]]:
    """What the price book has of each provider that is there."""
    found = {}
    for name in providers if facts.book is not None else ():
        row = row_of(name, settings.providers.get(name))
        if facts.book is not None and row is not None:
            found[name] = listings(facts.book, row.prices or row.name, facts.day, row.models)
    return {name: rows for name, rows in found.items() if rows}


def _endpoint(
    endpoint: EndpointSettings, offered: Mapping[str, LocalModel], provider: Provider, rows: tuple[Listing, ...]
) -> Endpoint:
    """An endpoint as written, filled up from the price book's rows; one of the embedded engine is free."""
    listing = first_meant(rows, endpoint.model)
    local = offered.get(endpoint.model) if endpoint.provider == LOCAL_PROVIDER else None
    price = endpoint.price or (_FREE if local is not None else None)
    return Endpoint(
        provider=endpoint.provider,
        upstream_model=endpoint.model,
        price=listing.price if price is None and listing is not None else price,
        grade=endpoint.grade or Grade(weights=endpoint.quantization or "unknown"),
        limits=endpoint.limits,
        capabilities=able_at(provider, _capabilities(endpoint.capabilities, listing)),
        weight=endpoint.weight,
        operations=tuple(Operation) if local is None else local.operations,
    )


def _timeouts(common: Timeouts, own: EndpointTimeouts) -> Timeouts | None:
    """An endpoint's own deadlines, the common ones where it says nothing; None where it says nothing at all."""
    said = {name: value for name, value in msgspec.structs.asdict(own).items() if value is not None}
    return msgspec.structs.replace(common, **said) if said else None


def _routing(written: RoutingSettings) -> Routing:
    hedge, probe = written.hedge, written.probe
    return Routing(
        sort=written.sort,
        hour=written.hour_usd,
        grace=written.grace,
        hedge_at=Routing().hedge_at if hedge is None else int(hedge.at[1:]) / 100,
        hedge_share=None if hedge is None else hedge.max_share,
        rescue=written.rescue,
        streams=written.stream,
        probe=None if probe is None else Probing(probe.every, probe.usd_per_day),
    )


def _capabilities(written: Capabilities, listing: Listing | None) -> Capabilities:
    """What was written; the book's where nothing was, and its sizes where none was."""
    if listing is None:
        return written
    known = listing.capabilities
    if written == Capabilities():
        return known
    return msgspec.structs.replace(
        written, context=written.context or known.context, max_output=written.max_output or known.max_output
    )


def _local_provider(local: LocalOffer) -> Provider:
    return Provider(
        name=LOCAL_PROVIDER,
        base_url=local.base_url.rstrip("/"),
        api_keys=(local.key,),
        serves_any_model=False,
        data=DataPolicy(training=False, zdr=True),
    )


def _local_model(offered: LocalModel) -> Model:
    endpoint = Endpoint(
        provider=LOCAL_PROVIDER,
        upstream_model=offered.name,
        price=_FREE,
        grade=Grade(weights=offered.weights),
        capabilities=Capabilities(context=offered.context, max_output=offered.max_output),
        operations=offered.operations,
    )
    return Model(name=offered.name, endpoints=(endpoint,), description=offered.description)


def _families(providers: Mapping[str, Provider]) -> tuple[tuple[str, str], ...]:
    """Prefixes of the enabled providers' own models, the longest first, so that the first match decides."""
    pairs = [(prefix, name) for name, row in KNOWN.items() if name in providers for prefix in row.prefixes]
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))


def _hints(
    settings: Settings, providers: Mapping[str, Provider], environment: Mapping[str, str]
) -> tuple[ProviderHint, ...]:
    """How to enable what is missing; no key helps a provider that was switched off."""
    return tuple(
        ProviderHint(
            name=name,
            title=row.title,
            prefixes=row.prefixes,
            remedy=f"set {next(iter(row.missing(environment)), row.key_variables[0])}",
        )
        for name, row in KNOWN.items()
        if name not in providers and not row.is_keyless and not settings.is_off(name)
    )


def _local_hint(settings: Settings, offered: Container[str]) -> Iterator[ProviderHint]:
    """What to do about the engine's own models that it does not serve, unless it was switched off."""
    absent = tuple(model.name for model in DEMONSTRATION if model.name not in offered)
    if absent and not settings.is_off(LOCAL_PROVIDER):
        remedy = "run `tokenway local install` (`tokenway local status` says what is missing)"
        yield ProviderHint(LOCAL_PROVIDER, "the local engine", (), remedy, absent)
