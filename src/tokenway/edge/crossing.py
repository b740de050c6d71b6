"""What goes to each endpoint of one exchange whose dialect is not the caller's.

A request is read into its neutral form once, and written once for every endpoint that is asked: lazily, because most
exchanges ask one. Where no endpoint speaks the caller's dialect, the first is written before anything is reserved,
so that what is wrong with a request is told at once and costs nobody anything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from tokenway.dialects import embeddings
from tokenway.dialects.base import CallerRequest, Format, Upstream
from tokenway.dialects.gemini.request import EMBEDDINGS
from tokenway.dialects.registry import FORMATS
from tokenway.edge.mistakes import MISTAKES, where
from tokenway.edge.routes import Route
from tokenway.model.catalog import Endpoint
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.request import TOOLS, Media, MediaKind, Request, ToolResult, Written, prefilled
from tokenway.routing.exclude import Exclusion

log = logging.getLogger("tokenway.edge")

TOLD: Final = 2048
"""Characters of names that are told in a header: a body may have any number of members that nobody knows."""


class Crossings:
    """The requests of one exchange in its upstreams' dialects."""

    __slots__ = ("_neutral", "_request", "_route", "_written")

    def __init__(self, request: CallerRequest, route: Route) -> None:
        self._request = request
        self._route = route
        self._neutral: Request | None = None
        self._written: dict[str, Written] = {}

    @property
    def neutral(self) -> Request:
        """The request in its neutral form; raises Refusal where it is wrong."""
        if self._neutral is None:
            try:
                self._neutral = self._request.neutral()
            except MISTAKES as error:
                raise Refusal(mistaken(error)) from error
        return self._neutral

    @property
    def has_urls(self) -> bool:
        """Whether any medium of the request is given by URL."""
        return any(media.url for media in media_of(self.neutral))

    def complete(self, request: Request) -> None:
        """The request as it is to be written from now on, with what it only named."""
        self._neutral = request
        self._written.clear()

    def written(self, endpoint: Endpoint) -> Written:
        """The request for an endpoint; raises Refusal where its dialect cannot say it."""
        written = self._written.get(endpoint.id)
        if written is None:
            form = self._route.format_of(endpoint)
            to = Upstream(endpoint.upstream_model, endpoint.capabilities, self._route.quirks_of(endpoint))
            try:
                if self._request.operation in EMBEDDINGS:
                    own = embeddings.form_of(form.dialect, to.quirks)
                    written = embeddings.write_request(self._request, own, endpoint.upstream_model)
                else:
                    written = form.write_request(self._said_to(form), to)
            except MISTAKES as error:
                raise Refusal(mistaken(error)) from error
            self._written[endpoint.id] = written
        return written

    def written_to_resume(self, endpoint: Endpoint, text: str) -> Written:
        """The request for an endpoint that is to go on behind `text`; raises Refusal where it cannot be told."""
        form = self._route.format_of(endpoint)
        to = Upstream(endpoint.upstream_model, endpoint.capabilities, self._route.quirks_of(endpoint))
        try:
            return form.write_request(prefilled(self._said_to(form), text), to)
        except MISTAKES as error:
            raise Refusal(mistaken(error)) from error

    def _said_to(self, form: Format) -> Request:
        """The request for a dialect: where one call makes one answer, several are asked for by several calls."""
        request = self.neutral
        return request if form.has_choices or request.n is None else msgspec.structs.replace(request, n=None)

    def able(self, *, whole: bool) -> tuple[Endpoint, ...]:
        """The endpoints that can be asked, in their order; `whole` leaves out those that could not say all of it.

        Raises Refusal where none is left: the first one's reason.
        """
        route = self._route
        kept: list[Endpoint] = []
        reasons: list[Refusal] = []
        lost: dict[str, str] = {}
        for endpoint in route.endpoints:
            if route.fetches(endpoint) and self.has_urls:
                kept.append(endpoint)  # it is written when they are there
                continue
            try:
                missing = self._missing(endpoint) if whole or (route.all_cross and not kept) else ()
            except Refusal as refusal:
                reasons.append(refusal)
                continue
            if whole and missing:
                lost[endpoint.id] = spelled(missing, FORMATS[self._request.dialect])
            else:
                kept.append(endpoint)
        if kept:
            return tuple(kept)
        raise reasons[0] if reasons else Refusal(_cannot(lost, route.plan.excluded))

    def _missing(self, endpoint: Endpoint) -> tuple[str, ...]:
        """What an endpoint could not be told of this request."""
        able = endpoint.capabilities
        missing = []
        if self._request.operation in EMBEDDINGS:
            return self.written(endpoint).dropped if self._route.is_crossing(endpoint) else ()
        if self.neutral.tools and not able.tools:
            missing.append("tools")
        if not able.vision and any(each.kind is MediaKind.IMAGE for each in media_of(self.neutral)):
            missing.append("images")
        if self._route.is_crossing(endpoint):
            missing += self.written(endpoint).dropped
        return tuple(missing)


def spelled(dropped: tuple[str, ...], caller: Format) -> str:
    """Neutral field names in the caller's own spelling, as the header lists them; those that fit."""
    names = list(dict.fromkeys(_spelling(name, caller) for name in dropped))
    kept, length = 0, 0
    while kept < len(names) and (length := length + len(names[kept]) + 1) <= TOLD:
        kept += 1
    more = len(names) - kept
    return ",".join([*names[:kept], *([f"{more}-more"] if more else [])])


def _spelling(name: str, caller: Format) -> str:
    """A kind of tools stands where the caller has its tools."""
    if name.startswith(TOOLS):
        return f"{caller.spelling.get('tools', 'tools')}.{name[len(TOOLS) :]}"
    return caller.spelling.get(name, name)


def media_of(request: Request) -> list[Media]:
    """All media of a request, those in the results of tools too."""
    found: list[Media] = []
    for message in request.messages:
        for part in message.parts:
            inner = part.content if isinstance(part, ToolResult) else (part,)
            found += [each for each in inner if isinstance(each, Media)]
    return found


def mistaken(error: Exception) -> Problem:
    """500: a mistake of ours, whose place is in the log."""
    log.error("a request could not be taken in", extra={"mistake": where(error)})
    return mistake("understand")


def mistake(what: str) -> Problem:
    """500: what the gateway could not do with a request."""
    message = f"The gateway could not {what} this request, by a mistake of its own."
    return Problem(500, ErrorType.SERVER, message, code="internal_error", should_retry=False)


def _cannot(lost: dict[str, str], excluded: Mapping[str, Exclusion]) -> Problem:
    names = ", ".join(sorted({name for names in lost.values() for name in names.split(",")}))
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        f"No endpoint of this model takes all of the request's parameters ({names}), as "
        "'provider.require_parameters' asks.",
        param="provider.require_parameters",
        code="no_endpoints",
        should_retry=False,
        details={
            "availability": {
                "code": "constraint_filtered",
                "excluded_by": {endpoint: why.code for endpoint, why in excluded.items()}
                | dict.fromkeys(lost, "require_parameters"),
                "unsupported": lost,
            }
        },
    )
