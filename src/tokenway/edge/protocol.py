"""One client connection: the hot paths are relayed here, everything else goes to the ASGI application.

The class extends uvicorn's protocol, which brings keep-alive, pipelining and the ASGI cycle; its requests
wait in turn in `pipeline`, whether they are relays or ASGI cycles. What this class adds:

* strict parsing: none of llhttp's leniencies, bounds on heads, header counts and waiting requests;
* refusals in the caller's dialect, also for what is not HTTP;
* a body that nobody will read is drained for a while before the connection closes, so that the refusal
  reaches a client that is still sending;
* no timer per request: one sweep a second closes idle connections and slow requests;
* a request whose head is the last one's but for the length is not parsed again (`head.py`).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tokenway.dialects.registry import FORMATS
from tokenway.edge import doors, reply
from tokenway.edge.deliver import keep_warm
from tokenway.edge.head import LESSONS_MAX, Head, joined, what_is_wrong, without_origin
from tokenway.edge.relay import Relay
from tokenway.model.errors import ErrorType, Problem
from tokenway.wire import limits

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from tokenway.edge.state import EdgeState

_OFFERS: Final = (b"upgrade", b"http2-settings")

LINGER_SECONDS: Final = 5.0
"""How long the rest of a refused request is read and dropped before its connection is closed."""


class EdgeProtocol(HttpToolsProtocol):
    """A client connection of a worker."""

    def __init__(
        self,
        state: EdgeState,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """The arguments after the first are uvicorn's."""
        super().__init__(config, server_state, app_state, _loop)
        # uvicorn lets data follow a request that says `Connection: close`; a smuggler would like that.
        self.parser = httptools.HttpRequestParser(self)
        self.state = state
        self._active: Any = None
        self._incoming: Relay | None = None
        self._in_head = False
        self._head_bytes = 0
        self._read_bytes = 0
        self._is_deaf = False
        self._is_closing = False
        self._awaits_continue = False
        self._is_cold_open = False
        self._body_bytes = self._bare_bytes = 0
        self._known: Head | None = None
        self._lessons = 0
        self._busy_since = 0.0
        self._idle_since = monotonic()
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    @property
    def is_write_paused(self) -> bool:
        """Whether the client reads more slowly than it is written to."""
        return self.flow.write_paused

    @property
    def peer(self) -> str:
        """The address that the client calls from; empty where there is none."""
        return self.client[0] if self.client else ""

    # -- the event loop ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=limits.WRITE_HIGH, low=limits.WRITE_LOW)
        self.state.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: its exchange is cancelled, requests behind it were never begun."""
        self.connections.discard(self)
        self.state.connections.discard(self)
        self._is_closing = self._is_deaf = True
        self._incoming = None
        self.pipeline.clear()
        active, self._active = self._active, None
        if isinstance(active, Relay):
            self.state.fleet.line.left(active)
            active.client_gone()
        elif active is not None:
            active.disconnected = True
            active.message_event.set()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self.parser = None  # type: ignore[assignment]  # it refers back to us
        self.cycle = None  # type: ignore[assignment]  # so does a relay

    def data_received(self, data: bytes) -> None:
        """Bytes of requests. What a relay does with them happens after the parser has returned."""
        known = self._known
        # ASGI may have answered a request whose body goes on: that is no place where another one can begin.
        is_between = self._active is None and not (self._in_head or self._is_deaf or self._is_cold_open)
        if known is not None and is_between:
            body = known.body_of(data)
            if body is not None:
                self._repeat(known, body)
                return
        if self._is_deaf:
            return
        self._busy_since = monotonic()
        self._read_bytes = len(data)
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError:
            self.logger.exception("a request could not be taken in")
            self._refuse(500, "The gateway could not read this request.", code="internal_error")
        except httptools.HttpParserError as error:
            self._refuse(400, f"The request is not valid HTTP/1.1: {_reason(error)}.")
        if self._in_head or self._incoming is not None:
            self._count(len(data))
        relay = self._active
        if isinstance(relay, Relay) and not relay.begun:
            if relay.body_complete:
                if is_between:
                    self._learn(data, relay)
                relay.start()
            elif relay.problem is not None:
                # Refused before its body is complete: answer now, and read on so that the answer is not lost.
                self._is_closing = True
                relay.start()
                self._linger()

    def _count(self, size: int) -> None:
        """Bounds what brings no payload: a head, chunk extensions and trailers without end."""
        incoming = self._incoming
        if self._in_head:
            # A read in which a head begins may hold much else before it; its part of the head is counted at the end.
            self._head_bytes += size
            if self._head_bytes > limits.REQUEST_HEAD:
                self._refuse(431, "The request's head is too large.", code="headers_too_large")
        elif incoming is not None and incoming.problem is None:
            self._bare_bytes = self._bare_bytes + size if incoming.size == self._body_bytes else 0
            self._body_bytes = incoming.size
            if self._bare_bytes > limits.REQUEST_HEAD:
                self._refuse(400, "The framing of the request's body takes more than its payload may.")

    def _learn(self, data: bytes, relay: Relay) -> None:
        """A whole request came in one read: the next one may have the same head."""
        if relay.keep_alive and self._lessons < LESSONS_MAX:
            self._lessons += 1
            self._known = self.state.heads.learn(data, relay)

    def _repeat(self, known: Head, body: bytes) -> None:
        """The last request's head again, with another body: what the parser would make of it."""
        self._busy_since = self._idle_since = monotonic()
        relay = Relay(self.state, self, known.door, known.headers, known.query, keep_alive=True, chunked=True)
        relay.check_head()
        relay.add_body(body)
        relay.body_complete = True
        self._active = self.cycle = relay  # type: ignore[assignment]
        relay.start()

    def _feed(self, data: bytes) -> None:
        """Parses; raises HttpParserError. A request that offers another protocol is read again without the offer."""
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offered:
                if self._is_deaf:
                    return
                data = self._without_offer() + data[offered.args[0] :]
            else:
                return

    def _without_offer(self) -> bytes:
        """The head that was just read, as if it had not offered h2c or WebSocket, and a parser for it.

        The old parser takes what follows for the other protocol, while Java's client, which offers h2c with
        every request, goes on in HTTP/1.1 unless the server switches.
        """
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip().lower() for token in value.split(b",")]
                lines.append(b"connection: " + b", ".join(token for token in tokens if token not in _OFFERS))
            elif name not in _OFFERS:
                lines.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def pause_writing(self) -> None:
        """The client reads slowly."""
        super().pause_writing()
        if isinstance(self._active, Relay):
            self._active.client_paused(paused=True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        if isinstance(self._active, Relay):
            self._active.client_paused(paused=False)

    def check(self, now: float) -> None:
        """Once a second: closes the connection when it idles, or when a request takes too long to arrive."""
        if self._is_closing:
            if now - self._busy_since > LINGER_SECONDS:
                self.transport.abort()
            return
        if isinstance(self._active, Relay):
            keep_warm(self._active, now)
        if self.flow.read_paused:
            # What is missing of the next request waits in the socket until the answer before it is out.
            return
        if self._in_head:
            if now - self._idle_since > limits.HEAD_SECONDS:
                self._refuse(408, "The request's head did not arrive in time.", code="request_timeout")
        elif self._incoming is not None and not self._incoming.body_complete:
            if now - self._busy_since > limits.BODY_SECONDS:
                self._refuse(408, "The request's body did not arrive in time.", code="request_timeout")
        elif self._active is None and now - self._idle_since > limits.IDLE_SECONDS:
            self.transport.close()

    # -- the parser --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url = b""
        self.headers = []
        self._in_head = True
        self._head_bytes = -self._read_bytes
        self._idle_since = monotonic()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header field; llhttp reports trailers too, which nobody reads."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The request's head: relayed, or handed to ASGI."""
        self._in_head = False
        parser = self.parser
        if self._is_deaf:
            return
        if parser.should_upgrade():
            if parser.get_method() == b"CONNECT":
                self._refuse(400, "The gateway is not a forward proxy.")
            return
        version = parser.get_http_version()
        headers = joined(self.headers)
        if len(self.headers) > limits.HEADERS_MAX or len(self.url) > limits.REQUEST_URL or self._is_head_too_large():
            self._refuse(431, "The request's head is too large.", code="headers_too_large")
            return
        wrong = what_is_wrong(version, headers, self.headers)
        if wrong:
            self._refuse(400, f"The request is not valid HTTP/1.1: {wrong}.")
            return
        if len(self.pipeline) >= limits.PIPELINED_MAX:
            self._refuse(429, "Too many requests wait on this connection.", code="pipeline_full")
            return
        path, _, query = self.url.partition(b"?")
        door = doors.find(without_origin(path)) if parser.get_method() == b"POST" else None
        if door is None:
            self._incoming = None
            self._start_cold()
            return
        relay = Relay(
            self.state,
            self,
            door,
            headers,
            query,
            keep_alive=version != "1.0" and parser.should_keep_alive(),
            chunked=version != "1.0",
        )
        relay.check_head()
        self._body_bytes = self._bare_bytes = 0
        self._incoming = relay
        self.cycle = relay  # type: ignore[assignment]
        self._awaits_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        if self._active is None:
            self._active = relay
            if self._awaits_continue and relay.problem is None:
                self.transport.write(reply.CONTINUE)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((relay, self.app))  # type: ignore[arg-type]

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        if self._incoming is not None:
            self._incoming.add_body(body)
        elif not self._is_deaf:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        relay = self._incoming
        if relay is None:
            self._is_cold_open = False
            if not (self._is_deaf or self.parser.should_upgrade()):
                super().on_message_complete()
            return
        self._incoming = None
        relay.body_complete = True

    # -- taking turns ------------------------------------------------------------------------------------

    def relay_finished(self, relay: Relay) -> None:
        """A relay's answer is out: the next request, if one waits."""
        if relay is self._active:
            if not relay.keep_alive and not self._is_closing:
                self.transport.close()
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """The answer to the active request is out, whoever gave it."""
        self.server_state.total_requests += 1
        self._active = None
        self._idle_since = self._busy_since = monotonic()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """A request's turn: uvicorn calls this for its own cycles, and it is where relays take theirs."""
        self._active = cycle
        if not isinstance(cycle, Relay):
            super()._start_asgi_task(cycle, app)
        elif cycle.body_complete or cycle.problem is not None:
            # In the next turn of the loop: a pipeline of refused requests must not become a deep recursion.
            self.loop.call_soon(self._start_relay, cycle)
        elif self._awaits_continue and cycle is self._incoming:
            self.transport.write(reply.CONTINUE)

    def _start_relay(self, relay: Relay) -> None:
        if relay is self._active and not relay.begun:
            relay.start()

    def _start_cold(self) -> None:
        """Hands the request to ASGI: uvicorn makes its scope and its cycle from what was parsed."""
        url, headers = self.url, self.headers
        self._is_cold_open = True
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in headers
        )
        try:
            super().on_headers_complete()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
            self._refuse(400, "The request is not valid HTTP/1.1: its target is no path.")

    def _is_head_too_large(self) -> bool:
        """Counts a head that is complete; what came in one small read needs no counting."""
        if self._head_bytes < 0 and self._read_bytes <= limits.REQUEST_HEAD:
            return False
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > limits.REQUEST_HEAD

    def shutdown(self) -> None:
        """The server drains: idle connections close, the others after their answer."""
        if self._active is None:
            self.transport.close()
        else:
            self._active.keep_alive = False
            for cycle, _ in self.pipeline:
                cycle.keep_alive = False

    # -- refusals ----------------------------------------------------------------------------------------

    def _refuse(self, status: int, message: str, code: str = "bad_request") -> None:
        """Answers what is not a request, behind whatever is being answered, and closes."""
        if self._is_deaf:
            return
        problem = Problem(status, ErrorType.INVALID_REQUEST, message, code=code, should_retry=status in {408, 429})
        if self._active is None or self._active is self._incoming:
            lines = reply.identity(self.state.new_id(), keep_alive=False) + self.state.date
            form = FORMATS[doors.CHAT.dialect] if self._incoming is None else self._incoming.form
            content = form.error_body(problem, "")
            self.transport.write(reply.problem_answer(problem, status, lines, content))
            if self._incoming is not None:
                self._incoming.disconnected = True
            self._linger()
        else:
            # Answers are on their way: this one comes behind them, and the connection ends with it. What is wrong
            # with the body of a request that ASGI has already is told by ending the connection after its answer.
            if self._incoming is not None:
                self.pipeline.popleft()
                self._incoming = None
            if self._is_cold_open:
                last = self.pipeline[0][0] if self.pipeline else self._active
                last.keep_alive = False
            else:
                refused = Relay(self.state, self, doors.CHAT, {}, b"", keep_alive=False, chunked=True)
                refused.problem = problem
                self.pipeline.appendleft((refused, self.app))  # type: ignore[arg-type]
            self._is_deaf = True

    def _linger(self) -> None:
        """Reads and drops for a while, then closes: closing at once would destroy the answer on its way."""
        self._is_closing = self._is_deaf = True
        self._incoming = None
        self._active = None
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()


def _reason(error: httptools.HttpParserError) -> str:
    """Llhttp's reason without its code, fit to be shown."""
    text = str(error.__context__ or error)
    return "".join(char for char in text if char.isprintable())[:120] or "malformed"
