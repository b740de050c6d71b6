"""What keeping responses needs, as pure functions: records of them, a chain as one input, objects of those under way.

A caller that stores its responses sends only what is new, with the id of the response before
(`previous_response_id`). Who serves it keeps a `Record` of each response, and `expand` makes of a chain of them the
whole input that a request without state has. Source: OpenAI API reference, Responses, conversation state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Maker
from tokenway.dialects.openai_responses.reader import read_response
from tokenway.dialects.openai_responses.response import Shape, failure
from tokenway.dialects.openai_responses.schema import NOTHING
from tokenway.model.errors import Problem, WireError, invalid_request
from tokenway.model.request import NO_JSON
from tokenway.wire.splice import append_member, layout, replace, without_members

_encode: Final = msgspec.json.encode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_PAGE: Final = 20
"""Items of a listing where the caller does not say how many."""
_PAGE_MOST: Final = 100


class _Asked(msgspec.Struct):
    input: msgspec.Raw = NO_JSON
    previous_response_id: str | None = None


_decode_asked: Final = msgspec.json.Decoder(_Asked).decode
_decode_items: Final = msgspec.json.Decoder(list[dict[str, Any]]).decode


class Record(msgspec.Struct, frozen=True):
    """One response as it is kept: its own id, that of the one before, what was new in its input, and its output."""

    id: str
    previous: str
    input: tuple[msgspec.Raw, ...]
    output: tuple[msgspec.Raw, ...]


def record(body: bytes, response: bytes) -> Record:
    """The record of a response; `body` is the request as its caller sent it, with only what is new.

    Raises WireError when either cannot be read.
    """
    try:
        asked = _decode_asked(body)
        items = _items_of(asked.input)
    except UNREADABLE as error:
        raise WireError(f"the request cannot be kept: {error}") from None
    answer = read_response(response)
    name = str(answer.id or "")
    named = [_named(item, f"{name.removeprefix('resp_')}_in{index}") for index, item in enumerate(items)]
    return Record(
        name,
        asked.previous_response_id or "",
        tuple(msgspec.Raw(_encode(item)) for item in named),
        tuple(msgspec.Raw(bytes(item)) for item in answer.output or ()),
    )


def expand(body: bytes, chain: Sequence[Record]) -> bytes:
    """The body with the input of the whole chain, its oldest response first, and without `previous_response_id`.

    An item that is only named by its id is looked up in the chain. All other members keep their bytes. Raises
    Refusal (400) for an id that no response of the chain has, WireError for a body that cannot be read.
    """
    try:
        items = _items_of(_decode_asked(body).input)
    except UNREADABLE as error:
        raise WireError(f"the request cannot be read: {error}") from None
    before = [item for kept in chain for item in _as_input(kept)]
    known = {str(item["id"]): item for item in before if item.get("id")}
    full = [*before, *(_resolved(item, index, known) for index, item in enumerate(items))]
    plain = without_members(body, ("previous_response_id",))
    encoded = _encode([_unnamed(item) for item in full])
    places = layout(plain)
    if "input" in places:
        return replace(plain, places["input"][1], encoded)
    return append_member(plain, b'"input":%b' % encoded)


def input_items(
    items: Iterable[msgspec.Raw], *, after: str = "", limit: int = _PAGE, is_ascending: bool = False
) -> bytes:
    """A page of the items that went into a response: newest first, or oldest first; `after` is the last id seen.

    Raises Refusal (400) where no item has that id.
    """
    listed = [_decode_object(item) for item in items]
    if not is_ascending:
        listed.reverse()
    ids = [str(item.get("id") or "") for item in listed]
    if after and after not in ids:
        raise invalid_request(f"No item of this response has the id '{after[:80]}'.", param="after")
    start = ids.index(after) + 1 if after else 0
    page = listed[start : start + max(1, min(limit, _PAGE_MOST))]
    return _encode(
        {
            "object": "list",
            "data": page,
            "first_id": str(page[0].get("id") or "") if page else "",
            "last_id": str(page[-1].get("id") or "") if page else "",
            "has_more": start + len(page) < len(listed),
        }
    )


def waiting(maker: Maker, *, has_begun: bool = False) -> bytes:
    """The response object of a request in the background: queued, or in progress."""
    return _encode(Shape(maker).make("in_progress" if has_begun else "queued"))


def cancelled(response: bytes) -> bytes:
    """The response object of a request in the background that its caller has given up; raises WireError."""
    return replace(response, layout(response)["status"][1], b'"cancelled"')


def failed(maker: Maker, problem: Problem) -> bytes:
    """The response object of a request in the background that could not be served."""
    return _encode(Shape(maker).make("failed", error=failure(problem.code or "server_error", problem.message)))


def deleted(name: str) -> bytes:
    """What tells that a response is no longer kept."""
    return _encode({"id": name, "object": "response", "deleted": True})


# -- items -------------------------------------------------------------------------------------------------


def _items_of(given: msgspec.Raw) -> list[dict[str, Any]]:
    """`input` as a list of items; a text is the user's message."""
    if given in NOTHING:
        return []
    if bytes(given).startswith(b'"'):
        return [_message(msgspec.json.decode(given, type=str))]
    return [_normal(item) for item in _decode_items(given)]


def _message(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def _normal(item: dict[str, Any]) -> dict[str, Any]:
    """An item with its type, and a message's text as a list of contents, as a listing shows it."""
    if item.get("type") is None and "role" in item:
        item = {"type": "message", **{key: value for key, value in item.items() if key != "type"}}
    content = item.get("content")
    if item.get("type") == "message" and isinstance(content, str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        part: dict[str, Any] = {"type": kind, "text": content}
        if kind == "output_text":
            part["annotations"] = []
        item = {**item, "content": [part]}
    return item


_PREFIXES: Final = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "custom_tool_call": "ctc_",
    "custom_tool_call_output": "cto_",
}
_MADE: Final = "_in"
"""What tells an id that `record` gave from one of an upstream's; `_unnamed` takes them off."""


def _named(item: dict[str, Any], name: str) -> dict[str, Any]:
    """The item with an id, so that it can be listed and referred to."""
    if item.get("id") or item.get("type") == "item_reference":
        return item
    return {"id": _PREFIXES.get(str(item.get("type")), "item_") + name, **item}


def _unnamed(item: dict[str, Any]) -> dict[str, Any]:
    """The item without an id that only we know."""
    name = str(item.get("id") or "")
    head, made, count = name.rpartition(_MADE)
    if made and head and count.isdigit():
        return {key: value for key, value in item.items() if key != "id"}
    return item


def _as_input(kept: Record) -> list[dict[str, Any]]:
    """A response's input and output as input of the next: without nulls, and without reasoning that is only an id."""
    items = []
    for raw in (*kept.input, *kept.output):
        item = {key: value for key, value in _decode_object(raw).items() if value is not None}
        if item.get("type") == "reasoning" and not (item.get("encrypted_content") or item.get("content")):
            continue
        items.append(item)
    return items


def _resolved(item: dict[str, Any], index: int, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The item itself, or the one that it refers to."""
    name = item.get("id")
    if item.get("type") != "item_reference" and (item.get("type") is not None or not name):
        return item
    found = known.get(str(name))
    if found is None:
        raise invalid_request(
            f"'input[{index}]': no response before this one has an item '{str(name)[:80]}'.",
            param=f"input[{index}].id",
            code="not_found",
        )
    return found
