"""A provider's own count beside the ledger's, per model and day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from tokenway.metering.billing import ALL_MODELS, Export, normal
from tokenway.store.database import Database
from tokenway.store.schema import facets, rollups
from tokenway.store.sums import DAY

_BUCKETS: Final[Mapping[str, tuple[str, ...]]] = {
    # Not the bucket `requests`, which is for what is sold by the request.
    "requests": ("attempts",),
    "input": ("input_uncached", "audio_in", "image_in"),
    "cache_read": ("cache_read",),
    "cache_write_5m": ("cache_write_5m",),
    "cache_write_1h": ("cache_write_1h",),
    "output": ("output_text", "reasoning", "audio_out", "image_out"),
    "searches": ("searches",),
    "cost": ("cost",),
}
"""What of the roll-ups each figure of an export is compared with."""

Figures = dict[str, int]


class Drift(msgspec.Struct, frozen=True):
    """A model on both sides: each figure as the provider has it, and as the ledger has it.

    `days` are those (2026-01-31) on which the two differ. `only` is `provider` or `ledger` where one side alone knows
    the model.
    """

    model: str
    figures: dict[str, tuple[int, int]]
    days: tuple[str, ...]
    only: str | None = None


def compare(database: Database, export: Export, provider: str) -> list[Drift]:
    """The drift of each model in the days of the export, by the model's name."""
    ours = _of_ledger(database, export, provider)
    theirs = export.figures
    if any(model == ALL_MODELS for _, model in theirs):
        # The file does not tell the models apart, so nothing can be told of any.
        ours, theirs = _together(ours, export.names), _together(theirs, export.names)
    models = sorted({model for _, model in (*ours, *theirs)})
    return [_drift(model, theirs, ours, export.names) for model in models]


def _of_ledger(database: Database, export: Export, provider: str) -> dict[tuple[int, str], Figures]:
    r = rollups.c
    sums = [sa.func.sum(sum((r[part] for part in _BUCKETS[name][1:]), r[_BUCKETS[name][0]])) for name in export.names]
    first, last = export.days
    query = (
        sa.select(r.bucket, facets.c.endpoint, *sums)
        .join(facets, facets.c.id == r.facet)
        .where(r.grain == DAY, r.bucket >= first, r.bucket <= last)
        .where(facets.c.endpoint >= f"{provider}/", facets.c.endpoint < f"{provider}0")  # "0" comes after "/"
        .group_by(r.bucket, facets.c.endpoint)
    )
    found: dict[tuple[int, str], Figures] = {}
    with database.read() as connection:
        for day, endpoint, *values in connection.execute(query):
            place = found.setdefault((day, normal(endpoint.partition("/")[2])), dict.fromkeys(export.names, 0))
            for name, value in zip(export.names, values, strict=True):
                place[name] += int(value)
    return {place: figures for place, figures in found.items() if any(figures.values())}


def _together(sides: Mapping[tuple[int, str], Figures], names: tuple[str, ...]) -> dict[tuple[int, str], Figures]:
    found: dict[tuple[int, str], Figures] = {}
    for (day, _), figures in sides.items():
        place = found.setdefault((day, ALL_MODELS), dict.fromkeys(names, 0))
        for name, value in figures.items():
            place[name] += value
    return found


def _drift(
    model: str,
    theirs: Mapping[tuple[int, str], Figures],
    ours: Mapping[tuple[int, str], Figures],
    names: tuple[str, ...],
) -> Drift:
    def total(side: Mapping[tuple[int, str], Figures], name: str) -> int:
        return sum(figures[name] for (_, each), figures in side.items() if each == model)

    days = sorted({day for day, each in (*theirs, *ours) if each == model})
    nothing = dict.fromkeys(names, 0)
    differs = [day for day in days if theirs.get((day, model), nothing) != ours.get((day, model), nothing)]
    has = [any(each == model for _, each in side) for side in (theirs, ours)]
    return Drift(
        model,
        {name: (total(theirs, name), total(ours, name)) for name in names},
        tuple(_shown(differs)),
        None if all(has) else "provider" if has[0] else "ledger",
    )


def _shown(days: list[int]) -> Iterator[str]:
    return (f"{datetime.fromtimestamp(day * DAY, UTC):%Y-%m-%d}" for day in days)
