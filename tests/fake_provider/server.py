"""The fake provider itself: it accepts, records, chooses a script and plays it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import ssl
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fake_provider import answers, scripts
from tests.fake_provider.connection import Gone, Link
from tests.fake_provider.scripts import Bill, Script, UsageMode
from tokenway.aio.tasks import Tasks

_REASONS = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass
class Received:
    """One request, as the provider saw it."""

    link: Link
    method: str
    path: str
    headers: list[tuple[str, str]]
    """Names in lower case."""
    body: bytes
    reused: bool
    """Whether the connection had served a request before."""
    bill: Bill = field(default_factory=Bill)
    """What it costs so far; the prompt counts from the head of the answer on, each token when it is sent."""
    sent: int = 0
    """Tokens sent."""
    complete: bool = False
    """Whether the whole script was played."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the script was played, or cut short because the client left."""

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded; empty for a request without one."""
        return json.loads(self.body) if self.body else {}

    def header(self, name: str) -> str | None:
        """The first header of that name, in lower case."""
        return next((value for found, value in self.headers if found == name), None)


class FakeProvider:
    """Listens on loopback while its `async with` block runs."""

    def __init__(
        self,
        default: Script = Script(),  # noqa: B008 - immutable
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
    ) -> None:
        """`default` treats requests for which nothing else was said."""
        self.default = default
        self.requests: list[Received] = []
        self.links: list[Link] = []
        """Every connection ever accepted; `gone` says whether it is closed."""
        self.errors: list[BaseException] = []
        """Bugs of a script or of the fake; empty after a good test."""
        self._host, self._port, self._tls, self._unix = host, port, tls, unix
        self._queue: deque[Script] = deque()
        self._tasks = Tasks(lambda _name, error: self.errors.append(error))
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        if self._unix is None:
            self._server = await loop.create_server(
                self._make_link, self._host, self._port, ssl=self._tls, backlog=4096
            )
            self._port = self._server.sockets[0].getsockname()[1]
        else:
            self._server = await loop.create_unix_server(self._make_link, str(self._unix), ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await self._tasks.close()
        for link in self.links:
            if link.transport is not None:
                link.transport.abort()
                await link.gone.wait()
        if self._server is not None:
            await self._server.wait_closed()

    # ── for tests ──

    @property
    def base_url(self) -> str:
        """What a configuration calls `base_url`."""
        if self._unix is not None:
            return f"unix:{self._unix}:/v1"
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}/v1"

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._port

    @property
    def bill(self) -> Bill:
        """All that would be charged."""
        return sum((request.bill for request in self.requests), Bill())

    @property
    def open_links(self) -> int:
        """Connections that are open now."""
        return sum(not link.gone.is_set() for link in self.links)

    def queue(self, *more: Script) -> None:
        """Scripts for the next requests, in order, whatever their model is called."""
        self._queue.extend(more)

    async def received(self, count: int) -> Received:
        """Waits until `count` requests have come in all, and returns the last of them."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def send_stray(self, data: bytes) -> int:
        """Writes `data` on every idle connection; returns to how many."""
        idle = [link for link in self.links if link.idle and not link.gone.is_set()]
        for link in idle:
            await link.send(data)
        return len(idle)

    async def close_idle(self) -> int:
        """Closes every idle connection, as servers do after their keep-alive time; returns how many."""
        idle = [link for link in self.links if link.idle and not link.gone.is_set()]
        for link in idle:
            link.close()
            await link.gone.wait()
        return len(idle)

    # ── serving ──

    def _make_link(self) -> Link:
        return Link(self._accept)

    def _accept(self, link: Link) -> None:
        self.links.append(link)
        link.task = self._tasks.start("fake provider", self._serve(link))

    async def _serve(self, link: Link) -> None:
        """Answers the requests of one connection; cancelled when the client leaves."""
        try:
            while True:
                request = await self._receive(link, await link.read_head())
                await self._answer(link, request, self._choose(request))
        except Gone:
            return
        finally:
            link.close()

    async def _answer(self, link: Link, request: Received, script: Script) -> None:
        """Plays the script to one request. Raises Gone when it ends the connection."""
        try:
            await Play(link, request, script).run()
            request.complete = True
        finally:
            request.over.set()
        if script.stray:
            await asyncio.sleep(script.stray_after)
            await link.send(script.stray)

    async def _receive(self, link: Link, head: bytes) -> Received:
        line, *rest = head.decode("latin-1").split("\r\n")
        method, path, _ = line.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (entry.partition(":") for entry in rest)]
        size = next((int(value) for name, value in headers if name == "content-length"), 0)
        body = await link.read_exactly(size)
        request = Received(link, method, path, headers, body, link.served > 1)
        async with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return request

    def _choose(self, request: Received) -> Script:
        if self._queue:
            return self._queue.popleft()
        return scripts.read(str(request.json.get("model", "")), self.default)


