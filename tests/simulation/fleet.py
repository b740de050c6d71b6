"""What a seed draws of the fleet: what endpoints can do, how their model is routed, what is known of them, the wishes.

What holds for an exchange in the end is worked out here by hand, from the settings and the caller's wishes: the checks
go by that, and not by what the gateway made of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Any, Final

from tests.simulation.clock import START, UNIX, pick
from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Operation, Price, Routing, Timeouts
from tokenway.model.preferences import Rescue
from tokenway.model.sample import Outcome, Sample

PER_TOKEN: Final = 220.0
"""Bytes of a stream for a token of output, where nothing is known."""
_RESCUES: Final = (Rescue.FAULT, Rescue.FAULT, Rescue.ON, Rescue.ON, Rescue.OFF)
_SHARES: Final = (None, 1.0)
_MOST: Final = Timeouts(inf, inf, inf, inf)


@dataclass(slots=True)
class Fleet:
    """How the endpoints of one history are set up."""

    routing: Routing = field(default_factory=Routing)
    is_set: bool = False
    """Whether anything but the defaults was drawn."""
    min_tps: float = 20.0
    keys: dict[str, int] = field(default_factory=dict)
    """How many keys each provider has; 0 where it needs none."""
    wishes: dict[str, Any] = field(default_factory=dict)
    """The caller's `provider` object; empty where it has none."""
    samples: tuple[Sample, ...] = ()
    """What the worker has heard of the endpoints before."""
    per_token: dict[str, float] = field(default_factory=dict)
    """Bytes of a stream for a token of output, by the endpoint's id, where that is known."""
    limited: dict[str, float] = field(default_factory=dict)
    """By the endpoint's id: for how many seconds it has said to take no call."""
    broken: tuple[str, ...] = ()
    """The endpoints whose breaker is open at the beginning."""
    retries_spent: int = 0
    """Retries that the worker has made before."""
    raced: int = 0
    """Races that the worker has begun before."""

    # -- what holds ---------------------------------------------------------------------------------------

    @property
    def rescue(self) -> Rescue:
        """When a stream that has begun may go on elsewhere."""
        return Rescue(self.wishes.get("rescue", self.routing.rescue))

    @property
    def floor(self) -> float:
        """The slowest speed that is good enough, in tokens per second."""
        return float(self.wishes.get("min_tps", self.min_tps))

    @property
    def too_slow(self) -> set[str]:
        """The endpoints that are out for a caller who wants none under its floor: seen below it, twice at least."""
        wish = self.wishes.get("min_tps")
        if wish is None or self.wishes.get("allow_fallbacks", True):
            return set()
        seen = Counter(each.endpoint for each in self.samples if each.speed < wish)
        return {endpoint for endpoint, times in seen.items() if times > 1}

    @property
    def hedge_share(self) -> float:
        """The share of calls that may be raced because their first token is late."""
        wish = self.wishes.get("hedge")
        if wish is False:
            return 0.0
        return self._usual_share if wish else self.routing.hedge_share or 0.0

    def raced_share(self, *, gathers: bool) -> float:
        """The same, with slow answers that are given whole."""
        is_rescued = gathers and self.rescue is Rescue.ON
        return self.hedge_share or (self._usual_share if is_rescued else 0.0)

    @property
    def _usual_share(self) -> float:
        share = self.routing.hedge_share
        return 0.03 if share is None else share

    @property
    def caps(self) -> Timeouts:
        """The caller's own deadlines."""
        return Timeouts(**{**dict.fromkeys(_NAMES, inf), **self.wishes.get("timeouts", {})})

    @property
    def trials(self) -> tuple[str, ...]:
        """Which faults show most of what this fleet is set up for."""
        found: tuple[str, ...] = ()
        if self.rescue is Rescue.ON and self.floor:
            found += ("crawl", "crawl", "crawl", "drip")
        if self.rescue is not Rescue.OFF and self.is_set:
            found += ("cut", "cut by reset", "stall")
        return found + (("late", "late text", "late text") if self.hedge_share else ())

    def streams(self, operation: Operation, choices: int) -> bool:
        """Whether a whole answer is asked for as a stream."""
        wish = self.wishes.get("stream")
        streams = self.routing.streams if wish is None else wish
        return bool(streams) and operation is not Operation.EMBEDDING and choices == 1

    def limits_of(self, endpoint: Endpoint, common: Timeouts) -> Timeouts:
        """The deadlines of an attempt; its total is infinite where only the exchange has one."""
        caps = self.caps
        own = endpoint.timeouts
        base = common if own is None else own
        return Timeouts(
            min(base.connect, caps.connect),
            min(base.first_token, caps.first_token),
            min(base.between_tokens, caps.between_tokens),
            inf if own is None else min(own.total, caps.total),
        )

    def total(self, common: Timeouts) -> float:
        """The deadline of the whole exchange."""
        return min(common.total, self.caps.total)

    def keys_of(self, endpoint: Endpoint) -> int:
        """With how many keys an endpoint can be asked; one that needs none counts as one."""
        return max(1, self.keys.get(endpoint.provider, 0))

    def slots(self, endpoints: tuple[Endpoint, ...]) -> set[tuple[str, int]]:
        """Each endpoint that may be asked with each key, where the caller leaves a choice of endpoints."""
        order = self.wishes.get("order")
        if order and self.wishes.get("allow_fallbacks") is False:
            endpoints = tuple(each for each in endpoints if each.provider in order)
        return {(each.id, key) for each in endpoints for key in range(self.keys_of(each))}


