"""What a history tells when it is read from its end: who answered, what the caller had when, which attempts lived when.

Nothing here judges. The checks read it, so that each of them works it out only once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from typing import Any, Final, NamedTuple

from tests.simulation.client import MalformedError, load, parse_answer, parse_events
from tests.simulation.oracle import key_of
from tests.simulation.provider import NEVER, Call
from tests.simulation.voices.base import TEXT, THOUGHT
from tests.simulation.world import History
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.metering.ledger import Line, Settled
from tokenway.model.catalog import Operation
from tokenway.model.preferences import Rescue

DONE: Final = "[DONE]"


class Part(NamedTuple):
    """A stretch of the caller's stream: the attempt that it comes from, and how many pieces had been sent before."""

    attempt: int
    written: int


class Frozen(NamedTuple):
    """An attempt of which nothing is forwarded: from when to when, what the caller had, and whether it went on."""

    attempt: int
    begin: float
    end: float
    written: int
    written_after: int
    thaws: bool


class Opened(NamedTuple):
    """An attempt: when it was ordered, in which step, its place in the order."""

    number: int
    at: float
    place: int
    slot: int
    hedges: bool
    resumes: bool


@dataclass(slots=True)
class Said:
    """What the caller has understood: text by kind, and with the number of the choice where that is not the first."""

    texts: dict[str, str] = field(default_factory=dict)
    ending: str = ""
    """`whole` or `error`; empty while more must come."""


