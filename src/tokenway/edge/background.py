"""Responses that are made in the background: exchanges without a caller, whose events may be followed by its project.

The provider is asked for a stream, whatever the caller wants. What comes of it becomes the response's own stream
(`openai_responses/replay.py`): who asked for a stream follows it from its beginning, who asks later from where they
want. Nobody's leaving ends it; its end is kept with all of its events.

    start ──▶ admitted ──▶ kept, and the caller told ──▶ followed ──▶ ended, and kept with its events
         └──▶ refused by a limit: the caller is told that, and nothing is kept
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Maker
from tokenway.dialects.openai_responses import state as chains
from tokenway.dialects.openai_responses.reader import read_response
from tokenway.dialects.openai_responses.replay import Story
from tokenway.dialects.openai_responses.request import ResponsesRequest, parse
from tokenway.edge import reply
from tokenway.edge.attempt import JSON
from tokenway.edge.client import Inner
from tokenway.edge.crossing import mistake
from tokenway.edge.deliver import end_stream, forward_made, header_lines
from tokenway.edge.images import fetch_for, wants_images
from tokenway.edge.intake import Intake, take_in
from tokenway.model.errors import ErrorType, Problem, WireError, invalid_request
from tokenway.model.stored import StoredResponse
from tokenway.wire.limits import PING_SECONDS
from tokenway.wire.splice import append_member, without_members

if TYPE_CHECKING:
    from tokenway.edge.relay import Relay
    from tokenway.edge.state import EdgeState

log = logging.getLogger("tokenway.edge")

EVENTS: Final = b"text/event-stream"
KEEP_ALIVE: Final = b": keep-alive\n\n"


class _Told(msgspec.Struct):
    """The error object of an answer."""

    message: str | None = None
    code: str | int | None = None


class _Failure(msgspec.Struct):
    error: _Told


_decode_failure: Final = msgspec.json.Decoder(_Failure).decode


def stored(request: ResponsesRequest, response: bytes, project: str, endpoint: str) -> StoredResponse:
    """The record of a response; raises WireError where it cannot be read."""
    made = chains.record(request.asked, response)
    return StoredResponse(
        id=made.id,
        project=project,
        created=time.time(),
        model=request.model,
        endpoint=endpoint,
        status=str(read_response(response).status or ""),
        response=response,
        items=msgspec.json.encode(made.input),
        previous=made.previous,
    )


class Background:
    """One such exchange."""

    def __init__(self, state: EdgeState, relay: Relay, request: ResponsesRequest, only: str) -> None:
        """Raises Refusal where nothing would be kept. `relay` is the caller's."""
        if not request.store or not state.snapshot.response_retention:
            raise invalid_request(
                "A response in the background must be kept: 'store' may not be false"
                + ("." if not request.store else ", and this gateway keeps none (responses.retention)."),
                param="background",
            )
        self._state = state
        self._caller = relay
        self._only = only
        self._asked = request
        self._project = relay.principal.project
        self._maker = Maker(relay.id, request.model, int(time.time()), request)
        self._waiting = chains.waiting(self._maker, has_begun=True)
        self._story = Story(self._waiting)
        self._is_begun = False
        """Whether it was admitted, and its caller was told of it."""
        self._is_stopped = False
        self._why = ""
        self._is_over = False
        self._news = asyncio.Event()
        self._run: Relay
        self._key = ("", "")

    def start(self) -> None:
        """Begins to make it; its caller hears whether that is admitted, now or later. Raises Refusal."""
        caller, state = self._caller, self._state
        intake = self._take_in()
        kept = stored(self._asked, self._waiting, self._project, "")
        self._key = (kept.id, self._project)
        run = self._run = caller.sibling(Inner(self._ended, self._arrived))
        run.id = caller.id
        run.keeps = False
        run.on_admitted = partial(self._begin, kept, intake.route.label)
        caller.maker = self
        if wants_images(intake):
            state.tasks.spawn("images", fetch_for(state, run, intake, run.begin))
        else:
            run.begin(intake)

    def client_gone(self) -> None:
        """Its caller is gone: of what was not admitted yet nobody would ever know the id."""
        if not self._is_begun:
            self._run.client_gone()

    def client_paused(self, *, paused: bool) -> None:
        """Its caller reads slowly, or again: what it is told waits in its connection."""

    def show(self) -> None:
        """Keeps its events so far, for those who follow it at another worker."""
        self._keep(self._waiting, events=b"".join(self._story.events))

    def stop(self, why: str = "") -> None:
        """Ends it: it is cancelled, or has failed for this reason."""
        self._is_stopped = True
        self._why = why
        self._run.client_gone()

    async def follow(self, after: int) -> AsyncGenerator[bytes, None]:
        """The events behind the number `after` as they come, up to the last one; comments while there are none."""
        at = after + 1
        events = self._story.events
        while True:
            news = self._news
            if at < len(events):
                data = b"".join(events[at:])
                at = len(events)
                yield data
            elif self._is_over:
                return
            else:
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        await news.wait()
                except TimeoutError:
                    yield KEEP_ALIVE

    def _begin(self, kept: StoredResponse, label: bytes) -> None:
        """It is admitted: it is kept, and its caller told that it is being made."""
        caller, state = self._caller, self._state
        self._is_begun = True
        state.keep(kept)
        state.background[self._key] = self
        lines = header_lines(caller) + label
        if self._asked.stream:
            state.tasks.spawn("follow", self._tell(caller, lines))
        else:
            caller.answered(reply.answer_head(lines, None, None, JSON, len(self._waiting)) + self._waiting)

    async def _tell(self, caller: Relay, lines: bytes) -> None:
        """Shows the stream to who asked for it, as long as it is there."""
        async with aclosing(self.follow(-1)) as events:
            async for data in events:
                if caller.response_complete:
                    return
                forward_made(caller, data, lines, EVENTS)
        if not caller.response_complete:
            end_stream(caller, b"")

    def _take_in(self) -> Intake:
        """The exchange that makes it: a stream, which may be silent as long as it lasts; raises Refusal."""
        request, caller = self._asked, self._caller
        body = append_member(without_members(request.body, ("background", "stream")), b'"stream":true')
        plain = parse(caller.door.operation, body, "", False)
        plain.asked, plain.previous = request.asked, request.previous
        intake = take_in(self._state, caller.door, plain, caller.headers, caller.principal, self._only)
        limits = intake.order.timeouts
        patient = msgspec.structs.replace(limits, first_token=limits.total, between_tokens=limits.total)
        return msgspec.structs.replace(intake, order=msgspec.structs.replace(intake.order, timeouts=patient))

    def _keep(self, response: bytes, endpoint: str = "", events: bytes = b"") -> None:
        kept = stored(self._asked, response, self._project, endpoint)
        self._state.keep(msgspec.structs.replace(kept, events=events))

    def _arrived(self, _inner: Inner, data: bytes) -> None:
        self._story.take(data)
        self._tell_all()

    def _tell_all(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _ended(self, inner: Inner) -> None:
        """All of it is there, or is not to be had."""
        if not self._is_begun:
            self._caller.refuse(self._run.problem or mistake("begin"))
            return
        self._state.background.pop(self._key, None)
        story = self._story
        try:
            if not story.final:
                story.end(self._given_up(inner))
            self._keep(story.final, self._run.answered_by, b"".join(story.events))
        except (*UNREADABLE, WireError):
            log.exception("a response in the background could not be kept")
        self._is_over = True
        self._tell_all()

    def _given_up(self, inner: Inner) -> bytes:
        """The response that nobody made."""
        if self._is_stopped and not self._why:
            return chains.cancelled(self._waiting)
        return chains.failed(self._maker, self._problem(inner))

    def _problem(self, inner: Inner) -> Problem:
        """What the exchange would have told a caller who waited."""
        try:
            told = _decode_failure(inner.body).error
        except UNREADABLE:
            told = _Told()
        message = self._why or told.message or self._story.fault or "The response could not be made."
        return Problem(inner.status or 502, ErrorType.SERVER, message, code=str(told.code or "server_error"))
