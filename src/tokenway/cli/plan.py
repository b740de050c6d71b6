"""`tokenway plan`: from demand and targets to GPUs by month, their cost, and whether they pay against APIs."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.files import text_of
from tokenway.cli.options import AsJson
from tokenway.cli.place import Place
from tokenway.cli.reporting import check_picture, planning, present

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenway.planner.demand.forecast import Month as Forecast
    from tokenway.planner.fleet.breakeven import Api
    from tokenway.planner.fleet.search import Offer, Served
    from tokenway.planner.fleet.workload import Mix, Month, Targets
    from tokenway.planner.formats import Numbers
    from tokenway.planner.report import Cell, Source
    from tokenway.planner.shapes import Shape

_MONTHS_MOST: Final = 60
_FORMATS: Final = ("fp8", "nvfp4")
_APIS_MOST: Final = 5


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Need:
    """How much is to be served."""

    tokens_per_day: Annotated[float | None, Parameter(help="Tokens a day now, in and out, such as 5e9.")] = None
    doubling: Annotated[float, Parameter(help="In how many days they double; 0 for no growth.")] = 0.0
    spread: Annotated[float, Parameter(help="How wide the band is after a year: 0.5 is from 1/1.5 to 1.5.")] = 0.5
    demand: Annotated[
        Path | None,
        Parameter(help="Or a CSV file with date,tokens, to be forecast; - is the input.", allow_leading_hyphen=True),
    ] = None
    demand_model: Annotated[str | None, Parameter(help="Only what this model takes of the file or ledger.")] = None
    demand_project: Annotated[str | None, Parameter(help="Only what this project takes of the ledger.")] = None
    months: Annotated[int, Parameter(help="Months to plan.")] = 12


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Requests:
    """What requests are like. What is not said is the ledger's, where the plan is of its demand."""

    input: Annotated[float | None, Parameter(help="Mean tokens of input [otherwise 10000].")] = None
    output: Annotated[float | None, Parameter(help="Mean tokens of output [otherwise 500].")] = None
    cached: Annotated[float | None, Parameter(help="Share of the input that a cache spares [otherwise 0.5].")] = None
    peak: Annotated[float | None, Parameter(help="The busiest hour by the mean [otherwise 2].")] = None
    burstiness: Annotated[float, Parameter(help="How uneven arrivals are: 1 is a Poisson process.")] = 1.0


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Promise:
    """What callers are promised."""

    ttft: Annotated[float, Parameter(help="Seconds to the first token.")] = 2.0
    quantile: Annotated[float, Parameter(help="The share of the requests for which that holds.")] = 0.95
    speed: Annotated[float, Parameter(help="Tokens/s that a caller gets.")] = 20.0
    availability: Annotated[float, Parameter(help="The share of the time in which enough machines are up.")] = 0.999


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Machines:
    """What may be had."""

    gpu: Annotated[
        tuple[str, ...], Parameter(help="A GPU, or six numbers of one's own; again for more [otherwise all].")
    ] = ()
    number_format: Annotated[
        tuple[str, ...], Parameter("--format", help="Weights[/activations[/cache]] [otherwise fp8 and nvfp4].")
    ] = ()
    price: Annotated[
        str, Parameter(help="Dollars for a GPU hour, or which price: on-demand, reserved, spot, owned.")
    ] = "reserved"
    purchase: Annotated[
        float | None, Parameter(help="Dollars to buy a GPU with its share of the rest [otherwise as far as known].")
    ] = None
    engine: Annotated[str, Parameter(help="The engine: vllm, sglang, trtllm.")] = "vllm"
    draft: Annotated[
        str | None, Parameter(help="Speculative decoding: tokens guessed a step, and the share right, such as 3,0.7.")
    ] = None
    measured: Annotated[
        Path | None, Parameter(help="Rows as of plan predict with tpot_ms: measurements of this model of one's own.")
    ] = None
    api: Annotated[
        tuple[str, ...],
        Parameter(help="PROVIDER/MODEL of the price book, or dollars per million IN,OUT[,CACHED] [otherwise found]."),
    ] = ()


