"""Journals into the ledger: tails what the workers write, batch by batch, and cleans up after the dead.

Everything here blocks and runs in the control process's store thread. One `run_once` is one round over all
journals in the directory; a round that found nothing costs a directory listing and a read per file.

A worker that is alive holds a lock on its file. When none of an owner's files is locked and all are read to
the end, the worker is gone: what it left open expires, and then the files are deleted. A rotated file of a
worker that lives on is deleted as soon as it is read. A restart goes on from the positions in the ledger,
which were written together with the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tokenway.metering.ledger import Reserved, Settled
from tokenway.store.base import LedgerStore, Progress
from tokenway.store.journal import Corruption, JournalFault, JournalReader, journal_files

BATCH_RECORDS: Final = 200
"""Records in a transaction: a millisecond's work. Fewer leave more reservations open at its end, which cost twice."""
BATCH_RECORDS_BEHIND: Final = 2_000
"""The same for one who is behind: what the records of a batch come to in the sums is written once for all of them."""
BEHIND_BYTES: Final = 1024 * 1024
"""What is left of a journal when its reader is behind: some thousand records."""
LOST_SECONDS: Final = 60.0
"""How often open reservations are looked for whose worker, or machine, is not there any more."""
PAUSE_SECONDS: Final = 0.001
"""What lies between two transactions: a worker on the same core waits for one of them, not for a whole round."""
ROUND_SECONDS: Final = 0.05
"""How long one journal may keep the others waiting in a round."""


class IngestCounts(msgspec.Struct):
    """What happened since the start; everything but `settled` should stay at zero."""

    settled: int = 0
    replayed: int = 0
    unreserved: int = 0
    expired: int = 0
    corruptions: int = 0
    corrupt_bytes: int = 0
    torn_bytes: int = 0


class _Tail:
    """One journal that is being read."""

    def __init__(self, reader: JournalReader) -> None:
        self.reader = reader
        self.seen_corruptions = 0
        self.is_finished = False


def _ignore(_event: object) -> None:
    """For callbacks that nobody asked for."""


