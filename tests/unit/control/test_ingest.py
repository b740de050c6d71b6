"""The ingest: every acknowledged record once, through crashes of either side, and nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import pytest

from tests.records import NOON, reserved, settled
from tests.servers.postgres import PostgresServer
from tokenway.control import ingest as module
from tokenway.control.ingest import Ingest, IngestCounts
from tokenway.metering.ledger import Record, Reserved, Settled
from tokenway.store.base import Committed, Progress, StoreError
from tokenway.store.journal import Corruption, JournalFault, JournalWriter, journal_files
from tokenway.store.ledger import SqlLedger
from tokenway.store.open import Store
from tokenway.store.postgres import open_postgres
from tokenway.store.sqlite import open_sqlite


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh store."""
    opened = open_sqlite(tmp_path / "t.db", clock=lambda: NOON + 1_000)
    yield opened
    opened.close()


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """The directory of the journals; it need not exist yet."""
    return tmp_path / "journal"


def requests(store: Store) -> int:
    """How many exchanges the ledger has."""
    return sum(row.requests for row in store.usage.report())


class Crash(BaseException):
    """The end of the process, as far as the code under test can tell."""


class CrashingLedger(SqlLedger):
    """Dies instead of, or right after, one commit."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        super().__init__(store.database, lambda: NOON)
        self.left = at
        self.after = after

    def commit(self, progress: Progress, records: Sequence[Record]) -> Committed:
        """Counts down to the crash."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        committed = super().commit(progress, records)
        if self.left == 0:
            raise Crash
        return committed


def test_records_reach_the_ledger_and_the_callback_once(store: Store, journals: Path) -> None:
    """A round takes what is there, the next one what was added, and an idle one nothing."""
    seen: list[Settled] = []
    writer = JournalWriter(journals, "w0")
    ingest = Ingest(store.ledger, journals, seen.extend)

    assert ingest.run_once() == 0
    writer.append(reserved(1))
    writer.append(settled(1))
    assert ingest.run_once() == 2
    assert ingest.backlog_bytes == writer.size - 36
    writer.append(settled(2))
    assert ingest.run_once() == 1
    assert ingest.run_once() == 0
    assert ingest.backlog_bytes == 0
    assert seen == [settled(1), settled(2)]
    assert ingest.counts == IngestCounts(settled=2, unreserved=1)
    ingest.close()


def test_a_missing_directory_is_an_empty_one(store: Store, journals: Path) -> None:
    """Before the first worker started there is nothing to do."""
    assert Ingest(store.ledger, journals).run_once() == 0


