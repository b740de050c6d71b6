"""`tokenway credits`: money in, money given, codes, and what is left of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.books import make_books, tokenway


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory with a ledger."""
    monkeypatch.chdir(tmp_path)
    return make_books(tmp_path)


def test_movements_are_shown_with_what_is_left(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same reference again moves nothing."""
    for _ in range(2):
        assert tokenway(books, "credits", "add", "default", "50.00", "--reference", "payment 1") == 0
    assert tokenway(books, "credits", "grant", "default", "5", "--note", "welcome") == 0
    assert tokenway(books, "credits", "refund", "default", "1.5") == 0
    assert tokenway(books, "credits", "adjust", "default", "-2.5") == 0
    assert "left of $54" in capsys.readouterr().err
    assert tokenway(books, "credits", "show", "--since", "2026-01-01", "--json") == 0
    found = json.loads(capsys.readouterr().out)

    assert (found["credits_usd"], found["spent_usd"], found["left_usd"]) == ("54", "3.000005", "50.999995")
    lines = [(line["kind"], line["amount_usd"]) for line in found["statement"]["lines"]]
    assert lines[0] == ("charges", "-3.000005")
    assert sorted(lines[1:]) == [("adjustment", "-2.5"), ("grant", "5"), ("refund", "1.5"), ("top_up", "50")]
    assert found["statement"]["closing_usd"] == found["left_usd"]
    assert found["withheld_usd"] == "0.000000007"
    assert tokenway(books, "credits", "show") == 0
    assert "given $54, spent $3.000005, left $50.999995, of which $0.000000007 are withheld" in capsys.readouterr().err


def test_a_code_is_made_shown_and_redeemed_once(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a pipe the output is the codes and nothing else."""
    assert (
        tokenway(books, "credits", "codes", "--make", "2", "--amount", "5", "--expires", "30d", "--note", "fair") == 0
    )
    one, two = capsys.readouterr().out.split()
    assert tokenway(books, "credits", "redeem", one) == 0
    assert tokenway(books, "credits", "redeem", one) == 1
    assert "redeemed before" in capsys.readouterr().err
    assert tokenway(books, "credits", "codes") == 0
    told = capsys.readouterr().out

    assert one not in told
    assert f"{two[:5]}-…\t$5\topen" in told
    assert "redeemed by default" in told
    assert tokenway(books, "credits", "show") == 0
    assert f"redemption\t$5\tfair\tcode:{one[:5]}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "default", "0"),
        ("add", "default", "-5"),
        ("add", "default", "much"),
        ("add", "default", "1e3"),
        ("adjust", "default", "-0.0000000001"),
        ("codes", "--make", "3"),
    ],
)
def test_what_is_no_amount_is_bad_usage(books: Path, arguments: tuple[str, ...]) -> None:
    """Nothing moves."""
    assert tokenway(books, "credits", *arguments) == 2
