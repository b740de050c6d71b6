"""How sure a prediction is: the width of the band that holds four measurements of five.

Widths are those that predictions of left-out points had: of other groups of points for what the calibration knows, of
whole models and whole chips left out for what it does not. Engines that are newer than the calibration make it wider,
by what they did in its last months. They are logarithms: half and double are alike far off.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from tokenway.planner.serving.cases import Cases, Column
from tokenway.planner.serving.constants import Widths, quarters_of

HELD: Final = 0.8
"""The share of measurements that the band holds."""


def width_of(cases: Cases, widths: Widths, *, is_measured: bool = False) -> Column:
    """Log of the ratio between the prediction and either end of the band."""
    if is_measured:
        return np.full(np.shape(cases.concurrency), widths.measured)
    model, chip = cases.facts.new_model > 0, cases.facts.new_chip > 0
    new = np.where(model & chip, widths.new_both, np.where(model, widths.new_model, widths.new_chip))
    width = np.where(model | chip, new, widths.known)
    is_newer = cases.quarters >= quarters_of(None)
    return np.where(is_newer, np.hypot(width, widths.drift), width)


def width_that_holds(measured: Column, predicted: Column, share: float = HELD) -> float:
    """The width within which that share of measurements was."""
    return float(np.quantile(np.abs(np.log(measured / predicted)), share))
