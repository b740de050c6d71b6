"""Supervision of workers, with real processes that speak over the link and do one thing each."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec
import pytest

from tokenway.aio.tasks import Tasks
from tokenway.control import workers as module
from tokenway.control.workers import Worker, WorkerHooks, Workers, worker_command
from tokenway.model.errors import TokenwayError
from tokenway.model.link import Gauges, Probe, Probed, Question, Stop
from tokenway.model.sample import Outcome, Sample
from tokenway.model.snapshot import Snapshot
from tokenway.model.stored import StoredResponse

PROGRAM: Final = """
import os, signal, socket, sys
from tokenway.model.link import (
    Answer, Gauges, Heard, Keep, Probe, Probed, Publish, Question, Seen, Serving, Stop, pack, unpack_for_worker
)
from tokenway.model.sample import Outcome, Sample
from tokenway.model.stored import StoredResponse
from tokenway.wire.frames import FrameSplitter, frame

what, link = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))

def send(message):
    link.sendall(frame(pack(message)))

if what == "die at once":
    sys.exit(3)
if what == "die with its snapshot unread":
    link.recv(1, socket.MSG_PEEK)
    sys.exit(4)
if what == "ignore SIGTERM":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
splitter = FrameSplitter()
served = False
while data := link.recv(65536):
    for payload in splitter.feed(data):
        message = unpack_for_worker(payload)
        if isinstance(message, Answer):
            send(Gauges(0, 0.0, {"answer": len(message.body or b"")}))
            continue
        if isinstance(message, Stop):
            send(Gauges(0, 0.0, {message.response: len(message.project)}))
            continue
        if isinstance(message, Probe):
            send(Probed(message.exchange))
            continue
        if isinstance(message, Heard):
            send(Gauges(0, 0.0, {each.endpoint: int(each.at) for each in message.samples}))
            continue
        # The version in force is shown as a number of open streams.
        send(Gauges(message.snapshot.version, 0.0, {}))
        if not served:
            served = True
            send(Serving(message.snapshot.version))
            if what == "ask":
                send(Question(7, "key", "key_1"))
            if what == "see":
                send(Seen([Sample("p/" + str(os.getpid()), "m", 9.0, Outcome.ANSWERED)]))
            if what == "keep":
                for status in ("in_progress", "completed"):
                    send(Keep(StoredResponse("resp_1", "default", 1.0, "m", "p/up", status, b"{}", b"[]")))
            if what == "talk nonsense":
                link.sendall(b"\\xff" * 8)
while what == "ignore SIGTERM":
    signal.pause()
"""
"""A worker: takes snapshots, says so, and ends with its link."""


class Owner:
    """What the gateway is to its workers: hooks that note what was asked of them."""

    def __init__(self, what: str = "serve") -> None:
        self.what = what
        self.version = 1
        self.ended: list[int] = []
        self.kept: list[tuple[int, StoredResponse]] = []
        self.asked: list[Question] = []
        self.seen: list[Sample] = []
        self.known: list[Sample] = []
        self.probed: list[Probed] = []
        self.fails_at_the_end = False
        self.fails_to_see = False

    def command(self, _number: int, _listener_fd: int, link_fd: int) -> list[str]:
        """The program above."""
        return [sys.executable, "-c", PROGRAM, self.what, str(link_fd)]

    async def snapshot_for(self, _number: int) -> Snapshot:
        """One that tells its version and nothing else."""
        return Snapshot(version=self.version, providers={}, models={}, aliases={}, keys={})

    async def answer(self, question: Question) -> bytes | None:
        """Two bytes."""
        self.asked.append(question)
        return b"{}"

    async def note_end(self, number: int) -> None:
        """A worker ended and its successor has not been started."""
        self.ended.append(number)
        if self.fails_at_the_end:
            raise OSError("the disk is full")

    async def keep(self, number: int, response: StoredResponse) -> None:
        """A worker has a response that is to be kept."""
        self.kept.append((number, response))

    def see(self, samples: list[Sample]) -> None:
        """A worker has measured."""
        if self.fails_to_see:
            raise ValueError("a mistake")
        self.seen.extend(samples)

    @property
    def hooks(self) -> WorkerHooks:
        """As the pool wants them."""
        return WorkerHooks(
            self.command,
            self.snapshot_for,
            self.answer,
            self.note_end,
            self.keep,
            self.see,
            lambda: self.known,
            self.probed.append,
        )


Start = Callable[..., Workers]


@pytest.fixture
async def start(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Starts workers of an owner; all are ended after the test."""
    monkeypatch.setattr(module, "RESTART_FIRST", 0.01)
    monkeypatch.setattr(module, "STOP_MARGIN", 0.2)
    failures: list[str] = []
    tasks = Tasks(lambda name, error: failures.append(f"{name}: {error}"))
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def begin(owner: Owner, count: int = 1) -> Workers:
            pool = Workers(count, listener, owner.hooks, tasks, drain=10.0)
            pool.start()
            return pool

        yield begin
        await tasks.close()
    assert failures == []


