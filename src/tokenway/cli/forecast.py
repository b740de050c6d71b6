"""`tokenway forecast`: how fast demand for tokens grows, and what it comes to, by the ledger or a CSV file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.place import Place
from tokenway.cli.reporting import check_picture, planning, present

if TYPE_CHECKING:
    from tokenway.cli.demand import Demand
    from tokenway.planner.demand.answer import Beside
    from tokenway.planner.demand.series import Series

_DAYS_MOST: Final = 3_650
_MODELS: Final = 8


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Which:
    """Of all demand, which part."""

    example: Annotated[
        str | None, Parameter(help="A public series: openrouter, nvidia, capex, google, doubao or china.")
    ] = None
    model: Annotated[str | None, Parameter(help="Only this model's tokens.")] = None
    by_model: Annotated[bool, Parameter(help="Look at each of the largest models too.", show_default=False)] = False
    project: Annotated[str | None, Parameter(help="Only this project's tokens, of the ledger.")] = None
    since: Annotated[
        str | None, Parameter(help="Only what came from a date on, such as 2026-01-31, or in the last 90d.")
    ] = None


def forecast(
    file: Annotated[
        Path | None, Parameter(help="A CSV file with date,tokens[,model]; - is the input.", allow_leading_hyphen=True)
    ] = None,
    /,
    *,
    which: Which | None = None,
    days: Annotated[
        int | None, Parameter(help="How many days ahead [otherwise 90; a year where values are months or longer].")
    ] = None,
    overlay: Annotated[
        str | None, Parameter(help="An example that may lead this series, such as capex, to compare it with.")
    ] = None,
    plot: Annotated[Path | None, Parameter(help="Draw it into a file that ends in .png, .svg or .html.")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Forecast the demand for tokens, with error bars.

    Without a file it is the ledger's, by whole days in UTC. Tells which curve
    it follows or that one cannot tell, in which time it doubles, whether growth
    changed, how good forecasts of its own past were, what is to be expected,
    and, where that is known, which factor grows: users, requests of each, calls
    for a request, tokens of a call. Needs the extra `plan` of the package.

    For example:
      tokenway forecast
      tokenway forecast usage.csv --days 365 --plot demand.html
      tokenway forecast --example nvidia --overlay capex
    """
    part = which or Which()
    _check(file, part, days)
    check_picture(plot)
    with planning():
        from tokenway.cli.demand import first_day, read_demand  # noqa: PLC0415 - the help needs no numpy
        from tokenway.planner.demand.answer import answer  # noqa: PLC0415 - the same
        from tokenway.planner.demand.examples import example  # noqa: PLC0415 - the same
        from tokenway.planner.demand.pictures import picture  # noqa: PLC0415 - the same
        from tokenway.planner.demand.study import study  # noqa: PLC0415 - the same

        leader = None if overlay is None else example(overlay)
        demand = read_demand(file, public=part.example, place=place, project=part.project, model=part.model)
        series = demand.whole if part.model is None else demand.of(part.model)
        if part.since is not None:
            series = series.since(first_day(part.since, series))
        studied = study(series, days)
        told = {"days ahead": days, "model": part.model, "project": part.project, "since": part.since}
        report = answer(
            studied,
            inputs={name: cell for name, cell in told.items() if cell is not None},
            sources=(*demand.sources, *(() if leader is None else (leader.source,))),
            beside=_beside(demand, series, days, part, None if leader is None else leader.series),
        )
        ahead = None if leader is None else leader.series
        present(report, as_json=as_json, plot=plot, draw=lambda: picture(studied, leader=ahead))
    return 0


def _check(file: Path | None, part: Which, days: int | None) -> None:
    if file is not None and file.name.startswith("-") and file != Path("-"):
        raise BadUsage(f"Unknown option: {file}. Try `tokenway forecast --help`.")
    if file is not None and part.example is not None:
        raise BadUsage("Give a file or --example, not both.")
    if part.project is not None and (file is not None or part.example is not None):
        raise BadUsage("--project is of the ledger; a file and an example have none.")
    if days is not None and not 0 < days <= _DAYS_MOST:
        raise BadUsage(f"--days {days} is not between 1 and {_DAYS_MOST}.")


def _beside(demand: Demand, series: Series, days: int | None, part: Which, leader: Series | None) -> Beside:
    """What is told beside the series itself."""
    import numpy as np  # noqa: PLC0415 - only who forecasts has it

    from tokenway.planner.demand.answer import Beside  # noqa: PLC0415 - the same
    from tokenway.planner.demand.growth import split  # noqa: PLC0415 - the same
    from tokenway.planner.demand.lead import lead  # noqa: PLC0415 - the same
    from tokenway.planner.demand.study import SEED, study  # noqa: PLC0415 - the same

    first = series.dates[0] if series.dates else None
    counts = {
        name: {day: value for day, value in points.items() if first is None or day >= first}
        for name, points in demand.counts.items()
    }
    shares = demand.largest(_MODELS) if part.by_model else []
    return Beside(
        # What stands behind the tokens is known of all models together.
        split=split(counts, np.random.default_rng(SEED)) if part.model is None else None,
        lead=None if leader is None else lead(leader, series),
        mix=demand.mix,
        peak=demand.peak,
        models=[(name, share, study(_within(demand.of(name), series), days)) for name, share in shares],
    )


def _within(series: Series, whole: Series) -> Series:
    """The part of a series from where the whole one begins."""
    return series.since(whole.dates[0]) if whole.dates else series
