"""One script, played to one request: the head, the body or the stream, the pace and the faults."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.fake_provider import answers, routes
from tests.fake_provider.connection import Gone, Link
from tests.fake_provider.dialects.base import Ask, Streamed, Voice, Whole, words
from tests.fake_provider.reply import Reply
from tests.fake_provider.scripts import Bill, Script

_REASONS = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
_FREE = frozenset({"count_tokens", "countTokens", "input_tokens", "moderations", "models"})
"""What costs nothing."""
_EMBEDDINGS = frozenset({"embeddings", "embedContent", "batchEmbedContents", "rerank"})
"""What has no output that is counted."""
_BODYLESS = frozenset({204, 301, 302, 303, 307, 308})
_GZIP = 16 + zlib.MAX_WBITS
_MALFORMED = b'data: {"choices":[{"index":0,"delta":{"content":"half a chu\n\n'


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

    @cached_property
    def ask(self) -> Ask:
        """The body as a renderer needs it: its dialect, operation and model; a form's parts."""
        return routes.read(self.path, self.header("content-type") or "", self.body)

    def header(self, name: str) -> str | None:
        """The first header of that name, in lower case."""
        return next((value for found, value in self.headers if found == name), None)


class Play:
    """One script, played to one request."""

    def __init__(self, link: Link, request: Received, script: Script) -> None:
        self._link = link
        self._request = request
        self._script = script
        self._ask = request.ask
        self._voice: Voice = routes.VOICES[self._ask.dialect]
        self._sent = 0
        """Frames sent."""
        marks = (script.stall, script.error_after, script.cut, script.malformed, script.slow_after)
        self._is_even = not (script.gap or script.gate) and max(marks) < 0
        """Whether nothing happens between the tokens."""
        self._packer = zlib.compressobj(wbits=_GZIP) if script.packed else None

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
            while script.endless:
                await asyncio.sleep(script.gap)
                await self._send(script.endless)
        else:
            answer = self._answer()
            if isinstance(answer, Streamed):
                await self._stream(answer)
            else:
                await self._whole(answer)
        if script.hang_up == "rst":
            link.reset()
        elif script.hang_up or script.close or script.until_close:
            link.close()

    def _answer(self) -> Whole | Streamed:
        """What the script says: its own bytes, an error, or a reply in the dialect that was asked."""
        script, ask = self._script, self._ask
        if script.body is not None:
            return Whole(script.body, status=script.status, headers=self._pause())
        if not (ask.stream and script.streams) and (script.status != 200 or script.error):
            if script.status in _BODYLESS:
                return Whole(b"", status=script.status, headers=self._pause())
            return self._voice.error(answers.failure(script))
        if script.reply is None and ask.dialect == routes.PLAIN:
            return answers.answer(script, ask)
        return self._voice.answer(answers.told(script, self._reply), ask)

    @cached_property
    def _reply(self) -> Reply:
        return self._script.reply or answers.reply(self._script, self._ask.body)

    async def _whole(self, answer: Whole) -> None:
        """A body of known length."""
        script = self._script
        if answer.status == 200 and script.body is None and not script.error:
            self._request.bill = self._full_bill()
        fields = {"content-type": script.content_type or answer.media_type, **answer.headers}
        body = answer.body if self._packer is None else self._packer.compress(answer.body) + self._packer.flush()
        if answer.status != 204 and not script.until_close:
            fields["content-length"] = str(len(body) + script.length_delta)
        if script.drip_gap:
            await self._head(answer.status, fields, b"")
            await self._send(body)
            return
        if script.reset == "body":
            await self._head(answer.status, fields, body[: len(body) // 2])
            self._leave(script.cut_how)
        await self._head(answer.status, fields, body + script.surplus)
        if script.length_delta > 0:
            self._leave("close")

    async def _stream(self, answer: Streamed) -> None:
        """Frame by frame, chunked, each in a chunk and a write of its own."""
        script, request = self._script, self._request
        media_type = script.content_type or answer.media_type
        is_dressed = answer.media_type.startswith("text/event-stream") and (script.comments or script.eol != b"\n")
        fields = {"content-type": media_type} | self._pause()
        if not script.until_close:
            fields["transfer-encoding"] = "chunked"
        await self._head(200, fields, b"")
        if script.reset == "body":
            self._leave(script.cut_how)
        full = self._full_bill()
        request.bill = dataclasses.replace(full, completion=0, reasoning=0)
        is_ending = False
        for frame in answer.frames:
            data = self._dressed(frame.data) if is_dressed else frame.data
            if frame.tokens:
                await self._before(range(request.sent, request.sent + frame.tokens), data, answer.total)
                self._bill(frame.tokens, reasoning=frame.reasoning)
            elif request.sent >= answer.total and not is_ending:
                is_ending = True
                await self._before(range(answer.total, answer.total + 1), data, answer.total)
                request.bill = full
            await self._send(self._coded(data))
            self._sent += 1
            request.sent += frame.tokens
        if not is_ending:
            await self._before(range(answer.total, answer.total + 1), b"", answer.total)
            request.bill = full
        last = b"".join([self._coded(self._dressed(answer.end)) for _ in range(script.done)]) if answer.end else b""
        if self._packer is not None:
            last += self._framed(self._packer.flush())
        await self._send(last + (b"" if script.until_close else b"0\r\n\r\n") + script.surplus)

    async def _before(self, tokens: range, following: bytes, total: int) -> None:
        """Pace and faults that come before a frame; `tokens` are the numbers of those it delivers."""
        if self._is_even:
            return
        script = self._script
        gap = script.slow_gap if 0 <= script.slow_after <= tokens.start else script.gap
        if tokens.start and gap:
            await asyncio.sleep(gap)
        if script.stall in tokens:
            await self._link.gone.wait()
        if script.malformed in tokens:
            await self._send(self._coded(_MALFORMED))
        if script.error_after in tokens:
            failure = answers.failure(script)
            broken = self._voice.broken(failure, self._ask, self._sent)
            await self._send(self._coded(broken))
            self._leave("end")
        if script.cut in tokens:
            if script.cut_inside:
                await self._send(self._coded(following[: script.cut_inside]))
            self._leave(script.cut_how)
        if script.gate is not None and tokens.start < total:
            await script.gate.acquire()

    def _dressed(self, data: bytes) -> bytes:
        """Server-sent events with the line ends and comments that the script wants."""
        if self._script.comments:
            data = b": keep-alive\n\n" + data
        return data.replace(b"\n", self._script.eol)

    async def _head(self, status: int, fields: dict[str, str], body: bytes) -> None:
        """Status line, headers and what follows in the same write."""
        script = self._script
        if script.location:
            fields["location"] = script.location
        if script.close:
            fields["connection"] = "close"
        if script.packed:
            fields["content-encoding"] = script.packed
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}", "x-request-id: fake-request-1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")
        if script.reset == "head":
            await self._send(head[: len(head) // 2])
            self._leave("close")
        hints = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * script.interim
        await self._link.send(hints + head + body, 0 if script.drip_gap else script.drip)

    def _pause(self) -> dict[str, str]:
        return {"retry-after": self._script.retry_after} if self._script.retry_after else {}

    async def _send(self, data: bytes) -> None:
        await self._link.send(data, self._script.drip, self._script.drip_gap)

    def _coded(self, data: bytes) -> bytes:
        """A piece of a stream in its codings: compressed, and as a chunk."""
        if self._packer is not None:
            data = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        return self._framed(data)

    def _framed(self, data: bytes) -> bytes:
        return data if self._script.until_close else b"%x\r\n%b\r\n" % (len(data), data)

    def _leave(self, how: str) -> None:
        """Ends the connection; always raises Gone."""
        if how == "rst":
            self._link.reset()
        elif how == "end" and not self._script.until_close and self._link.transport is not None:
            self._link.transport.write(b"0\r\n\r\n")
        self._link.close()
        raise Gone

    def _full_bill(self) -> Bill:
        """What the whole answer costs, whatever it tells."""
        ask = self._ask
        if ask.kind in _FREE:
            return Bill()
        if ask.kind in _EMBEDDINGS:
            given = [ask.body.get(name) for name in ("query", "documents", "content", "requests") if name in ask.body]
            return Bill(words(given) if given else answers.prompt_tokens(self._script, ask.body))
        counts = self._reply.counts
        if counts is None:
            return Bill()
        written = counts.cache_write + counts.cache_write_1h
        return Bill(counts.input, counts.cache_read, counts.output, counts.reasoning, written)

    def _bill(self, tokens: int, *, reasoning: bool) -> None:
        bill = self._request.bill
        self._request.bill = dataclasses.replace(
            bill, completion=bill.completion + tokens, reasoning=bill.reasoning + tokens * reasoning
        )
