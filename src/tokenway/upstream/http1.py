"""One upstream connection: requests out, HTTP/1.1 answers in, parsed strictly by llhttp.

The life of a connection, where each arrow is a method of `Connection`:

    idle ──start──▶ waiting ──first byte──▶ head ──headers complete──▶ body ──end of answer──▶ idle
      │                │                      │                          │
      └── stray byte ──┴──── broken ──────────┴──── cancel, EOF ─────────┴──▶ closed

Rules that the code keeps:

1. An answer ends where its framing says, and nowhere else: a byte after it, in the same read, makes
   the answer a failure, unless another response begins there: that one nobody hears of, and it closes
   the connection. On an idle connection a byte closes it, also one that the kernel holds and the loop
   has not read yet, and so does one that comes before the request is written: it goes over a fresh one.
   So nothing sent before a request can pass for its answer. After a response that nobody asked for the
   pool uses no connection to this origin twice for a while (`Pool.distrust`).
2. The reader hears of an answer only after the whole socket read has been parsed, and of its end only
   when nothing followed. What one read brought whole it hears in one call.
3. A connection goes back to the pool before its reader hears of the end, so a call that the reader
   opens at once can use it.
4. The parser is kept over all answers of a connection. llhttp resets itself after a complete message;
   an answer that it could not complete itself (to HEAD, a body until close) is the connection's last.

llhttp rejects duplicate or malformed lengths, a length beside a transfer coding, folded lines, bare LF,
bad chunk sizes and spaces in names. What it does not reject is checked here and in `framing.py`: other
transfer codings, CR and LF after the end, a switch of protocols, heads and chunk extensions without end.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from tokenway.model.errors import WireError
from tokenway.model.faults import Fault
from tokenway.upstream import framing, inflate
from tokenway.upstream.base import Headers, Reader
from tokenway.upstream.call import Call, Owner
from tokenway.wire import limits

_IDLE: Final = 0
_WAITING: Final = 1
_HEAD: Final = 2
_BODY: Final = 3
_CLOSED: Final = 4

_CAPITAL_H: Final = 0x48
_FINISH_SECONDS: Final = 1.0
"""How long a finished stream may take to send the end of its framing before its connection is closed."""


class Connection(asyncio.Protocol):
    """One connection: writes one request at a time and tells the call's reader what comes back.

    The `on_…` methods are llhttp's callbacks; an exception in them ends the parsing of that read.
    """

    __slots__ = (
        "_call",
        "_complete",
        "_fields",
        "_finish_timer",
        "_framing",
        "_head_only",
        "_headers",
        "_keep",
        "_overhead",
        "_owner",
        "_parser",
        "_parts",
        "_reader",
        "_repeated",
        "_state",
        "_status",
        "_transport",
        "_unread",
        "_until_close_ended",
        "idle_since",
        "on_body",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._unread: Callable[[int], list[Any]] | None = None
        self._state = _IDLE
        self._call: Call | None = None
        self._reader: Reader | None = None
        self._headers: Headers | None = None
        self._fields: dict[bytes, bytes] = {}
        self._repeated: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._status = 0
        self._framing = framing.BY_LENGTH
        self._complete = False
        self._keep = False
        self._head_only = False
        self._overhead = 0
        self._finish_timer: asyncio.TimerHandle | None = None
        self._until_close_ended = False
        self.idle_since = 0.0
        # The list's own method is the callback: one Python frame less for each chunk.
        self.on_body = self._parts.append
        self._parser = HttpResponseParser(self)

    # ── What the pool and the call do ────────────────────────────────────────────────────────────

    @property
    def is_usable(self) -> bool:
        """Whether the connection is idle, nobody has begun to close it, and nothing waits to be read.

        The last is asked of the kernel (under a microsecond): bytes or an end that arrived in this turn
        of the loop would otherwise be taken for the answer to a request that was not yet written.
        """
        transport, unread = self._transport, self._unread
        return (
            self._state == _IDLE
            and transport is not None
            and not transport.is_closing()
            and (unread is None or not unread(0))
        )

    def start(self, call: Call) -> None:
        """Writes the call's request. The connection must be usable; `Reader.upstream_opened` is called."""
        transport, reader = self._transport, call.reader
        if transport is None or reader is None:
            return
        self._state = _WAITING
        self._call = call
        self._reader = reader
        call.connection = self
        request = call.request
        if type(request) is list:
            self._head_only = bytes(request[0][:5]) == b"HEAD "
            if sum(map(len, request)) <= limits.WRITE_HIGH:
                transport.write(b"".join(request))
            else:
                # uvloop hands the parts to the kernel as they are: a large body is not copied.
                transport.writelines(request)
        elif isinstance(request, bytes):
            self._head_only = request.startswith(b"HEAD ")
            transport.write(request)
        if not call.reused:
            call.request = b""
        if call.paused:
            transport.pause_reading()
        if not call.opened:
            call.opened = True
            reader.upstream_opened()

    def abort(self) -> None:
        """Closes at once; nobody hears of it."""
        if self._state == _IDLE:
            self._owner.forget(self)
        self._state = _CLOSED
        self._reader = None
        self._drop_call()
        if self._transport is not None:
            self._transport.abort()

    def discard(self) -> None:
        """Ends a connection whose dial was cancelled: uvloop then closes the socket without `connection_lost`."""
        self.abort()
        self._parser = None  # type: ignore[assignment]  # as in `connection_lost`
        self._owner.closed(self)

    def stop(self, detail: str) -> None:
        """Closes at once; a call under way fails with `detail`."""
        self._fail(Fault.RESET, detail)

    def pause(self) -> None:
        """Stops reading."""
        if self._state != _CLOSED and self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Reads again."""
        if self._state != _CLOSED and self._transport is not None:
            self._transport.resume_reading()

    def finish_early(self) -> bool:
        """Detaches the reader and waits for the end of the framing; False if the end can never come cleanly."""
        if self._state != _BODY or not self._keep:
            return False
        self._reader = None
        if not self._complete:
            self.resume()
            loop = asyncio.get_running_loop()
            self._finish_timer = loop.call_later(_FINISH_SECONDS, self.abort)
        return True

    # ── What the event loop does ─────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The dial succeeded, TLS included."""
        self._transport = transport  # type: ignore[assignment]  # a stream protocol is given a Transport
        self._owner.opened(self)
        peer = transport.get_extra_info("socket")
        if peer is not None and hasattr(select, "poll"):
            poll = select.poll()
            poll.register(peer.fileno(), select.POLLIN)
            self._unread = poll.poll
        if self._state == _CLOSED and self._transport is not None:
            self._transport.abort()  # cancelled in the last moment of the dial

    def data_received(self, data: bytes) -> None:
        """Parses one socket read and then tells the reader what it brought."""
        if self._state != _BODY and not self._expects(data):
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._broken(data, error)
            return
        parts, reader = self._parts, self._reader
        if len(parts) == 1 and reader is not None:
            headers = self._headers
            if headers is None:
                if not (self._complete or self._overhead):
                    reader.upstream_body(parts.pop())  # one more piece of a stream: nothing else can have happened
                    return
            elif self._complete and self._framing == framing.BY_LENGTH and data.endswith(parts[0]):
                self._headers = None
                self._free(is_clean=True)
                reader.upstream_answer(self._status, headers, parts.pop())
                return
        self._tell(data, "")

    def eof_received(self) -> bool:
        """The upstream sends no more: the transport closes itself, `connection_lost` sorts it out."""
        if self._state == _IDLE:
            self._owner.forget(self)
        elif self._state == _BODY and self._framing == framing.UNTIL_CLOSE:
            self._until_close_ended = True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: a call that still runs ends here, or starts again when nothing was lost."""
        state, call, reader = self._state, self._call, self._reader
        if state == _IDLE:
            self._owner.forget(self)
        self._state = _CLOSED
        self._parser = None  # type: ignore[assignment]  # it refers back to us, and nothing more is read
        self._unread = None
        self._reader = None
        self._drop_call()
        self._owner.closed(self)
        if call is None or reader is None:
            return
        if state == _WAITING and call.reused:
            self._owner.redial(call)
        elif exc is None and self._until_close_ended:
            call.reader = None
            reader.upstream_end()
        elif state == _BODY:
            call.fail(Fault.RESET, "The upstream closed the connection in the middle of its answer.")
        else:
            call.fail(Fault.RESET, "The upstream closed the connection without an answer.")

    # ── What the parser finds ────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """The first byte of a head; a second head after a complete answer is surplus."""
        if self._complete:
            raise WireError(framing.SURPLUS)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field of the head, or of the trailers, which nobody reads."""
        name = name.lower()
        if self._fields.setdefault(name, value) is not value:
            self._repeated.append((name, value))

    def on_headers_complete(self) -> None:
        """Decides how the answer is framed. Raises WireError for heads that cannot be trusted."""
        parser = self._parser
        status = parser.get_status_code()
        fields, repeated = self._fields, self._repeated
        if self._overhead > limits.RESPONSE_HEAD:
            framing.check_size(fields, repeated)
        self._fields = {}
        if repeated:
            self._repeated = []
        if status < 200:
            if status < 100 or status == 101:
                raise WireError(f"The upstream answered with status {status}, which nobody asked for.")
            return
        self._keep = parser.should_keep_alive()
        if not self._keep and parser.get_http_version() not in {"1.1", "1.0"}:
            raise WireError("The upstream does not speak HTTP/1.1.")
        self._framing = framing.framing_of(fields, repeated)
        if self._head_only or status in {204, 304}:
            self._framing = framing.NO_BODY
            self._complete = True
            # llhttp agrees about 204 and 304; an answer to HEAD leaves it waiting for a body.
            self._keep = self._keep and not self._head_only
        coding = fields.get(b"content-encoding")
        if (
            coding is not None
            and self._framing != framing.NO_BODY
            and self._reader is not None
            and self._call is not None
        ):
            self._reader = inflate.reader_of(coding, self._reader, self._call)
        self._status = status
        self._state = _BODY
        self._headers = Headers(fields, repeated)

    def on_message_complete(self) -> None:
        """The framing says that the answer is complete; an interim one (1xx) does not count."""
        if self._state == _BODY:
            self._complete = True

    # ── What follows from it ─────────────────────────────────────────────────────────────────────

    def _expects(self, data: bytes) -> bool:
        """Whether bytes may arrive outside a body: a head is awaited, and these can belong to one."""
        state = self._state
        if state == _WAITING:
            if data[0] != _CAPITAL_H:
                self._fail(Fault.FRAMING, "The upstream's answer is not HTTP/1.1.")
                return False
            self._state = _HEAD
            call = self._call
            if call is not None:
                if call.reused and self._transport is not None and self._transport.get_write_buffer_size():
                    self.abort()  # nobody can have answered what is not written yet, unless with a refusal
                    self._owner.redial(call)
                    return False
                call.request = b""  # an answer has begun: the request will not be sent again
        elif state != _HEAD:
            if state == _IDLE and framing.is_unasked(data):
                self._owner.distrust()
            self.abort()  # a stray byte on an idle connection, or late ones after the close
            return False
        self._overhead += len(data)
        return True

    def _broken(self, data: bytes, error: HttpParserError | HttpParserUpgrade) -> None:
        """The parser stopped: the answer is broken, or whole and followed by a response that nobody asked for."""
        whole = framing.before_next(self._framing, data, b"".join(self._parts)) if self._complete else None
        if whole is None:
            self._tell(data, framing.explain(error))
        else:
            self._keep = False
            self._owner.distrust()
            self._tell(whole, "")

    def _tell(self, data: bytes, broken: str) -> None:
        """Tells the reader what one read brought: head, payload, and the end, or why there is none."""
        if self._headers is not None and not self._tell_head(self._headers):
            return
        parts = self._parts
        body = b""
        if parts:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            self._overhead = 0
            reader = self._reader
            if reader is None:
                self.abort()  # finished early, and yet there is more
                return
            reader.upstream_body(body)
            if self._state == _CLOSED:
                return
        if broken:
            self._fail(Fault.FRAMING, broken)
        elif self._complete:
            self._finish(data, body)
        elif not body:
            self._count_overhead(len(data))

    def _tell_head(self, headers: Headers) -> bool:
        """Hands the head to the reader, once; False if the reader closed the connection in return."""
        self._headers = None
        if self._reader is not None:
            self._reader.upstream_head(self._status, headers)
        if self._framing == framing.NO_BODY and self._parts:
            self._parts.clear()
            self._fail(Fault.FRAMING, framing.SURPLUS)
        return self._state != _CLOSED

    def _count_overhead(self, size: int) -> None:
        """Bounds bytes that bring no payload: heads, chunk extensions and trailers without end."""
        if self._state == _BODY:
            self._overhead += size
        if self._overhead > limits.RESPONSE_HEAD:
            self._fail(Fault.FRAMING, framing.HEAD_TOO_LARGE)

    def _finish(self, data: bytes, body: bytes) -> None:
        """The answer is complete: checks that `data`, the last read, ends with it, and frees the connection."""
        ends = framing.ends_read(self._framing, data, body)
        if ends is False:
            self._fail(Fault.FRAMING, framing.SURPLUS)
            return
        reader = self._reader
        self._free(is_clean=ends is not None)
        if reader is not None:
            reader.upstream_end()

    def _free(self, *, is_clean: bool) -> None:
        """The call is over: the connection goes back to the pool, or is closed when it cannot be used again."""
        transport, call = self._transport, self._call
        self._reader = None
        self._drop_call()
        if call is not None:
            call.reader = None
            if call.paused:
                self.resume()
        if (
            is_clean
            and self._keep
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        ):
            self._state = _IDLE
            self._complete = False
            self._overhead = 0
            if self._fields:
                self._fields = {}
            if self._repeated:
                self._repeated = []
            self._owner.released(self)
        else:
            self.abort()

    def _fail(self, fault: Fault, detail: str) -> None:
        """Closes the connection and then tells the reader why."""
        call = self._call
        self.abort()
        if call is not None:
            call.fail(fault, detail)

    def _drop_call(self) -> None:
        """Lets go of the call, so that its handle cannot touch whatever the connection does next."""
        if self._call is not None:
            self._call.connection = None
            self._call = None
        if self._finish_timer is not None:
            self._finish_timer.cancel()
            self._finish_timer = None
