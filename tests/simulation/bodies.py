"""The bytes of simulated answers: events and objects in the spellings that providers use."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

import msgspec

from tests.simulation.clock import pick
from tokenway.model.catalog import Operation
from tokenway.model.usage import Usage

TEXTS = (
    *("Hello", " world", "é", "\U0001f600", "\n", '"', "\\", " ", "a" * 90, "data: x\n\n", "[DONE]"),
    *('"usage":{', '"error"', '{"finish_reason":"stop"}', "\u2028", "\r\n\r\n", "</s>", "\x00"),
)
"""Text that a reader that looks for marks in the bytes could take for one."""
MARKS = "_①②③④⑤⑥⑦⑧⑨"
"""What tells the attempts apart."""
REASONS = ("stop", "length", "tool_calls", "content_filter")
TOLD_NOTHING = "null"
_HUGE = 10**9


class Count(NamedTuple):
    """A usage value: its JSON text (empty: no such member), whether it is a count, and the count if believable."""

    text: str
    told: bool
    usage: Usage | None


NO_COUNT = Count("", told=False, usage=None)
_ABSURD = (
    '{"prompt_tokens":-1,"completion_tokens":5}',
    f'{{"prompt_tokens":5,"completion_tokens":{_HUGE}}}',
    '{"prompt_tokens":5,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":6}}',
    '{"prompt_tokens":"many","completion_tokens":1}',
    '{"prompt_tokens":5,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}',
)


THEIR_COST = '"cost":9,"cost_details":{"upstream_inference_cost":9},'
"""What a provider that is a gateway itself adds to its usage."""


def count_of(prompt: int, cached: int, output: int, reasoning: int, more: str = "") -> Count:
    """An honest spelling of these numbers; `cached` is part of `prompt`, `reasoning` of `output`."""
    text = (
        f'{{{more}"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{prompt + output},'
        f'"prompt_tokens_details":{{"cached_tokens":{cached}}},'
        f'"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}'
    )
    usage = Usage(
        input_uncached=prompt - cached, cache_read=cached, output_text=output - reasoning, reasoning=reasoning
    )
    return Count(text, told=True, usage=usage)


def draw_usage(rng: Random) -> Count:
    """A count, mostly honest in form; whether its numbers are true nobody can tell."""
    kind = rng.random()
    if kind < 0.1:
        return NO_COUNT
    if kind < 0.15:
        return Count(TOLD_NOTHING, told=False, usage=None)
    if kind < 0.25:
        return Count(pick(rng, _ABSURD), told=True, usage=None)
    prompt = int(rng.random() * 5000)
    output = int(rng.random() * 900)
    return count_of(
        prompt, int(prompt * rng.random()), output, int(output * rng.random()), THEIR_COST if kind > 0.9 else ""
    )


class Shape:
    """How one provider spells its stream."""

    def __init__(self, rng: Random, choices: int, *, legacy: bool) -> None:
        self.choices = choices
        self.legacy = legacy
        self.end = pick(rng, ("\n\n", "\n\n", "\n\n", "\r\n\r\n", "\r\r"))
        self.lead = pick(rng, ("data: ", "data: ", "data: ", "data:"))
        self.bom = rng.random() < 0.05
        self.gap = pick(rng, ("", "", " ", "  ", "\t"))
        """Between a colon and what follows it."""
        self.attempt = 1
        """Whose stream it is: what it says can be told from what others say."""
        self.echo: list[str] = []
        """What it says in front of its own text."""
        self.before_colon = " " if rng.random() < 0.05 else ""

    def event(self, text: str) -> bytes:
        """One event."""
        return f"{self.lead}{text}{self.end}".encode()

    def member(self, name: str, value: str) -> str:
        """One member of an object."""
        return f'"{name}"{self.before_colon}:{self.gap}{value}'

    def chunk(self, choices: str, count: Count = NO_COUNT) -> bytes:
        """A chunk with these choices."""
        usage = "," + self.member("usage", count.text) if count.text else ""
        kind = "text_completion" if self.legacy else "chat.completion.chunk"
        return self.event(
            f'{{"id":"c-1","object":"{kind}","created":1,"model":"up",{self.member("choices", choices)}{usage}}}'
        )

    def choice(self, index: int, delta: str, reason: str = TOLD_NOTHING) -> str:
        """One choice; `reason` as JSON."""
        if self.legacy:
            delta = f'"text":{delta}'
        return f'[{{"index":{index},{delta},{self.member("finish_reason", reason)}}}]'


_encode = msgspec.json.encode
Fields = tuple[Any, ...]
"""The fields of an `Item`, in order."""
TEXT_JSON = tuple((text, _encode(text).decode()) for text in TEXTS)


def items_of(rng: Random, shape: Shape, name: str) -> list[Fields]:
    """The events of a stream that goes the way `name` says."""
    if name == "empty":
        return []
    if name == "garbage":
        text = pick(rng, ("<html>", "{", '{"choices":5}', "[]", "\ufffd", '{"id":1', '{"id":"\ufffd"}'))
        return [("garbage", shape.event(text).replace("\ufffd".encode(), b"\xff"))]
    if name == "not a chunk":
        return [("garbage", shape.event(pick(rng, ("{}", '{"status":"ok"}', '{"usage":null}'))))]
    if name == "only done":
        return [("garbage", shape.event("[DONE]"))]
    items = _opening(rng, shape)
    if name == "error first":
        del items[:]
    mode = pick(rng, ("last", "last", "last", "none", "early", "every", "with finish"))
    total = draw_usage(rng)
    items += _texts(rng, shape, mode, is_long=name == "crawl")
    _maybe_garbage(rng, shape, name, items)
    if name in {"error first", "error later"}:
        keep = 0 if name == "error first" else rng.randint(1, len(items))
        text = pick(rng, ('{"error":{"message":"overloaded","code":529}}', '{"error":"broken","choices":[]}'))
        return [*items[:keep], ("error", shape.event(text)), *items[keep:]]
    if name == "no finish":
        return items
    items += _finishes(rng, shape, mode, total)
    if mode == "last" and total.text:
        told = total.told
        kind = "usage" if told else "chunk"
        items.append((kind, shape.chunk("[]", total), 0, "", False, told, total.usage))
    if name not in {"no done", "no done, reset"}:
        items.append(("done", shape.event("[DONE]")))
    if name in {"twice done", "talks on"}:
        after = shape.event("[DONE]") if name == "twice done" else shape.chunk(shape.choice(0, '"x"'))
        items.append(("junk", after))
    if shape.bom:
        first = items[0]
        items[0] = (first[0], b"\xef\xbb\xbf" + first[1], *first[2:])
    return items


def _opening(rng: Random, shape: Shape) -> list[Fields]:
    """What comes before the first text: comments, an empty chunk, the role."""
    items: list[Fields] = []
    if rng.random() < 0.2:
        items += [("comment", f": ping{shape.end}".encode())] * rng.randint(1, 3)
    if rng.random() < 0.1:
        items.append(("chunk", shape.chunk("[]")))
    if rng.random() < 0.6 and not shape.legacy:
        items += [
            ("chunk", shape.chunk(shape.choice(index, '"delta":{"role":"assistant","content":""}')), index)
            for index in range(shape.choices)
        ]
    return items


def _texts(rng: Random, shape: Shape, mode: str, *, is_long: bool) -> list[Fields]:
    """The chunks with text; with counts in between where the mode says so. A long one has nothing but text."""
    items: list[Fields] = []
    chance = rng.random
    echo = shape.echo
    for number in range(len(echo) + (8 if is_long else pick(rng, (1, 2, 3, 8)))):
        for index in range(shape.choices):
            text, as_json = TEXT_JSON[int(chance() * len(TEXT_JSON))]
            if number < len(echo):
                text, as_json = echo[number], _encode(echo[number]).decode()
            elif shape.attempt > 1 and chance() < 0.5:
                mark = MARKS[shape.attempt]
                text, as_json = mark + text, f'"{mark}{as_json[1:]}'
            delta = as_json if shape.legacy else f'"delta":{{"content":{as_json}}}'
            is_thought = not shape.legacy and number >= len(echo) and chance() < 0.06 and not is_long
            if is_thought:
                delta = f'"delta":{{"reasoning_content":{as_json}}}'
            count = NO_COUNT
            if mode == "every" or (mode == "early" and number == 0):
                count = count_of(9, 4, number + 1, 0)
            items.append(
                ("chunk", shape.chunk(shape.choice(index, delta), count), index, text, False, count.told, count.usage)
                if not is_thought
                else (
                    *("chunk", shape.chunk(shape.choice(index, delta), count), index, text, False),
                    *(count.told, count.usage, False, False, True),
                )
            )
        if chance() < 0.1:
            items.append(("comment", f":{shape.end}".encode()))
    return items


def _maybe_garbage(rng: Random, shape: Shape, name: str, items: list[Fields]) -> None:
    """Now and then a broken event between good ones: a fault wherever it stands."""
    if name == "no finish" and rng.random() < 0.3:
        items.insert(rng.randint(1, len(items)), ("garbage", shape.event("{broken")))


def _finishes(rng: Random, shape: Shape, mode: str, total: Count) -> list[Fields]:
    """The chunks that end each choice, one of them with the count where the mode says so."""
    items: list[Fields] = []
    for index in range(shape.choices):
        count = total if mode == "with finish" and index == shape.choices - 1 else NO_COUNT
        reason = f'"{pick(rng, REASONS)}"'
        delta = '""' if shape.legacy else '"delta":{}'
        data = shape.chunk(shape.choice(index, delta, reason), count)
        items.append(("chunk", data, index, "", True, count.told, count.usage))
    return items


def whole_body(rng: Random, operation: Operation, usage: str) -> bytes:
    """A well-formed answer that does not stream."""
    gap = pick(rng, ("", " ", "\n  "))
    told = f',{gap}"usage":{gap}{usage}' if usage else ""
    if operation is Operation.EMBEDDING:
        return f'{{"object":{gap}"list","data":[{{"index":0,"embedding":[0.25]}}]{told}}}'.encode()
    text = pick(rng, TEXT_JSON)[1]
    says = f'"text":{text}' if operation is Operation.COMPLETION else f'"message":{{"content":{text}}}'
    return f'{{"id":"c-1",{gap}"choices":{gap}[{{"index":0,{says},"finish_reason":"stop"}}]{told}{gap}}}\n'.encode()
