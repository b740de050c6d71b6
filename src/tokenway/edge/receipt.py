"""What an exchange took, for the caller and for the ledger: from the machine's settlement to one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from tokenway.edge.doors import Door
from tokenway.exchange.commands import Settle
from tokenway.metering import price, stamps
from tokenway.metering.ledger import PAYING, Draw, Line, Settled, Trace
from tokenway.metering.stamps import Stamps
from tokenway.model.catalog import Dialect, Endpoint, Operation
from tokenway.model.money import NANO_PER_USD, marked_up, marked_up_ceiling
from tokenway.model.snapshot import Principal

_NAMES: Final = {operation: operation.value for operation in Operation}
_DIALECTS: Final = {dialect: dialect.value for dialect in Dialect}
Take = Callable[[int, Sequence[Line], str], tuple[Draw, ...]]
"""Closes what a model's exchange has drawn that took so many nano-dollars, in these attempts; what leases lose."""


def nothing(_spent: int, _lines: Sequence[Line], _model: str) -> tuple[Draw, ...]:
    """The same of one that no limit counts for."""
    return ()


class Exchanged(Protocol):
    """What must be known of an exchange at its end. `overhead` is seconds before the first attempt."""

    id: str
    principal: Principal
    counted: str
    min_tps: float
    door: Door
    is_stream: bool
    run: str
    trace: Trace | None
    admitted_at: float
    reserved: int
    times: Stamps
    overhead: float
    finish_reason: str
    gaps: tuple[int, ...]

    def counted_at(self, endpoint: Endpoint) -> str:
        """The name of the model that an endpoint serves it as."""

    def service_of(self, attempt: int) -> str:
        """The class of service that an attempt's answer says it had; empty for the usual one."""


class Receipt(msgspec.Struct, gc=False):
    """The figures of a settled exchange: speeds in tokens per second, money in nano-dollars, TTFT in seconds.

    `cost` is what its caller pays; `cost_in` and `cost_out` add up to it. All are None when the price or the usage is
    not known.
    """

    record: Settled
    cost: int | None
    cost_in: int | None
    cost_out: int | None
    output_tps: float | None
    delivered_tps: float | None


def make_receipt(settle: Settle, story: Exchanged, at: float, untold: int = 0, take: Take = nothing) -> Receipt:
    """The record to write and the figures to tell; `at` is Unix time.

    `untold` is what a provider may bill of which it has said nothing, and which budgets therefore keep back.
    """
    times, principal = story.times, story.principal
    endpoint, tokens, charged, markup = "", 0, 0, principal.markup
    model = story.counted
    cost = cost_in = cost_out = None
    lines = []
    for share in settle.shares:
        asked, usage, settlement = share.endpoint, share.usage, share.settlement
        spent = spent_in = spent_out = None
        service = story.service_of(share.attempt)
        if usage is not None and asked.price is not None:
            parts = price.split(usage, asked.price, at, service)
            if parts is not None:
                spent_in, spent_out = parts
                spent = spent_in + spent_out
                if settlement in PAYING:
                    charged += marked_up(spent, markup)
        if share.attempt == settle.winner:
            endpoint, model = asked.id, story.counted_at(asked)
            if spent is not None and spent_in is not None:
                cost, cost_in = marked_up(spent, markup), marked_up(spent_in, markup)
                cost_out = cost - cost_in
            tokens = 0 if usage is None else usage.output_tokens
        elif not settle.winner and settlement in PAYING:
            model = story.counted_at(asked)
        lines.append(
            Line(share.attempt, asked.id, settlement, usage, spent, share.status, share.fault, share.absurd, service)
        )
    withheld = 0
    if untold:
        withheld = max(0, min(marked_up_ceiling(untold, markup), story.reserved - charged))
    speed = stamps.output_speed(times, tokens)
    record = Settled(
        story.id,
        at,
        principal.key_id,
        principal.project,
        model,
        endpoint,
        _NAMES[story.door.operation],
        _DIALECTS[story.door.dialect],
        story.is_stream,
        settle.settlement,
        charged,
        settle.status,
        tuple(lines),
        times,
        story.overhead,
        speed is not None and speed < story.min_tps,
        story.finish_reason,
        settle.error_type,
        story.run,
        story.gaps,
        story.admitted_at,
        principal.user,
        withheld,
        take(charged + withheld, lines, model),
        story.trace,
    )
    return Receipt(record, cost, cost_in, cost_out, speed, stamps.delivered_speed(times, tokens))


def usage_members(receipt: Receipt) -> bytes:
    """`"cost":…,"cost_details":{…}` for a usage object; empty when the cost is not known."""
    if receipt.cost is None or receipt.cost_in is None or receipt.cost_out is None:
        return b""
    whole, nano = divmod(receipt.cost, NANO_PER_USD)
    return (
        b'"cost":%d.%09d,"cost_details":{"upstream_inference_cost":%d.%09d,'
        b'"upstream_inference_prompt_cost":%d.%09d,"upstream_inference_completions_cost":%d.%09d}'
        % (whole, nano, whole, nano, *divmod(receipt.cost_in, NANO_PER_USD), *divmod(receipt.cost_out, NANO_PER_USD))
    )


def tokenway_member(receipt: Receipt) -> bytes:
    """`"tokenway":{…}` for the last chunk of a stream."""
    record = receipt.record
    first = stamps.ttft(record.stamps)
    return b'"tokenway":%b' % msgspec.json.encode(
        {
            "endpoint": record.endpoint,
            "attempts": len(record.lines),
            "ttft_ms": None if first is None else round(first * 1000, 1),
            "output_tps": None if receipt.output_tps is None else round(receipt.output_tps, 1),
            "delivered_tps": None if receipt.delivered_tps is None else round(receipt.delivered_tps, 1),
            "run": record.run or None,
            "slow": record.slow,
        }
    )