class Facts:
    """The facts of one history; made when everything is over."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.plan = history.plan
        self.parts: list[Part] = []
        self.opened: list[Opened] = []
        self.frozen: list[Frozen] = []
        self.noted: list[int] = []
        """The attempts that failed, in that order."""
        self._heard: dict[int, Said] = {}
        order = history.order
        slots = {} if order is None else {(each.id, key): n for n, (each, key) in enumerate(_seats(order))}
        self.beside: dict[int, set[int]] = {}
        """Which attempts were under way when one was ordered."""
        self.lived: list[int] = []
        """How many were before each step, and in the end."""
        live: set[int] = set()
        freeze: tuple[int, float, int] | None = None
        for place, (at, _, commands) in enumerate(history.steps):
            written = history.written[place]
            self.lived.append(len(live))
            for command in commands:
                match command:
                    case c.Open():
                        slot = slots[command.endpoint.id, command.credential]
                        made = Opened(command.attempt, at, place, slot, command.hedge, command.resumes)
                        self.opened.append(made)
                        self.beside[command.attempt] = set(live)
                        live.add(command.attempt)
                    case c.Cancel():
                        live.discard(command.attempt)
                    case c.Note():
                        self.noted.append(command.attempt)
                        live.discard(command.attempt)
                    case c.Settle():
                        live.clear()
                    case c.SendHead():
                        self.parts.append(Part(command.attempt, 0))
                    case c.Resume() if self.parts[-1].attempt != command.attempt:  # else it is its own end
                        self.parts.append(Part(command.attempt, written))
                    case c.Freeze():
                        freeze = (command.attempt, at, written)
                fails = freeze is not None and isinstance(command, c.Note) and command.attempt == freeze[0]
                if freeze is not None and (fails or isinstance(command, c.Thaw | c.Resume | c.Settle)):
                    thaws = isinstance(command, c.Thaw | c.Resume) and command.attempt == freeze[0]
                    self.frozen.append(Frozen(freeze[0], freeze[1], at, freeze[2], written, thaws))
                    freeze = None
        self.lived.append(len(live))
        if freeze is not None:
            self.frozen.append(Frozen(freeze[0], freeze[1], inf, freeze[2], freeze[2], thaws=False))

    @cached_property
    def settled(self) -> Settled | None:
        """The settlement in the journal."""
        return next((record for record in self.history.records if isinstance(record, Settled)), None)

    @cached_property
    def has_end(self) -> bool:
        """Whether the answer was complete."""
        return any(isinstance(command, c.SendEnd) for command in self.history.commands)

    @property
    def answering(self) -> int:
        """The attempt that the answer comes from in the end, or that failed last; 0 where there is none."""
        if self.parts:
            return self.parts[-1].attempt
        return self.noted[-1] if self.noted else len(self.history.calls)

    @property
    def call(self) -> Call:
        """That attempt as its provider lived it."""
        call = self.history.calls[self.answering - 1]
        if call is None:
            raise AssertionError("an answer from an attempt that was never made")
        return call

    def line(self) -> Line:
        """That attempt in the settlement."""
        if self.settled is None:
            raise AssertionError("an answer without a settlement")
        return self.settled.lines[self.answering - 1]

    def call_of(self, number: int) -> Call | None:
        """An attempt as its provider lived it; None for one that was not made."""
        return self.history.calls[number - 1]

    def first_text(self, number: int, *, for_sure: bool = False) -> float:
        """When an attempt had something new for its caller to read; NEVER where it had not.

        What a continuation repeats of the text that it was given is nothing new, nor is a thought behind a text. A
        thought behind a text that is empty may be shown or not: `for_sure` leaves it out.
        """
        call = self.call_of(number)
        if call is None or not call.resumes or call.first_text_at == NEVER:
            return NEVER if call is None else call.first_text_at
        had = self.heard(self.history.written[self.opened[number - 1].place]).texts
        for at in call.arrivals:
            reading = call.reading_at(at)
            said = joined(had, reading.said)
            if for_sure:
                said.pop(THOUGHT, None)
            if reading.calls or any(len(text) > len(had.get(kind, "")) for kind, text in said.items()):
                return at
        return NEVER

    def is_mute(self, number: int) -> bool:
        """Whether an attempt that was to go on with a text had nothing but thoughts: it is not read to its end."""
        call = self.call_of(number)
        return call is not None and call.prefix != "" and TEXT not in call.reading.said and not call.reading.calls

    def began_by(self, at: float) -> bool:
        """Whether the caller's stream had begun at a time."""
        return any(
            when <= at and any(isinstance(command, c.SendHead) for command in commands)
            for when, _, commands in self.history.steps
        )

    def frozen_call(self, number: int) -> Frozen | None:
        """When an attempt was frozen for good."""
        return next((each for each in self.frozen if each.attempt == number and not each.thaws), None)

    # -- what the caller had ------------------------------------------------------------------------------

    def body(self, written: int) -> bytes:
        """The caller's body after so many pieces."""
        return parse_answer(b"".join(self.history.client.writes[:written]), closed=False).body

    def heard(self, written: int) -> Said:
        """What the caller had understood after so many pieces."""
        said = self._heard.get(written)
        if said is None:
            said = self._heard[written] = self.hear(self.body(written))
        return said

    def hear(self, body: bytes) -> Said:
        """What a caller understands of a stream."""
        plan = self.plan
        if plan.is_mixed:
            heard = plan.voice.hear(body, plan.asked.query if plan.asked is not None else b"")
            return Said(heard.texts, heard.ending)
        return _hear_chat(body, plan.choices)

    def shown(self, place: int) -> str:
        """What the caller had seen before a step, as far as another attempt may go on with it.

        `nothing`, `text`, `other`; `unsure` where that depends on more than is known here.
        """
        plan = self.plan
        if plan.operation is not Operation.CHAT or plan.is_fan or not plan.stream or plan.fleet.rescue is Rescue.OFF:
            return "other"
        written = self.history.written[place]
        calls = [self.call_of(part.attempt) for part in self.parts if part.written <= written]
        at = self.history.steps[place][0]
        is_plain = all(call is not None and call.reading_at(at).is_plain for call in calls)
        try:
            said = self.heard(written)
        except ValueError:
            if is_plain:
                raise
            return "unsure"  # something that is no event was passed on
        text = said.texts.get(TEXT, "")
        others = {kind for kind, more in said.texts.items() if kind != TEXT and (more.strip() or kind[:4] != TEXT)}
        if others or said.ending:
            return "other"
        if not is_plain:
            return "unsure"
        if text.strip():
            return "other" if plan.is_bound else TEXT
        if said.texts and plan.is_bound:
            return "unsure"
        order = self.history.order
        if order is None or (said.texts and not any(each.capabilities.prefill for each in order.endpoints)):
            return "unsure"  # where nobody goes on with a text, what was sent is not kept
        return "nothing"

    # -- budgets ------------------------------------------------------------------------------------------

    def retries_left(self, at: float, before: int) -> float:
        """What the worker's budget for retries holds at a time, before an attempt is made.

        A hundred to begin with, a fifth of a retry for a call, ten a second.
        """
        made = sum(1 < each.number < before and not each.hedges for each in self.opened)
        return min(200.0, 100.0 - self.plan.fleet.retries_spent + 0.2 + 10.0 * (at - self.began)) - made

    @property
    def began(self) -> float:
        """When the worker began to count."""
        return self.history.began

    def hedges_left(self, at: float) -> float:
        """What its budget for races of this model holds: one, and this call's share."""
        made = sum(each.hedges and each.at < at for each in self.opened)
        return 1.0 - self.plan.fleet.raced + self.raced_share - made

    @property
    def raced_share(self) -> float:
        """The share of such calls that may be raced."""
        order, plan = self.history.order, self.plan
        if order is None or not plan.streams_up or len({each.id for each in order.endpoints}) < 2:
            return 0.0
        return plan.fleet.raced_share(gathers=plan.gathers)


