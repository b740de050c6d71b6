"""The settings of what may be spent, how fast, and by whom: parts of `model.settings`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tokenway.model.limits import OnOutage
from tokenway.model.money import MILLIONTHS, NanoUsd, Share
from tokenway.model.shape import SHORTHAND
from tokenway.model.units import Duration

Count = Annotated[int, Meta(ge=1, le=10**15)]


class BudgetPeriod(StrEnum):
    """How long a budget lasts before it starts anew; `total` never does."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Budget(msgspec.Struct, frozen=True):
    """How much may be spent."""

    usd: Annotated[NanoUsd, Meta(description="The amount.")]
    period: Annotated[BudgetPeriod, Meta(description="When it starts anew, in UTC.")] = BudgetPeriod.TOTAL
    rolling: Annotated[
        bool,
        Meta(description="Whether the period is the time that lies just behind, and not the calendar's."),
    ] = False


BudgetSetting = Annotated[
    Budget | None,
    Meta(
        description="The most that may be spent: USD in total, or `{usd, period, rolling}`.",
        extra={SHORTHAND: "usd"},
    ),
]


class Rates(msgspec.Struct, frozen=True):
    """How fast calls may come, over all workers."""

    rpm: Annotated[Count | None, Meta(description="Requests a minute.")] = None
    tpm: Annotated[Count | None, Meta(description="Tokens a minute, in and out.")] = None
    input_tpm: Annotated[Count | None, Meta(description="Input tokens a minute.")] = None
    output_tpm: Annotated[Count | None, Meta(description="Output tokens a minute.")] = None
    concurrency: Annotated[Count | None, Meta(description="Calls at once.")] = None


class Quota(msgspec.Struct, frozen=True):
    """What all calls to a model may take together, whoever makes them."""

    budget: BudgetSetting = None
    limits: Annotated[Rates, Meta(description="How fast they may come.")] = Rates()


class RunLimits(msgspec.Struct, frozen=True):
    """What each run of an agent may take."""

    calls: Annotated[Count | None, Meta(description="Calls.")] = None
    tokens: Annotated[Count | None, Meta(description="Tokens, in and out.")] = None
    usd: Annotated[NanoUsd | None, Meta(description="The most that it may spend.")] = None
    depth: Annotated[Count | None, Meta(description="How deep agents may call agents; the run's own is at 1.")] = None
    loops: Annotated[Count | None, Meta(description="How often it may make the same request.")] = None


class ProjectSettings(msgspec.Struct, frozen=True):
    """Whom use is counted for, and what holds for all of its keys together."""

    budget: BudgetSetting = None
    limits: Annotated[Rates, Meta(description="How fast its calls may come.")] = Rates()
    markup: Annotated[
        Annotated[Share, Meta(ge=-MILLIONTHS, le=1000 * MILLIONTHS)] | None,
        Meta(description="What is charged on top of cost: `0.1` is 10 % more. Left out, the store's project says it."),
    ] = None
    on_outage: Annotated[
        OnOutage | None,
        Meta(
            description="What becomes of its calls while nobody can be asked what is left of limits: `serve` on what "
            "workers hold, or `refuse`. Left out, the store's project says it."
        ),
    ] = None
    prepaid: Annotated[
        bool,
        Meta(description="Whether it spends only what was paid in beforehand; the store's project may say so, too."),
    ] = False
    run: Annotated[RunLimits, Meta(description="What each run may take.")] = RunLimits()


class Unpriced(StrEnum):
    """What becomes of endpoints whose price nobody knows: their calls cost nothing here, or nothing is sent to them."""

    SERVE = "serve"
    REFUSE = "refuse"


class LimitSettings(msgspec.Struct, frozen=True):
    """What happens at limits."""

    queue: Annotated[
        Duration,
        Meta(
            ge=0,
            le=600,
            description="For how long a call may wait for a rate, or for a place among calls at once; `0s` refuses it.",
        ),
    ] = 0.0
    unpriced: Annotated[
        Unpriced,
        Meta(
            description="What becomes of endpoints without a price: `serve`, and their calls take nothing of budgets "
            "and credits, or `refuse`, and nothing is sent to them."
        ),
    ] = Unpriced.SERVE
