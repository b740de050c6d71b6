"""The neutral answer: what a model gave, as events while it streams and as one record when it is whole.

A stream is

    Started  ( Opened Added* Closed | Whole )*  Counted?  Finished+  Ended

where parts may overlap only by their number, `Counted` and `Ping` may come anywhere, and every choice (there is
one, except where `n` was asked for) gets one `Finished`. An error in place of the rest is `Failed`, the last event.
Readers of a dialect make events, writers take them; `fold` makes the whole answer of them and `unfold` the
events of a whole answer, so that a dialect's stream and its whole answer cannot say different things.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from tokenway.model.request import Foreign, Media, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import UNMETERED, Metered

AnswerPart = Text | Media | Reasoning | ToolCall | Refusal | Foreign


class PartKind(StrEnum):
    """What a part that arrives in pieces is."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"
    REFUSAL = "refusal"


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    ERROR = "error"


class Started(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The answer begins. `id` and `model` are the upstream's; `created` is Unix time, 0 where it does not say."""

    id: str = ""
    model: str = ""
    created: int = 0


class Opened(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A part begins. `part` counts the parts of a choice from 0; `id` and `name` are a tool call's.

    `id` of a reasoning part is the upstream's id for it, `format` whose it is, `summary` whether it is a summary.
    """

    part: int
    kind: PartKind
    id: str = ""
    name: str = ""
    custom: bool = False
    format: str = ""
    summary: bool = False
    choice: int = 0


class Added(msgspec.Struct, frozen=True, gc=False, tag=True):
    """More of an open part's text, or of a tool call's arguments. `logprobs`: see `Logprobs`."""

    part: int
    text: str
    choice: int = 0


class Closed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A part is complete. `signature` and `sealed` are what a vendor seals it with (see `Reasoning`, `ToolCall`)."""

    part: int
    signature: str = ""
    sealed: str = ""
    format: str = ""
    choice: int = 0


class Whole(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A part that arrives in one piece: media, a sealed reasoning, a vendor's own."""

    part: int
    value: Media | Reasoning | Foreign
    choice: int = 0


class Cited(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A source of what the text of a part says; `start` and `end` count its characters, -1 where it is not known."""

    part: int
    url: str
    title: str = ""
    text: str = ""
    start: int = -1
    end: int = -1
    choice: int = 0


class Logprobs(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Log probabilities of tokens of a part, as OpenAI's list of `{token, logprob, bytes, top_logprobs}`."""

    part: int
    tokens: msgspec.Raw
    choice: int = 0


class Counted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What the provider has counted so far; a later one replaces it."""

    metered: Metered


TOOL_WORDS: Final = frozenset({"tool_calls", "tool_use", "function_call"})
"""The words of those dialects that have one for an answer that ends in calls of tools, `FinishReason`'s among them."""


class Finished(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A choice is complete. `native` is the upstream's own word, `stop` the stop sequence that was met.

    `detail` is a refusal's or an error's explanation.
    """

    reason: FinishReason
    native: str = ""
    stop: str | None = None
    detail: str = ""
    choice: int = 0

    @property
    def word(self) -> str:
        """How it ended, for the books: the upstream's own word, unless that hides that there are tools to call."""
        if self.reason is FinishReason.TOOL_CALLS and self.native not in TOOL_WORDS:
            return self.reason.value
        return self.native or self.reason.value


def failure_text(finish: Finished) -> str:
    """What an answer that ended with an error says of it."""
    return f"The model did not complete its answer: {finish.detail or finish.native or 'no reason was given'}."


class Failed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The upstream reports an error in its stream; `status` is the HTTP status it stands for, 0 where unknown."""

    message: str
    code: str = ""
    status: int = 0


class Ping(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Nothing, to keep the connection alive."""


class Ended(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The dialect's own mark for the end of a stream; a dialect without one ends with the last `Finished`."""


Event = Started | Opened | Added | Closed | Whole | Cited | Logprobs | Counted | Finished | Failed | Ping | Ended


class Choice(msgspec.Struct, frozen=True):
    """One answer. `citations` and `logprobs` belong to the part whose number they carry."""

    parts: tuple[AnswerPart, ...]
    finish: Finished
    citations: tuple[Cited, ...] = ()
    logprobs: tuple[Logprobs, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """A whole answer."""

    id: str
    model: str
    created: int
    choices: tuple[Choice, ...]
    metered: Metered = UNMETERED


class _Draft:
    """A choice in the making."""

    def __init__(self, number: int) -> None:
        self.opened: dict[int, Opened] = {}
        self.texts: dict[int, list[str]] = {}
        self.done: dict[int, AnswerPart] = {}
        self.citations: list[Cited] = []
        self.logprobs: list[Logprobs] = []
        self.finish = Finished(FinishReason.ERROR, choice=number)

    def take(self, event: Event) -> None:
        match event:
            case Opened():
                self.opened[event.part] = event
                self.texts[event.part] = []
            case Added():
                self.texts[event.part].append(event.text)
            case Closed():
                self.done[event.part] = _part(self.opened[event.part], "".join(self.texts[event.part]), event)
            case Whole():
                self.done[event.part] = event.value
            case Cited():
                self.citations.append(event)
            case Logprobs():
                self._take_logprobs(event)
            case Finished():
                self.finish = event

    def _take_logprobs(self, event: Logprobs) -> None:
        """One list for each part: in how many pieces it came says nothing."""
        former = self.logprobs[-1] if self.logprobs else None
        if former is None or former.part != event.part:
            self.logprobs.append(event)
            return
        lists = [each for each in (_inside(former.tokens), _inside(event.tokens)) if each]
        self.logprobs[-1] = Logprobs(event.part, msgspec.Raw(b"[" + b",".join(lists) + b"]"), event.choice)

    def choice(self) -> Choice:
        for number, opened in self.opened.items():
            if number not in self.done:
                self.done[number] = _part(opened, "".join(self.texts[number]), Closed(number))
        parts = tuple(self.done[number] for number in sorted(self.done))
        return Choice(parts, self.finish, tuple(self.citations), tuple(self.logprobs))


def _inside(tokens: msgspec.Raw) -> bytes:
    """What stands between the brackets of a list."""
    return bytes(tokens).strip()[1:-1].strip()


def _part(opened: Opened, text: str, closed: Closed) -> AnswerPart:
    mark = closed.format or opened.format
    if opened.kind is PartKind.TEXT:
        return Text(text)
    if opened.kind is PartKind.REFUSAL:
        return Refusal(text)
    if opened.kind is PartKind.REASONING:
        return Reasoning(text, closed.signature, closed.sealed, mark, opened.summary, opened.id)
    return ToolCall(opened.id, opened.name, text, opened.custom, closed.signature, mark)


def fold(events: Iterable[Event]) -> Answer:
    """The whole answer that a stream's events amount to. A part that was never closed counts as closed."""
    started = Started()
    metered = UNMETERED
    drafts: dict[int, _Draft] = {}
    for event in events:
        if isinstance(event, Started):
            started = event
        elif isinstance(event, Counted):
            metered = event.metered
        elif not isinstance(event, Failed | Ping | Ended):
            drafts.setdefault(event.choice, _Draft(event.choice)).take(event)
    choices = tuple(drafts[number].choice() for number in sorted(drafts))
    return Answer(started.id, started.model, started.created, choices, metered)


def unfold(answer: Answer) -> Iterator[Event]:
    """The events of a stream that amounts to this answer."""
    yield Started(answer.id, answer.model, answer.created)
    for number, choice in enumerate(answer.choices):
        for place, part in enumerate(choice.parts):
            yield from _unfold_part(place, part, number)
            yield from (each for each in choice.citations if each.part == place)
            yield from (each for each in choice.logprobs if each.part == place)
            if not isinstance(part, Media | Foreign) and not _is_sealed(part):
                yield _closing(place, part, number)
    if answer.metered.given:
        yield Counted(answer.metered)
    for choice in answer.choices:
        yield choice.finish
    yield Ended()


def _is_sealed(part: AnswerPart) -> bool:
    return isinstance(part, Reasoning) and bool(part.sealed) and not part.text


def _unfold_part(place: int, part: AnswerPart, choice: int) -> Iterator[Event]:
    text = ""
    match part:
        case Media() | Foreign():
            yield Whole(place, part, choice)
            return
        case Reasoning():
            if _is_sealed(part):
                yield Whole(place, part, choice)
                return
            text = part.text
            yield Opened(place, PartKind.REASONING, part.id, format=part.format, summary=part.summary, choice=choice)
        case ToolCall():
            text = part.arguments
            yield Opened(place, PartKind.TOOL_CALL, part.id, part.name, part.custom, part.format, choice=choice)
        case Refusal():
            text = part.text
            yield Opened(place, PartKind.REFUSAL, choice=choice)
        case Text():
            text = part.text
            yield Opened(place, PartKind.TEXT, choice=choice)
    if text:
        yield Added(place, text, choice)


def _closing(place: int, part: AnswerPart, choice: int) -> Closed:
    match part:
        case Reasoning():
            return Closed(place, part.signature, part.sealed, part.format, choice)
        case ToolCall():
            return Closed(place, part.signature, "", part.format, choice)
        case _:
            return Closed(place, choice=choice)
