"""`tokenway plan` on the command line: demand that is said, or forecast; GPUs, formats and prices that are chosen."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

from tokenway.cli.main import run

BASE = ("plan", "llama-3-8b", "--gpu", "h100", "--format", "fp8", "--api", "0.2,0.6")


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert run([*BASE, "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_demand_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """It grows from this month on."""
    data = _json(capsys, "--tokens-per-day", "5e10", "--doubling", "90", "--months", "6")
    assert len(data["months"]) == 6
    assert data["months"][0]["month"] == f"{dt.datetime.now(dt.UTC):%Y-%m}"
    gpus = [each["middle"]["gpus"] for each in data["months"]]
    assert gpus[-1] > 1.5 * gpus[0]
    assert data["inputs"]["model"] == "llama-3-8b"


def test_demand_of_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is forecast, and months that are whole are planned."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(n) for n in range(120)]
    rows = [f"{day},{1e10 * 2 ** (n / 60) * (1 + 0.05 * math.sin(n)):.0f}" for n, day in enumerate(days)]
    file = tmp_path / "usage.csv"
    file.write_text("date,tokens\n" + "\n".join(rows) + "\n")
    data = _json(capsys, "--demand", str(file), "--months", "4")
    assert [each["month"] for each in data["months"]] == ["2026-05", "2026-06", "2026-07", "2026-08"]
    assert data["months"][0]["low"]["requests"] < data["months"][0]["middle"]["requests"]


def test_demand_of_one_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A ledger or file of several models has a fleet for each."""
    days = [dt.date(2026, 1, 1) + dt.timedelta(n) for n in range(90)]
    shares = {"small": 1e9, "large": 3e9}
    rows = [
        f"{day},{model},{tokens * (1 + 0.05 * math.sin(day.day))}" for day in days for model, tokens in shares.items()
    ]
    file = tmp_path / "usage.csv"
    file.write_text("date,model,tokens\n" + "\n".join(rows) + "\n")
    words = ("--demand", str(file), "--months", "1")
    all_of_it, part = (_json(capsys, *words, *more)["requests"] for more in ((), ("--demand-model", "small")))
    assert part == pytest.approx(all_of_it / 4, rel=0.05)
    assert run([*BASE, *words, "--demand-model", "smal"]) == 1
    assert "did you mean small" in capsys.readouterr().err


