"""The simulation: requests meet a fleet by way of a policy, event by event.

A stream's rate is its endpoint's momentary speed times the request's own noise. Speed changes with every request that
an endpoint takes or ends, and with every step of its course; it is integrated exactly: an endpoint counts the tokens
that a stream of noise 1 would have got since the beginning, and a stream ends when that count has risen by its own
answer's length. The time to the first token is fixed when a request is taken.

A request gets three attempts. What an attempt that fails has taken is lost, and the next one starts at once. A request
that fails altogether has PENALTY_S added to its time, for the caller who has to ask again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from heapq import heappop, heappush
from itertools import count
from typing import Any, Protocol

from benchmarks.routing.fleet import (
    DEADLINE_S,
    DEADLINE_TOKEN_S,
    ENDPOINTS,
    ERROR_S,
    LIMITED_S,
    REFUSED_S,
    SPORADIC,
    STEP_S,
    Fault,
    Fleet,
)
from benchmarks.routing.workload import Ask, Request

ATTEMPTS = 3
PENALTY_S = 60.0
GOLDEN = 0.6180339887498949
"""Spreads a request's luck evenly over attempts and endpoints."""


class Outcome(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    RATE_LIMITED = "rate_limited"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gateway sees of an attempt that ended. Times are seconds; `ttft` is None when no token came.

    `seconds` is the time between the first and the last token; `retry_after` is None where none was said.
    """

    endpoint: int
    ask: Ask
    start: float
    end: float
    ttft: float | None
    tokens: int
    seconds: float
    cached: int
    outcome: Outcome
    retry_after: float | None


class Policy(Protocol):
    """Chooses an endpoint. It learns what it sent, when a first token came, and how an attempt ended."""

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:
        """The index of the endpoint for the next attempt; `tried` are those of the attempts before."""

    def sent(self, index: int, ask: Ask, now: float) -> None:
        """An attempt starts."""

    def first(self, index: int, ask: Ask, now: float, ttft: float) -> None:
        """Its first token came."""

    def finished(self, seen: Observation) -> None:
        """It ended."""


@dataclass(slots=True)
class Record:
    """What became of a request: seconds from its arrival, tokens per second as read, nano-dollars.

    `finish` includes the penalty of one that failed; `ttft` and `speed` are None where there is none.
    """

    finish: float = 0.0
    ttft: float | None = None
    speed: float | None = None
    cost: int = 0
    endpoint: int = -1
    attempts: int = 0
    cached: int = 0


@dataclass(slots=True)
class Job:
    """A request under way, and its present attempt."""

    request: Request
    tried: tuple[int, ...] = ()
    start: float = 0.0
    ttft: float = 0.0
    first: float = 0.0
    cached: int = 0


class _Kind(IntEnum):
    FIRST = 0
    LAST = 1
    FAILED = 2
    STEP = 3


class Server:
    """One endpoint at work."""

    def __init__(self, fleet: Fleet, index: int) -> None:
        self.fleet = fleet
        self.endpoint = fleet.endpoints[index]
        self.course = fleet.courses[index]
        self.has_load = fleet.scenario.has_load
        self.taken = 0
        self.served = 0.0
        self.at = 0.0
        self.rate = 0.0
        self.streams: list[tuple[float, int, Job]] = []
        self.version = 0
        self.kept: dict[int, tuple[int, float]] = {}

    def load(self, step: int, more: int = 0) -> float:
        """The share of the slots that is taken, with so many of ours added."""
        ours = (self.taken + more) / self.endpoint.slots if self.has_load else 0.0
        return self.course.background[step] + ours

    def speed(self, step: int, more: int = 0) -> float:
        """Tokens per second of a stream of noise 1."""
        endpoint = self.endpoint
        return endpoint.speed * self.course.speed[step] / (1 + endpoint.slowdown * self.load(step, more))

    def cached(self, ask: Ask, now: float) -> int:
        """Tokens of the prompt that are kept from an earlier turn."""
        tokens, last = self.kept.get(ask.conversation, (0, 0.0))
        return min(tokens, ask.prompt) if tokens and now - last <= self.endpoint.cache_s else 0

    def ttft(self, request: Request, cached: int, step: int) -> float:
        """Time to the first token of a request that is taken now."""
        endpoint = self.endpoint
        load = min(1.0, self.load(step, 1))
        wait = 1 + endpoint.wait * load * load / (1.05 - load)
        bare = endpoint.ttft + (request.ask.prompt - cached) / endpoint.prefill
        return bare * self.course.ttft[step] * wait * request.ttft_noise

    def is_full(self, step: int) -> bool:
        """Whether one more would be one too many."""
        return self.load(step, 1) > 1.0

    def advance(self, now: float, step: int) -> None:
        """Counts what was served until now, and takes the speed of now."""
        self.served += (now - self.at) * self.rate
        self.at = now
        self.rate = self.speed(step)

    def due(self, now: float) -> float:
        """When the next stream ends at the present speed."""
        return now + max(0.0, self.streams[0][0] - self.served) / self.rate


class Simulation:
    """One policy on one fleet."""

    def __init__(self, fleet: Fleet, requests: list[Request]) -> None:
        self.fleet = fleet
        self.requests = requests
        self.servers = [Server(fleet, index) for index in range(ENDPOINTS)]
        self.records = [Record() for _ in requests]
        self._events: list[tuple[float, int, _Kind, Any]] = []
        self._numbers = count()

    def predict(self, index: int, ask: Ask, now: float) -> float | None:
        """Time to the last token if the present stayed as it is; None where the attempt would fail. For the oracle."""
        server, request, step = self.servers[index], self.requests[ask.number], self.fleet.step(now)
        if server.course.fault[step] or server.is_full(step):
            return None
        ttft = server.ttft(request, server.cached(ask, now), step)
        return ttft + (request.answer - 1) / (server.speed(step, 1) * request.speed_noise)

    def run(self, policy: Policy, progress: Callable[[int], None] | None = None) -> list[Record]:
        """Plays all requests; `progress` is called with the number of those that have arrived, now and then."""
        events, requests = self._events, self.requests
        arrived = 0
        heappush(events, (STEP_S, next(self._numbers), _Kind.STEP, None))
        open_until = requests[-1].ask.at if requests else 0.0
        while True:
            if arrived < len(requests) and (not events or requests[arrived].ask.at <= events[0][0]):
                job = Job(requests[arrived])
                arrived += 1
                self._send(policy, job, job.request.ask.at)
                if progress and not arrived % 1000:
                    progress(arrived)
                continue
            if not events:
                return self.records
            now, _, kind, what = heappop(events)
            if kind is _Kind.LAST:
                self._last(policy, now, *what)
            elif kind is _Kind.FIRST:
                self._first(policy, now, what)
            elif kind is _Kind.FAILED:
                job, outcome, is_taken = what
                self._failed(policy, now, job, outcome, is_taken=is_taken)
            else:
                self._step(now)
                if now < open_until or any(server.taken for server in self.servers):
                    heappush(events, (now + STEP_S, next(self._numbers), _Kind.STEP, None))

    def _push(self, at: float, kind: _Kind, what: Any) -> None:
        heappush(self._events, (at, next(self._numbers), kind, what))

    def _reschedule(self, server: Server, now: float) -> None:
        server.version += 1
        if server.streams:
            self._push(server.due(now), _Kind.LAST, (server, server.version))

    def _step(self, now: float) -> None:
        step = self.fleet.step(now)
        for server in self.servers:
            if server.streams:
                server.advance(now, step)
                self._reschedule(server, now)

    def _meets(self, server: Server, job: Job, step: int) -> tuple[float, Outcome] | None:
        """How long an attempt takes to fail before it is taken, and how; None when it is taken."""
        luck = (job.request.luck + GOLDEN * (len(job.tried) * ENDPOINTS + server.endpoint.index)) % 1.0
        fault = server.course.fault[step]
        if fault == Fault.REFUSES:
            return REFUSED_S, Outcome.FAILED
        if fault == Fault.STALLS:
            return self._deadline(job), Outcome.FAILED
        if luck < SPORADIC or (fault == Fault.ERRORS and luck < server.course.fault_share[step]):
            return ERROR_S, Outcome.FAILED
        if server.is_full(step):
            return LIMITED_S, Outcome.RATE_LIMITED
        return None

    @staticmethod
    def _deadline(job: Job) -> float:
        return DEADLINE_S + DEADLINE_TOKEN_S * job.request.ask.prompt

    def _send(self, policy: Policy, job: Job, now: float) -> None:
        index = policy.choose(job.request.ask, now, job.tried)
        server, step = self.servers[index], self.fleet.step(now)
        job.start = now
        policy.sent(index, job.request.ask, now)
        fails = self._meets(server, job, step)
        job.tried = (*job.tried, index)
        if fails:
            self._push(now + fails[0], _Kind.FAILED, (job, fails[1], False))
            return
        job.cached = server.cached(job.request.ask, now)
        job.ttft = server.ttft(job.request, job.cached, step)
        server.taken += 1
        server.advance(now, step)
        self._reschedule(server, now)
        if job.ttft > self._deadline(job):
            self._push(now + self._deadline(job), _Kind.FAILED, (job, Outcome.FAILED, True))
        else:
            self._push(now + job.ttft, _Kind.FIRST, job)

    def _first(self, policy: Policy, now: float, job: Job) -> None:
        server = self.servers[job.tried[-1]]
        job.first = now
        server.advance(now, self.fleet.step(now))
        length = (job.request.answer - 1) / job.request.speed_noise
        heappush(server.streams, (server.served + length, job.request.ask.number, job))
        policy.first(job.tried[-1], job.request.ask, now, job.ttft)
        self._reschedule(server, now)

    def _last(self, policy: Policy, now: float, server: Server, version: int) -> None:
        if version != server.version:
            return
        job = heappop(server.streams)[2]
        server.taken -= 1
        server.advance(now, self.fleet.step(now))
        self._reschedule(server, now)
        request, ask = job.request, job.request.ask
        server.kept[ask.conversation] = (ask.prompt + request.answer, now)
        record = self.records[ask.number]
        record.finish = now - ask.at
        record.ttft = job.first - ask.at
        record.endpoint = server.endpoint.index
        record.attempts = len(job.tried)
        record.cached = job.cached
        record.cost = server.endpoint.cost(ask.prompt, job.cached, request.answer)
        if request.answer > 1:
            record.speed = (request.answer - 1) / (now - job.first)
        policy.finished(self._observed(job, now, Outcome.OK))

    def _failed(self, policy: Policy, now: float, job: Job, outcome: Outcome, *, is_taken: bool) -> None:
        server = self.servers[job.tried[-1]]
        if is_taken:
            server.taken -= 1
            server.advance(now, self.fleet.step(now))
            self._reschedule(server, now)
        policy.finished(self._observed(job, now, outcome))
        if len(job.tried) < ATTEMPTS:
            self._send(policy, job, now)
            return
        record = self.records[job.request.ask.number]
        record.finish = now - job.request.ask.at + PENALTY_S
        record.attempts = len(job.tried)

    def _observed(self, job: Job, now: float, outcome: Outcome) -> Observation:
        index = job.tried[-1]
        is_ok = outcome is Outcome.OK
        said = self.fleet.endpoints[index].retry_after if outcome is Outcome.RATE_LIMITED else 0.0
        return Observation(
            index,
            job.request.ask,
            job.start,
            now,
            job.ttft if is_ok else None,
            job.request.answer if is_ok else 0,
            now - job.first if is_ok else 0.0,
            job.cached if is_ok else 0,
            outcome,
            said or None,
        )
