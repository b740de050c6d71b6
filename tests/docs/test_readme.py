"""What the README shows works: its program, against a real gateway in front of a fake provider."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.docs.pages import blocks, text_of
from tests.e2e.gateway import KEY, Gateway, configuration
from tests.fake_provider import FakeProvider, Script


async def run(command: list[str], gateway: Gateway) -> tuple[int | None, str, str]:
    """Runs one of the README's examples with the key it asks for."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ
        | {"TOKENWAY_API_KEY": KEY, "HOME": str(gateway.home), "TOKENWAY_DATA_DIR": str(gateway.data_dir)},
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_its_examples_work(tmp_path: Path) -> None:
    """Only the port is another one, the local model an alias, and the command not in `.venv`."""
    (program,) = blocks("README.md", "python")
    curl, commands = blocks("README.md", "sh")
    async with FakeProvider(Script(chunks=3)) as provider:
        gateway = Gateway(tmp_path, configuration(provider.base_url, aliases={"local": "mock"}))
        await gateway.start()
        try:
            assert "http://127.0.0.1:8080/v1" in program
            assert "http://127.0.0.1:8080/v1" in curl
            address = f"http://127.0.0.1:{gateway.port}/v1"
            sdk = await run([sys.executable, "-c", program.replace("http://127.0.0.1:8080/v1", address)], gateway)
            shell = await run(["sh", "-c", curl.replace("http://127.0.0.1:8080/v1", address)], gateway)
            installed = commands.replace(".venv/bin/tokenway", f"{sys.executable} -m tokenway")
            terminal = await run(["sh", "-ec", installed], gateway)
        finally:
            assert await gateway.stop() == 0
    assert sdk == (0, "w0 w1 w2 ", "")
    assert shell[0] == 0
    assert shell[1].count("data: ") >= 4
    assert shell[1].endswith("data: [DONE]\n\n")
    assert terminal[0] == 0, terminal[2]
    said, key, limit, *usage = terminal[1].splitlines()
    assert (said, key[:3], limit[:4]) == ("w0 w1 w2 ", "tw-", "lim_")
    assert usage[1].startswith("config:ci\tmock\t")


def test_it_is_short() -> None:
    """Two screens; the rest is behind its links."""
    assert len(text_of("README.md").splitlines()) <= 120
