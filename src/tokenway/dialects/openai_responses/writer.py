"""Writes neutral events as a stream of the Responses dialect.

Every part becomes an item of the output, but texts and refusals that follow each other are contents of one message,
which ends when another item begins. A call's signature of another vendor travels in a reasoning item right behind it.
The last event holds the whole response and is kept for `tail`.

    state     event                     what is written
    FRESH     Started                   created, in_progress; FLOWING
    FLOWING   Opened text, refusal      item added, unless the message goes on; content part added
    FLOWING   Opened reasoning, call    the message's end; item added
    FLOWING   Added                     a delta; reasoning's first one has its piece added before it
    FLOWING   Closed                    done of the text, of its part, and of the item where it has no other part
    FLOWING   Whole                     item added, item done
    FLOWING   Cited                     annotation added
    FLOWING   Finished                  the end of everything open; the reason is kept; FINISHED
    any       Logprobs                  nothing; they go with the next delta
    any       Counted, Ended, Failed    nothing; usage is kept
    any       Ping                      a comment
    any       any other                 WireError
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from typing import Any, ClassVar, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Maker
from tokenway.dialects.openai_responses.namespaces import NAMESPACE
from tokenway.dialects.openai_responses.response import Shape, failure, priced_usage, stem, with_member
from tokenway.dialects.openai_responses.schema import HOSTED_ITEMS, usage_object
from tokenway.dialects.openai_responses.told import ITEM, decode_told
from tokenway.dialects.seal import GEMINI, OPENAI, seal
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
    failure_text,
)
from tokenway.model.request import Media, MediaKind, Reasoning
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.sse import one_line

_encode: Final = msgspec.json.encode
_decode_tokens: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode
_decode_any: Final = msgspec.json.Decoder().decode

_PING: Final = b": ping\n\n"
_STATUSES: Final = {
    FinishReason.LENGTH: "incomplete",
    FinishReason.CONTENT_FILTER: "incomplete",
    FinishReason.ERROR: "failed",
}
"""Status of a response by its finish; all others are completed."""
_REASONS: Final = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}


class State(IntEnum):
    """Where a stream is; see the table above."""

    FRESH = 0
    FLOWING = 1
    FINISHED = 2


_FLOWING: Final = State.FLOWING
_TEXT: Final = PartKind.TEXT


class _Item:
    """An item of the output: its shape grows until it is done."""

    __slots__ = ("index", "is_done", "open_parts", "shape")

    def __init__(self, index: int, shape: dict[str, Any]) -> None:
        self.index = index
        self.shape = shape
        self.open_parts = 0
        self.is_done = False


class _Part:
    """A neutral part on its way into an item; `prefix` is how its deltas begin."""

    __slots__ = ("annotations", "item", "opened", "pending", "place", "prefix", "texts", "tokens")

    def __init__(self, opened: Opened, item: _Item, place: int) -> None:
        self.opened = opened
        self.item = item
        self.place = place
        self.prefix = b""
        self.texts: list[str] = []
        self.annotations: list[dict[str, object]] = []
        self.tokens: list[dict[str, Any]] = []
        self.pending: list[dict[str, Any]] = []
        """Log probabilities that have not gone with a delta."""


class Writer:
    """Writes one stream; see `dialects.base.EventWriter`."""

    __slots__ = (
        "_finish",
        "_items",
        "_maker",
        "_message",
        "_metered",
        "_parts",
        "_shape",
        "_stem",
        "sequence",
        "state",
    )

    def __init__(self, maker: Maker) -> None:
        self._shape = Shape(maker)
        self._stem = stem(maker.exchange)
        self._items: list[_Item] = []
        self._parts: dict[int, _Part] = {}
        self._message: _Item | None = None
        """The message that takes further contents."""
        self._metered: Metered = UNMETERED
        self._finish = Finished(FinishReason.STOP)
        self.state: State = State.FRESH
        self.sequence = 0
        """The number of the next event."""

    def write(self, event: Event) -> bytes:
        """The bytes for one event; raises WireError for one that cannot come now."""
        if type(event) is Added:
            return self._add(event)
        if getattr(event, "choice", 0):
            return b""  # a response has one answer
        kind = type(event)
        handler = self._TABLE.get((self.state, kind)) or self._ALWAYS.get(kind)
        if handler is None:
            raise WireError(f"{kind.__name__} cannot come when the answer is {self.state.name}")
        return handler(self, event)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The last event, with the whole response."""
        out = b"" if self.state is State.FINISHED else self._finished(self._finish)
        status = _STATUSES.get(self._finish.reason, "completed")
        response = msgspec.Raw(self.response(cost, extra))
        return out + self._event(f"response.{status}", {"response": response})

    def response(self, cost: bytes = b"", extra: bytes = b"") -> bytes:
        """The response object as it is now."""
        finish = self._finish
        status = _STATUSES.get(finish.reason, "completed")
        incomplete: dict[str, object] | None = None
        error = None
        if status == "incomplete":
            incomplete = {"reason": _REASONS[finish.reason]}
            if finish.detail:
                incomplete["message"] = finish.detail
        elif status == "failed":
            error = failure("server_error", failure_text(finish))
        usage = priced_usage(usage_object(self._metered.usage), cost)
        shape = self._shape.make(
            status, [item.shape for item in self._items], usage=usage, error=error, incomplete=incomplete
        )
        return with_member(_encode(shape), extra)

    def follow(self, frame: bytes, events: Sequence[Event]) -> None:
        """See `dialects.base.EventWriter`. The response and its message are those that have been told."""
        told = decode_told(frame)
        if told.type == ITEM:
            index = len(self._items)
            self._message = _Item(index, {"id": f"msg_{self._stem}_{index}", **told.item, "content": []})
            self._items.append(self._message)
        for event in events:
            self.write(event)
        if told.response:
            self._shape.follow(told.response)
        if isinstance(told.sequence_number, int):
            self.sequence = told.sequence_number + 1

    # -- the frame -----------------------------------------------------------------------------------------

    def _event(self, name: str, members: dict[str, Any]) -> bytes:
        number = self.sequence
        self.sequence = number + 1
        data = _encode({"type": name, **members, "sequence_number": number})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), one_line(data))

    def _start(self, event: Event) -> bytes:  # noqa: ARG002
        self.state = State.FLOWING
        response = {"response": msgspec.Raw(_encode(self._shape.make("in_progress")))}
        return self._event("response.created", response) + self._event("response.in_progress", response)

    def _count(self, event: Counted) -> bytes:
        self._metered = event.metered
        return b""

    def _finished(self, event: Finished) -> bytes:
        """The end of everything that is open; a message that was cut off says so."""
        self._finish = event
        self.state = State.FINISHED
        cut = _STATUSES.get(event.reason) == "incomplete"
        out = [self._close_part(part, Closed(number)) for number, part in list(self._parts.items())]
        message = self._message
        if message is not None:
            out.append(self._end_message("incomplete" if cut and message is self._items[-1] else "completed"))
        return b"".join(out)

    def _nothing(self, event: Event) -> bytes:  # noqa: ARG002
        return b""

    def _ping(self, event: Event) -> bytes:  # noqa: ARG002
        return _PING

    # -- items -----------------------------------------------------------------------------------------------

    def _begin(self, prefix: str, shape: dict[str, Any]) -> tuple[_Item, bytes]:
        """A new item, and the event that tells of it."""
        index = len(self._items)
        item = _Item(index, {"id": f"{prefix}_{self._stem}_{index}", **shape})
        self._items.append(item)
        return item, self._event("response.output_item.added", {"output_index": index, "item": item.shape})

    def _done(self, item: _Item) -> bytes:
        item.is_done = True
        return self._event("response.output_item.done", {"output_index": item.index, "item": item.shape})

    def _end_message(self, status: str = "completed") -> bytes:
        """The message takes no further contents; it is done when its last one is closed."""
        message, self._message = self._message, None
        if message is None or message.open_parts:
            return b""
        message.shape["status"] = status
        return self._done(message)

    def _open(self, event: Opened) -> bytes:
        if event.part in self._parts:
            raise WireError("a part begins twice")
        return self._OPENERS[event.kind](self, event)

    def _open_content(self, event: Opened) -> bytes:
        """A text or a refusal."""
        message, out = self._message, b""
        if message is None:
            shape = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
            message, out = self._begin("msg", shape)
            self._message = message
        content = message.shape["content"]
        part = self._parts[event.part] = _Part(event, message, len(content))
        shape = _content(part)
        content.append(shape)
        message.open_parts += 1
        kind = "refusal" if event.kind is PartKind.REFUSAL else "output_text"
        self._set_prefix(part, f"response.{kind}.delta", "content_index")
        return out + self._event("response.content_part.added", {**self._place(part), "part": shape})

    def _open_call(self, event: Opened) -> bytes:
        out = self._end_message()
        if event.custom:
            prefix, kind, field, name = "ctc", "custom_tool_call", "input", "response.custom_tool_call_input.delta"
        else:
            prefix, kind, field, name = "fc", "function_call", "arguments", "response.function_call_arguments.delta"
        space, called = self._shape.apart(event.name)
        shape = {"type": kind, "status": "in_progress", field: "", "call_id": event.id, "name": called}
        if space:
            shape[NAMESPACE] = space
        item, added = self._begin(prefix, shape)
        part = self._parts[event.part] = _Part(event, item, 0)
        self._set_prefix(part, name, "")
        return out + added

    def _open_reasoning(self, event: Opened) -> bytes:
        """The item; its summary or its content begins with the first text."""
        out = self._end_message()
        item, added = self._begin("rs", {"type": "reasoning", "summary": []})
        self._parts[event.part] = _Part(event, item, 0)
        return out + added

    def _whole(self, event: Whole) -> bytes:
        """A sealed reasoning, a picture, or an item that only this dialect has; media by address are a link."""
        value = event.value
        if isinstance(value, Media) and (value.text or value.url):
            return self._link(event.part, value)
        prefix, shape = "", {}
        if isinstance(value, Reasoning):
            prefix = "rs"
            shape = {"type": "reasoning", "summary": [], "encrypted_content": seal(value.sealed, value.format, OPENAI)}
        elif isinstance(value, Media):
            if value.kind is MediaKind.IMAGE and value.data:
                prefix = "ig"
                kind = value.media_type.rpartition("/")[2] or "png"
                shape = {"type": "image_generation_call", "status": "completed", "result": value.data}
                shape["output_format"] = kind
        elif value.name in HOSTED_ITEMS and value.format in {"", OPENAI}:
            prefix, shape = "item", _decode_any(value.raw)
        if not prefix or not isinstance(shape, dict):
            return b""
        out = self._end_message()
        item, added = self._begin(prefix, shape)
        return out + added + self._done(item)

    def _link(self, number: int, media: Media) -> bytes:
        """A text: a plain document's, or a link in Markdown."""
        mark = "!" if media.kind is MediaKind.IMAGE else ""
        text = media.text or f"{mark}[{media.title or media.kind.value}]({media.url})"
        opened = self._open(Opened(number, PartKind.TEXT))
        return opened + self._add(Added(number, text)) + self._close(Closed(number))

    # -- parts ---------------------------------------------------------------------------------------------

    def _place(self, part: _Part) -> dict[str, object]:
        """The members of an event that tell a content's place."""
        item = part.item
        return {"item_id": item.shape["id"], "output_index": item.index, "content_index": part.place}

    def _set_prefix(self, part: _Part, name: str, place: str) -> None:
        """How the deltas of a part begin, up to their text; `place` names its index inside of the item."""
        item = part.item
        within = f',"{place}":{part.place}' if place else ""
        name_of_item = _encode(item.shape["id"]).decode()  # it may be another's
        part.prefix = (
            f'event: {name}\ndata: {{"type":"{name}","item_id":{name_of_item},"output_index":{item.index}'
            f'{within},"delta":'
        ).encode()

    def _add(self, event: Added) -> bytes:
        part = self._parts.get(event.part)
        if event.choice:
            return b""
        if part is None or self.state is not _FLOWING:
            raise WireError("text came for a part that is not open")
        out = b""
        if not part.prefix:
            out = self._begin_thought(part)
        part.texts.append(event.text)
        return out + self._delta(part, event.text)

    def _delta(self, part: _Part, text: str) -> bytes:
        number = self.sequence
        self.sequence = number + 1
        if part.opened.kind is not _TEXT:
            return b'%b%b,"sequence_number":%d}\n\n' % (part.prefix, _encode(text), number)
        tokens = b"[]"
        if part.pending:
            tokens = _encode(part.pending)
            part.tokens += part.pending
            part.pending = []
        return b'%b%b,"logprobs":%b,"sequence_number":%d}\n\n' % (part.prefix, _encode(text), tokens, number)

    def _begin_thought(self, part: _Part) -> bytes:
        """The first piece of a summary or of reasoning as it is."""
        place = {"item_id": part.item.shape["id"], "output_index": part.item.index}
        if part.opened.summary:
            self._set_prefix(part, "response.reasoning_summary_text.delta", "summary_index")
            piece = {**place, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}
            return self._event("response.reasoning_summary_part.added", piece)
        self._set_prefix(part, "response.reasoning_text.delta", "content_index")
        piece = {**place, "content_index": 0, "part": {"type": "reasoning_text", "text": ""}}
        return self._event("response.content_part.added", piece)

    def _close(self, event: Closed) -> bytes:
        part = self._parts.get(event.part)
        if part is None:
            raise WireError("a part ends that is not open")
        return self._close_part(part, event)

    def _close_part(self, part: _Part, event: Closed) -> bytes:
        del self._parts[part.opened.part]
        return self._CLOSERS[part.opened.kind](self, part, event)

    def _close_content(self, part: _Part, event: Closed) -> bytes:  # noqa: ARG002
        out = self._delta(part, "") if part.pending else b""
        shape = _content(part)
        message = part.item
        message.shape["content"][part.place] = shape
        place = self._place(part)
        if part.opened.kind is PartKind.REFUSAL:
            out += self._event("response.refusal.done", {**place, "refusal": shape["refusal"]})
        else:
            text = {"text": shape["text"], "logprobs": shape["logprobs"]}
            out += self._event("response.output_text.done", {**place, **text})
        out += self._event("response.content_part.done", {**place, "part": shape})
        message.open_parts -= 1
        if message is not self._message and not message.open_parts:
            message.shape["status"] = "completed"
            out += self._done(message)
        return out

    def _close_call(self, part: _Part, event: Closed) -> bytes:
        out, item, custom = b"", part.item, part.opened.custom
        if not part.texts and not custom:
            part.texts.append("{}")
            out = self._delta(part, "{}")
        field = "input" if custom else "arguments"
        text = "".join(part.texts)
        item.shape.update({"status": "completed", field: text})
        place = {"item_id": item.shape["id"], "output_index": item.index, field: text}
        if custom:
            out += self._event("response.custom_tool_call_input.done", place)
        else:
            out += self._event("response.function_call_arguments.done", {**place, "name": item.shape["name"]})
        out += self._done(item)
        if event.signature:
            whose = event.format or part.opened.format or GEMINI
            sealed = seal(event.signature, whose, OPENAI, part.opened.id)
            shape = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
            item, added = self._begin("rs", shape)
            out += added + self._done(item)
        return out

    def _close_reasoning(self, part: _Part, event: Closed) -> bytes:
        """An empty piece is written where a signature vouches for no text, so that it is known for one."""
        out = b""
        if event.signature and not part.prefix:
            out = self._begin_thought(part)
        item, text = part.item, "".join(part.texts)
        if part.prefix:
            place = {"item_id": item.shape["id"], "output_index": item.index}
            if part.opened.summary:
                name, key, kind, ending = "reasoning_summary_text", "summary", "summary_text", "reasoning_summary_part"
                place["summary_index"] = 0
            else:
                name, key, kind, ending = "reasoning_text", "content", "reasoning_text", "content_part"
                place["content_index"] = 0
            piece = {"type": kind, "text": text}
            item.shape[key] = [piece]
            out += self._event(f"response.{name}.done", {**place, "text": text})
            out += self._event(f"response.{ending}.done", {**place, "part": piece})
        whose = event.format or part.opened.format
        sealed = seal(event.signature or event.sealed, whose, OPENAI)
        if sealed:
            item.shape["encrypted_content"] = sealed
        return out + self._done(item)

    def _cite(self, event: Cited) -> bytes:
        """A source, while its text is open; one of another choice or of a text that has ended has no place."""
        part = self._parts.get(event.part)
        if part is None or part.opened.kind is not PartKind.TEXT:
            return b""
        start = max(event.start, 0)
        annotation: dict[str, object] = {
            "type": "url_citation",
            "url": event.url,
            "title": event.title,
            "start_index": start,
            "end_index": max(event.end, start),
        }
        place = {**self._place(part), "annotation_index": len(part.annotations), "annotation": annotation}
        part.annotations.append(annotation)
        return self._event("response.output_text.annotation.added", place)

    def _weigh(self, event: Logprobs) -> bytes:
        part = self._parts.get(event.part)
        if part is not None:
            with suppress(*UNREADABLE):  # a provider's own shape of them has no place here
                part.pending += [_token(token) for token in _decode_tokens(event.tokens)]
        return b""

    # -- the tables --------------------------------------------------------------------------------

    _OPENERS: ClassVar[dict[PartKind, Callable[[Any, Opened], bytes]]] = {
        PartKind.TEXT: _open_content,
        PartKind.REFUSAL: _open_content,
        PartKind.REASONING: _open_reasoning,
        PartKind.TOOL_CALL: _open_call,
    }
    _CLOSERS: ClassVar[dict[PartKind, Callable[[Any, _Part, Closed], bytes]]] = {
        PartKind.TEXT: _close_content,
        PartKind.REFUSAL: _close_content,
        PartKind.REASONING: _close_reasoning,
        PartKind.TOOL_CALL: _close_call,
    }
    _ALWAYS: ClassVar[dict[type, Callable[[Any, Any], bytes]]] = {
        Logprobs: _weigh,
        Counted: _count,
        Ended: _nothing,
        Failed: _nothing,
        Ping: _ping,
    }
    _TABLE: ClassVar[dict[tuple[State, type], Callable[[Any, Any], bytes]]] = {
        (State.FRESH, Started): _start,
        (State.FLOWING, Opened): _open,
        (State.FLOWING, Closed): _close,
        (State.FLOWING, Whole): _whole,
        (State.FLOWING, Cited): _cite,
        (State.FLOWING, Finished): _finished,
    }
    """State and event to what is written; `Added` has its own way, because it is nearly every event."""


def _content(part: _Part) -> dict[str, Any]:
    """A text or refusal as it is now."""
    text = "".join(part.texts)
    if part.opened.kind is PartKind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": part.annotations, "logprobs": part.tokens, "text": text}


def _token(token: dict[str, Any]) -> dict[str, Any]:
    """A token's log probability with the members that the SDK's type requires."""
    others = token.get("top_logprobs")
    likely = [_bytes(other) for other in others if isinstance(other, dict)] if isinstance(others, list) else []
    return {**_bytes(token), "top_logprobs": likely}


def _bytes(token: dict[str, Any]) -> dict[str, Any]:
    text = token.get("token")
    return token if token.get("bytes") is not None else {**token, "bytes": list(str(text).encode())}
