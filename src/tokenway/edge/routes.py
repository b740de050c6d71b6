"""What a snapshot means for requests, worked out once: routes to models, and targets that stand ready.

A *route* is a planned model with all that does not depend on the request; a *target* is an endpoint's pool and
the bytes of the head of a request to it. Both are made at the first use and live as long as the snapshot, so that a
call costs a look-up and a join.
"""

from __future__ import annotations

from itertools import cycle
from typing import Final

from tokenway import __version__
from tokenway.dialects.openai_chat.request import PATHS
from tokenway.edge.reply import header_value
from tokenway.metering.estimate import bounds_of
from tokenway.model.catalog import BEARER, Dialect, Endpoint, Operation, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Snapshot
from tokenway.routing.plan import Plan, Wishes, plan
from tokenway.upstream.pool import Pool, Pools

_USER_AGENT: Final = f"tokenway/{__version__}"
ROUTES_MAX: Final = 10_000
"""Routes kept at a time: callers can invent names for providers that take any model."""


class Route:
    """A plan for one model and operation. `label` is the header line that names the model."""

    __slots__ = ("bounds", "endpoints", "label", "model")

    def __init__(self, name: str, planned: Plan) -> None:
        self.model = planned.model
        self.endpoints = planned.endpoints
        self.bounds = bounds_of(planned.endpoints)
        self.label = b"x-tokenway-model: %b\r\n" % header_value(name)


class Target:
    """One endpoint for one operation. `label` is the header line that names the endpoint."""

    __slots__ = ("_heads", "label", "pool")

    def __init__(self, endpoint: Endpoint, pool: Pool, heads: list[bytes]) -> None:
        self.pool = pool
        self.label = b"x-tokenway-endpoint: %b\r\n" % header_value(endpoint.id)
        self._heads = cycle(heads)

    def request(self, body: bytes) -> list[bytes]:
        """The request to send: head, then body. Several credentials of a provider take turns."""
        return [b"%b%d\r\n\r\n" % (next(self._heads), len(body)), body]


class Routes:
    """The routes and targets of one snapshot."""

    def __init__(self, snapshot: Snapshot, pools: Pools) -> None:
        self._snapshot = snapshot
        self._pools = pools
        self._routes: dict[tuple[str, Operation], Route] = {}
        self._targets: dict[tuple[str, Operation], Target] = {}

    def plan(self, name: str, operation: Operation, more: tuple[str, ...], wishes: Wishes) -> Route:
        """A route with a caller's own fallbacks and preferences; raises Refusal as `routing.plan.plan` does."""
        return Route(name, plan(self._snapshot, name, operation, more, wishes))

    def find(self, name: str, operation: Operation) -> Route:
        """The route for a model's name; raises Refusal as `routing.plan.plan` does."""
        key = (name, operation)
        route = self._routes.get(key)
        if route is None:
            route = Route(name, plan(self._snapshot, name, operation))
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[key] = route
        return route

    def target(self, endpoint: Endpoint, operation: Operation) -> Target:
        """The target; raises Refusal (503) when the endpoint's provider is not there."""
        key = (endpoint.id, operation)
        target = self._targets.get(key)
        if target is None:
            provider = self._snapshot.providers.get(endpoint.provider)
            if provider is None:
                message = f"The provider '{endpoint.provider}' is not enabled."
                raise Refusal(Problem(503, ErrorType.PROVIDER_UNAVAILABLE, message))
            if len(self._targets) >= ROUTES_MAX:
                self._targets.clear()
            target = self._targets[key] = self._make(provider, endpoint, operation)
        return target

    def _make(self, provider: Provider, endpoint: Endpoint, operation: Operation) -> Target:
        pool, prefix = self._pools.get(provider.address(Dialect.OPENAI_CHAT) or provider.base_url)
        header = provider.header(Dialect.OPENAI_CHAT)
        lines = [
            f"POST {prefix}{PATHS[operation]} HTTP/1.1".encode(),
            b"host: " + pool.origin.authority.encode(),
            b"user-agent: " + _USER_AGENT.encode(),
            b"accept-encoding: identity",
            b"content-type: application/json",
            *(b"%b: %b" % (header_value(name), header_value(value)) for name, value in provider.headers),
        ]
        heads = []
        for secret in provider.api_keys or (None,):
            credential = []
            if secret is not None:
                scheme = "Bearer " if header == BEARER else ""
                value = header_value(scheme + secret.reveal())
                credential.append(b"%b: %b" % (header_value(header), value))
            heads.append(b"\r\n".join([*lines, *credential, b"content-length: "]))
        return Target(endpoint, pool, heads)
