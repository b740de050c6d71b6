"""The cheapest replica that keeps the targets: over chips, formats, layouts, batch, and prefill apart or not.

Every layout is asked at many concurrencies at once; of each the highest that keeps the targets is kept, because a
larger batch is cheaper and slower. What a replica may be given in the peak hour is then for the simulation to say
(`tails`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.prices import Capital, GpuPrice
from tokenway.planner.fleet.workload import Mix, Targets
from tokenway.planner.formats import FORMATS, Numbers, default_numbers
from tokenway.planner.hardware import GIGA, Chip
from tokenway.planner.serving.deployment import Deployment, Draft, Load, Pool
from tokenway.planner.serving.pareto import Sweep, layouts, sweep
from tokenway.planner.serving.predict import Measured
from tokenway.planner.serving.timing import BOUNDS
from tokenway.planner.shapes import Shape

BEYOND: Final = 2
"""Over how many domains a worker may stretch: a model that one does not hold has to."""
BATCHES: Final = tuple(np.geomspace(1.0, 4096.0, 40))
"""Concurrencies per worker that are tried of a layout."""
PREFILL: Final = BOUNDS.index("prefill")
HOUR: Final = 3600.0
MILLION: Final = 1e6


class Served(NamedTuple):
    """What is served, and how: the model, the engine, speculative decoding, and what was measured of one's own.

    `measured` is by chip and format: what predictions for these have to be multiplied by.
    """

    shape: Shape
    engine: str = "vllm"
    draft: Draft | None = None
    measured: Mapping[tuple[str, str], Measured] = {}

    def on(self, offer: Offer, numbers: Numbers, pool: Pool | None = None) -> Deployment:
        """A deployment on a chip."""
        return Deployment(
            shape=self.shape,
            chip=offer.chip,
            numbers=numbers,
            pool=pool or Pool(),
            engine=self.engine,
            draft=self.draft,
        )

    def factor(self, offer: Offer, numbers: Numbers) -> Measured | None:
        """What was measured of a chip in a format."""
        return self.measured.get((offer.name, numbers.label))


class Offer(NamedTuple):
    """A chip that may be had: its name, its figures, what an hour of it costs, and to buy one, where that is known."""

    name: str
    chip: Chip
    price: GpuPrice
    capital: Capital | None = None


def label(pool: Pool) -> str:
    """How a worker's chips share a model: `TP8`, `DP32 EP32`."""
    parts = (("TP", pool.tp), ("DP", pool.dp), ("EP", pool.ep))
    return " ".join(f"{name}{degree}" for name, degree in parts if degree > 1) or "TP1"


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """One way to serve a model, at the most concurrency that keeps the targets.

    Times are seconds. `gpus` are those of one worker with its share of the chips that prefill, so it may be a fraction;
    `requests` is what it does in a second at that concurrency. `low` and `high` are the ends of the speed's band.
    """

    offer: Offer
    numbers: Numbers
    layout: Pool
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


def search(served: Served, mix: Mix, targets: Targets, offers: Iterable[Offer], formats: Iterable[Numbers]) -> Found:
    """All layouts that keep the targets by the means of the model, the cheapest first.

    Raises PlanError where nothing is to be searched.
    """
    pairs = [(offer, _spoken(offer.chip, numbers)) for offer, numbers in itertools.product(offers, formats)]
    if not pairs:
        raise PlanError("There is nothing to search: a GPU and a number format are needed.")
    found: list[Replica] = []
    misses: list[_Miss] = []
    load = Load(input=mix.input, output=mix.output, concurrency=1.0, cached=mix.cached)
    for offer, numbers in pairs:
        pools = layouts(served.shape, offer.chip, BEYOND * offer.chip.domain)
        for apart in (False, True):
            swept = sweep(served.on(offer, numbers), load, pools, BATCHES, served.factor(offer, numbers), apart=apart)
            found += _keeping(swept, offer, numbers, mix, targets)
            weights = served.shape.parameters * numbers.weights.bits / 8
            misses.append(_miss(offer, numbers, weights, swept))
    found.sort(key=Replica.cost)
    return Found(found, [] if found else _reasons(served.shape, misses, targets))


