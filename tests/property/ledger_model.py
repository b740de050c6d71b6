"""The sums of the ledger as anybody would make them: over all exchanges, one after the other, without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import astuple

from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.runs import is_shown, shown_tokens
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.usage import BUCKETS, Usage

ANSWERED = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)
Sums = dict[tuple[Any, ...], dict[str, Any]]
Tables = dict[str, Sums]


def naive(exchanges: Iterable[Settled | Reserved]) -> Tables:
    """Every sum of the settled exchanges, and of the reservations that expired, by table and primary key.

    The primary key is without the machine, a facet is spelt out, and sums that are nothing are left out.
    """
    tables: Tables = {name: defaultdict(lambda: defaultdict(int)) for name in ("rollups", "spend", "balances", "runs")}
    tables["run_agents"] = defaultdict(lambda: defaultdict(int))
    for exchange in exchanges:
        if isinstance(exchange, Reserved):
            for row in _rollups(tables, exchange.at, exchange.key, exchange.project):
                row["calls"] += 1
                row["expired"] += 1
            continue
        _roll_up(tables, exchange)
        _spend(tables, exchange)
        _post(tables, exchange)
        if exchange.run:
            _run(tables, exchange)
    return {
        name: {key: row for key, values in table.items() if (row := told(values))} for name, table in tables.items()
    }


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is nothing."""
    return {name: value for name, value in row.items() if value not in (0, None)}


def _rollups(
    tables: Tables, at: float, key: str, project: str, user: str = "", model: str = "", endpoint: str = ""
) -> list[dict[str, Any]]:
    facet = (key, project, user, model, endpoint)
    return [tables["rollups"][grain, int(at // grain), *facet] for grain in (60, 3_600, 86_400)]


def _roll_up(tables: Tables, it: Settled) -> None:
    who = (it.belongs, it.key, it.project, it.user, it.model)
    for row in _rollups(tables, *who, it.endpoint):
        row["calls"] += 1
        row["errors"] += is_failure(it)
        row["slow"] += it.slow
        row["withheld"] += it.withheld
        row["charged"] += it.charged if not it.lines else 0
        for name, value in times(it).items():
            row[name] += value
    for line in it.lines:
        for row in _rollups(tables, *who, line.endpoint):
            row["attempts"] += 1
            row["unmetered"] += line.usage is None and line.settlement in ANSWERED
            row["unpriced"] += line.usage is not None and line.cost is None and not line.absurd
            row["charged"] += it.charged if line is payer(it) else 0
            row["cost"] += line.cost or 0
            row["absorbed"] += (line.cost or 0) if line.settlement is Settlement.ABSORBED else 0
            _add(row, believed(line))


def _spend(tables: Tables, it: Settled) -> None:
    scopes = {"key": it.key, "project": it.project, "user": it.user, "model": it.model}
    paid = [believed(line) for line in it.lines if line.settlement in ANSWERED]
    for scope, subject in scopes.items():
        for grain in (3_600, 86_400, 0) if subject else ():
            row = tables["spend"][scope, subject, grain, int(it.belongs // grain) if grain else 0]
            row["calls"] += 1
            row["charged"] += it.charged
            row["withheld"] += it.withheld
            row["input_tokens"] += sum(usage.input_tokens for usage in paid)
            row["output_tokens"] += sum(usage.output_tokens for usage in paid)
            row["last_used"] = max(row["last_used"], it.belongs)


def _post(tables: Tables, it: Settled) -> None:
    accounts = tables["balances"]
    accounts[(f"wallet:{it.project}",)]["debits"] += it.charged
    accounts[("sales",)]["credits"] += it.charged
    for line in it.lines:
        payer = "absorbed" if line.settlement is Settlement.ABSORBED else "cost"
        accounts[(payer,)]["debits"] += line.cost or 0
        accounts[("provider:" + line.endpoint.split("/")[0],)]["credits"] += line.cost or 0


def _run(tables: Tables, it: Settled) -> None:
    agent = it.trace.agent if it.trace else ""
    for row in (tables["runs"][it.key, it.run], tables["run_agents"][it.key, it.run, agent]):
        ended = it.belongs + (it.stamps.end - it.stamps.received if it.stamps.end else 0.0)
        row["started"] = min(row["started"] or it.belongs, it.belongs)
        row["ended"] = max(row["ended"], ended)
        row["calls"] += 1
        row["shown"] += is_shown(it)
        row["shown_tokens"] += shown_tokens(it)
        row["errors"] += is_failure(it)
        row["slow"] += it.slow
        row["charged"] += it.charged
        row["withheld"] += it.withheld
        row["cost"] += sum(line.cost or 0 for line in it.lines)
        for line in it.lines:
            _add(row, believed(line))
        for name, value in times(it).items():
            row[name] += value


def is_failure(it: Settled) -> bool:
    """Whether the caller got an error, or an answer that ended in one."""
    return it.status != 499 and (it.status >= 400 or bool(it.error_type))


def payer(it: Settled) -> Line | None:
    """The attempt that is paid for: the first that answered, else the last."""
    return next((line for line in it.lines if line.settlement in ANSWERED), it.lines[-1] if it.lines else None)


def believed(line: Line) -> Usage:
    """What an attempt used, as far as anybody knows."""
    return Usage() if line.usage is None or line.absurd else line.usage


def times(it: Settled) -> dict[str, int]:
    """What is measured of an exchange."""
    answer = next((line for line in it.lines if line.settlement in ANSWERED), None)
    tokens = believed(answer).output_tokens if answer else 0
    first, speed = ttft(it.stamps), output_speed(it.stamps, tokens)
    found = {"ttft_us": 0, "first_tokens": 0, "timed_tokens": 0, "timed_us": 0, "duration_us": 0}
    if first is not None:
        found |= {"ttft_us": int(first * 1e6), "first_tokens": 1}
    if speed is not None:
        found |= {"timed_tokens": tokens - 1, "timed_us": int((tokens - 1) / speed * 1e6)}
    if it.stamps.end:
        found["duration_us"] = int((it.stamps.end - it.stamps.received) * 1e6)
    return found


def _add(row: dict[str, Any], usage: Usage) -> None:
    for name, value in zip(BUCKETS, astuple(usage), strict=True):
        row[name] += value


REPORTED = (
    *("attempts", "errors", "slow", "expired", "unmetered", "unpriced"),
    *("charged", "withheld", "cost", "absorbed"),
)
"""What a usage report has of the roll-ups beside calls and usage."""


def moment_of(it: Settled | Reserved) -> float:
    """When it was admitted."""
    return it.at if isinstance(it, Reserved) else it.belongs


def reports(exchanges: Iterable[Settled | Reserved], by: Sequence[str]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What a report by these dimensions has, by group."""
    found: dict[tuple[str, ...], dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    for (grain, number, *facet), row in naive(exchanges)["rollups"].items():
        if grain == 86_400:
            named = dict(zip(("key", "project", "user", "model", "endpoint"), facet, strict=True))
            named["day"] = f"{datetime.fromtimestamp(number * grain, UTC):%Y-%m-%d}"
            for name in ("calls", *REPORTED, *BUCKETS):
                found[tuple(named[name] for name in by)][name] += row.get(name, 0)
    return {group: told(row) for group, row in found.items() if told(row)}
