"""What is not hot: the list of models, health, an exchange's record, the key's own figures; an ASGI application.

These answers come from the snapshot, or from the control process over the link.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokenway.dialects.openai_chat.error import error_body
from tokenway.edge.doors import FIXED
from tokenway.edge.kept import KeptPages
from tokenway.edge.reply import header_value
from tokenway.edge.state import EdgeState
from tokenway.model.catalog import Endpoint, Model, Operation, Price, Rates
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.money import NANO_PER_USD, UNITS_PER_RATE, format_usd
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.plan import listed, resolve, unknown_model

Handler = Callable[[Request, Principal], Awaitable[object]]
_encode: Final = msgspec.json.encode
_PARAMETERS: Final = ("max_tokens", "temperature", "top_p", "stop", "response_format", "seed")
_SHOWN: Final = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "cache_write_1h": "input_cache_write_1h",
}


def make_app(state: EdgeState) -> Starlette:
    """The application for one worker."""
    pages = Pages(state)
    kept = KeptPages(state)
    routes = []
    for prefix in ("/v1", "/api/v1"):
        routes += [
            Route(f"{prefix}/models", pages.with_key(pages.models)),
            Route(f"{prefix}/models/{{name:path}}/endpoints", pages.with_key(pages.endpoints)),
            Route(f"{prefix}/models/{{name:path}}", pages.with_key(pages.model)),
            Route(f"{prefix}/generation", pages.with_key(pages.generation)),
            Route(f"{prefix}/key", pages.with_key(pages.key)),
            Route(f"{prefix}/responses/{{id}}", pages.with_key(kept.response)),
            Route(f"{prefix}/responses/{{id}}", pages.with_key(kept.forget), methods=["DELETE"]),
            Route(f"{prefix}/responses/{{id}}/input_items", pages.with_key(kept.items)),
            Route(f"{prefix}/responses/{{id}}/cancel", pages.with_key(kept.cancel), methods=["POST"]),
        ]
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
        """A handler that is only called with a valid key, and whose value becomes a JSON answer."""

        async def answer(request: Request) -> Response:
            query = request.scope["query_string"]
            principal = self._state.gate.admit(dict(request.scope["headers"]), query, time.time())
            return self._respond(200, _encode(await handler(request, principal)))

        return answer

    async def models(self, _request: Request, _principal: Principal) -> object:
        """`GET /v1/models`: what callers can ask for, aliases and the enabled providers' own models included."""
        snapshot = self._state.snapshot
        if self._listed is None or self._listed[0] is not snapshot:
            self._listed = (snapshot, msgspec.Raw(_encode({"object": "list", "data": list(catalogue(snapshot))})))
        return self._listed[1]

    async def model(self, request: Request, _principal: Principal) -> object:
        """`GET /v1/models/{id}`: one model; also names that the list does not hold but a provider serves."""
        name = request.path_params["name"]
        model = resolve(self._state.snapshot, name)
        if model is None:
            raise Refusal(unknown_model(self._state.snapshot, name))
        return describe(model) | {"id": name}

    async def endpoints(self, request: Request, principal: Principal) -> object:
        """`GET /v1/models/{id}/endpoints`: who offers a model, at what price and grade, and how fast it was lately."""
        name = request.path_params["name"]
        model = resolve(self._state.snapshot, name)
        if model is None:
            raise Refusal(unknown_model(self._state.snapshot, name))
        offers = []
        for endpoint in model.endpoints:
            body = await self._state.ask("velocity", principal, endpoint.id)
            lately = msgspec.json.decode(body) if body is not None else {}
            offers.append(describe_endpoint(model, endpoint) | lately)
        shape = describe(model)
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

    async def key(self, _request: Request, principal: Principal) -> object:
        """`GET /v1/key`: what the caller's key has used and may still use, in USD."""
        body = await self._state.ask("key", principal, "")
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
        return self._respond(problem.status, error_body(problem), error.headers)

    async def refusal(self, _request: Request, refusal: Refusal) -> Response:
        """What a handler refused."""
        return self._respond(refusal.problem.status, error_body(refusal.problem))

    def _respond(self, status: int, body: bytes, more: Mapping[str, str] | None = None) -> Response:
        identity = header_value(self._state.new_id()).decode()
        headers = {"x-request-id": identity, "x-generation-id": identity, **(more or {})}
        return Response(body, status, headers, media_type="application/json")


