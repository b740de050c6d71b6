"""One attempt's answer as it arrives: from a connection's calls to events for the exchange machine.

A stream is read by an `AnswerStream` of its dialect. Its first events go to the machine, which decides; after
`Splice` they go from here straight to the caller. Any other answer is gathered whole, because its head tells
what it cost.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from math import inf
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from tokenway.dialects import embeddings
from tokenway.dialects.base import AnswerStream, Format, Maker, WholeAnswer
from tokenway.dialects.counting import read_count
from tokenway.dialects.gather import Gathering
from tokenway.dialects.gemini.request import EMBEDDINGS
from tokenway.dialects.resume import Sent
from tokenway.dialects.side.passing import TEXT_TYPES
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.edge.fleet import Trip
from tokenway.edge.mistakes import MISTAKES, where
from tokenway.exchange.events import (
    Look,
    UpstreamBytes,
    UpstreamEnd,
    UpstreamFailed,
    UpstreamHead,
    UpstreamOpen,
    UpstreamText,
)
from tokenway.model.catalog import Endpoint, Operation
from tokenway.model.errors import WireError
from tokenway.model.faults import Fault
from tokenway.model.usage import UNMETERED, Metered
from tokenway.routing.hints import NONE, Hints, read_hints
from tokenway.upstream.base import Headers
from tokenway.wire.limits import ANSWER, ERROR_BODY

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay
    from tokenway.upstream.call import Call

log = logging.getLogger("tokenway.edge")

OK: Final = 200
JSON: Final = b"application/json"
PIECE: Final = 64
"""Bytes that come at once, from which on an answer moves whatever they are: half a line of a picture, say."""
_COUNT: Final = Operation.COUNT


def moves(data: bytes) -> bool:
    """Whether a piece of an answer is a sign of life, even if nothing can be forwarded for it yet.

    An answer whose bytes come one by one stands still until there is a line of it.
    """
    return len(data) >= PIECE or b"\n" in data or b"\r" in data


class AttemptReader:
    """Reads one attempt for a relay; `call` is set by the relay when the connection's call exists."""

    call: Call | None = None
    endpoint: Endpoint
    """Where it is made; set by the relay."""
    credential = 0
    """The number of the provider's key that it is made with."""
    is_crossing = False
    """Whether the endpoint is asked in another dialect, or for what the caller has not asked for itself."""
    sent: Sent | None = None
    """What the caller has of the answer that it goes on with."""
    trip: Trip | None = None
    """What keeps count of it; set by the relay."""
    hints: Hints = NONE
    answer: WholeAnswer | None = None
    body = b""
    content_type = b""
    lines = b""
    """Header lines about this attempt: its endpoint, what was dropped, what its provider wants to be known."""
    begun_at = sent_at = head_at = first_byte_at = last_activity = ended_at = 0.0
    """Monotonic seconds: when it was begun, the request was handed over, the head and the first byte came, the answer
    last moved, and when it was over where it did not answer."""
    is_watched = False
    """Whether something follows from its speed while it streams."""
    waits_for_text = False
    """Whether nothing is forwarded before its first text: that decides a race, and a beginning does not."""
    _early = b""
    """What came before it."""
    passed = 0
    """Bytes of the stream since its first text came; once it is spliced, only where it is watched."""
    seen = 0
    """Bytes of the stream that have come."""
    code = ""
    """The code of an error that came as its answer."""
    _is_spliced = False
    _has_begun = False
    """Whether there is anything yet of a whole answer."""
    _is_over = False
    """Whether what follows in the body concerns nobody any more."""
    _reading: AnswerStream
    _write: Callable[[bytes], None]
    _status = 0
    _size = 0
    _held: list[bytes] | None = None
    """What comes while it is frozen."""
    _ending: Callable[[], None] | None = None
    """How it ended meanwhile."""
    _resumed_at = 0.0
    _resumed_with = 0
    """When the caller began to read again, and how many bytes had passed by then."""
    _speeds: deque[tuple[float, int]] | None = None
    """When its speed was looked at, and how many bytes had passed by then."""

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
    def is_whole(self) -> bool:
        """Whether the answer goes to its caller in one piece."""
        return self.stream is None or isinstance(self.stream, Gathering)

    @property
    def counted(self) -> int:
        """Bytes of the stream since its first text came; 0 where not all of them were counted."""
        return self.passed if self.is_watched or not self._is_spliced else 0

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
            self.hints = read_hints(headers, time())
            if self.form.returned:
                self._return(headers)
            return
        self.content_type = headers.get(b"content-type") or b""
        if self.trip is not None:
            self.trip.answered(now, headers, time())
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
        now = monotonic()
        if not self.first_byte_at:
            self.first_byte_at = now
        self._size += len(data)
        if self._status == OK:
            self._note_whole(data, now)
            if self._size > ANSWER:
                self._break(Fault.TOO_LARGE, f"an answer of more than {ANSWER} bytes")
                return
        elif self._size > ERROR_BODY:
            if self._size - len(data) <= ERROR_BODY:
                self._fail_by_status()
            return
        self._parts.append(data)

    def _note_whole(self, data: bytes, now: float) -> None:
        """A piece of a whole answer: from its first character on it may not stand still.

        White space before that keeps a connection alive while the model is still at work.
        """
        if moves(data):
            self.last_activity = now
        if not self._has_begun and not data.isspace():
            self._has_begun = True
            self.last_activity = now
            self._relay.tell(UpstreamHead(now, self.number, OK))

    def upstream_end(self) -> None:
        """The body is complete."""
        if self._held is not None:
            self._ending = self.upstream_end
        elif self._status != OK:
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
            if self.trip is not None:
                self.trip.answered(self.head_at, headers, time())
            self._read_whole(body)
        else:
            self.upstream_head(status, headers)
            self.upstream_body(body)
            if not self._is_over:
                self.upstream_end()

    def upstream_failed(self, fault: Fault, detail: str) -> None:
        """The connection broke."""
        stream = self.stream
        if self._held is not None:
            self._ending = partial(self.upstream_failed, fault, detail)
            return
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
        self.upstream_body = self._count_and_pass if self.is_watched else self._pass_on  # type: ignore[method-assign]

    def _count_and_pass(self, data: bytes) -> None:
        """A piece of a spliced stream whose speed is looked at."""
        self.passed += len(data)
        self._pass_on(data)

    def release(self) -> None:
        """The exchange is over: lets go of what refers back here, so that nobody has to collect it."""
        if self._is_spliced:
            del self._write
        self.__dict__.pop("upstream_body", None)

    def freeze(self) -> None:
        """Forwards nothing from here on, and reads no more than it has to."""
        self._held = []
        self.upstream_body = self._held.append  # type: ignore[method-assign, assignment]
        if self.call is not None:
            self.call.pause()

    def resume(self) -> None:
        """The caller reads again: its pause was no silence of the upstream's."""
        self._resumed_at = self.last_activity = monotonic()
        self._resumed_with = self.passed
        self._speeds = None
        if self.call is not None and self._held is None:
            self.call.resume()

    def thaw(self) -> None:
        """Goes on where it was frozen."""
        held, self._held = self._held, None
        self.splice(self._write)
        for data in held or ():
            if not self._is_over:
                self.upstream_body(data)
        ending, self._ending = self._ending, None
        if self._is_over:
            return
        if ending is not None:
            ending()
        else:
            self.resume()

    def ping(self) -> bytes:
        """What tells the caller of a converted stream that it goes on; empty for any other."""
        return self.stream.ping() if isinstance(self.stream, Translation) else b""

    def _pass_on(self, data: bytes) -> None:
        """A piece of a spliced stream: the hot path of the whole gateway."""
        self.seen += len(data)
        stream = self._reading
        now = monotonic()
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
                self.last_activity = now
                self._write(out)
            elif moves(data):
                self.last_activity = now
        elif stream.fault:
            if out:
                self._write(out)
            self._break(Fault.IN_BAND, stream.fault, stream.fault_event)
        else:
            self._done(stream, out)

    def _first_pieces(self, stream: AnswerStream, data: bytes) -> None:
        """A piece of a stream that the machine has not let through yet."""
        self.seen += len(data)
        relay = self._relay
        now = monotonic()
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
        if stream.first_delta:
            self.passed += len(data)
        if out or stream.first_delta == now or moves(data):
            self.last_activity = now
        if out and self.waits_for_text and not stream.first_delta:
            self._early += out
            out = b""
        if stream.is_calm:
            if out:
                relay.tell(UpstreamBytes(now, self.number, self._take_early(out)))
            elif stream.first_delta == now and isinstance(stream, Gathering):
                relay.tell(UpstreamText(now, self.number))
        elif stream.fault:
            self._break(Fault.IN_BAND, stream.fault, stream.fault_event)
        else:
            self._done(stream, out)

    def _take_early(self, out: bytes) -> bytes:
        """What is to be forwarded, behind what had to wait for it."""
        early, self._early = self._early, b""
        return early + out if early else out

    def _done(self, stream: AnswerStream, out: bytes) -> None:
        """The end mark came: the rest of the framing is the connection's own affair."""
        self._is_over = True
        if self.call is not None:
            self.call.finish_early()
        self._whole(stream, out)

    def _whole(self, stream: AnswerStream, out: bytes) -> None:
        """The answer is complete, with `out` as what was not yet forwarded of it."""
        relay = self._relay
        metered = stream.metered
        out = self._take_early(out)
        if isinstance(stream, Gathering):
            try:
                self.answer, self.body = stream.whole()
            except MISTAKES as error:
                self._misread(error)
                return
            self.content_type = JSON
            relay.take_whole(UpstreamEnd(monotonic(), self.number, b"", metered.usage, metered.is_absurd))
        else:
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
            self._whole(stream, out)
        else:
            self._fail(Fault.CUT, "")

    def ends_by_silence(self, moved_at: float, now: float, limit: float) -> bool:
        """Whether the answer has its reason to stop, and its end mark has been awaited for `limit` seconds."""
        stream = self.stream
        return stream is not None and not self._is_over and stream.is_whole and now - moved_at >= limit

    def end(self) -> None:
        """The answer is whole, and nothing that would still come is waited for."""
        if self.stream is not None:
            self._is_over = True
            if self.call is not None:
                self.call.cancel()
            self._stream_ended(self.stream)

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
        now = monotonic()
        relay.tell(
            UpstreamFailed(
                now,
                self.number,
                fault,
                detail,
                body=body,
                usage=metered.usage,
                dice=relay.dice(),
                absurd=metered.is_absurd,
                shown=relay.shown_of(self),
                may_retry=relay.may_retry(now),
            )
        )

    def look(self, last_activity: float) -> Look:
        """How the attempt stands; `last_activity` is when it last moved, or counts as having done so."""
        stream, metered = self.stream, self.metered
        # A translated stream can have begun before there is anything to forward: a call that is written whole.
        has_text = self._has_begun if stream is None else stream.first_delta > 0.0
        return Look(has_text, last_activity, metered.usage, metered.is_absurd)

    def speed(self, now: float, window: float, sent_per_token: float) -> float:
        """Tokens per second over the last `window` seconds, as far as bytes tell; `inf` before there were so many."""
        stream, speeds = self.stream, self._speeds
        if stream is None or not stream.first_delta:
            return inf
        if speeds is None:
            speeds = self._speeds = deque([(max(stream.first_delta, self._resumed_at), self._resumed_with)])
        speeds.append((now, self.passed))
        while len(speeds) > 2 and speeds[1][0] <= now - window:
            speeds.popleft()
        begun, before = speeds[0]
        if now - begun < window:
            return inf
        return (self.passed - before) / sent_per_token / (now - begun)

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
        status = self._status
        if status == 0 or status < 400:
            what = f"status {status}" if status else f"the type {self.content_type[:80].decode('latin-1') or 'none'}"
            self._break(Fault.NOT_DIALECT, f"{what} instead of an answer")
            return
        if self._size > ERROR_BODY and self.call is not None:
            self._is_over = True
            self.call.cancel()
        said = self.form.read_error(status, body)
        self.code = said.code
        after = self.hints.retry_after
        relay = self._relay
        now = monotonic()
        relay.tell(
            UpstreamFailed(
                now,
                self.number,
                Fault.STATUS,
                said.message,
                status,
                said.code,
                said.retry_after if after is None else after,
                self.hints.should_retry,
                body if said.is_ours and not self.is_crossing else b"",
                dice=relay.dice(),
                may_retry=relay.may_retry(now),
            )
        )

    def _return(self, headers: Headers) -> None:
        """Keeps what the provider tells a caller of its own dialect in headers."""
        if not self.is_crossing:
            found = headers.beginning(self.form.returned)
            if found:
                self.lines += b"".join([b"%b: %b\r\n" % (name, value.strip()) for name, value in found])
