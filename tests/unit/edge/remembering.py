"""A bench whose control process remembers responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.contract.upstreams import until
from tests.unit.edge.bench import Bench, Client, bench, request
from tests.unit.edge.bench import snapshot as plain_snapshot
from tokenway.model.catalog import Dialect, Endpoint, Model, Provider
from tokenway.model.errors import Refusal
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse

PATH = b"/v1/responses"
NATIVE = msgspec.json.encode(
    {
        "id": "resp_native",
        "object": "response",
        "status": "completed",
        "model": "up",
        "output": [
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "hi", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    }
)


def provider(name: str, dialect: Dialect, **more: Any) -> Provider:
    """A provider that is reached at the scripted network."""
    return Provider(name, f"http://{name}/v1", dialect, api_keys=(Secret("sk-up"),), **more)


CHAT = provider("chat", Dialect.OPENAI_CHAT)
OPENAI = provider("openai", Dialect.OPENAI_RESPONSES)
OTHER = provider("other", Dialect.OPENAI_RESPONSES)


def snapshot(*providers: Provider, **more: Any) -> Snapshot:
    """The model `m` at these providers; responses are kept for an hour."""
    offers = tuple(Endpoint(each.name, "up") for each in providers)
    fields: dict[str, Any] = {
        "providers": {each.name: each for each in providers},
        "models": {"m": Model("m", offers)},
        "response_retention": 3600.0,
    }
    return plain_snapshot(**(fields | more))


class Memory:
    """The control process: what it was asked, what it has, what it was given to keep."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.chain: list[StoredResponse] | None = None
        self.kept: list[StoredResponse] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refusal: Refusal | None = None

    async def ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        """Its answer, once the gate is open."""
        self.asked.append((what, principal.project, subject))
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal
        return None if self.chain is None else msgspec.msgpack.encode(self.chain)


@asynccontextmanager
async def remembering(*script: Any, what: Snapshot) -> AsyncIterator[tuple[Bench, Memory]]:
    """A bench with a memory."""
    async with bench(*script, what=what) as made:
        memory = Memory()
        made.state.ask = memory.ask
        made.state.keep = memory.kept.append
        yield made, memory
        await until(lambda: len(made.state.tasks) == 0)
        assert made.state.background == {}


def body(**fields: Any) -> bytes:
    """A request."""
    return msgspec.json.encode({"model": "m", "input": "hi"} | fields)


def stored(identity: str, text: str, previous: str = "", **fields: Any) -> StoredResponse:
    """A response that was kept: a question and its answer."""
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"{text}?"}]}]
    output = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": f"{text}!"}]}]
    usual: dict[str, Any] = {
        "endpoint": "chat/up",
        "status": "completed",
        "response": msgspec.json.encode({"id": identity, "status": "completed", "output": output}),
        "items": msgspec.json.encode(items),
    }
    return StoredResponse(identity, "default", 1.0, "m", previous=previous, **(usual | fields))


async def sent(made: Bench) -> Any:
    """The body that went upstream."""
    await until(lambda: bool(made.network.requests))
    return msgspec.json.decode(made.network.requests[-1].partition(b"\r\n\r\n")[2])


async def answered(client: Client) -> Any:
    """The body of the caller's answer."""
    await until(lambda: bool(client.statuses))
    return msgspec.json.decode(client.written.partition(b"\r\n\r\n")[2])


def begun(made: Bench, **fields: Any) -> Client:
    """A caller with this request."""
    client = made.connect()
    client.send(request(body(**fields), PATH))
    return client
