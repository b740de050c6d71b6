"""Answers of the side endpoints as they pass.

operation                whole answer                       stream
moderation               JSON with `results`                -
image, edit, variation   JSON with `data`, often a usage    partial images, then one event of the whole
speech                   -                                  sound as it comes, or events with `stream_format: sse`
transcription            JSON with `text`, or plain text    pieces of text, then one event of the whole
translation              the same                           -
rerank                   JSON with `results` (Cohere, Jina) or `data` (Voyage)
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, WholeAnswer, fault_text
from tokenway.dialects.passing import Pace, PassingStream, not_of_dialect
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, TOKENS_BELIEVABLE, UNMETERED, Metered, Tokens, Usage
from tokenway.wire.sse import event_data

_IMAGES: Final = frozenset({Operation.IMAGE, Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION})
_TEXTS: Final = frozenset({Operation.TRANSCRIPTION, Operation.TRANSLATION})
TEXT_TYPES: Final = (b"text/plain", b"text/vtt", b"application/x-subrip", b"text/srt")
"""Media types of a transcription that is no JSON."""
_LISTS: Final[dict[Operation, tuple[str, ...]]] = {
    Operation.MODERATION: ("results",),
    Operation.RERANK: ("results", "data"),
} | dict.fromkeys(_IMAGES, ("data",))


class InputDetails(msgspec.Struct, gc=False):
    """Parts of the input tokens."""

    image_tokens: Tokens | None = 0
    audio_tokens: Tokens | None = 0
    cached_tokens: Tokens | None = 0


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output tokens."""

    text_tokens: Tokens | None = None


class SideUsage(msgspec.Struct, gc=False):
    """`usage` as these endpoints write it; only `total_tokens` for rerank."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    prompt_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    input_tokens_details: InputDetails | None = None
    input_token_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class BilledUnits(msgspec.Struct, gc=False):
    """What Cohere bills: whole searches, which it writes as `1` or `1.0`."""

    search_units: Tokens | float | None = None


class Meta(msgspec.Struct, gc=False):
    """Cohere's `meta`."""

    billed_units: BilledUnits | None = None


class SideAnswer(msgspec.Struct):
    """A whole answer, or one event of a stream."""

    type: Any = None
    results: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    text: Any = None
    usage: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    error: Any = None


_decode: Final = msgspec.json.Decoder(SideAnswer).decode
_decode_usage: Final = msgspec.json.Decoder(SideUsage | None).decode
_decode_meta: Final = msgspec.json.Decoder(Meta | None).decode


def meter(operation: Operation, answer: SideAnswer) -> Metered:
    """The usage of an answer or event."""
    if answer.meta:
        searches = _searches(answer.meta)
        if searches.given:
            return searches
    if not answer.usage:
        return UNMETERED
    try:
        fields = _decode_usage(answer.usage)
    except UNREADABLE:
        return ABSURD
    return UNMETERED if fields is None else buckets(operation, fields)


def _searches(meta: msgspec.Raw) -> Metered:
    """The searches that were billed."""
    try:
        told = _decode_meta(meta)
    except UNREADABLE:
        return ABSURD
    units = told.billed_units.search_units if told is not None and told.billed_units is not None else None
    if units is None:
        return UNMETERED
    if units != int(units) or not 0 <= units <= TOKENS_BELIEVABLE:
        return ABSURD
    return Metered(given=True, usage=Usage(searches=int(units)))


