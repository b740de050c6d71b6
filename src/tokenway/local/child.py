"""The engine's process: `python -m tokenway.local.child SOCKET`, started by `local.supervise`.

Reads `Settings` from standard input, checks and loads the models, serves them on the Unix socket, prints a
`Report`, and lives until standard input ends.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec
import uvicorn

from tokenway.local.app import LocalApp, Served
from tokenway.local.embed import ensure_gguf
from tokenway.local.models import CHAT_MODEL, CHAT_WEIGHTS, EMBED_MODEL, WeightsError, extra_model, verify
from tokenway.local.onnx_file import OnnxError
from tokenway.local.pipe import EXIT_UNUSABLE, LINE_MAX, Report, Settings
from tokenway.local.runtime import NativeServer, RuntimeUnavailable

NICENESS = 5
"""The gateway's own loop goes first when cores are scarce."""


def load(settings: Settings, folder: Path) -> tuple[list[Served], list[str]]:
    """The models that could be loaded, and a sentence for each that could not. `folder` takes private sockets."""
    served: list[Served] = []
    problems: list[str] = []
    data_dir = Path(settings.data_dir)

    def chat() -> Served:
        path = Path(settings.chat or "")
        verify(path, CHAT_WEIGHTS.sha256, data_dir / "local")
        return Served(CHAT_MODEL, chat=NativeServer(path, CHAT_MODEL.upstream, folder, embedding=False))

    def embed() -> Served:
        path = ensure_gguf(Path(settings.embed or ""), data_dir)
        return Served(EMBED_MODEL, embed=NativeServer(path, EMBED_MODEL.upstream, folder, embedding=True))

    def extra(name: str, path: Path) -> Served:
        return Served(extra_model(name, path), chat=NativeServer(path, name, folder, embedding=False))

    steps: list[Callable[[], Served]] = []
    if settings.chat:
        steps.append(chat)
    if settings.embed:
        steps.append(embed)
    steps.extend(partial(extra, name, Path(path)) for name, path in settings.extra.items())
    for step in steps:
        try:
            served.append(step())
        except (WeightsError, RuntimeUnavailable, OnnxError, OSError, ValueError) as error:
            problems.append(str(error))
    return served, problems


def private_output() -> BinaryIO:
    """Standard output for ourselves alone; what the runtime prints goes to standard error from now on."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def die_with_parent(pipe: int) -> None:
    """Ends the process at once when the pipe with this descriptor ends; nothing here needs an orderly farewell."""

    def wait() -> None:
        while os.read(pipe, 4096):  # not through a file object: its lock would be held when the process ends
            pass
        os._exit(0)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def listen(path: Path) -> socket.socket:
    """A listening Unix socket that only this user can reach, in place of one a dead predecessor left."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    """Calls back when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()


def main(socket_path: Path) -> int:
    """Runs until the parent is gone. Returns `EXIT_UNUSABLE` when there is nothing to serve."""
    with suppress(OSError):  # a process that may not lower itself runs as it is
        os.nice(NICENESS)
    output = private_output()
    settings = msgspec.json.decode(sys.stdin.buffer.readline(LINE_MAX), type=Settings)
    die_with_parent(sys.stdin.fileno())
    served, problems = load(settings, socket_path.parent)
    report = Report(tuple(one.model for one in served), tuple(problems))
    line = msgspec.json.encode(report) + b"\n"
    if not served:
        output.write(line)
        return EXIT_UNUSABLE
    config = uvicorn.Config(
        LocalApp(served, settings.key),
        lifespan="off",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        timeout_keep_alive=3600,  # the gateway's pool decides how long a connection is kept
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, lambda: output.write(line))
    asyncio.run(server.serve(sockets=[listen(socket_path)]))
    return 0


if __name__ == "__main__":
    os._exit(main(Path(sys.argv[1])))  # without waiting for native threads that may still compute
