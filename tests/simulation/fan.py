"""Several answers for one caller where an endpoint gives one at a time: `edge.fan` in the simulated world.

A caller of chat or Gemini asks for two or three answers, and every provider speaks a dialect that knows no choices. So
one exchange is made for each; they fail early or late, are slow, and the caller may leave. Each of them is a history of
its own, for which the invariants of one exchange hold; what the caller got is compared with what all of them said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, cast

import msgspec

from tests.simulation import checks
from tests.simulation.client import Answer, Client, load, parse_answer
from tests.simulation.clock import Clock, pick
from tests.simulation.deadlines import check_deadlines, check_early
from tests.simulation.facts import Facts
from tests.simulation.fleet import Fleet
from tests.simulation.plan import BUDGET, Plan, draw
from tests.simulation.retries import check_promises, check_retries
from tests.simulation.voices import anthropic, bedrock, chat, gemini, responses
from tests.simulation.voices.base import Heard, Voice, events
from tests.simulation.world import History, State, begin, in_place, run, tell
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.translate import Translation
from tokenway.edge import fan as fan_module
from tokenway.edge import relay as relay_module
from tokenway.edge.client import Inner
from tokenway.edge.fan import Fan
from tokenway.edge.relay import Relay
from tokenway.exchange.machine import Exchange
from tokenway.metering.ledger import Settled, Settlement
from tokenway.model.catalog import Operation, Routing
from tokenway.model.preferences import Rescue

_CALLERS: Final[tuple[Voice, ...]] = (chat.VOICE, gemini.VOICE)
_SINGLE: Final[tuple[Voice, ...]] = (anthropic.VOICE, responses.VOICE, bedrock.VOICE)


class Watched(Inner):
    """The end of one copy; it remembers when that was."""

    def __init__(
        self, clock: Clock, on_end: Callable[[Inner], None], on_data: Callable[[Inner, bytes], None] | None = None
    ) -> None:
        super().__init__(on_end, on_data)
        self._clock = clock
        self.ends: list[float] = []

    def relay_finished(self, relay: Relay) -> None:
        """The copy's answer is out."""
        self.ends.append(self._clock.now)
        super().relay_finished(relay)


@dataclass(slots=True)
class Story:
    """What happened to a caller and its copies."""

    whole: History
    fan: Fan | None = None
    copies: list[History] = field(default_factory=list)
    """The exchanges that were begun, in the order of their choices."""
    streams_left: int = 0
    """How many streams the worker still believes to be open."""
    open_left: int = 0


def draw_fan(seed: int) -> Plan:
    """A plan for two or three answers."""
    plan = draw(seed)
    rng = plan.rng = Random(f"fan {seed}")
    plan.is_mixed, plan.operation, plan.choices = True, Operation.CHAT, 1
    plan.journal_breaks_at, plan.absent = 0, ""
    plan.fleet, plan.is_fan, plan.gathers = Fleet(routing=Routing(rescue=Rescue.OFF)), True, False
    plan.voice = pick(rng, _CALLERS)
    plan.text = "hi"
    plan.asked = plan.voice.request(rng, plan.text, stream=rng.random() < 0.7)
    plan.request = plan.asked.body
    plan.stream = plan.asked.stream or plan.request.get("stream") is True
    count = pick(rng, (2, 2, 3))
    if plan.voice is chat.VOICE:
        plan.request["n"] = count
    else:
        plan.request.setdefault("generationConfig", {})["candidateCount"] = count
    options = plan.request.get("stream_options") or {}
    plan.asks_usage = plan.voice is not chat.VOICE or options.get("include_usage") is True
    plan.body = json.dumps(plan.request).encode()
    plan.voices = {each.provider: pick(rng, _SINGLE) for each in plan.endpoints}
    plan.endpoints = tuple(
        msgspec.structs.replace(each, upstream_model=pick(rng, ("up", "m é\r\n?", "org/x"))) for each in plan.endpoints
    )
    plan.health = {each.provider: pick(rng, (0.2, 0.7, 0.95, 1.0)) for each in plan.endpoints}
    return plan


