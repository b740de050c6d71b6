"""`python -m benchmarks.planner` prints how far off the model of serving is; `... fit` finds its constants anew.

It needs the extra `plan`. Errors are shares of the measured time per output token; each is of points that the constants
were not found on, but for the last table, which says where the shipped constants are off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.planner.mlperf import results
from benchmarks.planner.published import figures
from tokenway.planner.hardware import chips
from tokenway.planner.serving.bands import width_that_holds
from tokenway.planner.serving.cases import Column
from tokenway.planner.serving.constants import LAST_DAY, Calibration, calibration
from tokenway.planner.serving.points import points
from tokenway.planner.serving.validation import (
    Errors,
    Mask,
    Sample,
    after_2025,
    by_one_point,
    coverage,
    errors,
    left_out,
    parts,
    sample_of,
    untouched,
    widths,
)
from tokenway.planner.shapes import shapes

DATA = Path(__file__).resolve().parents[2] / "src/tokenway/planner/data/calibration.json"
SOURCE = "InferenceX, 1,650 points of October 2025 to February 2026, as bundled with aiconfigurator 0.12.0 (Apache-2.0)"


def main() -> int:
    """Runs what the command line asks for."""
    sample = sample_of(points())
    if sys.argv[1:] == ["fit"]:
        DATA.write_text(json.dumps(written(shipped(sample)), indent=2) + "\n", encoding="utf-8")
        print(f"wrote {DATA.name}")
        return 0
    validate(sample)
    return 0


def shipped(sample: Sample) -> Calibration:
    """The calibration on all points; its widths are of points left out."""
    found = sample.found_on(np.ones(len(sample.points), bool))
    return Calibration(
        as_of=LAST_DAY.isoformat(),
        points=len(sample.points),
        source=SOURCE,
        constants=found.constants,
        first=found.first,
        widths=widths(sample),
        models=tuple(sorted({shapes()[point.model].title for point in sample.points})),
        chips=tuple(sorted({chips()[point.chip].title for point in sample.points})),
    )


def written(found: Calibration) -> dict[str, object]:
    """As it stands in the file: each constant by its name, with four digits."""
    data: dict[str, object] = msgspec.structs.asdict(found)
    for name in ("constants", "first", "widths"):
        data[name] = {key: float(f"{value:.4g}") for key, value in getattr(found, name)._asdict().items()}
    return data


def validate(sample: Sample) -> None:
    """Prints all tables."""
    every = np.ones(len(sample.points), bool)
    is_hopper = np.array([chips()[point.chip].architecture == "hopper" for point in sample.points])
    is_untouched = untouched(sample.points)
    line("found on all (no test)", sample, every, sample.by(every, sample.found_on(every))[0])
    for name, labels in (
        ("grouped, five parts", [int(part) for part in parts(sample.points)]),
        ("a model left out", [point.model for point in sample.points]),
        ("a chip left out", [point.chip for point in sample.points]),
    ):
        predicted, starts = left_out(sample, labels)
        line(name, sample, every, predicted, labels)
        to_the_first(sample, every, starts)
        if name.startswith("a model"):
            table(sample, predicted, labels)
            better, others = by_one_point(sample, predicted)
            print(f"    same points, as they are: {told(errors(sample.tpot[others], predicted[others]))}")
            print(f"    with one point measured:  {told(errors(sample.tpot[others], better[others]))}")
    line("a model and a chip left out", sample, every, both_left_out(sample))
    line("Hopper to Blackwell", sample, ~is_hopper, sample.by(~is_hopper, sample.found_on(is_hopper))[0])
    line("before 2026 to after", sample, *after_2025(sample))
    predicted, starts = sample.by(is_untouched, sample.found_on(~is_untouched))
    line("untouched third", sample, is_untouched, predicted)
    to_the_first(sample, is_untouched, starts)
    print("\nMLPerf offline, output tokens/s of a GPU")
    for result in results():
        ratio = f"x{result.ratio:.2f}"
        print(f"    {result.name:40} measured {result.measured:7.0f}, predicted {result.predicted:7.0f}, {ratio}")
    print("\nwhat operators published")
    for figure in figures():
        print(f"    {figure.name:52} measured {figure.measured:9,.4g}, predicted {figure.predicted:9,.4g}")
    print("\nshipped constants, by model, chip, engine and mode (no test)")
    predicted = sample.by(every, sample.found_on(every))[0]
    table(sample, predicted, [(p.model, p.chip, p.engine, p.mode, p.precision) for p in sample.points])


def both_left_out(sample: Sample) -> Column:
    """Predictions of each point by constants found without its model, and without its chip."""
    models, chips_of = (np.array([getattr(point, name) for point in sample.points]) for name in ("model", "chip"))
    predicted = np.zeros(len(models))
    for model, chip in sorted({(point.model, point.chip) for point in sample.points}):
        rows = (models == model) & (chips_of == chip)
        predicted[rows] = sample.by(rows, sample.found_on((models != model) & (chips_of != chip)))[0]
    return predicted


def to_the_first(sample: Sample, rows: Mask, predicted: Column) -> None:
    """Errors of the time to the first token, where it was measured."""
    measured = sample.ttft[rows]
    known = np.isfinite(measured)
    print(f"    to the first token: {told(errors(measured[known], predicted[known]))}")


def line(name: str, sample: Sample, rows: Mask, predicted: Column, labels: Sequence[Hashable] = ()) -> None:
    """One split: errors, and how many points a band held; its width from other labels, or the shipped one."""
    full = rows.all()
    measured = sample.tpot if full else sample.tpot[rows]
    if labels:
        held = coverage(sample, predicted, labels)
    else:
        held = float(np.mean(np.abs(np.log(measured / predicted)) <= calibration().widths.known))
    needs = width_that_holds(measured, predicted)
    print(f"{name}: {told(errors(measured, predicted))}, band held {100 * held:.0f} %, 80 % need x{np.exp(needs):.2f}")


def table(sample: Sample, predicted: Column, labels: Sequence[Hashable]) -> None:
    """Errors by label."""
    for label in sorted(set(labels), key=str):
        rows = np.array([each == label for each in labels])
        words = " ".join(label) if isinstance(label, tuple) else str(label)
        print(f"    {words:54} {told(errors(sample.tpot[rows], predicted[rows]))}")


def told(found: Errors) -> str:
    """Errors in one line."""
    return (
        f"{found.points:5} points, median {100 * found.median:5.1f} %, P90 {100 * found.ninth:5.1f} %, "
        f"bias {100 * found.bias:+5.1f} %"
    )


if __name__ == "__main__":
    sys.exit(main())
