"""Curves that demand may follow, each fitted to the logarithms of the counts.

    log count = level of the weekday + g(t) + error

so the errors are relative ones, and the curves can be compared by one likelihood. With t in periods from the first
value and T the last: linear g = log(1 + (e^u - 1) t/T), where u is the log of last to first; exponential g = s t;
log-quadratic g = s t + c t^2; power g = p log(1 + t); logistic g = -log(1 + e^(-k (t - m))).

Exponential, log-quadratic and power are straight lines in their parameters. The other two are searched for on a grid
that closes in, with the levels taken out of both sides beforehand, so no start value can lead astray.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.series import DAY, Floats, Places, Series

LINEAR: Final = "linear"
EXPONENTIAL: Final = "exponential"
QUADRATIC: Final = "log-quadratic"
POWER: Final = "power"
LOGISTIC: Final = "logistic"

_WEEKDAYS: Final = 7
_WEEKS_FOR_WEEKDAYS: Final = 3
_LOGISTIC_DAYS: Final = 60
_LOGISTIC_POINTS: Final = 20
_LEAST_PART: Final = 1e-4
"""A line that falls does not fall below this part of where it began."""
_U: Final = (-5.0, 9.0)
_MIDPOINT: Final = (-0.5, 1.5)
_STEEPNESS: Final = (0.0, 4.2)
"""Of the logistic: the midpoint in parts of the span, and the log of k T."""


class Trend(NamedTuple):
    """A curve as it was fitted: the levels (one, or one for each weekday), the parameters of g, and the errors."""

    name: str
    levels: Floats
    shape: Floats
    errors: Floats
    parameters: int

    @property
    def sse(self) -> float:
        """The sum of the squares of the errors."""
        return float(self.errors @ self.errors)


class Design(NamedTuple):
    """What all curves share: the places, the span, and the columns of levels."""

    at: Floats
    span: float
    levels: Floats

    @property
    def projector(self) -> Floats:
        """An orthonormal basis of the levels, to take them out of something."""
        found: Floats = np.linalg.qr(self.levels)[0]
        return found


def design_of(series: Series) -> Design:
    """The places of a series and its levels: by weekday from three weeks of days on."""
    count = len(series.at)
    has_weekdays = series.period is DAY and series.span + 1 >= _WEEKS_FOR_WEEKDAYS * _WEEKDAYS
    if has_weekdays and len({each.weekday() for each in series.dates}) == _WEEKDAYS:
        return Design(series.at, series.span, levels_of(np.array([each.weekday() for each in series.dates])))
    return Design(series.at, series.span, np.ones((count, 1)))


def levels_of(weekdays: Places) -> Floats:
    """A column for each weekday."""
    found: Floats = (weekdays[:, None] == np.arange(_WEEKDAYS)[None, :]).astype(float)
    return found


def candidates(series: Series) -> list[str]:
    """The curves that a series is long enough for; a logistic takes sixty days."""
    names = [LINEAR, EXPONENTIAL, QUADRATIC, POWER]
    is_day = series.period is DAY
    if (series.span + 1 >= _LOGISTIC_DAYS) if is_day else (len(series.at) >= _LOGISTIC_POINTS):
        names.append(LOGISTIC)
    return names


def g(name: str, shape: Floats, t: Floats, span: float) -> Floats:
    """G of a curve at these places, a row for each row of parameters in `shape` (draws x parameters).

    `t` may have a row for each draw. A log-quadratic goes on beyond the span with the slope that it has there: no
    acceleration is trusted to last.
    """
    t = np.atleast_2d(t)
    columns = [shape[:, number, None] for number in range(shape.shape[1])]
    if name == EXPONENTIAL:
        found = columns[0] * t
    elif name == QUADRATIC:
        inside, beyond = np.minimum(t, span), np.maximum(t - span, 0.0)
        slope, bend = columns
        found = slope * inside + bend * inside**2 + (slope + 2 * bend * span) * beyond
    elif name == POWER:
        found = columns[0] * np.log1p(t)
    elif name == LINEAR:
        found = np.log(np.maximum(1.0 + np.expm1(columns[0]) * t / span, _LEAST_PART))
    else:
        middle, steep = columns
        # Both are in parts of the span.
        found = -np.logaddexp(0.0, -np.exp(steep) * (t / span - middle))
    wide: Floats = np.broadcast_to(found, np.broadcast_shapes(found.shape, (shape.shape[0], 1)))
    return wide


def fit(name: str, logs: Floats, design: Design) -> Trend:
    """The curve of this name through the logarithms of counts, by least squares."""
    t, span = design.at, design.span
    straight = {EXPONENTIAL: (t,), QUADRATIC: (t, t * t), POWER: (np.log1p(t),)}.get(name)
    if straight is not None:
        columns = np.column_stack([design.levels, *straight])
        found = np.linalg.lstsq(columns, logs, rcond=None)[0]
        levels, shape = found[: -len(straight)], found[-len(straight) :]
    else:
        shape = _searched(name, logs, design)
        rest = logs - g(name, shape[None, :], t, span)[0]
        levels = np.linalg.lstsq(design.levels, rest, rcond=None)[0]
    errors = logs - design.levels @ levels - g(name, shape[None, :], t, span)[0]
    return Trend(name, levels, shape, errors, len(levels) + len(shape) + 1)


def best_of(name: str, logs: Floats, design: Design, grid: Floats) -> Floats:
    """For each row of `logs`, the row of `grid` (parameters) with which the curve comes nearest to it."""
    basis = design.projector
    shapes = g(name, grid, design.at, design.span)
    shapes = shapes - (shapes @ basis) @ basis.T
    norms = np.einsum("ij,ij->i", shapes, shapes)
    rest = logs - (logs @ basis) @ basis.T
    # |rest - shape|^2 without |rest|^2, which is the same for all.
    found: Floats = grid[np.argmin(norms[None, :] - 2.0 * rest @ shapes.T, axis=1)]
    return found


def _searched(name: str, logs: Floats, design: Design) -> Floats:
    ranges, counts = ([_U], (29,)) if name == LINEAR else ([_MIDPOINT, _STEEPNESS], (17, 15))
    steps = np.array([(high - low) / (count - 1) for (low, high), count in zip(ranges, counts, strict=True)])
    grid = _grid([np.linspace(low, high, count) for (low, high), count in zip(ranges, counts, strict=True)])
    found: Floats = best_of(name, logs[None, :], design, grid)[0]
    for _ in range(7):
        axes = [
            np.clip(middle + step * np.linspace(-1, 1, 7), low, high)
            for middle, step, (low, high) in zip(found, steps, ranges, strict=True)
        ]
        found = best_of(name, logs[None, :], design, _grid(axes))[0]
        steps /= 2.5
    return found


def _grid(axes: list[Floats]) -> Floats:
    found: Floats = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return found


def near(trend: Trend, spread: Floats, per_axis: int = 15) -> Floats:
    """A grid of parameters around a fitted curve of the two that are searched for, so many spreads wide."""
    ranges = [_U] if trend.name == LINEAR else [_MIDPOINT, _STEEPNESS]
    axes = [
        np.clip(middle + 3.5 * each * np.linspace(-1, 1, per_axis), low, high)
        for middle, each, (low, high) in zip(trend.shape, spread, ranges, strict=True)
    ]
    return _grid(axes)
