"""Providers, endpoints and models as immutable records.

A *provider* is who is called, an *endpoint* is one offer of a model by a provider, and a *model* is
the name a caller asks for, with the endpoints that serve it in order of preference.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from tokenway.model.money import Rate
from tokenway.model.secret import Secret


class Dialect(StrEnum):
    """A wire format of a provider."""

    OPENAI_CHAT = "openai_chat"


class Operation(StrEnum):
    """What a caller asks an endpoint to do; each has one path in a dialect."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates per bucket in nano-dollars per million units (see `model.money`).

    A bucket without a rate of its own is charged like its parent: cache and media input like input,
    reasoning and media output like output. `request` is nano-dollars for each call.
    """

    input: Rate
    output: Rate
    cache_read: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    reasoning: Rate | None = None
    request: int = 0


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number formats an endpoint declares for weights, activations and the key-value cache."""

    weights: str = "unknown"
    activations: str = "unknown"
    kv_cache: str = "unknown"


class EndpointLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint takes: requests and tokens a minute, and calls at once; None is no limit."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint can do; sizes in tokens, None where it does not say."""

    prefill: bool = False
    tools: bool = True
    vision: bool = False
    context: int | None = None
    max_output: int | None = None


class Timeouts(msgspec.Struct, frozen=True):
    """The four deadlines of an exchange, in seconds."""

    connect: float = 5.0
    first_token: float = 60.0
    between_tokens: float = 30.0
    total: float = 900.0


class Provider(msgspec.Struct, frozen=True):
    """Who is called. `base_url` is what the dialect's path is added to.

    The scheme is `http`, `https`, or `unix` for a socket path: `unix:/run/x.sock:/v1`.
    `credential_header` is `authorization` (the key is sent as a bearer token) or another header's name
    (the key is sent as it is).
    """

    name: str
    base_url: str
    dialect: Dialect = Dialect.OPENAI_CHAT
    api_keys: tuple[Secret, ...] = ()
    credential_header: str = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    serves_any_model: bool = True
    """Whether `provider/model` reaches models that the configuration does not list."""


class Endpoint(msgspec.Struct, frozen=True):
    """One offer of a model; `id` is `provider/upstream-model`."""

    provider: str
    upstream_model: str
    price: Price | None = None
    grade: Grade = Grade()
    limits: EndpointLimits = EndpointLimits()
    capabilities: Capabilities = Capabilities()
    weight: float = 1.0
    operations: tuple[Operation, ...] = (Operation.CHAT, Operation.COMPLETION, Operation.EMBEDDING)

    @property
    def id(self) -> str:
        """`provider/upstream-model`, as headers and the ledger name it."""
        return f"{self.provider}/{self.upstream_model}"


class Model(msgspec.Struct, frozen=True):
    """What callers ask for, with its endpoints in order of preference and models to fall back on."""

    name: str
    endpoints: tuple[Endpoint, ...]
    fallbacks: tuple[str, ...] = ()
    min_tps: float = 20.0
    created: int = 0
    owner: str = "tokenway"
    description: str = ""
