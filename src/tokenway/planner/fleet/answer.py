"""A plan as a report: what to take, what it costs, against which API it pays, and what that depends on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from tokenway.planner.fleet.months import Fleet, FleetMonth, added
from tokenway.planner.fleet.plan import Against, Other, Plan, Question
from tokenway.planner.fleet.prices import Capital
from tokenway.planner.fleet.search import Replica, label
from tokenway.planner.fleet.sensitivity import Bar
from tokenway.planner.report import Cell, Report, Source, Table
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Draft, Load
from tokenway.planner.serving.speculative import best_guesses, gain

OTHERS: Final = 8
"""How many chips and formats are shown beside the cheapest."""


def model_source() -> Source:
    """What the model of serving rests on."""
    found = calibration()
    return Source("model of serving", found.as_of, f"calibrated on {found.source}")


def answer(question: Question, plan: Plan, *, inputs: dict[str, Cell], sources: Iterable[Source] = ()) -> Report:
    """The report of a plan."""
    replica = plan.replica
    found = [model_source(), replica.offer.price.source, *sources]
    if replica.offer.capital is not None:
        found.append(replica.offer.capital.source)
    return Report(
        title=f"Serving {question.served.shape.title}",
        lines=tuple(_lines(question, plan)),
        tables=(
            _months(plan.fleets, replica.offer.capital),
            _others(question, plan.others),
            *([_apis(plan.against)] if plan.against else []),
            _bars(plan.bars),
        ),
        inputs=inputs,
        sources=tuple(dict.fromkeys(found)),
        figures=_figures(question, plan),
    )


def _lines(question: Question, plan: Plan) -> Iterable[str]:
    replica, first, last = plan.replica, plan.fleets[0], plan.fleets[-1]
    targets, mix = question.targets, question.mix
    apart = f", with {replica.prefill_gpus:.1f} more that prefill" if replica.prefill_gpus else ""
    yield (
        f"Cheapest: {replica.offer.chip.title} in {replica.numbers.label}, {label(replica.layout)}{apart}: "
        f"{first.middle.gpus} GPUs in {first.month.name}"
        + (
            f", {last.middle.gpus} in {last.month.name} ({last.low.gpus} to {last.high.gpus})."
            if last != first
            else "."
        )
    )
    cost_in, cost_out = replica.per_million(replica.cost())
    output = math.fsum(each.month.middle for each in plan.fleets) * mix.output
    yield (
        f"It costs ${plan.usd:,.0f} over {len(plan.fleets)} months, ${plan.usd / output * 1e6:,.2f} for a million "
        f"tokens of output with everything counted on it; busy all the time it would be ${cost_in:.3f} for a million "
        f"of input and ${cost_out:.3f} of output."
    )
    yield (
        f"A replica runs {replica.concurrency:.0f} requests at once, each at {replica.speed:.0f} tokens/s "
        f"({1 / replica.high:.0f} to {1 / replica.low:.0f} in four cases of five), bound by {replica.bound}."
    )
    if question.served.draft is not None:
        yield _guessing(question, replica, question.served.draft)
    unseen = [
        title
        for title, known in (
            (replica.offer.chip.title, calibration().chips),
            (question.served.shape.title, calibration().models),
        )
        if title not in known
    ]
    if unseen:
        yield (
            f"No measurement of {' or of '.join(unseen)} is in the calibration: its figures are carried over from "
            "others, which is less sure than the band says."
        )
    tails = plan.usable.tails
    yield (
        f"In the peak hour it is given {plan.usable.share:.0%} of its work; played against such arrivals, "
        f"{targets.quantile * 100:.3g}% of the requests have a first token within {tails.ttft[targets.quantile]:.2f} s "
        f"and half of them {tails.speed[0.5]:.0f} tokens/s or more."
    )
    if replica.offer.capital is not None:
        yield _buying(replica.offer.capital, max(each.middle.gpus for each in plan.fleets))
    for each in plan.against:
        yield _pays(each, plan.usd)


def _buying(capital: Capital, count: int) -> str:
    low, high = capital.low * count, capital.high * count
    return f"To buy {count} GPUs takes ${low:,.0f}" + ("." if low == high else f" to ${high:,.0f}, by weak figures.")


def _guessing(question: Question, replica: Replica, draft: Draft) -> str:
    asked, mix = question.served.on(replica.offer, replica.numbers, replica.layout), question.mix
    load = Load(input=mix.input, output=mix.output, concurrency=replica.concurrency, cached=mix.cached)
    best = best_guesses(asked, load, draft)
    better = "no other number is better" if best == draft.tokens else f"{best} would be best"
    return (
        f"Guessing {draft.tokens} tokens a step makes a caller's tokens {gain(asked, load, draft):.2f} times as fast "
        f"at this batch; {better}."
    )


def _pays(each: Against, usd: float) -> str:
    times = each.usd / usd
    ratio = f"The same requests cost ${each.usd:,.0f} there, {times:{'.2f' if times > 0.1 else '.1g'}} times as much."
    if math.isinf(each.even.requests):
        return f"Against {each.api.name} machines never pay at this mix. {ratio}"
    pays = each.months["middle"]
    when = "not within these months" if pays is None else f"from {pays} on"
    return (
        f"Against {each.api.name} machines pay at every volume from {each.even.tokens_per_day / 1e9:,.3g}B tokens a "
        f"day on; with the demand that is expected, {when}. {ratio}"
    )


def _months(fleets: Sequence[FleetMonth], capital: Capital | None) -> Table:
    columns = ("month", "GPUs", "low", "high", "spare replicas", "kW", "MWh", "USD", "used", "$/M in", "$/M out")
    counts = added(each.middle.gpus for each in fleets)
    middle = None if capital is None else (capital.low + capital.high) / 2
    rows = tuple(
        (
            each.month.name,
            each.middle.gpus,
            each.low.gpus,
            each.high.gpus,
            each.middle.spares,
            each.middle.power_kw,
            each.middle.energy_kwh / 1000,
            round(each.middle.usd),
            f"{each.middle.utilisation:.0%}",
            each.middle.usd_per_million_input,
            each.middle.usd_per_million_output,
            None if middle is None else round(count * middle),
        )
        for each, count in zip(fleets, counts, strict=True)
    )
    return Table("By month; low and high are the ends of the band of demand", (*columns, "to buy, USD"), rows)


def _others(question: Question, others: Sequence[Other]) -> Table:
    months = math.fsum(month.middle for month in question.months)
    rows = tuple(
        (
            each.replica.offer.chip.title,
            each.replica.numbers.label,
            label(each.replica.layout),
            each.replica.prefill_gpus or None,
            round(each.replica.concurrency),
            each.replica.speed,
            each.replica.tokens_per_s_gpu,
            round(each.usd),
            each.usd / (months * question.mix.output) * 1e6,
        )
        for each in others[:OTHERS]
    )
    columns = ("GPU", "format", "layout", "prefill", "at once", "tokens/s", "tokens/s/GPU", "USD", "$/M out, all-in")
    return Table("The cheapest of each GPU and format, before they are played", columns, rows)


def _apis(against: Sequence[Against]) -> Table:
    rows = tuple(
        (
            each.api.name,
            round(each.usd),
            None if math.isinf(each.even.tokens_per_day) else each.even.tokens_per_day / 1e6,
            *(each.months[path] or "not yet" for path in ("low", "middle", "high")),
        )
        for each in against
    )
    columns = ("API", "USD", "pays from M tokens/day", "low growth", "expected", "high growth")
    return Table("Against prices by the token: the month from which machines are cheaper", columns, rows)


def _bars(bars: Sequence[Bar]) -> Table:
    rows = tuple(
        (bar.name, bar.span.low, bar.span.base, bar.span.high, _times(bar.at_low, bar), _times(bar.at_high, bar))
        for bar in sorted(bars, key=lambda bar: -bar.swing / bar.base)
    )
    columns = ("input", "low", "taken", "high", "cost at low", "cost at high")
    return Table("What the cost of a token depends on, each input alone", columns, rows)


def _times(value: float | None, bar: Bar) -> Cell:
    return "not possible" if value is None else f"{value / bar.base:.2f}x"


def _figures(question: Question, plan: Plan) -> dict[str, object]:
    tails = plan.usable.tails
    return {
        "replica": _replica(plan.replica),
        "peak_share": plan.usable.share,
        "ttft_s": {f"{quantile:g}": value for quantile, value in tails.ttft.items()},
        "tokens_per_s": {f"{quantile:g}": value for quantile, value in tails.speed.items()},
        "usd": plan.usd,
        "purchase_usd_per_gpu": None if plan.replica.offer.capital is None else list(plan.replica.offer.capital[:2]),
        "months": [
            {
                "month": each.month.name,
                "requests": each.month.middle,
                "added_gpus": count,
                **{path: _fleet(getattr(each, path)) for path in ("low", "middle", "high")},
            }
            for each, count in zip(plan.fleets, added(each.middle.gpus for each in plan.fleets), strict=True)
        ],
        "others": [{**_replica(each.replica), "usd": each.usd} for each in plan.others],
        "apis": [
            {
                "name": each.api.name,
                "usd": each.usd,
                "usd_per_request": each.even.api_usd_per_request,
                "break_even_tokens_per_day": _finite(each.even.tokens_per_day),
                "months": each.months,
            }
            for each in plan.against
        ],
        "frontiers": [
            {
                "gpu": offer.name,
                "format": numbers.label,
                "tokens_per_s": curve.user.tolist(),
                "tokens_per_s_per_gpu": curve.gpu.tolist(),
            }
            for offer, numbers, curve in plan.frontiers
        ],
        "sensitivity": [
            {**bar.span._asdict(), "input": bar.name, "at_low": bar.at_low, "at_base": bar.base, "at_high": bar.at_high}
            for bar in plan.bars
        ],
        "requests": math.fsum(month.middle for month in question.months),
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _replica(replica: Replica) -> dict[str, object]:
    cost_in, cost_out = replica.per_million(replica.cost())
    return {
        "gpu": replica.offer.name,
        "format": replica.numbers.label,
        "tp": replica.layout.tp,
        "dp": replica.layout.dp,
        "ep": replica.layout.ep,
        "prefill_gpus": replica.prefill_gpus,
        "concurrency": replica.concurrency,
        "tpot_ms": replica.tpot * 1e3,
        "tpot_low_ms": replica.low * 1e3,
        "tpot_high_ms": replica.high * 1e3,
        "ttft_ms": replica.ttft * 1e3,
        "requests_per_s": replica.requests,
        "tokens_per_s_per_gpu": replica.tokens_per_s_gpu,
        "bound": replica.bound,
        "usd_per_gpu_hour": list(replica.offer.price[:3]),
        "usd_per_million_input": cost_in,
        "usd_per_million_output": cost_out,
    }


def _fleet(fleet: Fleet) -> dict[str, object]:
    return {name: _finite(value) for name, value in fleet._asdict().items()}
