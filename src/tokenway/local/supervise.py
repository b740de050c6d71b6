"""Keeps the engine's child process alive, and tells its owner what state it is in.

    probing ──> loading ──> ready ──> restarting ──> loading …
        └──────────┴─> unavailable

*Unavailable* is final for this start: something is missing, the processor is not supported, or no model can be
loaded. Anything else that ends the child is an accident: it is started again, after a wait that doubles with each
accident and is short again after a minute of health.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from shutil import rmtree
from typing import TypeVar

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.local.models import (
    CHAT_WEIGHTS,
    EMBED_WEIGHTS,
    Finder,
    LocalModel,
    extra_problem,
    is_runtime_installed,
    locate,
    missing,
    package_folder,
)
from tokenway.local.pipe import EXIT_UNUSABLE, LINE_MAX, Report, Settings
from tokenway.local.probe import Machine, probe
from tokenway.model.secret import Secret

SOCKET_NAME = "engine.sock"
SOCKET_PATH_MAX = 100
"""The kernel takes 107 bytes on Linux and 103 on macOS."""
STDERR_LINES = 8
SPIN_COUNT = "2000"
"""How long OpenMP threads spin at a barrier. The default wastes whole cores when anything else wants to run."""


class Phase(StrEnum):
    """Where the engine is; see the diagram above."""

    PROBING = "probing"
    LOADING = "loading"
    READY = "ready"
    RESTARTING = "restarting"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class EngineState:
    """What the owner is told with each change.

    `reason` is a sentence, empty when all is well; in phase ready it names what is not served. `base_url` and
    `api_key` stay the same over restarts. `models` are those that are served, known from the first time ready.
    """

    phase: Phase
    base_url: str
    api_key: Secret
    reason: str = ""
    models: tuple[LocalModel, ...] = ()
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits of the supervisor, in seconds."""

    ready: float = 60.0
    """From the start of the child to its report."""
    backoff_first: float = 0.5
    backoff_max: float = 30.0
    healthy: float = 60.0
    """A child that lived this long resets the back-off."""
    stop: float = 2.0
    """From closing the pipe to killing the child."""


