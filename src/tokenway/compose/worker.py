"""One edge worker, started by the supervisor.

Over its leash it is told its options and gets the public listener; secrets come over the link to the control process.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys

import msgspec
import uvloop

from tokenway.aio.leash import Leash
from tokenway.compose.handover import receive
from tokenway.edge.server import run_worker
from tokenway.model.errors import TokenwayError
from tokenway.model.worker import WorkerOptions
from tokenway.store.journal import JournalWriter
from tokenway.telemetry import logs


def main(descriptor: int) -> None:
    """Runs the worker until it is stopped; the descriptor is that of its leash."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which drains
    leash = Leash(socket.socket(fileno=descriptor))
    logs.set_up(level=logging.WARNING, name="")
    told = receive(leash.end)
    if told is None:
        return  # nothing came of it, and the supervisor says why
    options = msgspec.json.decode(told[0], type=WorkerOptions)
    listener = socket.socket(fileno=told[1][0])
    # What is alive now lives as long as the process: the collector need not look at it again.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(run_worker(options, listener, JournalWriter, leash))
        except asyncio.CancelledError:
            sys.exit(1)
        except (TokenwayError, OSError) as error:
            sys.exit(f"tokenway: {options.name} cannot run: {error}")
