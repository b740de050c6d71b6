"""What the journal and the ledger cost per exchange, into SQLite and into PostgreSQL.

    python -m benchmarks.ingest [--exchanges N] [--only sqlite | postgres] [--url postgresql://…]

Another process writes a journal with a reservation and a settlement for each exchange, as a worker does. This one
ingests it into a fresh database with metrics on, as the control process does, and says how fast that was, how much of
a processor it took here and in the server, and how its own memory grew from one tenth of the way to the next.
PostgreSQL is the machine's own program with a data directory of its own, syncing each commit as in production,
unless a URL names another server's empty database.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from tests.servers.postgres import PostgresServer
from tokenway.compose.birth import COLLECT_AFTER
from tokenway.control.ingest import Ingest
from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.identity import ids_of_day
from tokenway.model.usage import Usage
from tokenway.store.journal import JournalWriter
from tokenway.store.open import Store
from tokenway.store.postgres import open_postgres
from tokenway.store.sqlite import FILE_NAME, open_sqlite
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import Metrics

STARTED_AT: Final = 1_764_115_200.0
"""Midnight in UTC."""
DAY: Final = 86_400.0
PER_SECOND: Final = 1_000
"""Exchanges in a second of the ledger's time: a million lie in some twenty minutes."""
CHARGED: Final = 12_345
IN_FLIGHT: Final = 16
"""Exchanges that are open at once; their reservations may end up in another batch than their settlements."""


def identity(number: int) -> str:
    """The id of an exchange, as a worker makes it."""
    return f"{ids_of_day(int(STARTED_AT // DAY))}0123456789abcdef{number:010x}"


def reserved(number: int) -> Reserved:
    """The reservation of one exchange."""
    at = STARTED_AT + number / PER_SECOND
    return Reserved(identity(number), at, f"key_{number % 7:04d}", "default", 90_000)


def settled(number: int) -> Settled:
    """Its settlement: a streamed answer of 64 tokens from one attempt."""
    usage = Usage(input_uncached=100 + number % 50, output_text=64, requests=1)
    received = 1000.0 + number / PER_SECOND
    return Settled(
        id=identity(number),
        at=STARTED_AT + 1 + number / PER_SECOND,
        admitted=STARTED_AT + number / PER_SECOND,
        key=f"key_{number % 7:04d}",
        project="default",
        model="mock",
        endpoint="lab/mock",
        operation="chat",
        dialect="openai_chat",
        stream=True,
        settlement=Settlement.DELIVERED,
        charged=CHARGED,
        status=200,
        lines=(Line(0, "lab/mock", Settlement.DELIVERED, usage, CHARGED, 200),),
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


def write(directory: Path, count: int) -> float:
    """Writes the journal of so many exchanges; returns the CPU seconds of its appends."""
    writer = JournalWriter(directory, "worker-0")
    used = 0.0
    step = 10_000
    for first in range(0, count + IN_FLIGHT, step):
        records: list[Reserved | Settled] = []
        for number in range(first, min(first + step, count + IN_FLIGHT)):
            if number < count:
                records.append(reserved(number))
            if number >= IN_FLIGHT:
                records.append(settled(number - IN_FLIGHT))
        started = time.process_time()
        for record in records:
            writer.append(record)
        used += time.process_time() - started
    return used


@dataclass
class Measured:
    """What it took to ingest: seconds by the clock, CPU seconds here and in the server, resident bytes on the way."""

    wall: float = 0.0
    here: float = 0.0
    server: float = 0.0
    memory: list[int] = field(default_factory=list)


def measure(store: Store, directory: Path, count: int, server_cpu: Callable[[], float]) -> Measured:
    """Ingests the journals in a directory; raises SystemExit when what came of it is not what was written."""
    metrics = Metrics()
    measured = Measured()
    this = psutil.Process()

    def on_settled(batch: Sequence[Settled]) -> None:
        for gathered in gather(batch):
            metrics.observe(gathered)

    ingest = Ingest(store.ledger, directory, on_settled)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    here, there, wall = time.process_time(), server_cpu(), time.perf_counter()
    while ingest.run_once():
        if ingest.counts.settled * 10 >= count * (len(measured.memory) + 1):
            measured.memory.append(this.memory_info().rss)
    measured.wall = time.perf_counter() - wall
    measured.here, measured.server = time.process_time() - here, server_cpu() - there
    ingest.close()
    charged = sum(row.charged for row in store.usage.report(("key",)))
    if ingest.counts.settled != count or charged != count * CHARGED or ingest.counts.replayed:
        raise SystemExit(f"wrong: {ingest.counts} charged {charged}")
    return measured


def show(name: str, count: int, appends: float, measured: Measured) -> None:
    """Prints the figures of one database."""
    megabytes = [each / 1e6 for each in measured.memory]
    print(f"{name}")
    print(f"  exchanges                        {count:>12,}")
    print(f"  journal, two appends             {appends / count * 1e6:>12.1f} µs CPU per exchange")
    print(f"  ingest with metrics              {measured.here / count * 1e6:>12.1f} µs CPU per exchange")
    if measured.server:
        print(f"  in the server                    {measured.server / count * 1e6:>12.1f} µs CPU per exchange")
    print(f"  ingest rate                      {count / measured.wall:>12,.0f} exchanges per second")
    print(f"  memory, by tenths of the way     {' '.join(f'{each:.0f}' for each in megabytes)} MB")


def journal(folder: Path, count: int) -> float:
    """Has another process write the journal, so that its memory is not ours."""
    command = [sys.executable, "-m", "benchmarks.ingest", "--exchanges", str(count), "--write", str(folder)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def into_sqlite(folder: Path, count: int) -> None:
    """Into a fresh file."""
    appends = journal(folder / "journal", count)
    store = open_sqlite(folder / FILE_NAME)
    measured = measure(store, folder / "journal", count, lambda: 0.0)
    store.close()
    show("SQLite", count, appends, measured)
    print(f"  database                         {(folder / FILE_NAME).stat().st_size / count:>12.0f} bytes per exchange")


def into_postgres(folder: Path, count: int, url: str | None) -> None:
    """Into a fresh database of a server of our own, or the one that is named."""
    appends = journal(folder / "journal", count)
    server = None if url is not None else PostgresServer(lasting=True)
    try:
        if server is not None:
            server.start()
            url = server.url(server.create())
        store = open_postgres(url or "", clock=lambda: STARTED_AT)
        cpu = (lambda: 0.0) if server is None else server.cpu
        measured = measure(store, folder / "journal", count, cpu)
        with store.database.read() as connection:
            size = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0
        store.close()
    finally:
        if server is not None:
            server.close()
    show("PostgreSQL", count, appends, measured)
    print(f"  database                         {size / count:>12.0f} bytes per exchange")


def main() -> None:
    """Writes, reads and prints."""
    parser = argparse.ArgumentParser(prog="benchmarks.ingest", description=__doc__)
    parser.add_argument("--exchanges", type=int, default=200_000)
    parser.add_argument("--only", choices=("sqlite", "postgres"))
    parser.add_argument("--url", help="an empty database of a PostgreSQL server that runs already")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write is not None:
        print(write(asked.write, asked.exchanges))
        return
    for name in ("sqlite", "postgres") if asked.only is None else (asked.only,):
        with tempfile.TemporaryDirectory() as folder:
            if name == "sqlite":
                into_sqlite(Path(folder), asked.exchanges)
            else:
                into_postgres(Path(folder), asked.exchanges, asked.url)


if __name__ == "__main__":
    main()
