"""A worker's end of the link, over a real socket pair with the test as the control process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import snapshot
from tokenway.aio.tasks import Tasks
from tokenway.edge import link as module
from tokenway.edge.link import ControlLink
from tokenway.model.errors import Refusal
from tokenway.model.link import (
    Answer,
    Gauges,
    Heard,
    Keep,
    Probe,
    Publish,
    Question,
    Serving,
    Show,
    Stop,
    ToControl,
    pack,
    unpack_for_control,
)
from tokenway.model.sample import Outcome, Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame

ALICE = Principal("k1", "alice", "maps")


class Control:
    """The control process's end, and what the link told its worker."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.snapshots: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.losses = 0
        self.errors: list[BaseException] = []
        self.tasks = Tasks(lambda _name, error: self.errors.append(error))
        self.stopped: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.shown: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.heard: asyncio.Queue[list[Sample]] = asyncio.Queue()
        self.probes: asyncio.Queue[Probe] = asyncio.Queue()
        self.link = ControlLink(
            self.snapshots.put_nowait,
            self._lose,
            lambda *what: self.stopped.put_nowait(what),
            lambda *what: self.shown.put_nowait(what),
            self.heard.put_nowait,
            self.probes.put_nowait,
        )
        self._splitter = FrameSplitter()
        self._heard: list[ToControl] = []

    def _lose(self) -> None:
        self.losses += 1
        self.lost.set()

    async def send(self, data: bytes) -> None:
        """Sends bytes to the worker."""
        await asyncio.get_running_loop().sock_sendall(self.end, data)

    async def hear(self) -> ToControl:
        """The next message of the worker."""
        while not self._heard:
            data = await asyncio.get_running_loop().sock_recv(self.end, 1 << 16)
            assert data
            self._heard += map(unpack_for_control, self._splitter.feed(data))
        return self._heard.pop(0)


