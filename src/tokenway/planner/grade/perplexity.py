"""How well a model predicts a real text, with its weights in each format, beside the weights as they are.

The same tokens at the same places are predicted by all, so what is compared is the loss of one token in two formats:
much less noisy than either perplexity. Intervals are from a block bootstrap, because neighbouring tokens are not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import exp
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.blocks import Scheme
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.damage import Damage, damage
from tokenway.planner.grade.forward import LINEAR, Ids, Llama

AS_STORED: Final = "as stored"
WINDOW: Final = 512
"""Tokens that a prediction may look back on, at most."""
FEWEST: Final = 64
"""Tokens below which a perplexity says nothing."""
_AT_ONCE: Final = 128
"""Places whose whole distributions are held at once."""
_BLOCK: Final = 16
_DRAWS: Final = 2000
LEVEL: Final = 0.95


class Reading(NamedTuple):
    """What a format made of each token.

    Its loss in nats, how far the whole distribution is from that of the weights as they are (Kullback-Leibler, nats),
    and whether the most likely token is the same.
    """

    losses: Floats
    divergence: Floats
    same_top: Floats

    @property
    def perplexity(self) -> float:
        """The exponential of the mean loss."""
        return exp(float(self.losses.mean()))


class Change(NamedTuple):
    """How many times a perplexity is another, with an interval of `LEVEL`."""

    ratio: float
    low: float
    high: float

    @property
    def is_told(self) -> bool:
        """Whether the interval leaves out that they are the same."""
        return not self.low <= 1 <= self.high


class Measured(NamedTuple):
    """One pass over a text: what each format made of it, and of each tensor."""

    readings: Mapping[str, Reading]
    damages: Sequence[Damage]


Told = Callable[[str], object]


def measure(model: Llama, ids: Ids, schemes: Sequence[Scheme], tell: Told, window: int = WINDOW) -> Measured:
    """Runs the text through the model with its weights as stored and in each format, layer by layer.

    `tell` is told of each step. Raises PlanError for a text that is too short and for a model that gives no numbers.
    """
    if len(ids) < FEWEST:
        raise PlanError(f"The text has {len(ids)} tokens; a perplexity needs {FEWEST} at least.")
    window = min(window, model.sizes.context)
    cuts = [ids[at : at + window] for at in range(0, len(ids) - 1, window)]
    states = {name: [model.start(cut) for cut in cuts] for name in (AS_STORED, *(each.name for each in schemes))}
    damages = []
    for number in range(model.sizes.layers):
        layer = model.layer(number)
        states[AS_STORED] = [model.through(layer, state) for state in states[AS_STORED]]
        for scheme in schemes:
            rounded = dict(layer)
            for name in LINEAR:
                rounded[name] = scheme.restored(layer[name])
                damages.append(damage(f"blk.{number}.{name}.weight", scheme, layer[name], rounded[name]))
            states[scheme.name] = [model.through(rounded, state) for state in states[scheme.name]]
        tell(f"layer {number + 1} of {model.sizes.layers}")
    tell("predictions")
    readings = _read(model, cuts, states)
    if not np.isfinite(readings[AS_STORED].losses).all():
        raise PlanError("the model's scores are not finite: its file is damaged.")
    return Measured(readings, damages)


def _read(model: Llama, cuts: Sequence[Ids], states: Mapping[str, Sequence[Floats]]) -> dict[str, Reading]:
    head = np.ascontiguousarray(model.head().T)
    places = np.concatenate([np.arange(len(cut)) < len(cut) - 1 for cut in cuts])
    nexts = np.concatenate([np.append(cut[1:], 0) for cut in cuts])[places]
    finished = {name: model.finish(np.concatenate(list(parts)))[places] for name, parts in states.items()}
    pieces: dict[str, list[tuple[Floats, Floats, Floats]]] = {name: [] for name in states}
    for at in range(0, len(nexts), _AT_ONCE):
        here = slice(at, at + _AT_ONCE)
        stored = _log_shares(finished[AS_STORED][here] @ head)
        shares = np.exp(stored)
        for name, hidden in finished.items():
            found = stored if name == AS_STORED else _log_shares(hidden[here] @ head)
            losses = -found[np.arange(len(found)), nexts[here]]
            apart = np.einsum("ij,ij->i", shares, stored - found)
            pieces[name].append((losses, apart, (found.argmax(-1) == stored.argmax(-1)).astype(np.float32)))
    return {name: Reading(*map(np.concatenate, zip(*parts, strict=True))) for name, parts in pieces.items()}


def _log_shares(scores: Floats) -> Floats:
    scores = scores - scores.max(axis=-1, keepdims=True)
    logged: Floats = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
    return logged


def change(reading: Reading, before: Reading, chance: np.random.Generator) -> Change:
    """How many times the perplexity of `before` that of `reading` is."""
    apart = (reading.losses - before.losses).astype(np.float64)
    means = block_means(apart, chance)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Change(exp(apart.mean()), exp(low), exp(high))


def block_means(values: np.ndarray[tuple[int], np.dtype[np.float64]], chance: np.random.Generator) -> Floats:
    """Means of resampled series, drawn in blocks of neighbours that may begin anywhere (around the end as well)."""
    length = len(values)
    block = min(_BLOCK, length)
    around = np.concatenate([values, values[: block - 1]])
    sums = np.convolve(around, np.ones(block), "valid")
    draws = chance.integers(0, length, (_DRAWS, max(1, length // block)))
    found: Floats = sums[draws].mean(axis=1) / block
    return found