def _spoken(chip: Chip, numbers: Numbers) -> Numbers:
    """The formats as a chip has them: AMD's four bits are MXFP4."""
    if chip.maker != "amd" or numbers.weights.name != "nvfp4":
        return numbers
    return default_numbers(FORMATS["mxfp4"])._replace(cache=numbers.cache)


class _Miss(NamedTuple):
    """The best that one pair of chip and format comes to, where it does not keep the targets."""

    chip: str
    numbers: str
    weights: float
    chips: int
    memory: float
    most: float
    """Bytes of the weights, chips of the largest layout, bytes that they hold, and requests beside the weights."""
    speed: float
    ttft: float


def _keeping(swept: Sweep, offer: Offer, numbers: Numbers, mix: Mix, targets: Targets) -> Iterator[Replica]:
    """Of each layout the highest concurrency that keeps the targets."""
    found = swept.found
    keeps = found.fits & (found.tokens_per_s_user >= targets.speed) & (found.ttft <= targets.ttft)
    # Beyond what memory holds a request only waits.
    keeps &= swept.cases.concurrency <= np.maximum(found.most, 1.0)
    last = len(BATCHES) - 1 - np.argmax(keeps.reshape(-1, len(BATCHES))[:, ::-1], axis=1)
    for pool, batch in enumerate(last):
        case = pool * len(BATCHES) + int(batch)
        if keeps[case]:
            yield _replica(swept, case, offer, numbers, mix)


def _replica(swept: Sweep, case: int, offer: Offer, numbers: Numbers, mix: Mix) -> Replica:
    found, layout = swept.found, swept.pools[swept.pool[case]]
    prefill = np.broadcast_to(swept.cases.prefill_gpus, np.shape(found.tpot))
    gpus, shares = float(prefill[case]), found.shares[:, case]
    return Replica(
        offer=offer,
        numbers=numbers,
        layout=layout,
        prefill_gpus=gpus,
        concurrency=float(found.running[case]),
        most=float(found.most[case]),
        tpot=float(found.tpot[case]),
        low=float(found.low[case]),
        high=float(found.high[case]),
        ttft=float(found.ttft[case]),
        requests=float(found.requests_per_s[case]),
        prefill_share=gpus / (gpus + layout.chips) if gpus else float(shares[PREFILL]),
        bound=BOUNDS[int(np.argmax(shares))],
        mix=mix,
    )


def _miss(offer: Offer, numbers: Numbers, weights: float, swept: Sweep) -> _Miss:
    found = swept.found
    speed = float(found.tokens_per_s_user[found.fits].max(initial=0.0))
    ttft = float(found.ttft[found.fits].min(initial=np.inf))
    chips = max(pool.chips for pool in swept.pools)
    return _Miss(
        offer.name, numbers.label, weights, chips, chips * offer.chip.memory, float(found.most.max()), speed, ttft
    )


def _reasons(shape: Shape, misses: list[_Miss], targets: Targets) -> list[str]:
    """Which bound breaks, and by how much."""
    holding = [miss for miss in misses if miss.speed > 0]
    if not holding:
        names = ", ".join(sorted({f"{miss.chip} in {miss.numbers}" for miss in misses}))
        near = min(misses, key=lambda miss: miss.weights / miss.memory)
        fits_not = (
            f"{shape.title} does not fit in any layout of {names}: its weights take {near.weights / GIGA:,.0f} GB in "
            f"{near.numbers}, {near.weights / near.memory:.2f} times what {near.chips} {near.chip} have, and beside "
            f"them is room for {near.most:.2g} of a request. Fewer bits, or chips with more memory, would do."
        )
        return [fits_not]
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
