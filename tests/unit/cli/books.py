"""A store with a little in it, and the command line that works on it."""

from __future__ import annotations

from pathlib import Path

from tests.records import line, settled
from tokenway.cli.main import run
from tokenway.metering.ledger import Record
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress
from tokenway.store.sqlite import open_sqlite

YESTERDAY = 1_767_225_600.0 + 3_600
"""1 January 2026, 01:00 UTC; long ago, so that periods are over."""


def make_books(folder: Path) -> Path:
    """A data directory whose ledger has three calls of the default project."""
    store = open_sqlite(folder / "tokenway.db")
    store.accounts.ensure_default_project(by=CLI)
    records: list[Record] = [
        settled(1, at=YESTERDAY, charged=1_000_000_000, withheld=7),
        settled(2, at=YESTERDAY, model="big", charged=2_000_000_000),
        settled(3, at=YESTERDAY, lines=(line(endpoint="openai/gpt-4o", cost=5_000),), charged=5_000),
    ]
    store.ledger.commit(Progress("j", "w", "o", 1), records)
    store.close()
    return folder


def tokenway(folder: Path, *arguments: str) -> int:
    """Runs a command on these books; gives its exit status."""
    return run([*arguments, "--data-dir", str(folder)])
