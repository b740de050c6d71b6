"""Runs of agents as JSON: for their callers (`GET /v1/runs`), and for who operates the gateway.

Money is a decimal text in USD, times are RFC 3339 in UTC, and what is not known is null.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tokenway.dialects.carriers import GUESS
from tokenway.model.money import format_usd
from tokenway.model.usage import BUCKETS

if TYPE_CHECKING:
    from tokenway.metering.runs import Figures
    from tokenway.model.usage import Usage
    from tokenway.store.runs import Agent, Call, Run, RunPage, RunTree

Json = dict[str, Any]


def page(found: RunPage, *, is_ours: bool = False) -> Json:
    """Some runs. `is_ours` is whether the reader operates the gateway: then what providers bill is told as well."""
    runs = [_summary(run, is_ours=is_ours) for run in found.runs]
    return {"data": runs, "has_more": found.cursor is not None, "next_cursor": found.cursor}


def tree(found: RunTree, *, is_ours: bool = False) -> Json:
    """One run with its agents and their calls."""
    agents = [_agent(each, is_ours=is_ours) for each in found.agents]
    return {**_summary(found.run, is_ours=is_ours), "omitted_calls": found.omitted, "agents": agents}


def _summary(run: Run, *, is_ours: bool) -> Json:
    whose = {"key": run.key, "project": run.project} if is_ours else {}
    return {
        "id": run.run,
        "guessed": run.run.startswith(GUESS),
        **whose,
        "started_at": moment(run.started),
        "ended_at": moment(run.ended),
        "wall_seconds": round(run.ended - run.started, 3),
        **_figures(run.figures, is_ours=is_ours),
    }


def _figures(figures: Figures, *, is_ours: bool) -> Json:
    billed = {"provider_cost": format_usd(figures.cost)} if is_ours else {}
    return {
        "calls": figures.calls,
        "shown_calls": figures.shown,
        "errors": figures.errors,
        "slow_calls": figures.slow,
        "usage": _usage(figures.usage),
        "tokens": figures.tokens,
        "shown_tokens": figures.shown_tokens,
        "amplification": _rounded(figures.amplification, 2),
        "hidden_calls_per_request": _rounded(figures.hidden_calls, 2),
        "cache_hit_share": _rounded(figures.cache_hits, 4),
        "cost": format_usd(figures.charged),
        **billed,
        "model_seconds": round(figures.model_time, 3),
        "ttft_seconds": _rounded(figures.ttft, 4),
        "output_tps": _rounded(figures.velocity, 1),
    }


def _agent(agent: Agent, *, is_ours: bool) -> Json:
    return {
        "agent": agent.name or None,
        "agent_type": agent.agent_type or None,
        "goes_on_in": agent.name if agent.goes_on else None,
        "started_at": moment(agent.started),
        "ended_at": moment(agent.ended),
        "figures": None if agent.figures is None else _figures(agent.figures, is_ours=is_ours),
        "calls": [_call(call, is_ours=is_ours) for call in agent.calls],
        "agents": [_agent(each, is_ours=is_ours) for each in agent.agents],
    }


def _call(call: Call, *, is_ours: bool) -> Json:
    billed = {"provider_cost": None if call.cost is None else format_usd(call.cost)} if is_ours else {}
    return {
        "id": call.id,
        "at": moment(call.at),
        "turn": call.turn,
        "turn_id": call.turn_id or None,
        "request_class": call.request_class or None,
        "shown": call.shown,
        "model": call.model,
        "endpoint": call.endpoint or None,
        "operation": call.operation,
        "settlement": call.settlement,
        "status": call.status,
        "finish_reason": call.finish_reason or None,
        "error_type": call.error_type or None,
        "attempts": call.attempts,
        "slow": call.slow,
        "usage": None if call.usage is None else _usage(call.usage),
        "cost": format_usd(call.charged),
        **billed,
        "ttft_seconds": _rounded(call.ttft, 4),
        "seconds": _rounded(call.duration, 4),
        "output_tps": _rounded(call.speed, 1),
    }


def _usage(usage: Usage) -> Json:
    """The buckets that hold anything, and the first three kinds of tokens in any case."""
    always = {"input_uncached", "cache_read", "output_text"}
    return {name: getattr(usage, name) for name in BUCKETS if name in always or getattr(usage, name)}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def moment(at: float | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
