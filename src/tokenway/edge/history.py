"""The memory of the Responses API: what came before a request, and keeping what came of it.

A request that names the response before it waits for the control process, which has the store. Where that response was
made by a provider that keeps it too, and the provider serves the model that is asked for, the request goes there
as it is; anywhere else the whole conversation is put into it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, CallerRequest
from tokenway.dialects.openai_responses import state as chains
from tokenway.dialects.openai_responses.replay import UNFINISHED
from tokenway.dialects.openai_responses.request import ResponsesRequest, parse
from tokenway.edge.background import Background, stored
from tokenway.edge.crossing import mistaken
from tokenway.edge.mistakes import MISTAKES
from tokenway.model.catalog import Endpoint, Operation
from tokenway.model.errors import ErrorType, Problem, Refusal, WireError, invalid_request
from tokenway.model.stored import StoredResponse
from tokenway.wire.sse import event_data, split_events

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState

log = logging.getLogger("tokenway.edge")

_unpack_chain: Final = msgspec.msgpack.Decoder(list[StoredResponse]).decode
_decode_items: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode


Go = Callable[[CallerRequest, str], None]


class _Final(msgspec.Struct):
    """The last event of a stream, or a response object itself."""

    response: msgspec.Raw = msgspec.Raw()
    output: tuple[msgspec.Raw, ...] = ()


_decode_final: Final = msgspec.json.Decoder(_Final).decode


def needs_history(request: CallerRequest) -> bool:
    """Whether something has to be looked up, or prepared, before a request can begin."""
    return isinstance(request, ResponsesRequest) and bool(request.previous or _is_background(request))


def is_kept(request: CallerRequest) -> bool:
    """Whether the caller wants what comes of a request to be kept."""
    return isinstance(request, ResponsesRequest) and request.store and request.operation is Operation.CHAT


def _is_background(request: ResponsesRequest) -> bool:
    return request.background and request.operation is Operation.CHAT


async def recall(state: EdgeState, relay: Relay, request: CallerRequest, go: Go) -> None:
    """Completes a request with what came before it, and begins it: for its caller, or in the background.

    `go` takes the whole request, and the provider that must serve it or an empty text.
    """
    if not isinstance(request, ResponsesRequest):
        raise TypeError("only the Responses API has a history")
    try:
        request, only = await _with_history(state, relay, request)
        if relay.disconnected:
            relay.answered(b"")
        elif _is_background(request):
            Background(state, relay, request, only).start()
        else:
            go(request, only)
    except Refusal as refusal:
        relay.refuse(refusal.problem)
    except UNREADABLE:
        log.exception("a kept response cannot be read", extra={"exchange": relay.id})
        relay.refuse(_not_kept(request.previous))
    except MISTAKES as error:
        if relay.response_complete:
            raise
        relay.refuse(mistaken(error))


async def _with_history(state: EdgeState, relay: Relay, request: ResponsesRequest) -> tuple[ResponsesRequest, str]:
    """The request with its whole conversation, or as it is for the provider that has it."""
    previous = request.previous
    if not previous:
        return request, ""
    found = await state.ask("chain", relay.principal, previous[:200])
    route = state.routes.find(request.model, relay.door)
    natives = {each.provider for each in route.endpoints if not route.is_crossing(each)}
    if found is None:
        if not natives:
            raise Refusal(_not_kept(previous))
        return request, next(each.provider for each in route.endpoints if each.provider in natives)
    chain = _unpack_chain(found)
    maker = chain[-1].endpoint.partition("/")[0]
    request.chain = chain[0].id
    if chain[-1].native and maker in natives:
        return request, maker
    records = []
    for kept in chain:
        if kept.status in UNFINISHED:
            raise invalid_request(
                f"The response '{kept.id}' is not complete yet.",
                param="previous_response_id",
                code="response_not_ready",
            )
        output = _decode_final(kept.response).output
        records.append(chains.Record(kept.id, kept.previous, _decode_items(kept.items), output))
    try:
        whole = parse(relay.door.operation, chains.expand(request.body, records), "", False)
    except WireError as error:
        raise invalid_request(f"The body cannot be read in one way only: {error}.") from None
    whole.previous = previous
    whole.chain = request.chain
    whole.asked = request.body
    return whole, ""


def keep(state: EdgeState, relay: Relay, endpoint: Endpoint, answer: bytes) -> None:
    """Keeps what came of a request; `answer` is the response object, or the last events of a stream."""
    request = relay.request
    if not isinstance(request, ResponsesRequest) or not state.snapshot.response_retention:
        return
    try:
        response = _response_in(answer) if request.stream else answer
        if response:
            kept = stored(request, response, relay.principal.project, endpoint.id)
            is_native = not relay.route.is_crossing(endpoint)
            state.keep(msgspec.structs.replace(kept, native=is_native))
    except (*UNREADABLE, WireError):
        log.warning("a response could not be kept", extra={"exchange": relay.id}, exc_info=True)


def _response_in(tail: bytes) -> bytes:
    """The response object in the last events of a stream."""
    for event in reversed(split_events(tail)):
        data = event_data(event)
        if data is not None and data.startswith(b"{"):
            found = bytes(_decode_final(data).response)
            if found:
                return found
    return b""


def _not_kept(previous: str) -> Problem:
    return Problem(
        400,
        ErrorType.INVALID_REQUEST,
        f"There is no response with the id '{previous[:100]}' in this project: it was not kept, was forgotten, or is "
        "too old.",
        param="previous_response_id",
        code="previous_response_not_found",
        should_retry=False,
    )
