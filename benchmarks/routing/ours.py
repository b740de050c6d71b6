"""`ours`: the estimates and the choice of `tokenway.routing`, fed as a gateway of one worker feeds them."""

from __future__ import annotations

from random import Random

from benchmarks.routing.fleet import Endpoint as Offer
from benchmarks.routing.policies import Base
from benchmarks.routing.simulate import Observation, Outcome, Simulation
from benchmarks.routing.workload import Ask
from tokenway.model import sample
from tokenway.model.catalog import Endpoint, Price
from tokenway.model.money import Rate
from tokenway.routing.affinity import keys_of
from tokenway.routing.choose import Asked, Chooser, Taste
from tokenway.routing.velocity import Board

MODEL = "m"
UNIX = 1_800_000_000.0
"""When the simulation begins."""
BYTES = 4
"""Of a request for each token of its prompt."""
SENT = 220
"""Of a stream for each token."""
MIN_TPS = 20.0
"""The floor that a model has by default."""
PAUSE_S = 1.0
"""After a 429 that does not say how long."""
OUTCOMES = {
    Outcome.OK: sample.Outcome.ANSWERED,
    Outcome.RATE_LIMITED: sample.Outcome.LIMITED,
    Outcome.FAILED: sample.Outcome.FAILED,
}


def _endpoint(offer: Offer) -> Endpoint:
    price = Price(
        Rate(offer.price_input * 1_000_000), Rate(offer.price_output * 1_000_000), Rate(offer.price_cached * 1_000_000)
    )
    return Endpoint(str(offer.index), MODEL, price=price)


class Ours(Base):
    """Ranks by expected finish, as a model with the default settings does; keeps away from an endpoint after a 429."""

    def __init__(self, chance: Random, simulation: Simulation) -> None:
        super().__init__(chance)
        self.endpoints = [_endpoint(offer) for offer in simulation.fleet.endpoints]
        self.index = {endpoint.id: index for index, endpoint in enumerate(self.endpoints)}
        self.chooser = Chooser(Board())
        self.taste = Taste(min_tps=MIN_TPS)
        self.met: dict[tuple[int, int], int] = {}
        """How many others were in flight when an attempt was sent, by request and endpoint."""

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:
        """The first of the ranking."""
        endpoints = [self.endpoints[index] for index in self.candidates(now, tried)]
        loads = {endpoint.id: self.in_flight[self.index[endpoint.id]] for endpoint in endpoints}
        asked = Asked(MODEL, ask.prompt * BYTES, None, _keys(ask))
        ranked = self.chooser.rank(endpoints, asked, self.taste, loads, UNIX + now, self.chance.random)
        return self.index[ranked[0].endpoint.id]

    def sent(self, index: int, ask: Ask, now: float) -> None:
        """Notes the load it meets."""
        self.met[ask.number, index] = self.in_flight[index]
        super().sent(index, ask, now)

    def finished(self, seen: Observation) -> None:
        """One sample for the board."""
        super().finished(seen)
        if seen.outcome is Outcome.RATE_LIMITED:
            self.away_until[seen.endpoint] = seen.end + (seen.retry_after or PAUSE_S)
        self.chooser.board.take(
            [
                sample.Sample(
                    endpoint=self.endpoints[seen.endpoint].id,
                    model=MODEL,
                    at=UNIX + seen.end,
                    outcome=OUTCOMES[seen.outcome],
                    took=seen.end - seen.start,
                    ttft=seen.ttft or 0.0,
                    span=seen.seconds,
                    prompt=seen.ask.prompt - seen.cached,
                    cached=seen.cached,
                    tokens=seen.tokens,
                    size=seen.ask.prompt * BYTES,
                    sent=seen.tokens * SENT,
                    load=self.met.pop((seen.ask.number, seen.endpoint)),
                    keys=_keys(seen.ask),
                )
            ]
        )


def _keys(ask: Ask) -> tuple[int, ...]:
    return keys_of(b"", "", str(ask.conversation))
