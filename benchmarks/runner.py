"""One visit to one subject: start it, put it through every phase, stop it.

Figures are kept flat, `phase.figure`, one value per visit; `report.py` takes the medians.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.load.clients import KEY, PATH, Closed, IdleStreams, Open, body, closed_loop, open_loop
from benchmarks.machine import (
    LOAD_CORE,
    SUBJECT_CORE,
    Memory,
    Unavailable,
    build,
    core_seconds,
    cpu_seconds,
    free_port,
    memory,
    pinned,
    realtime,
    stop,
)
from benchmarks.subjects import BURST, IDLE, PACED, PLAIN, STREAM, TRANSLATED, TRANSLATED_BURST, Subject

CLOSED_LIMIT_S = 20.0
"""A closed loop on a slow subject is stretched up to this, so that it counts enough answers."""

PHASES = ("idle", "plain", "stream", "translated", "burst", "translated-burst", "half", "common", "paced")

PLAIN_BODY = body(PLAIN, is_stream=False)
STREAM_BODY, BURST_BODY, PACED_BODY = (body(model, is_stream=True) for model in (STREAM, BURST, PACED))

TRANSLATED_BODY, TRANSLATED_BURST_BODY = (body(model, is_stream=True) for model in (TRANSLATED, TRANSLATED_BURST))

Figures = dict[str, float]


@dataclass
class Upstream:
    """The running stand-in for a model server."""

    process: subprocess.Popen[bytes]
    port: int


@contextmanager
def upstream() -> Iterator[Upstream]:
    """Builds and runs benchmarks/upstream on the load core."""
    program = build(Path(__file__).parent / "upstream" / "upstream.c")
    process = subprocess.Popen(pinned(LOAD_CORE, [str(program)]), stdout=subprocess.PIPE)
    assert process.stdout
    try:
        with process.stdout:
            port = int(process.stdout.readline().split()[1])
        yield Upstream(process, port)
    finally:
        stop(process)


@dataclass
class Running:
    """A subject that answers."""

    subject: Subject
    process: subprocess.Popen[bytes]
    port: int
    startup_ms: float

    def worker(self) -> Memory:
        """The process that relays: the one with the subject's mark in its command, else the largest."""
        found = memory(self.process.pid)
        marked = [each for each in found if self.subject.worker_mark and self.subject.worker_mark in each.command]
        return max(marked or found, key=lambda each: each.resident)

    def total(self) -> int:
        """Resident bytes of all processes, pages they share counted once."""
        found = memory(self.process.pid)
        shared = max(each.resident - each.private for each in found)
        return sum(each.private for each in found) + shared


def _status(port: int, content: bytes) -> int:
    """The status of one call; 0 when nobody listens yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "POST", PATH, content, {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        )
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()


@contextmanager
def running(subject: Subject, upstream_port: int) -> Iterator[Running]:
    """Starts a subject on the subject core and waits for its first 200. Raises Unavailable with its last words."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="tokenway-bench-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)  # nginx's worker runs as another user and reaches in for its temporary files
        command = pinned(SUBJECT_CORE, subject.command(scratch, upstream_port, port))
        with (scratch / "output").open("wb") as output:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=scratch, env=os.environ | subject.environment()
            )
        try:
            status = 0
            while (status := _status(port, body(PLAIN, is_stream=False))) != 200:
                if process.poll() is not None or time.perf_counter() - began > subject.ready_s:
                    words = (scratch / "output").read_text(errors="replace").strip()[-400:]
                    ended = f"ended with {process.poll()}" if process.poll() is not None else f"last status {status}"
                    raise Unavailable(f"no 200 within {subject.ready_s:.0f} s ({ended}): {words}")
                time.sleep(0.005)
            yield Running(subject, process, port, (time.perf_counter() - began) * 1000)
        finally:
            stop(process)


