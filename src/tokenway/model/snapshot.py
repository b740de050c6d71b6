"""One immutable, validated configuration: what a worker needs to serve, and nothing else.

The control process builds a snapshot whole, validates it and sends it to every worker; a worker swaps
one reference. Exchanges that are under way keep the snapshot they began with.
"""

from __future__ import annotations

import msgspec

from tokenway.model.catalog import Listing, Model, Provider, Timeouts
from tokenway.model.limits import Limit, OnOutage
from tokenway.model.money import NanoUsd

DIGEST_BYTES = 32


class Principal(msgspec.Struct, frozen=True):
    """Whom a key stands for, and what it may do. None in a list means that all are allowed.

    `limits` are the ids of the limits that each of its calls counts against: the key's own, its project's and its
    user's. Those of models are in the snapshot.
    """

    key_id: str
    name: str
    project: str
    user: str = ""
    limits: tuple[str, ...] = ()
    expires_at: float | None = None
    """Unix time in seconds."""
    max_cost: NanoUsd | None = None
    """The most that one call may cost."""
    models: tuple[str, ...] | None = None
    """By the names that callers use; with `*` at its end a name stands for all that begin so."""
    endpoints: tuple[str, ...] | None = None
    """By id (`provider/model`) or the name of a provider."""
    addresses: tuple[str, ...] | None = None
    """Networks in CIDR form from which it may be used."""
    markup: int = 0
    """On top of what a call costs, in millionths; negative is a discount."""
    on_outage: OnOutage = OnOutage.SERVE


class ProviderHint(msgspec.Struct, frozen=True):
    """A known provider that is not there: what its models are called or begin with, and what to do about it."""

    name: str
    title: str
    prefixes: tuple[str, ...]
    remedy: str
    """As in "set OPENAI_API_KEY"."""
    models: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """What the control process publishes. `version` rises by one with each."""

    version: int
    providers: dict[str, Provider]
    models: dict[str, Model]
    aliases: dict[str, str]
    keys: dict[str, Principal]
    """By the SHA-256 of the key, in hexadecimal."""
    limits: dict[str, Limit] = {}
    """By id: those that principals and models refer to."""
    model_limits: dict[str, tuple[str, ...]] = {}
    """The ids of a model's own limits, by the name that callers use."""
    queue: float = 0.0
    """Seconds for which a call may wait for a rate, or for a place among calls at once; 0 refuses it at once."""
    refuses_unpriced: bool = False
    """Whether nothing is sent to an endpoint without a price."""
    families: tuple[tuple[str, str], ...] = ()
    """(prefix of a model's name, enabled provider that serves it): how `gpt-4o` finds its provider."""
    listings: dict[str, tuple[Listing, ...]] = {}
    """What the price book knows of the enabled providers' models, by provider; the first rule that fits decides."""
    hints: tuple[ProviderHint, ...] = ()
    """Known providers that are not enabled, for messages that say what to configure."""
    known: tuple[str, ...] = ()
    """Names of the known providers, enabled or not: a caller may prefer one that is not here."""
    auth_required: bool = True
    timeouts: Timeouts = Timeouts()
    max_retries: int = 2
    workers: int = 1
    """How many workers share the endpoints' limits."""
    max_body: int = 32 * 1024 * 1024
    """Bytes of a request body after decompression."""
    response_retention: float = 0.0
    """Seconds for which responses are kept that their callers want kept; 0 keeps none."""
    guesses_runs: bool = False
    """Whether a run that nobody names is told by how its conversation begins."""
    not_ready: str = ""
    """Why `/health/ready` says no, e.g. that the local engine is still loading; empty when ready."""
