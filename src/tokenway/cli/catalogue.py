"""`tokenway models` and `tokenway endpoints`: what a running gateway offers."""

from __future__ import annotations

import os
import time
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

from cyclopts import Parameter

from tokenway.cli.connection import Connection, connect
from tokenway.cli.options import AsJson, ConfigFile
from tokenway.cli.output import NOTHING, Column, number, print_json, print_table
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenway.cli.client import Gateway, Json

_PIECES: Final = frozenset({"image_output", "sound_hour", "character", "web_search"})
"""The API's prices of what is sold by the piece."""
_STATES: Final = {-1: "degraded", -2: "failing"}
"""What an endpoint's status says, in OpenRouter's numbers."""


def models(
    *,
    check: Annotated[
        bool,
        Parameter(
            help="Compare configured prices with the price book, and it with a second collection.", show_default=False
        ),
    ] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
    connection: Connection | None = None,
) -> int:
    """List the models that a running gateway serves.

    Prices are dollars per million tokens, of the first endpoint; what is sold
    by the image, hour or character has its price in the JSON. With --check
    no gateway is asked: the configuration is read, and every price of which
    two sources say different things is shown.

    For example:
      tokenway models
      tokenway models --check --json
    """
    if check:
        return _check(config, as_json=as_json)
    data = _listed(connect(connection))
    if as_json:
        print_json(data)
        return 0
    columns = (
        Column("model"),
        Column("owner"),
        Column("in $/M", right=True),
        Column("out $/M", right=True),
        Column("context", right=True),
        Column("description"),
    )
    rows = [
        [
            _text(model.get("id")),
            _text(model.get("owned_by")),
            *_prices(model.get("pricing")),
            _text(model.get("context_length")),
            _text(model.get("description")),
        ]
        for model in data
    ]
    print_table(columns, rows, empty="The gateway serves no model; add one to its configuration.")
    return 0


def endpoints(
    model: Annotated[str | None, Parameter(help="Name of a model [otherwise all of them].")] = None,
    /,
    *,
    as_json: AsJson = False,
    connection: Connection | None = None,
) -> int:
    """List the endpoints behind a model, or behind all of them.

    Prices are dollars per million tokens, in and out. The other figures are of
    the last half hour, as this gateway measured them in real calls: seconds to
    the first token (half of the calls, nine of ten), the median of tokens per
    second, and the percentage of calls that were answered. The state is `open`
    while an endpoint is left alone because it failed, `probing` while one call
    tries whether it works again, `degraded` or `failing` where of a hundred calls
    and more fewer than 95 or 80 in a hundred were answered.

    For example:
      tokenway endpoints local
      tokenway endpoints --json
    """
    gateway = connect(connection)
    names = [model] if model is not None else _models_without_aliases(_listed(gateway))
    found = [gateway.get(f"/v1/models/{quote(name, safe='/')}/endpoints").get("data", {}) for name in names]
    if as_json:
        print_json(found[0] if model is not None else found)
        return 0
    columns = (
        Column("model"),
        Column("endpoint"),
        Column("grade"),
        Column("$/M", right=True),
        Column("TTFT s", right=True),
        Column("tok/s", right=True),
        Column("up %", right=True),
        Column("state"),
    )
    rows = [_endpoint_row(str(one.get("id")), endpoint) for one in found for endpoint in one.get("endpoints", ())]
    start = 0 if model is None else 1  # the name that was asked for says nothing new
    print_table(columns[start:], [row[start:] for row in rows], empty="No endpoint serves that; see `tokenway models`.")
    return 0


def _check(config: Path | None, *, as_json: bool) -> int:
    from tokenway.compose.commands import compare_prices  # noqa: PLC0415 - the price book is for this alone

    found = compare_prices(config, os.environ, int(time.time() // 86400))
    if as_json:
        print_json(
            [
                {
                    "provider": each.provider,
                    "model": each.model,
                    "rate": each.rate,
                    "source": each.origin,
                    "says": _dollars(each.says),
                    "against": each.other,
                    "against_says": _dollars(each.other_says),
                }
                for each in found
            ]
        )
        return 0
    columns = (
        Column("provider"),
        Column("model"),
        Column("rate"),
        Column("source"),
        Column("$/M", right=True),
        Column("against"),
        Column("$/M", right=True),
    )
    rows = [
        [
            each.provider,
            each.model,
            each.rate,
            each.origin,
            _dollars(each.says) or NOTHING,
            each.other,
            _dollars(each.other_says) or NOTHING,
        ]
        for each in found
    ]
    print_table(columns, rows, empty="No two sources disagree about a price.")
    return 0


def _dollars(rate: int | None) -> str | None:
    return None if rate is None else format_usd(rate)


def _listed(gateway: Gateway) -> list[Json]:
    return list(gateway.get("/v1/models").get("data", ()))


def _models_without_aliases(listed: list[Json]) -> list[str]:
    """Names in the gateway's order; an alias would only repeat the endpoints of its model."""
    names = [str(one.get("id")) for one in listed]
    aliases = {str(one.get("id")) for one in listed if one.get("canonical_slug", one.get("id")) != one.get("id")}
    return [name for name in names if name not in aliases]


def _endpoint_row(model: str, endpoint: Json) -> list[str]:
    latency = endpoint.get("latency_last_30m")
    firsts = [None if ms is None else ms / 1000 for ms in (_percentile(latency, "p50"), _percentile(latency, "p90"))]
    return [
        model,
        _text(endpoint.get("tag") or endpoint.get("name")),
        _text((endpoint.get("grade") or {}).get("weights") or endpoint.get("quantization")),
        _both(_prices(endpoint.get("pricing"))),
        _both([NOTHING if first is None else f"{first:.3g}" for first in firsts]),
        number(_percentile(endpoint.get("throughput_last_30m"), "p50")),
        number(endpoint.get("uptime_last_30m")),
        _state(endpoint),
    ]


def _state(endpoint: Json) -> str:
    """What keeps calls away from an endpoint, or may soon; a dash where it was not called lately."""
    ours = endpoint.get("tokenway") or {}
    breaker = ours.get("breaker", "closed")
    if breaker != "closed":
        return str(breaker)
    is_known = ours.get("requests_last_30m") or ours.get("probes_last_30m")
    return _STATES.get(int(endpoint.get("status") or 0), "ok") if is_known else NOTHING


def _both(cells: Sequence[str]) -> str:
    """Two figures in one cell; one dash where neither is known."""
    return NOTHING if set(cells) == {NOTHING} else "/".join(cells)


def _percentile(percentiles: Any, name: str) -> float | None:
    value = percentiles.get(name) if isinstance(percentiles, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _prices(pricing: Any) -> tuple[str, str]:
    """Input and output price: the API's dollars per token to dollars per million.

    What is sold by the piece alone has none.
    """
    if not isinstance(pricing, dict):
        return NOTHING, NOTHING
    if pricing.get("prompt") == pricing.get("completion") == "0" and not _PIECES.isdisjoint(pricing):
        return NOTHING, NOTHING
    return _per_million(pricing.get("prompt")), _per_million(pricing.get("completion"))


def _per_million(per_token: Any) -> str:
    try:
        amount = Decimal(str(per_token)) * 1_000_000
    except InvalidOperation:
        return NOTHING
    return f"{amount.normalize():f}" if amount.is_finite() and amount >= 0 else NOTHING


def _text(value: object) -> str:
    return NOTHING if value is None or value == "" else str(value)
