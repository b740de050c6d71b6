"""The supervisor's process: reads the settings, binds the listeners, and keeps the others alive until a signal.

What is imported here stays in memory for as long as the gateway runs: no database, no HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokenway.aio.tasks import Tasks
from tokenway.compose.greeting import complain
from tokenway.compose.listeners import bind, workers_listener
from tokenway.compose.lock import data_directory_held
from tokenway.compose.processes import Held, Supervisor, Untold
from tokenway.compose.spawn import Born
from tokenway.compose.told import ControlOptions
from tokenway.control.config import FLAGS, Loaded, find_config, find_data, load
from tokenway.control.findings import Severity
from tokenway.model.errors import TokenwayError
from tokenway.telemetry import logs

log = logging.getLogger("tokenway.control")

BAD_USAGE: Final = 2
"""The exit status when a flag has a value that it cannot have."""


def run(begun: tuple[Born, Born], *, config: Path | None, overrides: Mapping[str, str], data_dir: Path | None) -> int:
    """Runs the gateway until it is told to stop; returns the exit status. `begun` are processes that wait."""
    environment = dict(os.environ)
    data = find_data(data_dir, environment)
    loaded = load(find_config(config, environment), environment, overrides)
    for finding in loaded.findings:
        if finding.severity is not Severity.NOTE:
            complain(str(finding))
    if loaded.settings is None:
        complain("the configuration cannot be used, so nothing was started")
        wrong = {finding.file for finding in loaded.findings if finding.severity is Severity.ERROR}
        return 1 if wrong.isdisjoint(FLAGS.values()) else BAD_USAGE
    logs.set_up(level=logging.WARNING, name="")
    try:
        with data_directory_held(data) as lock, asyncio.Runner() as runner:
            runner.run(_serve(begun, loaded, overrides, data, lock))
    except Untold:
        return 1
    except TokenwayError as error:
        complain(str(error))
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        complain(f"the gateway cannot run ({error.strerror or error}{where})")
        return 1
    return 0


async def _serve(begun: tuple[Born, Born], loaded: Loaded, overrides: Mapping[str, str], data: Path, lock: int) -> None:
    settings = loaded.demand()
    server = settings.server
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = Tasks(lambda name, error: log.error("task %s failed", name, exc_info=error))
    with (
        await bind(server.host, server.port, "--port") as public,
        await bind(server.host, server.control_port, "--control-port") as control,
        workers_listener(data) as (workers, path),
    ):
        told = ControlOptions(
            settings=settings,
            config=None if loaded.path is None else str(loaded.path),
            overrides=dict(overrides),
            data_dir=str(data),
            port=public.getsockname()[1],
            control_port=control.getsockname()[1],
        )
        supervisor = Supervisor(Held(public, control, workers, path, lock), told, begun, tasks)
        loop.add_signal_handler(signal.SIGHUP, supervisor.reload)
        try:
            await supervisor.run(stop)
        finally:
            await tasks.close()
