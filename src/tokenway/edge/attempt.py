"""One attempt's answer as it arrives: from a connection's calls to events for the exchange machine.

A stream is read by an `AnswerStream` of its dialect. Its first events go to the machine, which decides; after
`Splice` they go from here straight to the caller. Any other answer is gathered whole, because its head tells
what it cost.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from tokenway.dialects import embeddings
from tokenway.dialects.base import AnswerStream, Format, Maker, WholeAnswer
from tokenway.dialects.counting import read_count
from tokenway.dialects.gemini.request import EMBEDDINGS
from tokenway.dialects.side.passing import TEXT_TYPES
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.exchange.events import Look, UpstreamBytes, UpstreamEnd, UpstreamFailed, UpstreamHead, UpstreamOpen
from tokenway.model.catalog import Endpoint, Operation
from tokenway.model.errors import WireError
from tokenway.model.faults import Fault
from tokenway.model.usage import UNMETERED, Metered
from tokenway.upstream.base import Headers
from tokenway.wire.limits import ANSWER, ERROR_BODY

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay
    from tokenway.upstream.call import Call

log = logging.getLogger("tokenway.edge")

OK: Final = 200
MISTAKES: Final = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What code raises that meets a value it did not think of."""
JSON: Final = b"application/json"
_COUNT: Final = Operation.COUNT


