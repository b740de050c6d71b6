"""No field of a request of Anthropic's, Google's or Amazon's is lost in silence on its way to another dialect.

The fields are those of the vendors' own types (`callers`). A request with a field is compared with the same request
without it: it must become another one, or be refused at the field's place, or name the field as dropped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

import msgspec
import pytest

from tests.property.callers import CALLERS, mistakes, places
from tests.property.crossing import neutral
from tests.property.places import Place
from tokenway.dialects.base import Upstream
from tokenway.dialects.gemini.names import camel
from tokenway.dialects.registry import FORMATS
from tokenway.edge.crossing import spelled
from tokenway.edge.mistakes import MISTAKES
from tokenway.model.catalog import Capabilities, Dialect
from tokenway.model.errors import Problem, Refusal
from tokenway.model.request import Request

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect

MODELS: Final[dict[Dialect, tuple[str, ...]]] = {
    CHAT: ("gpt-5.2", "another-model"),
    RESPONSES: ("gpt-5.2", "another-model"),
    ANTHROPIC: ("claude-sonnet-4-5", "claude-opus-4-8"),
    GEMINI: ("gemini-2.5-flash", "gemini-3-pro-preview"),
    BEDROCK: ("anthropic.claude-sonnet-4-5-20250929-v1:0", "meta.llama3-1-70b-instruct-v1:0"),
}
"""Models of each dialect that are asked in different words."""


def targets_of(caller: Dialect) -> tuple[Dialect, ...]:
    """The other dialects."""
    return tuple(target for target in Dialect if target is not caller)


PAIRS: Final = [(caller, target) for caller in CALLERS for target in targets_of(caller)]
WRONG: Final[tuple[Any, ...]] = (True, 7, "wrong", [], ["wrong"], {}, {"wrong": 7})
"""One value of each type; for every field some of them are wrong."""
OF_OPENAI: Final = ("include", "moderation", "prediction", "safety_identifier", "truncation", "web_search_options")
"""Names of OpenAI's, as another vendor may have them one day."""


class Silent(msgspec.Struct, frozen=True):
    """A field that says nothing to a model, and why. `value` is the one that does not, if others do.

    `targets` are the dialects where it is so; none are all.
    """

    place: str
    why: str
    value: Any = msgspec.UNSET
    targets: tuple[Dialect, ...] = ()

    def explains(self, place: Place, target: Dialect) -> bool:
        """Whether it is about this field."""
        fits = fnmatchcase(place.id, self.place) and (not self.targets or target in self.targets)
        return fits and (self.value is msgspec.UNSET or self.value == place.value)


SILENT: Final[dict[Dialect, tuple[Silent, ...]]] = {
    ANTHROPIC: (
        Silent("*cache_control=ephemeral.ttl", "five minutes are what is meant without it", "5m"),
        Silent("*=tool_use.caller=direct", "the model calls a tool itself, unless another says so"),
        Silent("service_tier", "the default", "auto"),
        Silent("thinking=*.display", "who asks for reasoning elsewhere is shown it", "summarized"),
        Silent("thinking=*.display", "it is not shown unless it is asked for", "omitted", (RESPONSES,)),
        Silent("thinking=adaptive", "as the model likes: what it does unasked", targets=(CHAT, RESPONSES)),
        Silent("thinking=disabled", "what the model does unasked", targets=(BEDROCK,)),
        Silent("tools.type", "the default", "custom"),
    ),
    GEMINI: (
        Silent("contents.role", "the default", "user"),
        Silent("systemInstruction.role", "there is only one"),
        Silent("*.fileData.mimeType", "an address tells its own", targets=(CHAT, RESPONSES, ANTHROPIC)),
        Silent("*.functionResponse.id", "the call is found by its function's name as well"),
        Silent("generationConfig.responseMimeType", "the default", "text/plain"),
        Silent("generationConfig.responseModalities", "the default", ["TEXT"]),
        Silent("generationConfig.thinkingConfig.includeThoughts", "others show what they thought", True, (CHAT,)),
    ),
    BEDROCK: (
        Silent("*cachePoint=default.ttl", "five minutes are what is meant without it", "5m"),
        Silent("*.toolResult.status", "the default", "success"),
        Silent("*.document.format", "text is text", "txt", (CHAT,)),
        Silent("*.document.format", "text is text", "md", (CHAT,)),
        Silent("*.jsonSchema.name", "only OpenAI has names for schemas", targets=(ANTHROPIC, GEMINI)),
    ),
}
"""By the callers' dialects, what need neither be said nor declared."""
UNTOLD: Final[dict[Dialect, tuple[str, ...]]] = {
    ANTHROPIC: (
        "messages=user.content=tool_use*",
        "messages=user.content=*thinking*",
        "messages=assistant.content=tool_result*",
        "*.source=file*",
    ),
    GEMINI: ("systemInstruction.parts.function*",),
    BEDROCK: ("*.s3Location*",),
}
"""What no other dialect can be told: blocks in turns of a wrong role, which the types allow, and a vendor's files."""
NOTHING: Final[tuple[Any, ...]] = (False, {}, [])
"""Values that ask for nothing in every field, as do Google's words for what is not specified."""
INSIDE: Final = {
    "messages.thinking": ("redacted_thinking",),
    "thoughtSignature": ("thought",),
    "stop_sequences": ("stopSequences",),
    "responseMimeType": ("responseSchema", "responseJsonSchema"),
}
"""Names of what was dropped that have another field's name: both stand in the same place."""


