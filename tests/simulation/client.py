"""A simulated caller: a connection with a small buffer, patience of its own, and a strict reader of answers.

The reader shares no code with the gateway: it takes HTTP/1.1 apart by hand, and server-sent events by the letter of
the WHATWG's rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.clock import Clock

HIGH = 1200
LOW = 300
"""Water marks of the connection's buffer in bytes: small, so that short answers reach them."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a caller behaves. Speeds in bytes per second (0 is at once), times in seconds after its request."""

    speed: float = 0.0
    leaves_after_bytes: int | None = None
    leaves_at: float | None = None
    chunked: bool = True


class Client:
    """The caller's connection, as a relay sees it, and its transport in one."""

    peer = "127.0.0.1"

    def __init__(self, clock: Clock, habits: Habits) -> None:
        self._clock = clock
        self._habits = habits
        self._unread = 0.0
        self._read_at = clock.now
        self.transport = self
        self.is_write_paused = False
        self.writes: list[bytes] = []
        self.size = 0
        self.pauses: list[tuple[float, float]] = []
        """When it was paused, from and to."""
        self.left_at: float | None = None
        self.finished_at: float | None = None
        self.finishes = 0
        self.writes_when_settled: int | None = None
        self.wrote_after_end = False
        self.aborted = False
        self.on_pause: Callable[[bool], None]
        self.on_leave: Callable[[], None]

    # -- what the relay calls ----------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Bytes for the caller."""
        if self.left_at is not None or self.finished_at is not None:
            self.wrote_after_end = True
        if self.aborted:
            return
        self.writes.append(data)
        self.size += len(data)
        limit = self._habits.leaves_after_bytes
        if limit is not None and self.size >= limit and self.left_at is None:
            self._clock.after(0.0, self.leave)
        if self._habits.speed:
            self._buffer(len(data))

    def writelines(self, parts: Iterable[bytes]) -> None:
        """The same in pieces."""
        self.write(b"".join(parts))

    def abort(self) -> None:
        """The relay cuts the connection."""
        self.aborted = True

    def relay_finished(self, _relay: object) -> None:
        """The answer is out."""
        self.finished_at = self._clock.now
        self.finishes += 1

    # -- what the caller does ----------------------------------------------------------------------------

    def leave(self) -> None:
        """Closes the connection."""
        if self.left_at is None and self.finished_at is None:
            self.left_at = self._clock.now
            self.on_leave()

    def _buffer(self, size: int) -> None:
        now = self._clock.now
        self._unread = max(0.0, self._unread - (now - self._read_at) * self._habits.speed) + size
        self._read_at = now
        if self._unread > HIGH and not self.is_write_paused:
            self.is_write_paused = True
            self.pauses.append((now, float("inf")))
            self._clock.after((self._unread - LOW) / self._habits.speed, self._catch_up)
            self.on_pause(True)

    def _catch_up(self) -> None:
        now = self._clock.now
        self._unread = max(0.0, self._unread - (now - self._read_at) * self._habits.speed)
        self._read_at = now
        if self._unread > LOW + 1:
            self._clock.after((self._unread - LOW) / self._habits.speed, self._catch_up)
            return
        self.is_write_paused = False
        self.pauses[-1] = (self.pauses[-1][0], now)
        if self.left_at is None and self.finished_at is None:
            self.on_pause(False)


class MalformedError(AssertionError):
    """An answer that a strict reader does not accept."""


@dataclass(slots=True)
class Answer:
    """One answer, taken apart. `complete` is whether its framing says that it ended."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False


_HEAD = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9]) [A-Za-z' -]+\r\n((?:[a-z0-9-]+: [\x20-\x7e]*\r\n)*)\r\n")


def parse_answer(data: bytes, *, closed: bool) -> Answer:
    """Exactly one HTTP/1.1 answer, perhaps unfinished; `closed` says that the connection's end is the body's end."""
    if not data:
        return Answer()
    match = _HEAD.match(data)
    if match is None:
        raise MalformedError(f"no head: {data[:80]!r}")
    headers: dict[str, str] = {}
    for line in match[2].decode().split("\r\n")[:-1]:
        name, _, value = line.partition(": ")
        if name in headers:
            raise MalformedError(f"the header {name} twice")
        headers[name] = value
    answer = Answer(int(match[1]), headers)
    rest = data[match.end() :]
    if "transfer-encoding" in headers:
        if "content-length" in headers or headers["transfer-encoding"] != "chunked":
            raise MalformedError("two framings")
        answer.body, answer.complete = _dechunk(rest)
    elif "content-length" in headers:
        length = int(headers["content-length"])
        if len(rest) > length:
            raise MalformedError("more than the announced length")
        answer.body, answer.complete = rest, len(rest) == length
    else:
        answer.body, answer.complete = rest, closed
    return answer


def _dechunk(data: bytes) -> tuple[bytes, bool]:
    body: list[bytes] = []
    at = 0
    while at < len(data):
        line = data.find(b"\r\n", at)
        if line < 0:
            raise MalformedError("half a chunk head")
        size = int(data[at:line], 16)
        end = line + 2 + size
        if data[end : end + 2] != b"\r\n":
            raise MalformedError("a chunk of another length")
        if size == 0:
            if end + 2 != len(data):
                raise MalformedError("bytes after the last chunk")
            return b"".join(body), True
        body.append(data[line + 2 : end])
        at = end + 2
    return b"".join(body), False


def parse_events(body: bytes) -> list[str]:
    """The data of each event; a last event without its blank line is malformed: the gateway sends whole ones."""
    text = body.decode("utf-8").removeprefix("\ufeff")
    lines = re.split("\r\n|\n|\r", text)
    if lines.pop():
        raise MalformedError("half a line at the end")
    events: list[str] = []
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                events.append("\n".join(data))
            data = []
            continue
        name, _, value = line.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
    if data:
        raise MalformedError("half an event at the end")
    return events


def texts_of(chunks: Iterable[Any]) -> dict[int, str]:
    """The text of each choice in these chunks, as an SDK would put it together."""
    texts: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice.get("delta", {})
            text = choice.get("text") or delta.get("content") or delta.get("reasoning_content") or ""
            if text:
                texts[choice["index"]] = texts.get(choice["index"], "") + text
    return texts


def load(text: str | bytes) -> Any:
    """JSON by Python's own reader, with no key twice."""
    return json.loads(text, object_pairs_hook=_no_twins)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedError("a key twice")
    return members
