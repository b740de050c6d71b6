"""From a request that may go to several endpoints to an order: who is asked first, and what happens when it is slow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import inf
from time import monotonic
from typing import Final

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.runs import NOBODY, Named
from tokenway.edge.fleet import Arranged
from tokenway.edge.line import Place
from tokenway.edge.routes import Route
from tokenway.edge.state import SWEEP_SECONDS, EdgeState
from tokenway.exchange.events import Order
from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.preferences import Partition, Rescue
from tokenway.model.snapshot import Principal
from tokenway.routing.affinity import keys_of
from tokenway.routing.choose import Asked, Ranked, Taste
from tokenway.routing.exclude import rank
from tokenway.routing.preferences import UNBOUNDED, Wishes
from tokenway.routing.retry import allowed_retries
from tokenway.routing.velocity import LATE

USUAL_SHARE: Final = 0.03
"""The share of calls that may be raced where the model's settings say nothing of races: a caller asks for them, or an
answer that is given whole is not to be a slow one."""
_RETRY_COUNT: Final = b"x-stainless-retry-count"


class Wanted:
    """What a request wants of the endpoints that may serve it."""

    __slots__ = ("headers", "keys", "named", "place", "principal", "request", "route", "stream", "timeouts", "wishes")

    def __init__(
        self,
        request: CallerRequest,
        route: Route,
        wishes: Wishes,
        timeouts: Timeouts,
        headers: Mapping[bytes, bytes],
        principal: Principal,
        *,
        place: Place | None = None,
        named: Named = NOBODY,
    ) -> None:
        """`place` is that of a request that has waited, `named` its run."""
        self.place = place
        self.named = named
        self.request = request
        self.route = route
        self.wishes = wishes
        self.timeouts = timeouts
        self.headers = headers
        self.principal = principal
        self.keys: tuple[int, ...] = ()
        routing = route.model.routing
        streams = routing.streams if wishes.stream is None else wishes.stream
        self.stream = request.stream or (streams and route.can_stream and request.choices == 1)

    @property
    def is_hedged(self) -> bool:
        """Whether a first token that is late is raced: the caller's word, else the model's."""
        return bool(self.route.model.routing.hedge_share) if self.wishes.hedge is None else self.wishes.hedge


def arrange(
    state: EdgeState, wanted: Wanted, endpoints: tuple[Endpoint, ...], amount: int
) -> tuple[Order, float, bool]:
    """The order for these endpoints, for how many seconds none of them takes a call, and whether it stands in line.

    Raises Refusal: 503 where a caller wants no endpoint under its floor and every one is, 429 where all are at their
    limits for longer than it is worth waiting.
    """
    now, fleet, wishes = monotonic(), state.fleet, wanted.wishes
    arranged = None
    insists_on_speed = wishes.min_tps is not None and not wishes.allow_fallbacks
    if insists_on_speed or not fleet.is_plain(endpoints, now, wanted.request.size // 4, wanted.place):
        arranged = _arranged(state, wanted, endpoints, now)
        endpoints = arranged.endpoints
        if arranged.is_refused:
            raise Refusal(limited(endpoints, arranged.wait))
    model = wanted.route.model
    routing = model.routing
    callers = wanted.headers.get(_RETRY_COUNT)
    retries = state.snapshot.max_retries
    if callers is not None and callers.isdigit():
        retries = allowed_retries(retries, int(callers[:3]))
    rescue = routing.rescue if wishes.rescue is None else wishes.rescue
    min_tps = model.min_tps if wishes.min_tps is None else wishes.min_tps
    timeouts, caps = state.snapshot.timeouts, None
    if wanted.timeouts is not UNBOUNDED:
        timeouts, caps = timeouts.within(wanted.timeouts), wanted.timeouts
    if not wanted.stream:
        rescue = Rescue.OFF
    common = endpoints, wanted.stream, amount, timeouts, retries
    if arranged is None:
        return Order(*common, (), caps, inf, rescue, min_tps, routing.grace), 0.0, False
    share = _share(wanted, arranged, rescue)
    order = Order(
        *common,
        arranged.credentials,
        caps,
        _hedge_after(state, wanted, arranged) if share and wanted.is_hedged else inf,
        rescue,
        min_tps,
        routing.grace,
        _slow(arranged, min_tps),
        inf if wanted.stream else _patience(wanted, arranged, timeouts),
        arranged.takers,
        share,
    )
    return order, arranged.wait, arranged.is_held


def _arranged(state: EdgeState, wanted: Wanted, endpoints: Sequence[Endpoint], now: float) -> Arranged:
    wishes, request, route = wanted.wishes, wanted.request, wanted.route
    routing = route.model.routing
    if len(endpoints) > 1:
        wanted.keys = _keys(wanted)
    asked = Asked(request.model, request.size, request.max_tokens, wanted.keys)
    taste = Taste(
        wishes.sort or routing.sort,
        routing.hour,
        route.model.min_tps if wishes.min_tps is None else wishes.min_tps,
        wishes.min_throughput,
        wishes.max_latency,
    )
    groups = [tuple(endpoints)] if wishes.partition is Partition.NONE else route.grouped(endpoints)
    fleet = state.fleet
    rows: list[Ranked] = []
    for group in groups:
        ranked = fleet.rank(group, asked, taste, time.time(), state.dice)
        ranked.sort(key=lambda row: rank(row.endpoint, wishes.order))
        rows += ranked
    if not wishes.order:
        # A fallback that meets a soft wish goes before an endpoint of the model's own that does not.
        rows.sort(key=lambda row: bool(row.missed))
    if not wishes.allow_fallbacks:
        if wishes.min_tps is not None:
            fast = [row for row in rows if "min_tps" not in row.missed]
            if not fast:
                raise Refusal(_too_slow(rows[0].endpoint, wishes.min_tps, {row.endpoint.id: "min_tps" for row in rows}))
            rows = fast
        if not wishes.order:
            rows = rows[:1]
    return fleet.seat(rows, request.size // 4, now, place=wanted.place)


def _keys(wanted: Wanted) -> tuple[int, ...]:
    """What the request's conversation is recognised by."""
    # Each agent of a run has a conversation of its own.
    return keys_of(wanted.request.body, wanted.principal.project, wanted.named.run + wanted.named.agent)


