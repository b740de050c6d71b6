"""`tokenway invoices`: issued once, listed and shown as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.books import make_books, tokenway

PERIOD = ("--since", "2026-01-01", "--until", "2026-02-01")


def test_an_invoice_is_issued_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lines are by model; the same period again is the same invoice."""
    monkeypatch.chdir(tmp_path)
    books = make_books(tmp_path)
    made = []
    for _ in range(2):
        assert tokenway(books, "invoices", "create", "default", *PERIOD, "--json") == 0
        made.append(json.loads(capsys.readouterr().out))
    identity = made[0]["id"]

    assert made[0] == made[1]
    assert (made[0]["begins"], made[0]["ends"], made[0]["total_usd"]) == ("2026-01-01", "2026-02-01", "3.000005")
    assert [(line["model"], line["calls"]) for line in made[0]["lines"]] == [("big", 1), ("mock", 2)]
    assert tokenway(books, "invoices", "show", identity) == 0
    assert f"invoice {identity} of default, 2026-01-01 up to 2026-02-01, issued: $3.000005" in capsys.readouterr().err
    assert tokenway(books, "invoices", "list") == 0
    assert identity in capsys.readouterr().out
    assert tokenway(books, "invoices", "show", "inv_none") == 1


def test_a_day_is_billed_once_unless_its_invoice_is_void(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What shares days with another invoice is refused, with the way out; the void one is shown as such."""
    monkeypatch.chdir(tmp_path)
    books = make_books(tmp_path)
    assert tokenway(books, "invoices", "create", "default", *PERIOD, "--json") == 0
    identity = json.loads(capsys.readouterr().out)["id"]
    day = ("--since", "2026-01-01", "--until", "2026-01-02")

    assert tokenway(books, "invoices", "create", "default", *day) == 1
    assert f"{identity} has days of this period: 2026-01-01 up to 2026-02-01; void it first" in capsys.readouterr().err
    assert tokenway(books, "invoices", "void", identity, "--note", "wrong month") == 0
    assert f"The invoice {identity} of default is void." in capsys.readouterr().out
    assert tokenway(books, "invoices", "create", "default", *day) == 0
    capsys.readouterr()
    assert tokenway(books, "invoices", "list") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    assert {row[0] == identity: row[4] for row in rows} == {True: "void", False: "issued"}
    assert tokenway(books, "invoices", "void", identity, "--json") == 0
    assert json.loads(capsys.readouterr().out)["voided"] is not None