_NAMES: Final = ("connect", "first_token", "between_tokens", "total")


def draw_endpoint(rng: Random, number: int, name: str, price: Price | None) -> Endpoint:
    """One endpoint."""
    chance = rng.random
    able = _ABLE[int(chance() * len(_ABLE))]
    timeouts = None
    if chance() < 0.15:
        timeouts = Timeouts(
            pick(rng, (0.5, 2.0)), pick(rng, (0.5, 3.0, 60.0)), pick(rng, (0.3, 3.0)), pick(rng, (0.6, 3.0, 20.0))
        )
    return Endpoint(f"p{number}", name, price, capabilities=able, timeouts=timeouts)


_ABLE: Final = (
    *(Capabilities(prefill=True), Capabilities(prefill=True), Capabilities(prefill=True, context=8000)),
    *(Capabilities(), Capabilities(context=4000)),
)


def draw_fleet(rng: Random, endpoints: tuple[Endpoint, ...], operation: Operation) -> Fleet:
    """How they are set up; half of the fleets are plain ones."""
    chance = rng.random
    fleet = Fleet()
    if chance() < 0.35:
        return fleet
    fleet.is_set = True
    fleet.min_tps = pick(rng, (20.0, 5.0, 100.0, 0.0))
    fleet.routing = Routing(
        grace=pick(rng, (0.4, 1.0, 4.0)),
        hedge_at=pick(rng, (0.5, 0.9)),
        hedge_share=pick(rng, _SHARES),
        rescue=pick(rng, _RESCUES),
        streams=chance() < 0.4,
    )
    if chance() < 0.4:
        fleet.keys = {each.provider: pick(rng, (0, 1, 2, 3)) for each in endpoints}
    if chance() < 0.2:
        fleet.wishes = _draw_wishes(rng, endpoints)
    if len(endpoints) > 1 and chance() < 0.4:
        _draw_samples(rng, fleet, endpoints)
    state = chance()
    if state < 0.05:
        fleet.limited = {each.id: pick(rng, (0.5, 3.0, 20.0, 45.0)) for each in endpoints if chance() < 0.7}
    elif state < 0.1:
        fleet.broken = tuple(each.id for each in endpoints if chance() < 0.5)
    elif state < 0.15:
        fleet.retries_spent = pick(rng, (99, 100, 100))
    elif state < 0.2:
        fleet.raced = pick(rng, (1, 2))
    return fleet


def _draw_wishes(rng: Random, endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    """What the caller wants of its providers."""
    chance = rng.random
    wishes: dict[str, Any] = {}
    if chance() < 0.4:
        wishes["rescue"] = pick(rng, ("off", "fault", "on"))
    if chance() < 0.4:
        wishes["hedge"] = chance() < 0.7
    if chance() < 0.3:
        wishes["stream"] = chance() < 0.7
    if chance() < 0.3:
        wishes["min_tps"] = pick(rng, (0, 10, 50.0))
    if chance() < 0.3:
        named = {"connect": 0.4, "first_token": pick(rng, (0.4, 1.0)), "between_tokens": 0.3, "total": 2.5}
        wishes["timeouts"] = {name: value for name, value in named.items() if chance() < 0.4}
    if chance() < 0.3:
        wishes["order"] = [pick(rng, endpoints).provider for _ in range(pick(rng, (1, 2)))]
    if chance() < 0.2:
        wishes["allow_fallbacks"] = chance() < 0.3
    return wishes


def _draw_samples(rng: Random, fleet: Fleet, endpoints: tuple[Endpoint, ...]) -> None:
    """Attempts of the minutes before, of which all at one endpoint were alike."""
    chance = rng.random
    samples = []
    for endpoint in endpoints:
        if chance() < 0.2:
            continue
        ttft, speed, per_token = pick(rng, (0.1, 0.5, 2.0)), pick(rng, (4.0, 40.0, 300.0)), pick(rng, (4, 60, 220, 900))
        fleet.per_token[endpoint.id] = float(per_token)
        for number in range(pick(rng, (1, 3, 12))):
            at = UNIX + START - 60.0 + number
            span, sent = 99 / speed, 100 * per_token
            samples.append(
                Sample(endpoint.id, "asked", at, Outcome.ANSWERED, ttft + span, ttft, span, 9, 0, 100, 36, sent)
            )
    fleet.samples = tuple(samples)


def can_prefill(endpoint: Endpoint, dialect: Dialect) -> bool:
    """Whether an endpoint can go on with a text; in OpenAI's responses there is no way to say that."""
    return endpoint.capabilities.prefill and dialect is not Dialect.OPENAI_RESPONSES