def test_why_demand_cannot_be_forecast(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Two days are none."""
    file = tmp_path / "usage.csv"
    file.write_text("date,tokens\n2026-01-01,5\n2026-01-02,6\n")
    assert run([*BASE, "--demand", str(file)]) == 1
    assert "a forecast takes 28. Say it with --tokens-per-day." in capsys.readouterr().err


def test_machines_that_are_bought(capsys: pytest.CaptureFixture[str]) -> None:
    """At a price of one's own, in the months in which they are needed."""
    data = _json(capsys, "--tokens-per-day", "5e10", "--doubling", "90", "--months", "6", "--purchase", "30000")
    assert data["purchase_usd_per_gpu"] == [30_000, 30_000]
    assert sum(each["added_gpus"] for each in data["months"]) == data["months"][-1]["middle"]["gpus"]
    assert run([*BASE, "--tokens-per-day", "1e9", "--purchase", "30000"]) == 0
    out = capsys.readouterr().out
    assert "\tto buy, USD\n" in out
    assert " GPUs takes $" in out


def test_words_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """The answer, inputs and sources."""
    assert run([*BASE, "--tokens-per-day", "1e9"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Serving Llama 3.1 8B\nCheapest: H100 SXM in fp8")
    assert "reserved price of h100" in out


def test_all_that_it_was_asked_with_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Demand, and what was chosen of machines, so that the answer can be had again."""
    data = _json(capsys, "--tokens-per-day", "1e9", "--doubling", "90", "--months", "3", "--draft", "2,0.5")
    told = {"tokens a day": 1e9, "doubling days": 90.0, "spread": 0.5, "months": 3, "GPUs": "h100", "draft": "2,0.5"}
    assert told.items() <= data["inputs"].items()
    assert data["inputs"]["APIs"] == "0.2,0.6"


def test_a_gpu_and_a_price_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Six numbers and dollars an hour."""
    words = ["plan", "llama-3-8b", "--gpu", "1000,2000,96,4,400,600", "--price", "1.25", "--tokens-per-day", "1e9"]
    assert run([*words, "--api", "0.2,0.6", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["replica"]["gpu"] == "own-gpu-1"
    assert data["replica"]["usd_per_gpu_hour"] == [1.25, 1.25, 1.25]


def test_several_gpus_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Each by its number, in the order in which they were given."""
    gpus = ("--gpu", "1000,2000,96,4,400,600", "--gpu", "2000,4000,192,8,800,900")
    assert run(["plan", "llama-3-8b", *gpus, "--price", "2", "--tokens-per-day", "1e9", "--api", "1,2", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {each["gpu"] for each in data["others"]} == {"own-gpu-1", "own-gpu-2"}


def test_guesses_ahead_and_measurements(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Speculative decoding makes a caller's tokens cheaper, a slow measurement dearer."""
    file = tmp_path / "mine.csv"
    head = "model_path,system,precision,backend,isl,osl,conc,num_gpus,tp_size,tpot_ms"
    file.write_text(f"{head}\nllama-3.1-8b,h100,fp8,vllm,1000,500,32,1,1,60\n")
    words = ("--tokens-per-day", "1e11", "--speed", "60")
    plain = _json(capsys, *words)["usd"]
    assert _json(capsys, *words, "--draft", "3,0.8")["usd"] < plain
    assert _json(capsys, "--tokens-per-day", "1e11", "--speed", "10", "--measured", str(file))["usd"] > plain


def test_a_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where it was asked for."""
    file = tmp_path / "fleet.svg"
    assert run([*BASE, "--tokens-per-day", "1e9", "--plot", str(file)]) == 0
    assert "<svg" in file.read_text()
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says", "status"),
    [
        (("--tokens-per-day", "0"), "above 0", 1),
        (("--tokens-per-day", "1e9", "--months", "0"), "--months 0", 2),
        (("--tokens-per-day", "1e9", "--demand", "x.csv"), "not both", 2),
        (("--tokens-per-day", "1e9", "--demand-model", "x"), "not of --tokens-per-day", 2),
        (("--demand", "x.csv", "--demand-project", "x"), "a file has no projects", 2),
        (("--tokens-per-day", "1e9", "--price", "cheap"), "on-demand, reserved", 2),
        (("--tokens-per-day", "1e9", "--purchase", "0"), "no price of a GPU", 1),
        (("--tokens-per-day", "1e9", "--price", "0"), "no price", 1),
        (("--tokens-per-day", "1e9", "--gpu", "h1000"), "did you mean h100", 1),
        (("--tokens-per-day", "1e9", "--format", "fp5"), "number format", 1),
        (("--tokens-per-day", "1e9", "--speed", "9999"), "times too slow", 1),
        (("--tokens-per-day", "1e9", "--cached", "1.5"), "cached", 1),
        (("--tokens-per-day", "1e9", "--plot", "fleet.gif"), ".png, .svg, .html", 2),
        (("--tokens-per-day", "nan"), "above 0", 1),
        (("--tokens-per-day", "1e9", "--doubling", "0.01"), "more than 1e+18 tokens a day", 1),
        (("--tokens-per-day", "1e9", "--quantile", "0.9999"), "from 0.5 to 0.99", 1),
        (("--tokens-per-day", "1e9", "--gpu", "1,2,3"), "it has 3", 1),
        (("--tokens-per-day", "1e9", "--gpu", "1000,0,80,3,450,700"), "needs its price: --price 2.10", 2),
        (("--demand", "missing.csv"), "cannot be read", 2),
        (("--tokens-per-day", "1e9", "--measured", "missing.csv"), "cannot be read", 2),
        (("--tokens-per-day", "1e9", "--draft", "three"), "3,0.7", 2),
        (("--tokens-per-day", "1e9", "--draft", "3,1.5"), "guesses", 1),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str, status: int) -> None:
    """Says what is wrong, and what would do."""
    assert run([*BASE, *words]) == status
    assert says in capsys.readouterr().err


def test_too_little_demand_to_forecast(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read from the input as well; the reason is a sentence, and so is what helps."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"date,tokens\n2026-01-01,5\n")))
    assert run([*BASE, "--demand", "-"]) == 1
    said = "it has 1 day with use, and a forecast takes 28. Say it with --tokens-per-day."
    assert said in capsys.readouterr().err


def test_prices_of_the_book_have_their_source(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where one was named."""
    data = _json(capsys, "--tokens-per-day", "1e9", "--api", "openai/gpt-4o-mini")
    assert "prices by the token" in {each["name"] for each in data["sources"]}
    assert {each["name"] for each in data["apis"]} == {"$0.2,0.6 a million", "openai/gpt-4o-mini"}


def test_a_folder_of_hugging_face(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Is as good as the config in it, and names the model."""
    folder = tmp_path / "my-llama"
    folder.mkdir()
    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8}
    (folder / "config.json").write_text(json.dumps({**sizes, "intermediate_size": 14336, "vocab_size": 128256}))
    assert run(["plan", str(folder), "--tokens-per-day", "1e9", "--gpu", "h100", "--format", "fp8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Serving my-llama"


def test_measurements_that_cannot_be_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It is said of which file."""
    file = tmp_path / "mine.csv"
    file.write_text("model_path,system\nllama-3-8b,h100\n")
    assert run([*BASE, "--tokens-per-day", "1e9", "--measured", str(file)]) == 2
    assert f"{file}: " in capsys.readouterr().err


def test_a_config_that_is_no_object(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Is refused in a sentence."""
    file = tmp_path / "config.json"
    file.write_text("[]")
    assert run(["plan", str(file), "--tokens-per-day", "1e9"]) == 1
    assert "no JSON object" in capsys.readouterr().err


def test_a_model_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest are told."""
    assert run(["plan", "llama-3-9b", "--tokens-per-day", "1e9"]) == 1
    assert "did you mean llama-3-8b" in capsys.readouterr().err
