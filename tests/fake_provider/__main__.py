"""`python -m tests.fake_provider --port 9000`: a provider to try a gateway against by hand."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from tests.fake_provider import FakeProvider, spell


async def _serve(host: str, port: int, unix: Path | None) -> None:
    async with FakeProvider(host=host, port=port, unix=unix) as provider:
        print(f"base_url: {provider.base_url}", flush=True)
        print(f"A model's name can spell a behaviour, such as {spell(chunks=64, gap=0.02)}.", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fake_provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--unix", type=Path, help="listen on this socket instead")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.host, arguments.port, arguments.unix))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main()
