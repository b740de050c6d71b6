"""A worker's end of the socket to the control process: snapshots come in, questions and gauges go out."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

from tokenway.aio.tasks import Tasks
from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.link import (
    Granted,
    Heard,
    Keep,
    Probe,
    Publish,
    Question,
    Recall,
    Show,
    Stop,
    ToControl,
    ToWorker,
    pack,
    unpack_for_worker,
)
from tokenway.model.sample import Sample
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame
from tokenway.wire.limits import MIB

ANSWER_SECONDS: Final = 10.0
log = logging.getLogger("tokenway.edge")

BEHIND_BYTES: Final = MIB
"""What waits to be sent when the control process does not read: more than it ever leaves unread otherwise."""


class ControlLink:
    """Speaks with the control process. `on_snapshot` is called for each snapshot, `on_lost` once at the end."""

    def __init__(
        self,
        on_snapshot: Callable[[Snapshot], None],
        on_lost: Callable[[], None],
        on_stop: Callable[[str, str], None] = lambda _response, _project: None,
        on_show: Callable[[str, str], None] = lambda _response, _project: None,
        on_heard: Callable[[list[Sample]], None] = lambda _samples: None,
        on_probe: Callable[[Probe], None] = lambda _probe: None,
        *,
        on_granted: Callable[[Granted], None] = lambda _granted: None,
        on_recall: Callable[[tuple[str, ...]], None] = lambda _limits: None,
    ) -> None:
        """`on_stop` is called with a response's id and project when what is done for it is to end.

        `on_show` is called in the same way when what there is of it is to be kept, and `on_heard` with what other
        workers' attempts were like. `on_probe` is called with what is to be probed, `on_granted` with what leases are
        granted, and `on_recall` with the limits that others have nothing left of.
        """
        self._on_granted = on_granted
        self._on_recall = on_recall
        self._on_probe = on_probe
        self._on_heard = on_heard
        self._on_stop = on_stop
        self._on_show = on_show
        self._on_snapshot = on_snapshot
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[bytes | None]] = {}
        self._asked = 0
        self._is_lost = False

    @property
    def is_behind(self) -> bool:
        """Whether the control process does not keep up: what can wait, or be left out, should not be sent now."""
        return self._writer is not None and self._writer.transport.get_write_buffer_size() > BEHIND_BYTES

    async def open(self, end: socket.socket, tasks: Tasks) -> None:
        """Begins to listen on one end of a socket pair."""
        reader, self._writer = await asyncio.open_unix_connection(sock=end, limit=MIB)
        tasks.spawn("control link", self._listen(reader, self._writer))

    async def ask(self, what: str, principal: Principal, subject: str) -> bytes | None:
        """A question to control and its answer; raises Refusal (503) when control does not answer."""
        if self._is_lost:
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
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(pack(message)))

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = FrameSplitter()
        try:
            while data := await reader.read(MIB):
                for payload in splitter.feed(data):
                    self._take(unpack_for_worker(payload))
        except ConnectionError:
            pass  # its process died, perhaps while we wrote: the same as an end
        finally:
            self._is_lost = True
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(Refusal(_no_control()))
            self._on_lost()

    def keep(self, response: StoredResponse) -> None:
        """Gives a response to control to be kept."""
        self.send(Keep(response))

    def _take(self, message: ToWorker) -> None:
        if isinstance(message, Publish):
            self._on_snapshot(message.snapshot)
            return
        if isinstance(message, Stop):
            self._on_stop(message.response, message.project)
            return
        if isinstance(message, Show):
            self._on_show(message.response, message.project)
            return
        if isinstance(message, Granted | Heard | Probe | Recall):
            try:
                self._take_in(message)
            except Exception:
                log.exception("a %s of the control process was not taken in", type(message).__name__.lower())
            return
        waiting = self._waiting.get(message.number)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.body)

    def _take_in(self, message: Granted | Heard | Probe | Recall) -> None:
        if isinstance(message, Granted):
            self._on_granted(message)
        elif isinstance(message, Heard):
            self._on_heard(message.samples)
        elif isinstance(message, Probe):
            self._on_probe(message)
        else:
            self._on_recall(message.limits)


def _no_control() -> Problem:
    return Problem(
        503,
        ErrorType.SERVER,
        "The control process does not answer; requests to models are still served.",
        retry_after=1.0,
        should_retry=True,
    )