def test_a_restart_goes_on_where_the_ledger_is(store: Store, journals: Path) -> None:
    """A new ingest repeats nothing, though the file still holds it all."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(1))
    first = Ingest(store.ledger, journals)
    first.run_once()
    first.close()
    writer.append(settled(2))
    seen: list[Settled] = []
    second = Ingest(SqlLedger(store.database, lambda: NOON), journals, seen.extend)

    assert second.run_once() == 1
    assert seen == [settled(2)]
    assert second.counts.replayed == 0
    second.close()


def test_settlements_are_told_by_the_batch(store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is told once, after it is in the ledger; one without a settlement is not."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 3)
    monkeypatch.setattr(module, "ROUND_SECONDS", 60.0)  # a busy machine must not end the round in between
    writer = JournalWriter(journals, "w0")
    for record in (reserved(1), reserved(2), settled(1), settled(2), reserved(3), settled(3), reserved(4)):
        writer.append(record)
    told: list[tuple[list[Settled], int]] = []
    ingest = Ingest(store.ledger, journals, lambda records: told.append(([*records], requests(store))))

    assert ingest.run_once() == 7
    assert told == [([settled(1)], 1), ([settled(2), settled(3)], 3)]
    ingest.close()


def test_a_round_that_runs_out_of_time_is_behind(store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the rest to the next round, and draining goes on until nothing is left."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 2)
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.0)
    writer = JournalWriter(journals, "w0")
    for number in range(7):
        writer.append(settled(number))
    ingest = Ingest(store.ledger, journals)

    assert (ingest.run_once(), ingest.is_behind) == (2, True)
    assert (ingest.drain(), ingest.is_behind) == (5, False)
    assert requests(store) == 7
    ingest.close()


def test_a_workers_files_are_read_in_their_order(store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement in the next file waits until the reservation at the end of this one has been read."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 2)
    monkeypatch.setattr(module, "ROUND_SECONDS", 0.0)
    writer = JournalWriter(journals, "w0", rotate_bytes=1_000)
    for number in range(20):
        writer.append(reserved(number))
    for number in range(20):
        writer.append(settled(number))
    other = JournalWriter(journals, "w1")
    other.append(settled(100))
    assert len(journal_files(journals)) > 3
    ingest = Ingest(store.ledger, journals)
    assert ingest.run_once() == 3  # a batch of the first worker, and what the other one has
    ingest.drain()
    assert (ingest.counts.settled, ingest.counts.unreserved, requests(store)) == (21, 1, 21)
    ingest.close()


def test_a_worker_that_lives_has_the_core_between_two_batches(
    store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause after each batch but the last; nobody waits for what a dead one left."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 2)
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    writer = JournalWriter(journals, "w0")
    for number in range(5):
        writer.append(settled(number))
    ingest = Ingest(store.ledger, journals)
    assert ingest.drain() == 5
    assert pauses == [module.PAUSE_SECONDS] * 2
    for number in range(5, 10):
        writer.append(settled(number))
    writer.close()
    assert ingest.drain() == 5
    assert len(pauses) == 2
    ingest.close()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("crash_at", [1, 2, 3])
def test_a_crash_at_a_commit_repeats_and_loses_nothing(
    store: Store, journals: Path, crash_at: int, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the process dies before or after a batch is in the ledger, each exchange ends up there once."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 7)
    writer = JournalWriter(journals, "w0")
    for number in range(15):
        writer.append(reserved(number))
        writer.append(settled(number, charged=1))
    first = Ingest(CrashingLedger(store, crash_at, after=after), journals)
    with pytest.raises(Crash):
        first.drain()
    first.close()
    second = Ingest(SqlLedger(store.database, lambda: NOON), journals)
    second.drain()
    second.close()

    assert (requests(store), store.usage.key_usage("key_a").total) == (15, 15)
    assert second.counts.replayed == 0
    assert second.counts.unreserved == 0
    assert store.ledger.owners() == set()


def test_a_commit_that_fails_is_tried_again(store: Store, journals: Path) -> None:
    """The same ingest reads the batch again after an error of the database."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(1))
    ingest = Ingest(CrashingLedger(store, 1, after=False), journals)
    with pytest.raises(Crash):
        ingest.run_once()

    assert ingest.run_once() == 1
    assert requests(store) == 1
    ingest.close()


def test_a_rotated_file_is_deleted_while_its_writer_lives_on(store: Store, journals: Path) -> None:
    """Disk space comes back, and what is open in the deleted file is settled from the next one."""
    writer = JournalWriter(journals, "w0", rotate_bytes=2_000)
    ingest = Ingest(store.ledger, journals)
    writer.append(reserved(0))
    number = 0
    while writer.path.name == "w0-00000001.journal":
        number += 1
        writer.append(settled(number))
    ingest.drain()
    assert journal_files(journals) == [writer.path]
    writer.append(settled(0))
    ingest.drain()

    assert ingest.counts == IngestCounts(settled=number + 1, unreserved=number)
    assert len(store.ledger.positions()) == 1
    ingest.close()


def test_a_gone_worker_expires_and_its_files_go(store: Store, journals: Path) -> None:
    """What it settled is kept, what it left open is closed once, visibly, and a living worker is left alone."""
    gone, alive = JournalWriter(journals, "w0"), JournalWriter(journals, "w1")
    lost: list[Reserved] = []
    ended: list[str] = []
    ingest = Ingest(store.ledger, journals, on_expired=lost.append, on_gone=ended.append)
    for record in (reserved(1), settled(1), reserved(2)):
        gone.append(record)
    alive.append(reserved(3))
    ingest.drain()
    assert (lost, ended) == ([], [])
    assert ingest.alive() == {gone.owner, alive.owner}
    gone.close()
    ingest.drain()

    assert (lost, ended) == ([reserved(2)], [gone.owner])
    assert ingest.alive() == {alive.owner}
    assert journal_files(journals) == [alive.path]
    assert ingest.counts.expired == 1
    assert store.ledger.owners() == {alive.owner}
    found = store.usage.generation("gen-000002", "key_a")
    assert found is not None
    assert found["settlement"] == "expired"
    ingest.close()


