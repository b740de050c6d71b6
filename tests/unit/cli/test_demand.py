"""Demand as it is read: from a ledger, a file, or what is public."""

from __future__ import annotations

import io
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.records import line, settled
from tokenway.cli.demand import first_day, of_file, of_ledger, read_demand
from tokenway.cli.errors import BadUsage
from tokenway.cli.place import Place
from tokenway.metering.ledger import Trace
from tokenway.model.usage import Usage
from tokenway.planner.errors import PlanError
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress
from tokenway.store.sqlite import open_sqlite

DAY = 86_400
BACK = 40
TODAY = datetime.now(UTC).date()


@pytest.fixture
def place(home: Path) -> Place:
    """A ledger of forty days: each day a call of a user, and one of a run with a call that nobody sees; none on one."""
    store = open_sqlite(home / "tokenway.db")
    store.accounts.ensure_default_project(by=CLI)
    noon = (time.time() // DAY + 0.5) * DAY
    usage = Usage(input_uncached=800, cache_read=100, output_text=100, requests=1)
    records = []
    for back in range(BACK + 1):
        if back == 5:
            continue
        at = noon - back * DAY
        lines = (line(usage=usage),)
        records += [
            settled(3 * back, at=at, lines=lines, model="big", user="ann"),
            settled(
                3 * back + 1, at=at, lines=lines, run=f"r{back}", trace=Trace(agent=""), finish_reason="tool_calls"
            ),
            settled(3 * back + 2, at=at + 9, lines=lines, run=f"r{back}", trace=Trace(agent="")),
        ]
    store.ledger.commit(Progress("j", "w", "o", 1), records)
    store.close()
    return Place(data_dir=home)


def test_a_ledger(place: Place) -> None:
    """By whole days, today left out; a day without use is a gap; users, requests, calls and the mix are known."""
    demand = of_ledger(place)
    yesterday = TODAY - timedelta(days=1)

    assert demand.whole.dates[-1] == yesterday
    assert len(demand.whole.values) == BACK - 1
    assert set(demand.whole.values) == {3_000.0}
    assert demand.models["big"][yesterday] == 1_000.0
    assert demand.models["big"][TODAY - timedelta(days=5)] == 0.0
    assert {name: demand.counts[name][yesterday] for name in demand.counts} == {
        "users": 2,
        "requests": 2,
        "calls": 3,
        "tokens": 3_000.0,
    }
    assert demand.mix is not None
    assert (demand.mix.input_per_call, demand.mix.cached_part) == pytest.approx((900, 1 / 9))
    assert demand.peak == pytest.approx(24)
    assert demand.sources[0].as_of == yesterday.isoformat()
    ((name, part),) = demand.largest(1)
    assert (name, part) == ("mock", 2 / 3)


def test_one_model_and_one_project(place: Place) -> None:
    """The mix is the model's; a project without calls has no tokens."""
    demand = of_ledger(place, project="default", model="big")

    assert demand.of("big").name == "tokens of big"
    assert set(demand.of("big").values) == {1_000.0}
    assert demand.mix is not None
    assert demand.mix.calls == 27
    with pytest.raises(PlanError, match="no model in this demand 'bigg'; did you mean big"):
        demand.of("bigg")


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the standard input."""
    file = tmp_path / "d.csv"
    file.write_text("date,tokens,model\n2026-01-01,5,a\n2026-01-01,7,b\n")
    demand = read_demand(file)

    assert demand.whole.values.tolist() == [12.0]
    assert demand.largest(5) == [("b", 7 / 12), ("a", 5 / 12)]
    assert demand.sources[0].origin == "d.csv"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.read_bytes())))
    assert of_file(Path("-")).whole.values.tolist() == [12.0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Say why."""
    with pytest.raises(BadUsage, match=r"no\.csv cannot be read: No such file"):
        of_file(tmp_path / "no.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadUsage, match="it is not UTF-8 text"):
        of_file(tmp_path / "b.csv")


def test_where_a_series_begins() -> None:
    """At a date, or so long before its end."""
    series = read_demand(public="openrouter").whole

    assert first_day("2026-01-01", series) == date(2026, 1, 1)
    assert first_day("14d", series) == date(2026, 4, 28)
    with pytest.raises(BadUsage, match="neither a date"):
        first_day("spring", series)
