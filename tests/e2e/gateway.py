"""A real `tokenway serve` for tests: processes, ports, a configuration of its own, and a look into its ledger."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

KEY: Final = "sk-tokenway-e2e-0123456789abcdef"
"""The key that every configuration here lets in."""

WAIT_SECONDS: Final = 60.0
"""How long anything is waited for: long, because the machine may be busy."""

PRICE: Final = {"input": 1.0, "output": 2.0}
"""USD per million tokens: a prompt token costs 1 µ$, a token of the answer 2."""

_FOREIGN: Final = ("TOKENWAY_", "OPENAI_", "ANTHROPIC_", "XDG_", "GEMINI_", "SSL_CERT_")


def configuration(base_url: str, **more: Any) -> dict[str, Any]:
    """One priced model, `mock`, at a fake provider called `lab`; `more` replaces or adds sections."""
    return {
        "auth": {"keys": [{"name": "ci", "key": KEY}]},
        "providers": {"lab": {"base_url": base_url, "api_key": "sk-lab"}},
        "models": {"mock": {"endpoints": [{"provider": "lab", "model": "fake", "price": PRICE}]}},
    } | more


class Entry(NamedTuple):
    """One settled exchange of the ledger; money in nano-dollars, counts in tokens."""

    id: str
    settlement: str
    status: int
    charged: int
    cost: int | None
    prompt: int | None
    completion: int | None
    model: str
    endpoint: str
    attempts: int
    error_type: str
    run: str | None


class Line(NamedTuple):
    """One attempt of a settled exchange; money in nano-dollars, `cost` None where no provider gave usage."""

    attempt: int
    endpoint: str
    settlement: str
    charged: int
    cost: int | None


class Reservation(NamedTuple):
    """One open or expired reservation."""

    id: str
    amount: int
    is_expired: bool


class Gateway:
    """One gateway in a directory of its own. `start` before anything else."""

    base_url: str
    control_url: str
    port: int

    def __init__(self, home: Path, config: dict[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.file = home / "tokenway.yaml"
        self.has_local = (environment or {}).get("TOKENWAY_LOCAL") == "on"
        self.write(config)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self.environment |= {"HOME": str(home), "TOKENWAY_DATA_DIR": str(home / "data")}
        self.environment |= environment or {}
        self.process: asyncio.subprocess.Process | None = None
        self.lines: list[str] = []
        """What it printed when it was ready."""

    @property
    def data_dir(self) -> Path:
        """Where it keeps its database and journals."""
        return self.home / "data"

    @property
    def complaints(self) -> str:
        """What it has written to standard error."""
        return (self.home / "stderr.log").read_text()

    def write(self, config: dict[str, Any] | str) -> None:
        """Replaces the configuration file as editors do: at once. The local engine is off unless it is asked for."""
        if isinstance(config, dict):
            local = {"local": {"enabled": self.has_local}}
            config = config | {"providers": local | config.get("providers", {})}
        fresh = self.home / "tokenway.yaml.new"
        fresh.write_text(config if isinstance(config, str) else json.dumps(config))
        fresh.replace(self.file)

    async def start(self, port: int = 0) -> Gateway:
        """Starts it; returns when it has said how to use it."""
        # Files and not pipes: workers that outlive their gateway inherit its output and would hold up its end.
        with (self.home / "stdout.log").open("wb") as stdout, (self.home / "stderr.log").open("ab") as stderr:
            self.process = await asyncio.create_subprocess_exec(
                *self.command("serve", "--port", str(port), "--control-port", "0"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=self.environment,
                cwd=self.home,
            )
        await until(self._is_ready)
        self.base_url = self._said("Tokenway listens at")
        self.control_url = self._said("Control and metrics")
        self.port = int(self.base_url.removesuffix("/v1").rpartition(":")[2])
        return self

    async def run(self, *words: str) -> str:
        """Runs a command to its end; its standard output. Fails the test when the command fails."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=self.home,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def stop(self) -> int:
        """Sends SIGTERM and waits; the exit status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Waits for its end; the exit status."""
        assert self.process is not None
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.process.wait()

    @staticmethod
    def command(*words: str) -> list[str]:
        """The command line of `tokenway` with these words."""
        return [sys.executable, "-m", "tokenway", *words]

    def _is_ready(self) -> bool:
        assert self.process is not None
        ended = self.process.returncode is not None
        self.lines = (self.home / "stdout.log").read_text().splitlines()
        is_ready = any(line.lstrip().startswith("-d ") for line in self.lines)
        assert is_ready or not ended, f"the gateway ended before it was ready:\n{self.complaints}"
        return is_ready

    def _said(self, label: str) -> str:
        return next(line.removeprefix(label).strip() for line in self.lines if line.startswith(label))

    # -- its processes -----------------------------------------------------------------------------------

    def workers(self) -> list[psutil.Process]:
        """The edge workers that run now."""
        return self._children("tokenway.compose.worker")

    def control(self) -> list[psutil.Process]:
        """The control process that runs now: one, or none for a moment after it was killed."""
        return self._children("tokenway.compose.control")

    def _children(self, module: str) -> list[psutil.Process]:
        assert self.process is not None
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                if module in child.cmdline():
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    async def kill(self) -> None:
        """SIGKILL to the whole tree at once, and the end of it."""
        assert self.process is not None
        parent = psutil.Process(self.process.pid)
        tree = [parent, *parent.children(recursive=True)]
        for process in tree:
            process.kill()
        await self.ended()

    # -- its books ---------------------------------------------------------------------------------------

    def ledger(self) -> list[Entry]:
        """Every settled exchange, oldest first."""
        return [Entry(*row) for row in self._query(_ENTRIES)]

    def reservations(self) -> list[Reservation]:
        """Every reservation that was not settled."""
        return [Reservation(row[0], row[1], row[2] is not None) for row in self._query(_RESERVATIONS)]

    async def entry(self, exchange: str) -> Entry:
        """The settled exchange of that id, as soon as it is in the ledger."""
        found: list[Entry] = []

        def look() -> bool:
            found[:] = [entry for entry in self.ledger() if entry.id == exchange]
            return bool(found)

        await until(look)
        return found[0]

    def attempts_of(self, exchange: str) -> list[Line]:
        """The attempts of a settled exchange, in their order."""
        return [Line(*row) for row in self._query(_LINES, exchange)]

    async def entries(self, count: int) -> list[Entry]:
        """The ledger when it holds at least `count` exchanges."""
        await until(lambda: len(self.ledger()) >= count)
        return self.ledger()

    def _query(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.data_dir / "tokenway.db", timeout=WAIT_SECONDS)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()


@contextlib.asynccontextmanager
async def serving(folder: Path, config: dict[str, Any]) -> AsyncIterator[Gateway]:
    """A gateway that ends well and has no exception to tell of."""
    running = await Gateway(folder, config).start()
    yield running
    assert await running.stop() == 0
    assert "Traceback" not in running.complaints, running.complaints


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = WAIT_SECONDS) -> None:
    """Looks again and again until it is so; for what another process does, of which no event comes here."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.02)


_ENTRIES: Final = """
SELECT x.id, k.settlement, k.status, x.charged, sum(e.cost),
       sum(e.input_uncached + e.cache_read), sum(e.output_text + e.reasoning),
       k.model, k.endpoint, k.attempts, k.error_type, x.run
FROM exchanges x JOIN kinds k ON k.id = x.kind LEFT JOIN entries e ON e.exchange = x.id
GROUP BY x.id ORDER BY x.at, length(x.id), x.id
"""
_LINES: Final = "SELECT attempt, endpoint, settlement, charged, cost FROM entries WHERE exchange = ? ORDER BY attempt"
_RESERVATIONS: Final = "SELECT id, amount, expired FROM reservations ORDER BY at"