async def becomes(condition: Callable[[], bool]) -> None:
    """Gives way to the loop until it is so; the test's own limit ends it when it never is."""
    while not condition():  # noqa: ASYNC110 - what another process does sets no event here
        await asyncio.sleep(0.01)


def shows(worker: Worker, version: int) -> bool:
    """Whether a worker has said that it serves by this version."""
    return worker.gauges is not None and worker.gauges.open_streams == version


async def test_serving_means_that_every_worker_serves(start: Start) -> None:
    """Each has its own process and its snapshot."""
    pool = start(Owner(), 2)
    await pool.wait_serving()
    assert sorted(worker.number for worker in pool.alive) == [1, 2]
    assert len({worker.process.pid for worker in pool.alive}) == 2
    assert all(shows(worker, 1) for worker in pool.alive)


async def test_a_published_snapshot_reaches_every_worker(start: Start) -> None:
    """Without a restart."""
    owner = Owner()
    pool = start(owner, 2)
    await pool.wait_serving()
    before = {worker.process.pid for worker in pool.alive}
    owner.version = 2
    await pool.publish()
    await becomes(lambda: all(shows(worker, 2) for worker in pool.alive))
    assert {worker.process.pid for worker in pool.alive} == before


async def test_a_question_is_answered_to_the_worker_that_asked(start: Start) -> None:
    """The answer carries the question's number; its body came back two bytes long."""
    owner = Owner("ask")
    pool = start(owner)
    await pool.wait_serving()
    (worker,) = pool.alive
    await becomes(lambda: worker.gauges is not None and worker.gauges.leases == {"answer": 2})
    assert owner.asked == [Question(7, "key", "key_1")]


async def test_a_response_is_given_on_to_be_kept(start: Start) -> None:
    """With the number of the worker that made it, and in the order in which its states came."""
    owner = Owner("keep")
    pool = start(owner)
    await pool.wait_serving()
    await becomes(lambda: len(owner.kept) == 2)
    assert [(number, kept.id, kept.status) for number, kept in owner.kept] == [
        (1, "resp_1", "in_progress"),
        (1, "resp_1", "completed"),
    ]


async def test_a_worker_is_told_to_stop_what_it_does_in_the_background(start: Start) -> None:
    """By the response's id and project."""
    pool = start(Owner())
    await pool.wait_serving()
    (worker,) = pool.alive
    worker.send(Stop("resp_1", "default"))
    await becomes(lambda: worker.gauges is not None and worker.gauges.leases == {"resp_1": 7})


async def test_a_worker_says_when_a_probe_is_over(start: Start) -> None:
    """Its owner is told which one."""
    owner = Owner()
    pool = start(owner)
    await pool.wait_serving()
    pool.alive[0].send(Probe("probe-20454-43200-beef", "m", "p/up", 5_000, 1e9))
    await becomes(lambda: owner.probed == [Probed("probe-20454-43200-beef")])


async def test_what_one_worker_sees_all_others_hear(start: Start) -> None:
    """And the owner; not the one that saw it, which knows."""
    owner = Owner("see")
    pool = start(owner, 3)
    await pool.wait_serving()
    pids = {worker.process.pid for worker in pool.alive}
    await becomes(lambda: len(owner.seen) == 3)
    assert {each.endpoint for each in owner.seen} == {f"p/{pid}" for pid in pids}
    # The last one to speak is heard by the other two, which are told by then.
    last = owner.seen[-1].endpoint
    others = [worker for worker in pool.alive if last != f"p/{worker.process.pid}"]
    await becomes(lambda: all(each.gauges is not None and each.gauges.leases.get(last) == 9 for each in others))
    (speaker,) = (worker for worker in pool.alive if worker not in others)
    assert speaker.gauges is None or last not in speaker.gauges.leases


