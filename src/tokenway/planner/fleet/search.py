"""The cheapest replica that keeps the targets: over chips, formats, layouts, batch, and prefill apart or not.

Every layout is asked at many concurrencies at once; of each the highest that keeps the targets is kept, because a
larger batch is cheaper and slower. What a replica may be given in the peak hour is then for the simulation to say
(`tails`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.prices import GpuPrice
from tokenway.planner.fleet.workload import Mix, Targets
from tokenway.planner.formats import Numbers
from tokenway.planner.hardware import Chip
from tokenway.planner.serving.cases import spread
from tokenway.planner.serving.deployment import Deployment, Load, Pool
from tokenway.planner.serving.predict import Predictions, predict_all
from tokenway.planner.serving.timing import BOUNDS
from tokenway.planner.shapes import Shape

SIZES: Final = (1, 2, 4, 8, 16, 32, 48, 64, 72, 96, 128)
"""How many chips a worker has at most; only sizes that a domain holds, or whole domains."""
BEYOND: Final = 2
"""Over how many domains a worker may stretch."""
TENSOR_MAX: Final = 16
STEPS: Final = 40
"""Concurrencies that are tried of a layout."""
BATCH_MAX: Final = 4096.0
PREFILL: Final = BOUNDS.index("prefill")
PREFILL_BUSY: Final = 0.7
"""The share of the time for which chips that only prefill do so."""
HOUR: Final = 3600.0
MILLION: Final = 1e6


class Offer(NamedTuple):
    """A chip that may be had: its name, its figures, and what an hour of it costs."""

    name: str
    chip: Chip
    price: GpuPrice


class Layout(NamedTuple):
    """How a worker's chips share a model, as in `serving.deployment.Pool`."""

    tp: int
    dp: int
    ep: int

    @property
    def chips(self) -> int:
        """Chips of one worker."""
        return self.tp * self.dp

    @property
    def label(self) -> str:
        """`TP8`, `DP32 EP32`."""
        parts = (("TP", self.tp), ("DP", self.dp), ("EP", self.ep))
        return " ".join(f"{name}{degree}" for name, degree in parts if degree > 1) or "TP1"


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve a model, at the most concurrency that keeps the targets.

    Times are seconds. `gpus` are those of one worker with its share of the chips that prefill, so it may be a fraction;
    `requests` is what it does in a second at that concurrency. `low` and `high` are the ends of the speed's band.
    """

    offer: Offer
    numbers: Numbers
    layout: Layout
    prefill_gpus: float
    concurrency: float
    most: float
    tpot: float
    low: float
    high: float
    ttft: float
    requests: float
    prefill_share: float
    bound: str
    mix: Mix

    @property
    def gpus(self) -> float:
        """Chips that it takes."""
        return self.layout.chips + self.prefill_gpus

    @property
    def speed(self) -> float:
        """Tokens/s that a caller gets."""
        return 1.0 / self.tpot

    @property
    def tokens_per_s_gpu(self) -> float:
        """Output tokens/s and chip."""
        return self.requests * self.mix.output / self.gpus

    def cost(self, usd_per_hour: float | None = None) -> float:
        """Dollars for a request, busy all the time; by another price than the middle of its range, if one is given."""
        price = self.offer.price.middle if usd_per_hour is None else usd_per_hour
        return self.gpus * price / HOUR / self.requests

    def per_million(self, usd_per_request: float) -> tuple[float, float]:
        """Dollars for a million tokens of input and of output, by the time that prefill and decoding take."""
        first, rest = usd_per_request * self.prefill_share, usd_per_request * (1.0 - self.prefill_share)
        return first / self.mix.input * MILLION, rest / self.mix.output * MILLION


class Found(NamedTuple):
    """What a search has found: replicas that keep the targets, the cheapest first; or what stands in the way."""

    replicas: list[Replica]
    reasons: list[str]


def layouts(shape: Shape, chip: Chip) -> Iterator[Layout]:
    """The ways in which engines lay a model out: by tensors, by tensors and experts, attention by data and experts."""
    for size in SIZES:
        if size > chip.domain and (size % chip.domain or size > BEYOND * chip.domain):
            continue
        if size <= TENSOR_MAX and shape.heads % size == 0:
            yield Layout(size, 1, 1)
            if shape.experts and size > 1 and shape.experts % size == 0:
                yield Layout(size, 1, size)
        if shape.experts and size > 1:
            for tp in (1, 2, 4, 8):
                if size % tp == 0 and size > tp and shape.heads % tp == 0:
                    yield Layout(tp, size // tp, size)


def search(
    shape: Shape, mix: Mix, targets: Targets, offers: Iterable[Offer], formats: Iterable[Numbers], engine: str = "vllm"
) -> Found:
    """All layouts that keep the targets by the means of the model, the cheapest first.

    Raises PlanError where nothing is to be searched.
    """
    pairs = list(itertools.product(offers, formats))
    if not pairs:
        raise PlanError("There is nothing to search: a GPU and a number format are needed.")
    found: list[Replica] = []
    misses: list[_Miss] = []
    for (offer, numbers), apart in itertools.product(pairs, (False, True)):
        sweep = _Sweep(shape, mix, offer, numbers, engine, apart)
        guess = sweep.ask()
        found += sweep.keeping(guess, targets)
        misses.append(_miss(offer, numbers, guess))
    found.sort(key=Replica.cost)
    return Found(found, [] if found else _reasons(shape, misses, targets))


class _Miss(NamedTuple):
    """The best that one pair of chip and format comes to, where it does not keep the targets."""

    chip: str
    numbers: str
    memory: float
    """Requests that the largest layout holds beside the weights; below 1 it does not fit."""
    speed: float
    ttft: float


class _Sweep:
    """All layouts of a model in a format on a chip, at all concurrencies; the layouts one after the other."""

    def __init__(self, shape: Shape, mix: Mix, offer: Offer, numbers: Numbers, engine: str, apart: bool) -> None:  # noqa: FBT001 - one of six facts
        self._mix, self._offer, self._numbers, self._apart = mix, offer, numbers, apart
        self._ways = list(layouts(shape, offer.chip))
        columns = {name: np.repeat([getattr(way, name) for way in self._ways], STEPS) for name in Layout._fields}
        if apart:
            # Chips that prefill are laid out as those that decode, and as many of them are taken as are needed.
            columns["prefill_gpus"] = columns["tp"] * columns["dp"]
        pool = Pool()
        deployment = Deployment(
            shape=shape,
            chip=offer.chip,
            numbers=numbers,
            pool=pool,
            prefill=pool if apart else None,
            engine=engine,
        )
        load = Load(input=mix.input, output=mix.output, concurrency=1.0, cached=mix.cached)
        batches = np.tile(np.geomspace(1.0, BATCH_MAX, STEPS), len(self._ways))
        self._cases = spread(deployment, load, **columns, concurrency=batches)

    def ask(self) -> Predictions:
        """What the model of serving says."""
        return predict_all(self._cases)

    def keeping(self, guess: Predictions, targets: Targets) -> Iterator[Replica]:
        """Of each layout the highest concurrency that keeps the targets."""
        keeps = guess.fits & (guess.tokens_per_s_user >= targets.speed) & (guess.ttft <= targets.ttft)
        # Beyond what memory holds a request only waits.
        keeps &= self._cases.concurrency <= np.maximum(guess.most, 1.0)
        for n, way in enumerate(self._ways):
            row = np.flatnonzero(keeps[n * STEPS : (n + 1) * STEPS])
            if row.size:
                yield self._replica(way, guess, n * STEPS + int(row[-1]), float(guess.ttft[n * STEPS]))

    def _replica(self, way: Layout, guess: Predictions, at: int, prefill: float) -> Replica:
        tpot, running = float(guess.tpot[at]), float(guess.running[at])
        requests = running / (tpot * self._mix.output) if self._apart else float(guess.requests_per_s[at])
        gpus = requests * prefill / PREFILL_BUSY * way.chips if self._apart else 0.0
        shares = guess.shares[:, at]
        return Replica(
            offer=self._offer,
            numbers=self._numbers,
            layout=way,
            prefill_gpus=gpus,
            concurrency=running,
            most=float(guess.most[at]),
            tpot=tpot,
            low=float(guess.low[at]),
            high=float(guess.high[at]),
            ttft=float(guess.ttft[at]),
            requests=requests,
            prefill_share=gpus / (gpus + way.chips) if self._apart else float(shares[PREFILL]),
            bound=BOUNDS[int(np.argmax(shares))],
            mix=self._mix,
        )


def _miss(offer: Offer, numbers: Numbers, guess: Predictions) -> _Miss:
    fits = guess.fits
    speed = float(guess.tokens_per_s_user[fits].max()) if fits.any() else 0.0
    ttft = float(guess.ttft[fits].min()) if fits.any() else float("inf")
    return _Miss(offer.name, numbers.label, float(guess.most.max()), speed, ttft)


def _reasons(shape: Shape, misses: list[_Miss], targets: Targets) -> list[str]:
    """Which bound breaks, and by how much."""
    holding = [miss for miss in misses if miss.speed > 0]
    if not holding:
        names = ", ".join(sorted({f"{miss.chip} in {miss.numbers}" for miss in misses}))
        return [
            f"{shape.title} does not fit in any layout of {names}; fewer bits, or chips with more memory, would do."
        ]
    reasons = []
    fastest = max(holding, key=lambda miss: miss.speed)
    if fastest.speed < targets.speed:
        reasons.append(
            f"No layout reaches {targets.speed:g} tokens/s for a caller: the fastest is {fastest.chip} in "
            f"{fastest.numbers} with {fastest.speed:.1f}, {targets.speed / fastest.speed:.2f} times too slow."
        )
    soonest = min(holding, key=lambda miss: miss.ttft)
    if soonest.ttft > targets.ttft:
        reasons.append(
            f"No layout has a first token after {targets.ttft:g} s: the soonest is {soonest.chip} in "
            f"{soonest.numbers} with {soonest.ttft:.2f} s, {soonest.ttft / targets.ttft:.2f} times too late."
        )
    both = (
        f"Each target can be kept, but not both at once: {fastest.speed:.1f} tokens/s ({fastest.chip}, "
        f"{fastest.numbers}), {soonest.ttft:.2f} s to the first token ({soonest.chip}, {soonest.numbers})."
    )
    return reasons or [both]
