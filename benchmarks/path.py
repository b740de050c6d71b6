"""`python -m benchmarks.path [CASE...]`: what the worker's own steps of one whole answer take, without sockets.

A case is a plain answer, a stream of 64 events in the dialect of its caller, or one translated from Anthropic's; each
event comes in a read of its own.

Real are the protocol, the relay, the machine, the pool, the parsers and the journal; the transports at both ends only
keep what is written. Prints microseconds per call in a loop, and with `--bytecodes` how many bytecodes each function
ran for one call: on a shared machine times are not repeatable, and these are.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop
from uvicorn.config import Config
from uvicorn.server import ServerState

from benchmarks.answers import CASES, Case
from benchmarks.load.clients import KEY
from tokenway.aio.tasks import Tasks
from tokenway.edge.cold import make_app
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.state import EdgeState
from tokenway.model.catalog import Endpoint, Model, Price, Provider
from tokenway.model.money import Rate
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.store.journal import JournalWriter
from tokenway.upstream.http1 import Connection
from tokenway.upstream.pool import Pools

BASE_URL = "http://127.0.0.1:1/v1"
ENDS = (b"}", b"0\r\n\r\n")
ROUNDS = 5
SHOWN = 40
PRICE = Price(Rate(500_000_000), Rate(1_500_000_000), cache_read=Rate(50_000_000))


class Kept(asyncio.Transport):
    """Keeps the first write and the last, and is never closed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keeps it."""
        self.written = bytes(data)
        self.first = self.first or self.written

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Keeps them."""
        self.write(b"".join(list_of_data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing waits here."""

    def get_write_buffer_size(self) -> int:
        """Nothing waits here."""
        return 0

    def is_closing(self) -> bool:
        """Never."""
        return False

    def resume_reading(self) -> None:
        """It was never paused."""


class Bench:
    """A worker's state between two kept transports."""

    def __init__(self, journals: Path, case: Case = CASES[0]) -> None:
        loop = asyncio.get_running_loop()
        pools = Pools(loop, Tasks(lambda name, error: sys.exit(f"{name}: {error}")))
        state = EdgeState(loop, pools, JournalWriter(journals, "edge-1"), _nobody)
        provider = Provider("lab", BASE_URL, case.dialect, api_keys=(Secret("sk-lab"),))
        model = Model("bench", (Endpoint("lab", "up-bench", PRICE),))
        keys = {sha256(KEY.encode()).hexdigest(): Principal("k1", "bench", "default")}
        state.adopt(Snapshot(1, {"lab": provider}, {"bench": model}, {}, keys))
        pool, _ = pools.get(BASE_URL)
        self.upstream, self.client = Kept(), Kept()
        self.connection = Connection(pool)
        self.connection.connection_made(self.upstream)
        pool.released(self.connection)
        config = Config(app=make_app(state), ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        self.protocol = EdgeProtocol(state, config, ServerState(), {})
        self.protocol.connection_made(self.client)
        self.case = case

    def call(self) -> None:
        """One call, from the client's bytes to the answer's."""
        client, receive = self.client, self.connection.data_received
        client.first = client.written = b""
        self.protocol.data_received(self.case.request)
        for piece in self.case.answer:
            receive(piece)
        if not client.first.startswith(b"HTTP/1.1 200") or not client.written.endswith(ENDS):
            raise SystemExit(f"no answer: {client.first[:200]!r} … {client.written[-200:]!r}")

    def microseconds(self, calls: int) -> float:
        """The best of some rounds, per call."""
        times = []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(calls):
                self.call()
            times.append(time.perf_counter() - began)
        return min(times) / calls * 1e6

    def bytecodes(self) -> tuple[Counter[str], Counter[str]]:
        """Bytecodes and calls of each function in one call."""
        steps: Counter[str] = Counter()
        calls: Counter[str] = Counter()

        def trace(frame: FrameType, event: str, _argument: Any) -> Any:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            name = frame.f_code.co_qualname
            calls[name] += event == "call"
            steps[name] += event == "opcode"
            return trace

        gc.disable()  # which calls back, between any two steps
        sys.settrace(trace)
        self.call()
        sys.settrace(None)
        gc.enable()
        return steps, calls


async def _nobody(_what: str, _principal: Principal, _subject: str) -> bytes | None:
    return None


async def _main(cases: list[Case], calls: int, *, is_counting: bool) -> None:
    found: dict[str, float] = {}
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), case)
            bench.microseconds(200)  # specialised code, known heads
            found[case.name] = bench.microseconds(max(1, calls // len(case.answer)))
            print(f"{case.name}: {found[case.name]:.1f} µs per call")
            if is_counting:
                steps, counts = bench.bytecodes()
                print(f"{steps.total()} bytecodes in {counts.total()} functions")
                for name, count in steps.most_common(SHOWN):
                    print(f"{count:6} {counts[name]:4}  {name}")
    if {"stream", "translated"} <= found.keys():
        print(f"translated / stream: {found['translated'] / found['stream']:.2f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path", description=__doc__)
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(names)}; all when none is named")
    parser.add_argument(
        "--calls", type=int, default=20_000, help="calls in a round, of a stream fewer by its events (default 20000)"
    )
    parser.add_argument("--bytecodes", action="store_true", help="count bytecodes by function as well")
    arguments = parser.parse_args()
    if unknown := set(arguments.cases) - set(names):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    cases = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    uvloop.run(_main(cases, arguments.calls, is_counting=arguments.bytecodes))


if __name__ == "__main__":
    main()