class Ingest:
    """Tails the journals in `directory` into `store`.

    `on_settled` gets the new settlements of each batch once they are in the ledger, `on_expired` every reservation
    that was given up, `on_fault` damage in a journal, and `on_gone` the owner of journals whose worker has ended, when
    all that it wrote is in the ledger. They are called in the thread that calls `run_once`.
    """

    def __init__(
        self,
        store: LedgerStore,
        directory: Path,
        on_settled: Callable[[Sequence[Settled]], None] = _ignore,
        *,
        on_expired: Callable[[Reserved], None] = _ignore,
        on_fault: Callable[[Corruption | JournalFault], None] = _ignore,
        on_gone: Callable[[str], None] = _ignore,
    ) -> None:
        self.counts = IngestCounts()
        self.backlog_bytes = 0
        """Bytes in the journals that were not in the ledger when the last round began; may be read by any thread."""
        self._behind: set[str] = set()
        """The owners of journals that the last round did not read to their ends."""
        self._store = store
        self._directory = directory
        self._on_settled = on_settled
        self._on_expired = on_expired
        self._on_fault = on_fault
        self._on_gone = on_gone
        self._tails: dict[Path, _Tail] = {}
        self._unreadable: set[Path] = set()
        self._next_search = 0.0

    @property
    def is_behind(self) -> bool:
        """Whether the last round left records to the next, because there were too many."""
        return bool(self._behind)

    def alive(self) -> set[str]:
        """The owners of the journals that were written to, or could be, when the last round looked at them."""
        return {tail.reader.owner for tail in self._tails.values() if not tail.is_finished}

    def run_once(self) -> int:
        """One round; returns how many records went into the ledger, 0 when there is nothing to do.

        A round takes at most ROUND_SECONDS per journal and leaves the rest to the next.
        """
        self._find_journals()
        self.backlog_bytes = sum(tail.reader.backlog for tail in self._tails.values())
        self._behind.clear()
        total = 0
        for tail in list(self._tails.values()):
            # Files of one worker are read one after the other, so that no settlement comes before its reservation.
            if tail.reader.owner not in self._behind:
                total += self._tail(tail)
        self._bury_the_dead()
        if time.monotonic() >= self._next_search:
            self._expire_the_lost()
            self._next_search = time.monotonic() + LOST_SECONDS
        return total

    def drain(self) -> int:
        """Rounds until everything is read that was there at the start; returns how many records there were.

        It does not wait for a moment in which nobody writes: under load there is none.
        """
        total = 0
        while True:
            total += self.run_once()
            if not self.is_behind:
                return total

    def close(self) -> None:
        """Closes the files; what was not read is read after the next start."""
        for tail in self._tails.values():
            tail.reader.close()
        self._tails.clear()

    def _find_journals(self) -> None:
        for path in journal_files(self._directory):
            if path in self._tails or path in self._unreadable:
                continue
            try:
                reader = JournalReader(path)
            except JournalFault as fault:
                self._unreadable.add(path)
                self._on_fault(fault)
                continue
            reader.offset = max(reader.offset, self._store.offset(reader.identity))
            self._tails[path] = _Tail(reader)

    def _tail(self, tail: _Tail) -> int:
        """Reads one journal for a while."""
        reader = tail.reader
        deadline = time.monotonic() + ROUND_SECONDS
        count = 0
        # Asked before reading: what is written before the lock goes is seen by the reads that follow.
        is_final = reader.writer_is_gone()
        while True:
            before = reader.offset
            most = BATCH_RECORDS if reader.backlog < BEHIND_BYTES else BATCH_RECORDS_BEHIND
            records = reader.read(most, final=is_final)
            if reader.offset != before:
                progress = Progress(reader.identity, reader.path.name, reader.owner, reader.offset)
                try:
                    committed = self._store.commit(progress, records)
                except BaseException:
                    # Nothing was written, so the next round must read the same again.
                    reader.offset = before
                    raise
                self.counts.replayed += committed.replayed
                self.counts.unreserved += committed.unreserved
                self.counts.settled += len(committed.settled)
                if committed.settled:
                    self._on_settled(committed.settled)
            self._report_damage(tail)
            count += len(records)
            if len(records) < most:
                tail.is_finished = is_final
                return count
            if time.monotonic() >= deadline:
                self._behind.add(reader.owner)
                return count
            if not is_final:
                time.sleep(PAUSE_SECONDS)

    def _report_damage(self, tail: _Tail) -> None:
        reader = tail.reader
        for corruption in reader.corruptions[tail.seen_corruptions :]:
            self.counts.corruptions += 1
            self.counts.corrupt_bytes += corruption.length
            self._on_fault(corruption)
        tail.seen_corruptions = len(reader.corruptions)
        self.counts.torn_bytes += reader.torn_bytes
        reader.torn_bytes = 0

    def _bury_the_dead(self) -> None:
        """Expires what gone workers left open, and deletes files that will not be needed again."""
        if not any(tail.is_finished for tail in self._tails.values()):
            return
        # A writer that rotated since the round began has its next file by now, and is alive.
        self._find_journals()
        alive = self.alive()
        finished = [(path, tail) for path, tail in self._tails.items() if tail.is_finished]
        for owner in {tail.reader.owner for _, tail in finished} - alive:
            self._expire(owner)
            self._on_gone(owner)
        for path, tail in finished:
            # The file first: a position without a file is harmless, a file without a position is read again.
            path.unlink(missing_ok=True)
            tail.reader.close()
            self._store.forget(tail.reader.identity)
            del self._tails[path]

    def _expire_the_lost(self) -> None:
        """Open reservations and positions whose journals are not there any more, and machines that are gone."""
        owners, journals = self._store.owners(), self._store.positions()
        self._find_journals()
        readers = [tail.reader for tail in self._tails.values()]
        for owner in owners - {reader.owner for reader in readers}:
            self._expire(owner)
        for journal in set(journals) - {reader.identity for reader in readers}:
            self._store.forget(journal)

    def _expire(self, owner: str) -> None:
        for reservation in self._store.expire(owner):
            self.counts.expired += 1
            self._on_expired(reservation)
