"""Probes: calls to one endpoint that the control process orders, to know how it is (`model.probe`).

A probe takes the way of every call, from its reservation to its sample. It differs in that it has no caller, is sent
only where the endpoint takes a call now, and ends with its first attempt, whatever comes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from tokenway.dialects.registry import FORMATS
from tokenway.edge.client import Inner
from tokenway.edge.crossing import Crossings
from tokenway.edge.doors import CHAT
from tokenway.edge.intake import Intake
from tokenway.edge.relay import Relay
from tokenway.exchange.events import Order
from tokenway.metering.estimate import bounds_of, worst_case
from tokenway.model.errors import Refusal
from tokenway.model.link import Probe, Probed
from tokenway.model.probe import OUTPUT_MOST, PROBE, RUN, asked_as, body_of
from tokenway.model.snapshot import Principal

if TYPE_CHECKING:
    from tokenway.edge.state import EdgeState

STALE: Final = 3.0
"""Seconds after which an order is too old: whoever gave it may be gone, and its successor may not know of it."""


class Probes:
    """What one worker does for them. `tell` is called when an ordered probe is over, made or not."""

    def __init__(self, state: EdgeState, tell: Callable[[Probed], None]) -> None:
        self._state = state
        self._tell = tell
        self._running: dict[str, Relay] = {}

    def begin(self, probe: Probe) -> None:
        """Makes a probe, if it can be made now."""
        try:
            intake = self._take_in(probe)
        except Refusal:
            intake = None
        if intake is None:
            self._tell(Probed(probe.exchange))
            return
        relay = Relay(
            self._state,
            Inner(lambda _inner: self._over(probe), lambda _inner, _data: None),
            CHAT,
            {},
            b"",
            keep_alive=False,
            chunked=False,
        )
        relay.id = probe.exchange
        relay.principal = Principal(asked_as(probe.model), PROBE, PROBE)
        relay.begun = relay.body_complete = True
        relay.keeps = False
        self._running[probe.exchange] = relay
        relay.begin(intake)

    def stop(self) -> None:
        """Gives up what is under way: the worker ends."""
        for relay in list(self._running.values()):
            relay.client_gone()

    def _over(self, probe: Probe) -> None:
        self._running.pop(probe.exchange, None)
        self._tell(Probed(probe.exchange))

    def _take_in(self, probe: Probe) -> Intake | None:
        """The exchange; None where it is too late, the endpoint takes no call, or it may cost more than was allowed.

        Raises Refusal where nobody serves the model.
        """
        state, snapshot = self._state, self._state.snapshot
        if state.draining or abs(time.time() - probe.at) > STALE:
            return None
        route = state.routes.find(probe.model, CHAT)
        endpoint = next((each for each in route.endpoints if each.id == probe.endpoint), None)
        if endpoint is None or endpoint.price is None:
            return None
        body = body_of(probe.model, route.quirks_of(endpoint).limit_field)
        request = FORMATS[CHAT.dialect].parse(CHAT.operation, body, "", False)
        credential = state.fleet.ready(endpoint, request.size // 4, monotonic())
        if credential is None or worst_case(bounds_of((endpoint,)), len(body), OUTPUT_MOST, 1) > probe.amount:
            return None
        order = Order((endpoint,), True, probe.amount, snapshot.timeouts, 0, (credential,))
        crossings = Crossings(request, route) if route.crosses else None
        return Intake(request, route, order, f"{RUN}{probe.amount}", 0.0, crossings, request)
