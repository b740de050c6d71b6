"""Measurements of one's own: by how much predictions for a chip and format have to be multiplied."""

from __future__ import annotations

import statistics

from tokenway.planner.errors import PlanError
from tokenway.planner.serving.points import points_in
from tokenway.planner.serving.predict import Measured, measured_by


def factors(text: str, model: str) -> dict[tuple[str, str], Measured]:
    """The factors by chip and format of the rows of a file that are about a model; the median of several.

    Columns are those of `tokenway plan predict`, with `tpot_ms`. Raises PlanError for a row that cannot be read, and
    where none is about the model.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for point in points_in(text):
        if point.model == model:
            place = (point.chip, point.deployment.numbers.label)
            found.setdefault(place, []).append(measured_by(point.deployment, point.load, point.tpot).factor)
    if not found:
        raise PlanError(f"No row of the measurements is about {model}.")
    return {place: Measured(statistics.median(values)) for place, values in found.items()}
