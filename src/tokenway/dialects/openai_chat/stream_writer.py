"""Writes neutral events as a stream of the OpenAI chat dialect: parts in, chunks out.

    state      event        what is written
    NEW        Started      OPEN; for each choice a chunk with its role
    OPEN       Opened       a tool call's id and name; nothing for other parts
    OPEN       Added        its delta: `content`, `refusal`, a call's arguments, or reasoning in both its fields
    OPEN       Closed       a signature or a seal in `reasoning_details`, Google's at its tool call; else nothing
    OPEN       Whole        `images`, `audio`, or a sealed reasoning; nothing for what has no place here
    OPEN       Cited        an annotation
    OPEN       Logprobs     a chunk that adds nothing but them
    OPEN       Finished     nothing yet: kept for `tail`, so that the end comes after the exchange is settled
    any        Counted      nothing yet: as Finished
    any        Ping         a comment
    any        Failed       nothing: the error's event is written by `error.error_event`
    any        Ended        nothing

Anything else is a WireError. `tail` writes the finish of each choice, the usage where it was asked for, and `[DONE]`.

OpenAI's SDKs add chunks up by rules of their own (openai-python, `lib/streaming/_deltas.py`): lists by the `index` of
their items, texts by appending, `type` by replacing. So every item of a list has an index, tool calls are counted
among themselves, and what must not be doubled (`format`, `id`) is said once for each item.
Source: OpenAI API reference, "The chat completion chunk object".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.answer import (
    annotation,
    audio,
    details_from,
    explanation,
    finish_members,
    image,
    signature,
)
from tokenway.dialects.openai_chat.passing import END
from tokenway.dialects.openai_chat.schema import usage_object
from tokenway.dialects.openai_chat.words import ENCRYPTED, SUMMARY, TEXT
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Media, MediaKind, Reasoning
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.sse import one_line

_encode: Final = msgspec.json.encode

_TEXT: Final = PartKind.TEXT
_REASONING: Final = PartKind.REASONING
_REFUSAL: Final = PartKind.REFUSAL
_CALL: Final = PartKind.TOOL_CALL

_GOES_ON: Final = b',"logprobs":null,"finish_reason":null}]}\n\n'
_PING: Final = b": ping\n\n"


class _Part:
    """An open part, and the bytes around its deltas: `before` text (`between` text) `behind`.

    A part whose deltas this dialect has no place for has no bytes `before` them.
    """

    __slots__ = ("before", "behind", "between", "chars", "choice", "first", "index", "number", "opened", "start")

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.number = opened.part
        self.choice = opened.choice
        self.before = self.between = self.behind = b""
        self.first = b""
        """In place of `behind` for the first delta."""
        self.index = 0
        """A tool call's place among the calls of its choice, a reasoning's among its details."""
        self.start = 0
        """Where a text part begins in the choice's one text, in characters; `chars` is how long the part is."""
        self.chars = 0


_NO_PART: Final = _Part(Opened(-1, _TEXT))


class _Tally:
    """How many items of each list a choice has, and how long its text is without the open parts."""

    __slots__ = ("annotations", "calls", "chars", "details", "images")

    def __init__(self) -> None:
        self.annotations = self.calls = self.details = self.images = self.chars = 0


