"""What `tokenway check` finds, and how it is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from tokenway.control.addresses import enabled_by
from tokenway.control.config import Loaded, find_config, load
from tokenway.control.findings import Finding, Severity, has_errors
from tokenway.model.money import format_usd


def run_check(path: Path | None, environment: Mapping[str, str]) -> list[Finding]:
    """Every finding about the configuration at `path`, or about the one that would be found without a path."""
    return list(load(find_config(path, environment), environment).findings)


def render_text(findings: Iterable[Finding]) -> str:
    """A line per finding, `file:line: error: setting: reason (did you mean 'x'?)`, and a line that sums up."""
    found = list(findings)
    counts = Counter(finding.severity for finding in found)
    parts = [_counted(counts[severity], severity) for severity in Severity if counts[severity]]
    verdict = "cannot be used" if has_errors(found) else "can be used"
    total = f"The configuration {verdict}: {', '.join(parts) or 'nothing to remark'}."
    return "\n".join([*(str(finding) for finding in found), total])


def render_json(findings: Iterable[Finding]) -> str:
    """`{"ok": …, "findings": [{"file", "line", "path", "reason", "nearest", "severity"}, …]}`."""
    found = list(findings)
    return msgspec.json.encode({"ok": not has_errors(found), "findings": found}).decode()


def describe(loaded: Loaded, environment: Mapping[str, str]) -> str:
    """One sentence about what a usable configuration brings: where it came from, providers, models, keys."""
    settings = loaded.demand()
    named = {*settings.providers, *enabled_by(environment)[0]}
    providers = sorted(name for name in named if not settings.is_off(name))
    source = "no configuration file" if loaded.path is None else str(loaded.path)
    budgets = [model.routing.probe.usd_per_day for model in settings.models.values() if model.routing.probe is not None]
    probes = f"; probes of {_counted(len(budgets), 'model')} for up to {format_usd(sum(budgets))} USD a day"
    return (
        f"{source}: providers {', '.join(providers) or 'none'}; {_counted(len(settings.models), 'model')}, "
        f"{_counted(len(settings.aliases), 'alias')}, {_counted(len(settings.auth.keys), 'fixed key')}"
        f"{probes if budgets else ''}"
    )


def _counted(count: int, noun: str) -> str:
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{ending}"