REPEATED: Final = 16
"""Characters with which a text is long enough for its repetition to be told from a coincidence."""


def joined(before: dict[str, str], said: dict[str, str], *, ended: bool = False) -> dict[str, str]:
    """What a caller must read that had `before`, when an answer goes on as it was `said`.

    `ended` is whether no more comes: before that, what may become a repetition is held back.
    """
    had = before.get(TEXT, "")
    given = had.rstrip()
    text = said.get(TEXT, "")
    if len(given) >= REPEATED:
        if text.startswith(given):
            text = text[len(given) :]
        elif given.startswith(text) and not ended:
            text = ""  # it may be about to repeat all of it
    blank = had[len(given) :]
    same = 0
    while same < min(len(blank), len(text)) and blank[same] == text[same]:
        same += 1
    expected = {**said, TEXT: had + text[same:]}
    if had:  # a thought would stand behind what it is about
        expected.pop(THOUGHT, None)
    return expected


def _seats(order: e.Order) -> Any:
    """The endpoints of an order with their keys."""
    return zip(order.endpoints, order.credentials or (0,) * len(order.endpoints), strict=True)


def _hear_chat(body: bytes, choices: int) -> Said:
    """A stream of chat with one choice or several, strictly."""
    said = Said()
    finished: set[int] = set()
    for data in parse_events(body):
        if said.ending:
            raise MalformedError("an event after the end")
        if data == DONE:
            said.ending = "whole"
            if len(finished) < choices:
                raise MalformedError("the end without a finish reason")
            continue
        chunk = load(data)
        if chunk.get("error"):
            said.ending = "error"
            continue
        for choice in chunk["choices"]:
            _hear_choice(said, choice, finished, choices)
    return said


def _hear_choice(said: Said, choice: dict[str, Any], finished: set[int], choices: int) -> None:
    """What one choice of a chunk adds."""
    index, delta = choice["index"], choice["delta"]
    if not 0 <= index < choices:
        raise MalformedError(f"a choice {index} that nobody asked for")
    for name, is_thought in (("content", False), ("reasoning_content", True)):
        text = delta.get(name)
        if text:
            if index in finished:
                raise MalformedError("text behind the finish reason")
            key = key_of(index, is_thought=is_thought)
            said.texts[key] = said.texts.get(key, "") + text
    if choice.get("finish_reason"):
        if index in finished:
            raise MalformedError("two finish reasons")
        finished.add(index)
