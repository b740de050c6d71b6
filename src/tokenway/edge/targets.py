"""Where requests go, prepared: for each endpoint and operation the pool and the bytes of the request's head.

Made at the first use and kept until the next snapshot, so that a call costs one look-up and one join.
"""

from __future__ import annotations

from itertools import cycle

from tokenway import __version__
from tokenway.dialects.openai_chat.request import PATHS
from tokenway.edge.reply import header_value
from tokenway.model.catalog import Endpoint, Operation, Provider
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Snapshot
from tokenway.upstream.pool import Pool, Pools

_USER_AGENT = f"tokenway/{__version__}"


class Target:
    """One endpoint for one operation."""

    __slots__ = ("_heads", "endpoint", "pool")

    def __init__(self, endpoint: Endpoint, pool: Pool, heads: list[bytes]) -> None:
        self.endpoint = endpoint
        self.pool = pool
        self._heads = cycle(heads)

    def request(self, body: bytes) -> list[bytes]:
        """The request to send: head, then body. Several credentials of a provider take turns."""
        return [b"%b%d\r\n\r\n" % (next(self._heads), len(body)), body]


class Targets:
    """The targets of one snapshot."""

    def __init__(self, snapshot: Snapshot, pools: Pools) -> None:
        self._providers = snapshot.providers
        self._pools = pools
        self._made: dict[tuple[str, Operation], Target] = {}

    def get(self, endpoint: Endpoint, operation: Operation) -> Target:
        """The target; raises Refusal (503) when the endpoint's provider is not there."""
        key = (endpoint.id, operation)
        target = self._made.get(key)
        if target is None:
            provider = self._providers.get(endpoint.provider)
            if provider is None:
                raise Refusal(
                    Problem(503, ErrorType.PROVIDER_UNAVAILABLE, f"The provider '{endpoint.provider}' is not enabled.")
                )
            target = self._made[key] = self._make(provider, endpoint, operation)
        return target

    def _make(self, provider: Provider, endpoint: Endpoint, operation: Operation) -> Target:
        pool, prefix = self._pools.get(provider.base_url)
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
                scheme = "Bearer " if provider.credential_header == "authorization" else ""
                value = header_value(scheme + secret.reveal())
                credential.append(b"%b: %b" % (header_value(provider.credential_header), value))
            heads.append(b"\r\n".join([*lines, *credential, b"content-length: "]))
        return Target(endpoint, pool, heads)
