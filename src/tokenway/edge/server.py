"""A worker: the listener, its protocol, and the order in which they start and stop.

uvicorn runs the listener (signals, draining, TLS). The worker serves from the first snapshot on, and stops
when it is told to (SIGTERM) or when the control process that started it is gone: nobody could configure or
stop it any more, and a successor needs the port.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.server import Server

from tokenway.aio.tasks import Tasks
from tokenway.edge.cold import make_app
from tokenway.edge.link import ControlLink
from tokenway.edge.probe import Probes
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.state import EdgeState, Journal
from tokenway.model.link import Gauges, Seen, Serving, WorkerOptions
from tokenway.model.snapshot import Snapshot
from tokenway.upstream.pool import Pools

log = logging.getLogger("tokenway.edge")
BACKLOG: Final = 2048
GAUGES_SECONDS: Final = 1.0
BREAKERS_MAX: Final = 1000
"""Breakers that are told of: callers can ask a provider for models that it does not have."""
TELL_SECONDS: Final = 0.25
"""How often the other workers are told what this one's attempts were like."""
BACKGROUND_SECONDS: Final = 0.05
STOPPED: Final = "The gateway was stopped before this response was made."


class _EdgeServer(Server):
    """uvicorn's server, which tells the worker first when it is asked to stop."""

    on_exit: Callable[[], None]

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        """SIGTERM stops; Ctrl-C reaches the whole process group, and is for the control process to pass on."""
        if sig == signal.SIGINT:
            return
        self.on_exit()
        # Not uvicorn's own: it raises the signal again at the end, which would kill the worker in its last steps.
        self.should_exit = True


async def run_worker(options: WorkerOptions, open_journal: Callable[[Path, str], Journal]) -> None:
    """Serves until it is stopped; returns when every exchange is settled or the drain time is over."""
    loop = asyncio.get_running_loop()
    tasks = Tasks(lambda name, error: log.error("a task failed", exc_info=error, extra={"task": name}))
    first: asyncio.Future[Snapshot] = loop.create_future()
    journal = open_journal(Path(options.journal_dir), options.name)
    pools = Pools(loop, tasks)
    server: _EdgeServer | None = None

    def take_snapshot(snapshot: Snapshot) -> None:
        state.adopt(snapshot)
        if not first.done():
            first.set_result(snapshot)

    def control_lost() -> None:
        state.admission.cut()
        state.draining = True
        if not first.done():
            first.cancel()
        if server is not None:
            server.should_exit = True

    def stop_background(response: str, project: str) -> None:
        running = state.background.get((response, project))
        if running is not None:
            running.stop()

    def show_background(response: str, project: str) -> None:
        running = state.background.get((response, project))
        if running is not None:
            running.show()

    link = ControlLink(
        take_snapshot,
        control_lost,
        stop_background,
        show_background,
        lambda samples: state.fleet.hear(samples),  # noqa: PLW0108 - the state is made from the link
        lambda probe: probes.begin(probe),  # noqa: PLW0108
        on_granted=lambda granted: state.admission.granted(granted),  # noqa: PLW0108
        on_recall=lambda limits: state.admission.recall(limits),  # noqa: PLW0108
    )
    state = EdgeState(loop, pools, journal, link.ask, link.keep, link.send)
    probes = Probes(state, link.send)
    await link.open(socket.socket(fileno=options.link_fd), tasks)
    snapshot = await first
    state.start_sweeping()
    listener = socket.socket(fileno=options.listener_fd)
    server = _EdgeServer(_server_config(options, state))

    drained_at = 0.0

    def stop() -> None:
        nonlocal drained_at
        drained_at = monotonic() + options.drain
        state.draining = True

    server.on_exit = stop
    tasks.spawn("gauges", _send_gauges(state, link))
    tasks.spawn("velocity", _tell_velocity(state, link))
    link.send(Serving(snapshot.version))
    await server.serve(sockets=[listener])
    probes.stop()
    await _finish_background(state, drained_at)
    for running in list(state.background.values()):
        running.stop(STOPPED)
    state.admission.stop()
    await pools.close()
    await tasks.close()


async def _finish_background(state: EdgeState, until: float) -> None:
    """Lets what has no caller come to its end, as open streams may, until a moment in monotonic seconds."""
    while state.background and monotonic() < until:  # noqa: ASYNC110 - once in a process's life, and it may be long
        await asyncio.sleep(BACKGROUND_SECONDS)


def _server_config(options: WorkerOptions, state: EdgeState) -> Config:
    config = Config(
        app=make_app(state),
        http=cast("Any", functools.partial(EdgeProtocol, state)),
        ws="none",
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=max(1, round(options.drain)),
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    config.load()
    return config


async def _send_gauges(state: EdgeState, link: ControlLink) -> None:
    while True:
        odd = ((name, number) for name, number in state.fleet.breakers.items() if number)
        breakers = dict(itertools.islice(odd, BREAKERS_MAX))
        link.send(Gauges(state.streams, state.loop_lag, state.admission.remaining, breakers))
        await asyncio.sleep(GAUGES_SECONDS)


async def _tell_velocity(state: EdgeState, link: ControlLink) -> None:
    """Tells the others what this worker's attempts were like; what it has to say while nobody reads is not told."""
    while True:
        samples = state.fleet.take_outbox(monotonic())
        if samples and not link.is_behind:
            link.send(Seen(samples))
        await asyncio.sleep(TELL_SECONDS)
