"""`python -m tokenway.compose.worker`: one edge worker, started by the supervisor.

Its options come as JSON on the command line; sockets are inherited; secrets come over the link.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from typing import Final

import msgspec
import uvloop

from tokenway.aio.leash import Leash
from tokenway.edge.server import run_worker
from tokenway.model.errors import TokenwayError
from tokenway.model.link import WorkerOptions
from tokenway.store.journal import JournalWriter
from tokenway.telemetry import logs

COLLECT_AFTER: Final = 50_000
"""Objects between two collections: an exchange leaves no cycles behind, so there is hardly anything to find."""


def main() -> None:
    """Runs the worker until it is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which drains
    options = msgspec.json.decode(sys.argv[1], type=WorkerOptions)
    leash = Leash(socket.socket(fileno=options.leash_fd))
    logs.set_up(level=logging.WARNING, name="")
    # What is alive now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run_worker(options, JournalWriter, leash))
        except asyncio.CancelledError:
            sys.exit(1)
        except (TokenwayError, OSError) as error:
            sys.exit(f"tokenway: {options.name} cannot run: {error}")


if __name__ == "__main__":
    main()