class _Writer:
    """What both kinds of answer share: text, the usage, and the end."""

    OBJECT: ClassVar[str] = ""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        head = {
            "id": maker.answer or maker.exchange,
            "object": self.OBJECT,
            "created": maker.created,
            "model": maker.model,
        }
        head["system_fingerprint"] = None  # OpenRouter's SDK does not read an answer without it
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._is_open = False
        self._parts: dict[tuple[int, int], _Part] = {}
        self._tallies: dict[int, _Tally] = {}
        self._current = _NO_PART
        """The part of the last delta, to which the next one most likely belongs."""
        self._metered: Metered = UNMETERED
        self._finishes: dict[int, Finished] = {}

    def write(self, event: Event) -> bytes:
        """The bytes for one event; raises WireError for one that cannot come now."""
        if type(event) is Added:
            part = self._current
            if event.part == part.number and event.choice == part.choice:
                text = _encode(event.text)
                if part.between:
                    return b"%b%b%b%b%b" % (part.before, text, part.between, text, part.behind)
                part.chars += len(event.text)
                return part.before + text + part.behind
        step = _STEPS.get((self._is_open, type(event)))
        if step is None:
            raise WireError(f"an event of an answer cannot come now: {type(event).__name__}")
        return step(self, event)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The events that end the answer."""
        out = [self._finish(number, self._finishes[number]) for number in sorted(self._finishes)]
        if self._maker.request.asks_usage:
            usage = b"null" if self._metered.usage is None else _encode(usage_object(self._metered.usage))
            if cost and usage != b"null":
                usage = b"%b,%b}" % (usage[:-1], cost)
            more = b"," + extra if extra else b""
            out.append(b'%b],"usage":%b%b}\n\n' % (self._head, usage, more))
        return b"".join([*out, END])

    def follow(self, _frame: bytes, events: Sequence[Event]) -> None:
        """See `dialects.base.EventWriter`."""
        for event in events:
            self.write(event)

    # -- the steps ---------------------------------------------------------------------------------------

    def start(self, _event: Any) -> bytes:
        """The answer begins."""
        self._is_open = True
        return b""

    def opened(self, event: Opened) -> bytes:
        """A part begins."""
        part = self._parts[event.choice, event.part] = _Part(event)
        tally = self._tally(event.choice)
        if event.kind is _TEXT:
            part.start = tally.chars
        out = self._shape(part, tally)
        if part.before and not part.first:
            self._current = part
        return out

    def added(self, event: Added) -> bytes:
        """A delta of another part than the last, or the first of one."""
        part = self._part(event)
        if not part.before:
            return b""
        self._current = part
        text = _encode(event.text)
        behind, part.first = part.first or part.behind, b""
        part.chars += len(event.text)
        return part.before + text + (part.between + text if part.between else b"") + behind

    def closed(self, event: Closed) -> bytes:
        """A part is complete."""
        part = self._part(event)
        if part.opened.kind is _TEXT:
            self._tally(event.choice).chars += part.chars
        if self._current is part:
            self._current = _NO_PART
        return self._seal(part, event)

    def keep(self, event: Counted | Finished) -> bytes:
        """What `tail` tells."""
        if isinstance(event, Counted):
            self._metered = event.metered
        else:
            self._finishes[event.choice] = event
        return b""

    def nothing(self, _event: Any) -> bytes:
        """What is not for this answer."""
        return b""

    def ping(self, _event: Ping) -> bytes:
        """A comment keeps the connection alive."""
        return _PING

    whole = cited = logprobs = nothing

    # -- what the two kinds differ in --------------------------------------------------------------------

    def _shape(self, part: _Part, tally: _Tally) -> bytes:
        """Gives a part the bytes around its deltas; what its beginning writes."""
        raise NotImplementedError

    def _seal(self, part: _Part, closed: Closed) -> bytes:
        """What the end of a part writes."""
        raise NotImplementedError

    def _finish(self, number: int, finish: Finished) -> bytes:
        """What the end of a choice writes."""
        raise NotImplementedError

    # -- helpers -----------------------------------------------------------------------------------------

    def _part(self, event: Added | Closed | Cited | Logprobs) -> _Part:
        part = self._parts.get((event.choice, event.part))
        if part is None:
            raise WireError("an event of an answer belongs to no part")
        return part

    def _tally(self, choice: int) -> _Tally:
        tally = self._tallies.get(choice)
        if tally is None:
            tally = self._tallies[choice] = _Tally()
        return tally

    def _around(self, part: _Part, before: bytes, behind: bytes) -> None:
        part.before = b'%b{"index":%d,%b' % (self._head, part.choice, before)
        part.behind = behind + _GOES_ON


class ChatWriter(_Writer):
    """Writes one streamed chat completion; see `dialects.base.EventWriter`."""

    OBJECT = "chat.completion.chunk"

    def start(self, event: Any) -> bytes:
        """The first chunks: a role for each choice, in their order."""
        super().start(event)
        role = {"role": "assistant", "content": ""}
        return b"".join([self._chunk(choice, role) for choice in range(self._maker.request.choices)])

    def whole(self, event: Whole) -> bytes:
        """A part in one piece, where the dialect has a place for it."""
        value, tally = event.value, self._tally(event.choice)
        delta: dict[str, Any] = {}
        if isinstance(value, Reasoning):
            details = details_from([value])
            delta["reasoning_details"] = [each | {"index": tally.details + each["index"]} for each in details]
            tally.details += len(details)
        elif isinstance(value, Media) and value.kind is MediaKind.IMAGE:
            delta["images"] = [image(value) | {"index": tally.images}]
            tally.images += 1
        elif (sound := audio(value, self._maker)) is not None:
            delta["audio"] = sound
        return self._chunk(event.choice, delta) if delta else b""

    def cited(self, event: Cited) -> bytes:
        """A source of a text."""
        tally = self._tally(event.choice)
        item = annotation(event, self._part(event).start) | {"index": tally.annotations}
        tally.annotations += 1
        return self._chunk(event.choice, {"annotations": [item]})

    def logprobs(self, event: Logprobs) -> bytes:
        """Log probabilities of what came before."""
        is_refusal = self._part(event).opened.kind is _REFUSAL
        lists = {"content": None, "refusal": event.tokens} if is_refusal else {"content": event.tokens, "refusal": None}
        choice = {"index": event.choice, "delta": {}, "logprobs": lists, "finish_reason": None}
        return self._head + one_line(_encode(choice)) + b"]}\n\n"

    def _shape(self, part: _Part, tally: _Tally) -> bytes:
        """See `_Writer`."""
        opened = part.opened
        match opened.kind:
            case PartKind.TEXT:
                self._around(part, b'"delta":{"content":', b"}")
            case PartKind.REFUSAL:
                self._around(part, b'"delta":{"refusal":', b"}")
            case PartKind.REASONING:
                part.index = tally.details
                tally.details += 1
                self._shape_reasoning(part)
            case PartKind.TOOL_CALL:
                part.index = tally.calls
                tally.calls += 1
                inner, name = ("custom", "input") if opened.custom else ("function", "arguments")
                before = b'"delta":{"tool_calls":[{"index":%d,"%b":{"%b":' % (part.index, inner.encode(), name.encode())
                self._around(part, before, b"}}]}")
                call = {"index": part.index, "id": opened.id, "type": inner, inner: {"name": opened.name, name: ""}}
                return self._chunk(opened.choice, {"tool_calls": [call]})
        return b""

    def _shape_reasoning(self, part: _Part) -> None:
        """Both fields at once; what may not be doubled stands in the first delta only."""
        opened = part.opened
        kind, name = (SUMMARY, b"summary") if opened.summary else (TEXT, b"text")
        self._around(part, b'"delta":{"reasoning_content":', b',"index":%d}]}' % part.index)
        part.between = b',"reasoning_details":[{"type":"%b","%b":' % (kind.encode(), name)
        part.first = self._whose(opened.format, opened.id) + part.behind

    def _whose(self, name: str, identity: str) -> bytes:
        said = ({"format": name} if name else {}) | ({"id": identity} if identity else {})
        return b"," + _encode(said)[1:-1] if said else b""

    def _seal(self, part: _Part, closed: Closed) -> bytes:
        """See `_Writer`."""
        opened = part.opened
        if not closed.signature and not closed.sealed:
            return b""
        if opened.kind is _CALL:
            inner, name = ("custom", "input") if opened.custom else ("function", "arguments")
            extra = signature(closed.signature, closed.format or opened.format)
            call = {"index": part.index, inner: {name: ""}, "extra_content": extra}
            return self._chunk(part.choice, {"tool_calls": [call]})
        if opened.kind is not _REASONING:
            return b""
        details: list[dict[str, Any]] = []
        whose = closed.format or opened.format
        if closed.signature:
            detail: dict[str, Any] = {"type": TEXT, "text": "", "signature": closed.signature, "index": part.index}
            is_first = bool(part.first)
            detail |= {"format": whose} if whose and (is_first or not opened.format) else {}
            detail |= {"id": opened.id} if opened.id and is_first else {}
            details.append(detail)
        if closed.sealed:
            tally = self._tally(part.choice)
            detail = {"type": ENCRYPTED, "data": closed.sealed, "index": tally.details}
            detail |= {"format": whose} if whose else {}
            details.append(detail | ({"id": opened.id} if opened.id else {}))
            tally.details += 1
        return self._chunk(part.choice, {"reasoning_details": details})

    def _finish(self, number: int, finish: Finished) -> bytes:
        """See `_Writer`."""
        said = any(part.opened.kind is _REFUSAL for (choice, _), part in self._parts.items() if choice == number)
        refusal = "" if said else explanation(finish)
        before = self._chunk(number, {"refusal": refusal}) if refusal else b""
        choice = {"index": number, "delta": {}, "logprobs": None, **finish_members(finish)}
        return before + self._head + _encode(choice) + b"]}\n\n"

    def _chunk(self, choice: int, delta: dict[str, Any]) -> bytes:
        return b'%b{"index":%d,"delta":%b%b' % (self._head, choice, _encode(delta), _GOES_ON)


class CompletionWriter(_Writer):
    """Writes one streamed legacy completion: its text, and nothing else of the answer."""

    OBJECT = "text_completion"

    def _shape(self, part: _Part, _tally: _Tally) -> bytes:
        """See `_Writer`."""
        if part.opened.kind in {_TEXT, _REFUSAL}:
            self._around(part, b'"text":', b"")
        return b""

    def _seal(self, _part: _Part, _closed: Closed) -> bytes:
        """See `_Writer`."""
        return b""

    def _finish(self, number: int, finish: Finished) -> bytes:
        """See `_Writer`."""
        choice = {"index": number, "text": "", "logprobs": None, **finish_members(finish)}
        return self._head + _encode(choice) + b"]}\n\n"


_STEPS: Final[dict[tuple[bool, type], Callable[[Any, Any], bytes]]] = {
    (False, Started): lambda writer, event: writer.start(event),
    (True, Opened): _Writer.opened,
    (True, Added): _Writer.added,
    (True, Closed): _Writer.closed,
    (True, Whole): lambda writer, event: writer.whole(event),
    (True, Cited): lambda writer, event: writer.cited(event),
    (True, Logprobs): lambda writer, event: writer.logprobs(event),
    (True, Finished): _Writer.keep,
    **{(is_open, Counted): _Writer.keep for is_open in (False, True)},
    **{(is_open, Ping): _Writer.ping for is_open in (False, True)},
    **{(is_open, kind): _Writer.nothing for is_open in (False, True) for kind in (Failed, Ended)},
}
"""The table above: whether the answer has begun, and the event."""


def make_writer(maker: Maker) -> ChatWriter | CompletionWriter:
    """The writer for what the caller asked for."""
    is_completion = maker.request.operation is Operation.COMPLETION
    return CompletionWriter(maker) if is_completion else ChatWriter(maker)
