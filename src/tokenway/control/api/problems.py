"""Errors, all in one shape: RFC 9457's problem details, with the field that is wrong where there is one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from tokenway.store.base import Conflict, InUse, Invalid, NotFound, StoreError

log = logging.getLogger("tokenway.control")

MEDIA_TYPE: Final = "application/problem+json"
TITLES: Final = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Not JSON",
    422: "Not valid",
    429: "Too many attempts",
    500: "Internal error",
    501: "Not installed",
    503: "Not available",
}
_PARTS: Final = frozenset({"body", "query", "path", "header", "cookie"})
_SAID: Final = {
    400: "the body cannot be read",
    404: "there is nothing at this path",
    413: "the body is too large",
}
_ERRORS_MAX: Final = 20


class FieldError(BaseModel):
    """One thing that is wrong, and where."""

    model_config = ConfigDict(extra="forbid")

    field: str
    reason: str


class ProblemBody(BaseModel):
    """What every error looks like."""

    model_config = ConfigDict(extra="forbid", title="Problem")

    type: str = "about:blank"
    title: str = Field(description="The same for every problem with this status.")
    status: int
    detail: str = Field(description="What is wrong, for a person.")
    field: str | None = Field(default=None, description="The part of the request that is wrong, where there is one.")
    errors: list[FieldError] | None = Field(default=None, description="Everything that is wrong, where it is several.")


class Problem(Exception):
    """An answer that is an error."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.body = ProblemBody(
            title=TITLES[status], status=status, detail=detail, field=field, errors=list(errors) or None
        )
        self.headers = headers or {}

    def response(self) -> JSONResponse:
        """The answer itself."""
        content = self.body.model_dump(exclude_none=True)
        return JSONResponse(content, self.status, self.headers, MEDIA_TYPE)


def not_found(what: str, identity: str) -> Problem:
    """There is no such thing, or the caller may not know of it."""
    return Problem(404, f"there is no {what} {identity!r}")


def of_store(error: StoreError) -> Problem:
    """What a store refused, as the API says it."""
    match error:
        case Invalid(field=field):
            return Problem(422, str(error), field=field)
        case NotFound():
            return Problem(404, str(error))
        case Conflict():
            return Problem(409, str(error))
        case InUse():
            detail = str(error)
            return Problem(409, detail if "archive" in detail else f"{detail}; archive it instead")
        case _:
            return Problem(503, str(error))


def of_validation(error: RequestValidationError) -> Problem:
    """A request that does not have the shape it must have."""
    errors = [_field_error(each) for each in error.errors()[:_ERRORS_MAX]]
    in_path = [each for each in error.errors() if each["loc"][:1] == ("path",)]
    if in_path:
        return not_found("resource", str(in_path[0].get("input", "")))
    first = errors[0]
    return Problem(
        422,
        f"{first.field}: {first.reason}" if first.field else first.reason,
        field=first.field or None,
        errors=errors if len(errors) > 1 else (),
    )


def _field_error(error: Any) -> FieldError:
    places = list(error["loc"])
    if error["type"] == "json_invalid":
        return FieldError(field="", reason="the body is not JSON")
    if places and places[0] in _PARTS:
        places = places[1:]
    path = ""
    for place in places:
        path += f"[{place}]" if isinstance(place, int) else f".{place}" if path else str(place)
    from tokenway.control.api.types import PATTERNS  # noqa: PLC0415 - types know of problems

    reason = PATTERNS.get(error.get("ctx", {}).get("pattern", "")) or str(error["msg"]).removeprefix("Value error, ")
    return FieldError(field=path, reason=reason)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    async def on_problem(_request: Request, error: Exception) -> JSONResponse:
        return _problem_of(error).response()

    for kind in (Problem, StoreError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, on_problem)
    app.add_exception_handler(Exception, on_problem)


def _problem_of(error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case StoreError():
            return of_store(error)
        case RequestValidationError():
            return of_validation(error)
        case HTTPException(status_code=status):
            known = status if status in TITLES else 400
            return Problem(known, _SAID.get(known, TITLES[known]), headers=dict(error.headers or {}))
        case _:
            log.error("a request to the control API failed", exc_info=error)
            return Problem(500, "the gateway could not answer; its log says why")
