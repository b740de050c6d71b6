"""`tokenway plan claim` on the command line."""

from __future__ import annotations

import json

import pytest

from tokenway.cli.main import run


def test_a_claim(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, for one model."""
    assert run(["plan", "claim", "blackwell-30x", "--model", "Llama-3.1-8B", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {row["model"] for row in data["regimes"]} == {"llama-3-8b"}
    assert data["summary"]


def test_an_unknown_claim(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest is told."""
    assert run(["plan", "claim", "blackwell-3x"]) == 1
    assert "did you mean blackwell-30x" in capsys.readouterr().err
