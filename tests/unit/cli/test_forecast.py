"""`tokenway forecast`: the whole way from words to an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A CSV file of 120 days that grow to four times, two thirds of it one model's."""
    series = daily(demand("exponential", 120, np.random.default_rng(1)))
    rows = [
        f"{day},{value * part:.0f},{model}"
        for day, value in zip(series.dates, series.values, strict=True)
        for model, part in (("big", 2 / 3), ("small", 1 / 3))
    ]
    (tmp_path / "d.csv").write_text("\n".join(["date,tokens,model", *rows]))
    return str(tmp_path / "d.csv")


def test_a_file_for_people(tokenway: Run, file: str) -> None:
    """Sentences and tables; what it was asked with, and where the data is from, below them."""
    done = tokenway("forecast", file, "--days", "30", "--by-model")

    assert done.returncode == 0
    assert "emand doubles in " in done.stdout
    assert "Forecast, tokens in a month" in done.stdout
    assert "big\t66.7%" in done.stdout
    assert "days ahead: 30" in done.stdout
    assert "CSV file (2026-05-04): d.csv" in done.stdout


def test_a_file_for_programs(tokenway: Run, file: str) -> None:
    """Of one model, from a date on."""
    done = tokenway("forecast", file, "--model", "big", "--since", "2026-02-01", "--days", "7", "--json")
    data = json.loads(done.stdout)

    assert data["inputs"]["from"] == "2026-02-01"
    assert data["inputs"]["series"] == "tokens of big"
    assert [each["date"] for each in data["forecast"]][0::6] == ["2026-05-05", "2026-05-11"]
    assert data["factors"] is None


def test_the_input(tokenway: Run, file: str) -> None:
    """Is read for a hyphen, and is what the source is called."""
    done = tokenway("forecast", "-", "--days", "30", stdin="\ufeff" + Path(file).read_text())

    assert done.returncode == 0
    assert "emand doubles in " in done.stdout
    assert "CSV file (2026-05-04): standard input" in done.stdout


def test_an_example_with_what_may_lead_it(tokenway: Run, tmp_path: Path) -> None:
    """The picture is a page; the evidence is told."""
    page = tmp_path / "n.html"
    done = tokenway("forecast", "--example", "nvidia", "--overlay", "capex", "--plot", str(page))

    assert done.returncode == 0
    assert "Demand doubles in 3.3 quarters" in done.stdout
    assert "at none of 5 lags" in done.stdout
    assert f"{page} is written." in done.stderr
    assert "Growth of NVIDIA&#x27;s data-centre revenue follows" in page.read_text()


def test_an_example_with_its_factors(tokenway: Run) -> None:
    """OpenRouter tells its calls too: they grow, and their tokens."""
    data = json.loads(tokenway("forecast", "--example", "openrouter", "--json").stdout)

    assert [each["name"] for each in data["factors"]["factors"]] == ["calls", "tokens per call"]
    assert data["verdict"] == "exponential"


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("no.csv",), 2, "no.csv cannot be read"),
        (("d.csv", "--example", "nvidia"), 2, "not both"),
        (("d.csv", "--project", "default"), 2, "--project is of the ledger"),
        (("d.csv", "--days", "0"), 2, "--days 0 is not between 1 and 3650"),
        (("d.csv", "--plot", "d.pdf"), 2, "'d.pdf' has to end in one of"),
        (("d.csv", "--model", "bigg"), 1, "did you mean big?"),
        (("d.csv", "--overlay", "kapex"), 1, "did you mean capex?"),
        (("d.csv", "--since", "spring"), 2, "--since spring is neither"),
        (("--exampel",), 2, "Unknown option: --exampel"),
        ((), 1, "There is no database"),
    ],
)
def test_what_cannot_be_answered(tokenway: Run, file: str, words: tuple[str, ...], status: int, reason: str) -> None:
    """One sentence says why, and nothing is printed."""
    done = tokenway("forecast", *words)

    assert (done.returncode, done.stdout) == (status, "")
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2026-01-01,5", "Insufficient data: it has 1 day with use"),
        ("2026-01-01,0\n2026-01-02,0", "All 2 values are zero."),
    ],
)
def test_too_little_is_an_answer(tokenway: Run, tmp_path: Path, rows: str, said: str) -> None:
    """With status 0, and a picture all the same."""
    (tmp_path / "s.csv").write_text(f"date,tokens\n{rows}\n")
    done = tokenway("forecast", "s.csv", "--plot", "s.svg")

    assert done.returncode == 0
    assert said in done.stdout
    assert (tmp_path / "s.svg").read_text().startswith("<?xml")


def test_without_the_extra() -> None:
    """What to install is said; the help needs nothing."""
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tokenway.cli.main import run\n"
        "print(run(['forecast', '--help']), run(['forecast', '--example', 'nvidia']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.endswith("0 1\n")
    assert "This needs the package numpy; install it with: pip install 'tokenway[plan]'" in done.stderr


def test_the_gateway_needs_none_of_it() -> None:
    """Its processes never import what the planner computes with."""
    program = (
        "import sys, tokenway.compose.serve, tokenway.compose.control, tokenway.compose.worker, tokenway.store.open\n"
        "print([name for name in ('numpy', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
