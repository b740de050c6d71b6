"""A worker's end of the link to the control process: snapshots come in, questions, gauges and responses go out.

The control process is found on a Unix socket. When the link is lost the worker serves on with what it has, and
connects again until a control process answers; what has to reach one is sent again until it is acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from tokenway.model.errors import ErrorType, Problem, Refusal, WireError
from tokenway.model.link import Answer, Keep, Kept, Publish, Question, ToControl, ToWorker, pack, unpack_for_worker
from tokenway.model.snapshot import Principal
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB

log = logging.getLogger("tokenway.edge")

ANSWER_SECONDS: Final = 10.0
BEHIND_BYTES: Final = MIB
"""What waits to be sent when the control process does not read: more than it ever leaves unread otherwise."""
UNKEPT_BYTES: Final = 64 * MIB
"""Responses that wait to be acknowledged; what comes when there are more is lost, and said to be."""
CONNECT_FIRST: Final = 0.02
CONNECT_MAX: Final = 1.0
"""Seconds from a lost link to the next try, and at most between two tries."""

Message = TypeVar("Message", bound=msgspec.Struct)


class ControlLink:
    """Speaks with the control process. `greeting()` gives what is said first in each new connection."""

    def __init__(self, greeting: Callable[[], Sequence[ToControl]], on_lost: Callable[[], None] = lambda: None) -> None:
        """`on_lost` is called at the end of each connection."""
        self._greeting = greeting
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._is_up = False
        self._handlers: dict[type, Callable[[Any], None]] = {}
        self._waiting: dict[int, asyncio.Future[bytes | None]] = {}
        self._asked = 0
        self._unkept: dict[int, bytes] = {}
        """What was not acknowledged, in the order in which it came, as it goes over the link."""
        self._unkept_bytes = 0
        self._kept = 0
        self._all_kept = asyncio.Event()
        self._all_kept.set()
        self.on(Answer, self._take_answer)
        self.on(Kept, self._take_kept)

    @property
    def is_up(self) -> bool:
        """Whether a control process has sent a snapshot in the connection that there is."""
        return self._is_up

    @property
    def is_behind(self) -> bool:
        """Whether the control process does not keep up: what can wait, or be left out, should not be sent now."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > BEHIND_BYTES

    def on(self, kind: type[Message], handle: Callable[[Message], None]) -> None:
        """From now on `handle` takes in the messages of this kind. It must not block; what it raises is logged."""
        self._handlers[kind] = handle

    async def run(self, path: str) -> None:
        """Connects, listens, and connects again, until it is cancelled."""
        pause = CONNECT_FIRST
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(path, limit=MIB)
            except OSError:
                pass  # the socket is the supervisor's: without one this worker is about to be told so
            else:
                await self._converse(reader, writer)
                if self._is_up:
                    pause = CONNECT_FIRST
                self._lost()
            await asyncio.sleep(pause)
            pause = min(CONNECT_MAX, pause * 2)

    async def ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        """A question to control and its answer; raises Refusal (503) when control does not answer."""
        if not self._is_up:
            raise Refusal(_no_control())
        self._asked += 1
        number = self._asked
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(Question(number, what, principal.key_id, subject, principal.project))
            async with asyncio.timeout(ANSWER_SECONDS):
                body: bytes | None = await answer
                return body
        except TimeoutError:
            raise Refusal(_no_control()) from None
        finally:
            del self._waiting[number]

    def send(self, message: ToControl) -> None:
        """Sends one message; without a control process it goes nowhere."""
        self._send(frame(pack(message)))

    def keep(self, response: StoredResponse) -> None:
        """Gives a response to control to be kept, now or when there is one again."""
        self._kept += 1
        data = frame(pack(Keep(response, self._kept)))
        if self._unkept_bytes + len(data) > UNKEPT_BYTES:
            log.error("the response %s is not kept: too many wait for the control process", response.id)
            return
        self._unkept[self._kept] = data
        self._unkept_bytes += len(data)
        self._all_kept.clear()
        self._send(data)

    async def finish(self, seconds: float) -> None:
        """Waits until all responses are kept, but not for longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._all_kept.wait()
        if self._unkept:
            log.error("%d responses were not kept: no control process took them", len(self._unkept))

    def _send(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its greeting to its end."""
        self._writer = writer
        splitter = FrameSplitter()
        try:
            for message in self._greeting():
                self.send(message)
            for data in self._unkept.values():
                self._send(data)
            while data := await reader.read(MIB):
                for payload in splitter.feed(data):
                    self._take(unpack_for_worker(payload))
        except ConnectionError:
            pass  # its process died, perhaps while we wrote: the same as an end
        except (WireError, msgspec.DecodeError) as error:
            log.warning("the link to the control process broke: %s", error)
        finally:
            writer.close()

    def _lost(self) -> None:
        self._writer = None
        self._is_up = False
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Refusal(_no_control()))
        self._on_lost()

    def _take(self, message: ToWorker) -> None:
        """A mistake in what one message is about leaves the link, and the worker, alone."""
        if isinstance(message, Publish):
            self._is_up = True
        handle = self._handlers.get(type(message))
        if handle is None:
            return
        try:
            handle(message)
        except Exception:
            log.exception("a %s of the control process was not taken in", type(message).__name__.lower())

    def _take_answer(self, answer: Answer) -> None:
        waiting = self._waiting.get(answer.number)
        if waiting is None or waiting.done():
            return
        if answer.ok:
            waiting.set_result(answer.body)
        else:
            waiting.set_exception(Refusal(_unanswered("The control process cannot find this out at the moment")))

    def _take_kept(self, kept: Kept) -> None:
        self._unkept_bytes -= len(self._unkept.pop(kept.number, b""))
        if not self._unkept:
            self._all_kept.set()


def _no_control() -> Problem:
    return _unanswered("The control process does not answer")


def _unanswered(why: str) -> Problem:
    return Problem(
        503,
        ErrorType.SERVER,
        f"{why}; requests to models are still served.",
        retry_after=1.0,
        should_retry=True,
    )
