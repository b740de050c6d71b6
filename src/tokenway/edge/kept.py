"""The kept responses of a project: read, listed, forgotten, stopped (`/v1/responses/{id}` and below)."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request

from tokenway.dialects.openai_responses.state import deleted, input_items
from tokenway.edge.listing import number
from tokenway.edge.state import EdgeState
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Principal
from tokenway.model.stored import StoredResponse

UNFINISHED: Final = ("queued", "in_progress")
LIMIT_MAX: Final = 100
ITEMS: Final = 20
"""Items of one page at most, and where the caller does not say, as OpenAI's API has it."""

_unpack: Final = msgspec.msgpack.Decoder(StoredResponse).decode


class KeptPages:
    """The handlers; each gives the value of a JSON answer, or raises Refusal."""

    def __init__(self, state: EdgeState) -> None:
        self._state = state

    async def response(self, request: Request, principal: Principal) -> object:
        """`GET /v1/responses/{id}`."""
        kept = await self.find(request.path_params["id"], principal)
        return with_status(kept)

    async def items(self, request: Request, principal: Principal) -> object:
        """`GET /v1/responses/{id}/input_items`: newest first unless `order=asc`, from behind the item `after`."""
        kept = await self.find(request.path_params["id"], principal)
        query = request.query_params
        listed = msgspec.json.decode(kept.items, type=list[msgspec.Raw])
        limit = number(query.get("limit"), ITEMS, "limit", LIMIT_MAX)
        is_ascending = query.get("order", "desc") == "asc"
        page = input_items(listed, after=query.get("after", ""), limit=limit, is_ascending=is_ascending)
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
            return with_status(msgspec.structs.replace(kept, status="cancelled"))
        if not msgspec.json.decode(kept.response).get("background"):
            raise Refusal(
                Problem(
                    400,
                    ErrorType.INVALID_REQUEST,
                    "Only a response that is made in the background can be cancelled.",
                    param="response_id",
                    code="not_cancellable",
                )
            )
        return with_status(kept)

    async def find(self, identity: str, principal: Principal) -> StoredResponse:
        """A kept response of the caller's project; raises Refusal (404)."""
        found = await self._state.ask("response", principal, identity[:200])
        if found is None:
            raise Refusal(unknown(identity))
        return _unpack(found)


def with_status(kept: StoredResponse) -> object:
    """The response object; its status is the row's, which tells when a worker ended before its work was done."""
    response = msgspec.json.decode(kept.response, type=dict[str, object])
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