@dataclass
class Visit:
    """The phases of one visit, and what they found."""

    target: Running | None
    port: int
    upstream: Upstream
    seconds: float
    is_realtime: bool = False
    figures: Figures = field(default_factory=dict)

    def _cpu(self) -> float:
        return cpu_seconds(self.target.process.pid if self.target else self.upstream.process.pid)

    @contextmanager
    def _window(self, phase: str) -> Iterator[Callable[[int], None]]:
        """Measures CPU time; call what it yields with the number of answers when they are in."""
        own, model, clock = self._cpu(), cpu_seconds(self.upstream.process.pid), time.perf_counter()
        core, steal = core_seconds(SUBJECT_CORE)
        worker = self.target.worker().pid if self.target else self.upstream.process.pid
        worker_own = cpu_seconds(worker, is_alone=True)

        def finish(answers: int) -> None:
            seconds = time.perf_counter() - clock
            used = self._cpu() - own
            core_after, steal_after = core_seconds(SUBJECT_CORE)
            self.figures[f"{phase}.cpu_us"] = used / max(1, answers) * 1e6
            alone = cpu_seconds(worker, is_alone=True) - worker_own
            self.figures[f"{phase}.worker_cpu_us"] = alone / max(1, answers) * 1e6
            self.figures[f"{phase}.busy"] = used / seconds
            self.figures[f"{phase}.upstream_busy"] = (cpu_seconds(self.upstream.process.pid) - model) / seconds
            self.figures[f"{phase}.steal"] = (steal_after - steal) / seconds
            if self.target:
                self.figures[f"{phase}.foreign"] = max(0.0, core_after - core - used) / seconds

        yield finish

    def _priority(self) -> AbstractContextManager[None]:
        """Ahead of everything ordinary, if that was asked for: the upstream, the subject and what we start."""
        if not self.is_realtime:
            return nullcontext()
        return realtime([self.upstream.process.pid, os.getpid(), *([self.target.process.pid] if self.target else [])])

    def saturate(self, phase: str, content: bytes, connections: int) -> Closed:
        """Closed loop: as many as the subject can do."""
        closed_loop(self.port, content, connections=connections, seconds=1)  # warm-up: pools, caches, specialised code
        seconds = self.seconds
        while True:
            with self._priority(), self._window(phase) as finish:
                result = closed_loop(self.port, content, connections=connections, seconds=seconds)
                finish(result.requests)
            if result.requests >= 20 * connections or seconds >= CLOSED_LIMIT_S:
                break
            seconds = CLOSED_LIMIT_S
        self.figures[f"{phase}.rps"] = result.requests / result.seconds
        self.figures[f"{phase}.p50_us"] = result.p50_us
        self.figures[f"{phase}.p99_us"] = result.p99_us
        self.figures[f"{phase}.failed"] = result.failed
        return result

    def at_rate(self, phase: str, content: bytes, rate: float) -> Open:
        """Open loop at a constant rate."""
        connections = 4096 if phase == "paced" else 256
        with self._priority(), self._window(phase) as finish:
            result = open_loop(self.port, content, rate=rate, seconds=self.seconds, connections=connections)
            finish(result.ok)
        self.figures[f"{phase}.rate"] = rate
        self.figures[f"{phase}.p50_us"] = result.total.p50
        self.figures[f"{phase}.p99_us"] = result.total.p99
        self.figures[f"{phase}.failed"] = result.failed + result.unfinished
        if result.event.count:
            self.figures[f"{phase}.event_p50_us"] = result.event.p50
            self.figures[f"{phase}.event_p99_us"] = result.event.p99
            self.figures[f"{phase}.first_p50_us"] = result.first_event.p50
            self.figures[f"{phase}.first_p99_us"] = result.first_event.p99
        return result

    def added(self, phase: str, content: bytes, rate: float) -> None:
        """The same rate without and with the subject, one right after the other; the difference is its own."""
        direct = Visit(None, self.upstream.port, self.upstream, self.seconds, self.is_realtime)
        direct.at_rate(phase, content, rate)
        self.at_rate(phase, content, rate)
        for name in ("p50_us", "p99_us", "event_p50_us", "event_p99_us", "first_p50_us", "first_p99_us"):
            key = f"{phase}.{name}"
            if key in self.figures and key in direct.figures:
                self.figures[f"{phase}.added_{name}"] = self.figures[key] - direct.figures[key]

    def idle_streams(self, target: Running) -> None:
        """What the relaying process grows by for each stream that is open and silent."""
        count = target.subject.idle_streams
        for content in (PLAIN_BODY, STREAM_BODY):  # what grows once is not a stream's
            closed_loop(self.port, content, connections=target.subject.connections, seconds=1)
        before, before_total = target.worker().resident, target.total()
        with IdleStreams(self.port, body(IDLE, is_stream=True), count):
            time.sleep(0.5)
            self.figures["idle.worker_bytes"] = (target.worker().resident - before) / count
            self.figures["idle.total_bytes"] = (target.total() - before_total) / count
            self.figures["idle.streams"] = count


