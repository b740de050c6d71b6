"""Reads an upstream's stream of the Responses dialect into neutral events.

The API numbers items (`output_index`), and inside a message its contents (`content_index`); ids are not relied on,
because servers leave them empty. A text or refusal is a part, a call is a part, a reasoning item is one part whose
pieces are joined by a blank line, and an item that only OpenAI knows is `Foreign`, whole.

    state     event                                   what happens
    FRESH     created, queued, in_progress            FLOWING; Started
    FRESH     completed, incomplete                   Started, then as when FLOWING
    FRESH     failed, error                           as when FLOWING
    FRESH     any other that is known                 WireError: it does not begin so
    FLOWING   created, queued, in_progress            nothing
    FLOWING   item added                              a call: Opened; else only remembered
    FLOWING   content part added                      a text, a refusal: Opened
    FLOWING   delta                                   Opened where it was not; Added
    FLOWING   done of a text or of arguments          Added with all of it, where no delta came
    FLOWING   content part done, item done            what is still owed; Closed
    FLOWING   completed, incomplete                   items that never came; Counted, Finished, Ended; ENDED
    FLOWING   failed, error                           Failed; ENDED
    any       keepalive                               Ping
    ENDED     anything at all                         nothing
    any       an unknown event, `[DONE]`              nothing
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, ClassVar, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.openai_responses.error import STATUSES, error_code
from tokenway.dialects.openai_responses.schema import NOTHING, ResponseFields, StreamEvent
from tokenway.dialects.passing import not_of_dialect
from tokenway.dialects.seal import OPENAI
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
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning

_decode: Final = msgspec.json.Decoder(StreamEvent).decode
_decode_response: Final = msgspec.json.Decoder(ResponseFields).decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_decode_tokens: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_encode: Final = msgspec.json.encode

_NO_LOGPROBS: Final = (*NOTHING, msgspec.Raw(b"[]"))
_BETWEEN: Final = "\n\n"
"""What separates the pieces of one reasoning item."""
_SUMMARY, _CONTENT = 0, 1
"""The two parts that a reasoning item can have; all others have one, 0, or as many as a message has contents."""
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
"""Types of calls, and where their arguments stand."""
_CONTENTS: Final = {"output_text": PartKind.TEXT, "text": PartKind.TEXT, "refusal": PartKind.REFUSAL}
_MADE: Final = ("completed", "complete", "incomplete", "", None)
"""Statuses of a response that is an answer, as servers spell them; a few say none."""
_BROKEN: Final = ("failed", "cancelled")
"""Statuses that no last event of an answer has."""


class State(IntEnum):
    """Where a stream is; see the table above."""

    FRESH = 0
    FLOWING = 1
    ENDED = 2


_FRESH: Final = State.FRESH
_FLOWING: Final = State.FLOWING
_ENDED: Final = State.ENDED
_FIRST: Final = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
        "keepalive",
    }
)


class _Part:
    """A part of the neutral answer that has begun."""

    __slots__ = ("cited", "has_logprobs", "has_text", "is_open", "number", "piece")

    def __init__(self, number: int) -> None:
        self.number = number
        self.piece = 0
        """The place of the summary's or content's piece that text came for last."""
        self.cited = 0
        self.has_text = False
        self.has_logprobs = False
        self.is_open = True


class _Item:
    """An item of the output."""

    __slots__ = ("id", "is_done", "kind", "parts")

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.id = name
        self.parts: dict[int, _Part] = {}
        self.is_done = False


class Reader:
    """Reads one stream; see `dialects.base.EventReader`."""

    __slots__ = ("_has_calls", "_is_started", "_items", "_out", "_parts", "state")

    def __init__(self) -> None:
        self.state: State = _FRESH
        self._is_started = False
        self._has_calls = False
        self._items: dict[int, _Item] = {}
        self._parts = 0
        self._out: list[Event] = []

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one server-sent event's data; raises WireError when it is none of this dialect."""
        if frame.startswith(b"[DONE]"):
            return ()
        try:
            event = _decode(frame)
        except UNREADABLE as error:
            raise not_of_dialect(error) from None
        handler = self._TABLE.get(event.type)
        if handler is None:
            if event.type:
                return ()
            if not event.error:
                raise WireError("an event has no type")
            handler = Reader._failed
        state = self.state
        if state is not _FLOWING:
            if state is _ENDED:
                return ()
            if event.type and event.type not in _FIRST:
                raise WireError(f"the stream begins with '{event.type[:60]}'")
            self.state = _FLOWING
        out: list[Event] = []
        self._out = out
        handler(self, event)
        return out

    def end(self) -> Sequence[Event]:
        """Nothing: a stream without its last event is not whole."""
        return ()

    def whole(self, body: bytes) -> Sequence[Event]:
        """The events of a whole answer: each item is read as one that arrives in one piece.

        Raises WireError when it is none, or no answer: an error, or a response that is still being made.
        """
        response = read_response(body)
        if response.error or response.status not in _MADE:
            said = fault_text(response.error) if response.error else "no output yet"
            raise WireError(f"a response came that is '{str(response.status)[:40]}': {said}")
        if response.output is None:
            raise WireError("the answer is not one of this dialect")
        self._start(response)
        self._finish(response)
        return self._out

    # -- the beginning and the end -----------------------------------------------------------------------

    def _created(self, event: StreamEvent) -> None:
        if not self._is_started:
            self._start(read_response(event.response))

    def _start(self, response: ResponseFields) -> None:
        created = response.created_at
        seconds = int(created) if isinstance(created, int | float) else 0
        self._is_started = True
        self._out.append(Started(str(response.id or ""), str(response.model or ""), seconds))

    def _completed(self, event: StreamEvent) -> None:
        response = read_response(event.response)
        if response.error or response.status in _BROKEN:
            self._failed(event)
            return
        if not self._is_started:
            self._start(response)
        for item in self._items.values():
            self._close(item)
        self._finish(response)
        self.state = _ENDED

    def _finish(self, response: ResponseFields) -> None:
        """Items that did not come as events, then what ends every answer."""
        for index, raw in enumerate(response.output or ()):
            if index not in self._items:
                self._take_item(index, raw)
        metered = response.metered
        if metered.given:
            self._out.append(Counted(metered))
        native, details = response.reason, response.incomplete_details
        if native == "content_filter":
            reason = FinishReason.CONTENT_FILTER
        elif response.status == "incomplete":
            reason = FinishReason.LENGTH
        else:
            reason = FinishReason.TOOL_CALLS if self._has_calls else FinishReason.STOP
        detail = str(details.message or "") if details is not None else ""
        self._out += (Finished(reason, native, detail=detail), Ended())

    def _failed(self, event: StreamEvent) -> None:
        """An error in the response, an `error` event, which is flat, or an error without a type."""
        error: Any = event.error
        if event.response not in NOTHING:
            error = read_response(event.response).error
        if not error:
            error = {"message": event.message or "the response has failed", "code": event.code}
        code = error_code(error)
        self._out.append(Failed(fault_text(error), code, STATUSES.get(code, 0)))
        self.state = _ENDED

    def _kept_alive(self, event: StreamEvent) -> None:  # noqa: ARG002
        self._out.append(Ping())

    # -- items ---------------------------------------------------------------------------------------------

    def _item_added(self, event: StreamEvent) -> None:
        if event.item not in NOTHING:
            self._item(event.output_index or 0, read_object(event.item))

    def _item(self, index: int, shape: dict[str, Any]) -> _Item:
        """The item of this number, which begins here if it has not."""
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item(str(shape.get("type") or ""), _text(shape.get("id")))
            if item.kind in _CALLS:
                self._has_calls = True
                name, call = _text(shape.get("name")), _text(shape.get("call_id"))
                part = item.parts[0] = self._part()
                custom = item.kind == "custom_tool_call"
                self._out.append(Opened(part.number, PartKind.TOOL_CALL, call or item.id, name, custom))
        return item

    def _part(self) -> _Part:
        part = _Part(self._parts)
        self._parts += 1
        return part

    def _item_done(self, event: StreamEvent) -> None:
        if event.item not in NOTHING:
            self._take_item(event.output_index or 0, event.item)

    def _take_item(self, index: int, raw: msgspec.Raw) -> None:
        """A complete item: what of it has not come in pieces, and its end."""
        shape = read_object(raw)
        item = self._item(index, shape)
        if item.is_done:
            return
        if item.kind == "message":
            for place, content in enumerate(_list(shape.get("content"))):
                self._take_content(item, place, content)
        elif item.kind in _CALLS:
            self._add_late(item.parts[0], _text(shape.get(_CALLS[item.kind])))
        elif item.kind == "reasoning":
            self._take_reasoning(item, shape)
        else:
            self._take_other(item, shape, raw)
        self._close(item)

    def _take_reasoning(self, item: _Item, shape: dict[str, Any]) -> None:
        for which, key in ((_SUMMARY, "summary"), (_CONTENT, "content")):
            text = _BETWEEN.join(filter(None, (_text(each.get("text")) for each in _list(shape.get(key)))))
            if text and which not in item.parts:
                self._add(self._open_reasoning(item, which), text)
        sealed = _text(shape.get("encrypted_content"))
        if not sealed:
            return
        if not item.parts:
            self._out.append(Whole(self._part().number, Reasoning(sealed=sealed, format=OPENAI, id=item.id)))
            return
        *others, last = item.parts.values()
        for part in others:
            self._close_part(part)
        last.is_open = False
        self._out.append(Closed(last.number, sealed=sealed, format=OPENAI))

    def _take_other(self, item: _Item, shape: dict[str, Any], raw: msgspec.Raw) -> None:
        """A picture that was made, or an item that only this vendor knows."""
        picture = _text(shape.get("result")) if item.kind == "image_generation_call" else ""
        value: Media | Foreign
        if picture:
            kind = _text(shape.get("output_format")) or "png"
            value = Media(MediaKind.IMAGE, f"image/{kind}", picture)
        else:
            value = Foreign(item.kind, msgspec.Raw(bytes(raw)), OPENAI)
        self._out.append(Whole(self._part().number, value))

    def _close(self, item: _Item) -> None:
        item.is_done = True
        for part in item.parts.values():
            self._close_part(part)

    def _close_part(self, part: _Part) -> None:
        if part.is_open:
            part.is_open = False
            self._out.append(Closed(part.number))

    # -- contents of a message -------------------------------------------------------------------------------

    def _content_added(self, event: StreamEvent) -> None:
        """A text's or a refusal's part begins; that of reasoning begins with its text."""
        kind = _text(event.part.get("type")) if isinstance(event.part, dict) else ""
        if kind in _CONTENTS:
            self._content(event, _CONTENTS[kind])

    def _content(self, event: StreamEvent, kind: PartKind) -> _Part:
        """The part of this content, which begins here if it has not."""
        index = event.output_index or 0
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item("message", "")
        place = event.content_index or 0
        return item.parts.get(place) or self._open_content(item, place, kind)

    def _open_content(self, item: _Item, place: int, kind: PartKind) -> _Part:
        part = item.parts[place] = self._part()
        self._out.append(Opened(part.number, kind))
        return part

    def _text_delta(self, event: StreamEvent) -> None:
        part = self._content(event, PartKind.TEXT)
        if event.logprobs not in _NO_LOGPROBS:
            self._weigh(part, msgspec.Raw(bytes(event.logprobs)))
        self._add(part, event.delta)

    def _refusal_delta(self, event: StreamEvent) -> None:
        self._add(self._content(event, PartKind.REFUSAL), event.delta)

    def _text_done(self, event: StreamEvent) -> None:
        self._add_late(self._content(event, PartKind.TEXT), _text(event.text))

    def _refusal_done(self, event: StreamEvent) -> None:
        self._add_late(self._content(event, PartKind.REFUSAL), _text(event.refusal))

    def _content_done(self, event: StreamEvent) -> None:
        item = self._items.get(event.output_index or 0)
        if item is None or item.kind != "message" or not isinstance(event.part, dict):
            return
        place = event.content_index or 0
        self._take_content(item, place, event.part)
        if place in item.parts:
            self._close_part(item.parts[place])

    def _take_content(self, item: _Item, place: int, content: dict[str, Any]) -> None:
        """A complete content: what of it has not come in pieces."""
        kind = _CONTENTS.get(str(content.get("type")))
        if kind is None:
            return
        part = item.parts.get(place) or self._open_content(item, place, kind)
        if not part.is_open:
            return
        self._add_late(part, _text(content.get("refusal" if kind is PartKind.REFUSAL else "text")))
        for annotation in _list(content.get("annotations"))[part.cited :]:
            self._cite(part, annotation)
        tokens = content.get("logprobs")
        if tokens and not part.has_logprobs:
            self._weigh(part, msgspec.Raw(_encode(tokens)))

    def _weigh(self, part: _Part, tokens: msgspec.Raw) -> None:
        """Log probabilities, if they are a list of objects; a few servers send other things."""
        try:
            _decode_tokens(tokens)
        except UNREADABLE:
            return
        part.has_logprobs = True
        self._out.append(Logprobs(part.number, tokens))

    def _annotated(self, event: StreamEvent) -> None:
        if isinstance(event.annotation, dict):
            self._cite(self._content(event, PartKind.TEXT), event.annotation)

    def _cite(self, part: _Part, annotation: dict[str, Any]) -> None:
        """A source with an address; one that is only a file of the vendor's says nothing to others."""
        part.cited += 1
        url = _text(annotation.get("url"))
        if url:
            start, end = annotation.get("start_index"), annotation.get("end_index")
            self._out.append(
                Cited(
                    part.number,
                    url,
                    _text(annotation.get("title")),
                    start=start if isinstance(start, int) else -1,
                    end=end if isinstance(end, int) else -1,
                )
            )

    # -- arguments and reasoning -----------------------------------------------------------------------------

    def _call_delta(self, event: StreamEvent) -> None:
        self._add(self._call(event), event.delta)

    def _call_done(self, event: StreamEvent) -> None:
        self._add_late(self._call(event), _text(event.arguments) or _text(event.input))

    def _call(self, event: StreamEvent) -> _Part:
        item = self._items.get(event.output_index or 0)
        if item is None or item.kind not in _CALLS:
            raise WireError("arguments came for a call that has not begun")
        return item.parts[0]

    def _summary_delta(self, event: StreamEvent) -> None:
        self._think(event, _SUMMARY, event.summary_index or 0)

    def _reasoning_delta(self, event: StreamEvent) -> None:
        self._think(event, _CONTENT, event.content_index or 0)

    def _think(self, event: StreamEvent, which: int, piece: int) -> None:
        index = event.output_index or 0
        item = self._items.get(index)
        if item is None:
            item = self._items[index] = _Item("reasoning", "")
        part = item.parts.get(which) or self._open_reasoning(item, which)
        if piece != part.piece and event.delta:
            part.piece = piece
            if part.has_text:
                self._add(part, _BETWEEN)
        self._add(part, event.delta)

    def _open_reasoning(self, item: _Item, which: int) -> _Part:
        part = item.parts[which] = self._part()
        self._out.append(Opened(part.number, PartKind.REASONING, item.id, summary=which == _SUMMARY))
        return part

    # -- text --------------------------------------------------------------------------------------------------

    def _add(self, part: _Part, text: Any) -> None:
        if text and isinstance(text, str) and part.is_open:
            part.has_text = True
            self._out.append(Added(part.number, text))

    def _add_late(self, part: _Part, text: str) -> None:
        """All of a text, of a server that sends no deltas of it."""
        if not part.has_text:
            self._add(part, text)

    # -- the table --------------------------------------------------------------------------------

    _TABLE: ClassVar[dict[str, Callable[[Any, StreamEvent], None]]] = {
        "response.created": _created,
        "response.queued": _created,
        "response.in_progress": _created,
        "response.output_item.added": _item_added,
        "response.content_part.added": _content_added,
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotated,
        "response.refusal.delta": _refusal_delta,
        "response.refusal.done": _refusal_done,
        "response.content_part.done": _content_done,
        "response.function_call_arguments.delta": _call_delta,
        "response.function_call_arguments.done": _call_done,
        "response.custom_tool_call_input.delta": _call_delta,
        "response.custom_tool_call_input.done": _call_done,
        "response.reasoning_summary_text.delta": _summary_delta,
        "response.reasoning_text.delta": _reasoning_delta,
        "response.output_item.done": _item_done,
        "response.completed": _completed,
        "response.incomplete": _completed,
        "response.failed": _failed,
        "error": _failed,
        "keepalive": _kept_alive,
    }
    """Event to what it does; those that are not here are ignored."""


def read_response(raw: msgspec.Raw | bytes) -> ResponseFields:
    """A response object; raises WireError when it is none."""
    try:
        return _decode_response(raw)
    except UNREADABLE as error:
        raise not_of_dialect(error) from None


def read_object(raw: msgspec.Raw) -> dict[str, Any]:
    """An item; raises WireError when it is no object."""
    try:
        return _decode_object(raw)
    except UNREADABLE as error:
        raise not_of_dialect(error) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
