"""The supervisor's process: binds the listeners, and keeps the others alive until a signal.

What is imported here stays in memory for as long as the gateway runs: no settings, no event loop, no database.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tokenway.compose.handover import hand_over, receive
from tokenway.compose.listeners import bind, workers_listener
from tokenway.compose.lock import data_directory_held
from tokenway.compose.plan import Asked, Plan, decode_plan, encode
from tokenway.compose.processes import HAS_SAID_WHY, Held, Supervisor, Untold
from tokenway.compose.signals import heeded
from tokenway.compose.spawn import Born
from tokenway.compose.terminal import complain
from tokenway.model.errors import TokenwayError
from tokenway.telemetry import logs

BAD_USAGE: Final = 2
"""The exit status when a flag has a value that it cannot have; the control process has said which."""


def run(begun: tuple[Born, Born], *, config: Path | None, overrides: Mapping[str, str], data_dir: Path | None) -> int:
    """Runs the gateway until it is told to stop; returns the exit status. `begun` are processes that wait."""
    asked = Asked(
        config=None if config is None else str(config),
        overrides=dict(overrides),
        data_dir=None if data_dir is None else str(data_dir),
    )
    try:
        plan = _planned(begun[0], asked)
        logs.set_up(level=logging.WARNING, name="")
        with data_directory_held(Path(plan.data_dir)) as lock:
            _serve(begun, plan, lock)
    except Untold as why:
        return why.status
    except TokenwayError as error:
        complain(str(error))
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        complain(f"the gateway cannot run ({error.strerror or error}{where})")
        return 1
    return 0


def _planned(control: Born, asked: Asked) -> Plan:
    """What the control process makes of it. Raises TokenwayError when it can make nothing of it."""
    with contextlib.suppress(OSError):  # it has ended, which is found right below
        hand_over(control.end, encode(asked))
    told = receive(control.end)
    if told is not None:
        return decode_plan(told[0])
    status = control.process.wait()
    if status in {HAS_SAID_WHY, BAD_USAGE}:
        raise Untold(status)
    raise TokenwayError(f"the control process ended with status {status} before it was ready")


def _serve(begun: tuple[Born, Born], plan: Plan, lock: int) -> None:
    with (
        heeded() as signals,
        bind(plan.host, plan.port, "--port") as public,
        bind(plan.host, plan.control_port, "--control-port") as control,
        workers_listener(Path(plan.data_dir)) as (workers, path),
    ):
        Supervisor(Held(public, control, workers, path, lock), plan, begun, signals).run()