def catalogue(snapshot: Snapshot) -> Iterator[dict[str, object]]:
    """Every model of the list, described; an alias by its own name, with the model's as its slug."""
    for name, model in listed(snapshot):
        yield describe(model) if name == model.name else describe(model) | {"id": name, "canonical_slug": model.name}


def describe(model: Model) -> dict[str, object]:
    """A model in OpenAI's shape, with OpenRouter's fields where they are known; prices in USD per token."""
    # None of its providers may be there: the local engine does not run, or they are switched off.
    first = model.endpoints[0] if model.endpoints else Endpoint("", "")
    shape: dict[str, object] = {
        "id": model.name,
        "canonical_slug": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.owner,
        "name": model.title or model.name,
        "description": model.description,
        "context_length": first.capabilities.context,
        "top_provider": {
            "context_length": first.capabilities.context,
            "max_completion_tokens": first.capabilities.max_output,
        },
        "architecture": architecture(first),
        "supported_parameters": supported(first),
        "endpoints": [endpoint.id for endpoint in model.endpoints],
    }
    if first.price is not None:
        shape["pricing"] = pricing(first.price)
    return shape


def architecture(endpoint: Endpoint) -> dict[str, object]:
    """What goes in and what comes out, in OpenRouter's words."""
    taken = ["text", "image"] if endpoint.capabilities.vision else ["text"]
    made = ["text"] if Operation.CHAT in endpoint.operations else ["embeddings"]
    return {"modality": f"{'+'.join(taken)}->{made[0]}", "input_modalities": taken, "output_modalities": made}


def supported(endpoint: Endpoint) -> list[str]:
    """The request's parameters that make a difference, in OpenRouter's words; every endpoint that chats takes most."""
    if Operation.CHAT not in endpoint.operations:
        return []
    return [*_PARAMETERS, *(("tools", "tool_choice") if endpoint.capabilities.tools else ())]


def describe_endpoint(model: Model, endpoint: Endpoint) -> dict[str, object]:
    """An endpoint in OpenRouter's shape; what is not known, such as measured speed before there is any, is null."""
    return {
        "name": f"{endpoint.provider} | {model.name}",
        "tag": endpoint.id,
        "model_id": model.name,
        "model_name": endpoint.upstream_model,
        "provider_name": endpoint.provider,
        "quantization": endpoint.grade.weights,
        "context_length": endpoint.capabilities.context,
        "max_completion_tokens": endpoint.capabilities.max_output,
        "supported_parameters": supported(endpoint),
        "pricing": None if endpoint.price is None else pricing(endpoint.price),
        "latency_last_30m": None,
        "throughput_last_30m": None,
    }


def pricing(price: Price) -> dict[str, object]:
    """USD per token, request or search, as exact decimal strings; only the rates that the endpoint has."""
    rates = {
        **{shown: getattr(price, field) for field, shown in _SHOWN.items()},
        "internal_reasoning": price.reasoning,
        "audio": price.audio_input,
        "audio_output": price.audio_output,
        "image_token": price.image_input,
        "image_output": price.image_output,
    }
    known: dict[str, object] = {name: per_token(rate) for name, rate in rates.items() if rate is not None}
    known["request"] = format_usd(price.request)
    if price.search:
        known["web_search"] = format_usd(price.search)
    overrides = [{"min_prompt_tokens": tier.above + 1} | _per_token(tier) for tier in price.tiers]
    overrides += [
        {"utc_start": _clock(hours.begin), "utc_end": _clock(hours.end)} | _per_token(hours) for hours in price.hours
    ]
    return known | ({"overrides": overrides} if overrides else {})


def _per_token(rates: Rates) -> dict[str, object]:
    return {shown: per_token(rate) for field, shown in _SHOWN.items() if (rate := getattr(rates, field)) is not None}


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02d}{minute % 60:02d}"


def per_token(rate: int) -> str:
    """A rate (nano-dollars per million tokens) as USD per token, exactly: `500_000_000` gives `0.0000005`."""
    dollars = Decimal(rate) / (NANO_PER_USD * UNITS_PER_RATE)
    return f"{dollars.normalize():f}"
