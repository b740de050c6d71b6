"""`tokenway usage`: the ledger's sums as a table and as JSON."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from tokenway.cli.main import run
from tokenway.cli.place import start_of
from tokenway.compose.commands import stored
from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress


@pytest.fixture
def ledger(home: Path) -> str:
    """A ledger with two calls of one key, one of them ten days old; the key's id."""
    now = time.time()
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}, make=True) as store:
        store.accounts.ensure_default_project(by=CLI)
        key = store.accounts.keys.create("laptop", by=CLI).row.id
        recent = settled("gen-2", now - 60, key, "local", 3_000)
        old = settled("gen-1", now - 10 * 86400, key, "other", 12_500)
        store.ledger.commit(Progress("j-1", "edge-1", "owner", 100), [old, recent])
    return key


def settled(identity: str, at: float, key: str, model: str, charged: int) -> Settled:
    """A delivered stream: 5 tokens in, 41 out in two seconds, the first after a quarter of one."""
    usage = Usage(input_uncached=5, output_text=41)
    return Settled(
        id=identity,
        at=at,
        key=key,
        project="default",
        model=model,
        endpoint=f"lab/{model}",
        operation="chat",
        dialect="openai_chat",
        stream=True,
        settlement=Settlement.DELIVERED,
        charged=charged,
        status=200,
        lines=(Line(1, f"lab/{model}", Settlement.DELIVERED, usage, charged, 200),),
        stamps=Stamps(received=10.0, sent=10.0, first_delta=10.25, last_delta=12.25, end=12.5),
    )


def test_the_last_week_by_model_is_the_default(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Older calls are left out; tokens, exact money and speed stand in their columns."""
    assert run(["usage"]) == 0
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 1
    row = dict(zip(titles, rows[0], strict=True))
    assert (row["model"], row["requests"], row["input"], row["output"]) == ("local", "1", "5", "41")
    assert (row["charged"], row["TTFT s"], row["tokens/s"]) == ("$0.000003", "0.25", "20.0")


def test_a_call_without_a_price_does_not_look_free(home: Path, ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cost is a dash, and it is counted."""
    call = settled("gen-3", time.time() - 60, ledger, "dear", 0)
    unpriced = replace(call, lines=(replace(call.lines[0], cost=None),))
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}) as store:
        store.ledger.commit(Progress("j-2", "edge-1", "owner", 100), [unpriced])
    assert run(["usage"]) == 0
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert [(found[name]["cost"], found[name]["unpriced"]) for name in ("local", "dear")] == [
        ("$0.000003", "0"),
        ("–", "1"),
    ]


def test_what_a_crash_cut_off_is_counted(home: Path, ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Its model is not known, and nothing was charged for it."""
    call = Reserved("gen-3", time.time() - 60, ledger, "default", 100)
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}) as store:
        store.ledger.commit(Progress("j-2", "edge-1", "crashed", 100), [call])
        store.ledger.expire("crashed")
    assert run(["usage"]) == 0
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert [(found[name]["expired"], found[name]["requests"]) for name in ("local", "–")] == [("0", "1"), ("1", "1")]


def test_pieces_stand_beside_tokens(home: Path, ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not sold by the token; where there is none, a dash."""
    call = settled("gen-3", time.time() - 60, ledger, "media", 7)
    usage = Usage(images=2, sound_ms=1_234_500, characters=12, searches=3)
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}) as store:
        pieces = replace(call, lines=(replace(call.lines[0], usage=usage),))
        store.ledger.commit(Progress("j-2", "edge-1", "owner", 100), [pieces])
    assert run(["usage"]) == 0
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = {row[0]: dict(zip(titles, row, strict=True))["pieces"] for row in rows}
    assert found == {"local": "–", "media": "2 images, 1234.5 s, 12 characters, 3 searches"}


def test_json_has_every_bucket_and_names_the_key(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Grouped by key the id is exact and the name stands beside it; money is a decimal string."""
    assert run(["usage", "--by", "key", "--since", "all", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["key"], row["key_name"], row["requests"]) == (ledger, "laptop", 2)
    assert row["charged_usd"] == "0.0000155"
    assert row["usage"]["output_text"] == 82
    assert row["usage"]["cache_read"] == 0


def test_groups_can_be_combined(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Several dimensions are several columns; a call outside any run shows a dash, a key its name."""
    run(["usage", "--by", "key,run,day", "--since", "30d"])
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert titles[:3] == ["key", "run", "day"]
    assert {tuple(row[:2]) for row in rows} == {("laptop", "–")}
    assert len(rows) == 2


def test_nothing_in_that_time_is_a_sentence(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty report prints nothing to standard output."""
    assert run(["usage", "--since", "1s"]) == 0
    captured = capsys.readouterr()
    assert not captured.out
    assert "--since all" in captured.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--by", "colour"], "cannot be grouped by 'colour'; choose from model, key"),
        (["--since", "yesterday"], "--since yesterday is neither"),
    ],
)
def test_wrong_words_are_bad_usage(
    ledger: str, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    """An unknown dimension or time leaves with status 2 and what could be written."""
    assert run(["usage", *words]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("since", "start"),
    [
        ("all", None),
        ("7d", 1_000_000_000 - 7 * 86400),
        ("90", 999_999_910),
        ("2001-09-08", 999_907_200),
        ("2001-09-08T02:00:00+02:00", 999_907_200),
    ],
)
def test_since_takes_durations_dates_and_all(since: str, start: float | None) -> None:
    """A date without a zone is UTC, as everything in the ledger."""
    assert start_of(since, 1_000_000_000.0) == start