def _share(wanted: Wanted, arranged: Arranged, rescue: Rescue) -> float:
    """The share of such calls that may be raced; 0.0 where there is no reason to, or nobody else."""
    # A slow answer that is given whole is raced as well: its caller has seen nothing of it.
    may_be = wanted.is_hedged or (rescue is Rescue.ON and not wanted.request.stream)
    first = arranged.endpoints[0].id
    if not wanted.stream or not may_be or all(each.id == first for each in arranged.endpoints):
        return 0.0
    share = wanted.route.model.routing.hedge_share
    return USUAL_SHARE if share is None else share


def _hedge_after(state: EdgeState, wanted: Wanted, arranged: Arranged) -> float:
    """After how many seconds without a first token another endpoint is asked as well."""
    first = arranged.rows[0].endpoint
    board = state.fleet.board
    prompt = board.habits(wanted.request.model).prompt(wanted.request.size)
    load = state.fleet.standing(first).in_flight
    at = wanted.route.model.routing.hedge_at
    return max(SWEEP_SECONDS, board.of(first.id).late(prompt, load, time.time(), at))


def _patience(wanted: Wanted, arranged: Arranged, timeouts: Timeouts) -> float:
    """Seconds in which a whole answer is surely there, or its first endpoint is not at work; `inf` if nobody knows.

    An answer as long as the caller allows is a matter of the endpoint's speed, and takes a while in any case.
    """
    row, most = arranged.rows[0], wanted.request.max_tokens
    if most is None or not row.prediction.is_known:
        return inf
    usual = row.endpoint.timeouts or timeouts
    return max(usual.first_token, LATE * (row.prediction.ttft + most * row.prediction.pace))


def _slow(arranged: Arranged, min_tps: float) -> frozenset[int]:
    """The endpoints that are known to be slower than the floor, by their place."""
    predictions = enumerate(row.prediction for row in arranged.rows)
    return frozenset(place for place, each in predictions if each.is_known and each.speed < min_tps)


def _too_slow(endpoint: Endpoint, min_tps: float, excluded: Mapping[str, str]) -> Problem:
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        f"No endpoint of this model reaches {min_tps:g} tokens per second at the moment ('provider.min_tps'), and "
        f"'provider.allow_fallbacks' is false. Without that, {endpoint.id} would answer as fast as it can.",
        param="provider.min_tps",
        code="no_endpoints",
        should_retry=True,
        details={"availability": {"code": "constraint_filtered", "excluded_by": dict(excluded)}},
    )


def limited(endpoints: Sequence[Endpoint], wait: float) -> Problem:
    """429: every endpoint has said, or was said, to take no call for so long."""
    names = ", ".join(dict.fromkeys(each.id for each in endpoints))
    return Problem(
        429,
        ErrorType.RATE_LIMIT_EXCEEDED,
        f"Every endpoint of this model is at its limit: {names}. The first one takes a call in {wait:.0f} seconds.",
        code="rate_limit_exceeded",
        retry_after=wait,
        should_retry=True,
        details={
            "availability": {"code": "capacity_exhausted", "excluded_by": {each.id: "rate_limit" for each in endpoints}}
        },
    )
