"""What OpenAI's models differ in."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.base import Upstream
from tokenway.dialects.openai import effort_of, family_of, fitted
from tokenway.dialects.openai_chat.write import write_request
from tokenway.dialects.openai_responses.write import write
from tokenway.model.catalog import Quirks
from tokenway.model.request import NO_JSON, Message, Request, Role, Text, Thinking

BASE = Request("m", (Message(Role.USER, (Text("hi"),)),))


@pytest.mark.parametrize(
    ("thinking", "limit", "expected"),
    [
        (Thinking(effort="xhigh", budget=1), 10, "xhigh"),
        (Thinking(budget=80), 100, "high"),
        (Thinking(budget=50), 100, "medium"),
        (Thinking(budget=20), 100, "low"),
        (Thinking(budget=19), 100, "minimal"),
        (Thinking(budget=8192), None, "medium"),
        (Thinking(budget=0), 100, "none"),
        (Thinking(enabled=False), 100, "none"),
        (Thinking(budget=-1), 100, None),
        (Thinking(enabled=True), 100, None),
    ],
)
def test_an_effort_for_a_budget(thinking: Thinking, limit: int | None, expected: str | None) -> None:
    """By its share of the limit; nothing where it is left to the model."""
    assert effort_of(thinking, limit) == expected


@pytest.mark.parametrize(
    ("model", "efforts"),
    [
        ("gpt-4o-mini", ()),
        ("openai/gpt-4.1", ()),
        ("ft:gpt-4o-2024-08-06:acme::abc", ()),
        ("gpt-5-chat-latest", ()),
        ("gpt-5.1-chat-latest", ()),
        ("o1-mini", ()),
        ("o3", ("low", "medium", "high")),
        ("gpt-5", ("minimal", "low", "medium", "high")),
        ("gpt-5-mini-2025-08-07", ("minimal", "low", "medium", "high")),
        ("gpt-5-codex", ("low", "medium", "high")),
        ("gpt-5.1", ("none", "low", "medium", "high")),
        ("gpt-5.2", ("none", "low", "medium", "high", "xhigh")),
        ("GPT-5.6-luna", ("none", "low", "medium", "high", "xhigh", "max")),
    ],
)
def test_efforts_of_a_family(model: str, efforts: tuple[str, ...]) -> None:
    """By its name, whatever stands before it."""
    family = family_of(model)
    assert family is not None
    assert family.efforts == efforts


@pytest.mark.parametrize("model", ["gpt-oss-120b", "llama-3", "my-deployment", "deepseek-r1", "grok-4"])
def test_another_vendors_model_is_told_everything(model: str) -> None:
    """What it takes is for it to say."""
    request = msgspec.structs.replace(BASE, thinking=Thinking("minimal"), temperature=0.2, stop=("END",))
    assert fitted(request, model) == (request, ())


@pytest.mark.parametrize(
    ("model", "thinking", "expected", "dropped"),
    [
        ("gpt-5", Thinking("high", shown=True), Thinking("high", shown=True), ()),
        ("gpt-5", Thinking("max"), Thinking("high"), ()),
        ("gpt-5", Thinking("none"), Thinking("minimal"), ("effort",)),
        ("gpt-5.1", Thinking("none"), Thinking("none"), ()),
        ("gpt-5.1", Thinking("minimal"), Thinking("low"), ()),
        ("gpt-5.1", Thinking(budget=1024, enabled=True), Thinking("low"), ()),
        ("o3", Thinking(budget=0, shown=False), Thinking("low", shown=False), ("thinking",)),
        ("gpt-5-pro", Thinking("low"), Thinking("high"), ()),
        ("o3", Thinking(budget=-1, enabled=True), Thinking(budget=-1, enabled=True), ()),
        ("gpt-5.5", Thinking(budget=-1), Thinking(budget=-1), ()),
        ("gpt-5.2", Thinking(budget=-1), Thinking("medium", -1), ()),
        ("gpt-5.1", Thinking(enabled=True), Thinking("medium", enabled=True), ()),
        ("o3", Thinking("brand-new"), Thinking("brand-new"), ()),
        ("gpt-4o", Thinking("low", shown=True), None, ("effort",)),
        ("gpt-4o", Thinking(budget=-1, enabled=True), None, ("thinking",)),
        ("gpt-4o", Thinking("none", enabled=False), None, ()),
    ],
)
def test_an_effort_that_the_model_knows(
    model: str, thinking: Thinking, expected: Thinking | None, dropped: tuple[str, ...]
) -> None:
    """The nearest; what cannot be turned off, or on, is declared."""
    request = msgspec.structs.replace(BASE, thinking=thinking, max_tokens=32_000)
    found, told = fitted(request, model)
    assert (found.thinking, told) == (expected, dropped)


SAMPLING: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.5,
    "frequency_penalty": 1,
    "presence_penalty": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "stop": ("END",),
    "logit_bias": msgspec.Raw(b"{}"),
}


@pytest.mark.parametrize(
    ("model", "effort", "is_told"),
    [
        ("gpt-4o", None, True),
        ("o3", None, False),
        ("gpt-5", "low", False),
        ("gpt-5.1", None, True),
        ("gpt-5.1", "none", True),
        ("gpt-5.1", "low", False),
        ("gpt-5.6", None, False),
        ("gpt-5.6", "none", True),
    ],
)
def test_a_model_that_reasons_is_not_told_how_to_sample(model: str, effort: str | None, is_told: bool) -> None:
    """It refuses every such field; values that ask for nothing are left out and not declared."""
    thinking = None if effort is None else Thinking(effort)
    request = msgspec.structs.replace(BASE, thinking=thinking, seed=1, **SAMPLING)
    found, dropped = fitted(request, model)
    assert (found.temperature, found.stop) == ((0.2, ("END",)) if is_told else (None, ()))
    assert dropped == (() if is_told else tuple(SAMPLING))
    assert found.seed == 1
    idle = msgspec.structs.replace(BASE, temperature=1.0, top_p=1, frequency_penalty=0, logprobs=False, top_logprobs=0)
    assert fitted(idle, "o3") == (BASE, ())
    assert fitted(BASE, "o3")[0].logit_bias == NO_JSON


def test_both_apis_fit_a_request_to_its_model() -> None:
    """The chat API and the Responses API; OpenRouter does it itself."""
    request = msgspec.structs.replace(BASE, thinking=Thinking("minimal", summary="auto"), temperature=0.2)
    chat = write_request(request, Upstream("gpt-5.1"))
    assert json.loads(chat.body)["reasoning_effort"] == "low"
    assert chat.dropped == ("temperature", "summary")
    responses = write(request, Upstream("gpt-5.1"))
    assert json.loads(responses.body)["reasoning"] == {"effort": "low", "summary": "auto"}
    assert responses.dropped == ("temperature",)
    plain = write(request, Upstream("gpt-4o"))
    body = json.loads(plain.body)
    assert (body["temperature"], "reasoning" in body, "include" in body) == (0.2, False, False)
    assert plain.dropped == ("effort",)
    router = write_request(request, Upstream("openai/gpt-5.1", quirks=Quirks(reasoning_field="reasoning_details")))
    assert (json.loads(router.body)["temperature"], router.dropped) == (0.2, ())
