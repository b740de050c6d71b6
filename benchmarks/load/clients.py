"""Runs the load generators, all on the load core, and returns their figures."""

from __future__ import annotations

import json
import os
import selectors
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.machine import CACHE, LOAD_CORE, Unavailable, build, pinned

HERE = Path(__file__).parent
PATH = "/v1/chat/completions"
KEY = "sk-tokenway-benchmark-0123456789abcdef"
PROMPT = [
    {"role": "system", "content": "You are a careful assistant. Answer in one short paragraph and cite nothing."},
    {"role": "user", "content": "Explain, to someone who knows what a queue is, why latency grows with load. " * 6},
]


def body(model: str, *, is_stream: bool) -> bytes:
    """A chat request of about 700 bytes; the model's name tells benchmarks/upstream how to answer."""
    request = {"model": model, "messages": PROMPT, "temperature": 0.7, "max_tokens": 256}
    return json.dumps(request | ({"stream": True} if is_stream else {})).encode()


def request(content: bytes) -> bytes:
    """The whole HTTP request."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {KEY}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


@dataclass(frozen=True)
class Closed:
    """What wrk saw. Latencies in microseconds, from sending to the last byte."""

    requests: int
    seconds: float
    failed: int
    p50_us: float
    p99_us: float


def closed_loop(port: int, content: bytes, *, connections: int, seconds: float) -> Closed:
    """Keeps every connection busy: the next request leaves when the answer is complete."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
    command += ["-s", str(HERE / "post.lua"), f"http://127.0.0.1:{port}{PATH}"]
    environment = os.environ | {"BENCH_BODY": content.decode(), "BENCH_KEY": KEY}
    result = subprocess.run(pinned(LOAD_CORE, command), env=environment, capture_output=True, text=True, check=False)
    _, marker, figures = result.stdout.partition("RESULT ")
    if not marker:
        raise Unavailable(f"wrk gave no result: {(result.stderr or result.stdout)[:300]}")
    seen = json.loads(figures)
    return Closed(seen["requests"], seen["seconds"], seen["failed"] + seen["timeouts"], seen["p50_us"], seen["p99_us"])


@dataclass(frozen=True)
class Spread:
    """Percentiles of one kind of sample, in microseconds."""

    count: int
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0


@dataclass(frozen=True)
class Open:
    """What benchmarks/load/rate.c saw; see its head for the four samples."""

    sent: int
    ok: int
    failed: int
    unfinished: int
    total: Spread
    head: Spread
    first_event: Spread
    event: Spread


def open_loop(port: int, content: bytes, *, rate: float, seconds: float, connections: int) -> Open:
    """Sends at a constant rate; half a second of warm-up is not recorded. Latency counts from the due time."""
    file = CACHE / f"request-{os.getpid()}"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(request(content))
    program = build(HERE / "rate.c")
    command = [str(program), str(port), f"{rate:.3f}", f"{seconds:.2f}", "0.5", str(connections), str(file)]
    try:
        result = subprocess.run(pinned(LOAD_CORE, command), capture_output=True, text=True, check=False)
    finally:
        file.unlink()
    if result.returncode:
        raise Unavailable(f"rate failed: {result.stderr[:300]}")
    seen = json.loads(result.stdout)
    if seen["failed"]:
        print(f"    {seen['failed']} of {seen['sent']} failed {result.stderr[:200]!r}", flush=True)
    return Open(
        seen["sent"],
        seen["ok"],
        seen["failed"],
        seen["unfinished"],
        Spread(**seen["total_us"]),
        Spread(**seen["head_us"]),
        Spread(**seen["first_event_us"]),
        Spread(**seen["event_us"]),
    )


class IdleStreams:
    """Holds streams open that send one event and then nothing.

    Use as a context manager: inside it all streams have had their first event.
    """

    def __init__(self, port: int, content: bytes, count: int, wait_s: float = 60.0) -> None:
        self._port = port
        self._request = request(content)
        self._count = count
        self._wait_s = wait_s
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Opens them, 50 at a time. Raises Unavailable when some do not start in time."""
        give_up = time.monotonic() + self._wait_s
        while len(self._sockets) < self._count:
            batch = [
                socket.create_connection(("127.0.0.1", self._port), timeout=10)
                for _ in range(min(50, self._count - len(self._sockets)))
            ]
            self._sockets += batch
            for stream in batch:
                stream.sendall(self._request)
            self._await_first_events(batch, give_up)
        return self

    def _await_first_events(self, batch: list[socket.socket], give_up: float) -> None:
        seen = dict.fromkeys(batch, b"")
        with selectors.DefaultSelector() as ready:
            for stream in batch:
                ready.register(stream, selectors.EVENT_READ, stream)
            while seen:
                left = give_up - time.monotonic()
                if left <= 0:
                    raise Unavailable(f"{len(seen)} of {self._count} idle streams had no first event in time")
                for key, _ in ready.select(left):
                    stream = key.data
                    piece = stream.recv(65536)
                    seen[stream] += piece
                    if not piece:
                        raise Unavailable(f"an idle stream was closed: {seen[stream][:200]!r}")
                    if b"data: " in seen[stream]:
                        del seen[stream]
                        ready.unregister(stream)

    def __exit__(self, *_: object) -> None:
        """Closes them all."""
        for stream in self._sockets:
            stream.close()
        self._sockets.clear()
