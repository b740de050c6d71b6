"""A worker's end of the link, over a real Unix socket with the test as the control process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
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
    Granted,
    Heard,
    Hello,
    Keep,
    Kept,
    Probe,
    Publish,
    Question,
    Serving,
    Show,
    Stop,
    ToControl,
    ToWorker,
    pack,
    unpack_for_control,
)
from tokenway.model.sample import Outcome, Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame

ALICE = Principal("k1", "alice", "maps")


SMALL = StoredResponse("resp_1", "maps", 1.5, "m", "p/up", "completed", b"{}", b"[]")


class Control:
    """Control processes that come and go on one socket, and what the link told its worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.greeting: list[ToControl] = [Hello(1, "life", 7)]
        self.snapshots: asyncio.Queue[Snapshot] = asyncio.Queue()
        self.errors: list[BaseException] = []
        self.tasks = Tasks(lambda _name, error: self.errors.append(error))
        self.link = ControlLink(lambda: self.greeting)
        self.link.on(Publish, lambda publish: self.snapshots.put_nowait(publish.snapshot))
        self.listener = socket.socket(socket.AF_UNIX)
        self.end: socket.socket
        self._splitter = FrameSplitter()
        self._heard: list[ToControl] = []

    def listen(self) -> None:
        """What the supervisor does."""
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.listener.setblocking(False)

    async def accept(self) -> list[ToControl]:
        """What a control process does that has just started; the greeting that it gets."""
        self.end, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        self.end.setblocking(False)
        self._splitter, self._heard = FrameSplitter(), []
        return [await self.hear() for _ in self.greeting]

    async def publish(self, version: int = 1) -> None:
        """Sends a snapshot, with which the link is up."""
        await self.send(frame(pack(Publish(snapshot(version=version)))))
        await self.snapshots.get()

    async def die(self) -> None:
        """Ends, and is seen to have ended."""
        self.end.close()
        await until(lambda: not self.link.is_up)

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
async def called(path: Path) -> AsyncIterator[Control]:
    """A link that looks for a control process; at the end no task of it may have failed."""
    control = Control(path / "control.sock")
    control.tasks.spawn("link", control.link.run(str(control.path)))
    try:
        yield control
        assert control.errors == []
    finally:
        await control.tasks.close()
        control.listener.close()
        if hasattr(control, "end"):
            control.end.close()
        await asyncio.sleep(0)  # a closed transport lets go of its socket in the next turn


@asynccontextmanager
async def linked(path: Path) -> AsyncIterator[Control]:
    """One that has found a control process and its snapshot."""
    async with called(path) as control:
        control.listen()
        assert await control.accept() == control.greeting
        await control.publish()
        yield control


async def test_snapshots_arrive_however_they_are_cut(tmp_path: Path) -> None:
    """One byte at a time, and two in one piece: each comes once, in order, with its secrets."""
    async with linked(tmp_path) as control:
        first = frame(pack(Publish(snapshot())))
        for at in range(len(first)):
            await control.send(first[at : at + 1])
        received = await control.snapshots.get()
        assert received == snapshot()
        assert received.providers["p"].api_keys == (Secret("sk-up"),)
        await control.send(frame(pack(Publish(snapshot(version=2)))) + frame(pack(Publish(snapshot(version=3)))))
        assert [(await control.snapshots.get()).version for _ in range(2)] == [2, 3]


async def test_it_waits_for_a_socket_and_for_who_listens(tmp_path: Path) -> None:
    """Neither need be there when the worker starts; the first thing that is said is who it is."""
    async with called(tmp_path) as control:
        await asyncio.sleep(0.05)
        control.listen()
        await asyncio.sleep(0.05)
        assert await control.accept() == [Hello(1, "life", 7)]
        assert not control.link.is_up
        await control.publish()
        assert control.link.is_up


async def test_answers_find_their_questions(tmp_path: Path) -> None:
    """Two at a time, answered in the other order; one of the answers is that there is nothing."""
    async with linked(tmp_path) as control:
        one = control.tasks.start("one", control.link.ask("generation", ALICE, "gen-1"))
        two = control.tasks.start("two", control.link.ask("key", ALICE, ""))
        asked = [await control.hear(), await control.hear()]
        assert asked == [Question(1, "generation", "k1", "gen-1", "maps"), Question(2, "key", "k1", "", "maps")]
        await control.send(frame(pack(Answer(2, None))) + frame(pack(Answer(1, b'{"x":1}'))))
        assert await one == b'{"x":1}'
        assert await two is None


