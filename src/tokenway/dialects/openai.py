"""What OpenAI's models differ in, as a table: how they reason, and whether they can be told how to sample.

Requests that an OpenAI caller writes for its own API go through unchanged; the table serves requests from other
dialects, whose callers cannot know these differences. A model that is not in the table is another vendor's, and is
told everything. Sources: OpenAI's guides "Reasoning models" and "Using GPT-5" (parameter compatibility), its model
pages, and what its API says of a level that a model has not; OpenRouter's guide "Reasoning tokens" for the shares that
turn a budget into an effort.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, Final

import msgspec

from tokenway.model.request import NO_JSON, Request, Thinking

LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All efforts, in their order."""
_SHARES: Final = ((0.8, "high"), (0.5, "medium"), (0.2, "low"), (0.0, "minimal"))
"""Which effort a budget is, by its share of the answer's limit."""
_LIMIT: Final = 16384
"""The answer's limit that a budget is compared with where the caller set none."""

_UNSAID: Final = "medium"
"""The effort of reasoning that is asked for and not measured, by a model that does none unasked."""


class Samples(Enum):
    """When a family is told how to sample."""

    ALWAYS = "always"
    UNLESS_ASKED_TO_REASON = "unless asked to reason"
    """It does not reason by itself."""
    WITHOUT_REASONING = "without reasoning"
    """It reasons unless it is told not to."""


class Family(msgspec.Struct, frozen=True):
    """One row: the efforts that it knows, none where it does not reason."""

    efforts: tuple[str, ...] = ()
    samples: Samples = Samples.WITHOUT_REASONING


_THREE: Final = ("low", "medium", "high")
_ROWS: Final = (
    (r"gpt-[34]|chatgpt-|gpt-5(\.\d+)?-chat", Family((), Samples.ALWAYS)),
    (r"o1-(mini|preview)", Family()),
    (r"o\d", Family(_THREE)),
    (r"gpt-5-pro", Family(("high",))),
    (r"gpt-5-codex", Family(_THREE)),
    (r"gpt-5(?![.\d])", Family(("minimal", *_THREE))),
    (r"gpt-5\.\d+-pro", Family(("medium", "high", "xhigh"))),
    (r"gpt-5\.1-codex-max", Family((*_THREE, "xhigh"))),
    (r"gpt-5\.\d+-codex", Family(_THREE)),
    (r"gpt-5\.1", Family(("none", *_THREE), Samples.UNLESS_ASKED_TO_REASON)),
    (r"gpt-5\.[2-4]", Family(("none", *_THREE, "xhigh"), Samples.UNLESS_ASKED_TO_REASON)),
    (r"gpt-5\.5", Family(("none", *_THREE, "xhigh"))),
    (r"gpt-(5\.|[6-9])", Family(("none", *_THREE, "xhigh", "max"))),
)
_TABLE: Final = tuple((re.compile(pattern), family) for pattern, family in _ROWS)
_IDLE: Final[dict[str, tuple[Any, ...]]] = {
    "temperature": (None, 1),
    "top_p": (None, 1),
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "stop": ((),),
    "logit_bias": (NO_JSON,),
}
"""What a model that reasons refuses to be told, with the values that ask for nothing: the first is not saying it."""


def family_of(model: str) -> Family | None:
    """The row of a model, by its name upstream, fine-tuned or with a vendor's prefix; None for another vendor's."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    return next((family for pattern, family in _TABLE if pattern.match(name)), None)


def effort_of(thinking: Thinking, limit: int | None) -> str | None:
    """How much to reason, in OpenAI's words; None where it was not said, or left to the model."""
    if thinking.effort is not None:
        return thinking.effort
    if thinking.enabled is False or thinking.budget == 0:
        return "none"
    if thinking.budget is None or thinking.budget < 0:
        return None
    share = thinking.budget / (limit or _LIMIT)
    return next(effort for least, effort in _SHARES if share >= least)


def fitted(request: Request, model: str) -> tuple[Request, tuple[str, ...]]:
    """A request without what its model would refuse, and the names of what is left out."""
    family = family_of(model)
    if family is None:
        return request, ()
    dropped: list[str] = []
    changes: dict[str, Any] = {}
    effort: str | None = None
    if request.thinking is not None:
        changes["thinking"] = thinking = _thinking(request.thinking, request.max_tokens, family, dropped)
        effort = None if thinking is None else effort_of(thinking, request.max_tokens)
    if not _samples(family, effort):
        for name, idle in _IDLE.items():
            value = getattr(request, name)
            if value not in idle:
                dropped.append(name)
            changes[name] = idle[0]
    return msgspec.structs.replace(request, **changes), tuple(dropped)


def _samples(family: Family, effort: str | None) -> bool:
    match family.samples:
        case Samples.ALWAYS:
            return True
        case Samples.UNLESS_ASKED_TO_REASON:
            return effort in {None, "none"}
    return effort == "none"


def _thinking(wanted: Thinking, limit: int | None, family: Family, dropped: list[str]) -> Thinking | None:
    """How much to reason, in the efforts that the family knows; None where it does not reason."""
    effort = effort_of(wanted, limit)
    if not family.efforts:
        if effort not in {None, "none"} or wanted.enabled:
            dropped.append(wanted.declared)
        return None
    is_asked = wanted.enabled or wanted.budget == -1
    if effort is None and is_asked and family.samples is Samples.UNLESS_ASKED_TO_REASON:
        return msgspec.structs.replace(wanted, effort=_UNSAID)
    if effort is None or effort not in LEVELS or effort in family.efforts:
        return wanted
    if effort == "none":
        dropped.append(wanted.declared)
    at = LEVELS.index(effort)
    below = [level for level in family.efforts if LEVELS.index(level) < at and level != "none"]
    nearest = below[-1] if below else next(level for level in family.efforts if level != "none")
    return msgspec.structs.replace(wanted, effort=nearest, budget=None, enabled=None)