class Play:
    """One script, played to one request."""

    def __init__(self, link: Link, request: Received, script: Script) -> None:
        self._link = link
        self._request = request
        self._script = script
        self._asked = request.json
        self._kind = request.path.partition("?")[0].rpartition("/")[2]

    async def run(self) -> None:
        """Raises Gone when the script ends the connection."""
        script, link = self._script, self._link
        if script.delay:
            await asyncio.sleep(script.delay)
        if script.reset in {"request", "rst"}:
            self._leave(script.reset)
        if script.raw is not None or script.pieces:
            for piece in (script.raw or b"", *script.pieces):
                await self._send(piece)
        elif self._asked.get("stream") is True and script.streams:
            await self._stream()
        else:
            await self._whole()
        if script.hang_up == "rst":
            link.reset()
        elif script.hang_up or script.close or script.until_close:
            link.close()

    async def _whole(self) -> None:
        """A body of known length: an answer, an error, or whatever the script holds."""
        script, asked = self._script, self._asked
        content_type = script.content_type or "application/json"
        if script.body is not None:
            body = script.body
        elif script.status != 200 or script.error:
            body = b"" if script.status in {204, 302} else json.dumps(answers.error(script)).encode()
        elif self._kind == "models":
            body = json.dumps(answers.models()).encode()
        else:
            self._bill_prompt()
            for _ in [] if self._kind == "embeddings" else answers.tokens(script):
                self._bill_token()
            body = json.dumps(answers.whole(script, self._kind, asked, self._request.bill), ensure_ascii=False).encode()
        fields = {"content-type": content_type}
        if script.status != 204 and not script.until_close:
            fields["content-length"] = str(len(body) + script.length_delta)
        await self._head(fields, body + script.surplus)
        if script.length_delta > 0:
            self._leave("close")

    async def _stream(self) -> None:
        """Server-sent events, chunked, each event in a chunk and a write of its own."""
        script, asked = self._script, self._asked
        fields = {"content-type": script.content_type or "text/event-stream; charset=utf-8"}
        if not script.until_close:
            fields["transfer-encoding"] = "chunked"
        await self._head(fields, b"")
        self._bill_prompt()
        if script.empty_first:
            await self._event(answers.first(asked))
        total = len(answers.tokens(script))
        for number in range(total):
            await self._before_token(number)
            self._bill_token()
            await self._event(answers.chunk(script, asked, number, self._request.bill))
            self._request.sent += 1
            if number == 0 and script.usage is UsageMode.EARLY:
                early = dataclasses.replace(self._request.bill, completion=total)
                await self._event(answers.usage_chunk(script, asked, early))
        await self._before_token(total)
        await self._event(answers.stop(asked))
        if self._tells_usage():
            await self._event(answers.usage_chunk(script, asked, self._request.bill))
        end = b"".join(self._coded(answers.frame(script, "[DONE]")) for _ in range(script.done))
        await self._send(end + (b"" if script.until_close else b"0\r\n\r\n") + script.surplus)

    async def _before_token(self, number: int) -> None:
        """Pace and faults that come between tokens; `number` is how many were sent."""
        script = self._script
        if number and script.gap:
            await asyncio.sleep(script.gap)
        if script.stall == number:
            await self._link.gone.wait()
        if script.error_after == number:
            await self._event(answers.error(dataclasses.replace(script, status=500)))
            self._leave("end")
        if script.cut == number:
            if script.cut_inside:
                last = len(answers.tokens(script)) - 1
                following = answers.chunk(script, self._asked, min(number, last), self._request.bill)
                await self._send(self._coded(answers.frame(script, following)[: script.cut_inside]))
            self._leave(script.cut_how)
        if script.gate is not None and number < len(answers.tokens(script)):
            await script.gate.acquire()

    async def _head(self, fields: dict[str, str], body: bytes) -> None:
        """Status line, headers and what follows in the same write."""
        script = self._script
        if script.retry_after:
            fields["retry-after"] = script.retry_after
        if script.location:
            fields["location"] = script.location
        if script.close:
            fields["connection"] = "close"
        lines = [f"HTTP/1.1 {script.status} {_REASONS.get(script.status, 'Status')}", "x-request-id: fake-request-1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
        if script.reset == "head":
            await self._send(head[: len(head) // 2])
            self._leave("close")
        await self._send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * script.interim + head + body)

    async def _event(self, data: dict[str, Any]) -> None:
        await self._send(self._coded(answers.frame(self._script, data)))

    async def _send(self, data: bytes) -> None:
        await self._link.send(data, self._script.drip)

    def _coded(self, data: bytes) -> bytes:
        return data if self._script.until_close else b"%x\r\n%b\r\n" % (len(data), data)

    def _leave(self, how: str) -> None:
        """Ends the connection; always raises Gone."""
        if how == "rst":
            self._link.reset()
        elif how == "end" and not self._script.until_close and self._link.transport is not None:
            self._link.transport.write(b"0\r\n\r\n")
        self._link.close()
        raise Gone

    def _tells_usage(self) -> bool:
        options = self._asked.get("stream_options") or {}
        mode = self._script.usage
        if mode is UsageMode.ASKED:
            return bool(options.get("include_usage"))
        return mode in {UsageMode.ALWAYS, UsageMode.ABSURD, UsageMode.NEGATIVE}

    def _bill_prompt(self) -> None:
        prompt = answers.prompt_tokens(self._script, self._asked)
        self._request.bill = Bill(prompt=prompt, cached=self._script.cached)

    def _bill_token(self) -> None:
        bill = self._request.bill
        reasoning = bill.reasoning + (bill.completion < self._script.reasoning)
        self._request.bill = dataclasses.replace(bill, completion=bill.completion + 1, reasoning=reasoning)
