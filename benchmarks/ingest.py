"""What the journal and the ledger cost per exchange: `python -m benchmarks.ingest [EXCHANGES]`.

Writes a journal with a reservation and a settlement for each exchange, as a worker does, and ingests it into a
fresh SQLite file with metrics on, as the control process does. Prints CPU time of this process,
because that is what both cost the gateway; wall time depends on the disk.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tokenway.compose.gateway import COLLECT_AFTER
from tokenway.control.ingest import Ingest
from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.store.journal import JournalWriter
from tokenway.store.sqlite import FILE_NAME, open_sqlite
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import Metrics

STARTED_AT = 1_700_000_000.0
IN_FLIGHT = 16
"""Exchanges that are open at once; their reservations may end up in another batch than their settlements."""


def reserved(number: int) -> Reserved:
    """The reservation of one exchange; its id begins with a time, as the gateway's own do."""
    return Reserved(
        f"gen-{number:012x}0123456789", STARTED_AT + number / 1000, f"key_{number % 7:04d}", "default", 90_000
    )


def settled(number: int) -> Settled:
    """Its settlement: a streamed answer of 64 tokens from one attempt."""
    usage = Usage(input_uncached=100 + number % 50, output_text=64, requests=1)
    received = 1000.0 + number / 1000
    return Settled(
        id=f"gen-{number:012x}0123456789",
        at=STARTED_AT + 1 + number / 1000,
        key=f"key_{number % 7:04d}",
        project="default",
        model="mock",
        endpoint="lab/mock",
        operation="chat",
        dialect="openai_chat",
        stream=True,
        settlement=Settlement.DELIVERED,
        charged=12_345,
        status=200,
        lines=(Line(0, "lab/mock", Settlement.DELIVERED, usage, 12_345, 200),),
        stamps=Stamps(
            received=received,
            sent=received + 0.0002,
            head=received + 0.1,
            first_byte=received + 0.1,
            first_delta=received + 0.12 + number % 10 / 100,
            first_answer=received + 0.12,
            last_delta=received + 0.9,
            end=received + 0.91,
        ),
        overhead=0.0002,
        finish_reason="stop",
        gaps=(0, 0, 3, 40, 20),
    )


def main() -> None:
    """Writes, reads and prints."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        records = [(reserved(number), settled(number)) for number in range(count)]
        writer = JournalWriter(directory / "journal", "worker-0")
        started = time.process_time()
        for number in range(count + IN_FLIGHT):
            if number < count:
                writer.append(records[number][0])
            if number >= IN_FLIGHT:
                writer.append(records[number - IN_FLIGHT][1])
        written = time.process_time() - started
        del records

        store = open_sqlite(directory / FILE_NAME)
        metrics = Metrics()

        def on_settled(batch: Sequence[Settled]) -> None:
            for gathered in gather(batch):
                metrics.observe(gathered)

        ingest = Ingest(store.ledger, directory / "journal", on_settled)
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        started, wall = time.process_time(), time.perf_counter()
        while ingest.run_once():
            pass
        used, wall = time.process_time() - started, time.perf_counter() - wall
        charged = sum(row.charged for row in store.usage.report(("key",)))
        if ingest.counts.settled != count or charged != count * 12_345:
            raise SystemExit(f"wrong: {ingest.counts} charged {charged}")
        ingest.close()
        store.close()
        size = (directory / FILE_NAME).stat().st_size
    print(f"exchanges                        {count:>12,}")
    print(f"journal, two appends             {written / count * 1e6:>12.1f} µs CPU per exchange")
    print(f"ingest into SQLite with metrics  {used / count * 1e6:>12.1f} µs CPU per exchange")
    print(f"ingest rate                      {count / wall:>12,.0f} exchanges per second")
    print(f"database                         {size / count:>12.0f} bytes per exchange")


if __name__ == "__main__":
    main()
