"""One history: a seed draws a fleet, its faults and a caller, and the real relay lives through it on a virtual clock.

What is real: the exchange machine, the dialect, planning, metering, and the shell around them (`edge.relay`,
`edge.attempt`, `edge.intake`, `edge.receipt`). What is simulated: time, chance, connections on both sides, the journal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from math import floor, inf
from random import Random
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from tests.simulation.client import Client, Habits
from tests.simulation.clock import START, Clock, pick
from tests.simulation.provider import Call
from tests.simulation.scripts import Ask, draw_script
from tests.simulation.voices.base import SOUNDS, Asked, Voice
from tests.simulation.voices.table import CHAT, VOICES
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation
from tokenway.edge import attempt as attempt_module
from tokenway.edge import opening as opening_module
from tokenway.edge import relay as relay_module
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.doors import Door
from tokenway.edge.relay import Relay
from tokenway.edge.state import SWEEP_SECONDS, EdgeState
from tokenway.exchange.commands import Command, Open
from tokenway.exchange.events import Event
from tokenway.exchange.machine import Exchange
from tokenway.metering.ledger import Record
from tokenway.model.catalog import Dialect, Endpoint, Model, Operation, Price, Provider, Timeouts
from tokenway.model.errors import TokenwayError
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.snapshot import Principal, Snapshot

STEPS_MAX: Final = 20_000
"""A history that takes more steps does not end."""
MODEL: Final = "asked"
MIXED: Final = 0.5
"""The share of histories in which dialects are drawn."""
KEY: Final = b"sk-simulated"
KEY_ID: Final = "caller"
_DIGEST: Final = sha256(KEY).hexdigest()
_BUDGETS: Final = (*[None] * 20, *[NanoUsd(10**15)] * 20, NanoUsd(0), NanoUsd(10**6))


class EndlessError(AssertionError):
    """A history that goes on without end."""


@dataclass(slots=True)
class Plan:
    """What a seed draws before the first event."""

    seed: int
    rng: Random
    operation: Operation
    body: bytes
    request: dict[str, Any]
    asks_usage: bool
    choices: int
    endpoints: tuple[Endpoint, ...]
    health: dict[str, float]
    absent: str
    """The provider that is not enabled; mostly empty."""
    timeouts: Timeouts
    max_retries: int
    habits: Habits
    budget: NanoUsd | None
    """What the caller's key may spend; None for a key without a budget."""
    journal_breaks_at: int
    """Which write to the journal fails, from 1; 0 is none."""
    is_mixed: bool = False
    """Whether caller and providers speak dialects of their own; else all of it is OpenAI's chat, byte by byte."""
    voice: Voice = CHAT
    """The caller's dialect."""
    asked: Asked | None = None
    """The caller's request in it, where the history is mixed."""
    text: str = ""
    """What the caller says there."""
    voices: dict[str, Voice] = field(default_factory=dict)
    """Each provider's dialect."""

    @property
    def stream(self) -> bool:
        """Whether the answer streams."""
        asked = self.asked
        return self.request.get("stream") is True or (asked is not None and asked.stream)

    def voice_of(self, endpoint: Endpoint) -> Voice:
        """The dialect in which an endpoint is asked."""
        return self.voices.get(endpoint.provider, CHAT)

    def crosses(self, endpoint: Endpoint) -> bool:
        """Whether an answer from there is translated."""
        return self.voice_of(endpoint) is not self.voice


@dataclass(slots=True)
class History:
    """What happened, for the checks."""

    plan: Plan
    clock: Clock
    client: Client
    made: dict[int, Call] = field(default_factory=dict)
    """The calls by the number of their attempt."""
    calls: list[Call | None] = field(default_factory=list)
    """By attempt; None for one that could not be made because its provider is not enabled."""
    opened_at: list[float] = field(default_factory=list)
    """When each attempt was ordered."""
    attempt_endpoints: list[Endpoint] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    steps: list[tuple[float, Event, list[Command]]] = field(default_factory=list)
    left: int | None = None
    """What is left of the caller's budget, in nano-dollars."""
    crash: BaseException | None = None
    _commands: list[Command] | None = None

    @property
    def commands(self) -> list[Command]:
        """All commands in order; to be asked for when everything is over."""
        if self._commands is None:
            self._commands = [command for _, _, commands in self.steps for command in commands]
        return self._commands