class Outcome(msgspec.Struct, frozen=True):
    """What becomes of a request: a body and the names of what it lacks, or a refusal, or a mistake of ours."""

    body: bytes = b""
    dropped: tuple[str, ...] = ()
    problem: Problem | None = None
    mistake: str = ""


def read(caller: Dialect, body: dict[str, Any]) -> Request | Outcome:
    """A caller's request in the neutral form, which is the same on its way to every model; or why there is none."""
    try:
        return neutral(caller, body)
    except Refusal as refusal:
        return Outcome(problem=refusal.problem)
    except MISTAKES as error:
        return Outcome(mistake=repr(error))


def written(caller: Dialect, request: Request | Outcome, target: Dialect, model: str) -> Outcome:
    """What a model gets of it."""
    if isinstance(request, Outcome):
        return request
    try:
        found = FORMATS[target].write_request(request, Upstream(model, Capabilities(vision=True)))
    except Refusal as refusal:
        return Outcome(problem=refusal.problem)
    except MISTAKES as error:
        return Outcome(mistake=repr(error))
    return Outcome(found.body, tuple(spelled(found.dropped, FORMATS[caller]).split(",")))


def outcome(caller: Dialect, body: dict[str, Any], target: Dialect, model: str) -> Outcome:
    """A caller's request on its way to a model."""
    return written(caller, read(caller, body), target, model)


Faults = dict[str, list[str]]
"""What is wrong, by the field's place."""


@cache
def lost_of(caller: Dialect) -> dict[Dialect, Faults]:
    """What is lost of a caller's fields, by the dialect where it should have come. Each request is read once."""
    lost: dict[Dialect, Faults] = {target: defaultdict(list) for target in targets_of(caller)}
    for place in places(caller):
        if asks_nothing(place.value):
            continue
        request, without = (read(caller, CALLERS[caller].framed(each, place)) for each in (place.told, place.other))
        for target, faults in lost.items():
            if any(each.explains(place, target) for each in SILENT[caller]):
                continue
            for model in MODELS[target]:
                told, other = written(caller, request, target, model), written(caller, without, target, model)
                if told.mistake:
                    faults[place.id].append(told.mistake)
                elif told.problem is not None and told.problem != other.problem and not is_at(told.problem, place):
                    faults[place.id].append(f"refused at {told.problem.param}: {told.problem.message}")
                elif told.problem is None and told.body == other.body and not is_declared(told.dropped, place):
                    faults[place.id].append(f"{place.value!r} for {model}; declared: {told.dropped}")
    return lost


