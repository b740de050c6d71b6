"""Answers of the side endpoints as they pass.

operation                whole answer                       stream
moderation               JSON with `results`                -
image, edit, variation   JSON with `data`, often a usage    partial images, then one event of the whole
speech                   -                                  sound as it comes, or events with `stream_format: sse`
transcription            JSON with `text`, or plain text    pieces of text, then one event of the whole
translation              the same                           -
rerank                   JSON with `results` (Cohere, Jina) or `data` (Voyage)

What is sold by the piece is counted as well, whatever the usage says of tokens: images that are there, the length of
the sound where the answer tells it, and the characters of a text whose sound has arrived to its end.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, WholeAnswer, fault_text
from tokenway.dialects.passing import Pace, PassingStream, not_of_dialect
from tokenway.model.catalog import HEARING, PICTURES, Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import ABSURD, SOUND_BELIEVABLE_MS, TOKENS_BELIEVABLE, UNMETERED, Metered, Tokens, Usage
from tokenway.wire.sse import event_data

TEXT_TYPES: Final = (b"text/plain", b"text/vtt", b"application/x-subrip", b"text/srt")
"""Media types of a transcription that is no JSON."""
_LISTS: Final[dict[Operation, tuple[str, ...]]] = {
    Operation.MODERATION: ("results",),
    Operation.RERANK: ("results", "data"),
} | dict.fromkeys(PICTURES, ("data",))


class InputDetails(msgspec.Struct, gc=False):
    """Parts of the input tokens."""

    image_tokens: Tokens | None = 0
    audio_tokens: Tokens | None = 0
    cached_tokens: Tokens | None = 0


class OutputDetails(msgspec.Struct, gc=False):
    """Parts of the output tokens."""

    text_tokens: Tokens | None = None


class SideUsage(msgspec.Struct, gc=False):
    """`usage` as these endpoints write it; only `total_tokens` for rerank, and for sound its length in seconds."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    input_tokens_details: InputDetails | None = None
    input_token_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    seconds: float | None = None
    prompt_audio_seconds: float | None = None


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
    duration: Any = None
    usage: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    error: Any = None


_decode: Final = msgspec.json.Decoder(SideAnswer).decode
_decode_usage: Final = msgspec.json.Decoder(SideUsage | None).decode
_decode_meta: Final = msgspec.json.Decoder(Meta | None).decode


def meter(operation: Operation, answer: SideAnswer) -> Metered:
    """The usage of an answer or event: its tokens, and what else there is of it."""
    if answer.meta:
        searches = _searches(answer.meta)
        if searches.given:
            return searches
    try:
        fields = _decode_usage(answer.usage) if answer.usage else None
        told = UNMETERED if fields is None else buckets(operation, fields)
        heard = _sound_ms(answer, fields) if operation in HEARING else 0
    except (*UNREADABLE, TypeError, ValueError, OverflowError):
        return ABSURD
    images = _images(answer) if operation in PICTURES else 0
    if told.is_absurd or not (images or heard):
        return told
    return Metered(given=True, usage=msgspec.structs.replace(told.usage or Usage(), images=images, sound_ms=heard))


def _images(answer: SideAnswer) -> int:
    """How many images are in an answer, or in the event that brings a whole one."""
    if answer.data is not None:
        return len(answer.data)
    return 1 if isinstance(answer.type, str) and answer.type.endswith(".completed") else 0


def _sound_ms(answer: SideAnswer, fields: SideUsage | None) -> int:
    """How long the sound is that was heard, zero where nothing says so.

    What is billed goes before what was measured. Raises TypeError, ValueError or OverflowError for what is no length
    that can be.
    """
    seconds = answer.duration
    if fields is not None:
        billed = fields.seconds if fields.seconds is not None else fields.prompt_audio_seconds
        seconds = seconds if billed is None else billed
    length = 0.0 if seconds is None else float(seconds) * 1000
    if not 0.0 <= length <= SOUND_BELIEVABLE_MS:
        raise ValueError("no sound is so long")
    return round(length)


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
    """Totals to disjoint buckets; a usage without any count of tokens is none."""
    given = fields.input_tokens if fields.input_tokens is not None else fields.prompt_tokens
    came_in = given if given is not None else fields.total_tokens
    if came_in is None:
        return UNMETERED
    details = fields.input_tokens_details or fields.input_token_details or InputDetails()
    images, sound, cached = details.image_tokens or 0, details.audio_tokens or 0, details.cached_tokens or 0
    rest = came_in - images - sound - cached
    out = fields.output_tokens or fields.completion_tokens or 0
    text = out if operation not in PICTURES else 0
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
    if operation in HEARING and not body.lstrip().startswith(b"{"):
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

    __slots__ = ("_characters", "_held", "_operation")

    MARKS = (b"completed", b".done", b'"error"', b'"usage"', b"[DONE]")

    def __init__(self, operation: Operation, characters: int = 0) -> None:
        """`characters` is how many are to be spoken."""
        super().__init__()
        self._operation = operation
        self._characters = characters
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
        kind = told.type if isinstance(told.type, str) else ""
        is_end = kind.endswith((".completed", ".done"))
        self._count(meter(self._operation, told), self._characters if is_end else 0)
        if is_end:
            self._held += event
            return False
        self.stamp_text(now, answer=True)
        self._is_quick = True
        return True

    def _count(self, metered: Metered, characters: int) -> None:
        """Takes what an event tells: the tokens of the last one that has any, and the images of all of them."""
        had = self.metered.usage
        usage = metered.usage
        if characters:
            usage = msgspec.structs.replace(usage or Usage(), characters=characters)
        if usage is not None and had is not None:
            usage = msgspec.structs.replace(usage, images=usage.images + had.images)
        if usage is not None or metered.given:
            self.metered = ABSURD if metered.is_absurd else Metered(given=True, usage=usage)


class PassingBytes(Pace):
    """Sound as it comes. It says nothing of its end or its usage: the framing tells whether it is whole."""

    __slots__ = ("_characters", "_has_ended", "fault", "fault_event", "finish_reason", "is_calm", "metered")

    def __init__(self, characters: int = 0) -> None:
        """`characters` is how many are to be spoken."""
        super().__init__()
        self._characters = characters
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
        """Nothing is left, and what was to be spoken has been."""
        self._has_ended = True
        if self._characters and self.is_whole:
            self.metered = Metered(given=True, usage=Usage(characters=self._characters))
        return b""

    @staticmethod
    def tail(cost: bytes, extra: bytes) -> bytes:  # noqa: ARG004 - sound has no room for them
        """Nothing ends it but the end."""
        return b""
