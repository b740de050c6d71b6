"""`python -m tokenway.compose.worker`: one edge worker, started by the supervisor.

Its argument is the descriptor of its leash, over which it is told its options and gets the public listener; secrets
come over the link to the control process.
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
from tokenway.compose.handover import receive
from tokenway.edge.server import run_worker
from tokenway.model.errors import TokenwayError
from tokenway.model.worker import WorkerOptions
from tokenway.store.journal import JournalWriter
from tokenway.telemetry import logs

COLLECT_AFTER: Final = 50_000
"""Objects between two collections: an exchange leaves no cycles behind, so there is hardly anything to find."""


def main() -> None:
    """Runs the worker until it is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which drains
    leash = Leash(socket.socket(fileno=int(sys.argv[1])))
    logs.set_up(level=logging.WARNING, name="")
    told = receive(leash.end)
    if told is None:
        return  # nothing came of it, and the supervisor says why
    options = msgspec.json.decode(told[0], type=WorkerOptions)
    listener = socket.socket(fileno=told[1][0])
    # What is alive now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run_worker(options, listener, JournalWriter, leash))
        except asyncio.CancelledError:
            sys.exit(1)
        except (TokenwayError, OSError) as error:
            sys.exit(f"tokenway: {options.name} cannot run: {error}")


if __name__ == "__main__":
    main()