def draw(seed: int) -> Plan:
    """The plan of one seed."""
    rng = Random(seed)
    chance = rng.random
    is_mixed = chance() < MIXED
    operation = Operation.CHAT if chance() < 0.8 else pick(rng, (Operation.COMPLETION, Operation.EMBEDDING))
    spoken: dict[str, Any] = {}
    if is_mixed:
        operation = Operation.CHAT
        spoken = _draw_spoken(rng)
        request = spoken["asked"].body
        body = json.dumps(request, ensure_ascii=chance() < 0.5).encode()
    else:
        request, body = _draw_request(rng, operation)
    options = request.get("stream_options") or {}
    prices = [_draw_price(rng) for _ in range(pick(rng, (1, 1, 2, 3, 5)))]
    names = ("up", MODEL, "m-1", "org/x") if is_mixed else ("up", MODEL, 'm"é', "org/x")
    endpoints = tuple(Endpoint(f"p{n}", pick(rng, names), price) for n, price in enumerate(prices))
    hurried = chance() < 0.3
    timeouts = Timeouts(
        pick(rng, (0.5, 2.0, 5.0)),
        pick(rng, (0.5, 3.0, 60.0)),
        pick(rng, (0.3, 3.0, 30.0)),
        pick(rng, (0.4, 2.0, 10.0)) if hurried else 900.0,
    )
    leaves = chance()
    habits = Habits(
        speed=0.0 if chance() < 0.6 else pick(rng, (20.0, 500.0, 20_000.0)),
        leaves_after_bytes=int(chance() * 4000) if leaves < 0.15 else None,
        leaves_at=chance() * pick(rng, (0.01, 0.3, 5.0, 60.0)) if 0.15 <= leaves < 0.3 else None,
        chunked=chance() < 0.9,
    )
    return Plan(
        seed,
        rng,
        operation,
        body,
        request,
        asks_usage=options.get("include_usage") is True if not is_mixed else _asks_usage(spoken["voice"], options),
        choices=(request.get("n") or 1) * (2 if request.get("prompt") == ["one", "two"] else 1),
        endpoints=endpoints,
        health={endpoint.provider: pick(rng, (0.0, 0.2, 0.5, 0.9)) for endpoint in endpoints},
        absent="p0" if chance() < 0.02 else "",
        timeouts=timeouts,
        max_retries=pick(rng, (0, 1, 2, 2, 4)),
        habits=habits,
        budget=pick(rng, _BUDGETS),
        journal_breaks_at=pick(rng, (1, 2)) if chance() < 0.02 else 0,
        is_mixed=is_mixed,
        voices={each.provider: pick(rng, VOICES) for each in endpoints} if is_mixed else {},
        **spoken,
    )


def _draw_spoken(rng: Random) -> dict[str, Any]:
    """The caller's dialect, and what it says in it."""
    voice, text = pick(rng, VOICES), pick(rng, SOUNDS).strip("\x00\u2028\r\n ") or "hi"
    return {"voice": voice, "text": text, "asked": voice.request(rng, text, stream=rng.random() < 0.75)}


def _asks_usage(voice: Voice, options: dict[str, Any]) -> bool:
    """Whether a stream has a count: in most dialects always."""
    return voice is not CHAT or options.get("include_usage") is True


