"""A claim as a report: the table of regimes, what each factor brings, and the range that the one number stands for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from tokenway.planner.claims import ENGINE, PATIENCE, Case, Claim, Factor, Regime, factors, regimes
from tokenway.planner.fleet.answer import model_source
from tokenway.planner.fleet.prices import gpu_price
from tokenway.planner.hardware import chips
from tokenway.planner.report import Cell, Report, Source, Table
from tokenway.planner.shapes import shapes

SPLIT: Final = (("deepseek-v3", 8192, 1024, 20.0), ("llama-3-70b", 8192, 1024, 20.0))
"""For which cases the factors are shown: where the claim is about, and where it is not."""


def claim_report(claim: Claim, kind: str, models: Sequence[str] = ()) -> Report:
    """The report; `models` are those that are asked for, and all of the claim otherwise."""
    asked = claim._replace(models=tuple(models)) if models else claim
    rows = list(regimes(asked, kind))
    split = [Case(*case) for case in SPLIT if case[0] in asked.models] or [
        Case(asked.models[0], *asked.lengths[-1], 20.0)
    ]
    shown = [(case, factors(asked, case, kind)) for case in split]
    names = dict.fromkeys((asked.chip, *(name for name, _ in asked.baselines)))
    return Report(
        title=f'"{claim.says}"',
        lines=tuple(_lines(claim, rows)),
        tables=(*_tables(rows), *(_factors(case, steps) for case, steps in shown)),
        inputs={
            "claim": claim.name,
            "price": kind,
            "chip": claim.chip,
            "format": claim.numbers,
            "engine": ENGINE,
            "TTFT s": PATIENCE,
        },
        sources=(
            Source("claim", "2024-03", claim.origin),
            model_source(),
            *(gpu_price(name, kind).source for name in names),
        ),
        figures={
            "regimes": [_data(row) for row in rows],
            "factors": [{**case._asdict(), "steps": [step._asdict() for step in steps]} for case, steps in shown],
        },
    )


def _lines(claim: Claim, rows: Sequence[Regime]) -> Iterable[str]:
    first = claim.baselines[0][0]
    against = [row for row in rows if row.baseline == first]
    known = sorted((row for row in against if row.per_gpu is not None), key=lambda row: row.per_gpu or 0.0)
    if not known:
        yield f"No regime has an answer for both sides: {chips()[first].title} serves none of these."
        return
    low, high = known[0], known[-1]
    yield (
        f"There is no single number: per GPU it is from {low.per_gpu:.1f} ({_told(low)}) to {high.per_gpu:.1f} times "
        f"({_told(high)}) an {chips()[first].title}."
    )
    dollars = sorted(row.per_dollar for row in known if row.per_dollar is not None)
    watts = sorted(row.per_watt for row in known if row.per_watt is not None)
    yield (
        f"Per dollar of an hour it is from {dollars[0]:.1f} to {dollars[-1]:.1f} times, per watt that the utility "
        f"provides from {watts[0]:.1f} to {watts[-1]:.1f}."
    )
    reached = [row.per_gpu for row in known if row.per_gpu is not None and row.per_gpu >= 30]
    yield f"{len(reached)} of {len(known)} regimes in which both sides can serve reach 30 times."
    wide = max(_width(row) for row in known)
    yield (
        f"The model of serving makes a ratio right to a factor of {wide:.1f} in four cases of five. The highest are "
        "where the baseline hardly reaches the speed, and there a small error makes a large one."
    )
    alone = sum(row.claimed is not None and row.base is None for row in against)
    if alone:
        yield f"In {alone} more the baseline cannot serve at that speed at all, so that there is no ratio."


def _width(row: Regime) -> float:
    """The factor of a ratio's band, where the two sides err apart."""
    sides = (side for side in (row.claimed, row.base) if side is not None)
    return math.exp(math.hypot(*(math.log(side.high / side.tpot) for side in sides)))


def _told(row: Regime) -> str:
    case = row.case
    return f"{shapes()[case.model].title}, {case.input} in, {case.output} out, {case.speed:g} tokens/s"


def _tables(rows: Sequence[Regime]) -> Iterable[Table]:
    columns = ("model", "in", "out", "tokens/s", "against", "per GPU", "per dollar", "per watt", "it", "baseline")
    by_baseline: dict[tuple[str, str], list[tuple[Cell, ...]]] = {}
    for row in rows:
        case = row.case
        cells: tuple[Cell, ...] = (
            shapes()[case.model].title,
            case.input,
            case.output,
            case.speed,
            f"{chips()[row.baseline].title} {row.numbers}",
            row.per_gpu,
            row.per_dollar,
            row.per_watt,
            None if row.claimed is None else row.claimed.tokens_per_s_gpu,
            None if row.base is None else row.base.tokens_per_s_gpu,
        )
        by_baseline.setdefault((row.baseline, row.numbers), []).append(cells)
    for (chip, numbers), cells_of in by_baseline.items():
        title = f"Against {chips()[chip].title} in {numbers}: output tokens/s per GPU, and the ratios"
        yield Table(title, columns, tuple(cells_of))


def _factors(case: Case, steps: Sequence[Factor]) -> Table:
    title = (
        f"What brings it for {shapes()[case.model].title}, {case.input} in, {case.output} out, at {case.speed:g} "
        "tokens/s: each figure is changed after those above it"
    )
    return Table(
        title,
        ("factor", "tokens/s/GPU", "times"),
        tuple((step.name, step.tokens_per_s_per_gpu, step.gain) for step in steps),
    )


def _data(row: Regime) -> dict[str, object]:
    return {
        **row.case._asdict(),
        "baseline": row.baseline,
        "baseline_format": row.numbers,
        "per_gpu": row.per_gpu,
        "per_dollar": row.per_dollar,
        "per_watt": row.per_watt,
        "tokens_per_s_per_gpu": None if row.claimed is None else row.claimed.tokens_per_s_gpu,
        "baseline_tokens_per_s_per_gpu": None if row.base is None else row.base.tokens_per_s_gpu,
    }
