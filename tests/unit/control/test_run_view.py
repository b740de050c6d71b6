"""Runs as JSON: what callers see of them, and what is for the operator only."""

from __future__ import annotations

import json
from typing import Any

from tokenway.control import run_view
from tokenway.metering.runs import Figures
from tokenway.model.usage import Usage
from tokenway.store.runs import Agent, Call, Run, RunPage, RunTree

NOON = 1_767_268_800.0
"""1 January 2026, 12:00 UTC."""
USAGE = Usage(input_uncached=90, cache_read=10, output_text=30, reasoning=10, requests=1)
FIGURES = Figures(
    calls=4,
    shown=1,
    shown_tokens=30,
    charged=12_500,
    cost=10_000,
    usage=Usage(input_uncached=360, cache_read=40, output_text=120, reasoning=40, requests=4),
    ttft_us=1_000_000,
    first_tokens=4,
    timed_tokens=156,
    timed_us=4_000_000,
    duration_us=5_200_000,
)
RUN = Run("key_a", "nightly", "default", NOON, NOON + 7.25, FIGURES)


def made(**changes: Any) -> Call:
    """A call of which everything is known, but for the changes."""
    values: dict[str, Any] = {
        "id": "gen-1",
        "at": NOON,
        "turn": 1,
        "turn_id": "",
        "request_class": "",
        "model": "m",
        "endpoint": "p/m",
        "operation": "chat",
        "settlement": "delivered",
        "status": 200,
        "finish_reason": "stop",
        "error_type": "",
        "shown": True,
        "slow": False,
        "attempts": 1,
        "usage": USAGE,
        "charged": 3_125,
        "cost": 2_500,
        "ttft": 0.25,
        "duration": 1.3,
        "speed": 39.04,
    }
    return Call(**(values | changes))


TREE = RunTree(RUN, [Agent("", figures=FIGURES, calls=[made()], agents=[Agent("a", "Explore", goes_on=True)])], 2)


def test_a_run_with_its_figures() -> None:
    """Exact money, times of the calendar, rounded ratios."""
    found = run_view.tree(TREE)
    agents = found.pop("agents")
    assert found == {
        "id": "nightly",
        "guessed": False,
        "started_at": "2026-01-01T12:00:00.000Z",
        "ended_at": "2026-01-01T12:00:07.250Z",
        "wall_seconds": 7.25,
        "calls": 4,
        "shown_calls": 1,
        "errors": 0,
        "slow_calls": 0,
        "usage": {"input_uncached": 360, "cache_read": 40, "output_text": 120, "reasoning": 40, "requests": 4},
        "tokens": 560,
        "shown_tokens": 30,
        "amplification": 18.67,
        "hidden_calls_per_request": 3.0,
        "cache_hit_share": 0.1,
        "cost": "0.0000125",
        "model_seconds": 5.2,
        "ttft_seconds": 0.25,
        "output_tps": 39.0,
        "omitted_calls": 2,
    }
    (own,) = agents
    assert (own["agent"], own["figures"]["calls"], own["started_at"]) == (None, 4, None)
    (explorer,) = own["agents"]
    assert explorer == {
        "agent": "a",
        "agent_type": "Explore",
        "goes_on_in": "a",
        "started_at": None,
        "ended_at": None,
        "figures": None,
        "calls": [],
        "agents": [],
    }


def test_a_call() -> None:
    """What is not known is null, and never 0."""
    (call,) = run_view.tree(TREE)["agents"][0]["calls"]
    assert (call["turn"], call["turn_id"], call["shown"], call["cost"]) == (1, None, True, "0.000003125")
    assert (call["ttft_seconds"], call["seconds"], call["output_tps"]) == (0.25, 1.3, 39.0)
    assert call["usage"] == {"input_uncached": 90, "cache_read": 10, "output_text": 30, "reasoning": 10, "requests": 1}
    nothing = made(usage=None, cost=None, ttft=None, duration=None, speed=None, endpoint="", charged=0)
    (call,) = run_view.tree(RunTree(RUN, [Agent("", calls=[nothing])]), is_ours=True)["agents"][0]["calls"]
    assert [call[name] for name in ("usage", "provider_cost", "ttft_seconds", "seconds", "output_tps", "endpoint")] == [
        None
    ] * 6


def test_what_providers_bill_is_for_the_operator() -> None:
    """And whose run it is: a caller knows its own key, and pays its own price."""
    for ours in (False, True):
        text = json.dumps([run_view.tree(TREE, is_ours=ours), run_view.page(RunPage([RUN]), is_ours=ours)])
        assert ("provider_cost" in text) is ours
        assert ("key_a" in text) is ours
    assert run_view.tree(TREE, is_ours=True)["provider_cost"] == "0.00001"


def test_a_page_of_runs() -> None:
    """With where the next ones begin."""
    found = run_view.page(RunPage([RUN, Run("key_a", "~k", "default", NOON, NOON, Figures())], "next"))
    assert [(each["id"], each["guessed"]) for each in found["data"]] == [("nightly", False), ("~k", True)]
    assert (found["has_more"], found["next_cursor"]) == (True, "next")
    assert found["data"][1]["amplification"] is None
    assert run_view.page(RunPage([]))["has_more"] is False
