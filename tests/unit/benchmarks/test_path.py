"""The bench of the worker's own steps goes the worker's way."""

from __future__ import annotations

from pathlib import Path

from benchmarks.path import Bench


def journal_bytes(folder: Path) -> int:
    """What the only journal there has by now."""
    (journal,) = folder.glob("*.journal")
    return journal.stat().st_size


async def test_a_call_goes_the_whole_way(tmp_path: Path) -> None:
    """From the client's bytes to a priced answer, with the request rewritten and two records in the journal."""
    bench = Bench(tmp_path)
    size = journal_bytes(tmp_path)
    bench.call()
    assert b'"model": "up-bench"' in bench.upstream.written
    assert b'"cost":0.000096000' in bench.client.written
    assert journal_bytes(tmp_path) > size


async def test_bytecodes_are_the_same_twice(tmp_path: Path) -> None:
    """That is what they are counted for."""
    bench = Bench(tmp_path)
    for _ in range(3):
        bench.call()
    first, second = bench.bytecodes(), bench.bytecodes()
    assert first == second
    steps, calls = first
    assert steps["EdgeProtocol.data_received"] > 0
    assert calls["Exchange.feed"] == 4