@dataclass(frozen=True)
class Plan:
    """What holds for every visit of a run."""

    seconds: float
    is_realtime: bool
    phases: frozenset[str]
    note: Callable[[str], None]


def visit_direct(up: Upstream, plan: Plan) -> Figures:
    """The upstream alone: what the load generators can do on this machine."""
    this = Visit(None, up.port, up, plan.seconds, plan.is_realtime)
    for phase, content in (("plain", PLAIN_BODY), ("stream", STREAM_BODY), ("burst", BURST_BODY)):
        if phase in plan.phases:
            this.saturate(phase, content, Subject.connections)
    if "paced" in plan.phases:
        this.at_rate("paced", PACED_BODY, Subject.paced_rate)
    return this.figures


SATURATED = (
    ("plain", PLAIN_BODY),
    ("stream", STREAM_BODY),
    ("translated", TRANSLATED_BODY),
    ("burst", BURST_BODY),
    ("translated-burst", TRANSLATED_BURST_BODY),
)
"""Closed loops; a translated one right behind the same in one dialect, because their ratio is what counts."""


def _phases(
    this: Visit, target: Running, plan: Plan, common_rate: float | None
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each phase and how to do it; later ones use what earlier ones found."""
    subject = target.subject
    yield "idle", partial(this.idle_streams, target)  # first: memory that load left free would hide the growth
    for phase, content in SATURATED:
        if subject.translates or not phase.startswith("translated"):
            yield phase, partial(this.saturate, phase, content, subject.connections)
    if rps := this.figures.get("plain.rps", 0.0):
        yield "half", partial(this.added, "half", PLAIN_BODY, rps / 2)
        rate = common_rate or rps / 2
        if rate < 0.9 * rps:
            yield "common", partial(this.added, "common", PLAIN_BODY, rate)
        elif "common" in plan.phases:
            plan.note(
                f"{subject.name}: {rate:,.0f} calls/s, the rate at which all are compared, is more than it can do"
            )
    yield "paced", partial(this.added, "paced", PACED_BODY, subject.paced_rate)


def visit(subject: Subject, up: Upstream, plan: Plan, common_rate: float | None) -> Figures:
    """All phases of one subject. A phase that cannot be done is noted and left out."""
    with running(subject, up.port) as target:
        this = Visit(target, target.port, up, plan.seconds, plan.is_realtime)
        this.figures["start.ms"] = target.startup_ms
        time.sleep(1)
        this.figures["rss.idle_worker"] = target.worker().resident
        this.figures["rss.idle_total"] = target.total()
        this.figures["rss.processes"] = len(memory(target.process.pid))
        for phase, run in _phases(this, target, plan, common_rate):
            if phase not in plan.phases:
                continue
            try:
                run()
            except (Unavailable, OSError) as why:
                plan.note(f"{subject.name}: {phase}: {why}")
        this.figures["rss.after_worker"] = target.worker().resident
        this.figures["rss.after_total"] = target.total()
        return this.figures


def import_ms(python: str, module: str) -> float:
    """Milliseconds that importing the module takes in a fresh interpreter, beyond the interpreter itself."""
    script = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(
        pinned(SUBJECT_CORE, [python, "-c", script]), capture_output=True, text=True, check=False, env=environment
    )
    if result.returncode:
        raise Unavailable(f"import {module}: {result.stderr.strip()[-200:]}")
    with suppress(ValueError):
        return float(result.stdout)
    raise Unavailable(f"import {module} printed {result.stdout[:100]!r}")
