"""What Converse has no field for and its models take in `additionalModelRequestFields`: reasoning and `top_k`.

Each vendor has its own words for them; the vendor is told by the model's id (`us.anthropic.claude-…`). An ARN of a
profile of one's own does not tell, so nothing is said then and the fields are declared as dropped.

    Claude 3.7 to 4.5       thinking {type: enabled, budget_tokens}
    Claude 4.6 and later    thinking {type: adaptive}, output_config {effort}; a budget becomes an effort from 4.7 on;
                            from 5 on it reasons unasked, and none is thinking {type: disabled}, where it can be
    Nova 2                  reasoningConfig {type: enabled, maxReasoningEffort}
    Qwen                    reasoning_config: low, medium, high
    gpt-oss                 reasoning_effort: low, medium, high; it cannot be kept from reasoning
    Claude                  top_k
    Nova                    inferenceConfig {topK}

Source: Amazon Bedrock user guide (*Claude Messages API*, *Extended thinking*, *Adaptive thinking*, *Amazon Nova request
schema*, *OpenAI models*).
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.families import OTHER, family_of
from tokenway.dialects.walk import Node
from tokenway.model.request import KINDS_OF_SUMMARY, Request, Thinking
from tokenway.model.request import ToolMode as Mode

CLAUDE: Final = "anthropic"
NOVA: Final = "amazon"
VENDORS: Final = frozenset(
    {
        *(CLAUDE, NOVA, "ai21", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral", "moonshot"),
        *("moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai"),
    }
)
"""The first word of a model's id, behind its region if it has one."""

RATIOS: Final[dict[str, float]] = {
    "max": 0.95,
    "xhigh": 0.95,
    "high": 0.8,
    "medium": 0.5,
    "low": 0.2,
    "minimal": 0.1,
}
"""The share of the answer's limit that an effort spends on reasoning: OpenRouter's."""

_LEAST_BUDGET: Final = 1024
_USUAL_LIMIT: Final = 8192
"""The limit that a share is taken of where nobody gives one."""
_CLAUDE_NAME: Final = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_CLAUDE_OLD: Final = re.compile(r"claude-(?:v\d|instant)")
_NEWEST: Final = (99, 0)
_THINKS: Final = (3, 7)
_ADAPTS: Final = (4, 6)
_ONLY_ADAPTS: Final = (4, 7)
_THREE: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def vendor_of(model: str) -> str:
    """Whose model it is, one of VENDORS; empty where its id does not tell."""
    name = model.rpartition("/")[2]
    if "claude" in name:
        return CLAUDE
    return next((word for word in name.split(".")[:2] if word in VENDORS), "")


def claude_version(model: str) -> tuple[int, int]:
    """The version of a Claude: `claude-sonnet-4-5-20250929` is (4, 5). One that is not told is the newest."""
    found = _CLAUDE_NAME.search(model)
    if found is None:
        return (2, 0) if _CLAUDE_OLD.search(model) else _NEWEST
    return int(found[1]), int(found[2] or 0)


class Extras(msgspec.Struct):
    """What goes into `additionalModelRequestFields`, and the names of what could not be said."""

    fields: dict[str, Any]
    dropped: list[str]
    is_thinking: bool = False
    """Whether Claude was told to reason: then it takes no other temperature than its own."""


def extras(request: Request, vendor: str, limit: int | None, *, may_think: bool) -> Extras:
    """The vendor's own fields for a request.

    `limit` is the most tokens of an answer, if it is known. `may_think` is whether the turns so far allow reasoning
    with a budget: Claude wants a turn that called tools to begin with what it thought.
    """
    out = Extras({}, [])
    thinking = request.thinking
    if thinking is not None and thinking.summary in KINDS_OF_SUMMARY:
        out.dropped.append("summary")
    family = family_of(request.model) if vendor == CLAUDE else OTHER
    if thinking is not None and (_wants(thinking) or (thinking.shown and family.thinks_unasked)):
        said = _reasoning(thinking, request, vendor, limit, may_think=may_think)
        if said is None:
            out.dropped.append(thinking.declared)
        else:
            out.fields.update(said)
            out.is_thinking = vendor == CLAUDE
            if thinking.shown is False and "display" not in said.get("thinking", {}):
                out.dropped.append("shown")
    elif thinking is not None and thinking.shown and not _is_off(thinking):
        out.dropped.append("shown")
    is_off = thinking is not None and _is_off(thinking)
    may_not = is_off or (bool(request.tools) and _is_forced(request))
    if family.thinks_unasked and family.off and may_not and not out.is_thinking:
        out.fields["thinking"] = {"type": family.off}
    elif thinking is not None and is_off and (family.thinks_unasked or vendor == "openai"):
        out.dropped.append(thinking.declared)
    if request.top_k is not None:
        if vendor == CLAUDE and family.samples and not out.is_thinking:
            out.fields["top_k"] = request.top_k
        elif vendor == NOVA:
            out.fields["inferenceConfig"] = {"topK": request.top_k}
        else:
            out.dropped.append("top_k")
    return out


