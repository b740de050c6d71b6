"""HTTP/1.1 by hand: what a client library would never send, and what came back, to the byte."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Self

from tests.e2e.gateway import KEY, WAIT_SECONDS

AUTH = f"authorization: Bearer {KEY}\r\n".encode()
CHAT = b"/v1/chat/completions"


class Answer(NamedTuple):
    """One answer. Header names are in lower case; a repeated header keeps its last value."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which must be in OpenAI's shape."""
        error: dict[str, Any] = self.json["error"]
        assert {"message", "type", "param", "code"} <= error.keys(), error
        assert error["message"]
        return error


class Raw:
    """One connection to a gateway, as a context manager."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        opening = asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22, ssl=self._tls)
        self.reader, self.writer = await opening
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()

    async def send(self, *parts: bytes) -> None:
        """Writes the parts together."""
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """The next status line and headers."""
        async with asyncio.timeout(WAIT_SECONDS):
            text = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = text.rstrip("\r\n").split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = (field.partition(":") for field in fields)
        return int(status), {name.lower(): value.strip() for name, _, value in pairs}

    async def answer(self, *, bodyless: bool = False) -> Answer:
        """The next answer with its body; `bodyless` for answers to HEAD."""
        status, headers = await self.head()
        if bodyless or status < 200:
            return Answer(status, headers, b"")
        async with asyncio.timeout(WAIT_SECONDS):
            if "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self.chunks()])
            else:
                body = await self.reader.read()
        return Answer(status, headers, body)

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty at its end."""
        async with asyncio.timeout(WAIT_SECONDS):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """All chunks that are still to come."""
        while data := await self.chunk():
            yield data

    def reset(self) -> None:
        """Leaves with a TCP reset."""
        peer = self.writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def is_closed(self) -> bool:
        """Whether the gateway ends the connection without another byte; waits for one or the other."""
        async with asyncio.timeout(WAIT_SECONDS):
            try:
                return not await self.reader.read(1)
            except ConnectionResetError:
                return True

    async def is_usable(self) -> bool:
        """Whether the connection still serves: another request on it gets its own answer."""
        await self.send(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        answer = await self.answer()
        return answer.status == 200 and answer.json == {"status": "ok"}


def chat(model: str = "mock", *, stream: bool = False, **more: Any) -> bytes:
    """The body of a chat request."""
    return json.dumps(
        {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream} | more
    ).encode()


def post(body: bytes, *lines: bytes, path: bytes = CHAT, version: bytes = b"1.1") -> bytes:
    """A whole request with a true content length; `lines` are header lines without their end."""
    extra = b"".join(line + b"\r\n" for line in lines)
    return b"POST %b HTTP/%b\r\nhost: x\r\n%b%bcontent-length: %d\r\n\r\n%b" % (
        path,
        version,
        AUTH,
        extra,
        len(body),
        body,
    )


def get(path: bytes, method: bytes = b"GET") -> bytes:
    """A whole request without a body."""
    return b"%b %b HTTP/1.1\r\nhost: x\r\n%b\r\n" % (method, path, AUTH)
