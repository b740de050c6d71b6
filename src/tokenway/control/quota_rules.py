"""What types cannot say about budgets, limits, and what keys may be used for."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Final

from tokenway.control.examination import Examination, Path
from tokenway.control.findings import Severity, nearest
from tokenway.control.model_rules import is_unpriced
from tokenway.control.quotas import parse_moment
from tokenway.dialects.providers import KNOWN
from tokenway.model.quotas import Budget, BudgetPeriod, Unpriced
from tokenway.model.settings import LOCAL_PROVIDER, FixedKey

MOMENT: Final = "a day such as 2030-01-31, or a moment such as 2030-01-31T12:00:00Z"


def examine_quotas(subject: Examination) -> None:
    """The rules for the keys of the configuration, for projects, and for what models may take."""
    for path, budget in _budgets(subject):
        if budget.rolling and budget.period is BudgetPeriod.TOTAL:
            subject.say((*path, "rolling"), "needs a period: a total never starts anew, so it does not roll")
    for name in subject.settings.projects:
        if not name:
            subject.say(("projects",), "holds a project without a name")
    keys = subject.settings.auth.keys
    if subject.is_whole(("auth", "keys"), len(keys)):
        for index, key in enumerate(keys):
            _key(subject, ("auth", "keys", index), key)
    _unpriced(subject)


def _budgets(subject: Examination) -> Iterator[tuple[Path, Budget]]:
    settings = subject.settings
    if subject.is_whole(("auth", "keys"), len(settings.auth.keys)):
        for index, key in enumerate(settings.auth.keys):
            if key.budget is not None:
                yield ("auth", "keys", index, "budget"), key.budget
    for name, project in settings.projects.items():
        if project.budget is not None:
            yield ("projects", name, "budget"), project.budget
    for name, model in settings.models.items():
        if model.quota.budget is not None:
            yield ("models", name, "quota", "budget"), model.quota.budget


def _unpriced(subject: Examination) -> None:
    """Warns of endpoints without a price where money is bounded, unless it is written what shall become of them."""
    settings = subject.settings
    is_refused = settings.limits.unpriced is Unpriced.REFUSE
    if not is_refused and (subject.node(("limits", "unpriced")) is not None or not _bounds_money(subject)):
        return
    for name, model in settings.models.items():
        path: Path = ("models", name, "endpoints")
        if not subject.is_whole(path, len(model.endpoints)):
            continue
        for index, endpoint in enumerate(model.endpoints):
            if not is_unpriced(subject, endpoint):
                continue
            reason = (
                "has no price, so nothing is sent to it: `limits.unpriced` is `refuse`"
                if is_refused
                else "has no price, so its calls take nothing of budgets and credits: give it one (0 where it costs "
                "nothing), or say under `limits.unpriced` whether it may `serve`"
            )
            subject.say((*path, index), reason, severity=Severity.WARNING)


def _bounds_money(subject: Examination) -> bool:
    """Whether the configuration says anywhere how much may be spent."""
    settings = subject.settings
    projects = settings.projects.values()
    return (
        next(_budgets(subject), None) is not None
        or any(each.prepaid or each.run.usd is not None for each in projects)
        or any(key.max_cost is not None for key in settings.auth.keys)
    )


def _key(subject: Examination, path: Path, key: FixedKey) -> None:
    for index, network in enumerate(key.addresses or ()):
        try:
            ip_network(network, strict=False)
        except ValueError:
            reason = f"expected a network such as 10.0.0.0/8 or an address, got {network!r}"
            subject.say((*path, "addresses", index), reason)
    for field in ("models", "endpoints", "addresses"):
        if getattr(key, field) == ():
            reason = "is empty, so nothing is allowed; leave it out to allow all"
            subject.say((*path, field), reason, severity=Severity.WARNING)
    for index, endpoint in enumerate(key.endpoints or ()):
        provider = endpoint.partition("/")[0]
        known = {*subject.settings.providers, *KNOWN, LOCAL_PROVIDER}
        if provider not in known:
            reason = f"{provider!r} is not a provider here"
            subject.say((*path, "endpoints", index), reason, nearest(provider, known))
    if key.expires is not None:
        try:
            parse_moment(key.expires)
        except (ValueError, OverflowError):
            subject.say((*path, "expires"), f"expected {MOMENT}, got {key.expires!r}")
