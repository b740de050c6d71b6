"""What is random in a series, drawn anew: a block bootstrap of its errors.

Errors of neighbours are alike. What one error has from the one before it (a part, `likeness`) is taken out first; what
is left is drawn in blocks, of a week for days, so that what hangs together beyond that stays together; then the
likeness is put back.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.series import Floats, Places

_MOST: Final = 0.95
_WARM_UP: Final = 30
BLOCK_DAYS: Final = 7


class Noise(NamedTuple):
    """Errors of one period: how alike neighbours are, and what is new in each.

    A line takes what is slow in the errors away with it, as much as two blocks have; `slack` makes up for that where
    lines are fitted to what is drawn.
    """

    likeness: float
    fresh: Floats
    block: int
    slack: float = 1.0

    def draw(self, draws: int, length: int, generator: np.random.Generator) -> Floats:
        """Errors of a whole series of so many periods, to fit to; a row for each draw."""
        fresh = self.draw_fresh(draws, length + _WARM_UP, generator)
        return self.slack * _added_up(fresh, np.zeros(draws), self.likeness)[:, _WARM_UP:]

    def draw_after(self, last: Floats, length: int, generator: np.random.Generator) -> Floats:
        """Errors of the periods that follow the last ones (one for each draw)."""
        return _added_up(self.draw_fresh(len(last), length, generator), last, self.likeness)

    def draw_fresh(self, draws: int, length: int, generator: np.random.Generator) -> Floats:
        """What is new in each period, in blocks that go on from the end to the beginning."""
        count = len(self.fresh)
        blocks = -(-length // self.block)
        starts = generator.integers(0, count, size=(draws, blocks))
        places = (starts[:, :, None] + np.arange(self.block)[None, None, :]).reshape(draws, -1)[:, :length]
        found: Floats = self.fresh[places % count]
        return found


def likeness(errors: Floats, at: Floats, parameters: int) -> float:
    """The correlation of neighbours, with what fitting takes off it put back (Kendall 1954 for the trend's part)."""
    first, second = _neighbours(at)
    total = float(errors @ errors)
    if len(first) < 5 or total <= 0:
        return 0.0
    raw = float(errors[first] @ errors[second]) / total * len(errors) / len(first)
    count = len(errors)
    return float(np.clip(raw + (2 + 4 * raw) / count, 0.0, _MOST)) if parameters < count else 0.0


def noise_of(errors: Floats, at: Floats, parameters: int, *, block: int) -> Noise:
    """The noise of a series with these errors around a curve with so many parameters."""
    alike = likeness(errors, at, parameters)
    first, second = _neighbours(at)
    # A fit comes nearer to its points than the truth does, by this much.
    scaled = errors * np.sqrt(len(errors) / max(len(errors) - parameters, 1))
    fresh = scaled[second] - alike * scaled[first] if len(first) >= 5 else scaled
    blocks = max(len(errors) / block, 4.0)
    return Noise(alike, fresh - fresh.mean(), block, float(np.sqrt(blocks / (blocks - 2))))


def _neighbours(at: Floats) -> tuple[Places, Places]:
    first = np.flatnonzero(np.diff(at) == 1)
    return first, first + 1


def _added_up(fresh: Floats, last: Floats, alike: float) -> Floats:
    if not alike:
        return fresh
    found = np.empty_like(fresh)
    for place in range(fresh.shape[1]):
        last = alike * last + fresh[:, place]
        found[:, place] = last
    return found
