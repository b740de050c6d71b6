"""`tokenway serve`: binds the ports, runs the control process, prints how to use it, stops on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec
import uvloop

from tokenway.aio.tasks import Tasks
from tokenway.compose.commands import control_url, public_url
from tokenway.compose.gateway import Gateway, is_terminal
from tokenway.compose.lock import data_directory_held
from tokenway.compose.paths import CREDENTIALS, Credentials, read_credentials, write_credentials
from tokenway.control.config import FLAGS, Loaded, find_config, load
from tokenway.control.findings import Severity
from tokenway.local.supervise import EngineState, Phase
from tokenway.metering.ledger import Settled
from tokenway.model.errors import ConfigError, TokenwayError
from tokenway.model.settings import LOCAL_CHAT, ServerSettings, Settings
from tokenway.telemetry import logs

if TYPE_CHECKING:
    from tokenway.store.accounts.records import FirstStart

log = logging.getLogger("tokenway.control")

BIND_SECONDS: Final = 3.0
"""How long a port that is still taken is waited for: a killed predecessor's workers need a moment to go."""
BACKLOG: Final = 2048
BAD_USAGE: Final = 2
"""The exit status when a flag has a value that it cannot have."""
_EXAMPLE: Final = '{"model": "%s", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'


def serve(*, config: Path | None, overrides: Mapping[str, str], data_dir: Path) -> int:
    """Runs the gateway until it is told to stop; returns the exit status."""
    environment = dict(os.environ)
    loaded = load(find_config(config, environment), environment, overrides)
    for finding in loaded.findings:
        if finding.severity is not Severity.NOTE:
            _complain(str(finding))
    if loaded.settings is None:
        _complain("the configuration cannot be used, so nothing was started")
        wrong = {finding.file for finding in loaded.findings if finding.severity is Severity.ERROR}
        return 1 if wrong.isdisjoint(FLAGS.values()) else BAD_USAGE
    logs.set_up(level=logging.WARNING, name="")
    try:
        with data_directory_held(data_dir), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(loaded, environment, overrides, data_dir))
    except TokenwayError as error:
        _complain(str(error))
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _complain(f"the gateway cannot run ({error.strerror or error}{where})")
        return 1
    return 0


async def _serve(loaded: Loaded, environment: Mapping[str, str], overrides: Mapping[str, str], data_dir: Path) -> None:
    server = loaded.demand().server
    with (
        await bind(server.host, server.port, "--port") as public,
        await bind(server.host, server.control_port, "--control-port") as control,
    ):
        gateway = Gateway(
            loaded,
            data_dir=data_dir,
            listener=public,
            environment=environment,
            overrides=overrides,
            on_exchange=_exchange_printer() if is_terminal() else None,
            say=_complain,
        )
        await _run(gateway, server, data_dir, public, control)


async def _run(
    gateway: Gateway, server: ServerSettings, data_dir: Path, public: socket.socket, control: socket.socket
) -> None:
    """Starts the gateway, says how to use it, and stops it on a signal, also on one that comes while it starts."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    at = _with_ports(server, public, control)
    tasks = Tasks(lambda name, error: log.debug("%s failed: %s", name, error))  # it is raised below
    started = tasks.start("start", gateway.start())
    stopped = tasks.start("stop", stop.wait())
    try:
        await asyncio.wait({started, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await started
            made = _remember(data_dir, public_url(at), gateway.first_start)
            _print_ready(at, data_dir, made, example_model(gateway.settings, gateway.local_models()))
            gateway.start_control(control)
            gateway.on_engine_settled(lambda state: _say(_engine_line(state)))
            await stopped
    finally:
        await tasks.close()
        public.close()
        await gateway.stop()
        if not (data_dir / CREDENTIALS).exists():
            # It was stopped, or failed, after the key had been made: nobody has seen it yet.
            _remember(data_dir, public_url(at), gateway.first_start)


def _engine_line(state: EngineState) -> str:
    if state.phase is Phase.UNAVAILABLE:
        return f"The local model is not available. {state.reason}"
    served = ", ".join(model.name for model in state.models)
    return f"The local engine is ready: {served}." + (f" {state.reason}" if state.reason else "")


async def bind(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket; raises ConfigError with what to do when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + BIND_SECONDS
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ConfigError(
                    f"cannot listen on {host}:{port} ({error.strerror}); choose another port with {flag}"
                ) from None
            await asyncio.sleep(0.1)
        else:
            listener.setblocking(False)
            return listener


def _with_ports(server: ServerSettings, public: socket.socket, control: socket.socket) -> ServerSettings:
    """The addresses with the ports that the system chose where the setting says 0."""
    return ServerSettings(
        host=server.host, port=public.getsockname()[1], control_port=control.getsockname()[1], tls=server.tls
    )


def _remember(data_dir: Path, base_url: str, first: FirstStart | None) -> Credentials | None:
    """Writes down what the first start made and returns it, or the new address beside what is there."""
    if first is not None:
        made = Credentials(
            first.key.secret.reveal(),
            base_url,
            first.project,
            first.user.name,
            first.password.reveal(),
            first.token.secret.reveal(),
        )
        write_credentials(data_dir, made)
        return made
    with contextlib.suppress(ConfigError):  # a damaged file is its owner's to repair; `ask` says how
        known = read_credentials(data_dir)
        if known is not None and known.base_url != base_url:
            write_credentials(data_dir, msgspec.structs.replace(known, base_url=base_url))
    return None


def example_model(settings: Settings, local: Container[str]) -> str:
    """A model that the printed command can ask for; `local` are the local engine's, as far as is known by then."""
    return LOCAL_CHAT if LOCAL_CHAT in local else next(iter(settings.models), "MODEL")


def _print_ready(server: ServerSettings, data_dir: Path, made: Credentials | None, model: str) -> None:
    """How to use it: addresses, what the first start made once, a command that streams."""
    base = f"{public_url(server)}/v1"
    _say(f"Tokenway listens at   {base}")
    if made is not None:
        _say(f"Your key, shown once  {made.api_key}")
        _say(f"Sign in as            {made.admin}, password {made.password}")
        _say(f"Control API's token   {made.token}")
    _say(f"Keys are kept in      {data_dir / CREDENTIALS}")
    _say(f"Console and metrics   {control_url(server)}")
    _say("Try it:")
    _say(f"  curl -N {base}/chat/completions -H 'content-type: application/json' \\")
    key = "$TOKENWAY_API_KEY" if made is None else made.api_key
    _say(f'    -H "authorization: Bearer {key}" \\')
    _say(f"    -d '{_EXAMPLE % model}'")


def _say(line: str) -> None:
    _write(sys.stdout, line)


def _complain(line: str) -> None:
    _write(sys.stderr, f"tokenway: {line}")


def _write(stream: TextIO, line: str) -> None:
    """One line for a person. A pipe or a terminal that was closed does not stop the gateway."""
    try:
        stream.write(line + "\n")
        stream.flush()
    except OSError:
        # What is left in the stream must not fail again when Python flushes it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _exchange_printer() -> Callable[[Settled], None]:
    from tokenway.telemetry.lines import exchange_line  # noqa: PLC0415 - only for a terminal

    return lambda record: _say(exchange_line(record, color=True))
