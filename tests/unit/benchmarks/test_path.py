"""The bench of the worker's own steps goes the worker's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.answers import CASES, EVENTS, Case
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


@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: case.name)
async def test_a_stream_goes_the_whole_way(tmp_path: Path, case: Case) -> None:
    """Each read is forwarded by itself, and the caller sees the end of its own dialect, whoever was asked."""
    bench = Bench(tmp_path, case)
    writes: list[bytes] = []
    write = bench.client.write

    def kept(data: bytes | bytearray | memoryview) -> None:
        writes.append(bytes(data))
        write(data)

    bench.client.write = kept  # type: ignore[method-assign]
    bench.call()
    texts = [part for part in b"".join(writes).split(b"\n\n") if b'"content":" to' in part]
    assert len(texts) == EVENTS
    assert len(writes) >= EVENTS
    assert writes[-1] == b"0\r\n\r\n"
    assert writes[-2].endswith(b"data: [DONE]\n\n\r\n")


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
