"""The worker's process: it serves by the snapshot it is sent, and ends with its leash."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tokenway.compose.handover import hand_over
from tokenway.compose.spawn import BIRTH, WORKER, Born
from tokenway.model.link import Hello, Publish, Serving, ToControl, pack, unpack_for_control
from tokenway.model.snapshot import Snapshot
from tokenway.model.worker import WorkerOptions
from tokenway.wire.frames import FrameSplitter, frame

EMPTY = Snapshot(version=5, providers={}, models={}, aliases={}, keys={}, auth_required=False)


class Child:
    """A worker's process, with its supervisor's and its control process's ends."""

    def __init__(self, born: Born, control: socket.socket, port: int) -> None:
        self.born = born
        self.port = port
        self.said: list[ToControl] = []
        self._control = control
        self._link: socket.socket
        self._ended: tuple[int, bytes] | None = None

    async def serves(self) -> int:
        """Takes it in and sends a snapshot; the version that the worker says it serves by."""
        loop = asyncio.get_running_loop()
        self._link, _ = await loop.sock_accept(self._control)
        self._link.setblocking(False)
        await loop.sock_sendall(self._link, frame(pack(Publish(EMPTY))))
        splitter = FrameSplitter()
        while data := await loop.sock_recv(self._link, 65536):
            for payload in splitter.feed(data):
                message = unpack_for_control(payload)
                self.said.append(message)
                if isinstance(message, Serving):
                    return message.version
        raise AssertionError("the worker closed its link before it served")

    def hang_up(self) -> None:
        """The control process dies."""
        if hasattr(self, "_link"):
            self._link.close()

    async def get(self, path: str) -> bytes:
        """The first line of an answer of the public listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        line = await reader.readline()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return line.strip()

    async def ended(self) -> tuple[int, bytes]:
        """Its exit status, and what it wrote to standard error."""
        if self._ended is None:
            _, err = await asyncio.to_thread(self.born.process.communicate)
            self._ended = self.born.process.returncode, err
        return self._ended


def launch(folder: Path, listener: socket.socket, control: socket.socket) -> Child:
    """Starts a worker as the supervisor does, but for its output."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", BIRTH, WORKER, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE)
    options = WorkerOptions(1, str(folder / "journal"), str(folder / "control.sock"), drain=5.0)
    hand_over(ours, msgspec.json.encode(options), (listener.fileno(),))
    return Child(Born(process, ours), control, listener.getsockname()[1])


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    """A worker that waits for its first snapshot."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as control:
        control.bind(str(tmp_path / "control.sock"))
        control.listen()
        control.setblocking(False)
        started = launch(tmp_path, listener, control)
        yield started
        started.born.end.close()
        await started.ended()
        started.hang_up()


async def test_it_serves_from_the_first_snapshot_on(child: Child, tmp_path: Path) -> None:
    """It says so, answers on the inherited listener, and has its journal."""
    assert await child.serves() == 5
    assert isinstance(child.said[0], Hello)
    assert child.said[0].number == 1
    assert child.born.end.recv(16) == b"r"
    assert await child.get("/health/ready") == b"HTTP/1.1 200 OK"
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["edge-1-00000001.journal"]


@pytest.mark.parametrize("how", ["SIGTERM", "left alone"])
async def test_it_ends_when_it_is_told_or_left_alone(child: Child, how: str) -> None:
    """Status 0, and nothing to say; the loss of its control process alone, and Ctrl-C, are no reason."""
    await child.serves()
    child.hang_up()
    child.born.process.send_signal(signal.SIGINT)
    assert await child.get("/health/live") == b"HTTP/1.1 200 OK"
    if how == "SIGTERM":
        child.born.process.send_signal(signal.SIGTERM)
    else:
        child.born.end.close()
    assert await child.ended() == (0, b"")


async def test_without_a_supervisor_it_does_not_wait_for_a_snapshot(child: Child) -> None:
    """Its parent died while it started: it ends without a word, and not as one that has served."""
    child.born.end.close()
    assert await child.ended() == (1, b"")


async def test_a_journal_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """Without a journal it serves nobody."""
    (tmp_path / "journal").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as control:
        child = launch(tmp_path, listener, control)
        status, err = await child.ended()
        child.born.end.close()
    assert status == 1
    assert err.decode().startswith("tokenway: edge-1 cannot run: ")
    assert len(err.splitlines()) == 1


def test_importing_it_starts_nothing() -> None:
    """The module runs only as a program."""
    import tokenway.compose.worker  # noqa: PLC0415 - the import is what is tested

    assert callable(tokenway.compose.worker.main)
    assert "tokenway.compose.worker" in sys.modules
