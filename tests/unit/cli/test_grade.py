"""`tokenway grade` as a person and as a script use it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.endpoint import ScriptedEndpoint
from tests.unit.planner.grade.gguf_maker import TEXT, tiny_model


@pytest.fixture
def model(home: Path) -> Path:
    """A small model and a text beside it."""
    (home / "text.txt").write_text(TEXT)
    path = home / "tiny.gguf"
    path.write_bytes(tiny_model())
    return path


@pytest.fixture
def address() -> Iterator[str]:
    """A scripted endpoint."""
    with ScriptedEndpoint().served() as base_url:
        yield base_url


def test_formats_are_listed(tokenway: Run) -> None:
    """With their bits, as a table and as JSON."""
    assert "nvfp4\t4.5\t" in tokenway("grade", "formats").stdout
    found = json.loads(tokenway("grade", "formats", "--json").stdout)
    assert {"format": "mxfp4", "bits": 4.25, "title": "E2M1, a power of two for 32"} in found["formats"]


def test_a_file_is_graded_and_drawn(tokenway: Run, model: Path) -> None:
    """In the formats that were named, once each."""
    picture = model.with_name("formats.html")
    done = tokenway(
        *("grade", "weights", str(model), "--format", "nvfp4", "--format", "fp4", "--format", "mxfp4"),
        *("--text", "text.txt", "--tokens", "100", "--plot", str(picture), "--json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["formats"]) == ["nvfp4", "mxfp4"]
    assert found["inputs"]["tokens predicted"] == 99
    assert found["formats"]["mxfp4"]["perplexity_times"]["low"] > 0
    assert picture.read_text().startswith("<!doctype html>")


def test_a_table_for_people(tokenway: Run, model: Path) -> None:
    """Without perplexity, in the usual formats."""
    done = tokenway("grade", "weights", str(model), "--errors-only")
    assert done.returncode == 0
    assert "Error of the weights" in done.stdout
    assert "Perplexity" not in done.stdout
    assert all(f"\n{name}\t" in done.stdout for name in ("fp8-row", "nvfp4", "int4-128-asym"))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("weights", "missing.gguf"), 1, "There is no file missing.gguf"),
        (("weights", "text.txt"), 1, "neither GGUF nor safetensors"),
        (("weights", "tiny.gguf", "--format", "nvfp5"), 1, "did you mean nvfp4"),
        (("weights", "tiny.gguf", "--plot", "a.pdf"), 2, ".png, .svg, .html"),
        (("weights", "tiny.gguf", "--tokens", "3"), 2, "Must be >= 64"),
        (("compare", "a"), 2, "B is missing"),
        (("compare", "a", "b", "--rounds", "9"), 2, "Must be <= 5"),
        (("compare", "@http://x", "b"), 2, "names no model"),
    ],
)
def test_mistakes_have_a_sentence(tokenway: Run, model: Path, words: tuple[str, ...], status: int, said: str) -> None:
    """One on standard error, and the right exit status."""
    done = tokenway("grade", *words)
    assert done.returncode == status
    assert said in done.stderr
    assert done.stdout == ""


def test_an_alarm_is_an_exit_status(tokenway: Run, home: Path, address: str) -> None:
    """1 for a switch, 0 for equals; keys go where they belong."""
    how = ("--prompts", "20", "--at-once", "8", "--json")
    same = tokenway("grade", "compare", f"good@{address}", f"twin@{address}", *how)
    assert same.returncode == 0, same.stderr
    assert json.loads(same.stdout)["verdict"] == "same"
    switched = tokenway("grade", "compare", f"good@{address}", f"drifted@{address}", *how, "--plot", "c.png")
    assert switched.returncode == 1
    assert json.loads(switched.stdout)["verdict"] == "different"
    assert (home / "c.png").read_bytes().startswith(b"\x89PNG")
    wide = tokenway("grade", "compare", f"good@{address}", f"drifted@{address}", *how, "--margin", "2")
    assert json.loads(wide.stdout)["verdict"] == "same"


def test_without_the_extra_it_says_what_to_install(tokenway: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else."""
    monkeypatch.delitem(sys.modules, "tokenway.planner.grade.reports", raising=False)
    monkeypatch.setitem(sys.modules, "numpy", None)
    done = tokenway("grade", "formats")
    assert done.returncode == 1
    assert "pip install 'tokenway[plan]'" in done.stderr
