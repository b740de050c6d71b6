"""What a caller may say of how its call is served: OpenRouter's `provider` object, and the gateway's own members of it.

Source of names and types: OpenRouter's OpenAPI description (`ProviderPreferences`). Members that nobody here knows are
passed over, so that a newer client is served; what a known one means, and what it must not hold, says
`routing.preferences`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class SortOrder(StrEnum):
    """What a model's endpoints are put in order by."""

    FINISH = "finish"
    PRICE = "price"
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    WEIGHT = "weight"


class Partition(StrEnum):
    """Whether the endpoints of a fallback model wait until the model's own have failed, or are sorted among them."""

    MODEL = "model"
    NONE = "none"


class Rescue(StrEnum):
    """When a stream that has begun goes on elsewhere: never, after a fault, or also when it has become slow."""

    OFF = "off"
    FAULT = "fault"
    ON = "on"


class Preferences(msgspec.Struct):
    """The `provider` object as it was sent; every dialect takes it in its body, and null is no wish.

    Speeds are in tokens a second, times in seconds, money in USD. What is `Any` is a choice or an object, whose
    members have to be named one by one when they are wrong.
    """

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Any = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[str] | None = None
    sort: Any = None
    preferred_min_throughput: Any = None
    preferred_max_latency: Any = None
    max_price: Any = None
    max_cost: float | str | None = None
    min_tps: Any = None
    hedge: bool | None = None
    rescue: Any = None
    stream: bool | None = None
    timeouts: Any = None
