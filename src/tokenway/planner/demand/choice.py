"""Which curve a series follows, by AICc, with the margin shown; 'cannot tell' where it is small.

    AICc = n log(SSE / n) + 2 p + 2 p (p + 1) / (n - p - 1)

A log-quadratic and a logistic curve contain the exponential one (no bend; a ceiling far away). They have had their
chance when the exponential is the best, and can then never be far behind it; so its margin is that to the curves that
do not contain it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.noise import likeness
from tokenway.planner.demand.series import Series
from tokenway.planner.demand.trends import (
    EXPONENTIAL,
    LINEAR,
    LOGISTIC,
    POWER,
    QUADRATIC,
    Design,
    Trend,
    candidates,
    design_of,
    fit,
    g,
)

SMALL: Final = 2.0
"""A margin below this is none (Burnham and Anderson 2002, §2.6)."""
SMALL_FOR_EXPONENTIAL: Final = 3.0
"""That demand is exponential is what is most often said wrongly. Whatever the slope of a line and its errors, the
chance of a margin m in the wrong direction is about Phi(-sqrt(m)) at most: 4 % here, and 8 % with SMALL."""
EVIDENCE_ALIKE: Final = 0.5
"""From here on it is worth telling how alike neighbours are."""
CANNOT_TELL: Final = "cannot tell"
_CONTAINS: Final = {EXPONENTIAL: (QUADRATIC, LOGISTIC)}
_POINTS_FOR_LIKENESS: Final = 28
"""With fewer points the likeness of neighbours is too uncertain to count with."""
_SAID: Final = {
    EXPONENTIAL: "exponential: it grows by the same part in equal times",
    LINEAR: "linear: it grows by the same amount in equal times",
    POWER: "a power of time: ever slower than exponential",
    LOGISTIC: "logistic: it nears a ceiling",
}


class Choice(NamedTuple):
    """The curves by their AICc, the best first.

    `behind` is how far each is behind the best; `margin` how far the best rival is that says something else. With many
    counts whose neighbours are alike (`likeness`) each tells less than a count by itself: differences are then larger
    by `inflation` than they should be.
    """

    trends: tuple[Trend, ...]
    behind: Mapping[str, float]
    margin: float
    likeness: float
    inflation: float
    design: Design

    @property
    def best(self) -> Trend:
        """The curve with the lowest AICc."""
        return self.trends[0]

    @property
    def small(self) -> float:
        """What the margin has to be for a verdict."""
        return (SMALL_FOR_EXPONENTIAL if self.best.name == EXPONENTIAL else SMALL) * self.inflation

    @property
    def verdict(self) -> str:
        """What the series follows, or that one cannot tell."""
        return self.best.name if self.margin >= self.small else CANNOT_TELL

    @property
    def rivals(self) -> list[str]:
        """Those that cannot be told from the best one, with it."""
        return [trend.name for trend in self.trends if self.behind[trend.name] < self.small]

    @property
    def weights(self) -> dict[str, float]:
        """How much each curve has to say in a forecast: Akaike weights."""
        raw = {name: math.exp(-0.5 * behind / self.inflation) for name, behind in self.behind.items()}
        total = sum(raw.values())
        return {name: weight / total for name, weight in raw.items()}

    def trend(self, name: str) -> Trend:
        """The fitted curve of this name."""
        return next(each for each in self.trends if each.name == name)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.verdict == CANNOT_TELL:
            said = " or ".join(self.rivals) if len(self.rivals) > 1 else self.best.name
            return f"Cannot tell which curve it follows: {said} (margin {self.margin:.1f}, {self.small:.1f} is needed)."
        said = _SAID.get(self.best.name) or _quadratic(self.best)
        if self.best.name == EXPONENTIAL and self.best.shape[0] < 0:
            said = "exponential decline: it shrinks by the same part in equal times"
        return f"It is {said} (AICc margin {self.margin:.1f} to what says otherwise)."


def _quadratic(trend: Trend) -> str:
    bend = "accelerating: its rate of growth rises" if trend.shape[1] > 0 else "slowing: its rate of growth falls"
    return f"log-quadratic, {bend}"


def aicc(trend: Trend) -> float:
    """Akaike's criterion for small samples; infinite where there are too few points for so many parameters."""
    count, many = len(trend.errors), trend.parameters
    if count - many - 1 <= 0:
        return math.inf
    spread = max(trend.sse / count, 1e-18)
    return count * math.log(spread) + 2 * many + 2 * many * (many + 1) / (count - many - 1)


def choose(series: Series) -> Choice:
    """Fits all curves that the series is long enough for and compares them."""
    logs, design = series.logs, design_of(series)
    found = {name: fit(name, logs, design) for name in candidates(series)}
    scores = {name: aicc(trend) for name, trend in found.items()}
    names = sorted(found, key=scores.__getitem__)
    best = names[0]
    behind = {name: scores[name] - scores[best] for name in names}
    others = [behind[name] for name in names if name != best and name not in _CONTAINS.get(best, ())]
    alike = likeness(found[best].errors, design.at, found[best].parameters)
    is_known = len(logs) >= _POINTS_FOR_LIKENESS
    inflation = (1 + alike) / (1 - alike) if is_known else 1.0
    return Choice(tuple(found[name] for name in names), behind, min(others), alike, inflation, design)


def latest(choice: Choice) -> float:
    """The rate at which the logarithm grows at the end of the series, per period: of all curves by their weights."""
    span, weights = choice.design.span, choice.weights
    ends = np.array([span * (1 - 1e-4), span])
    paces = {t.name: np.diff(g(t.name, t.shape[None, :], ends, span)[0])[0] / (span * 1e-4) for t in choice.trends}
    return float(sum(weights[name] * pace for name, pace in paces.items()))


def bend(choice: Choice) -> float:
    """The rate of growth at the end less that at the beginning, by the log-quadratic curve, per period."""
    trend = choice.trend(QUADRATIC)
    return float(2 * trend.shape[1] * choice.design.span)
