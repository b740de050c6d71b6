"""The command line against a real gateway in front of a fake provider."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAIT_SECONDS = 30.0


class Done(NamedTuple):
    """A finished command."""

    status: int
    out: str
    err: str


class Installation:
    """A gateway that runs in a directory of its own, and the commands that talk to it."""

    def __init__(self, home: Path) -> None:
        unwanted = ("TOKENWAY_", "OPENAI_", "ANTHROPIC_", "XDG_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        self.environment |= {"HOME": str(home), "TOKENWAY_DATA_DIR": str(home / "data")}
        self.home = home
        self.gateway: asyncio.subprocess.Process | None = None

    async def command(self, *words: str) -> Done:
        """Runs `tokenway` with these words to its end."""
        process = await self._start(*words, stderr=asyncio.subprocess.PIPE)
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    async def serve(self) -> None:
        """Starts the gateway; returns when it has said how to use it."""
        self.gateway = await self._start("serve", "--port", "0", "--control-port", "0", stderr=None)
        assert self.gateway.stdout is not None
        async with asyncio.timeout(WAIT_SECONDS):
            while (await self.gateway.stdout.readline()).split()[:1] != [b"curl"]:
                assert not self.gateway.stdout.at_eof(), "the gateway ended before it was ready"

    async def stop(self) -> int:
        """Sends SIGTERM; the exit status."""
        assert self.gateway is not None
        if self.gateway.returncode is None:
            self.gateway.send_signal(signal.SIGTERM)
        await self.gateway.communicate()
        assert self.gateway.returncode is not None
        return self.gateway.returncode

    async def _start(self, *words: str, stderr: int | None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tokenway",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=self.environment,
            cwd=self.home,
        )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that streams eleven tokens."""
    async with FakeProvider(Script(chunks=11)) as fake:
        yield fake


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installation(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """A gateway with one priced model, `mock`, at the fake provider."""
    configuration = {
        "providers": {"local": {"enabled": False}, "lab": {"base_url": provider.base_url, "api_key": "sk-lab"}},
        "models": {
            "mock": {"endpoints": [{"provider": "lab", "model": "fake", "price": {"input": 1.0, "output": 2.0}}]}
        },
    }
    home = tmp_path_factory.mktemp("home")
    (home / "tokenway.yaml").write_text(json.dumps(configuration))
    installed = Installation(home)
    await installed.serve()
    yield installed
    await installed.stop()


async def becomes(condition: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Asks until it is so."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await condition():
            pass  # a command takes long enough


async def test_what_is_asked_is_answered_metered_and_billed(installation: Installation, provider: FakeProvider) -> None:
    """The answer's figures, the ledger's and the provider's bill are the same."""
    made = json.loads((await installation.command("keys", "create", "metered", "--json")).out)

    async def is_let_in() -> bool:
        return (await installation.command("models", "--key", made["key"])).status == 0

    await becomes(is_let_in)
    before = len(provider.requests)
    done = await installation.command("ask", "mock", "Count", "--json", "--key", made["key"])
    answer = json.loads(done.out)
    (received,) = provider.requests[before:]
    assert done.status == 0
    assert answer["answer"] == "".join(f"w{number} " for number in range(11))
    assert answer["usage"]["completion_tokens"] == received.bill.completion == 11

    rows: list[dict[str, Any]] = []

    async def is_in_the_ledger() -> bool:
        found = json.loads((await installation.command("usage", "--by", "key,model", "--json")).out)
        rows[:] = [row for row in found if row["key"] == made["id"]]
        return bool(rows)

    await becomes(is_in_the_ledger)
    (row,) = rows
    assert (row["key_name"], row["model"], row["requests"]) == ("metered", "mock", 1)
    assert row["usage"]["output_text"] == 11
    assert row["usage"]["input_uncached"] == received.bill.prompt
    # One dollar a million tokens in, two out.
    assert row["charged_usd"] == answer["cost_usd"] == f"0.{received.bill.prompt + 22:06d}".rstrip("0")


async def test_in_a_pipe_the_answer_is_plain_text(installation: Installation) -> None:
    """Address and key come from credentials.json, which the first start wrote."""
    done = await installation.command("ask", "mock", "Count")
    assert done == (0, "".join(f"w{number} " for number in range(11)) + "\n", "")


async def test_keys_take_effect_in_the_running_gateway(installation: Installation) -> None:
    """A new key is let in and a revoked one refused without a restart."""
    key = (await installation.command("keys", "create", "laptop")).out.strip()

    async def is_let_in() -> bool:
        return (await installation.command("models", "--key", key)).status == 0

    async def is_refused() -> bool:
        done = await installation.command("models", "--key", key)
        return done.status == 1 and "not valid" in done.err

    await becomes(is_let_in)
    assert (await installation.command("keys", "revoke", "laptop")).status == 0
    await becomes(is_refused)


async def test_the_catalogue_shows_models_and_prices(installation: Installation) -> None:
    """Prices come back as dollars per million tokens, as the configuration had them."""
    models = (await installation.command("models")).out.splitlines()
    assert models[1].split("\t")[:4] == ["mock", "tokenway", "1", "2"]


async def test_an_unknown_model_names_the_nearest(installation: Installation) -> None:
    """A misspelled model fails with what was probably meant."""
    done = await installation.command("ask", "mokc", "hi")
    assert (done.status, done.out) == (1, "")
    assert "mock" in done.err


# Last, because it takes the gateway away from the others.
async def test_a_stopped_gateway_leaves_well_and_is_missed(installation: Installation) -> None:
    """SIGTERM ends it with status 0; afterwards commands say how to start one."""
    assert await installation.stop() == 0
    done = await installation.command("models")
    assert done.status == 1
    assert "start one with `tokenway serve`" in done.err
