"""The control process, started by the supervisor, which tells it over its leash what it is for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from tokenway.aio.leash import Leash
from tokenway.aio.tasks import Tasks
from tokenway.compose.addresses import public_url
from tokenway.compose.gateway import Gateway
from tokenway.compose.greeting import engine_line, example_model, exchange_printer, remember, say_ready
from tokenway.compose.handover import hand_over, receive
from tokenway.compose.paths import CREDENTIALS, JOURNALS
from tokenway.compose.plan import Asked, Plan, decode_request
from tokenway.compose.plan import encode as packed
from tokenway.compose.terminal import complain, is_terminal, say
from tokenway.compose.told import ControlOptions, decode, encode
from tokenway.control.config import FLAGS, Loaded, find_config, find_data, load
from tokenway.control.findings import Severity
from tokenway.model.errors import TokenwayError
from tokenway.model.settings import ServerSettings
from tokenway.telemetry import logs

log = logging.getLogger("tokenway.control")

SAID_WHY: Final = 1
"""The exit status after a sentence that says why."""
BAD_USAGE: Final = 2
"""The same, when a flag has a value that it cannot have."""


def main(descriptor: int) -> None:
    """Runs the control process until it is stopped; the descriptor is that of its leash."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor passes on what is for this process
    leash = Leash(socket.socket(fileno=descriptor))
    logs.set_up(level=logging.WARNING, name="")
    try:
        told = agreed(leash.end)
        if told is None:
            return  # nothing came of it, and the supervisor says why
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(*told, leash))
    except TokenwayError as error:
        complain(str(error))
        sys.exit(SAID_WHY)
    except OSError as error:
        complain(f"the control process cannot run ({error.strerror or error})")
        sys.exit(SAID_WHY)


def agreed(end: socket.socket) -> tuple[ControlOptions, list[int]] | None:
    """What this process is for, and the descriptors that it was given; None when the supervisor is gone before.

    The first control process is asked to read the configuration. Ends the process when that cannot be used.
    """
    options: ControlOptions | None = None
    while (received := receive(end)) is not None:
        request = decode_request(received[0])
        if isinstance(request, Asked):
            options = read(request)
            hand_over(end, packed(plan_of(options)))
        else:
            told = options or decode(request.options)
            return msgspec.structs.replace(told, port=request.port, control_port=request.control_port), received[1]
    return None


def read(asked: Asked) -> ControlOptions:
    """The settings that were asked for; what is wrong with them is told, and ends the process when it must."""
    environment = dict(os.environ)
    flag = None if asked.config is None else Path(asked.config)
    loaded = load(find_config(flag, environment), environment, asked.overrides)
    for finding in loaded.findings:
        if finding.severity is not Severity.NOTE:
            complain(str(finding))
    settings = loaded.settings
    if settings is None:
        complain("the configuration cannot be used, so nothing was started")
        wrong = {finding.file for finding in loaded.findings if finding.severity is Severity.ERROR}
        sys.exit(SAID_WHY if wrong.isdisjoint(FLAGS.values()) else BAD_USAGE)
    return ControlOptions(
        settings=settings,
        config=None if loaded.path is None else str(loaded.path),
        overrides=asked.overrides,
        data_dir=str(find_data(None if asked.data_dir is None else Path(asked.data_dir), environment)),
        port=settings.server.port,
        control_port=settings.server.control_port,
    )


def plan_of(options: ControlOptions) -> Plan:
    """The supervisor's part of it, and what it has to tell a later control process."""
    server = options.settings.server
    return Plan(
        data_dir=options.data_dir,
        journals=str(options.data / JOURNALS),
        host=server.host,
        port=server.port,
        control_port=server.control_port,
        workers=server.workers,
        drain=server.drain,
        tls_cert=None if server.tls is None else server.tls.cert,
        tls_key=None if server.tls is None else server.tls.key,
        options=encode(msgspec.structs.replace(options, is_first=False)),
    )


async def run(told: ControlOptions, descriptors: Sequence[int], leash: Leash) -> None:
    """Runs it as it was told to, until SIGTERM or until the supervisor is gone; raises TokenwayError.

    The descriptors are those of the socket on which workers come, of the control listener, and of the lock of the
    data directory, which is held until the process ends.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    gateway = make_gateway(told, socket.socket(fileno=descriptors[0]))
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    is_alone = False

    def left_alone() -> None:
        nonlocal is_alone
        is_alone = True
        stop.set()

    leash.on_let_go(left_alone)
    tasks = Tasks(lambda name, error: log.debug("%s failed: %s", name, error))  # it is raised below
    begun = tasks.start("begin", _begin(gateway, told, socket.socket(fileno=descriptors[1]), leash))
    stopped = tasks.start("stop", stop.wait())
    try:
        await asyncio.wait({begun, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await begun
            await stopped
    finally:
        await tasks.close()
        await gateway.stop(in_haste=is_alone)
        if not (told.data / CREDENTIALS).exists():
            # It was stopped, or failed, after the key had been made: nobody has seen it yet.
            remember(told.data, public_url(_addresses(told)), gateway.first_start)


async def _begin(gateway: Gateway, told: ControlOptions, listener: socket.socket, leash: Leash) -> None:
    """Starts the gateway and, the first time, says how to use it."""
    await gateway.start(is_first=told.is_first)
    leash.ready()
    if told.is_first:
        at = _addresses(told)
        made = remember(told.data, public_url(at), gateway.first_start)
        await gateway.workers.wait_serving()
        say_ready(at, told.data, made, example_model(gateway.settings, gateway.local_models()))
    gateway.start_control(listener)
    if told.is_first:
        gateway.on_engine_settled(lambda state: say(engine_line(state)))


def make_gateway(told: ControlOptions, workers: socket.socket) -> Gateway:
    """The gateway of a control process that was told this; `workers` is where they come."""
    environment = dict(os.environ)
    started = Loaded(told.settings, (), None if told.config is None else Path(told.config))
    return Gateway(
        started,
        latest=started if told.is_first else _latest(started, environment, told.overrides),
        data_dir=told.data,
        listener=workers,
        environment=environment,
        overrides=told.overrides,
        on_exchange=exchange_printer() if is_terminal() else None,
        say=complain,
    )


def _latest(started: Loaded, environment: dict[str, str], overrides: dict[str, str]) -> Loaded:
    """What the configuration says now, for a control process that takes up its predecessor's work.

    One that cannot be used is told of, and what the gateway was started with is in force until it is corrected.
    """
    path = find_config(started.path, environment)
    loaded = load(path, environment, overrides)
    if loaded.settings is not None:
        return loaded
    for finding in loaded.findings:
        if finding.severity is Severity.ERROR:
            complain(str(finding))
    complain("the configuration cannot be used; the one that the gateway was started with is in force")
    return started


def _addresses(told: ControlOptions) -> ServerSettings:
    """Where it listens, with the ports that the system chose where the setting says 0."""
    return msgspec.structs.replace(told.settings.server, port=told.port, control_port=told.control_port)
