"""`tokenway ledger`: a proof that fails when it should, files of entries, and drifts."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.unit.cli.books import make_books, tokenway


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a ledger."""
    monkeypatch.chdir(tmp_path)
    return make_books(tmp_path)


def test_a_ledger_that_holds_says_so(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output has faults and nothing else; the sum of it goes beside it."""
    assert tokenway(books, "ledger", "verify") == 0
    told = capsys.readouterr()

    assert told.out == ""
    assert "3 exchanges with 3 entries; debits $3.000012468, credits $3.000012468" in told.err
    assert "the ledger holds." in told.err


def test_a_fault_is_a_line_and_a_status(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text and as JSON; what is not asked for is not compared."""
    connection = sqlite3.connect(books / "tokenway.db")
    connection.execute("UPDATE spend SET charged = charged + 1 WHERE scope = 'model' AND subject = 'big' AND grain = 0")
    connection.commit()
    connection.close()

    assert tokenway(books, "ledger", "verify") == 1
    assert capsys.readouterr().out == "spending of model big in all, by its days: charged 1 too high\n"
    assert tokenway(books, "ledger", "verify", "--json", "--since", "2026-02-01") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["holds"], found["exchanges"], len(found["faults"])) == (False, 0, 1)


def test_entries_are_exported(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the output as CSV, or into a file by its ending."""
    period = ("--since", "2026-01-01", "--until", "2026-01-02")
    assert tokenway(books, "ledger", "export", "default", *period) == 0
    told = capsys.readouterr()
    assert (told.out.count("\n"), told.err) == (4, "3 entries.\n")

    target = books / "x.parquet"
    assert tokenway(books, "ledger", "export", "default", *period, "-o", str(target)) == 0
    assert pq.read_table(target).num_rows == 3
    assert tokenway(books, "ledger", "export", "default", *period, "-o", str(books / "x.csv")) == 0
    assert (books / "x.csv").read_text() == told.out
    assert tokenway(books, "ledger", "export", "default", *period, "--format", "parquet") == 2
    assert tokenway(books, "ledger", "export", "default", "--since", "January", "--until", "2026-01-02") == 2
    assert "--since January is not a date" in capsys.readouterr().err
    for name in ("x.csv", "x.parquet"):
        assert tokenway(books, "ledger", "export", "default", *period, "-o", str(books / "gone" / name)) == 1
        assert f"{name} cannot be written: " in capsys.readouterr().err
    assert tokenway(books, "ledger", "export", "nobody", *period) == 1
    assert "there is no project 'nobody'" in capsys.readouterr().err


def test_a_providers_file_is_compared(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The drift of each model, absolute and in percent of what the provider says."""
    file = books / "usage.csv"
    file.write_text(
        "start_time,end_time,start_time_iso,end_time_iso,model,num_model_requests,input_tokens,input_cached_tokens,"
        "output_tokens,colour\n"
        "1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,gpt-4o-2024-08-06,1,120,20,50,red\n"
        "1767225600,1767312000,2026-01-01T00:00:00+00:00,2026-01-02T00:00:00+00:00,o9,1,1,0,1,red\n"
    )
    assert tokenway(books, "ledger", "reconcile", str(file), "--json") == 0
    told = capsys.readouterr()
    found = {model["model"]: model for model in json.loads(told.out)["models"]}

    assert found["gpt-4o"]["figures"]["output"] == {"provider": 50, "ledger": 61, "drift": -11, "percent": -22.0}
    assert found["gpt-4o"]["figures"]["input"]["drift"] == 0
    assert (found["gpt-4o"]["days"], found["o9"]["only"]) == (["2026-01-01"], "provider")
    assert "not understood, and left out: colour" in told.err
    assert tokenway(books, "ledger", "reconcile", str(file), "--provider", "nobody") == 0
    assert "o9: only the provider has it." in capsys.readouterr().err


def test_a_file_that_is_none_is_refused(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence that says why."""
    (books / "x.csv").write_text("a,b\n1,2\n")
    assert tokenway(books, "ledger", "reconcile", str(books / "x.csv")) == 1
    assert "line 1: the header is of no export" in capsys.readouterr().err
    assert tokenway(books, "ledger", "reconcile", str(books / "gone.csv")) == 2


def test_what_is_withheld_is_listed_and_settled(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Charged in part, the rest is free; then nothing is left, and the ledger holds."""
    assert tokenway(books, "ledger", "withheld", "--since", "all", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["call"], row["withheld_usd"], row["charged_usd"]) == ("gen-000001", "0.000000007", "1")
    assert tokenway(books, "ledger", "withheld", "default", "--since", "all") == 0
    assert "1 calls, $0.000000007 withheld." in capsys.readouterr().err
    assert tokenway(books, "ledger", "settle", "gen-000001", "--charge", "1") == 1
    assert "at most what is withheld can be charged: 7 nano-dollars" in capsys.readouterr().err
    assert tokenway(books, "ledger", "settle", "gen-000001", "--charge", "0.000000003", "--note", "bill 7") == 0
    assert "The call gen-000001 of default is charged $1.000000003" in capsys.readouterr().out
    assert tokenway(books, "ledger", "settle", "gen-000001") == 1
    assert "nothing is withheld for gen-000001" in capsys.readouterr().err
    assert tokenway(books, "ledger", "withheld", "--since", "all") == 0
    assert "Nothing is withheld" in capsys.readouterr().err
    assert tokenway(books, "ledger", "verify") == 0