@cache
def mistaken_of(caller: Dialect) -> dict[Dialect, Faults]:
    """What is wrong with what becomes of values of a wrong type, as `lost_of`."""
    found: dict[Dialect, Faults] = {target: defaultdict(list) for target in targets_of(caller)}
    usual = {}
    for place in places(caller):
        request = read(caller, CALLERS[caller].framed(place.told, place))
        for target in found:
            usual[target, place.id] = written(caller, request, target, MODELS[target][0]).problem
    for place in mistakes(caller, WRONG):
        request = read(caller, CALLERS[caller].framed(place.told, place))
        for target, faults in found.items():
            told = written(caller, request, target, MODELS[target][0])
            problem = told.problem
            if told.mistake:
                faults[place.id].append(f"{place.value!r}: {told.mistake}")
            elif problem is not None and problem != usual.get((target, place.id)) and not is_at(problem, place):
                faults[place.id].append(f"{place.value!r} refused at {problem.param}: {problem.message}")
    return found


def is_at(problem: Problem, place: Place) -> bool:
    """Whether it is refused there, or at what is around it or in it."""
    steps = re.sub(r"\[\d+\]", "", problem.param or "").split(".")
    return problem.status == 400 and all(step == field for step, field in zip(steps, place.fields, strict=False))


def is_declared(dropped: Sequence[str], place: Place) -> bool:
    """Whether the field, or what it stands in, or what stands in it, is named."""
    words = {name.lstrip("=") for name in place.names}
    if place.fields[-1] == "type" or isinstance(place.value, dict):
        words |= {place.value} if isinstance(place.value, str) else place.value.keys()
    return any(name.rpartition(".")[2] in words or not words.isdisjoint(INSIDE.get(name, ())) for name in dropped)


def asks_nothing(value: Any) -> bool:
    """Whether a value is the same as none."""
    return any(value is each or value == each != 0 for each in NOTHING) or (
        isinstance(value, str) and value.upper().endswith("UNSPECIFIED")
    )


@pytest.mark.parametrize(("caller", "target"), PAIRS)
def test_no_field_is_lost_in_silence(caller: Dialect, target: Dialect) -> None:
    """It is said, or refused where it stands, or declared."""
    assert not dict(lost_of(caller)[target])


@pytest.mark.parametrize(("caller", "target"), PAIRS)
def test_a_value_of_a_wrong_type_is_refused_where_it_stands(caller: Dialect, target: Dialect) -> None:
    """Or goes on, or is declared: never a mistake of ours."""
    assert not dict(mistaken_of(caller)[target])


@pytest.mark.parametrize("caller", CALLERS)
def test_what_no_dialect_can_be_told_is_known(caller: Dialect) -> None:
    """A field is not refused everywhere, unless it is known to be: so the laws above are about something."""
    refused = set()
    for place in places(caller):
        body = CALLERS[caller].framed(place.told, place)
        request = read(caller, body)
        if all(written(caller, request, to, MODELS[to][0]).problem is not None for to in targets_of(caller)):
            refused.add(place.id)
    assert {name for name in refused if not any(fnmatchcase(name, each) for each in UNTOLD[caller])} == set()


@pytest.mark.parametrize(("caller", "row"), [(caller, row) for caller in CALLERS for row in SILENT[caller]])
def test_every_exception_is_one(caller: Dialect, row: Silent) -> None:
    """A row stands for fields that exist."""
    targets = row.targets or targets_of(caller)
    assert any(row.explains(place, targets[0]) for place in places(caller))


@pytest.mark.parametrize("name", OF_OPENAI)
@pytest.mark.parametrize(("caller", "target"), PAIRS)
def test_a_name_of_openais_is_not_openais_field(caller: Dialect, target: Dialect, name: str) -> None:
    """What another vendor calls so is another thing, wherever it stands: it is declared, and goes to nobody."""
    place = next(each for each in places(caller) if each.fields[0] == CALLERS[caller].turns)
    body, without = (CALLERS[caller].framed({**place.told, **more}, place) for more in ({name: 7}, {}))
    told, other = (outcome(caller, each, target, MODELS[target][0]) for each in (body, without))
    assert (told.body, told.problem, told.mistake) == (other.body, None, "")
    assert (camel(name) if caller is GEMINI else name) in told.dropped
