"""Where demand is read from: the ledger, a CSV file, or a public series; for whatever plans with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tokenway.cli.errors import BadUsage
from tokenway.cli.files import INPUT, text_of
from tokenway.cli.place import Place, opened
from tokenway.model.units import parse_duration
from tokenway.model.usage import BUCKETS
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.growth import ORDER
from tokenway.planner.demand.mix import Mix, mix_of, peak_to_mean
from tokenway.planner.demand.series import Series, series_of
from tokenway.planner.demand.table import Table, filled, read_table, summed
from tokenway.planner.errors import PlanError, unknown
from tokenway.planner.report import Source

if TYPE_CHECKING:
    from tokenway.store.daily import DayOfModel, DayOfPeople

RECENT: Final = timedelta(days=28)
"""What tokens are made of is told of the latest days."""
_SECONDS: Final = 86_400

Points = Mapping[date, float]


class Demand(NamedTuple):
    """Tokens by date, of all models and of each; the counts behind them, and what they are made of, where known."""

    whole: Series
    models: Mapping[str, Points] = {}
    counts: Mapping[str, Points] = {}
    mix: Mix | None = None
    peak: float | None = None
    sources: tuple[Source, ...] = ()

    def of(self, model: str) -> Series:
        """One model's tokens. Raises PlanError for a model that is not told of."""
        if not self.models:
            raise PlanError(f"This demand does not tell of models, so there is none of '{model}'.")
        if model not in self.models:
            raise unknown("model in this demand", model, self.models)
        return series_of(self.models[model], name=f"tokens of {model}")

    def largest(self, count: int) -> list[tuple[str, float]]:
        """The models with the most tokens, each with its part of all."""
        sums = {name: sum(points.values()) for name, points in self.models.items()}
        total = sum(sums.values()) or 1.0
        return [(name, sums[name] / total) for name in sorted(sums, key=lambda name: -sums[name])[:count]]


def read_demand(
    file: Path | None = None,
    *,
    public: str | None = None,
    place: Place | None = None,
    project: str | None = None,
    model: str | None = None,
) -> Demand:
    """The public series of that name, or a file, or the ledger. Raises TokenwayError."""
    if public is not None:
        return of_example(public)
    return of_ledger(place, project=project, model=model) if file is None else of_file(file)


def of_example(name: str) -> Demand:
    """A public series. Raises PlanError for an unknown one."""
    found = example(name)
    return Demand(found.series, counts=found.counts, sources=(found.source,))


def of_file(path: Path) -> Demand:
    """A CSV file, or the standard input for `-`. Raises BadUsage, or PlanError for what is in it."""
    table = read_table(text_of(path))
    models = {name: _points(table.of(name)) for name in table.models}
    return Demand(
        table.series(),
        models,
        table.counts(),
        sources=(Source("CSV file", table.rows[-1].day.isoformat(), "standard input" if path == INPUT else path.name),),
    )


def of_ledger(place: Place | None, *, project: str | None = None, model: str | None = None) -> Demand:
    """The ledger's whole days in UTC: what is not there was not used. The mix is the model's, where one is named.

    Raises TokenwayError where there is no ledger, or no such project.
    """
    today = time.time() // _SECONDS * _SECONDS
    last = datetime.fromtimestamp(today, UTC).date() - timedelta(days=1)
    recent = today - RECENT.total_seconds()
    with opened(place) as store:
        if project is not None:
            store.accounts.projects.get(project)
        days = store.daily.models(until=today, project=project)
        people = store.daily.people(until=today, project=project)
        hours = store.daily.hours(since=recent, until=today, project=project)
    models = {name: filled(_tokens(days, name), last) for name in sorted({each.model for each in days})}
    whole = series_of(filled(_tokens(days, None), last))
    wanted = [each for each in days if model in {None, each.model} and each.day > last - RECENT]
    buckets = {name: sum(getattr(each.usage, name) for each in wanted) for name in BUCKETS}
    return Demand(
        whole,
        models,
        _counts(days, people),
        mix_of(buckets, sum(each.calls for each in wanted)),
        peak_to_mean([(each.at, float(each.tokens)) for each in hours]),
        (Source("ledger of this gateway", last.isoformat(), "roll-ups by day"),),
    )


def first_day(text: str, series: Series) -> date:
    """The date of `--since`: itself, or so long before the last value. Raises BadUsage."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        back = timedelta(seconds=parse_duration(text))
    except ValueError:
        raise BadUsage(f"--since {text} is neither a date (2026-01-31) nor a duration (90d).") from None
    return series.dates[-1] - back + timedelta(days=1) if series.dates else date.min


def _points(table: Table) -> dict[date, float]:
    return summed((row.day, row.tokens) for row in table.rows)


def _tokens(days: list[DayOfModel], model: str | None) -> dict[date, float]:
    return summed(
        (each.day, float(each.usage.input_tokens + each.usage.output_tokens))
        for each in days
        if model in {None, each.model}
    )


def _counts(days: list[DayOfModel], people: list[DayOfPeople]) -> dict[str, Points]:
    """Users, requests, calls and tokens by day. A run's answers are requests, and so is a call of no run."""
    if not people:
        return {}
    found: dict[str, dict[date, float]] = {name: {} for name in ORDER}
    for each in people:
        found["users"][each.day] = each.people
        found["requests"][each.day] = max(each.calls - each.run_calls, 0) + each.run_answers
        found["calls"][each.day] = each.calls
    found["tokens"] = _tokens(days, None)
    if not any(each.runs for each in people):
        # Without runs every call would be a request, which says nothing.
        del found["requests"]
    return dict(found)
