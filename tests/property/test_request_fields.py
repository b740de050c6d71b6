"""Every field that OpenAI's callers can send, wherever the SDKs' types have it, towards every other dialect.

A field is carried (the upstream's body is another one), refused with its place, or declared by its name. What is none
of these stands in `MEANINGLESS`, with the reason. A value of a wrong type is refused or treated like any other: it is
never a mistake of the gateway's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from openrouter.components.chatrequest import ChatRequestTypedDict

from tests.property.crossing import parsed
from tests.property.fields import WRONG, Samples, Variation, Walk, get, inside, put, spelled, way
from tests.property.openai_fields import CHAT, MEANINGLESS, OPENROUTER, OTHER_WORDS, RESPONSES, UNREAD, stands_in
from tokenway.dialects.base import Upstream
from tokenway.dialects.registry import FORMATS
from tokenway.edge.crossing import spelled as told
from tokenway.model.catalog import Capabilities, Dialect, Quirks
from tokenway.model.errors import Problem, Refusal
from tokenway.model.request import Request

_ABLE: Final = Capabilities(vision=True)
UPSTREAMS: Final = {
    Dialect.OPENAI_CHAT: (
        Upstream("some-model", _ABLE),
        Upstream("gpt-4o", _ABLE, Quirks(developer_role=True)),
        Upstream("gpt-5.1", _ABLE, Quirks(developer_role=True)),
        Upstream("any/model", _ABLE, Quirks(reasoning_field="reasoning_details", sampling_extras=True)),
    ),
    Dialect.OPENAI_RESPONSES: (Upstream("some-model", _ABLE), Upstream("gpt-4o", _ABLE), Upstream("gpt-5.1", _ABLE)),
    Dialect.ANTHROPIC: (
        Upstream("claude-opus-5", _ABLE),
        Upstream("claude-sonnet-4-5", _ABLE),
        Upstream("claude-3-5-haiku", _ABLE),
        Upstream("some-model", _ABLE),
    ),
    Dialect.GEMINI: (Upstream("gemini-3-pro", _ABLE), Upstream("gemini-2.5-flash", _ABLE)),
    Dialect.BEDROCK: (
        Upstream("us.anthropic.claude-sonnet-4-5-v1:0", _ABLE),
        Upstream("anthropic.claude-opus-5", _ABLE),
        Upstream("us.amazon.nova-2-lite-v1:0", _ABLE),
        Upstream("meta.llama3-70b", _ABLE),
    ),
}
"""Models of each dialect that take different things."""


Reading = Request | Problem
"""A request in the neutral form, or why it is refused."""


@dataclass(frozen=True)
class Source:
    """Where requests come from: a dialect, and whose types say what is in it."""

    dialect: Dialect
    record: Any
    samples: Samples

    def __hash__(self) -> int:
        return hash(self.record.__name__)


SOURCES: Final = {
    "openai": Source(Dialect.OPENAI_CHAT, CompletionCreateParamsNonStreaming, CHAT),
    "openrouter": Source(Dialect.OPENAI_CHAT, ChatRequestTypedDict, OPENROUTER),
    "responses": Source(Dialect.OPENAI_RESPONSES, ResponseCreateParamsNonStreaming, RESPONSES),
}
ROADS: Final = {
    f"{name}--{dialect}-{to.model}": (source, dialect, to)
    for name, source in SOURCES.items()
    for dialect, models in UPSTREAMS.items()
    if dialect is not source.dialect
    for to in models
}


@cache
def variations(source: Source) -> tuple[Variation, ...]:
    """All of a source, but for the model's name, which routing takes."""
    return tuple(each for each in Walk(source.samples).variations(source.record) if each.path != ("model",))


@cache
def readings(source: Source) -> tuple[tuple[Variation, Reading, Reading], ...]:
    """The variations with the requests of either value, which are read once for all roads."""
    return tuple(
        (each, read(source.dialect, each.value), read(source.dialect, each.other)) for each in variations(source)
    )


@cache
def places(source: Source) -> tuple[Variation, ...]:
    """One variation for every place."""
    return tuple({(each.path, *way(each.value, each.path)): each for each in variations(source)}.values())


@dataclass(frozen=True)
class Outcome:
    """What came of a request: a body with the names that were declared, or a refusal."""

    body: bytes = b""
    dropped: frozenset[str] = frozenset()
    problem: Problem | None = None


def read(caller: Dialect, body: Any) -> Reading:
    """A request in the neutral form, or why it is refused."""
    try:
        return parsed(caller, json.dumps(body).encode()).neutral()
    except Refusal as refusal:
        return refusal.problem


def written(caller: Dialect, request: Reading, dialect: Dialect, to: Upstream) -> Outcome:
    """What an upstream gets of it."""
    if isinstance(request, Problem):
        return Outcome(problem=request)
    try:
        found = FORMATS[dialect].write_request(request, to)
    except Refusal as refusal:
        return Outcome(problem=refusal.problem)
    names = told(found.dropped, FORMATS[caller])
    return Outcome(found.body, frozenset(names.split(",")) if names else frozenset())