def _draw_price(rng: Random) -> Price | None:
    chance = rng.random
    if chance() < 0.2:
        return None
    rate = int(chance() * 3_000_000_000)
    return Price(
        Rate(rate),
        Rate(rate * 3 + 1),
        cache_read=Rate(rate // 10) if chance() < 0.5 else None,
        reasoning=Rate(rate * 4) if chance() < 0.2 else None,
        request=NanoUsd(int(chance() * 1e6)) if chance() < 0.2 else NanoUsd(0),
    )


_OPTIONS: Final[tuple[dict[str, bool] | None, ...]] = (
    None,
    None,
    {},
    {"include_usage": False},
    {"include_usage": True},
    {"include_usage": True},
)


def _draw_request(rng: Random, operation: Operation) -> tuple[dict[str, Any], bytes]:
    chance = rng.random
    request: dict[str, Any] = {"model": MODEL}
    if operation is Operation.CHAT:
        request["messages"] = [{"role": "user", "content": pick(rng, ("hi", 'say "model"', '"stream_options"', "é\n"))}]
    else:
        request["prompt" if operation is Operation.COMPLETION else "input"] = pick(rng, ("hi", ["hi"], [1, 2]))
        if operation is Operation.COMPLETION and chance() < 0.2:
            request["prompt"] = ["one", "two"]
    if chance() < 0.8:
        request["stream"] = chance() < 0.9 and operation is not Operation.EMBEDDING
        if chance() < 0.8:
            request["stream_options"] = pick(rng, _OPTIONS)
    if chance() < 0.15 and operation is not Operation.EMBEDDING:
        request["n"] = 2
    if chance() < 0.3:
        request["max_tokens"] = 100
    if chance() < 0.2:
        request["metadata"] = {"model": "inner", "x": [1e3, None]}
    if chance() < 0.1:
        request["session_id"] = "s"
    members = list(request.items())
    rng.shuffle(members)
    gaps = (", ", ": ") if chance() < 0.5 else (",", ":")
    return request, json.dumps(dict(members), separators=gaps, ensure_ascii=chance() < 0.5).encode()


class _State(EdgeState):
    """A worker's state with simulated connections and chance, and itself as the journal; it has no event loop."""

    def __init__(self, history: History) -> None:
        plan = history.plan
        super().__init__(cast("Any", None), cast("Any", _Pools(history)), self, cast("Any", None))
        self._history = history
        self._writes = 0
        enabled = [each for each in plan.endpoints if each.provider != plan.absent]
        caller = Principal(KEY_ID, "caller", "default", plan.budget)
        self.adopt(
            Snapshot(
                1,
                {
                    each.provider: Provider(each.provider, f"http://{each.provider}", plan.voice_of(each).dialect)
                    for each in enabled
                },
                {MODEL: Model(MODEL, plan.endpoints)},
                {},
                {_DIGEST: caller},
                timeouts=plan.timeouts,
                max_retries=plan.max_retries,
            )
        )

    def dice(self) -> float:  # type: ignore[override]
        """The seed's chance."""
        return self._history.plan.rng.random()

    def new_id(self) -> str:
        """The exchange's id."""
        return "gen-1"

    def append(self, record: Record) -> None:
        """Writes a record."""
        self._writes += 1
        if self._writes == self._history.plan.journal_breaks_at:
            raise TokenwayError("the disk is full")
        self._history.records.append(record)


class _Pools:
    """Connections to every provider (`upstream.pool.Pools`)."""

    connect_timeout = 0.0

    def __init__(self, history: History) -> None:
        self._history = history

    def get(self, base_url: str) -> tuple[_Pool, str]:
        """The pool of one provider, and the path that its calls begin with."""
        (endpoint,) = (each for each in self._history.plan.endpoints if base_url.endswith(f"//{each.provider}"))
        return _Pool(self._history, endpoint), ""


class _Pool:
    """Connections to one provider (`upstream.pool.Pool`)."""

    origin = SimpleNamespace(authority="simulated")

    def __init__(self, history: History, endpoint: Endpoint) -> None:
        self._history = history
        self._endpoint = endpoint

    def open(self, payload: list[bytes], reader: AttemptReader) -> Call:
        """A call, treated by a fresh script."""
        history, plan = self._history, self._history.plan
        voice = plan.voice_of(self._endpoint)
        ask = Ask(plan.operation, plan.stream, plan.choices, voice if plan.is_mixed else None)
        script = draw_script(plan.rng, ask, plan.health[self._endpoint.provider])
        call = Call(history.clock, self._endpoint, script, payload, reader, plan.choices, ask.voice)
        history.made[reader.number] = call
        call.start()
        return call


_RECORDING: Final[dict[type[Exchange], type[Exchange]]] = {}


def _recording(machine: type[Exchange]) -> type[Exchange]:
    """The machine with a log of what it was told and what it ordered; each is made once."""
    if machine in _RECORDING:
        return _RECORDING[machine]

    class Recording(machine):  # type: ignore[misc, valid-type]
        __slots__ = ("log",)
        log: Callable[[Event, list[Command]], None]

        def feed(self, event: Event) -> list[Command]:
            commands = super().feed(event)
            self.log(event, commands)
            return cast("list[Command]", commands)

    _RECORDING[machine] = Recording
    return Recording


@contextmanager
def _in_place(
    clock: Clock, machine: type[Exchange], reader: type[PassingChat], translation: type[Translation]
) -> Iterator[None]:
    """The relay's modules with a virtual clock, and perhaps with a broken machine, reader or translation."""

    def now() -> float:
        return clock.now

    relay, attempt = vars(relay_module), vars(attempt_module)
    changed = {"monotonic": now, "Exchange": _recording(machine)}
    form = FORMATS[Dialect.OPENAI_CHAT]
    before = {name: relay[name] for name in changed}
    relay.update(changed)
    attempt["monotonic"] = now
    vars(opening_module)["Translation"] = translation
    FORMATS[Dialect.OPENAI_CHAT] = msgspec.structs.replace(
        form, passing=lambda request: reader(request.choices, asks_usage=request.asks_usage)
    )
    relay_module.log.disabled = True
    try:
        yield
    finally:
        relay.update(before)
        attempt["monotonic"] = before["monotonic"]
        vars(opening_module)["Translation"] = Translation
        FORMATS[Dialect.OPENAI_CHAT] = form
        relay_module.log.disabled = False


def play(
    seed: int,
    machine: type[Exchange] = Exchange,
    reader: type[PassingChat] = PassingChat,
    translation: type[Translation] = Translation,
) -> History:
    """Lives through one history; what the relay raises is kept in `crash`."""
    plan = draw(seed)
    clock = Clock()
    client = Client(clock, plan.habits)
    history = History(plan, clock, client)
    with _in_place(clock, machine, reader, translation):
        try:
            _live(history)
        except Exception as error:  # noqa: BLE001 - a crash is a finding, reported with its seed
            history.crash = error
    for at, _, commands in history.steps:
        for command in commands:
            if isinstance(command, Open):
                history.opened_at.append(at)
                history.attempt_endpoints.append(command.endpoint)
                history.calls.append(history.made.get(command.attempt))
    return history


def _door(plan: Plan) -> Door:
    """Where the caller asks."""
    asked = plan.asked
    if asked is None:
        return Door(Dialect.OPENAI_CHAT, plan.operation)
    return Door(plan.voice.dialect, plan.operation, asked.model, asked.stream)


def _live(history: History) -> None:
    plan, clock, client = history.plan, history.clock, history.client
    state = _State(history)
    headers = {b"authorization": b"Bearer " + KEY}
    chunked = plan.habits.chunked
    relay = Relay(
        state,
        cast("Any", client),
        _door(plan),
        headers,
        plan.asked.query if plan.asked is not None else b"",
        keep_alive=True,
        chunked=chunked,
    )
    client.on_pause = lambda paused: relay.client_paused(paused=paused)
    client.on_leave = relay.client_gone
    machine = cast("Any", relay)._machine
    machine.log = lambda event, commands: history.steps.append((clock.now, event, commands))
    relay.check_head()
    relay.add_body(plan.body)
    relay.body_complete = True
    if plan.habits.leaves_at is not None:
        clock.after(plan.habits.leaves_at, client.leave)
    relay.start()
    steps = 0
    while True:
        steps += 1
        if steps > STEPS_MAX:
            raise EndlessError(f"{steps} steps, the time is {clock.now - START:.3f}")
        due = (floor(relay.wake_at / SWEEP_SECONDS) + 1) * SWEEP_SECONDS if relay.wake_at < inf else inf
        coming = clock.next_time
        if coming is not None and coming <= due:
            clock.step()
        elif due < inf:
            clock.now = due
            relay.wake(due)
        else:
            history.left = state.admission.remaining.get(KEY_ID)
            return
