"""The rules about names: endpoints name providers, fallbacks and aliases name models."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Final

from tokenway.control.addresses import row_of
from tokenway.control.examination import Examination, Path
from tokenway.control.findings import Severity, nearest
from tokenway.dialects.providers import KNOWN, family_of
from tokenway.model.catalog import EndpointLimits, Price, Rates
from tokenway.model.money import NANO_PER_USD, format_usd
from tokenway.model.offers import EndpointSettings, ModelSettings
from tokenway.model.quantization import QUANTIZATIONS, is_number_format
from tokenway.model.settings import LOCAL_PROVIDER
from tokenway.model.usage import SERVICES

_QUANTILE: Final = re.compile(r"p[1-9][0-9]?", re.ASCII)
_NOT_RATES: Final = frozenset(
    {
        *("request", "search", "image", "images", "sound_hour"),
        *("tiers", "hours", "batch", *SERVICES, "above", "begin", "end"),
    }
)
_DEAREST: Final = 10_000 * NANO_PER_USD
_CHEAPEST: Final = NANO_PER_USD // 10_000
"""USD per million tokens beyond which a price was likely meant in another unit."""


def examine_models(subject: Examination) -> None:
    """Every rule about models, their endpoints, fallbacks and aliases."""
    for name, model in subject.settings.models.items():
        _model(subject, name, model)
    _limits(subject)
    _aliases(subject)


def _model(subject: Examination, name: str, model: ModelSettings) -> None:
    path: Path = ("models", name)
    if not is_model_name(name):
        subject.say(path, "a model's name is printable text without spaces, at most 256 characters")
    hedge = model.routing.hedge
    if hedge is not None and not _QUANTILE.fullmatch(hedge.at):
        subject.say((*path, "routing", "hedge", "at"), "expected a quantile from p1 to p99")
    if subject.is_whole((*path, "endpoints"), len(model.endpoints)):
        if model.routing.probe is not None:
            _probe(subject, path, model)
        if not model.endpoints:
            subject.say((*path, "endpoints"), "is empty; a model needs at least one")
        first: dict[tuple[str, str], int] = {}
        for index, endpoint in enumerate(model.endpoints):
            _endpoint(subject, (*path, "endpoints", index), endpoint)
            if first.setdefault((endpoint.provider, endpoint.model), index) != index:
                reason = f"{endpoint.provider}/{endpoint.model} stands twice in this model"
                subject.say((*path, "endpoints", index), reason)
    if subject.is_whole((*path, "fallbacks"), len(model.fallbacks)):
        for index, fallback in enumerate(model.fallbacks):
            if fallback == name:
                subject.say((*path, "fallbacks", index), "a model cannot fall back on itself")
            else:
                _target(subject, (*path, "fallbacks", index), fallback)


def _limits(subject: Examination) -> None:
    """Warns of an endpoint that several models have with other limits: it is kept count of once, for all of them."""
    first: dict[tuple[str, str], tuple[Path, EndpointLimits]] = {}
    for name, model in subject.settings.models.items():
        for index, endpoint in enumerate(model.endpoints):
            path: Path = ("models", name, "endpoints", index)
            other, limits = first.setdefault((endpoint.provider, endpoint.model), (path, endpoint.limits))
            if limits != endpoint.limits:
                reason = f"is not as at {subject.place(other)}, and an endpoint has one count for all models"
                subject.say((*path, "limits"), reason, severity=Severity.WARNING)


def _probe(subject: Examination, path: Path, model: ModelSettings) -> None:
    """Warns of what will not be probed: where there is nothing to choose, and where no price can be known."""
    if len(model.endpoints) == 1:
        reason = "the model has one endpoint, so there is nothing to choose and nothing is probed"
        subject.say((*path, "routing", "probe"), reason, severity=Severity.WARNING)
    for index, endpoint in enumerate(model.endpoints):
        if is_unpriced(subject, endpoint):
            reason = "has no price, so nobody could count what a probe costs: this endpoint is not probed"
            subject.say((*path, "endpoints", index), reason, severity=Severity.WARNING)


def is_unpriced(subject: Examination, endpoint: EndpointSettings) -> bool:
    """Whether nobody can know what an endpoint costs: no price is written, and the price book has no such provider."""
    named = endpoint.provider
    has_prices = named == LOCAL_PROVIDER or row_of(named, subject.settings.providers.get(named)) is not None
    return endpoint.price is None and not has_prices and named in subject.provider_names


def _endpoint(subject: Examination, path: Path, endpoint: EndpointSettings) -> None:
    provider = endpoint.provider
    if provider not in subject.provider_names:
        row = KNOWN.get(provider)
        if row is None:
            reason = f"there is no provider {provider!r}; describe it under `providers`"
            subject.say((*path, "provider"), reason, nearest(provider, {*subject.provider_names, *KNOWN}))
        elif row.is_keyless:
            subject.say((*path, "provider"), f"{provider!r} is not enabled: add `{provider}: {{}}` under `providers`")
        else:
            variables = " and ".join(row.missing(subject.environment))
            subject.say(
                (*path, "provider"), f"{provider!r} is not enabled: set {variables}, or add it under `providers`"
            )
    elif subject.settings.is_off(provider):
        reason = f"{provider!r} is switched off (providers.{provider}.enabled), so this endpoint is not used"
        subject.say((*path, "provider"), reason, severity=Severity.WARNING)
    elif provider == LOCAL_PROVIDER and endpoint.model not in subject.local_names:
        reason = f"the embedded engine has no model {endpoint.model!r}"
        subject.say((*path, "model"), reason, nearest(endpoint.model, subject.local_names))
    if not is_model_name(endpoint.model):
        subject.say((*path, "model"), "a model's name is printable text without spaces, at most 256 characters")
    _grade(subject, path, endpoint)
    if endpoint.price is not None:
        _price(subject, (*path, "price"), endpoint.price)
    able = endpoint.capabilities
    if able.context is not None and able.max_output is not None and able.max_output > able.context:
        reason = "is more than capabilities.context"
        subject.say((*path, "capabilities", "max_output"), reason, severity=Severity.WARNING)


def _grade(subject: Examination, path: Path, endpoint: EndpointSettings) -> None:
    if endpoint.quantization is not None and endpoint.grade is not None:
        subject.say((*path, "quantization"), "stands beside grade; write one of them")
    written = [((*path, "quantization"), endpoint.quantization)]
    if endpoint.grade is not None:
        written += [
            ((*path, "grade", field), getattr(endpoint.grade, field)) for field in endpoint.grade.__struct_fields__
        ]
    for place, text in written:
        if text is not None and not is_number_format(text):
            reason = f"{text!r} is no number format that callers can ask for"
            subject.say(place, reason, nearest(text, QUANTIZATIONS), Severity.WARNING)


def _price(subject: Examination, path: Path, price: Price) -> None:
    parts: list[tuple[Path, Price | Rates]] = [(path, price)]
    parts += [((*path, "tiers", index), tier) for index, tier in enumerate(price.tiers)]
    parts += [((*path, "hours", index), hours) for index, hours in enumerate(price.hours)]
    for name in ("batch", *SERVICES):
        service = getattr(price, name)
        if service is not None:
            parts.append(((*path, name), service))
            parts += [((*path, name, "tiers", index), tier) for index, tier in enumerate(service.tiers)]
    for place, part in parts:
        for field in part.__struct_fields__:
            rate = getattr(part, field)
            if field not in _NOT_RATES and rate and not _CHEAPEST <= rate <= _DEAREST:
                reason = f"is {format_usd(rate)} USD per million; is the unit right?"
                subject.say((*place, field), reason, severity=Severity.WARNING)
    starts = [tier.above for tier in price.tiers]
    if len(set(starts)) < len(starts):
        subject.say((*path, "tiers"), "two of them start above the same number of tokens")


def _aliases(subject: Examination) -> None:
    aliases = subject.settings.aliases
    for name, target in aliases.items():
        path: Path = ("aliases", name)
        if not is_model_name(name):
            subject.say(path, "a model's name is printable text without spaces, at most 256 characters")
        if name in subject.model_names:
            subject.say(path, f"the model {name!r} goes first, so this alias is never used", severity=Severity.WARNING)
        chain = alias_chain(name, aliases, subject.model_names)
        if chain[-1] in chain[:-1]:
            subject.say(path, "goes round in circles: " + " → ".join(chain))
        else:
            _target(subject, path, target)


def alias_chain(name: str, aliases: Mapping[str, str], models: Container[str]) -> list[str]:
    """An alias and the names it leads to, one after the other; the last one repeats where they form a circle.

    It ends at a model, even one whose name is an alias as well: models go first.
    """
    chain = [name]
    while chain[-1] in aliases and (len(chain) == 1 or chain[-1] not in models):
        step = aliases[chain[-1]]
        is_circle = step in chain
        chain.append(step)
        if is_circle:
            break
    return chain


def _target(subject: Examination, path: Path, name: str) -> None:
    """A finding unless a call for `name` reaches a model."""
    if subject.resolves(name):
        off = subject.switched_off(name)
        if off is not None:
            reason = f"{name!r} is served by {off!r}, which is switched off (providers.{off}.enabled)"
            subject.say(path, reason, severity=Severity.WARNING)
        return
    row = KNOWN.get(name.partition("/")[0]) if "/" in name else family_of(name)
    if row is not None and not row.is_keyless:
        # The name is right and the credentials are not here: the same file may serve a machine that has them.
        variables = " and ".join(row.missing(subject.environment))
        reason = f"{name!r} is served by {row.title}, which is not enabled: set {variables}"
        subject.say(path, reason, severity=Severity.WARNING)
        return
    subject.say(path, f"{name!r} is no model that can be reached", nearest(name, subject.targets()))


def is_model_name(name: str) -> bool:
    """Whether callers can ask for it and headers can carry it."""
    return 0 < len(name) <= 256 and name.isprintable() and not any(char.isspace() for char in name)
