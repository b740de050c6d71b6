"""The worker's process: it serves by the snapshot it is sent, and ends with its link."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tokenway.control.workers import worker_command
from tokenway.model.link import Publish, Serving, WorkerOptions, pack, unpack_for_control
from tokenway.model.snapshot import Snapshot
from tokenway.wire.frames import FrameSplitter, frame

EMPTY = Snapshot(version=5, providers={}, models={}, aliases={}, keys={}, auth_required=False)


class Child:
    """A worker's process with this end of its link."""

    def __init__(self, process: asyncio.subprocess.Process, link: socket.socket, port: int) -> None:
        self.process = process
        self.link = link
        self.port = port

    async def serves(self) -> int:
        """Sends a snapshot; the version that the worker says it serves by."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.link, frame(pack(Publish(EMPTY))))
        splitter = FrameSplitter()
        while data := await loop.sock_recv(self.link, 65536):
            for payload in splitter.feed(data):
                message = unpack_for_control(payload)
                if isinstance(message, Serving):
                    return message.version
        raise AssertionError("the worker closed its link before it served")

    async def get(self, path: str) -> bytes:
        """The first line of an answer of the public listener."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        line = await reader.readline()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        return line.strip()


async def launch(journal_dir: Path, listener: socket.socket) -> Child:
    """Starts a worker as the control process does."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        fds = (listener.fileno(), theirs.fileno())
        options = WorkerOptions("edge-1", str(journal_dir), *fds, drain=5.0)
        process = await asyncio.create_subprocess_exec(
            *worker_command("tokenway.compose.worker", msgspec.json.encode(options)),
            pass_fds=fds,
            stderr=asyncio.subprocess.PIPE,
        )
    return Child(process, ours, listener.getsockname()[1])


@pytest.fixture
async def child(tmp_path: Path) -> AsyncIterator[Child]:
    """A worker that waits for its first snapshot."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        started = await launch(tmp_path / "journal", listener)
        yield started
        started.link.close()
        await started.process.communicate()


async def test_it_serves_from_the_first_snapshot_on(child: Child, tmp_path: Path) -> None:
    """It says so, answers on the inherited listener, and has its journal."""
    assert await child.serves() == 5
    assert await child.get("/health/ready") == b"HTTP/1.1 200 OK"
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["edge-1-00000001.journal"]


@pytest.mark.parametrize("how", ["SIGTERM", "lost link"])
async def test_it_ends_when_it_is_told_or_left_alone(child: Child, how: str) -> None:
    """Status 0, and nothing to say."""
    await child.serves()
    assert await child.get("/health/live") == b"HTTP/1.1 200 OK"
    if how == "SIGTERM":
        child.process.send_signal(signal.SIGTERM)
    else:
        child.link.close()
    _, err = await child.process.communicate()
    assert (child.process.returncode, err) == (0, b"")


async def test_without_a_control_process_it_does_not_wait_for_a_snapshot(child: Child) -> None:
    """Its parent died while it started: it ends without a word, and not as one that has served."""
    child.link.close()
    _, err = await child.process.communicate()
    assert (child.process.returncode, err) == (1, b"")


async def test_a_journal_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """Without a journal it serves nobody."""
    (tmp_path / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = await launch(tmp_path / "file", listener)
        with child.link:
            _, err = await child.process.communicate()
    assert child.process.returncode == 1
    assert err.decode().startswith("tokenway: edge-1 cannot run: ")
    assert len(err.splitlines()) == 1


def test_importing_it_starts_nothing() -> None:
    """The module runs only as a program."""
    import tokenway.compose.worker  # noqa: PLC0415 - the import is what is tested

    assert callable(tokenway.compose.worker.main)
    assert "tokenway.compose.worker" in sys.modules