def play_fan(seed: int, fan: type[Fan] = Fan) -> Story:
    """Lives through one; what the gateway raises is kept in `crash`."""
    plan, clock = draw_fan(seed), Clock()
    story = Story(History(plan, clock, Client(clock, plan.habits)))
    vars(fan_module)["Inner"] = partial(Watched, clock)

    def make(*arguments: Any) -> Fan:
        story.fan = fan(*arguments)
        return story.fan

    vars(relay_module)["Fan"] = make
    try:
        with in_place(story.whole, Exchange, PassingChat, Translation):
            _live(story)
    except Exception as error:  # noqa: BLE001 - a crash is a finding, reported with its seed
        story.whole.crash = error
    finally:
        vars(fan_module)["Inner"] = Inner
        vars(relay_module)["Fan"] = Fan
    return story


def _live(story: Story) -> None:
    whole = story.whole
    state = State(whole)
    relay = begin(whole, state)
    run(whole, state)
    story.streams_left, story.open_left = state.streams, len(state.open)
    if story.fan is None or not story.fan._are_begun:
        tell(whole, relay)
        return
    for each in cast("Any", story.fan)._copies:
        if not each.relay._machine.steps:
            continue
        caller = Client(whole.clock, whole.plan.habits)
        caller.pauses = whole.client.pauses
        caller.finishes = len(each.inner.ends)
        caller.finished_at = each.inner.ends[0] if each.inner.ends else None
        caller.left_at = caller.finished_at if each.relay.disconnected else None
        copy = History(whole.plan, whole.clock, caller, whole.made)
        copy.held = each.made is not None
        copy.given_up = caller.left_at is not None and whole.client.left_at is None
        copy.records = [record for record in whole.records if record.id == each.relay.id]
        tell(copy, each.relay)
        story.copies.append(copy)


_OF_EACH: Final[tuple[Callable[[Facts], Iterator[str]], ...]] = (
    checks.check_ledger,
    checks.check_money,
    checks.check_attempts,
    checks.check_commands,
    check_deadlines,
    check_early,
    check_retries,
    check_promises,
)


def fan_violations(story: Story) -> list[str]:
    """What is wrong, as sentences; empty when nothing is."""
    whole = story.whole
    if whole.crash is not None:
        return [f"it raised {type(whole.crash).__name__}: {whole.crash}"]
    found: list[str] = []
    for number, copy in enumerate(story.copies):
        facts = Facts(copy)
        for check in _OF_EACH:
            found += [f"copy {number}: {sentence}" for sentence in _safely(partial(check, facts), check.__name__)]
    for check_story in (_check_end, _check_sums, _check_choices):
        found += _safely(partial(check_story, story), check_story.__name__)
    return found


def first_broken(seeds: Iterable[int], fan: type[Fan] = Fan) -> tuple[int, list[str]] | None:
    """The first seed that breaks something, with what is wrong; None when all hold."""
    for seed in seeds:
        found = fan_violations(play_fan(seed, fan))
        if found:
            return seed, found
    return None


def _safely(check: Callable[[], Iterator[str]], name: str) -> list[str]:
    try:
        return list(check())
    except Exception as error:  # noqa: BLE001 - what the checks cannot read is not what must be there
        return [f"{name}: {type(error).__name__}: {error}"]


def _check_end(story: Story) -> Iterator[str]:
    """The caller's exchange ends once, and nothing outlives it."""
    client = story.whole.client
    if client.finishes != 1 or client.finished_at is None:
        yield f"the answer ended {client.finishes} times"
        return
    if client.left_at is not None and client.finished_at != client.left_at:
        yield "the exchange outlived its caller"
    if client.wrote_after_end:
        yield "bytes were written after the end"
    for number, copy in enumerate(story.copies):
        if copy.client.finished_at is None or copy.client.finished_at > client.finished_at:
            yield f"copy {number} outlived its caller's exchange"
    if story.streams_left or story.open_left:
        yield f"{story.streams_left} streams and {story.open_left} exchanges are believed to be open"


def _check_sums(story: Story) -> Iterator[str]:
    """What is left of the budget is what the copies did not charge; who was given up pays nothing for what it lost."""
    whole = story.whole
    settled = [record for record in whole.records if isinstance(record, Settled)]
    spent = sum(checks.spent_of(record) for record in settled)
    if whole.plan.budget is not None and whole.unspent[BUDGET] != whole.plan.budget - spent:
        yield f"{whole.unspent[BUDGET]} is left of {whole.plan.budget}, and {spent} was charged or withheld"
    charged = sum(record.charged for record in settled)
    if whole.client.left_at is None:
        if charged and not whole.plan.stream and not whole.client.writes[0].startswith(b"HTTP/1.1 200"):
            yield f"the caller got no answer, and pays {charged}"
        for record in settled:
            if record.settlement is Settlement.UPSTREAM_BILLED:
                yield "the caller stayed, and pays for an answer that was given up"


