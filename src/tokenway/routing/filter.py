"""A quantity that drifts and depends on two others, followed from noisy observations of it.

    y = level + first * f1 + second * f2 + noise

is a linear prediction whose three coefficients wander. A Kalman filter (R. E. Kalman, 1960; for regressions whose
coefficients change, Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter", 1989, ch. 3) keeps
their means and covariances in nine numbers, so that an observation costs the same whatever came before it, and knows
at any time how uncertain it is. Four things are particular here:

* Noise and ignorance are shares of the quantity itself: twice as long a time scatters twice as much.
* Between observations the covariance goes back towards ignorance, by half in `HALF_LIFE` seconds: what nobody has
  looked at for long is not known any more, and worth a look.
* The level goes back as well, towards what it is in the long run: an endpoint that was left while it was slow is not
  slow for ever.
* An observation far off the prediction is held back the first time, and believed when the next one says the same:
  one stray answer changes little, a collapse is seen with the second.
"""

from __future__ import annotations

from math import exp2, log, log2, sqrt
from typing import Final

HALF_LIFE: Final = 900.0
"""Seconds without observations in which half of the way back to ignorance is gone."""
SCATTER: Final = 0.3
"""Standard deviation of one observation, as a share of what is predicted."""
IGNORANCE: Final = (0.3, 0.5, 0.3)
"""Standard deviations of the coefficients where nothing was seen, as shares of the level (or of their usual size)."""
REVERT: Final = 1800.0
"""Seconds without observations in which the level is half-way back to what it is in the long run."""
LONG: Final = 3600.0
"""Half-life of what the long run remembers, in seconds."""
GAP: Final = 60.0
"""Seconds for which one observation counts in the long run at most: that nobody looked does not make it last."""
STRAY: Final = 3.0
"""Standard deviations beyond which an observation is held back at first."""
LEAST: Final = 1e-6
"""The least level and the least prediction: a time that is not positive is no time."""


class Filter:
    """Follows one quantity. Times are seconds of any clock that all callers share."""

    __slots__ = ("_long", "_p", "_streak", "_usual1", "at", "level", "seen", "slope1", "slope2")

    def __init__(self, level: float, slope1: float) -> None:
        """`level` and `slope1` are the guesses before anything was seen."""
        self.level = level
        self.slope1 = slope1
        self.slope2 = 0.0
        self.seen = 0.0
        """Weight of all observations so far."""
        self.at = 0.0
        self._usual1 = slope1
        self._long = 0.0
        self._p = self._ignorance()
        self._streak = 0

    def predict(self, f1: float, f2: float, now: float = 0.0) -> float:
        """What is expected, with these features."""
        return max(LEAST, self._level(now) + self.slope1 * f1 + self.slope2 * f2)

    def _level(self, now: float) -> float:
        """The level, back towards the long run's the longer nothing was seen."""
        if not self._long or now <= self.at:
            return self.level
        return self._long * exp2(log2(self.level / self._long) * exp2((self.at - now) / REVERT))

    def variance(self, f1: float, f2: float, now: float) -> float:
        """How uncertain the expectation itself is, as a variance; the scatter of single observations is not in it."""
        aa, ab, ac, bb, bc, cc = self._p
        known = aa + f1 * (2.0 * ab + f1 * bb + 2.0 * f2 * bc) + f2 * (2.0 * ac + f2 * cc)
        keep = exp2((self.at - now) / HALF_LIFE) if now > self.at else 1.0
        if keep < 1.0:
            ia, _, _, ib, _, ic = self._ignorance()
            known = keep * known + (1.0 - keep) * (ia + f1 * f1 * ib + f2 * f2 * ic)
        return max(0.0, known)

    def observe(self, y: float, f1: float, f2: float, now: float, weight: float = 1.0) -> None:
        """Takes in an observation that stands for `weight` of them."""
        self._forget(now)
        aa, ab, ac, bb, bc, cc = self._p
        expected = self.predict(f1, f2, now)
        # P·φ, and the variance of what is observed.
        ga, gb, gc = aa + ab * f1 + ac * f2, ab + bb * f1 + bc * f2, ac + bc * f1 + cc * f2
        known = ga + gb * f1 + gc * f2
        noise = (SCATTER * expected) ** 2 / weight
        error = y - expected
        # How far off it is as a factor: half as long is as odd as twice as long.
        off = abs(log(max(LEAST, y) / expected))
        stray = off / sqrt(known / (expected * expected) + SCATTER * SCATTER) / STRAY
        if stray > 1.0 and self.seen:
            sign = 1 if error > 0 else -1
            again = self._streak * sign > 0
            self._streak = self._streak + sign if again else sign
            if again:  # it has moved: what was known of it is not
                self._p = aa, ab, ac, bb, bc, cc = self._ignorance(max(y, self.level))
                ga, gb, gc = aa + ab * f1 + ac * f2, ab + bb * f1 + bc * f2, ac + bc * f1 + cc * f2
                known = ga + gb * f1 + gc * f2
                noise = (SCATTER * max(y, expected)) ** 2 / weight
            else:
                noise *= stray * stray
        else:
            self._streak = 0
        gain = 1.0 / (known + noise)
        step = error * gain
        self.level = max(LEAST, self.level + ga * step)
        self.slope1 = max(0.0, self.slope1 + gb * step)
        self.slope2 = max(0.0, self.slope2 + gc * step)
        self._p = (
            aa - ga * ga * gain,
            ab - ga * gb * gain,
            ac - ga * gc * gain,
            bb - gb * gb * gain,
            bc - gb * gc * gain,
            cc - gc * gc * gain,
        )
        self.seen += weight

    def _forget(self, now: float) -> None:
        if now <= self.at:
            return
        keep = exp2((self.at - now) / HALF_LIFE) if self.at else 1.0
        if self.at:
            lasts = exp2(-min(now - self.at, GAP) / LONG) if self._long else 0.0
            self._long = self.level * (self._long / self.level) ** lasts if lasts else self.level
            self.level = self._level(now)
        self.at = now
        lost = 1.0 - keep
        aa, ab, ac, bb, bc, cc = self._p
        ia, _, _, ib, _, ic = self._ignorance()
        self._p = (
            keep * aa + lost * ia,
            keep * ab,
            keep * ac,
            keep * bb + lost * ib,
            keep * bc,
            keep * cc + lost * ic,
        )

    def _ignorance(self, level: float = 0.0) -> tuple[float, float, float, float, float, float]:
        """The covariance where nothing is known: a share of the level, or of `level` where that is more."""
        size = max(self.level, level)
        a, b, c = IGNORANCE
        return (a * size) ** 2, 0.0, 0.0, (b * max(self._usual1, self.slope1)) ** 2, 0.0, (c * size) ** 2
