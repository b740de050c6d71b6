"""The stream of a response, as its events: made anew of a response that has ended, or of one that is under way.

A response in the background is told as a stream of the gateway's own. It begins with `created` and `in_progress` before
any provider is asked, and numbers its events from 0 without a gap, so that an event's number is its place. `Story`
makes such a stream of what a provider's answer brings; `replay` makes one of a response object: each text of it is one
delta. Source: OpenAI API reference, Responses, streaming events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.openai_responses.reader import read_object
from tokenway.dialects.openai_responses.schema import NOTHING, PassingEvent
from tokenway.model.errors import WireError
from tokenway.wire.splice import append_member, set_members
from tokenway.wire.sse import event_data, one_line, split_events

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder(PassingEvent).decode

UNFINISHED: Final = frozenset({"queued", "in_progress"})
"""The statuses of a response that is still being made."""
_BEGINNINGS: Final = frozenset({"response.created", "response.queued", "response.in_progress", "keepalive"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_UNTOLD: Final = ("completed_at", "usage", "error", "incomplete_details", "output", "status")
"""What a response only has when it has ended."""

Step = tuple[str, dict[str, Any]]
"""An event's type, and its members but for type and number."""


class Story:
    """The events of one response that is being made. `response` is what the caller was given of it.

    After `take` has met the last event, `final` is the response object and nothing more is taken; `fault` is what an
    error said that came without one. What is no event of this dialect cannot be numbered, and is left out.
    """

    def __init__(self, response: bytes) -> None:
        self._told = _read(response)
        self.events: list[bytes] = _numbered(_beginning(self._told))
        self.final = b""
        self.fault = ""

    def take(self, data: bytes) -> None:
        """Whole events of the provider's answer in this dialect."""
        for event in split_events(data):
            said = event_data(event)
            if said is not None and not (self.final or self.fault):
                with suppress(*UNREADABLE, WireError):
                    self._take(said)

    def end(self, final: bytes) -> None:
        """The last event, for a response that no provider has ended; raises WireError where it is none."""
        self.final = final
        self._add(_last_type(_status(final)), append_member(b"{}", b'"response":%b' % final))

    def _take(self, data: bytes) -> None:
        event = _decode(str(data, "utf-8"))
        kind = event.type
        if kind in _BEGINNINGS:
            return
        if kind in _ENDS and event.response not in NOTHING:
            final = self._as_ours(bytes(event.response), kind.removeprefix("response."))
            data = set_members(data, b'"response":%b' % final, ("response",))
            self._add(kind, data)
            self.final = final
        elif kind in _ENDS or kind == "error" or event.error:
            self.fault = fault_text(event.error or event.message or event.code or "the response has failed")
        else:
            self._add(kind, data)

    def _as_ours(self, response: bytes, status: str) -> bytes:
        """The response under the id that the caller was given, in the background, behind the one that it named.

        Raises WireError where it cannot be read, now or later.
        """
        _read(response)
        ours = {name: self._told.get(name) for name in ("id", "background", "previous_response_id")}
        ours["status"] = status
        return set_members(response, _encode(ours)[1:-1], ours)

    def _add(self, kind: str, data: bytes) -> None:
        members = b'"type":%b,"sequence_number":%d' % (_encode(kind), len(self.events))
        self.events.append(_event(kind, set_members(data, members, ("type", "sequence_number"))))


def replay(response: bytes, after: int = -1) -> list[bytes]:
    """The events of a response that has ended, those numbered above `after`; raises WireError where it is none.

    Of a response that was given up the last event is always told: nobody knows how far its own stream had come.
    """
    told = _read(response)
    steps = _steps(told)
    events = _numbered(steps)[after + 1 :]
    if not events and told.get("status") in {"failed", "cancelled"}:
        return [_made(after + 1, steps[-1])]
    return events


def beginning(response: bytes) -> list[bytes]:
    """The events with which the stream of a response begins; raises WireError where it is none."""
    return _numbered(_beginning(_read(response)))


def broken(number: int, code: str, message: str) -> bytes:
    """The event that ends a stream which cannot be gone on with, whatever becomes of its response."""
    return _made(number, ("error", {"code": code, "message": message, "param": None}))


def _read(response: bytes) -> dict[str, Any]:
    return read_object(msgspec.Raw(response))


def _status(response: bytes) -> str:
    return str(_read(response).get("status"))


def _last_type(status: str) -> str:
    return f"response.{status}"


