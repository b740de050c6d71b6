"""One history: a seed draws a fleet, its faults and a caller, and the real relay lives through it on a virtual clock.

What is real: the exchange machine, the dialect, planning, metering, and the shell around them (`edge.relay`,
`edge.attempt`, `edge.intake`, `edge.receipt`). What is simulated: time, chance, connections on both sides, the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from math import floor, inf
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from tests.simulation.broker import Broker
from tests.simulation.client import Client
from tests.simulation.clock import START, UNIX, Clock
from tests.simulation.plan import MODEL, Plan, draw
from tests.simulation.provider import Call
from tests.simulation.scripts import Ask, draw_script
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation
from tokenway.edge import admission as admission_module
from tokenway.edge import arrange as arrange_module
from tokenway.edge import attempt as attempt_module
from tokenway.edge import deliver as deliver_module
from tokenway.edge import entry as entry_module
from tokenway.edge import execute as execute_module
from tokenway.edge import opening as opening_module
from tokenway.edge import relay as relay_module
from tokenway.edge import start as start_module
from tokenway.edge import state as state_module
from tokenway.edge import stocks as stocks_module
from tokenway.edge import waiting as waiting_module
from tokenway.edge import watch as watch_module
from tokenway.edge.attempt import AttemptReader
from tokenway.edge.doors import Door
from tokenway.edge.relay import Relay
from tokenway.edge.state import SWEEP_SECONDS, EdgeState
from tokenway.exchange.commands import Command, Open
from tokenway.exchange.events import Event, Order, UpstreamEnd, UpstreamFailed
from tokenway.exchange.machine import Exchange
from tokenway.metering.ledger import Record
from tokenway.model.catalog import Dialect, Endpoint, Model, Provider
from tokenway.model.errors import TokenwayError
from tokenway.model.faults import Fault
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.hints import NONE

STEPS_MAX: Final = 20_000
"""A history that takes more steps does not end."""
KEY: Final = b"sk-simulated"
KEY_ID: Final = "caller"
_DIGEST: Final = sha256(KEY).hexdigest()


class EndlessError(AssertionError):
    """A history that goes on without end."""


@dataclass(slots=True)
class History:
    """What happened, for the checks."""

    plan: Plan
    clock: Clock
    client: Client
    made: dict[tuple[str, int], Call] = field(default_factory=dict)
    """The calls by their exchange and the number of their attempt."""
    calls: list[Call | None] = field(default_factory=list)
    """By attempt; None for one that could not be made because its provider is not enabled."""
    opened_at: list[float] = field(default_factory=list)
    """When each attempt was ordered."""
    attempt_endpoints: list[Endpoint] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    opens: list[Open] = field(default_factory=list)
    """The order of each attempt."""
    order: Order | None = None
    """What the exchange was to do; None where it did not begin."""
    steps: list[tuple[float, Event, list[Command]]] = field(default_factory=list)
    written: list[int] = field(default_factory=list)
    """How many pieces the caller had been sent before each step."""
    taken: list[int] = field(default_factory=list)
    """How many places at endpoints were taken before each step, and in the end."""
    state: State | None = None
    given_up: bool = False
    """Whether the gateway gave the answer up, though its caller waited: one of several, of which another failed."""
    held: bool = False
    """Whether its whole answer was there, and waited for others."""
    began: float = START
    """When the worker began."""
    unspent: dict[str, int] = field(default_factory=dict)
    """What is left of each of the caller's limits in the end: what nobody holds, and what was granted and not drawn."""
    crash: BaseException | None = None
    _commands: list[Command] | None = None

    @property
    def commands(self) -> list[Command]:
        """All commands in order; to be asked for when everything is over."""
        if self._commands is None:
            self._commands = [command for _, _, commands in self.steps for command in commands]
        return self._commands


