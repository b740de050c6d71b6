"""From a request's body to an exchange: the request is read, completed, planned, and begins.

    body ─▶ read ─▶ (what came before it) ─▶ planned ─▶ (images fetched) ─▶ one exchange, several, or an estimate

The steps in brackets wait for others, and few requests need them.
"""

from __future__ import annotations

from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.counting import estimate
from tokenway.dialects.gemini.request import GeminiRequest, wants_array
from tokenway.edge import reply
from tokenway.edge.arrange import limited
from tokenway.edge.attempt import JSON
from tokenway.edge.crossing import mistaken
from tokenway.edge.deliver import header_lines
from tokenway.edge.fleet import PROBE_EVERY, WAIT_MAX
from tokenway.edge.history import needs_history, recall
from tokenway.edge.images import fetch_for, wants_images
from tokenway.edge.intake import Intake, read_request, take_in
from tokenway.edge.line import Place
from tokenway.edge.mistakes import MISTAKES
from tokenway.edge.upload import Content
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState


def start(state: EdgeState, relay: Relay, body: Content) -> None:
    """Begins what a body asks for, or tells its caller why not."""
    relay.asked_at = monotonic()
    try:
        request = read_request(state, relay.door, relay.form, relay.headers, body)
    except Refusal as refusal:
        relay.refuse(refusal.problem)
        return
    except MISTAKES as error:
        relay.refuse(mistaken(error))
        return
    if isinstance(request, GeminiRequest):
        request.array = request.stream and wants_array(relay.query)
    if needs_history(request):
        state.tasks.spawn("history", recall(state, relay, request, partial(go, state, relay)))
    else:
        go(state, relay, request)


def go(state: EdgeState, relay: Relay, request: CallerRequest, only: str = "", place: Place | None = None) -> None:
    """Plans a whole request and begins it. `only` is the provider that must serve it, if one must.

    Where every endpoint is at its limit for a short while, it is planned anew after that; `place` is then its own.
    """
    if relay.disconnected:
        return
    try:
        intake = take_in(state, relay.door, request, relay.headers, relay.principal, only, place=place)
        if intake.wait:
            if place is None:
                until = relay.asked_at + min(WAIT_MAX, intake.order.timeouts.total)
                place = Place(relay, until, partial(go, state, relay, request, only), relay.principal.key_id)
            _wait(state, intake, place)
            return
    except Refusal as refusal:
        relay.refuse(refusal.problem)
        return
    except MISTAKES as error:
        relay.refuse(mistaken(error))
        return
    if intake.crossings is None:
        relay.begin(intake)
    elif wants_images(intake):
        state.tasks.spawn("images", fetch_for(state, relay, intake, partial(begin, relay)))
    else:
        begin(relay, intake)


def _wait(state: EdgeState, intake: Intake, place: Place) -> None:
    """Has a request wait: in line, or until the moment of which a provider has told; raises Refusal for a late one."""
    now, wait, endpoints, fleet = monotonic(), intake.wait, intake.order.endpoints, state.fleet
    known = wait if wait < inf else PROBE_EVERY
    if now >= place.until or (wait < inf and now + wait > place.until):
        raise Refusal(limited(endpoints, known))
    if not intake.is_held:
        place.insists = True
        state.loop.call_later(wait, place.go, place)
        return
    tokens = intake.request.size // 4
    held = [each for each in endpoints if fleet.is_held(each, tokens, now, place)]
    if not fleet.line.stand(place, held or endpoints, tokens):
        raise Refusal(limited(endpoints, known))


def begin(relay: Relay, intake: Intake) -> None:
    """Begins one exchange, or several; a count that no provider makes is estimated at once."""
    if relay.door.operation is Operation.COUNT and intake.route.all_cross:
        _count(relay, intake)
    elif intake.copies > 1:
        relay.fan_out(intake)
    else:
        relay.begin(intake)


def _count(relay: Relay, intake: Intake) -> None:
    """No provider of the model counts tokens: the caller gets an estimate, which costs nobody anything."""
    try:
        body = estimate(intake.request)
    except Refusal as refusal:
        relay.refuse(refusal.problem)
        return
    lines = header_lines(relay) + intake.route.label + b"x-tokenway-estimated: true\r\n"
    relay.answered(reply.answer_head(lines, None, None, JSON, len(body)) + body)
