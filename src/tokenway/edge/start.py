"""From a request's body to an exchange: the request is read, completed, planned, and begins.

    body ─▶ read ─▶ (what came before it) ─▶ planned ─▶ (images fetched) ─▶ one exchange, several, or an estimate

The steps in brackets wait for others, and few requests need them.
"""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.counting import estimate
from tokenway.dialects.gemini.request import GeminiRequest, wants_array
from tokenway.edge import reply
from tokenway.edge.arrange import limited
from tokenway.edge.attempt import JSON, MISTAKES
from tokenway.edge.crossing import mistaken
from tokenway.edge.fleet import WAIT_MAX
from tokenway.edge.history import needs_history, recall
from tokenway.edge.images import fetch_for, wants_images
from tokenway.edge.intake import Intake, read_request, take_in
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


def go(state: EdgeState, relay: Relay, request: CallerRequest, only: str = "", *, insists: bool = False) -> None:
    """Plans a whole request and begins it. `only` is the provider that must serve it, if one must.

    Where every endpoint is at its limit for a short while, it is planned anew after that.
    """
    if relay.disconnected:
        return
    try:
        intake = take_in(state, relay.door, request, relay.headers, relay.principal, only, insists=insists)
        if intake.wait:
            waited = monotonic() - relay.times.received
            if waited + intake.wait > min(WAIT_MAX, intake.order.timeouts.total):
                raise Refusal(limited(intake.order.endpoints, intake.wait))
            state.loop.call_later(intake.wait, partial(go, state, relay, request, only, insists=True))
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
    lines = relay.header_lines() + intake.route.label + b"x-tokenway-estimated: true\r\n"
    relay.answered(reply.answer_head(lines, None, None, JSON, len(body)) + body)