def child_command(socket: Path) -> list[str]:
    """The command line of the child."""
    return [sys.executable, "-m", "tokenway.local.child", str(socket)]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the supervisor is built from; tests replace single parts."""

    command: Callable[[Path], list[str]] = child_command
    machine: Callable[[], Machine] = Machine.this
    find: Finder = package_folder
    pace: Pace = field(default_factory=Pace)


class LocalEngine:
    """The supervisor. One child at a time; `state` is the latest of what `on_state` was told."""

    def __init__(
        self,
        runtime_dir: Path,
        data_dir: Path,
        extra_models: Mapping[str, Path],
        on_state: Callable[[EngineState], None],
        tasks: Tasks,
        parts: Parts | None = None,
    ) -> None:
        """`runtime_dir` gets a private folder for the socket, or the system's temporary folder if it is too deep."""
        self._data_dir = data_dir
        self._extra = dict(extra_models)
        self._on_state = on_state
        self._tasks = tasks
        self._parts = parts or Parts()
        self._folder = _private_folder(runtime_dir)
        self._socket = self._folder / SOCKET_NAME
        self._key = secrets.token_hex(24)
        self._task: asyncio.Task[None] | None = None
        self._absent: list[str] = []
        self._errors: deque[str] = deque(maxlen=STDERR_LINES)
        self.state = EngineState(Phase.PROBING, f"unix:{self._socket}:/v1", Secret(self._key))

    def start(self) -> None:
        """Begins to supervise and returns at once. Call it once, in the running loop."""
        self._task = self._tasks.start("local-engine", self._supervise())

    async def stop(self) -> None:
        """Ends the child and removes the socket's folder; returns when both are gone."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        rmtree(self._folder, ignore_errors=True)

    async def _supervise(self) -> None:
        settings = await self._settings()
        if settings is None:
            return
        pace = self._parts.pace
        wait = pace.backoff_first
        loop = asyncio.get_running_loop()
        while True:
            self._tell(Phase.LOADING, self.state.reason)
            began = loop.time()
            ended = await self._run_once(settings)
            if ended.is_final:
                self._tell(Phase.UNAVAILABLE, ended.reason)
                return
            if loop.time() - began >= pace.healthy:
                wait = pace.backoff_first
            self._tell(Phase.RESTARTING, ended.reason)
            await asyncio.sleep(wait)
            wait = min(wait * 2, pace.backoff_max)

    async def _settings(self) -> Settings | None:
        """What the child shall serve, or None (and phase unavailable) when this machine cannot."""
        find = self._parts.find
        unfit = await asyncio.to_thread(lambda: probe(self._parts.machine()))
        self._absent = await asyncio.to_thread(missing, self._extra, find)
        chat, embed = locate(CHAT_WEIGHTS, find), locate(EMBED_WEIGHTS, find)
        extra = {name: str(path.absolute()) for name, path in self._extra.items() if not extra_problem(name, path)}
        if unfit or not is_runtime_installed(find) or not (chat or embed or extra):
            self._tell(Phase.UNAVAILABLE, " ".join(unfit + self._absent))
            return None
        return Settings(
            key=self._key,
            data_dir=str(self._data_dir.absolute()),
            chat=str(chat) if chat else None,
            embed=str(embed) if embed else None,
            extra=extra,
        )

    async def _run_once(self, settings: Settings) -> _Ended:
        """Runs one child until it ends."""
        environment = os.environ | {"GOMP_SPINCOUNT": SPIN_COUNT}
        self._errors.clear()
        try:
            child = await asyncio.create_subprocess_exec(
                *self._parts.command(self._socket),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a Ctrl-C in the terminal is for the gateway, which drains first
                limit=LINE_MAX,
            )
        except OSError as error:
            return _Ended(f"The local engine cannot be started: {error}.")
        drain = self._tasks.start("local-engine-stderr", self._collect_errors(child))
        try:
            problem = await self._await_report(child, settings)
            if problem is None:
                await child.wait()
        finally:
            await self._end(child)
            await asyncio.gather(drain, return_exceptions=True)
        return problem or self._verdict(child.returncode)

    async def _await_report(self, child: asyncio.subprocess.Process, settings: Settings) -> _Ended | None:
        """Waits until the child serves; otherwise says how it ended."""
        stdin, stdout = _pipe(child.stdin), _pipe(child.stdout)
        patience = self._parts.pace.ready
        try:
            stdin.write(msgspec.json.encode(settings) + b"\n")
            with contextlib.suppress(ConnectionError):  # it is gone already, but may have said why
                await stdin.drain()
            async with asyncio.timeout(patience):
                line = await stdout.readline()
            if not line:
                await child.wait()
                return None
            report = msgspec.json.decode(line, type=Report)
        except TimeoutError:
            return _Ended(f"The local engine was not ready after {patience:g} s.")
        except (ConnectionError, msgspec.DecodeError, ValueError):
            await self._end(child)
            return self._verdict(child.returncode)
        if not report.models:
            return _Ended(" ".join(report.problems), is_final=True)
        self.state = replace(self.state, models=report.models, pid=child.pid)
        self._tell(Phase.READY, " ".join([*self._absent, *report.problems]))
        return None

    async def _collect_errors(self, child: asyncio.subprocess.Process) -> None:
        """Keeps the last lines that the child writes to standard error."""
        stream = _pipe(child.stderr)
        while chunk := await stream.read(LINE_MAX):
            self._errors.extend(line for line in chunk.decode(errors="replace").splitlines() if line.strip())

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        """Closes the pipe, which ends the child, and kills it when that is not enough."""
        if child.stdin is not None:
            child.stdin.close()
        try:
            async with asyncio.timeout(self._parts.pace.stop):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                child.kill()
            await child.wait()

    def _verdict(self, status: int | None) -> _Ended:
        """What the end of a child means."""
        tail = f" Its last words: '{' / '.join(self._errors)[-600:]}'." if self._errors else ""
        if status == -signal.SIGILL:
            return _Ended(
                "This processor does not support the instructions that the local engine was built with (SIGILL): "
                "run it on a processor with AVX2, or configure a provider. It is not restarted.",
                is_final=True,
            )
        if status is not None and status < 0:
            return _Ended(f"The local engine was ended by {_signal_name(-status)}.{tail}")
        return _Ended(f"The local engine ended with status {status}.{tail}", is_final=status == EXIT_UNUSABLE)

    def _tell(self, phase: Phase, reason: str) -> None:
        pid = self.state.pid if phase is Phase.READY else None
        self.state = replace(self.state, phase=phase, reason=reason, pid=pid)
        self._on_state(self.state)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a child ended; a final end is not followed by another start."""

    reason: str
    is_final: bool = False


StreamKind = TypeVar("StreamKind", asyncio.StreamReader, asyncio.StreamWriter)


def _pipe(stream: StreamKind | None) -> StreamKind:
    if stream is None:
        raise RuntimeError("the child was started without a pipe")
    return stream


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _private_folder(wanted: Path) -> Path:
    """A new folder (0700) with a path short enough for a socket's address."""
    wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
    is_short = len(os.fsencode(wanted.absolute() / "e-12345678" / SOCKET_NAME)) <= SOCKET_PATH_MAX
    return Path(tempfile.mkdtemp(prefix="e-", dir=wanted.absolute() if is_short else None))
