"""A scripted gateway on loopback, and the command line as a subprocess or a call."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tokenway.cli.main import run


class QuietServer(ThreadingHTTPServer):
    """Says nothing about a client that left, which is what some of these tests are about."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tells of every other failure."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class StubGateway:
    """Answers GET paths from `pages` and streams `events` (bytes, one write each) to a chat request.

    `before_event` is called with each event's index before it is written, so that a test can pace it.
    """

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes]] = {}
        self.events: list[bytes] = []
        self.status = 200
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.before_event: Callable[[int], None] = lambda _: None
        self.client_gone = threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Keeps the test's output quiet."""

            def do_GET(self) -> None:
                stub.note(self, b"")
                status, body = stub.pages.get(self.path, (404, b'{"error":{"message":"There is no such path."}}'))
                self.reply(status, body)

            def do_POST(self) -> None:
                stub.note(self, self.rfile.read(int(self.headers["content-length"])))
                if stub.status != 200:
                    self.reply(stub.status, stub.events[0])
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                try:
                    for index, event in enumerate(stub.events):
                        stub.before_event(index)
                        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    stub.client_gone.set()

            def reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = QuietServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self.server.server_port}"

    def note(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Remembers a request: method, path, headers in lower case, body."""
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((handler.command, handler.path, headers, body))

    def serves(self, path: str, data: object, status: int = 200) -> None:
        """From now on `path` answers with `data` as JSON."""
        self.pages[path] = (status, json.dumps(data).encode())

    def streams(self, *chunks: object) -> None:
        """From now on a chat request is answered with these chunks and the end mark."""
        self.events = [event(chunk) for chunk in chunks] + [b"data: [DONE]\n\n"]


def event(chunk: object) -> bytes:
    """One server-sent event with `chunk` as JSON."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(text: str, **more: object) -> dict[str, object]:
    """A chunk of a streamed answer."""
    return {"choices": [{"index": 0, "delta": {"content": text}}], **more}


@pytest.fixture
def stub() -> Iterator[StubGateway]:
    """A scripted gateway that serves in a thread."""
    gateway = StubGateway()
    thread = threading.Thread(target=gateway.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield gateway
    gateway.server.shutdown()
    thread.join()
    gateway.server.server_close()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: no configuration, no data, no TOKENWAY_ variable reaches the test or its children."""
    for name in [name for name in os.environ if name.startswith("TOKENWAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tokenway(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line with these words in this process, in an empty home."""

    def call(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
            for name, value in environment.items():
                patch.setenv(name, value)
            status = run(list(words))
        return subprocess.CompletedProcess(words, status, *capsys.readouterr())

    return call


@pytest.fixture
def process(home: Path) -> Run:
    """Runs `python -m tokenway` with these words as a process of its own, in an empty home."""

    def start(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tokenway", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, **environment},
            cwd=home,
            check=False,
        )

    return start


_IN_TERMINAL = (
    "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from tokenway.cli.begin import main; main()"
)
"""Makes the terminal the controlling one, so that a typed Ctrl-C becomes a signal, then runs the command."""


class Terminal:
    """The command line on a pseudo-terminal of 24 by 120: what a person types and sees."""

    def __init__(self, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 120))
        self._process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", **environment},
        )
        os.close(slave)
        self.seen = ""
        self._searched = 0

    def types(self, text: str) -> None:
        r"""Sends keys; `\x03` is Ctrl-C, `\x04` Ctrl-D, `\r` Enter."""
        os.write(self._master, text.encode())

    def sees(self, text: str, *, pressing: str = "") -> None:
        """Waits until `text` appears after what was seen before.

        `pressing` is typed again each second: a Ctrl-C that comes between the prompt and readline's wait
        for a key is only noticed with the next key, and a person would press it again.
        """
        self.types(pressing)
        while (at := self.seen.find(text, self._searched)) < 0:
            readable, _, _ = select.select([self._master], [], [], 1.0 if pressing else 30.0)
            if pressing and not readable:
                self.types(pressing)
            else:
                assert self._more(), f"{text!r} never came; seen: {self.seen!r}"
        self._searched = at + len(text)

    def ends(self) -> int:
        """Waits for the end of the process; its exit status."""
        while self._more():
            pass
        return self._process.wait(30)

    def _more(self) -> bool:
        readable, _, _ = select.select([self._master], [], [], 30)
        assert readable, f"silence; seen: {self.seen!r}"
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says EIO when the last process has closed the terminal
            data = b""
        self.seen += data.decode()
        return bool(data)

    def close(self) -> None:
        """Ends what is left."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(home: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts commands on a pseudo-terminal: `terminal("chat", NAME="value")`."""
    started: list[Terminal] = []

    def start(*words: str, **environment: str) -> Terminal:
        started.append(Terminal(words, environment))
        return started[-1]

    yield start
    for one in started:
        one.close()