@asynccontextmanager
async def linked() -> AsyncIterator[Control]:
    """A link that listens; at the end no task of it may have failed."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    control = Control(ours)
    await control.link.open(theirs, control.tasks)
    await asyncio.sleep(0)  # so that it listens, and closes its end when it is told to stop
    try:
        yield control
        assert control.errors == []
    finally:
        ours.close()
        await control.tasks.close()
        await asyncio.sleep(0)  # a closed transport lets go of its socket in the next turn


async def test_snapshots_arrive_however_they_are_cut() -> None:
    """One byte at a time, and two in one piece: each comes once, in order, with its secrets."""
    async with linked() as control:
        first = frame(pack(Publish(snapshot())))
        for at in range(len(first)):
            await control.send(first[at : at + 1])
        received = await control.snapshots.get()
        assert received == snapshot()
        assert received.providers["p"].api_keys == (Secret("sk-up"),)
        await control.send(frame(pack(Publish(snapshot(version=2)))) + frame(pack(Publish(snapshot(version=3)))))
        assert [(await control.snapshots.get()).version for _ in range(2)] == [2, 3]


async def test_answers_find_their_questions() -> None:
    """Two at a time, answered in the other order; one of the answers is that there is nothing."""
    async with linked() as control:
        one = control.tasks.start("one", control.link.ask("generation", ALICE, "gen-1"))
        two = control.tasks.start("two", control.link.ask("key", ALICE, ""))
        asked = [await control.hear(), await control.hear()]
        assert asked == [Question(1, "generation", "k1", "gen-1", "maps"), Question(2, "key", "k1", "", "maps")]
        await control.send(frame(pack(Answer(2, None))) + frame(pack(Answer(1, b'{"x":1}'))))
        assert await one == b'{"x":1}'
        assert await two is None


async def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    """Late, unknown or twice: the link goes on, and later questions get their own."""
    async with linked() as control:
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        await control.hear()
        await control.send(frame(pack(Answer(99, b"1"))) + frame(pack(Answer(1, b"2"))) + frame(pack(Answer(1, b"3"))))
        assert await asking == b"2"
        again = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        assert await control.hear() == Question(2, "key", "k1", "", "maps")
        await control.send(frame(pack(Answer(2, b"4"))))
        assert await again == b"4"


async def test_a_question_without_an_answer_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time the caller is told, and nothing of the question is kept."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.0)
    async with linked() as control:
        with pytest.raises(Refusal) as refused:
            await control.link.ask("key", ALICE, "")
        assert (refused.value.problem.status, refused.value.problem.should_retry) == (503, True)
        assert control.link._waiting == {}


async def test_messages_go_out_in_order() -> None:
    """Each is a frame of its own."""
    async with linked() as control:
        control.link.send(Serving(7))
        control.link.send(Gauges(3, 0.5, {"k1": 10}))
        assert [await control.hear(), await control.hear()] == [Serving(7), Gauges(3, 0.5, {"k1": 10})]


async def test_before_there_is_a_link_messages_go_nowhere() -> None:
    """Sending never fails: gauges are no reason to stop."""
    ControlLink(lambda _snapshot: None, lambda: None).send(Serving(1))


async def test_a_lost_control_process_is_told_once_and_ends_the_waiting() -> None:
    """Open questions are refused at once, and so are later ones: a worker that drains must not wait for answers."""
    async with linked() as control:
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        await control.hear()
        control.end.close()
        with pytest.raises(Refusal) as refused:
            await asking
        assert refused.value.problem.status == 503
        await control.lost.wait()
        with pytest.raises(Refusal):
            await control.link.ask("key", ALICE, "")
        control.link.send(Serving(1))
        assert control.losses == 1
        assert control.link._waiting == {}
        control.errors.clear()  # the refusal of the task above


async def test_a_write_to_a_control_process_that_died_is_no_failure() -> None:
    """Gauges can be on their way when it goes: the link is lost, and there is no error to report."""
    async with linked() as control:
        control.end.close()
        for _ in range(3):
            control.link.send(Gauges(0, 0.0, {}))
        await control.lost.wait()
        assert control.losses == 1


async def test_what_is_no_frame_ends_the_link() -> None:
    """A length beyond the bound cannot be read past: the link is lost, and the failure is reported."""
    async with linked() as control:
        await control.send(b"\xff\xff\xff\xff")
        await control.lost.wait()
        await until(lambda: bool(control.errors))
        assert "a frame of 4294967295 bytes" in str(control.errors.pop())


async def test_a_response_is_given_to_control_as_it_is() -> None:
    """Also one that is larger than a read."""
    async with linked() as control:
        kept = StoredResponse("resp_1", "maps", 1.5, "m", "p/up", "completed", b"\0" * 100_000, b"[]", True, "resp_0")
        control.link.keep(kept)
        assert await control.hear() == Keep(kept)


async def test_what_is_done_in_the_background_is_ended_by_control() -> None:
    """By its id and its project; in the same way it is asked to show what there is of it."""
    async with linked() as control:
        await control.send(frame(pack(Stop("resp_1", "maps"))))
        assert await control.stopped.get() == ("resp_1", "maps")
        await control.send(frame(pack(Show("resp_2", "maps"))))
        assert await control.shown.get() == ("resp_2", "maps")
        assert control.stopped.empty()


async def test_what_others_have_seen_is_heard() -> None:
    """All of it, in one piece."""
    async with linked() as control:
        samples = [Sample("p/m", "m", 1e9 + number, Outcome.ANSWERED, 1.0) for number in range(3)]
        await control.send(frame(pack(Heard(samples))))
        assert await control.heard.get() == samples


async def test_a_sample_that_cannot_be_taken_in_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Nor a probe: what others have seen is told to all workers, and would end them all."""
    async with linked() as control:
        calls = []

        def fail(what: object) -> None:
            calls.append(what)
            raise ValueError("a mistake")

        control.link._on_heard = control.link._on_probe = fail
        sample = Sample("p/m", "m", 1e9, Outcome.ANSWERED, 1.0)
        await control.send(frame(pack(Heard([sample]))))
        await control.send(frame(pack(Probe("probe-20454-43200-beef", "m", "p/up", 5_000, 1e9))))
        await control.send(frame(pack(Stop("resp_1", "maps"))))
        assert await control.stopped.get() == ("resp_1", "maps")
        assert len(calls) == 2
        assert control.losses == 0
        assert [each.message for each in caplog.records] == [
            f"a {what} of the control process was not taken in" for what in ("heard", "probe")
        ]


async def test_what_is_to_be_probed_arrives() -> None:
    """As it was ordered."""
    async with linked() as control:
        probe = Probe("probe-20454-43200-beef", "m", "p/up", 5_000, 1e9)
        await control.send(frame(pack(probe)))
        assert await control.probes.get() == probe


async def test_a_control_process_that_does_not_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can wait should wait then, or it would fill the memory; it ends when it reads again."""
    monkeypatch.setattr(module, "BEHIND_BYTES", 0)
    assert not ControlLink(lambda _snapshot: None, lambda: None).is_behind
    async with linked() as control:
        kept = StoredResponse("resp_1", "maps", 1.5, "m", "p/up", "completed", b"\0" * 4_000_000, b"[]", True, "")
        behind = [control.link.is_behind]
        control.link.keep(kept)
        behind.append(control.link.is_behind)
        assert await control.hear() == Keep(kept)
        await until(lambda: not control.link.is_behind)
        assert behind == [False, True]
