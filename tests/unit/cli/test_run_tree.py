"""The tree of a run as lines for a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.control.test_run_view import FIGURES, NOON, RUN, made
from tokenway.cli import run_tree
from tokenway.cli.run_tree import headline, lines, print_tree
from tokenway.metering.runs import Figures
from tokenway.store.runs import Agent, Run, RunTree

EXPLORER = Agent("a1", "Explore", figures=FIGURES, calls=[made(shown=False)], agents=[])
TREE = RunTree(
    RUN,
    [
        Agent(
            "",
            figures=FIGURES,
            calls=[
                made(shown=False, finish_reason="tool_calls"),
                made(),
                made(turn=2, request_class="auxiliary", shown=False),
            ],
            agents=[EXPLORER, Agent("a2", goes_on=True)],
        )
    ],
)


def test_the_headline() -> None:
    """Whose it is, how long it took, the amplification, the sums."""
    texts = [text for text, _ in headline(TREE, "laptop")]
    assert texts == [
        "nightly  laptop, default",
        "2026-01-01 12:00:00 to 12:00:07 UTC, 7.2 s; models at work for 5.2 s",
        "Amplification 18.7: 560 tokens for 30 that the user saw; 3.0 hidden calls for each answer of 1",
        "4 calls, 400 in (10% cached), 160 out, $0.0000125, 39.0 tokens/s",
    ]


def test_a_headline_without_figures() -> None:
    """Nothing was seen, or timed; and a run may last over midnight."""
    run = Run("k", "r", "default", NOON, NOON + 86_400, Figures(calls=1, errors=1))
    texts = [text for text, _ in headline(RunTree(run, []), "k")]
    assert texts[1].startswith("2026-01-01 12:00:00 to 2026-01-02 12:00:00 UTC, 86400.0 s")
    assert texts[2] == "Amplification –: 0 tokens, and the user saw no answer"
    assert texts[3] == "1 call, 0 in (– cached), 0 out, $0, – tokens/s, 1 error"


def test_the_lines() -> None:
    """Turns where there are several, and the agents below."""
    assert [line.guides + line.label for line in lines(TREE)] == [
        "the run's own agent, 4 calls",
        "├─ turn 1",
        "│  ├─ tool_calls: p/m",
        "│  └─ answer: p/m",
        "├─ turn 2",
        "│  └─ stop (auxiliary): p/m",
        "├─ a1 (Explore), 4 calls",
        "│  └─ stop: p/m",
        "└─ a2, no calls of its own, goes on in the run a2",
    ]
    assert [line.cells for line in lines(TREE)][3] == ("100", "10", "40", "$0.000003125", "0.25", "39.0")


@pytest.mark.parametrize(
    ("changes", "label", "style"),
    [
        ({}, "answer: p/m", "green"),
        ({"shown": False, "slow": True}, "stop: p/m", "yellow"),
        ({"shown": False, "operation": "embedding", "finish_reason": ""}, "embedding: p/m", ""),
        ({"shown": False, "settlement": "upstream_billed"}, "left: p/m", "yellow"),
        (
            {"shown": False, "settlement": "released", "error_type": "timeout", "status": 504, "endpoint": ""},
            "timeout 504: m",
            "red",
        ),
        ({"shown": False, "settlement": "expired", "status": 0}, "expired: p/m", "red"),
        ({"shown": False, "request_class": "subagent"}, "stop: p/m", ""),
        ({"attempts": 3}, "answer: p/m, 3 attempts", "green"),
    ],
)
def test_how_a_call_ended(changes: dict[str, Any], label: str, style: str) -> None:
    """In a word and a colour."""
    tree = RunTree(RUN, [Agent("", figures=FIGURES, calls=[made(**changes)])])
    line = list(lines(tree))[1]
    assert (line.label, line.style) == (label, style)


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Long names are cut, figures never; on a narrow terminal there are fewer of them."""
    monkeypatch.setattr(run_tree, "PIPE_WIDTH", width)
    agents = [Agent("a" * 100, "[bold]", figures=FIGURES, calls=[made(endpoint="p/" + "m" * 100)])]
    print_tree(RunTree(RUN, agents, 7), "laptop")
    out = capsys.readouterr().out.splitlines()
    table = out[out.index("") + 1 :]
    assert max(map(len, table)) <= width
    assert all(line.rstrip().endswith("39.0") for line in table[1:3])
    assert "…" in table[1]
    assert ("TTFT s" in table[0]) is (width == 120)
    assert out[-1] == "… and 7 calls more, which are in the figures only."
