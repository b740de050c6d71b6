"""The open-loop load generator."""

from __future__ import annotations

import os
from pathlib import Path
from shutil import which

import pytest

from benchmarks import machine
from benchmarks.load import clients
from benchmarks.load.clients import body, open_loop
from benchmarks.machine import Unavailable
from benchmarks.runner import upstream

pytestmark = pytest.mark.skipif(
    not (which("cc") and which("taskset")) or (os.cpu_count() or 1) < 2, reason="needs cc, taskset and two cores"
)


@pytest.fixture(autouse=True)
def _scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    monkeypatch.setattr(clients, "CACHE", tmp_path)


def test_every_request_that_was_due_is_sent_and_answered() -> None:
    """At 200 per second for a second, warm-up not recorded, 300 are sent and 200 recorded."""
    with upstream() as model:
        seen = open_loop(model.port, body("bench", is_stream=False), rate=200, seconds=1, connections=64)
    assert (seen.sent, seen.ok, seen.failed, seen.unfinished) == (300, 300, 0, 0)
    assert seen.total.count == seen.head.count == 200
    assert 0 < seen.total.p50 <= seen.total.p99 <= seen.total.max


def test_events_of_streams_are_all_seen() -> None:
    """Every stamped event of every recorded stream gives one delay, and no end of stream is missed."""
    with upstream() as model:
        seen = open_loop(model.port, body("bench-c8-g1000", is_stream=True), rate=50, seconds=1, connections=64)
    assert (seen.ok, seen.failed) == (75, 0)
    assert seen.event.count == 8 * 50
    assert seen.first_event.count == 50
    assert seen.total.p50 > 7 * 1000 * 0.5


def test_latency_counts_from_the_due_time() -> None:
    """With one connection and answers of 20 ms, requests due every 10 ms wait, and the wait is in the figure."""
    with upstream() as model:
        seen = open_loop(model.port, body("bench-c3-g10000", is_stream=True), rate=100, seconds=0.5, connections=1)
    assert seen.ok == 100
    assert seen.total.max > 500_000


def test_server_that_is_not_there_is_reported() -> None:
    """A refused connection is a sentence, not a stack trace."""
    with pytest.raises(Unavailable, match="cannot connect"):
        open_loop(machine.free_port(), body("bench", is_stream=False), rate=10, seconds=0.5, connections=1)
