"""The kept responses of a project: read, listed, forgotten, stopped (`/v1/responses/{id}` and below)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import StreamingResponse

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.openai_responses.replay import UNFINISHED, beginning, broken, replay
from tokenway.dialects.openai_responses.state import deleted, input_items
from tokenway.edge.background import EVENTS, KEEP_ALIVE
from tokenway.edge.listing import number
from tokenway.edge.state import EdgeState
from tokenway.model.errors import ErrorType, Problem, Refusal, invalid_request
from tokenway.model.snapshot import Principal
from tokenway.model.stored import StoredResponse
from tokenway.wire.limits import PING_SECONDS
from tokenway.wire.sse import split_events

NUMBER_MAX: Final = 10**9
"""No stream has as many events."""
FOLLOW_SECONDS: Final = 0.5
"""How often is looked how far another worker has come with a response."""
STOP_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.02
"""How long, and how often, is looked whether a worker has stopped."""
_YES: Final = frozenset({"true", "True", "1"})
LIMIT_MAX: Final = 100
ITEMS: Final = 20
"""Items of one page at most, and where the caller does not say, as OpenAI's API has it."""


class _Output(msgspec.Struct):
    output: tuple[msgspec.Raw, ...] = ()


_unpack: Final = msgspec.msgpack.Decoder(StoredResponse).decode
_unpack_chain: Final = msgspec.msgpack.Decoder(list[StoredResponse]).decode
_decode_items: Final = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode
_decode_output: Final = msgspec.json.Decoder(_Output).decode


class KeptPages:
    """The handlers; each gives the value of a JSON answer, or raises Refusal."""

    def __init__(self, state: EdgeState) -> None:
        self._state = state

    async def response(self, request: Request, principal: Principal) -> object:
        """`GET /v1/responses/{id}`: the object, or with `stream=true` its events behind `starting_after`."""
        identity = request.path_params["id"]
        query = request.query_params
        if query.get("stream") not in _YES:
            return with_status(await self.find(identity, principal))
        given = query.get("starting_after")
        after = -1 if given is None else number(given, 0, "starting_after", NUMBER_MAX, 0)
        running = self._state.background.get((identity, principal.project))
        if running is None:
            events = self._follow(await self.find(identity, principal), principal, after)
        else:
            events = running.follow(after)
        return StreamingResponse(events, media_type=EVENTS.decode(), headers={"cache-control": "no-cache"})

    async def items(self, request: Request, principal: Principal) -> object:
        """`GET /v1/responses/{id}/input_items`: newest first unless `order=asc`, from behind the item `after`.

        What the responses before it have of the conversation belongs to it, as long as all of them are kept.
        """
        kept = await self.find(request.path_params["id"], principal)
        query = request.query_params
        limit = number(query.get("limit"), ITEMS, "limit", LIMIT_MAX)
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise invalid_request("'order' must be 'asc' or 'desc'.", param="order")
        found = await self._state.ask("chain", principal, kept.id) if kept.previous else None
        listed: list[msgspec.Raw] = []
        try:
            for each in _unpack_chain(found)[:-1] if found is not None else ():
                listed += (*_decode_items(each.items), *_decode_output(each.response).output)
            listed += _decode_items(kept.items)
            page = input_items(listed, after=query.get("after", ""), limit=limit, is_ascending=order == "asc")
        except UNREADABLE:
            raise Refusal(unknown(kept.id)) from None
        return msgspec.Raw(page)

    async def forget(self, request: Request, principal: Principal) -> object:
        """`DELETE /v1/responses/{id}`."""
        identity = request.path_params["id"]
        if await self._state.ask("forget", principal, identity) is None:
            raise Refusal(unknown(identity))
        return msgspec.Raw(deleted(identity))

    async def cancel(self, request: Request, principal: Principal) -> object:
        """`POST /v1/responses/{id}/cancel`: for one that is made in the background; others have ended already."""
        kept = await self.find(request.path_params["id"], principal)
        if kept.status in UNFINISHED:
            await self._state.ask("stop", principal, kept.id)
            for _ in range(round(STOP_SECONDS / LOOK_SECONDS)):
                kept = await self.find(kept.id, principal)
                if kept.status not in UNFINISHED:
                    return with_status(kept)
                await asyncio.sleep(LOOK_SECONDS)
            return with_status(msgspec.structs.replace(kept, status="cancelled"))
        response = with_status(kept)
        if not response.get("background"):
            raise Refusal(
                Problem(
                    400,
                    ErrorType.INVALID_REQUEST,
                    "Only a response that is made in the background can be cancelled.",
                    param="response_id",
                    code="not_cancellable",
                )
            )
        return response

    async def _follow(self, kept: StoredResponse, principal: Principal, after: int) -> AsyncIterator[bytes]:
        """The events of a response behind a number; another worker that makes it is asked to show what it has."""
        at = after + 1
        silent = 0.0
        try:
            while kept.status in UNFINISHED:
                news = await self._events(kept, principal, at)
                at += len(news)
                silent = 0.0 if news else silent + FOLLOW_SECONDS
                if news:
                    yield b"".join(news)
                elif silent >= PING_SECONDS:
                    silent = 0.0
                    yield KEEP_ALIVE
                await self._state.ask("show", principal, kept.id)
                await asyncio.sleep(FOLLOW_SECONDS)
                kept = await self.find(kept.id, principal)
            yield b"".join(await self._events(kept, principal, at))
        except Refusal as refusal:
            # Its head has gone out: what is wrong can only be told in the stream.
            yield broken(at, refusal.problem.code or "server_error", refusal.problem.message)

    async def _events(self, kept: StoredResponse, principal: Principal, at: int) -> list[bytes]:
        """The events of a response from a number on, as far as it is kept; raises Refusal."""
        found = await self._state.ask("events", principal, kept.id)
        if found is not None:
            return split_events(found)[at:]
        if kept.status in UNFINISHED:
            return beginning(kept.response)[at:]
        return replay(msgspec.json.encode(with_status(kept)), at - 1)

    async def find(self, identity: str, principal: Principal) -> StoredResponse:
        """A kept response of the caller's project; raises Refusal (404)."""
        found = await self._state.ask("response", principal, identity[:200])
        if found is None:
            raise Refusal(unknown(identity))
        return _unpack(found)


async def no_conversations(_request: Request, _principal: Principal) -> object:
    """`/v1/conversations` and below: what OpenAI has besides."""
    raise Refusal(
        Problem(
            404,
            ErrorType.NOT_FOUND,
            "Conversations are not kept here. A response is: name the one before in 'previous_response_id'.",
            code="unknown_url",
            should_retry=False,
        )
    )


def with_status(kept: StoredResponse) -> dict[str, object]:
    """The response object; its status is the row's, which tells when a worker ended before its work was done.

    One that cannot be read, because its provider wrote it so, is as good as gone: raises Refusal (404).
    """
    try:
        response = msgspec.json.decode(kept.response, type=dict[str, object])
    except UNREADABLE:
        raise Refusal(unknown(kept.id)) from None
    if response.get("status") != kept.status:
        response["status"] = kept.status
        if kept.status == "failed":
            response["error"] = {"code": "server_error", "message": "The process that made this response ended."}
    return response


def unknown(identity: str) -> Problem:
    """404: never there, forgotten, too old, or another project's."""
    return Problem(
        404,
        ErrorType.NOT_FOUND,
        f"There is no response with the id '{identity[:100]}' in this project.",
        param="response_id",
        code="response_not_found",
        should_retry=False,
    )
