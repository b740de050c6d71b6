"""The settings of models: who serves each, and how one of these is chosen. Parts of `model.settings`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from tokenway.model.catalog import Capabilities, EndpointLimits, Grade, Price
from tokenway.model.money import NanoUsd
from tokenway.model.preferences import Rescue, SortOrder
from tokenway.model.quotas import Quota
from tokenway.model.units import Duration

Deadline = Annotated[Duration, Meta(gt=0, le=86400)]


class EndpointTimeouts(msgspec.Struct, frozen=True):
    """Deadlines of one endpoint, where they differ from those of all."""

    connect: Annotated[Deadline | None, Meta(description="To reach it, TLS included.")] = None
    first_token: Annotated[Deadline | None, Meta(description="From a request to its first token.")] = None
    between_tokens: Annotated[Deadline | None, Meta(description="The longest pause inside a stream.")] = None
    total: Annotated[Deadline | None, Meta(description="One attempt there; another endpoint may go on after it.")] = (
        None
    )


class EndpointSettings(msgspec.Struct, frozen=True):
    """One offer of a model."""

    provider: Annotated[str, Meta(description="A provider's name.")]
    model: Annotated[str, Meta(description="The model's name there.")]
    grade: Annotated[Grade | None, Meta(description="Number formats, as far as they are known.")] = None
    quantization: Annotated[str | None, Meta(description="Short for `grade: {weights: …}`.")] = None
    price: Annotated[Price | None, Meta(description="What it costs; calls are unpriced without it.")] = None
    limits: Annotated[EndpointLimits, Meta(description="What it takes.")] = EndpointLimits()
    capabilities: Annotated[Capabilities, Meta(description="What it can do.")] = Capabilities()
    weight: Annotated[
        float,
        Meta(gt=0, le=1e6, description="Its share of the calls where they are sorted by `weight`."),
    ] = 1.0
    timeouts: Annotated[EndpointTimeouts, Meta(description="Its own deadlines.")] = EndpointTimeouts()


class HedgeSettings(msgspec.Struct, frozen=True):
    """When a second attempt is raced against a slow first."""

    at: Annotated[str, Meta(description="The quantile of the first token's time that starts it: `p90`.")] = "p90"
    max_share: Annotated[
        float, Meta(ge=0, le=1, description="The largest share of calls that may be raced, and of what they cost.")
    ] = 0.03


class ProbeSettings(msgspec.Struct, frozen=True):
    """Calls that the gateway makes of its own accord, to know how endpoints are that no caller was sent to."""

    usd_per_day: Annotated[
        NanoUsd,
        Meta(gt=0, description="The most that this model's probes may cost in a day (UTC), whatever restarts."),
    ]
    every: Annotated[
        Duration,
        Meta(ge=10, le=86400, description="An endpoint that was not asked for so long is probed."),
    ] = 300.0


class RoutingSettings(msgspec.Struct, frozen=True):
    """How one of a model's endpoints is chosen, and what happens when its answer is slow or breaks."""

    sort: Annotated[
        SortOrder,
        Meta(
            description="What endpoints are ordered by: `finish` (who is expected to be done first, cost included), "
            "`throughput`, `latency`, `price`, or `weight` (by chance)."
        ),
    ] = SortOrder.FINISH
    hour_usd: Annotated[
        float,
        Meta(ge=0, le=1e6, description="USD that an hour of waiting is worth against a price; `0` ignores prices."),
    ] = 36.0
    min_tps: Annotated[
        float, Meta(ge=0, le=1e6, description="Output tokens a second below which a stream counts as slow.")
    ] = 20.0
    grace: Annotated[
        Duration, Meta(ge=0.5, le=600, description="How long a stream may be slower before it is rescued.")
    ] = 4.0
    rescue: Annotated[
        Rescue,
        Meta(
            description="When a stream that has begun goes on at another endpoint: `off`, `fault` (when it breaks), "
            "`on` (also when it is slow)."
        ),
    ] = Rescue.FAULT
    hedge: Annotated[HedgeSettings | None, Meta(description="Racing a second attempt.")] = None
    stream: Annotated[
        bool,
        Meta(description="Whether answers that are wanted whole are asked for as streams, so that all of this holds."),
    ] = False
    probe: Annotated[
        ProbeSettings | None,
        Meta(description="Short calls to endpoints that no caller was sent to for long; none when left out."),
    ] = None


class ModelSettings(msgspec.Struct, frozen=True):
    """What callers ask for."""

    endpoints: Annotated[
        tuple[EndpointSettings, ...],
        Meta(description="Who serves it; as long as their speed is not known, in this order."),
    ]
    fallbacks: Annotated[tuple[str, ...], Meta(description="Names to try when no endpoint answers.")] = ()
    routing: Annotated[RoutingSettings, Meta(description="How an endpoint is chosen.")] = RoutingSettings()
    quota: Annotated[Quota, Meta(description="What all calls to it may take together.")] = Quota()