def _numbered(steps: Sequence[Step]) -> list[bytes]:
    return [_made(number, step) for number, step in enumerate(steps)]


def _made(number: int, step: Step) -> bytes:
    kind, members = step
    return _event(kind, _encode({"type": kind, **members, "sequence_number": number}))


def _event(kind: str, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), one_line(data))


# -- a response that has ended -------------------------------------------------------------------------------


def _beginning(response: dict[str, Any]) -> list[Step]:
    begun = {name: value for name, value in response.items() if name not in _UNTOLD}
    begun |= {"status": "in_progress", "output": [], "error": None, "incomplete_details": None, "usage": None}
    return [("response.created", {"response": begun}), ("response.in_progress", {"response": begun})]


def _steps(response: dict[str, Any]) -> list[Step]:
    steps = _beginning(response)
    for index, item in enumerate(_objects(response.get("output"))):
        steps += _of_item(item, index)
    steps.append((_last_type(str(response.get("status"))), {"response": response}))
    return steps


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in _listed(value) if isinstance(each, dict)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _of_item(item: dict[str, Any], index: int) -> Iterator[Step]:
    """An item begins empty, gets its parts, and is done."""
    place = {"output_index": index}
    make = _PARTS.get(str(item.get("type")))
    if make is None:
        yield "response.output_item.added", {**place, "item": item}
    else:
        empty = {name: value for name, value in item.items() if name != "encrypted_content"}
        if "status" in item:
            empty["status"] = "in_progress"
        empty |= {name: type(item[name])() for name in ("content", "summary", "arguments", "input") if item.get(name)}
        yield "response.output_item.added", {**place, "item": empty}
        yield from make(item, {"item_id": item.get("id") or "", **place})
    yield "response.output_item.done", {**place, "item": item}


def _of_message(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Step]:
    for number, part in enumerate(_objects(item.get("content"))):
        at = {**place, "content_index": number}
        is_text = part.get("type") == "output_text"
        key, name = ("text", "output_text") if is_text else ("refusal", "refusal")
        text = part.get(key) or ""
        more = {"logprobs": part.get("logprobs") or []} if is_text else {}
        lists: dict[str, Any] = {name: [] for name in ("annotations", "logprobs") if name in part}
        yield "response.content_part.added", {**at, "part": {**part, key: "", **lists}}
        if text:
            yield f"response.{name}.delta", {**at, "delta": text, **more}
        for count, annotation in enumerate(_listed(part.get("annotations"))):
            noted = {"annotation_index": count, "annotation": annotation}
            yield "response.output_text.annotation.added", {**at, **noted}
        yield f"response.{name}.done", {**at, key: text, **more}
        yield "response.content_part.done", {**at, "part": part}


def _of_reasoning(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Step]:
    for number, part in enumerate(_objects(item.get("summary"))):
        at = {**place, "summary_index": number}
        yield "response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}}
        if part.get("text"):
            yield "response.reasoning_summary_text.delta", {**at, "delta": part["text"]}
        yield "response.reasoning_summary_text.done", {**at, "text": part.get("text") or ""}
        yield "response.reasoning_summary_part.done", {**at, "part": part}
    for number, part in enumerate(_objects(item.get("content"))):
        at = {**place, "content_index": number}
        yield "response.content_part.added", {**at, "part": {**part, "text": ""}}
        if part.get("text"):
            yield "response.reasoning_text.delta", {**at, "delta": part["text"]}
        yield "response.reasoning_text.done", {**at, "text": part.get("text") or ""}
        yield "response.content_part.done", {**at, "part": part}


def _of_call(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Step]:
    arguments = item.get("arguments") or ""
    if arguments:
        yield "response.function_call_arguments.delta", {**place, "delta": arguments}
    yield "response.function_call_arguments.done", {**place, "arguments": arguments, "name": item.get("name") or ""}


def _of_custom_call(item: dict[str, Any], place: dict[str, Any]) -> Iterator[Step]:
    given = item.get("input") or ""
    if given:
        yield "response.custom_tool_call_input.delta", {**place, "delta": given}
    yield "response.custom_tool_call_input.done", {**place, "input": given}


_PARTS: Final[dict[str, Callable[[dict[str, Any], dict[str, Any]], Iterator[Step]]]] = {
    "message": _of_message,
    "reasoning": _of_reasoning,
    "function_call": _of_call,
    "custom_tool_call": _of_custom_call,
}
"""What comes between an item's beginning and its end; an item of any other type comes whole."""
