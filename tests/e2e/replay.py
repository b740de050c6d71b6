"""A provider that answers with what another has answered before, and a caller that reads to the byte.

`Replay` speaks HTTP/1.1 over real sockets. A test says which recorded answer comes next and in which pieces, and finds
the request that came for it. `Caller` keeps one connection to a gateway and sends what was recorded.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final, NamedTuple, Self
from urllib.parse import quote

from tests.e2e.gateway import KEY
from tests.e2e.raw import Answer, Raw
from tests.replay.exchanges import Exchange
from tokenway.model.catalog import Dialect

PROVIDER: Final = "lab-{}"
PRICE: Final = {"input": 1.0, "output": 2.0}
IN_PATH: Final = frozenset({Dialect.GEMINI, Dialect.BEDROCK})
"""The dialects whose path names the model and asks for the stream."""
MOST: Final = 16_384

UNSENT: Final = frozenset({"content-length", "transfer-encoding", "connection", "content-encoding"})
"""Headers of a recording that were about its bytes on the wire and not about the answer."""


class Got(NamedTuple):
    """A request as a provider got it. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


class Reply(NamedTuple):
    """An answer; more than one piece is sent as chunks, one by one."""

    status: int
    headers: Mapping[str, str]
    pieces: Sequence[bytes]


def pieces(body: bytes, chance: Random | None = None) -> list[bytes]:
    """A body whole, or cut by chance into up to nine pieces."""
    if chance is None or len(body) < 2:
        return [body]
    edges = sorted({0, len(body), *(chance.randrange(1, len(body)) for _ in range(8))})
    return [body[start:end] for start, end in pairwise(edges)]


def recorded(each: Exchange, chance: Random | None = None) -> Reply:
    """What its provider answered."""
    headers = {name: value for name, value in each.answer_headers.items() if name not in UNSENT}
    return Reply(each.status, headers, pieces(each.answer, chance))


class Replay:
    """The provider, as a context manager. `next` is what it answers to the next request, `got` the last request."""

    next: Reply

    def __init__(self) -> None:
        self.got: list[Got] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server
        self.errors: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def origin(self) -> str:
        """Its address without a path."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                self.got.append(await _request(reader))
                await self._answer(writer, self.next)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            self.errors.append(error)
            raise
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    @staticmethod
    async def _answer(writer: asyncio.StreamWriter, reply: Reply) -> None:
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in reply.headers.items())]
        if len(reply.pieces) == 1:
            lines.append(f"content-length: {len(reply.pieces[0])}")
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + reply.pieces[0])
            await writer.drain()
            return
        writer.write("\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode("latin-1"))
        for piece in reply.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Got:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip("\r\n").split("\r\n")
    pairs = (field.partition(":") for field in fields)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Got(line.split(" ")[1], headers, body)


def configuration(provider: Replay) -> dict[str, Any]:
    """One provider for each dialect, all of them the same, with a priced model `to-DIALECT`."""
    dialects = tuple(Dialect)
    return {
        "auth": {"keys": [{"name": "ci", "key": KEY}]},
        "retries": {"max": 0},
        "providers": {
            PROVIDER.format(dialect): {
                "dialect": str(dialect),
                "base_url": base_url(provider, dialect),
                "api_key": f"sk-{dialect}",
            }
            for dialect in dialects
        },
        "models": {
            f"to-{dialect}": {
                "endpoints": [
                    {
                        "provider": PROVIDER.format(dialect),
                        "model": "upstream-model",
                        "price": PRICE,
                        "capabilities": {"vision": True, "max_output": MOST},
                    }
                ]
            }
            for dialect in dialects
        },
    }


def base_url(provider: Replay, dialect: Dialect) -> str:
    """What a configuration calls `base_url`."""
    return provider.origin + ("/v1" if dialect in {Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES} else "")


# -- what a caller sends -----------------------------------------------------------------------------------


def path(dialect: Dialect, model: str, *, stream: bool) -> str:
    """Where a caller of a dialect asks."""
    name = quote(model, safe="")
    return {
        Dialect.OPENAI_CHAT: "/v1/chat/completions",
        Dialect.OPENAI_RESPONSES: "/v1/responses",
        Dialect.ANTHROPIC: "/v1/messages",
        Dialect.GEMINI: f"/v1beta/models/{name}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}",
        Dialect.BEDROCK: f"/model/{name}/converse{'-stream' if stream else ''}",
    }[dialect]


def renamed(body: bytes, model: str, former: str) -> bytes:
    """A recorded body with another model, all other bytes as they were; only the member at the top is changed."""
    spelled = json.dumps(former, ensure_ascii=False)
    for each in re.finditer(rb'("model":\s*)' + re.escape(spelled.encode()), body):
        changed = body[: each.end(1)] + json.dumps(model).encode() + body[each.end() :]
        if json.loads(changed)["model"] == model:
            return changed
    raise AssertionError(f"no member 'model' at the top: {body[:200]!r}")


class Caller:
    """One connection to a gateway, opened again when the gateway has closed it; a context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._raw: Raw | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._raw is not None:
            await self._raw.__aexit__(*exc)

    async def ask(self, where: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """One request and its answer."""
        if self._raw is None:
            self._raw = await Raw(self._port).__aenter__()
        fields = {"host": "x", "authorization": f"Bearer {KEY}", "content-type": "application/json"} | dict(
            headers or {}
        )
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        head = f"POST {where} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        await self._raw.send(head.encode("latin-1") + body)
        answer = await self._raw.answer()
        if answer.headers.get("connection") == "close":
            await self._raw.__aexit__()
            self._raw = None
        return answer