def plan(
    model: Annotated[str, Parameter(help="A model, or a config.json of Hugging Face, or its folder.")],
    /,
    *,
    need: Need | None = None,
    requests: Requests | None = None,
    promise: Promise | None = None,
    machines: Machines | None = None,
    plot: Annotated[Path | None, Parameter(help="Draw it into a file that ends in .png, .svg or .html.")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Size the cheapest fleet that serves a model, and compare it with APIs.

    Demand is the ledger's, forecast, unless --tokens-per-day or --demand says
    it. All layouts of all GPUs are searched for the cheapest that keeps the
    promises; the best are played against arrivals, because tails are not in
    any mean. Needs the extra `plan` of the package.

    For example:
      tokenway plan llama-3-70b --tokens-per-day 5e9 --doubling 180
      tokenway plan deepseek-v3 --gpu h200 --gpu gb200 --speed 50 --json
      tokenway plan size gpt-oss-120b --demand usage.csv --plot fleet.html
    """
    wanted, asked, kept, may = need or Need(), requests or Requests(), promise or Promise(), machines or Machines()
    if not 0 < wanted.months <= _MONTHS_MOST:
        raise BadUsage(f"--months {wanted.months} is not between 1 and {_MONTHS_MOST}.")
    if wanted.tokens_per_day is not None and wanted.demand is not None:
        raise BadUsage("Give --tokens-per-day or --demand, not both.")
    if wanted.tokens_per_day is not None and (wanted.demand_model or wanted.demand_project):
        raise BadUsage("--demand-model and --demand-project are of a file or the ledger, not of --tokens-per-day.")
    if wanted.demand is not None and wanted.demand_project:
        raise BadUsage("--demand-project is of the ledger; a file has no projects.")
    check_picture(plot)
    with planning():
        from tokenway.planner.fleet.answer import answer  # noqa: PLC0415 - the help needs no numpy
        from tokenway.planner.fleet.pictures import picture  # noqa: PLC0415 - the same
        from tokenway.planner.fleet.plan import Question  # noqa: PLC0415 - the same
        from tokenway.planner.fleet.plan import plan as make_plan  # noqa: PLC0415 - the same
        from tokenway.planner.fleet.workload import Targets  # noqa: PLC0415 - the same

        name, shape = _shape(model)
        months, mix, sources = _demand(wanted, asked, place)
        targets = Targets(ttft=kept.ttft, quantile=kept.quantile, speed=kept.speed, availability=kept.availability)
        apis, book = _apis(may.api, name, mix)
        question = Question(
            served=_served(may, name, shape),
            mix=mix,
            targets=targets,
            months=months,
            offers=_offers(may),
            formats=_formats(may),
            apis=apis,
        )
        found = make_plan(question)
        report = answer(question, found, inputs=_inputs(name, wanted, mix, targets, may), sources=(*sources, *book))
        present(report, as_json=as_json, plot=plot, draw=lambda: picture(question, found))
    return 0


def _shape(model: str) -> tuple[str, Shape]:
    """A known model, or the one that a config.json describes."""
    from tokenway.planner.shapes import shape_of  # noqa: PLC0415 - the help needs no data

    path = Path(model)
    if (path / "config.json").is_file():
        path /= "config.json"
    if path.suffix != ".json":
        return shape_of(model)
    from tokenway.planner.hf_config import shape_from  # noqa: PLC0415 - only for a file

    try:
        config = json.loads(text_of(path))
    except ValueError as error:
        raise BadUsage(f"{path} is no JSON: {error}.") from None
    name = path.resolve().parent.name or path.stem
    return name, shape_from(config, name)


def _served(may: Machines, name: str, shape: Shape) -> Served:
    """The model with its engine, what it guesses ahead, and what was measured of it."""
    from tokenway.planner.fleet.search import Served  # noqa: PLC0415 - the help needs no numpy
    from tokenway.planner.serving.deployment import Draft  # noqa: PLC0415 - the same

    draft = None
    if may.draft is not None:
        tokens, _, accepted = may.draft.partition(",")
        try:
            draft = Draft(tokens=int(tokens), accepted=float(accepted))
        except ValueError:
            raise BadUsage(f"--draft {may.draft} is no count of tokens and a share, such as 3,0.7.") from None
    if may.measured is None:
        return Served(shape, may.engine, draft)
    from tokenway.planner.errors import PlanError  # noqa: PLC0415 - only for a file
    from tokenway.planner.fleet.measured import factors  # noqa: PLC0415 - the same

    try:
        return Served(shape, may.engine, draft, factors(text_of(may.measured), name))
    except PlanError as error:
        raise BadUsage(f"{may.measured}: {error}") from None


def _demand(wanted: Need, asked: Requests, place: Place | None) -> tuple[list[Month], Mix, tuple[Source, ...]]:
    """Months of demand, and what its requests are like."""
    from tokenway.planner.fleet.workload import Mix, growing  # noqa: PLC0415 - the help needs no numpy

    told = {name: getattr(asked, name) for name in ("input", "output", "cached", "peak")}
    told = {name: value for name, value in told.items() if value is not None} | {"burstiness": asked.burstiness}
    today = dt.datetime.now(dt.UTC).date()
    if wanted.tokens_per_day is not None:
        mix = Mix(**told)
        months = growing(today, wanted.months, wanted.tokens_per_day, wanted.doubling, wanted.spread, mix)
        return months, mix, ()
    from tokenway.cli.demand import read_demand  # noqa: PLC0415 - the same
    from tokenway.planner.demand.study import study  # noqa: PLC0415 - the same
    from tokenway.planner.errors import PlanError  # noqa: PLC0415 - the same

    demand = read_demand(wanted.demand, place=place, project=wanted.demand_project, model=wanted.demand_model)
    if demand.mix is not None:
        used = demand.mix
        ledger = {"input": used.input_per_call, "output": used.output_per_call, "cached": used.cached_part}
        told = {**ledger, **({} if demand.peak is None else {"peak": demand.peak}), **told}
    mix = Mix(**told)
    series = demand.whole if wanted.demand_model is None else demand.of(wanted.demand_model)
    studied = study(series, 31 * (wanted.months + 1))
    if studied.found is None:
        raise PlanError(f"Demand cannot be forecast: {studied.lacks}. Say it with --tokens-per-day.")
    months = _forecast(studied.found.forecast.sums(), wanted.months, mix)
    if not months:
        raise PlanError("The forecast has no whole month. Say demand with --tokens-per-day.")
    return months, mix, demand.sources


def _forecast(sums: Sequence[Forecast], count: int, mix: Mix) -> list[Month]:
    """The whole months ahead, between the ends of the band that holds four of five."""
    from tokenway.planner.fleet.workload import Month  # noqa: PLC0415 - the help needs no numpy

    found = []
    for each in sums:
        if each.is_whole and not each.seen:
            ends = (each.bands.low80, each.bands.median, each.bands.high80)
            found.append(Month(each.month, each.days, *(float(end[0]) / mix.tokens for end in ends)))
    return found[:count]


def _offers(may: Machines) -> list[Offer]:
    """GPUs with their prices; without a choice all of which a price of that kind is known."""
    from tokenway.planner.errors import PlanError  # noqa: PLC0415 - the help needs no data
    from tokenway.planner.fleet import prices  # noqa: PLC0415 - the same
    from tokenway.planner.fleet.search import Offer  # noqa: PLC0415 - the same
    from tokenway.planner.hardware import chip_from, chip_of, chips  # noqa: PLC0415 - the same

    own = None
    if may.price not in prices.KINDS:
        try:
            own = prices.own_price(float(may.price))
        except ValueError:
            raise BadUsage(f"--price {may.price} is no number, and none of {', '.join(prices.KINDS)}.") from None
    bought = None if may.purchase is None else prices.own_capital(may.purchase)
    found: list[Offer] = []
    for text in may.gpu or tuple(chips()):
        title = f"own GPU {len(found) + 1}"
        name, chip = (title.replace(" ", "-").lower(), chip_from(text, title)) if "," in text else chip_of(text)
        if "," in text and own is None:
            raise BadUsage("A GPU of your own needs its price: --price 2.10, in dollars per GPU and hour.")
        try:
            price = own or prices.gpu_price(name, may.price)
            found.append(Offer(name, chip, price, bought or prices.capital(name)))
        except PlanError:
            if may.gpu:
                raise
    return found


def _formats(may: Machines) -> list[Numbers]:
    from tokenway.planner.formats import numbers_of  # noqa: PLC0415 - the help needs no data

    return [numbers_of(text) for text in may.number_format or _FORMATS]


def _apis(texts: Sequence[str], name: str, mix: Mix) -> tuple[list[Api], tuple[Source, ...]]:
    """The offers by the token to compare with: those named, or what the price book has of the model."""
    from tokenway.cli.api_prices import book_source, found_in_book, named_api  # noqa: PLC0415 - the help needs no book

    if texts:
        named = [named_api(text) for text in texts]
        return named, (book_source(),) if any("/" in text for text in texts) else ()
    return found_in_book(name, mix, _APIS_MOST)


def _inputs(name: str, wanted: Need, mix: Mix, targets: Targets, may: Machines) -> dict[str, Cell]:
    demand: dict[str, Cell] = {"demand of model": wanted.demand_model, "demand of project": wanted.demand_project}
    if wanted.tokens_per_day is not None:
        demand = {"tokens a day": wanted.tokens_per_day, "doubling days": wanted.doubling, "spread": wanted.spread}
    chosen: dict[str, Cell] = {
        "draft": may.draft,
        "measured": None if may.measured is None else may.measured.name,
        "APIs": ", ".join(may.api) or None,
        "purchase": may.purchase,
    }
    return {
        "model": name,
        **{what: cell for what, cell in demand.items() if cell is not None},
        "months": wanted.months,
        "input": mix.input,
        "output": mix.output,
        "cached": mix.cached,
        "peak by mean": mix.peak,
        "burstiness": mix.burstiness,
        "TTFT s": targets.ttft,
        "for a share of": targets.quantile,
        "tokens/s": targets.speed,
        "availability": targets.availability,
        "price": may.price,
        "engine": may.engine,
        "GPUs": ", ".join(may.gpu) or "all with such a price",
        "formats": ", ".join(may.number_format or _FORMATS),
        **{what: cell for what, cell in chosen.items() if cell is not None},
    }