def buckets(operation: Operation, fields: SideUsage) -> Metered:
    """Totals to disjoint buckets; a usage without any count of tokens (one of seconds) is none."""
    given = fields.input_tokens if fields.input_tokens is not None else fields.prompt_tokens
    came_in = given if given is not None else fields.total_tokens
    if came_in is None:
        return UNMETERED
    details = fields.input_tokens_details or fields.input_token_details or InputDetails()
    images, sound, cached = details.image_tokens or 0, details.audio_tokens or 0, details.cached_tokens or 0
    rest = came_in - images - sound - cached
    out = fields.output_tokens or 0
    text = out if operation not in _IMAGES else 0
    if fields.output_tokens_details is not None and fields.output_tokens_details.text_tokens is not None:
        text = fields.output_tokens_details.text_tokens
    if rest < 0 or text > out:
        return ABSURD
    usage = Usage(
        input_uncached=rest, cache_read=cached, audio_in=sound, image_in=images, output_text=text, image_out=out - text
    )
    return Metered(given=True, usage=usage)


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:
    """A whole answer with status 200; raises WireError when it is not one of this operation."""
    if operation in _TEXTS and not body.lstrip().startswith(b"{"):
        return WholeAnswer(UNMETERED, "")
    try:
        answer = _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this operation: {error}") from None
    if answer.error:
        raise WireError(f"an error came with status 200: {fault_text(answer.error)}")
    wanted = _LISTS.get(operation)
    if wanted is None:
        is_answer = isinstance(answer.text, str)
    else:
        is_answer = any(getattr(answer, name) is not None for name in wanted)
    if not is_answer:
        raise WireError("the answer is not one of this operation")
    return WholeAnswer(meter(operation, answer), "", bytes(answer.usage))


class PassingEvents(PassingStream):
    """Images, text or sound in events: the event that completes them is held back until the exchange is settled."""

    __slots__ = ("_held", "_operation")

    MARKS = (b"completed", b".done", b'"error"', b'"usage"', b"[DONE]")

    def __init__(self, operation: Operation) -> None:
        super().__init__()
        self._operation = operation
        self._held = b""

    @property
    def is_whole(self) -> bool:
        """Whether the event came that completes the answer."""
        return bool(self._held)

    def tail(self, cost: bytes, extra: bytes) -> bytes:  # noqa: ARG002 - these events have no room for them
        """The last event."""
        return self._held

    def _is_entire(self, data: bytes) -> bool:
        try:
            _decode(data)
        except UNREADABLE:
            return False
        return True

    def _admit(self, event: bytes, now: float) -> bool:
        if self.fault:
            return False
        data = event_data(event)
        if data is None or not data.strip():
            return True
        if data.startswith(b"[DONE]"):
            self._held += event
            return False
        try:
            told = _decode(data)
        except UNREADABLE as error:
            raise not_of_dialect(error) from None
        if told.error:
            self._fail(event, fault_text(told.error))
            return False
        metered = meter(self._operation, told)
        if metered.given:
            self.metered = metered
        kind = told.type if isinstance(told.type, str) else ""
        if kind.endswith((".completed", ".done")):
            self._held += event
            return False
        self.stamp_text(now, answer=True)
        self._is_quick = True
        return True


class PassingBytes(Pace):
    """Sound as it comes. It says nothing of its end or its usage: the framing tells whether it is whole."""

    __slots__ = ("_has_ended", "fault", "fault_event", "finish_reason", "is_calm", "metered")

    def __init__(self) -> None:
        super().__init__()
        self._has_ended = False
        self.is_calm = True
        self.fault = ""
        self.fault_event = b""
        self.finish_reason = ""
        self.metered = UNMETERED

    @property
    def is_whole(self) -> bool:
        """Whether the body has ended well, with anything in it: that is the end of the sound, and nothing else is."""
        return self._has_ended and self.first_delta > 0.0

    @staticmethod
    def accepts(content_type: bytes) -> bool:
        """Whether an answer of this type is one: anything that is not a message about something else."""
        return not content_type.startswith((b"application/json", b"text/html", b"text/event-stream"))

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes as they are."""
        self.stamp_text(now, answer=True)
        return data

    def finish(self) -> bytes:
        """Nothing is left."""
        self._has_ended = True
        return b""

    @staticmethod
    def tail(cost: bytes, extra: bytes) -> bytes:  # noqa: ARG004 - sound has no room for them
        """Nothing ends it but the end."""
        return b""