async def test_a_message_that_cannot_be_taken_in_does_not_end_its_worker(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged; the link stays, and with it the worker."""
    owner = Owner("see")
    owner.fails_to_see = True
    pool = start(owner)
    await pool.wait_serving()
    await becomes(lambda: "a message was not taken in" in caplog.text)
    assert len(pool.alive) == 1
    assert owner.ended == []


async def test_a_new_worker_is_told_what_is_known(start: Start) -> None:
    """Behind its snapshot; so is the successor of one that died."""
    owner = Owner()
    owner.known = [Sample("p/m", "m", 5.0, Outcome.ANSWERED)]
    pool = start(owner)
    await pool.wait_serving()
    (first,) = pool.alive
    await becomes(lambda: first.gauges is not None and first.gauges.leases == {"p/m": 5})
    owner.known = [Sample("p/m", "m", 6.0, Outcome.ANSWERED)]
    os.kill(first.process.pid, signal.SIGKILL)
    await becomes(
        lambda: any(
            each is not first and each.gauges is not None and each.gauges.leases == {"p/m": 6} for each in pool.alive
        )
    )


async def test_a_worker_that_does_not_read_is_not_told(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What others have seen would pile up in memory for as long as it hangs."""
    monkeypatch.setattr(module, "BEHIND_BYTES", -1)
    owner = Owner("see")
    pool = start(owner, 2)
    await pool.wait_serving()
    await becomes(lambda: len(owner.seen) == 2)
    owner.version = 2
    await pool.publish()
    await becomes(lambda: all(shows(worker, 2) for worker in pool.alive))
    assert all(worker.gauges is not None and worker.gauges.leases == {} for worker in pool.alive)


async def test_the_worst_breaker_of_all_workers_counts(start: Start) -> None:
    """Each worker has its own; one that never said anything has none."""
    pool = start(Owner(), 3)
    await pool.wait_serving()
    one, other, silent = pool.alive
    one.gauges = Gauges(0, 0.0, {}, {"a/m": 1, "b/m": 2})
    other.gauges = Gauges(0, 0.0, {}, {"a/m": 2})
    silent.gauges = None
    assert pool.breakers() == {"a/m": 2, "b/m": 2}


async def test_a_killed_worker_has_a_successor_with_the_snapshot_in_force(start: Start) -> None:
    """Its end is taken in before, so that the successor's snapshot can count it."""
    owner = Owner()
    pool = start(owner)
    await pool.wait_serving()
    (first,) = pool.alive
    owner.version = 2
    os.kill(first.process.pid, signal.SIGKILL)
    await becomes(lambda: any(worker is not first and shows(worker, 2) for worker in pool.alive))
    assert owner.ended == [1]


async def test_a_failure_while_an_end_is_taken_in_stops_nothing(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """The successor starts all the same, and the failure is in the log."""
    owner = Owner()
    owner.fails_at_the_end = True
    pool = start(owner)
    await pool.wait_serving()
    (first,) = pool.alive
    os.kill(first.process.pid, signal.SIGKILL)
    await becomes(lambda: any(worker is not first and worker.is_serving for worker in pool.alive))
    assert "the disk is full" in caplog.text


async def test_a_worker_that_talks_nonsense_is_replaced(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Its link is closed, which ends it; it does not linger as a process that nobody listens to."""
    owner = Owner("talk nonsense")
    pool = start(owner)
    await pool.wait_serving()
    owner.what = "serve"
    await becomes(lambda: bool(owner.ended) and any(worker.is_serving for worker in pool.alive))
    assert "its link broke" in caplog.text


async def test_a_worker_that_dies_with_a_message_unread_has_ended(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel then calls its link reset; what is told is its status, as of any other worker that ended."""
    owner = Owner("die with its snapshot unread")
    start(owner)
    await becomes(lambda: bool(owner.ended))
    owner.what = "serve"
    assert "worker 1 ended with status 4" in caplog.text
    assert "link" not in caplog.text


async def test_workers_that_never_serve_end_the_start(start: Start) -> None:
    """Instead of an endless wait there is an error that says how they ended."""
    pool = start(Owner("die at once"))
    with pytest.raises(TokenwayError, match=r"worker 1 ended with status 3 3 times before it served"):
        await pool.wait_serving()


async def test_a_program_that_cannot_be_started_is_an_error_too(start: Start) -> None:
    """The supervisor outlives it."""
    owner = Owner()
    owner.command = lambda *_: ["/no/such/program"]  # type: ignore[method-assign]
    pool = start(owner)
    with pytest.raises(TokenwayError, match=r"could not be started .* before it served"):
        await pool.wait_serving()


async def test_stop_ends_all_and_starts_none_again(start: Start) -> None:
    """SIGTERM is enough for those that heed it; their ends are taken in."""
    owner = Owner()
    pool = start(owner, 2)
    await pool.wait_serving()
    processes = [worker.process for worker in pool.alive]
    await pool.stop()
    assert [process.returncode for process in processes] == [-signal.SIGTERM] * 2
    await becomes(lambda: not pool.alive and sorted(owner.ended) == [1, 2])


async def test_stop_kills_what_outlives_the_drain_time(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    """A worker that ignores SIGTERM does not hold up the gateway's end."""
    pool = start(Owner("ignore SIGTERM"))
    await pool.wait_serving()
    (worker,) = pool.alive
    monkeypatch.setattr(module, "STOP_MARGIN", -9.9)
    await pool.stop()
    assert await worker.process.wait() == -signal.SIGKILL


async def test_a_message_to_a_worker_that_is_gone_goes_nowhere(start: Start) -> None:
    """It may die while its snapshot is being made."""
    pool = start(Owner())
    await pool.wait_serving()
    (worker,) = pool.alive
    worker.close()
    await pool.publish()
    await becomes(lambda: worker not in pool.alive)


def test_a_worker_runs_in_this_interpreter_with_its_options() -> None:
    """The options are one argument of JSON."""
    command = worker_command("tokenway.compose.worker", msgspec.json.encode({"name": "edge-1"}))
    assert command == [sys.executable, "-m", "tokenway.compose.worker", '{"name":"edge-1"}']