class State(EdgeState):
    """A worker's state with simulated connections and chance, and itself as the journal; it has no event loop."""

    def __init__(self, history: History) -> None:
        plan = history.plan
        self.broker = Broker(history.clock, plan.broker)
        tell = self.broker.tell
        super().__init__(cast("Any", None), cast("Any", _Pools(history)), self, cast("Any", None), tell=tell)
        self._history = history
        history.state = self
        self._writes = self._ids = 0
        self.loop = cast("Any", _Loop(history.clock))
        enabled = [each for each in plan.endpoints if each.provider != plan.absent]
        limits = plan.limits()
        self.broker.serve(self.admission, limits)
        caller = Principal(
            KEY_ID, "caller", "default", limits=tuple(limits), markup=plan.markup, on_outage=plan.broker.on_outage
        )
        self.adopt(
            Snapshot(
                1,
                {each.provider: _provider(plan, each) for each in enabled},
                {MODEL: Model(MODEL, plan.endpoints, min_tps=plan.fleet.min_tps, routing=plan.fleet.routing)},
                {},
                {_DIGEST: caller},
                known=tuple([each.provider for each in plan.endpoints]),
                timeouts=plan.timeouts,
                max_retries=plan.max_retries,
                limits=limits,
                queue=plan.broker.queue,
            )
        )
        self._remember(plan, history.clock.now)

    def _remember(self, plan: Plan, now: float) -> None:
        """What was before the history begins."""
        mine, fleet = plan.fleet, self.fleet
        fleet.hear(mine.samples)
        for endpoint in plan.endpoints:
            seconds = mine.limited.get(endpoint.id)
            if seconds is not None:
                for key in range(mine.keys_of(endpoint) if endpoint.provider != plan.absent else 1):
                    refusal = UpstreamFailed(now, 1, Fault.STATUS, status=429, retry_after=seconds)
                    fleet.begin(endpoint, key, 9, now).failed(refusal, NONE)
            if endpoint.id in mine.broken:
                for _ in range(5):
                    fleet.begin(endpoint, 0, 9, now).failed(UpstreamFailed(now, 1, Fault.RESET), NONE)
        for _ in range(mine.retries_spent):
            fleet.retries.withdraw()
        for _ in range(mine.raced):
            fleet.hedges(MODEL).race()

    @property
    def taken(self) -> int:
        """How many places at endpoints are taken."""
        return sum([each.in_flight for each in self.fleet._standings.values()])

    def dice(self) -> float:  # type: ignore[override]
        """The seed's chance."""
        return self._history.plan.rng.random()

    def new_id(self) -> str:
        """An exchange's id."""
        self._ids += 1
        return f"gen-{self._ids}"

    def append(self, record: Record) -> None:
        """Writes a record."""
        self._writes += 1
        if self._writes == self._history.plan.journal_breaks_at:
            raise TokenwayError("the disk is full")
        self._history.records.append(record)


def _provider(plan: Plan, endpoint: Endpoint) -> Provider:
    """Who has an endpoint, with its keys."""
    name = endpoint.provider
    secrets = tuple([Secret(f"{name}-key-{number}") for number in range(plan.fleet.keys.get(name, 0))])
    return Provider(name, f"http://{name}", plan.voice_of(endpoint).dialect, secrets)


class _Loop:
    """What of an event loop a worker uses here."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def call_soon(self, what: Callable[[], None]) -> None:
        """Calls something behind what happens now."""
        self._clock.after(0.0, what)

    def call_later(self, delay: float, what: Callable[..., None], *arguments: object) -> None:
        """Calls something later."""
        self._clock.after(delay, partial(what, *arguments))


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
        number = reader.number
        # A request that goes on with an answer is written anew, in the provider's own dialect.
        prefix = "" if number == 1 else plan.voice_of(self._endpoint).prefix(b"".join(payload[1:]))
        voice = plan.voice_of(self._endpoint) if plan.is_mixed else None
        trials = plan.fleet.trials if plan.streams_up and number < 3 else ()
        ask = Ask(plan.operation, plan.streams_up, plan.choices, voice, prefix, number, trials)
        script = draw_script(plan.rng, ask, plan.health[self._endpoint.provider])
        call = Call(history.clock, self._endpoint, script, payload, reader, plan.choices, ask.voice, prefix)
        history.made[cast("Any", reader)._relay.id, reader.number] = call
        call.start()
        return call


_RECORDING: Final[dict[type[Exchange], type[Exchange]]] = {}


def _recording(machine: type[Exchange]) -> type[Exchange]:
    """The machine with a log of what it was told and what it ordered; each is made once."""
    if machine in _RECORDING:
        return _RECORDING[machine]

    class Recording(machine):  # type: ignore[misc, valid-type]
        __slots__ = ("steps", "taken", "written")

        def __init__(self) -> None:
            super().__init__()
            self.steps: list[tuple[float, Event, list[Command]]] = []
            self.written: list[int] = []
            self.taken: list[int] = []

        def feed(self, event: Event) -> list[Command]:
            world = _NOW[0]
            self.written.append(len(world.client.writes))
            self.taken.append(cast("State", world.state).taken)
            commands = cast("list[Command]", super().feed(event))
            self.steps.append((world.clock.now, event, commands))
            return commands

    _RECORDING[machine] = Recording
    return Recording


_NOW: Final[list[History]] = []
"""The history that is being played."""


def _now() -> float:
    """Virtual monotonic seconds."""
    return _NOW[0].clock.now


def _unix() -> float:
    """Virtual Unix time."""
    return UNIX + _NOW[0].clock.now


_TIME: Final = SimpleNamespace(time=_unix)
_CLOCKS: Final[tuple[tuple[Any, dict[str, object]], ...]] = (
    (admission_module, {"monotonic": _now, "time": _TIME}),
    (stocks_module, {"monotonic": _now, "time": _TIME}),
    (waiting_module, {"monotonic": _now, "time": _TIME}),
    (relay_module, {"monotonic": _now, "time": _TIME}),
    (deliver_module, {"time": _TIME}),
    (execute_module, {"monotonic": _now}),
    (entry_module, {"monotonic": _now, "time": _TIME, "MISTAKES": ()}),
    (attempt_module, {"monotonic": _now, "time": _unix}),
    (arrange_module, {"monotonic": _now, "time": _TIME}),
    (watch_module, {"monotonic": _now}),
    (start_module, {"monotonic": _now}),
    (state_module, {"monotonic": _now, "time": _TIME}),
    (opening_module, {"monotonic": _now, "time": _TIME}),
)
"""Each module that reads a clock, and what it finds in its place; a mistake that is passed over there crashes."""


@contextmanager
def in_place(
    history: History, machine: type[Exchange], reader: type[PassingChat], translation: type[Translation]
) -> Iterator[None]:
    """The relay's modules with a virtual clock, and perhaps with a broken machine, reader or translation."""
    before = [(vars(module), {name: vars(module)[name] for name in clocks}) for module, clocks in _CLOCKS]
    for module, clocks in _CLOCKS:
        vars(module).update(clocks)
    vars(relay_module)["Exchange"] = _recording(machine)
    vars(opening_module)["Translation"] = translation
    form = FORMATS[Dialect.OPENAI_CHAT]
    if reader is not PassingChat:
        FORMATS[Dialect.OPENAI_CHAT] = msgspec.structs.replace(
            form, passing=lambda request: reader(request.choices, asks_usage=request.asks_usage)
        )
    execute_module.log.disabled = True
    _NOW[:] = [history]
    try:
        yield
    finally:
        for members, values in before:
            members.update(values)
        vars(relay_module)["Exchange"] = Exchange
        vars(opening_module)["Translation"] = Translation
        FORMATS[Dialect.OPENAI_CHAT] = form
        execute_module.log.disabled = False
        _NOW.clear()


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
    with in_place(history, machine, reader, translation):
        try:
            _live(history)
        except Exception as error:  # noqa: BLE001 - a crash is a finding, reported with its seed
            history.crash = error
    return history


