"""What an exchange took, for the caller and for the ledger: from the machine's settlement to one record."""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.exchange.commands import Settle, Share
from tokenway.metering import price, stamps
from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.catalog import Model, Operation
from tokenway.model.money import format_usd
from tokenway.model.snapshot import Principal
from tokenway.model.usage import Usage

DIALECT: Final = "openai_chat"
_PAYING: Final = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)


class Story(msgspec.Struct, gc=False):
    """What the relay knows of an exchange at its end. `at` is Unix time, `overhead` in seconds."""

    exchange: str
    at: float
    principal: Principal
    model: Model
    asked: str
    operation: Operation
    stream: bool
    run: str
    times: Stamps
    overhead: float
    finish_reason: str = ""
    gaps: tuple[int, ...] = ()


class Receipt(msgspec.Struct):
    """The figures of a settled exchange; speeds in tokens per second, money in nano-dollars."""

    record: Settled
    usage: Usage | None
    cost: int | None
    cost_parts: tuple[int, int] | None
    output_tps: float | None
    delivered_tps: float | None
    ttft: float | None


def make_line(share: Share) -> Line:
    """One attempt's share as the ledger keeps it."""
    cost: int | None = None
    rates = share.endpoint.price
    if rates is not None and share.usage is not None:
        cost = price.cost(share.usage, rates)
    return Line(
        share.attempt,
        share.endpoint.id,
        share.settlement,
        share.usage,
        cost,
        share.status,
        share.fault,
        share.absurd,
    )


def make_receipt(settle: Settle, story: Story) -> Receipt:
    """The record to write and the figures to tell."""
    times, model = story.times, story.model
    lines = tuple(make_line(share) for share in settle.shares)
    charged = sum(line.cost or 0 for line in lines if line.settlement in _PAYING)
    winner = settle.shares[settle.winner - 1] if settle.winner else None
    usage = winner.usage if winner is not None else None
    tokens = usage.output_tokens if usage is not None else 0
    speed = stamps.output_speed(times, tokens)
    delivered = stamps.delivered_speed(times, tokens)
    cost = parts = None
    if winner is not None and usage is not None and winner.endpoint.price is not None:
        cost = lines[settle.winner - 1].cost
        parts = price.split(usage, winner.endpoint.price)
    record = Settled(
        story.exchange,
        story.at,
        story.principal.key_id,
        story.principal.project,
        story.asked,
        winner.endpoint.id if winner is not None else "",
        story.operation.value,
        DIALECT,
        story.stream,
        settle.settlement,
        charged,
        settle.status,
        lines,
        times,
        story.overhead,
        speed is not None and speed < model.min_tps,
        story.finish_reason,
        settle.error_type,
        story.run,
        story.gaps,
    )
    return Receipt(record, usage, cost, parts, speed, delivered, stamps.ttft(times))


def usage_members(receipt: Receipt) -> bytes:
    """`"cost":…,"cost_details":{…}` for a usage object; empty when the cost is not known."""
    if receipt.cost is None or receipt.cost_parts is None:
        return b""
    cost = format_usd(receipt.cost).encode()
    came_in, came_out = (format_usd(part).encode() for part in receipt.cost_parts)
    return (
        b'"cost":%b,"cost_details":{"upstream_inference_cost":%b,'
        b'"upstream_inference_prompt_cost":%b,"upstream_inference_completions_cost":%b}'
    ) % (cost, cost, came_in, came_out)


def tokenway_member(receipt: Receipt) -> bytes:
    """`"tokenway":{…}` for the last chunk of a stream."""
    record = receipt.record
    return b'"tokenway":%b' % msgspec.json.encode(
        {
            "endpoint": record.endpoint,
            "attempts": len(record.lines),
            "ttft_ms": None if receipt.ttft is None else round(receipt.ttft * 1000, 1),
            "output_tps": None if receipt.output_tps is None else round(receipt.output_tps, 1),
            "delivered_tps": None if receipt.delivered_tps is None else round(receipt.delivered_tps, 1),
            "run": record.run or None,
            "slow": record.slow,
        }
    )
