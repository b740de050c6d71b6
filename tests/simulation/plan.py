"""What a seed draws before the first event: who asks whom for what, in which dialects, how patient everybody is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec

from tests.simulation.broker import BrokerPlan, draw_broker
from tests.simulation.client import Habits
from tests.simulation.clock import pick
from tests.simulation.fleet import Fleet, can_prefill, draw_endpoint, draw_fleet
from tests.simulation.voices.base import SOUNDS, Asked, Voice
from tests.simulation.voices.table import CHAT, VOICES
from tokenway.model.catalog import Capabilities, Endpoint, Operation, Price, Timeouts
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.money import NanoUsd, Rate

MODEL: Final = "asked"
MIXED: Final = 0.5
"""The share of histories in which dialects are drawn."""
_BUDGETS: Final = (*[None] * 20, *[NanoUsd(10**15)] * 20, NanoUsd(0), NanoUsd(10**6))

BUDGET: Final = "budget"
_RATES: Final = {
    Measure.REQUESTS: (1, 1, 100, 0),
    Measure.TOKENS: (10**6, 10**6, 100),
    Measure.INPUT_TOKENS: (10**6, 10),
    Measure.OUTPUT_TOKENS: (10**6, 10),
    Measure.CONCURRENCY: (1, 2, 50, 0),
}
_MARKUPS: Final = (100_000, -50_000, 333_333, 1, -1_000_000)


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
    rates: dict[Measure, int]
    """Its other limits: of requests, tokens and calls at once."""
    broker: BrokerPlan
    """How the control process answers for them."""
    markup: int
    """What its project is charged on top of cost, in millionths."""
    journal_breaks_at: int
    """Which write to the journal fails, from 1; 0 is none."""
    fleet: Fleet = field(default_factory=Fleet)
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

    stream: bool = False
    """Whether the answer streams."""
    is_fan: bool = False
    """Whether several exchanges make one answer."""
    gathers: bool = False
    """Whether it is asked for as a stream and given whole."""

    def limits(self) -> dict[str, Limit]:
        """The limits of the caller's key, by id."""
        found = {}
        if self.budget is not None:
            found[BUDGET] = Limit(BUDGET, Scope.KEY, "caller", Measure.USD, self.budget)
        for measure, amount in self.rates.items():
            term = Term.TOTAL if measure is Measure.CONCURRENCY else Term.MINUTE
            found[measure.value] = Limit(measure.value, Scope.KEY, "caller", measure, amount, term)
        return found

    @property
    def streams_up(self) -> bool:
        """Whether upstreams are asked for streams."""
        return self.stream or self.gathers

    @property
    def total(self) -> float:
        """The deadline of the exchange, in seconds."""
        return self.fleet.total(self.timeouts)

    def limits_of(self, endpoint: Endpoint) -> Timeouts:
        """The deadlines of an attempt."""
        return self.fleet.limits_of(endpoint, self.timeouts)

    def voice_of(self, endpoint: Endpoint) -> Voice:
        """The dialect in which an endpoint is asked."""
        return self.voices.get(endpoint.provider, CHAT)

    @property
    def is_bound(self) -> bool:
        """Whether the answer has a form to keep to, or is several: its text is never gone on with."""
        return self.choices > 1 or any(name in self.request for form in _FORMS for name in form)

    def crosses(self, endpoint: Endpoint) -> bool:
        """Whether an answer from there is translated."""
        return self.voice_of(endpoint) is not self.voice


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
    else:
        request = _draw_request(rng, operation)
    options = request.get("stream_options") or {}
    prices = [_draw_price(rng) for _ in range(pick(rng, (1, 1, 2, 3, 5)))]
    names = ("up", MODEL, "m é\r\n?", "org/x") if is_mixed else ("up", MODEL, 'm"é', "org/x")
    endpoints = tuple(draw_endpoint(rng, n, pick(rng, names), price) for n, price in enumerate(prices))
    voices = {each.provider: pick(rng, VOICES) for each in endpoints} if is_mixed else {}
    endpoints = tuple(_as_spoken(each, voices.get(each.provider, CHAT)) for each in endpoints)
    fleet = draw_fleet(rng, endpoints, operation)
    if fleet.wishes:
        request["provider"] = fleet.wishes
    body = _spelled(rng, request, is_mixed=is_mixed)
    stream = request.get("stream") is True or (is_mixed and spoken["asked"].stream)
    choices = (request.get("n") or 1) * (2 if request.get("prompt") == ["one", "two"] else 1)
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
        choices=choices,
        endpoints=endpoints,
        health={endpoint.provider: pick(rng, (0.0, 0.2, 0.5, 0.9)) for endpoint in endpoints},
        absent="p0" if chance() < 0.02 else "",
        timeouts=timeouts,
        max_retries=pick(rng, (0, 1, 2, 2, 4)),
        habits=habits,
        budget=pick(rng, _BUDGETS),
        rates={measure: pick(rng, amounts) for measure, amounts in _RATES.items() if chance() < 0.15},
        broker=draw_broker(rng),
        markup=pick(rng, _MARKUPS) if chance() < 0.3 else 0,
        journal_breaks_at=pick(rng, (1, 2)) if chance() < 0.02 else 0,
        fleet=fleet,
        is_mixed=is_mixed,
        voices=voices,
        stream=stream,
        gathers=not stream and fleet.streams(operation, choices),
        **spoken,
    )


def _as_spoken(endpoint: Endpoint, voice: Voice) -> Endpoint:
    """The endpoint with what it can do in its dialect."""
    if endpoint.capabilities.prefill and not can_prefill(endpoint, voice.dialect):
        return msgspec.structs.replace(endpoint, capabilities=Capabilities())
    return endpoint


def _spelled(rng: Random, request: dict[str, Any], *, is_mixed: bool) -> bytes:
    """The body of a request."""
    if is_mixed:
        return json.dumps(request, ensure_ascii=rng.random() < 0.5).encode()
    members = list(request.items())
    rng.shuffle(members)
    gaps = (", ", ": ") if rng.random() < 0.5 else (",", ":")
    return json.dumps(dict(members), separators=gaps, ensure_ascii=rng.random() < 0.5).encode()


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


_FORMS: Final[tuple[dict[str, Any], ...]] = (
    {"response_format": {"type": "json_object"}},
    {"logprobs": True},
    {"tools": [{"type": "function", "function": {"name": "look"}}], "tool_choice": "required"},
)
"""What an answer is bound to, which another model could not go on with."""

_OPTIONS: Final[tuple[dict[str, bool] | None, ...]] = (
    None,
    None,
    {},
    {"include_usage": False},
    {"include_usage": True},
    {"include_usage": True},
)


def _draw_request(rng: Random, operation: Operation) -> dict[str, Any]:
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
    if chance() < 0.05 and operation is Operation.CHAT:
        request |= pick(rng, _FORMS)
    return request
