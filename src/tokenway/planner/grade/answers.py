"""Answers of endpoints, how far apart two of them are, and whether one has the form that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Final, Literal, NamedTuple

import msgspec

LEAST: Final = -20.0
"""Log-probabilities below are taken for this one: some endpoints write -9999 for what is out of sight."""

Json = dict[str, Any]
Kind = Literal["fact", "sum", "choice", "prose", "code", "json", "tools"]


class Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question. `expect` is a pattern that a right answer has in it, `keys` what an object has to have."""

    id: str
    kind: Kind
    ask: str
    max_tokens: int
    expect: str = ""
    keys: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


class Call(NamedTuple):
    """One call of a tool; `arguments` as they came, which should be JSON."""

    name: str
    arguments: str


class Token(NamedTuple):
    """One token of an answer and the logarithm of its probability."""

    text: str
    logprob: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `tokens` is None where the endpoint gives no log-probabilities, `problem` why nothing came."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    tokens: tuple[Token, ...] | None = None
    problem: str = ""


def is_same(one: Answer, other: Answer) -> bool:
    """Whether two answers say the same, but for space around them and the order of an object's members."""
    return one.text.strip() == other.text.strip() and list(map(_plain, one.calls)) == list(map(_plain, other.calls))


def apart(one: Answer, other: Answer) -> float:
    """How early two answers part: 0 for the same, 1 for no common word at the start."""
    if is_same(one, other):
        return 0.0
    words, others = _words(one), _words(other)
    longest = max(len(words), len(others))
    common = next((n for n, pair in enumerate(zip_longest(words, others)) if pair[0] != pair[1]), longest)
    return 1.0 - common / longest if longest else 0.0


def drift(one: Answer, other: Answer) -> tuple[float, int] | None:
    """The mean distance of the log-probabilities of the tokens up to where the answers part, and how many these are.

    None where there are none: no log-probabilities, or another first token.
    """
    if one.tokens is None or other.tokens is None:
        return None
    distances = []
    for here, there in zip(one.tokens, other.tokens, strict=False):
        if here.text != there.text:
            break
        distances.append(abs(max(here.logprob, LEAST) - max(there.logprob, LEAST)))
    return (sum(distances) / len(distances), len(distances)) if distances else None


def is_right(prompt: Prompt, answer: Answer, tools: Mapping[str, Json]) -> bool | None:
    """Whether an answer has what was asked for; None where nothing can be said without reading it."""
    if prompt.kind == "tools":
        return bool(answer.calls) and all(_is_call(call, prompt, tools) for call in answer.calls)
    if prompt.kind == "json":
        found = _object(_unfenced(answer.text))
        return found is not None and all(key in found for key in prompt.keys)
    return re.search(prompt.expect, answer.text, re.IGNORECASE) is not None if prompt.expect else None


def _words(answer: Answer) -> list[str]:
    return [*answer.text.split(), *(f"{name}({arguments})" for name, arguments in map(_plain, answer.calls))]


def _plain(call: Call) -> tuple[str, object]:
    found = _object(call.arguments)
    return call.name, call.arguments if found is None else msgspec.json.encode(found, order="sorted").decode()


def _object(text: str) -> Json | None:
    try:
        return msgspec.json.decode(text, type=Json)
    except (msgspec.DecodeError, UnicodeError):
        return None


def _unfenced(text: str) -> str:
    """The text without the fence of a code block around it."""
    return re.sub(r"^```\w*\s*|\s*```$", "", text.strip())


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def _is_call(call: Call, prompt: Prompt, tools: Mapping[str, Json]) -> bool:
    """Whether a call names a tool that was offered, with arguments of its schema (types, choices, what is required)."""
    arguments = _object(call.arguments)
    if call.name not in prompt.tools or arguments is None:
        return False
    schema = tools[call.name]["parameters"]
    known = schema["properties"]
    return all(key in arguments for key in schema["required"]) and all(
        key in known and _is_of(value, known[key]) for key, value in arguments.items()
    )


def _is_of(value: object, schema: Json) -> bool:
    if isinstance(value, bool) and schema["type"] != "boolean":
        return False
    return isinstance(value, _TYPES[schema["type"]]) and ("enum" not in schema or value in schema["enum"])