def _check_choices(story: Story) -> Iterator[str]:
    """All choices, each as its copy's provider said it, or the beginnings of them and one error."""
    whole = story.whole
    plan, client = whole.plan, whole.client
    is_over = client.left_at is None
    answer = parse_answer(b"".join(client.writes), closed=is_over)
    if is_over and not answer.complete:
        yield "the answer has no end"
        return
    if answer.status == 0:
        return
    if answer.status != 200:
        plan.voice.hear_error(answer.body)
        return
    copies = [_settled(copy) for copy in story.copies]
    heard = _hear(plan, answer, len(story.copies))
    is_whole = all(each.ending == "whole" for each in heard)
    if is_over and not is_whole and not all(each.ending == "error" for each in heard):
        yield f"the choices end as {[each.ending for each in heard]}"
    if is_whole and not all(each is not None and not each.error_type and each.status == 200 for each in copies):
        yield "a broken copy looks whole"
    if not is_over and any(each.ending for each in heard):
        yield "the caller left after the end"
    for each, copy in zip(heard, story.copies, strict=True):
        yield from _check_texts(each, copy, plan.stream, is_whole=is_whole)
    if is_whole:
        yield from _check_total(story, heard[0], [each for each in copies if each is not None])


def _settled(copy: History) -> Settled | None:
    return Facts(copy).settled


def _check_texts(heard: Heard, copy: History, stream: bool, *, is_whole: bool) -> Iterator[str]:
    call = Facts(copy).call if copy.calls else None
    said = {} if call is None else call.reading.texts if stream else call.script.said
    for kind, text in heard.texts.items():
        if not said.get(kind, "").startswith(text):
            yield f"the caller read {text!r}, the provider said {said}"
    if is_whole and heard.texts != said:
        yield f"the caller read {heard.texts}, the provider said {said}"


def _check_total(story: Story, heard: Heard, settled: list[Settled]) -> Iterator[str]:
    """The count is the sum of all."""
    plan = story.whole.plan
    usages = [record.lines[-1].usage for record in settled]
    if any(usage is None for usage in usages) or (plan.stream and not plan.asks_usage):
        return
    told = (sum(each.input_tokens for each in usages if each), sum(each.output_tokens for each in usages if each))
    if heard.usage != told:
        yield f"the caller was told {heard.usage}, the providers {told}"


def _hear(plan: Plan, answer: Answer, count: int) -> list[Heard]:
    """What is heard of each choice, as if it had come alone."""
    query = plan.asked.query if plan.asked is not None else b""
    voice = plan.voice
    name = "choices" if voice is chat.VOICE else "candidates"
    if not plan.stream:
        return [voice.hear_whole(json.dumps(_only(load(answer.body), name, n)).encode()) for n in range(count)]
    if voice is gemini.VOICE:
        is_closed = True
        if query != b"alt=sse":
            text = answer.body.decode()
            is_closed = text.endswith("]") and gemini.closes(text)
            elements = load(text if is_closed or not text else text + "]") if text else []
        else:
            elements = [load(data) for _, _, data in events(answer.body)]
        return [_alone(voice, elements, name, n) for n in range(count)]
    listed = [data for _, _, data in events(answer.body)]
    chunks = [load(data) for data in listed if data != "[DONE]"]
    return [_alone(voice, chunks, name, n, ends=listed.count("[DONE]")) for n in range(count)]


def _alone(voice: Voice, elements: list[Any], name: str, number: int, ends: int = 0) -> Heard:
    """A stream with the events of one choice."""
    mine = [_only(each, name, number) for each in elements]
    data = [json.dumps(each) for each in mine if "error" in each or each[name] or voice is chat.VOICE]
    stream = [f"data: {each}\n\n" for each in [*data, *["[DONE]"] * ends]]
    return voice.hear("".join(stream).encode(), b"alt=sse")


def _only(value: dict[str, Any], name: str, number: int) -> dict[str, Any]:
    """A chunk or an answer with one of its choices."""
    if "error" in value:
        return value
    return {**value, name: [{**each, "index": 0} for each in value[name] if each.get("index", 0) == number]}
