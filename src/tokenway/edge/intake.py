"""From a request's headers and body to an order for the exchange machine: everything before the first attempt.

What a caller did wrong is a `Refusal` here and costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Final

import msgspec

from tokenway.dialects.base import CallerRequest, Format
from tokenway.dialects.gather import streamed
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.runs import Named, name_run
from tokenway.dialects.side.request import FormRequest
from tokenway.edge.arrange import Wanted, arrange
from tokenway.edge.crossing import Crossings
from tokenway.edge.doors import Door
from tokenway.edge.inflate import inflate
from tokenway.edge.line import Place
from tokenway.edge.policy import check_cost, check_models
from tokenway.edge.routes import Route
from tokenway.edge.state import EdgeState
from tokenway.edge.upload import Content
from tokenway.exchange.events import Order
from tokenway.metering.estimate import worst_case
from tokenway.metering.ledger import Trace
from tokenway.metering.price import for_picture
from tokenway.model.catalog import Endpoint, Operation, Timeouts
from tokenway.model.errors import ErrorType, Problem, Refusal, invalid_request
from tokenway.model.money import format_usd, marked_up_ceiling
from tokenway.model.snapshot import Principal
from tokenway.routing.preferences import NO_WISHES, Wishes, read_wishes

AMOUNT_MAX: Final = 2**63 - 1
"""The largest amount that the books can hold, in nano-dollars: a caller can name any number of tokens."""

_COUNT: Final = Operation.COUNT
"""Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration."""

COPIES_MAX: Final = 128
"""Answers of one request where each takes an exchange of its own: as many as OpenAI's API gives."""


class Intake(msgspec.Struct, gc=False):
    """A request that was understood, and what is to be done about it. `min_tps` is the floor that holds for it."""

    request: CallerRequest
    route: Route
    order: Order
    run: str
    min_tps: float
    crossings: Crossings | None
    """What goes to endpoints of another dialect; None where there are none."""
    asked: CallerRequest
    """What endpoints are asked: the request, or the same for a stream where the caller wants the answer whole."""
    keys: tuple[int, ...] = ()
    """What its conversation is recognised by."""
    copies: int = 1
    """How many exchanges it takes: more than one for several answers where no endpoint can give them at once."""
    wait: float = 0.0
    """Seconds for which no endpoint takes it; `inf` where nobody knows."""
    is_held: bool = False
    """Whether it stands in line for that, with all others who wait for a limit of the configuration."""
    trace: Trace | None = None
    """Where in its run it belongs, where anything is known of that."""

    @property
    def gathers(self) -> bool:
        """Whether the answer comes as a stream and is given whole."""
        return self.asked is not self.request


def read_request(
    state: EdgeState, door: Door, form: Format, headers: Mapping[bytes, bytes], body: Content
) -> CallerRequest:
    """Reads a request; raises Refusal."""
    encoding = headers.get(b"content-encoding")
    if encoding is not None:
        body = inflate(bytes(body), encoding, state.snapshot.max_body)
    if door.is_form:
        return FormRequest(door.operation, body, headers.get(b"content-type", b""), door.model)
    return form.parse(door.operation, bytes(body), door.model, door.stream)


