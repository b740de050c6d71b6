"""MLPerf's offline results beside the most that the model of serving says a GPU does.

`mlperf_offline.csv` has the closed division's rows of rounds v4.1, v5.1 and v6.0 whose number of GPUs is known. Lengths
are the means of the data sets as MLCommons describes them; for gpt-oss none are told, so its row is not among them.
"""

from __future__ import annotations

import csv
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tokenway.planner.formats import numbers_of
from tokenway.planner.hardware import chip_of
from tokenway.planner.serving.deployment import Deployment, Load, Pool
from tokenway.planner.serving.pareto import curve, sweep
from tokenway.planner.shapes import shape_of

FILE: Final = Path(__file__).with_name("mlperf_offline.csv")
ROUNDS: Final = {"v4.1": date(2024, 8, 28), "v5.1": date(2025, 9, 9), "v6.0": date(2026, 4, 1)}
"""When the results of a round came out."""


class Result(NamedTuple):
    """One row: output tokens/s of a GPU as measured and as predicted."""

    name: str
    measured: float
    predicted: float

    @property
    def ratio(self) -> float:
        """Predicted by measured."""
        return self.predicted / self.measured


def results() -> list[Result]:
    """All rows in the order of the file."""
    found = []
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            lengths = float(row["input"]), float(row["output"])
            most = _most(row["model"], row["chip"], row["format"], *lengths, ROUNDS[row["round"]])
            name = f"{row['round']} {row['model']} {row['chip']} {row['format']}"
            found.append(Result(name, float(row["tokens_per_s"]) / float(row["gpus"]), most))
    return found


@cache
def _most(model: str, chip: str, numbers: str, input_: float, output: float, released: date) -> float:
    """The most tokens/s of a GPU over layouts and batches, with the fastest engine of that day."""
    deployment = Deployment(
        shape=shape_of(model)[1],
        chip=chip_of(chip)[1],
        numbers=numbers_of(numbers),
        pool=Pool(),
        engine="trtllm",
        released=released,
    )
    found = curve(sweep(deployment, Load(input=input_, output=output, concurrency=1)).found)
    return float(found.gpu.max()) if len(found.gpu) else 0.0
