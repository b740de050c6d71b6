"""The memory of the Responses API: what came before a request, and keeping what came of it.

A request that names the response before it waits for the control process, which has the store. Where that response was
made by a provider that keeps it too, and the provider serves the model that is asked for, the request goes there
as it is; anywhere else the whole conversation is put into it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, CallerRequest, Maker
from tokenway.dialects.openai_responses import state as chains
from tokenway.dialects.openai_responses.request import ResponsesRequest, parse
from tokenway.edge import reply
from tokenway.edge.attempt import JSON
from tokenway.edge.client import Inner
from tokenway.edge.images import fetch_for, wants_images
from tokenway.edge.intake import take_in
from tokenway.model.catalog import Endpoint
from tokenway.model.errors import ErrorType, Problem, Refusal, WireError, invalid_request
from tokenway.model.stored import StoredResponse
from tokenway.wire.splice import layout, replace, without_members
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
    id: str = ""
    status: str = ""
    output: tuple[msgspec.Raw, ...] = ()


class _Told(msgspec.Struct):
    """The error object of an answer."""

    message: str | None = None
    code: str | int | None = None


class _Failure(msgspec.Struct):
    error: _Told


_decode_failure: Final = msgspec.json.Decoder(_Failure).decode
_decode_final: Final = msgspec.json.Decoder(_Final).decode


def needs_history(request: CallerRequest) -> bool:
    """Whether something has to be looked up, or prepared, before a request can begin."""
    return isinstance(request, ResponsesRequest) and bool(request.previous or _is_background(request))


def is_kept(request: CallerRequest) -> bool:
    """Whether the caller wants what comes of a request to be kept."""
    return isinstance(request, ResponsesRequest) and request.store


def _is_background(request: ResponsesRequest) -> bool:
    return request.background and not request.stream


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
            _Background(state, relay, request, only).start()
        else:
            go(request, only)
    except Refusal as refusal:
        relay.refuse(refusal.problem)
    except UNREADABLE:
        log.exception("a kept response cannot be read", extra={"exchange": relay.id})
        relay.refuse(_not_kept(request.previous))


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
    if chain[-1].native and maker in natives:
        return request, maker
    records = []
    for kept in chain:
        if kept.status in {"queued", "in_progress"}:
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
            kept = _stored(request, response, relay.principal.project, endpoint.id)
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


def _stored(request: ResponsesRequest, response: bytes, project: str, endpoint: str) -> StoredResponse:
    made = chains.record(request.asked, response)
    return StoredResponse(
        id=made.id,
        project=project,
        created=time.time(),
        model=request.model,
        endpoint=endpoint,
        status=_decode_final(response).status,
        response=response,
        items=msgspec.json.encode(made.input),
        previous=made.previous,
    )


class _Background:
    """One exchange without a caller: its answer is kept, and nobody waits for it."""

    def __init__(self, state: EdgeState, relay: Relay, request: ResponsesRequest, only: str) -> None:
        """Raises Refusal where nothing would be kept."""
        if not request.store or not state.snapshot.response_retention:
            raise invalid_request(
                "A response in the background must be kept: 'store' may not be false"
                + ("." if not request.store else ", and this gateway keeps none (responses.retention)."),
                param="background",
            )
        self._state = state
        self._caller = relay
        self._only = only
        self._asked = request
        self._project = relay.principal.project
        self._maker = Maker(relay.id, request.model, int(time.time()), request)
        self._waiting = chains.waiting(self._maker, has_begun=True)
        self._is_stopped = False
        self._run: Relay
        self._key = ("", "")

    def start(self) -> None:
        """Tells the caller that its response is being made, and begins to make it; raises Refusal."""
        request, caller, state = self._asked, self._caller, self._state
        plain = parse(caller.door.operation, without_members(request.body, ("background",)), "", False)
        plain.asked, plain.previous = request.asked, request.previous
        intake = take_in(state, caller.door, plain, caller.headers, self._only)
        kept = self._keep(self._waiting, caller.model)
        self._key = (kept.id, self._project)
        run = self._run = caller.sibling(Inner(self._ended))
        run.id = caller.id
        run.keeps = False
        state.background[self._key] = self
        lines = caller.header_lines() + intake.route.label
        head = reply.answer_head(lines, None, None, JSON, len(self._waiting))
        caller.answered(head + self._waiting)
        if wants_images(intake):
            state.tasks.spawn("images", fetch_for(state, run, intake, run.begin))
        else:
            run.begin(intake)

    def client_gone(self) -> None:
        """It is not wanted any more."""
        self._is_stopped = True
        self._run.client_gone()

    def _keep(self, response: bytes, endpoint: str) -> StoredResponse:
        kept = _stored(self._asked, response, self._project, endpoint)
        self._state.keep(kept)
        return kept

    def _ended(self, inner: Inner) -> None:
        """The answer is there, or is not to be had."""
        self._state.background.pop(self._key, None)
        try:
            if self._is_stopped:
                self._keep(chains.cancelled(self._waiting), "")
            elif inner.status == 200 and not inner.was_aborted:
                self._keep(self._as_ours(inner.body), self._run.answered_by)
            else:
                self._keep(chains.failed(self._maker, self._problem(inner)), "")
        except (*UNREADABLE, WireError):
            log.exception("a response in the background could not be kept")

    def _as_ours(self, response: bytes) -> bytes:
        """The response under the id that the caller was given."""
        places = layout(response)
        named = replace(response, places["id"][1], msgspec.json.encode(self._key[0]))
        places = layout(named)
        if "background" in places:
            return replace(named, places["background"][1], b"true")
        return named

    @staticmethod
    def _problem(inner: Inner) -> Problem:
        """What the exchange would have told a caller who waited."""
        try:
            told = _decode_failure(inner.body).error
        except UNREADABLE:
            told = _Told()
        message = told.message or "The response could not be made."
        return Problem(inner.status or 502, ErrorType.SERVER, message, code=str(told.code or "server_error"))


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
