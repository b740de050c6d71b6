"""Every worker of one machine or more, asked one by one: what one of them is told, all of them go by."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import psutil

from tests.e2e.gateway import KEY, Gateway, until
from tests.e2e.raw import Raw, chat


async def a_connection_to_each(gateways: list[Gateway], stack: AsyncExitStack) -> list[Raw]:
    """A connection to every worker of each machine."""
    found: list[Raw] = []
    for gateway in gateways:
        unreached = {worker.pid for worker in gateway.workers()}
        assert len(unreached) == 2
        while unreached:
            # Several at once: a worker that is busy accepting leaves some to the other.
            more = [await stack.enter_async_context(Raw(gateway.port)) for _ in range(20)]
            for raw in more:
                await status(raw, KEY, "mock")
            for pid in list(unreached):
                open_ = [
                    each for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_ESTABLISHED
                ]
                ports = {each.raddr.port for each in open_}
                reached = [raw for raw in more if raw.writer.get_extra_info("sockname")[1] in ports]
                if reached:
                    found.append(reached[0])
                    unreached.discard(pid)
    return found


async def status(raw: Raw, key: str, model: str) -> int:
    """What a call on this connection comes to."""
    body = chat(model, max_tokens=8)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    await raw.send(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode(), body)
    return (await raw.answer()).status


async def seconds_until(connections: list[Raw], key: str, model: str, expected: int) -> float:
    """How long it takes until every connection gets this status, each asked again and again."""
    began = monotonic()

    async def watch(raw: Raw) -> None:
        async def is_so() -> bool:
            return await status(raw, key, model) == expected

        await until(is_so)

    await asyncio.gather(*map(watch, connections))
    return monotonic() - began