def take_in(
    state: EdgeState,
    door: Door,
    request: CallerRequest,
    headers: Mapping[bytes, bytes],
    principal: Principal,
    only: str = "",
    *,
    place: Place | None = None,
) -> Intake:
    """Plans a request; raises Refusal. `only` is the provider that must serve it, empty where any may.

    `place` is that of a request that has waited for endpoints that were at their limits.
    """
    own = request.preferences
    check_models(state.snapshot, principal, request.model, request.models)
    if own is None and not request.models:
        route = state.routes.find(request.model, door, principal.endpoints, principal.models)
    else:
        wishes = NO_WISHES if own is None else read_wishes(own)
        if principal.endpoints is not None:
            wishes = msgspec.structs.replace(wishes, allowed=principal.endpoints)
        route = state.routes.plan(request.model, door, tuple(request.models), wishes, principal.models)
    wishes = route.plan.wishes
    named = name_run(headers, request, guesses=state.snapshot.guesses_runs)
    wanted = Wanted(request, route, wishes, _timeouts(wishes, headers), headers, principal, place=place, named=named)
    asked = streamed(request) if wanted.stream and not request.stream else request
    endpoints = route.endpoints
    crossings = None
    needs_whole = wishes.require_parameters
    if route.crosses or needs_whole:
        crossings = Crossings(asked, route)
        endpoints = crossings.able(whole=needs_whole)
    if only:
        endpoints = tuple(each for each in endpoints if each.provider == only)
        if not endpoints:
            raise Refusal(_must_be(only))
    copies = 1
    if request.choices > 1 and route.crosses:
        choosing = tuple(each for each in endpoints if route.format_of(each).has_choices)
        copies = 1 if choosing else request.choices
        if copies > COPIES_MAX:
            raise _too_many(door)
        endpoints = choosing or endpoints
    if door.operation is _COUNT:
        endpoints = tuple(each for each in endpoints if not route.is_crossing(each)) or endpoints
        amount = 0
    else:
        amount = worst_case(route.bounds_for(request.body), request.size, request.max_tokens, request.answers)
        amount = marked_up_ceiling(amount, principal.markup)
        if request.look is not None:
            endpoints = tuple(_priced(each, *request.look) for each in endpoints)
    _check_cost(wishes, amount)
    check_cost(principal, amount)
    order, wait, is_held = arrange(state, wanted, endpoints, min(amount, AMOUNT_MAX))
    trace = _trace(named) if named.run else None
    common = request, route, order, named.run, order.min_tps, crossings, asked
    return Intake(*common, wanted.keys, copies, wait, is_held, trace)


def _trace(named: Named) -> Trace | None:
    """What the books keep of where in a run a request belongs; None where nothing but the run is known."""
    return Trace(*named[1:]) if any(named[1:]) else None


def _timeouts(wishes: Wishes, headers: Mapping[bytes, bytes]) -> Timeouts:
    """The deadlines that the caller names, which can only shorten those that hold."""
    own_total = headers.get(b"x-tokenway-timeout")
    return wishes.timeouts if own_total is None else _with_total(wishes.timeouts, own_total)


def _priced(endpoint: Endpoint, size: str, quality: str) -> Endpoint:
    """The endpoint with what it takes for images of this size and quality."""
    if endpoint.price is None or not endpoint.price.images:
        return endpoint
    return msgspec.structs.replace(endpoint, price=for_picture(endpoint.price, size, quality))


def _check_cost(wishes: Wishes, amount: int) -> None:
    """Raises Refusal where the call can cost more than its caller wants."""
    if wishes.max_cost is not None and amount > wishes.max_cost:
        raise Refusal(_too_dear(amount, wishes.max_cost))


def _with_total(timeouts: Timeouts, value: bytes) -> Timeouts:
    """The timeouts with the caller's own total, which can only shorten it."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < inf:
        raise invalid_request("'x-tokenway-timeout' must be a positive number of seconds.", param="x-tokenway-timeout")
    return Timeouts(timeouts.connect, timeouts.first_token, timeouts.between_tokens, min(seconds, timeouts.total))


def _too_many(door: Door) -> Refusal:
    """400: so many answers are not made."""
    name = FORMATS[door.dialect].spelling.get("n", "n")
    return invalid_request(f"'{name}' must be at most {COPIES_MAX}.", param=name, code="invalid_value")


def draining() -> Problem:
    """503: the process is about to end."""
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        "The gateway is stopping and takes no new requests.",
        code="draining",
        retry_after=1.0,
        should_retry=True,
    )


def no_journal() -> Problem:
    """503: without a journal nothing can be promised."""
    return Problem(
        503,
        ErrorType.SERVER,
        "The gateway cannot keep its books at the moment, so it takes no new requests.",
        code="journal_unavailable",
        retry_after=5.0,
        should_retry=True,
    )


def _must_be(provider: str) -> Problem:
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        f"The provider '{provider}' has the response before this one, and may not be asked for this request.",
        param="provider",
        code="no_endpoints",
        should_retry=False,
    )


def _too_dear(amount: int, limit: int) -> Problem:
    return Problem(
        402,
        ErrorType.PAYMENT_REQUIRED,
        f"This call can cost up to {format_usd(amount)} USD, above its 'provider.max_cost' of {format_usd(limit)} USD.",
        param="provider.max_cost",
        code="max_cost_exceeded",
        should_retry=False,
    )