async def test_an_answer_that_nobody_waits_for_is_dropped(tmp_path: Path) -> None:
    """Late, unknown or twice: the link goes on, and later questions get their own."""
    async with linked(tmp_path) as control:
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        await control.hear()
        await control.send(frame(pack(Answer(99, b"1"))) + frame(pack(Answer(1, b"2"))) + frame(pack(Answer(1, b"3"))))
        assert await asking == b"2"
        again = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        assert await control.hear() == Question(2, "key", "k1", "", "maps")
        await control.send(frame(pack(Answer(2, b"4"))))
        assert await again == b"4"


async def test_a_question_without_an_answer_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time the caller is told, and nothing of the question is kept."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.0)
    async with linked(tmp_path) as control:
        with pytest.raises(Refusal) as refused:
            await control.link.ask("key", ALICE, "")
        assert (refused.value.problem.status, refused.value.problem.should_retry) == (503, True)
        assert control.link._waiting == {}


async def test_a_question_that_control_could_not_answer_is_a_503(tmp_path: Path) -> None:
    """Which is not that there is nothing."""
    async with linked(tmp_path) as control:
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        await control.hear()
        await control.send(frame(pack(Answer(1, None, ok=False))))
        with pytest.raises(Refusal) as refused:
            await asking
        assert refused.value.problem.status == 503
        control.errors.clear()  # the refusal of the task above


async def test_messages_go_out_in_order(tmp_path: Path) -> None:
    """Each is a frame of its own."""
    async with linked(tmp_path) as control:
        control.link.send(Serving(7))
        control.link.send(Gauges(3, 0.5, {"k1": 10}))
        assert [await control.hear(), await control.hear()] == [Serving(7), Gauges(3, 0.5, {"k1": 10})]


async def test_without_a_control_process_messages_go_nowhere(tmp_path: Path) -> None:
    """Sending never fails: gauges are no reason to stop. A question is refused at once."""
    async with called(tmp_path) as control:
        control.link.send(Serving(1))
        control.listen()
        assert await control.accept() == control.greeting
        with pytest.raises(Refusal):
            await control.link.ask("key", ALICE, "")
        await control.publish()
        control.link.send(Serving(2))
        assert await control.hear() == Serving(2)


async def test_a_lost_control_process_ends_the_waiting(tmp_path: Path) -> None:
    """Open questions are refused at once, and so are later ones, until there is a snapshot of another one."""
    async with linked(tmp_path) as control:
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        await control.hear()
        control.end.close()
        with pytest.raises(Refusal) as refused:
            await asking
        assert refused.value.problem.status == 503
        with pytest.raises(Refusal):
            await control.link.ask("key", ALICE, "")
        assert control.link._waiting == {}
        control.greeting = [Hello(1, "life", 8), Serving(8)]
        assert await control.accept() == control.greeting
        with pytest.raises(Refusal):
            await control.link.ask("key", ALICE, "")
        await control.publish()
        asking = control.tasks.start("ask", control.link.ask("key", ALICE, ""))
        question = await control.hear()
        assert isinstance(question, Question)
        await control.send(frame(pack(Answer(question.number, b"1"))))
        assert await asking == b"1"
        control.errors.clear()  # the refusal of the first task


async def test_a_control_process_that_keeps_dying_is_given_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses between two tries grow to their bound, and are short again after one that worked."""
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds >= module.CONNECT_FIRST:
            pauses.append(seconds)
        await sleep(0)

    async with called(tmp_path) as control:
        control.listen()
        monkeypatch.setattr("asyncio.sleep", note)
        pauses.clear()
        for _ in range(9):
            await control.accept()
            control.end.close()
        await control.accept()
        assert pauses[-1] == module.CONNECT_MAX
        await control.publish()
        control.end.close()
        await control.accept()
        await control.publish()
        assert pauses[-1] == module.CONNECT_FIRST


async def test_a_write_to_a_control_process_that_died_is_no_failure(tmp_path: Path) -> None:
    """Gauges can be on their way when it goes: the link is lost, and there is no error to report."""
    async with linked(tmp_path) as control:
        control.end.close()
        for _ in range(3):
            control.link.send(Gauges(0, 0.0, {}))
        await until(lambda: not control.link.is_up)


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", frame(b"nonsense")])
async def test_what_is_no_message_ends_the_link(tmp_path: Path, said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It cannot be read past; that is told, and another link is looked for."""
    async with linked(tmp_path) as control:
        await control.send(said)
        old = control.end
        assert await control.accept() == control.greeting
        old.close()
        assert "the link to the control process broke" in caplog.text