def where(error: Exception) -> str:
    """What was raised and at which line; not its text, which can hold what a caller wrote."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"


class AttemptReader:
    """Reads one attempt for a relay; `call` is set by the relay when the connection's call exists."""

    call: Call | None = None
    endpoint: Endpoint
    """Where it is made; set by the relay."""
    answer: WholeAnswer | None = None
    body = b""
    content_type = b""
    lines = b""
    """Header lines about this attempt: its endpoint, what was dropped, what its provider wants to be known."""
    sent_at = head_at = first_byte_at = last_activity = 0.0
    """Monotonic seconds: when the request was handed over, the head and the first byte came, the answer last moved."""
    passed = 0
    """Bytes of the stream so far."""
    _is_spliced = False
    _is_over = False
    """Whether what follows in the body concerns nobody any more."""
    _reading: AnswerStream
    _write: Callable[[bytes], None]
    _status = 0
    _size = 0
    _headers: Headers | None = None

    def __init__(
        self, relay: Relay, number: int, form: Format, stream: AnswerStream | None, maker: Maker | None = None
    ) -> None:
        """`form` is the dialect of the answer; `maker` is given where it is not the caller's."""
        self.number = number
        self.form = form
        self._maker = maker
        self.stream = stream
        if stream is not None:
            self._reading = stream
        self._relay = relay
        self._parts: list[bytes] = []

    @property
    def is_translated(self) -> bool:
        """Whether the answer is converted to the caller's dialect."""
        return self._maker is not None

    # -- what the connection reports ---------------------------------------------------------------------

    def upstream_opened(self) -> None:
        """The request was handed to a connection."""
        now = self.sent_at = monotonic()
        self._relay.tell(UpstreamOpen(now, self.number))

    def upstream_head(self, status: int, headers: Headers) -> None:
        """Sorts heads: a success of the right type, or something whose body says what went wrong."""
        now = self.head_at = monotonic()
        if status != OK:
            self._status = status
            self._headers = headers
            if self.form.returned:
                self._return(headers)
            return
        self.content_type = headers.get(b"content-type") or b""
        if self.form.returned:
            self._return(headers)
        if self.stream is None:
            # The head of a whole answer decides nothing: the machine hears of it with its end.
            self._status = OK if self._is_whole_type(self.content_type.lower()) else 0
        elif self.stream.accepts(self.content_type.lower()):
            self._status = OK
            self._relay.tell(UpstreamHead(now, self.number, status))

    def _is_whole_type(self, content_type: bytes) -> bool:
        """Whether an answer of this media type is one of those that do not stream."""
        if b"json" in content_type:
            return True
        return self._relay.door.is_form and content_type.startswith(TEXT_TYPES)

    def upstream_body(self, data: bytes) -> None:
        """A piece of the answer."""
        if self._status == OK and self.stream is not None:
            self._first_pieces(self.stream, data)
            return
        if not self.first_byte_at:
            self.first_byte_at = monotonic()
        self._size += len(data)
        if self._status == OK:
            if self._size > ANSWER:
                self._break(Fault.TOO_LARGE, f"an answer of more than {ANSWER} bytes")
                return
        elif self._size > ERROR_BODY:
            if self._size - len(data) <= ERROR_BODY:
                self._fail_by_status()
            return
        self._parts.append(data)

    def upstream_end(self) -> None:
        """The body is complete."""
        if self._status != OK:
            self._fail_by_status()
        elif self.stream is not None:
            self._stream_ended(self.stream)
        else:
            self._read_whole(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))

    def upstream_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """All of it in one call: what is asked of a whole answer is read at once."""
        content_type = headers.get(b"content-type") or b""
        if self.stream is None and status == OK and (content_type == JSON or self._is_whole_type(content_type.lower())):
            self.content_type = content_type
            if self.form.returned:
                self._return(headers)
            self.head_at = self.first_byte_at = monotonic()
            self._read_whole(body)
        else:
            self.upstream_head(status, headers)
            self.upstream_body(body)
            if not self._is_over:
                self.upstream_end()

    def upstream_failed(self, fault: Fault, detail: str) -> None:
        """The connection broke."""
        stream = self.stream
        if stream is not None and stream.is_whole and fault in {Fault.RESET, Fault.FRAMING}:
            self._stream_ended(stream)
            return
        self._fail(fault, detail)

    # -- a stream ----------------------------------------------------------------------------------------

    def splice(self, write: Callable[[bytes], None]) -> None:
        """From here on whole events go to `write`, already cut into chunks of the caller's body where it has them."""
        self._write = write
        self._is_spliced = True
        # What the connection calls for each piece, without a frame or a question in between.
        self.upstream_body = self._pass_on  # type: ignore[method-assign]

    def release(self) -> None:
        """The exchange is over: lets go of what refers back here, so that nobody has to collect it."""
        if self._is_spliced:
            del self.upstream_body, self._write

    def ping(self) -> bytes:
        """What tells the caller of a converted stream that it goes on; empty for any other."""
        return self.stream.ping() if isinstance(self.stream, Translation) else b""

    def _pass_on(self, data: bytes) -> None:
        """A piece of a spliced stream: the hot path of the whole gateway."""
        stream = self._reading
        now = self.last_activity = monotonic()
        self.passed += len(data)
        try:
            out = stream.feed(data, now)
        except WireError as error:
            self._break(Fault.NOT_DIALECT, str(error))
            return
        except MISTAKES as error:
            self._misread(error)
            return
        if stream.is_calm:
            if out:
                self._write(out)
        elif stream.fault:
            if out:
                self._write(out)
            self._break(Fault.IN_BAND, stream.fault, stream.fault_event)
        else:
            self._done(stream, out)

    def _first_pieces(self, stream: AnswerStream, data: bytes) -> None:
        """A piece of a stream that the machine has not let through yet."""
        relay = self._relay
        now = self.last_activity = monotonic()
        self.passed += len(data)
        if not self.first_byte_at:
            self.first_byte_at = now
        try:
            out = stream.feed(data, now)
        except WireError as error:
            self._break(Fault.NOT_DIALECT, str(error))
            return
        except MISTAKES as error:
            self._misread(error)
            return
        if stream.is_calm:
            if out:
                relay.tell(UpstreamBytes(now, self.number, out))
        elif stream.fault:
            self._break(Fault.IN_BAND, stream.fault, stream.fault_event)
        else:
            self._done(stream, out)

    def _done(self, stream: AnswerStream, out: bytes) -> None:
        """The end mark came: the rest of the framing is the connection's own affair."""
        self._is_over = True
        if self.call is not None:
            self.call.finish_early()
        metered = stream.metered
        relay = self._relay
        relay.tell(UpstreamEnd(monotonic(), self.number, out, metered.usage, metered.is_absurd))

    def _stream_ended(self, stream: AnswerStream) -> None:
        """The body ended without the end mark: whole if every choice had finished."""
        try:
            out = stream.finish()
        except WireError as error:
            self._fail(Fault.NOT_DIALECT, str(error))
            return
        except MISTAKES as error:
            self._misread(error)
            return
        if stream.fault:
            self._fail(Fault.IN_BAND, stream.fault, stream.fault_event)
        elif stream.is_whole:
            metered = stream.metered
            relay = self._relay
            relay.tell(UpstreamEnd(monotonic(), self.number, out, metered.usage, metered.is_absurd))
        else:
            self._fail(Fault.CUT, "")

    # -- a whole answer ----------------------------------------------------------------------------------

    def _read_whole(self, body: bytes) -> None:
        relay = self._relay
        self._parts.clear()
        try:
            if self._maker is not None:
                answer, body = self._translated(body, self._maker)
                self.content_type = JSON
            elif relay.door.operation is _COUNT:
                answer = read_count(self.form.dialect, body)
            else:
                answer = self.form.read_whole(relay.door.operation, body)
        except WireError as error:
            self._fail(Fault.NOT_DIALECT, str(error))
            return
        except MISTAKES as error:
            self._misread(error)
            return
        self.answer = answer
        self.body = body
        metered = answer.metered
        relay.take_whole(UpstreamEnd(monotonic(), self.number, b"", metered.usage, metered.is_absurd))

    def _translated(self, body: bytes, maker: Maker) -> tuple[WholeAnswer, bytes]:
        if maker.request.operation in EMBEDDINGS:
            form = embeddings.form_of(self.form.dialect, self._relay.route.quirks_of(self.endpoint))
            return embeddings.translate(maker.request, form, body)
        return translate_answer(self.form, self._relay.form, body, maker)

    # -- failures ----------------------------------------------------------------------------------------

    def _misread(self, error: Exception) -> None:
        """A mistake of ours in reading: the caller is told as of an answer that is none, and the log has the place."""
        more = {"exchange": self._relay.id, "endpoint": self.endpoint.id, "mistake": where(error)}
        log.error("an answer could not be read", extra=more)
        self._break(Fault.NOT_DIALECT, "it could not be converted")

    def _break(self, fault: Fault, detail: str, body: bytes = b"") -> None:
        """What arrived cannot be used: the connection is given up as well."""
        self._is_over = True
        if self.call is not None:
            self.call.cancel()
        self._fail(fault, detail, body)

    def _fail(self, fault: Fault, detail: str, body: bytes = b"") -> None:
        relay = self._relay
        metered = self.metered
        relay.tell(
            UpstreamFailed(
                monotonic(),
                self.number,
                fault,
                detail,
                body=body,
                usage=metered.usage,
                dice=relay.dice(),
                absurd=metered.is_absurd,
            )
        )

    def look(self, last_activity: float) -> Look:
        """How the attempt stands; `last_activity` is when it last moved, or counts as having done so."""
        stream, metered = self.stream, self.metered
        # A translated stream can have begun before there is anything to forward: a call that is written whole.
        has_text = stream is not None and stream.first_delta > 0.0
        return Look(has_text, last_activity, metered.usage, metered.is_absurd)

    @property
    def metered(self) -> Metered:
        """What the provider has counted so far."""
        if self.stream is not None:
            return self.stream.metered
        return self.answer.metered if self.answer is not None else UNMETERED

    def _fail_by_status(self) -> None:
        """A status or a type that is no answer: reads what the upstream says about it."""
        body = b"".join(self._parts)
        self._parts.clear()
        headers = self._headers
        status = self._status
        if status == 0 or status < 400:
            what = f"status {status}" if status else f"the type {self.content_type[:80].decode('latin-1') or 'none'}"
            self._break(Fault.NOT_DIALECT, f"{what} instead of an answer")
            return
        if self._size > ERROR_BODY and self.call is not None:
            self._is_over = True
            self.call.cancel()
        said = self.form.read_error(status, body)
        after = _retry_after(headers)
        relay = self._relay
        relay.tell(
            UpstreamFailed(
                monotonic(),
                self.number,
                Fault.STATUS,
                said.message,
                status,
                said.code,
                said.retry_after if after is None else after,
                _should_retry(headers),
                body if said.is_ours and self._maker is None else b"",
                dice=relay.dice(),
            )
        )

    def _return(self, headers: Headers) -> None:
        """Keeps what the provider tells a caller of its own dialect in headers."""
        if self._maker is None:
            found = headers.beginning(self.form.returned)
            if found:
                self.lines += b"".join([b"%b: %b\r\n" % (name, value.strip()) for name, value in found])


def _retry_after(headers: Headers | None) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; a date or nonsense counts as none given."""
    if headers is None:
        return None
    for name, unit in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = headers.get(name)
        if value is not None:
            try:
                seconds = float(value) * unit
            except ValueError:
                continue
            if 0.0 <= seconds < 1e6:
                return seconds
    return None


def _should_retry(headers: Headers | None) -> bool | None:
    value = headers.get(b"x-should-retry") if headers is not None else None
    return {b"true": True, b"false": False}.get(value.lower()) if value is not None else None
