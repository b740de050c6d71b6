"""`tokenway serve`: binds the ports, runs the control process, prints how to use it, stops on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import uvloop

from tokenway.compose.commands import control_url, public_url
from tokenway.compose.gateway import Gateway, is_terminal
from tokenway.compose.paths import CREDENTIALS, Credentials, read_credentials, write_credentials
from tokenway.control.config import find_config, load
from tokenway.local.supervise import EngineState, Phase
from tokenway.metering.ledger import Settled
from tokenway.model.errors import ConfigError, TokenwayError
from tokenway.model.settings import ServerSettings

BIND_SECONDS: Final = 3.0
"""How long a port that is still taken is waited for: a killed predecessor's workers need a moment to go."""
BACKLOG: Final = 2048
_EXAMPLE: Final = '{"model": "local", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'


def serve(*, config: Path | None, overrides: Mapping[str, str], data_dir: Path) -> int:
    """Runs the gateway until it is told to stop; returns the exit status."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(config, overrides, data_dir))
    except (TokenwayError, OSError) as error:
        _complain(str(error))
        return 1


async def _serve(config: Path | None, overrides: Mapping[str, str], data_dir: Path) -> int:
    environment = dict(os.environ)
    loaded = load(find_config(config, environment), environment, overrides)
    server = loaded.demand().server
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    make_private(data_dir)
    public = await bind(server.host, server.port, "--port")
    control = await bind(server.host, server.control_port, "--control-port")
    gateway = Gateway(
        loaded,
        data_dir=data_dir,
        listener=public,
        environment=environment,
        overrides=overrides,
        on_exchange=_exchange_printer() if is_terminal() else None,
        say=_complain,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload)
    try:
        await gateway.start()
        at = _with_ports(server, public, control)
        first = gateway.first_start
        base = public_url(at)
        _remember_key(
            data_dir, base, None if first is None else Credentials(first.key.secret.reveal(), base, first.project)
        )
        _print_ready(at, data_dir, None if first is None else first.key.secret.reveal())
        gateway.start_control(control)
        gateway.on_engine_settled(lambda state: _say(_engine_line(state)))
        await stop.wait()
    finally:
        public.close()
        await gateway.stop()
        control.close()
    return 0


def make_private(directory: Path) -> None:
    """Makes the data directory, which nobody else may read."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def _engine_line(state: EngineState) -> str:
    if state.phase is Phase.UNAVAILABLE:
        return f"The local model is not available. {state.reason}"
    served = ", ".join(model.name for model in state.models)
    return f"The local engine is ready: {served}." + (f" {state.reason}" if state.reason else "")


async def bind(host: str, port: int, flag: str) -> socket.socket:
    """A listening socket; raises ConfigError with what to do when the port is taken."""
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
            if time.monotonic() > deadline:
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


def _remember_key(data_dir: Path, base_url: str, made: Credentials | None) -> None:
    """Writes the first key down, or the new address beside the key that is there."""
    known = made
    if made is None:
        with contextlib.suppress(ConfigError):  # a damaged file is its owner's to repair; `ask` says how
            known = read_credentials(data_dir)
    if known is not None and (made is not None or known.base_url != base_url):
        write_credentials(data_dir, Credentials(known.api_key, base_url, known.project))


def _print_ready(server: ServerSettings, data_dir: Path, first_key: str | None) -> None:
    """How to use it: addresses, the key once, a command that streams."""
    base = f"{public_url(server)}/v1"
    _say(f"Tokenway listens at   {base}")
    if first_key is not None:
        _say(f"Your key, shown once  {first_key}")
    _say(f"Keys are kept in      {data_dir / CREDENTIALS}")
    _say(f"Console and metrics   {control_url(server)}")
    _say("Try it:")
    _say(f"  curl -N {base}/chat/completions -H 'content-type: application/json' \\")
    _say(f'    -H "authorization: Bearer {first_key or "$TOKENWAY_API_KEY"}" \\')
    _say(f"    -d '{_EXAMPLE}'")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"tokenway: {line}\n")
    sys.stderr.flush()


def _exchange_printer() -> Callable[[Settled], None]:
    from tokenway.telemetry.lines import exchange_line  # noqa: PLC0415 - only for a terminal

    return lambda record: _say(exchange_line(record, color=True))