async def test_a_response_is_given_to_control_as_it_is(tmp_path: Path) -> None:
    """Also one that is larger than a read; each has its number, and is done with when that is acknowledged."""
    async with linked(tmp_path) as control:
        kept = StoredResponse("resp_1", "maps", 1.5, "m", "p/up", "completed", b"\0" * 100_000, b"[]", True, "resp_0")
        control.link.keep(kept)
        assert await control.hear() == Keep(kept, 1)
        await control.send(frame(pack(Kept(99))) + frame(pack(Kept(1))))
        await control.link.finish(10.0)
        assert control.link._unkept_bytes == 0


async def test_a_response_that_was_not_acknowledged_is_given_again(tmp_path: Path) -> None:
    """In the order in which they came, whether the control process died with it or there was none."""
    async with linked(tmp_path) as control:
        first, second, third = (msgspec.structs.replace(SMALL, id=f"resp_{number}") for number in (1, 2, 3))
        control.link.keep(first)
        control.link.keep(second)
        assert [await control.hear() for _ in range(2)] == [Keep(first, 1), Keep(second, 2)]
        await control.send(frame(pack(Kept(1))))
        await until(lambda: list(control.link._unkept) == [2])
        await control.die()
        control.link.keep(third)
        await control.accept()
        assert [await control.hear() for _ in range(2)] == [Keep(second, 2), Keep(third, 3)]


async def test_what_waits_to_be_kept_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes when it is full is lost and said to be; there is room again when something was kept."""
    async with linked(tmp_path) as control:
        monkeypatch.setattr(module, "UNKEPT_BYTES", 2 * len(frame(pack(Keep(SMALL, 1)))))
        for _ in range(3):
            control.link.keep(SMALL)
        assert list(control.link._unkept) == [1, 2]
        assert "the response resp_1 is not kept: too many wait" in caplog.text
        await control.send(frame(pack(Kept(1))))
        await until(lambda: list(control.link._unkept) == [2])
        control.link.keep(SMALL)
        assert list(control.link._unkept) == [2, 4]


async def test_a_worker_that_ends_waits_for_its_responses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """But not without end; what is lost is counted."""
    async with linked(tmp_path) as control:
        await control.link.finish(0.0)
        assert caplog.text == ""
        control.link.keep(SMALL)
        await control.link.finish(0.01)
        assert "1 responses were not kept: no control process took them" in caplog.text


async def test_messages_go_to_whoever_takes_them_in(tmp_path: Path) -> None:
    """By their kind; one that nobody takes in is passed over."""
    async with linked(tmp_path) as control:
        heard: asyncio.Queue[object] = asyncio.Queue()
        for kind in (Stop, Heard, Probe, Granted):
            control.link.on(kind, heard.put_nowait)
        samples = [Sample("p/m", "m", 1e9 + number, Outcome.ANSWERED, 1.0) for number in range(3)]
        probe = Probe("probe-20454-43200-beef", "m", "p/up", 5_000, 1e9)
        said: list[ToWorker] = [
            Stop("resp_1", "maps"),
            Show("resp_2", "maps"),
            Heard(samples),
            probe,
            Granted(1, "limit", 0, 5),
        ]
        await control.send(b"".join(frame(pack(each)) for each in said))
        assert [await heard.get() for _ in range(4)] == [each for each in said if not isinstance(each, Show)]


async def test_a_message_that_cannot_be_taken_in_does_not_end_the_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor the link: what others have seen is told to all workers, and would end them all."""
    async with linked(tmp_path) as control:
        calls = []

        def fail(what: object) -> None:
            calls.append(what)
            raise ValueError("a mistake")

        control.link.on(Heard, fail)
        await control.send(frame(pack(Heard([]))))
        await control.publish()
        assert len(calls) == 1
        assert [each.message for each in caplog.records] == ["a heard of the control process was not taken in"]


async def test_a_control_process_that_does_not_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can wait should wait then, or it would fill the memory; it ends when it reads again."""
    monkeypatch.setattr(module, "BEHIND_BYTES", 0)
    assert not ControlLink(list).is_behind
    async with linked(tmp_path) as control:
        kept = StoredResponse("resp_1", "maps", 1.5, "m", "p/up", "completed", b"\0" * 4_000_000, b"[]", True, "")
        behind = [control.link.is_behind]
        control.link.keep(kept)
        behind.append(control.link.is_behind)
        assert await control.hear() == Keep(kept, 1)
        await until(lambda: not control.link.is_behind)
        assert behind == [False, True]