def fault(variation: Variation, outcome: Outcome, other: Outcome) -> str:
    """What is wrong with what became of a field; empty where it was carried, refused or declared."""
    problem = outcome.problem
    if problem is not None:
        place = problem.param or ""
        missing = problem.code == "missing_required_parameter"
        is_told = problem.status == 400 and stands_in(variation.value, place, missing=missing)
        return "" if is_told else f"refused with {problem.status} at {place!r}"
    if other.problem is not None:
        return f"the other one is refused: {other.problem.message}"
    if outcome.body != other.body:
        return ""
    words = {*way(variation.value, variation.path), *inside(get(variation.value, variation.path))}
    names = {name.rpartition(".")[2] for name in outcome.dropped}
    names |= {OTHER_WORDS[name] for name in names if name in OTHER_WORDS}
    return "" if names & words else "lost in silence"


def crossing_fault(source: Source, reading: tuple[Variation, Reading, Reading], dialect: Dialect, to: Upstream) -> str:
    """What is wrong with what becomes of a field on one road."""
    variation, *requests = reading
    outcome, other = (written(source.dialect, request, dialect, to) for request in requests)
    return fault(variation, outcome, other)


def sentence(variation: Variation) -> str:
    """A field as `MEANINGLESS` describes it: its way and its value."""
    found = get(variation.value, variation.path)
    return f"{'/'.join(way(variation.value, variation.path))} = {json.dumps(found)}"


def reasons(variation: Variation) -> Iterator[str]:
    """The patterns of `MEANINGLESS` that a field falls under."""
    text = sentence(variation)
    return (pattern for pattern in MEANINGLESS if re.fullmatch(pattern, text))


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("openai", "messages/user/content/file/file/filename"),
        ("openai", "messages/assistant/tool_calls/custom/custom/input"),
        ("openai", "web_search_options/user_location/approximate/country"),
        ("openrouter", "messages/assistant/reasoning_details/reasoning.encrypted/data"),
        ("openrouter", "tools/function/cache_control/ttl"),
        ("responses", "input/function_call_output/output/input_file/file_url"),
        ("responses", "input/developer/additional_tools/tools/mcp/server_url"),
        ("responses", "prompt_cache_options/prewarm"),
    ],
)
def test_the_walk_goes_everywhere(name: str, place: str) -> None:
    """Fields that are known to be there, at the ends of long ways."""
    assert place in {"/".join(way(each.value, each.path)) for each in places(SOURCES[name])}


@pytest.mark.parametrize(("source", "dialect", "to"), ROADS.values(), ids=ROADS)
def test_a_field_is_carried_refused_or_declared(source: Source, dialect: Dialect, to: Upstream) -> None:
    """At every place, with each of its words."""
    faults = []
    for reading in readings(source):
        found = crossing_fault(source, reading, dialect, to)
        if found and not any(reasons(reading[0])):
            faults.append(f"{sentence(reading[0])}: {found}")
    assert faults == []


def test_what_means_nothing_is_lost_somewhere() -> None:
    """The table holds nothing that is carried, refused or declared everywhere, and no field that does not exist."""
    needed: set[str] = set()
    for source, dialect, to in ROADS.values():
        for reading in readings(source):
            found = set(reasons(reading[0])) - needed
            if found and crossing_fault(source, reading, dialect, to):
                needed |= found
    assert sorted(set(MEANINGLESS) - needed) == []


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_a_wrong_type_is_refused_at_its_place_or_treated_as_any_other_value(source: Source) -> None:
    """Nothing else is ever raised."""
    faults = []
    for place in places(source):
        for wrong in WRONG:
            if type(wrong) in place.kinds or (type(wrong) is int and float in place.kinds):
                continue
            found = wrong_fault(source, place, wrong)
            if found:
                faults.append(f"{sentence(place)} and {wrong!r}: {found}")
    assert faults == []


def wrong_fault(source: Source, place: Variation, wrong: Any) -> str:
    """What is wrong with what becomes of a wrong value at a place; empty where nothing is."""
    each = replace(place, value=put(place.value, place.path, wrong))
    request = read(source.dialect, each.value)
    if isinstance(request, Problem):
        right = read(source.dialect, place.value)
        is_refused_anyway = isinstance(right, Problem) and right.param == request.param
        return "" if is_refused_anyway or _leads(request, each) else f"{request.status} at {request.param!r}"
    if get(each.value, each.path) in ([], {}) or any(re.fullmatch(pattern, sentence(each)) for pattern in UNREAD):
        return ""
    reading = each, request, read(source.dialect, each.other)
    for dialect, (to, *_) in UPSTREAMS.items():
        if dialect is not source.dialect:
            found = crossing_fault(source, reading, dialect, to)
            if found and not any(reasons(each)):
                return f"{dialect}: {found}"
    return ""


def _leads(problem: Problem, each: Variation) -> bool:
    """Whether a refusal leads to a field: it names that, something in it, or what it stands in."""
    place, given = spelled(each.path), problem.param or ""
    return problem.status == 400 and bool(given) and (given.startswith(place) or place.startswith(given))
