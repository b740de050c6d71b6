"""What is not hot: the list of models, health, an exchange's record, the key's own figures; an ASGI application.

These answers come from the snapshot, or from the control process over the link.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokenway.dialects.carriers import ID_MAX
from tokenway.dialects.registry import FORMATS
from tokenway.edge import listing
from tokenway.edge.doors import FIXED, dialect_at
from tokenway.edge.kept import KeptPages, no_conversations
from tokenway.edge.policy import check_models
from tokenway.edge.reply import header_value
from tokenway.edge.state import EdgeState
from tokenway.model.catalog import Dialect, Model
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.plan import resolve, unknown_model

Handler = Callable[[Request, Principal], Awaitable[object]]
_encode: Final = msgspec.json.encode
_ANY: Final = ["GET", "POST", "DELETE"]
_CONVERSE: Final = ("converse", "converse-stream")
RUNS_PAGE: Final = 20
RUNS_MAX: Final = 100
"""Runs of a page where a client does not say, and at most."""
ANTHROPIC_PAGE: Final = 20
"""Models of a page where an Anthropic client does not say."""


def make_app(state: EdgeState) -> Starlette:
    """The application for one worker."""
    pages = Pages(state)
    kept = KeptPages(state)
    routes = []
    for prefix in ("/v1", "/api/v1", "/openai/v1", "/openai"):
        routes += [
            Route(f"{prefix}/models", pages.with_key(pages.models)),
            Route(f"{prefix}/models/{{name:path}}/endpoints", pages.with_key(pages.endpoints)),
            Route(f"{prefix}/models/{{name:path}}", pages.with_key(pages.model)),
            Route(f"{prefix}/credits", pages.with_key(pages.credits)),
            Route(f"{prefix}/generation", pages.with_key(pages.generation)),
            Route(f"{prefix}/runs", pages.with_key(pages.runs)),
            Route(f"{prefix}/runs/{{id:path}}", pages.with_key(pages.run)),
            Route(f"{prefix}/key", pages.with_key(pages.key)),
            Route(f"{prefix}/responses/{{id}}", pages.with_key(kept.response)),
            Route(f"{prefix}/responses/{{id}}", pages.with_key(kept.forget), methods=["DELETE"]),
            Route(f"{prefix}/responses/{{id}}/input_items", pages.with_key(kept.items)),
            Route(f"{prefix}/responses/{{id}}/cancel", pages.with_key(kept.cancel), methods=["POST"]),
            Route(f"{prefix}/conversations{{rest:path}}", pages.with_key(no_conversations), methods=_ANY),
        ]
    for version in ("/v1beta", "/api/v1beta"):
        routes += [
            Route(f"{version}/models", pages.with_key(pages.gemini_models)),
            Route(f"{version}/models/{{name:path}}", pages.with_key(pages.gemini_model)),
        ]
    for version in ("/v1", "/v1beta", "/api/v1", "/api/v1beta"):
        routes.append(Route(f"{version}/models/{{name:path}}:{{verb:str}}", pages.relayed, methods=["POST"]))
    routes += [Route(f"/model/{{name}}/{verb}", pages.relayed, methods=["POST"]) for verb in _CONVERSE]
    routes += [Route("/api/hello", pages.hello)]
    routes += [Route("/health/live", pages.live), Route("/health/ready", pages.ready)]
    # What is relayed never comes here, but for other methods, which are told so.
    routes += [Route(path.decode(), pages.relayed, methods=["POST"]) for path in FIXED]
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: pages.http_problem, Refusal: pages.refusal},  # type: ignore[dict-item]
    )
    # A path with a slash too many is told that it is wrong: few clients follow a redirect with their body and key.
    app.router.redirect_slashes = False
    return app


class Pages:
    """The handlers, which share the worker's state."""

    def __init__(self, state: EdgeState) -> None:
        self._state = state
        self._listed: tuple[Snapshot, msgspec.Raw] | None = None

    def with_key(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A handler that is only called with a valid key, and whose value becomes a JSON answer, if it is none yet."""

        async def answer(request: Request) -> Response:
            query = request.scope["query_string"]
            peer = request.client.host if request.client is not None else ""
            principal = self._state.gate.admit(dict(request.scope["headers"]), query, time.time(), peer)
            made = await handler(request, principal)
            if isinstance(made, Response):
                made.headers.update(_identified(self._state.new_id()))
                return made
            return self._respond(200, _encode(made))

        return answer

    async def models(self, request: Request, principal: Principal) -> object:
        """`GET /v1/models`: what the key can ask for, aliases and the enabled providers' own models included."""
        snapshot = self._state.snapshot
        allowed = principal.models
        dialect = _dialect(request)
        if dialect is Dialect.GEMINI:
            return await self.gemini_models(request, principal)
        if dialect is Dialect.ANTHROPIC:
            query = request.query_params
            size = listing.number(query.get("limit"), ANTHROPIC_PAGE, "limit", listing.PAGE_MAX)
            after, before = query.get("after_id", ""), query.get("before_id", "")
            return listing.anthropic_page(snapshot, size, after=after, before=before, allowed=allowed)
        if request.query_params or allowed is not None:
            return listing.openai_list(snapshot, request.query_params, allowed)
        if self._listed is None or self._listed[0] is not snapshot:
            self._listed = (snapshot, msgspec.Raw(_encode(listing.openai_list(snapshot, {}))))
        return self._listed[1]

    async def gemini_models(self, request: Request, principal: Principal) -> object:
        """`GET /v1beta/models`: the same in Google's shape, page by page."""
        query = request.query_params
        size = listing.number(query.get("pageSize"), listing.PAGE, "pageSize", listing.PAGE_MAX)
        return listing.gemini_page(self._state.snapshot, size, query.get("pageToken", ""), principal.models)

    async def gemini_model(self, request: Request, principal: Principal) -> object:
        """`GET /v1beta/models/{id}`."""
        return listing.gemini_model(*self._find(request, principal))

    async def hello(self, _request: Request) -> Response:
        """`HEAD /api/hello`: Claude Code asks whether anybody is there."""
        return self._respond(200, b'{"hello":"tokenway"}')

    def _find(self, request: Request, principal: Principal) -> tuple[str, Model]:
        """The model that a path names, also one that the list does not hold; raises Refusal (403, 404)."""
        name = request.path_params["name"]
        check_models(self._state.snapshot, principal, name)
        model = resolve(self._state.snapshot, name)
        if model is None:
            raise Refusal(unknown_model(self._state.snapshot, name))
        return name, model

    async def model(self, request: Request, principal: Principal) -> object:
        """`GET /v1/models/{id}`: one model; also names that the list does not hold but a provider serves."""
        name, model = self._find(request, principal)
        dialect = _dialect(request)
        if dialect is Dialect.GEMINI:
            return listing.gemini_model(name, model)
        if dialect is Dialect.ANTHROPIC:
            return listing.anthropic_model(name, model)
        return listing.describe(model) | {"id": name}

    async def endpoints(self, request: Request, principal: Principal) -> object:
        """`GET /v1/models/{id}/endpoints`: who offers a model, at what price and grade, and how fast it was lately."""
        name, model = self._find(request, principal)
        subject = _encode([endpoint.id for endpoint in model.endpoints]).decode()
        body = await self._state.ask("velocity", principal, subject)
        figures = msgspec.json.decode(body or b"{}", type=dict[str, dict[str, object]])
        offers = [
            listing.describe_endpoint(model, endpoint) | figures.get(endpoint.id, {}) for endpoint in model.endpoints
        ]
        shape = listing.describe(model)
        kept = {field: shape[field] for field in ("name", "created", "description", "architecture")}
        return {"data": {"id": name, **kept, "endpoints": offers}}

    async def generation(self, request: Request, principal: Principal) -> object:
        """`GET /v1/generation?id=`: the record of one of the caller's own exchanges."""
        subject = request.query_params.get("id", "")
        if not subject:
            raise Refusal(Problem(400, ErrorType.INVALID_REQUEST, "The parameter 'id' is missing.", param="id"))
        body = await self._state.ask("generation", principal, subject[:100])
        if body is None:
            raise Refusal(Problem(404, ErrorType.NOT_FOUND, "There is no such generation of this key.", param="id"))
        return {"data": msgspec.Raw(body)}

    async def runs(self, request: Request, principal: Principal) -> object:
        """`GET /v1/runs`: the runs of the caller's key, the latest first, by pages."""
        query = request.query_params
        size = listing.number(query.get("limit"), RUNS_PAGE, "limit", RUNS_MAX)
        subject = _encode((size, query.get("cursor") or None)).decode()
        body = await self._state.ask("runs", principal, subject)
        if body is None:
            raise Refusal(Problem(400, ErrorType.INVALID_REQUEST, "The cursor is none of this list's.", param="cursor"))
        return msgspec.Raw(body)

    async def run(self, request: Request, principal: Principal) -> object:
        """`GET /v1/runs/{id}`: the tree of one run of the caller's key."""
        body = await self._state.ask("run", principal, request.path_params["id"][:ID_MAX])
        if body is None:
            raise Refusal(Problem(404, ErrorType.NOT_FOUND, "There is no such run of this key.", param="id"))
        return {"data": msgspec.Raw(body)}

    async def key(self, _request: Request, principal: Principal) -> object:
        """`GET /v1/key`: what the caller's key has used and may still use, in USD."""
        body = await self._state.ask("key", principal, "")
        return {"data": msgspec.Raw(body or b"null")}

    async def credits(self, _request: Request, principal: Principal) -> object:
        """`GET /v1/credits`: what the key's project was given and has been charged, in USD."""
        body = await self._state.ask("credits", principal, principal.project)
        return {"data": msgspec.Raw(body or b"null")}

    async def live(self, _request: Request) -> Response:
        """`GET /health/live`: the process answers."""
        return self._respond(200, b'{"status":"ok"}')

    async def ready(self, _request: Request) -> Response:
        """`GET /health/ready`: whether requests can be served, else why not."""
        reasons = []
        if self._state.draining:
            reasons.append("the gateway is stopping")
        if self._state.snapshot.not_ready:
            reasons.append(self._state.snapshot.not_ready)
        if reasons:
            return self._respond(503, _encode({"status": "unavailable", "reasons": reasons}))
        return self._respond(200, b'{"status":"ok"}')

    async def relayed(self, _request: Request) -> Response:
        """A relayed path spelled so that it is not one, as with `%63` for `c`."""
        raise HTTPException(404)

    async def http_problem(self, request: Request, error: HTTPException) -> Response:
        """A path or a method that is not there."""
        path = request.url.path[:100]
        if error.status_code == 405:
            problem = Problem(
                405,
                ErrorType.INVALID_REQUEST,
                f"{request.method} is not allowed on {path}.",
                code="method_not_allowed",
                should_retry=False,
            )
        else:
            problem = Problem(
                error.status_code,
                ErrorType.NOT_FOUND,
                f"There is nothing at {request.method} {path}. The API begins at /v1, as in /v1/chat/completions.",
                code="unknown_url",
                should_retry=False,
            )
        return self._problem(request, problem, error.headers)

    async def refusal(self, request: Request, refusal: Refusal) -> Response:
        """What a handler refused."""
        return self._problem(request, refusal.problem)

    def _problem(self, request: Request, problem: Problem, more: Mapping[str, str] | None = None) -> Response:
        """An error in the shape that callers of the path read."""
        identity = self._state.new_id()
        form = FORMATS[_dialect(request)]
        status = form.statuses.get(problem.type, problem.status)
        if form.id_header:
            more = {**(more or {}), form.id_header.decode(): header_value(identity).decode()}
        return self._respond(status, form.error_body(problem, identity), more, identity)

    def _respond(self, status: int, body: bytes, more: Mapping[str, str] | None = None, identity: str = "") -> Response:
        headers = {**_identified(identity or self._state.new_id()), **(more or {})}
        return Response(body, status, headers, media_type="application/json")


def _identified(exchange: str) -> dict[str, str]:
    """The headers that every answer has."""
    identity = header_value(exchange).decode()
    return {"x-request-id": identity, "x-generation-id": identity}


def _dialect(request: Request) -> Dialect:
    """The dialect that who asks for a path speaks."""
    return dialect_at(request.scope["path"].encode("utf-8", "replace"), dict(request.scope["headers"]))
