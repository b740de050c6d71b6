"""`tokenway serve`: begins with the processes that take longest to start, and becomes their supervisor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenway.compose.spawn import begun


def serve(*, config: Path | None, overrides: Mapping[str, str], data_dir: Path | None) -> int:
    """Runs the gateway until it is told to stop; returns the exit status.

    `config` and `data_dir` are what was asked for, where something was.
    """
    with begun() as processes:
        from tokenway.compose.supervise import run  # noqa: PLC0415 - while the others import what they need

        return run(processes, config=config, overrides=overrides, data_dir=data_dir)