def _is_forced(request: Request) -> bool:
    """Whether a tool has to be called."""
    return request.tool_choice is not None and request.tool_choice.mode in {Mode.REQUIRED, Mode.NAMED}


def _is_off(thinking: Thinking) -> bool:
    """Whether the caller wants no reasoning."""
    return thinking.enabled is False or thinking.effort == "none" or thinking.budget == 0


def _wants(thinking: Thinking) -> bool:
    """Whether the caller asks for reasoning; without being asked, most models do none."""
    if _is_off(thinking):
        return False
    return thinking.enabled is True or thinking.effort is not None or thinking.budget is not None


def _reasoning(
    thinking: Thinking, request: Request, vendor: str, limit: int | None, *, may_think: bool
) -> dict[str, Any] | None:
    """The fields that ask for reasoning; None where the model, or the rest of the request, does not allow it."""
    if vendor == CLAUDE:
        if _is_forced(request):
            return None  # Claude reasons only where it may choose
        return _claude(thinking, request.model, limit, may_think=may_think)
    effort = _THREE.get(_effort(thinking, limit) or "medium", "medium")
    if vendor == NOVA and "nova-2" in request.model:
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    if vendor == "qwen":
        return {"reasoning_config": effort}
    if vendor == "openai":
        return {"reasoning_effort": effort}
    return None


def _claude(thinking: Thinking, model: str, limit: int | None, *, may_think: bool) -> dict[str, Any] | None:
    version = claude_version(model)
    if version < _THINKS:
        return None
    budget = thinking.budget if thinking.budget is not None and thinking.budget > 0 else None
    if version >= _ONLY_ADAPTS or (version >= _ADAPTS and budget is None):
        shape: dict[str, Any] = {"thinking": {"type": "adaptive"}}
        if thinking.shown is False:
            shape["thinking"]["display"] = "omitted"
        elif thinking.shown or version >= _ONLY_ADAPTS:  # which show nothing unless they are told to
            shape["thinking"]["display"] = "summarized"
        effort = _effort(thinking, limit)
        if effort is not None:
            effort = "low" if effort == "minimal" else effort
            shape["output_config"] = {"effort": "high" if effort == "xhigh" and version < _ONLY_ADAPTS else effort}
        return shape
    if budget is None:
        budget = int((limit or _USUAL_LIMIT) * RATIOS.get(thinking.effort or "medium", RATIOS["medium"]))
    budget = max(_LEAST_BUDGET, budget)
    if limit is not None:
        budget = min(budget, limit - 1)
    if budget < _LEAST_BUDGET or not may_think:
        return None
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _effort(thinking: Thinking, limit: int | None) -> str | None:
    """The effort that was asked for, or that a budget amounts to; None where neither was said."""
    if thinking.effort is not None:
        return thinking.effort
    if thinking.budget is None or thinking.budget < 0 or limit is None:
        return None
    share = thinking.budget / limit
    return next((effort for effort in ("high", "medium") if share >= RATIOS[effort]), "low")


# -- reading -------------------------------------------------------------------------------------------------


class ReadExtras(msgspec.Struct):
    """What a caller's `additionalModelRequestFields` say in neutral words, and the members that are left."""

    thinking: Thinking | None = None
    top_k: int | None = None
    rest: dict[str, Any] = {}


def read_extras(node: Node) -> ReadExtras:
    """Reads a caller's `additionalModelRequestFields`; raises Refusal (400) for a wrong type."""
    out = ReadExtras(rest={})
    said: dict[str, Any] = {}
    for name, member in node.members():
        if name == "top_k":
            out.top_k = member.whole(least=0)
        elif name == "thinking":
            said |= _read_thinking(member)
            others = {key: each.value for key, each in member.members() if key not in _THINKING}
            if others:
                out.rest[name] = others
        elif name == "output_config" and member.is_object and set(member.value) == {"effort"}:
            said["effort"] = member.need("effort").text()
        elif name in {"reasoning_effort", "reasoning_config"} and member.is_text:
            said["effort"] = member.text()
        else:
            out.rest[name] = member.value
    if said:
        out.thinking = Thinking(**said)
    return out


_SWITCH: Final = {"enabled": True, "adaptive": True, "disabled": False}
_THINKING: Final = frozenset({"type", "budget_tokens", "display"})
_DISPLAYS: Final = {"summarized": True, "omitted": False}


def _read_thinking(node: Node) -> dict[str, Any]:
    said: dict[str, Any] = {"enabled": node.need("type").one_of(_SWITCH)}
    budget = node.at("budget_tokens")
    if budget is not None:
        said["budget"] = budget.whole(least=0)
    display = node.at("display")
    if display is not None:
        said["shown"] = display.one_of(_DISPLAYS)
    return said