def tell(history: History, relay: Relay) -> None:
    """What the exchange of a relay was told and ordered, and which calls it made."""
    machine = cast("Any", relay)._machine
    history.steps, history.written = machine.steps, machine.written
    if history.state is not None:
        history.taken = [*machine.taken, history.state.taken]
    if history.steps:
        history.order = history.steps[0][1].order  # type: ignore[union-attr]
    for at, event, commands in history.steps:
        if isinstance(event, UpstreamEnd):
            cast("Call", history.calls[event.attempt - 1]).take_whole()
        for command in commands:
            if isinstance(command, Open):
                history.opened_at.append(at)
                history.opens.append(command)
                history.attempt_endpoints.append(command.endpoint)
                call = history.made.get((relay.id, command.attempt))
                history.calls.append(call)
                if call is not None:
                    call.resumes = command.resumes


def _door(plan: Plan) -> Door:
    """Where the caller asks."""
    asked = plan.asked
    if asked is None:
        return Door(Dialect.OPENAI_CHAT, plan.operation)
    return Door(plan.voice.dialect, plan.operation, asked.model, asked.stream)


def _live(history: History) -> None:
    state = State(history)
    relay = begin(history, state)
    try:
        run(history, state)
    finally:
        tell(history, relay)


def begin(history: History, state: EdgeState) -> Relay:
    """The caller asks."""
    plan, client = history.plan, history.client
    relay = Relay(
        state,
        cast("Any", client),
        _door(plan),
        {b"authorization": b"Bearer " + KEY},
        plan.asked.query if plan.asked is not None else b"",
        keep_alive=True,
        chunked=plan.habits.chunked,
    )
    client.on_pause = lambda paused: relay.client_paused(paused=paused)
    client.on_leave = relay.client_gone
    relay.check_head()
    relay.add_body(plan.body)
    relay.body_complete = True
    if plan.habits.leaves_at is not None:
        history.clock.after(plan.habits.leaves_at, client.leave)
    history.clock.after(0.0, relay.start)
    return relay


def run(history: History, state: EdgeState) -> None:
    """Lets the time pass until nothing happens any more; the open exchanges are looked at as the sweep does it."""
    clock = history.clock
    steps = 0
    while True:
        steps += 1
        if steps > STEPS_MAX:
            raise EndlessError(f"{steps} steps, the time is {clock.now - START:.3f}")
        wake_at = min([each.wake_at for each in state.open], default=inf)
        due = (floor(wake_at / SWEEP_SECONDS) + 1) * SWEEP_SECONDS if wake_at < inf else inf
        if state.admission.is_waiting:
            soon = (floor(clock.now / SWEEP_SECONDS) + 1) * SWEEP_SECONDS
            due = min(due, soon if soon > clock.now else soon + SWEEP_SECONDS)  # as fractions of a second are
        coming = clock.next_time
        if coming is not None and coming <= due:
            clock.step()
        elif due < inf:
            clock.now = due
            for each in [each for each in state.open if each.wake_at <= due]:
                each.wake(due)
            state.admission.sweep(due)
        else:
            if isinstance(state, State):
                history.unspent = state.broker.unspent()
            return