def test_a_writer_that_rotates_during_a_round_is_not_taken_for_dead(
    store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next file is looked for before anything of its owner expires."""
    writer = JournalWriter(journals, "w0", rotate_bytes=300)
    ingest = Ingest(store.ledger, journals)
    find = ingest._find_journals

    def find_then_rotate() -> None:
        find()
        first = writer.path
        while writer.path == first:
            writer.append(reserved(1))
        monkeypatch.setattr(ingest, "_find_journals", find)

    monkeypatch.setattr(ingest, "_find_journals", find_then_rotate)
    ingest.run_once()

    assert ingest.counts.expired == 0
    assert store.ledger.owners() == {writer.owner}
    ingest.close()


def test_reservations_whose_journal_was_lost_expire_at_the_start(store: Store, journals: Path) -> None:
    """A deleted file cannot settle anything; its position is dropped too."""
    writer = JournalWriter(journals, "w0")
    writer.append(reserved(1))
    first = Ingest(store.ledger, journals)
    first.run_once()
    first.close()
    writer.close()
    writer.path.unlink()
    second = Ingest(store.ledger, journals)
    second.run_once()

    assert second.counts.expired == 1
    assert store.ledger.owners() == set()
    assert store.ledger.positions() == []


def test_damage_is_reported_once_and_the_rest_ingested(store: Store, journals: Path) -> None:
    """Corruption is told with its place and counted, and does not stop the journal."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(1))
    start = writer.size
    writer.append(settled(2))
    end = writer.size
    writer.append(settled(3))
    with writer.path.open("r+b") as file:
        file.seek(start + 30)
        file.write(b"\xff\xff")
    faults: list[Corruption | JournalFault] = []
    ingest = Ingest(store.ledger, journals, on_fault=faults.append)
    ingest.drain()
    ingest.drain()

    assert faults == [Corruption(str(writer.path), start, end - start)]
    assert (ingest.counts.corruptions, ingest.counts.corrupt_bytes) == (1, end - start)
    assert requests(store) == 2
    ingest.close()


def test_a_torn_end_of_a_dead_worker_is_counted(store: Store, journals: Path) -> None:
    """Half a record was never acknowledged; its bytes are told apart from damage."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(1))
    writer.append(settled(2))
    os.truncate(writer.path, writer.size - 4)
    writer.close()
    ingest = Ingest(store.ledger, journals)
    ingest.drain()

    assert ingest.counts.torn_bytes > 0
    assert ingest.counts.corruptions == 0
    assert requests(store) == 1
    assert journal_files(journals) == []


def test_a_journal_of_a_newer_version_is_reported_once_and_kept(store: Store, journals: Path) -> None:
    """It is not read, not deleted, and not complained about in every round."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(1))
    newer = journals / "w9-00000001.journal"
    header = bytearray(writer.path.read_bytes()[:32])
    header[8] = 2
    newer.write_bytes(bytes(header) + crc32(header).to_bytes(4, "little"))
    faults: list[Corruption | JournalFault] = []
    ingest = Ingest(store.ledger, journals, on_fault=faults.append)

    assert ingest.drain() == 1
    ingest.drain()
    assert [type(fault) for fault in faults] == [JournalFault]
    assert newer.exists()
    ingest.close()


WORKER = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from tests.records import reserved, settled
    from tokenway.store.journal import JournalWriter

    writer = JournalWriter(Path(sys.argv[1]), "w0", rotate_bytes=30_000)
    start = int(sys.argv[2])
    for number in range(start, start + 1_000_000):
        writer.append(reserved(number))
        writer.append(settled(number, charged=1))
        os.write(1, b"%d\\n" % number)
""")


def test_killed_workers_lose_no_acknowledged_exchange(store: Store, journals: Path) -> None:
    """After kill -9 at random moments, with the ingest running beside, the ledger has all that was acknowledged."""
    chance = random.Random(7)
    seen: list[Settled] = []
    lost: list[Reserved] = []
    ingest = Ingest(store.ledger, journals, seen.extend, on_expired=lost.append)
    acknowledged: set[int] = set()
    for life in range(5):
        command = [sys.executable, "-c", WORKER, str(journals), str(life * 1_000_000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(chance.randrange(1, 400)):
                acknowledged.add(int(process.stdout.readline()))
                if chance.random() < 0.02:
                    ingest.run_once()
            process.send_signal(signal.SIGKILL)
            acknowledged.update(int(number) for number in process.stdout.read().split(b"\n")[:-1])
    ingest.drain()
    numbers = [int(record.id.removeprefix("gen-")) for record in seen]

    assert acknowledged <= set(numbers)
    assert len(numbers) == len(set(numbers)) == requests(store) - len(lost)
    assert store.usage.key_usage("key_a").total == len(numbers)
    assert len(lost) <= 5
    assert ingest.counts == IngestCounts(settled=len(numbers), expired=len(lost), torn_bytes=ingest.counts.torn_bytes)
    assert journal_files(journals) == []
    assert store.ledger.owners() == set()


def test_draining_ends_while_somebody_writes(store: Store, journals: Path) -> None:
    """It takes in what was there when it began, and does not wait for a moment in which nobody writes."""
    writer = JournalWriter(journals, "w0")
    writer.append(settled(0))
    written = iter(range(1, 1_000))
    ingest = Ingest(store.ledger, journals, lambda _: writer.append(settled(next(written))))
    assert 1 <= ingest.drain() < 100
    ingest.close()


@pytest.mark.postgres
def test_a_killed_database_loses_nothing_and_counts_nothing_twice(mortal: PostgresServer, journals: Path) -> None:
    """Ended by SIGKILL three times while journals are read into it; each time the reading goes on by itself."""
    count = 30_000
    writer = JournalWriter(journals, "w")
    for number in range(count):
        writer.append(reserved(number, at=NOON))
        writer.append(settled(number, at=NOON, run="run", charged=7))
    writer.close()
    store = open_postgres(mortal.url(mortal.create()), clock=lambda: NOON, node="0000000a")
    ingest = Ingest(store.ledger, journals)
    failures = 0
    done = threading.Event()

    def kill() -> None:
        for _ in range(3):
            if done.wait(0.1):
                return
            mortal.kill()
            mortal.start()

    killer = threading.Thread(target=kill)
    killer.start()
    while not done.is_set():
        try:
            if not ingest.run_once() and not list(journals.iterdir()):
                done.set()
        except StoreError:
            failures += 1
            time.sleep(0.05)
    killer.join()
    assert failures > 0
    (row,) = store.usage.report(())
    assert (row.requests, row.charged) == (count, count * 7)
    assert store.usage.key_usage("key_a").total == count * 7
    with store.database.read() as connection:
        runs = connection.exec_driver_sql("SELECT calls, charged FROM runs").all()
        assert [tuple(each) for each in runs] == [(count, count * 7)]
        assert connection.exec_driver_sql("SELECT count(*) FROM reservations").scalar() == 0
    store.close()


def test_one_who_is_behind_takes_more_at_a_time(store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a batch comes to in the sums is written once for all of it, until the rest is short again."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 2)
    monkeypatch.setattr(module, "BATCH_RECORDS_BEHIND", 5)
    monkeypatch.setattr(module, "ROUND_SECONDS", 60.0)
    writer = JournalWriter(journals, "w0")
    writer.append(settled(0))
    monkeypatch.setattr(module, "BEHIND_BYTES", 6 * (writer.size - 36))
    for number in range(1, 10):
        writer.append(settled(number))
    sizes: list[int] = []
    ingest = Ingest(store.ledger, journals, lambda records: sizes.append(len(records)))

    assert ingest.run_once() == 10
    assert sizes == [5, 2, 2, 1]
    ingest.close()


def test_what_another_machine_left_open_expires_in_time(
    store: Store, journals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only at a start is it looked for."""
    monkeypatch.setattr(module, "LOST_SECONDS", 0.0)
    ingest = Ingest(store.ledger, journals)
    ingest.run_once()
    SqlLedger(store.database, lambda: NOON, "far").commit(Progress("j", "w", "gone", 1), [reserved(1)])
    ingest.run_once()

    assert ingest.counts.expired == 1
    ingest.close()
