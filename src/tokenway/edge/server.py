"""A worker: the listener, its protocol, and the order in which they start and stop.

uvicorn runs the listener (signals, draining, TLS). The worker serves from the first snapshot on, with or without a
control process, and stops when it is told to (SIGTERM) or when its supervisor is gone: nobody could configure or stop
it any more, and a successor needs the port.
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
from typing import Any, Final, Protocol, cast

from uvicorn.config import Config
from uvicorn.server import Server

from tokenway.aio.leash import Leash
from tokenway.aio.tasks import Tasks
from tokenway.edge.cold import make_app
from tokenway.edge.link import ControlLink
from tokenway.edge.probe import Probes
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.state import EdgeState, Journal
from tokenway.model.link import (
    Gauges,
    Granted,
    Heard,
    Hello,
    Probe,
    Publish,
    Recall,
    Seen,
    Serving,
    Show,
    Stop,
    ToControl,
)
from tokenway.model.worker import WorkerOptions
from tokenway.upstream.pool import Pools

log = logging.getLogger("tokenway.edge")
BACKLOG: Final = 2048
GAUGES_SECONDS: Final = 1.0
BREAKERS_MAX: Final = 1000
"""Breakers that are told of: callers can ask a provider for models that it does not have."""
TELL_SECONDS: Final = 0.25
"""How often the other workers are told what this one's attempts were like."""
BACKGROUND_SECONDS: Final = 0.05
LAST_WORDS_SECONDS: Final = 2.0
"""How long the control process is waited for at the end, to take the last responses."""
STOPPED: Final = "The gateway was stopped before this response was made."


class _EdgeServer(Server):
    """uvicorn's server, which tells the worker first when it is asked to stop."""

    on_exit: Callable[[], None]

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        """SIGTERM stops; Ctrl-C is for the supervisor to pass on."""
        # Not uvicorn's own: it raises the signal again at the end, which would kill the worker in its last steps.
        if sig != signal.SIGINT:
            self.on_exit()


class OwnedJournal(Journal, Protocol):
    """A journal whose writer's life has a name."""

    @property
    def owner(self) -> str:
        """What tells it from the lives before and after it."""


async def run_worker(
    options: WorkerOptions,
    listener: socket.socket,
    open_journal: Callable[[Path, str], OwnedJournal],
    leash: Leash,
) -> None:
    """Serves until it is stopped; returns when every exchange is settled or the drain time is over."""
    loop = asyncio.get_running_loop()
    tasks = Tasks(lambda name, error: log.error("a task failed", exc_info=error, extra={"task": name}))
    first: asyncio.Future[None] = loop.create_future()
    journal = open_journal(Path(options.journal_dir), options.name)
    pools = Pools(loop, tasks)
    server: _EdgeServer | None = None

    def greeting() -> list[ToControl]:
        version = state.snapshot.version if state.is_ready else 0
        hello = Hello(options.number, journal.owner, version)
        return [hello, Serving(version)] if is_serving and not state.draining else [hello]

    def take_snapshot(publish: Publish) -> None:
        try:
            state.adopt(publish.snapshot)
        except Exception as error:
            if first.done():
                raise
            first.set_exception(error)
        if not first.done():
            first.set_result(None)

    link = ControlLink(greeting, lambda: state.admission.cut())  # noqa: PLW0108 - the state is made from the link
    state = EdgeState(loop, pools, journal, link.ask, link.keep, link.send)
    link.on(Publish, take_snapshot)
    probes = Probes(state, link.send)
    _listen_to_control(link, state, probes)
    is_serving = False
    drained_at = 0.0

    def stop() -> None:
        nonlocal drained_at
        drained_at = monotonic() + options.drain
        state.draining = True
        if server is not None:
            server.should_exit = True
        elif not first.done():
            first.cancel()

    leash.on_let_go(stop)
    tasks.spawn("control link", link.run(options.control))
    await first
    state.start_sweeping()
    server = _EdgeServer(_server_config(options, state))
    server.on_exit = stop
    is_serving = True
    _begin_to_tell(state, link, tasks)
    leash.ready()
    await server.serve(sockets=[listener])
    probes.stop()
    await _finish_background(state, drained_at)
    state.admission.stop()
    await pools.close()
    await link.finish(LAST_WORDS_SECONDS)
    await tasks.close()


def _listen_to_control(link: ControlLink, state: EdgeState, probes: Probes) -> None:
    """Who takes in what the control process says, but for the snapshot; other parts may add their own."""

    def stop_background(stop: Stop) -> None:
        running = state.background.get((stop.response, stop.project))
        if running is not None:
            running.stop()

    def show_background(show: Show) -> None:
        running = state.background.get((show.response, show.project))
        if running is not None:
            running.show()

    link.on(Stop, stop_background)
    link.on(Show, show_background)
    link.on(Heard, lambda heard: state.fleet.hear(heard.samples))
    link.on(Probe, probes.begin)
    link.on(Granted, state.admission.granted)
    link.on(Recall, lambda recall: state.admission.recall(recall.limits))


async def _finish_background(state: EdgeState, until: float) -> None:
    """Lets what has no caller come to its end, as open streams may, until a moment in monotonic seconds."""
    while state.background and monotonic() < until:  # noqa: ASYNC110 - once in a process's life, and it may be long
        await asyncio.sleep(BACKGROUND_SECONDS)
    for running in list(state.background.values()):
        running.stop(STOPPED)


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


def _begin_to_tell(state: EdgeState, link: ControlLink, tasks: Tasks) -> None:
    """From now on the control process hears that this worker serves, how it is, and what it has seen."""
    link.send(Serving(state.snapshot.version))
    tasks.spawn("gauges", _send_gauges(state, link))
    tasks.spawn("velocity", _tell_velocity(state, link))


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
