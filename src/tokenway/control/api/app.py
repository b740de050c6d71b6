"""The application: every resource, one description of all of them (OpenAPI 3.1), and its manual."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp

from tokenway.control.api import (
    aliases,
    audit,
    endpoints,
    exports,
    invoices,
    keys,
    ledger,
    limits,
    models,
    nodes,
    oidc,
    prices,
    problems,
    projects,
    providers,
    runs,
    session,
    signup,
    snapshots,
    tokens,
    usage,
    users,
    velocity,
)
from tokenway.control.api import (
    credits as credits_,
)
from tokenway.control.api.callers import COOKIE, CSRF_HEADER, Doorman, Guarded
from tokenway.control.api.docs import page
from tokenway.control.api.guard import Guard
from tokenway.control.api.problems import MEDIA_TYPE, ProblemBody
from tokenway.control.api.rules import Need, need_of
from tokenway.control.api.services import Services

ROUTERS: Final[tuple[APIRouter, ...]] = (
    session.router,
    signup.router,
    oidc.router,
    users.router,
    projects.router,
    keys.router,
    limits.router,
    tokens.router,
    credits_.router,
    invoices.router,
    snapshots.router,
    providers.router,
    models.router,
    aliases.router,
    endpoints.router,
    prices.router,
    velocity.router,
    usage.router,
    runs.router,
    ledger.router,
    exports.router,
    nodes.router,
    audit.router,
)
PREFIX: Final = "/api"
_DESCRIPTION: Final = (
    "Accounts, money and configuration of one Tokenway installation. Lists have pages (`limit`, `cursor` and "
    "`next_cursor`), money is a decimal string in USD, times are RFC 3339 in UTC, errors problem details (RFC 9457)."
)
_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "A control token: `twc-…`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"A browser that has signed in. A change also needs the session's token in `{CSRF_HEADER}`.",
    },
}
_CHANGES: Final = frozenset({"post", "put", "patch", "delete"})


def make_api(services: Services) -> ASGIApp:
    """The API, to be mounted under `/api`."""
    app = FastAPI(
        title="Tokenway control API",
        version=version("tokenway"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        root_path_in_servers=False,
        servers=[{"url": PREFIX}],
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.doorman = Doorman(services)
    problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]

    async def description(_request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(app.openapi))  # the first time takes a second of work

    async def manual(_request: Request) -> Response:
        return HTMLResponse(page(await asyncio.to_thread(app.openapi)))

    async def wrong_method(request: Request, _error: Exception) -> Response:
        headers = {"allow": ", ".join(sorted(_methods(request)))}
        return problems.Problem(405, f"{request.method} is not possible here", headers=headers).response()

    app.add_route("/openapi.json", description, include_in_schema=False)
    app.add_route("/docs", manual, include_in_schema=False)
    app.add_exception_handler(405, wrong_method)
    return Guard(app)


def _methods(request: Request) -> set[str]:
    """What a path can be asked for with; each method is a route of its own."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Guarded)]
    met = [route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for methods in met for method in methods}


def _described(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with who may ask and every error that may come."""
    if app.openapi_schema is None:
        schema = FastAPI.openapi(app)
        components = schema.setdefault("components", {})
        components["securitySchemes"] = _SECURITY
        shapes = components.setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            shapes.pop(name, None)
        shapes["Problem"] = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
        shapes |= shapes["Problem"].pop("$defs", {})
        for path, operations in schema["paths"].items():
            for method, operation in operations.items():
                _complete(method, path, operation)
    return app.openapi_schema or {}


def _complete(method: str, path: str, operation: dict[str, Any]) -> None:
    is_open = need_of(method.upper(), path) is Need.NOTHING
    if not is_open:
        operation["security"] = [{"token": []}, {"session": []}]
    statuses = {400, 422, 500, 503}
    statuses |= {401, 403} if not is_open or path == "/session" else {403}
    statuses |= {404}
    if method in _CHANGES:
        statuses |= {409, 413, 415, 429}
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _sendable(parameter["schema"])
    statuses |= {int(status) for status in operation["responses"] if status >= "400"}
    for status in sorted(statuses):
        operation["responses"][str(status)] = {
            "description": problems.TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }


def _sendable(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter: one that is left out is not sent as null."""
    kinds = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    rest: dict[str, Any] = {name: value for name, value in schema.items() if name != "anyOf"}
    rest |= kinds[0]
    return rest
