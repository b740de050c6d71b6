"""How much a model is to think."""

from __future__ import annotations

import pytest

from tokenway.dialects.gemini.thinking import Config, generation, thinking_config
from tokenway.model.request import Thinking

OLD, FLASH, PRO, LITE = "gemini-2.0-flash", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-lite"
THIRD, THIRD_PRO, LATEST = "gemini-3-flash-preview", "gemini-3-pro-preview", "gemini-flash-latest"
SHOWN = {"includeThoughts": True}


@pytest.mark.parametrize(
    ("model", "expected"),
    [(OLD, (2, 0)), (PRO, (2, 5)), (THIRD, (3, 0)), ("gemini-3.1-pro", (3, 1)), (LATEST, None), ("gemma-3-27b", None)],
)
def test_generations(model: str, expected: tuple[int, int] | None) -> None:
    """The name tells the generation, or nothing."""
    assert generation(model) == expected


@pytest.mark.parametrize(
    ("thinking", "model", "limit", "members"),
    [
        (Thinking(effort="high"), FLASH, 1000, {"thinkingBudget": 800, **SHOWN}),
        (Thinking(effort="medium"), FLASH, None, {"thinkingBudget": 8192, **SHOWN}),
        (Thinking(effort="max"), FLASH, 65536, {"thinkingBudget": 24576, **SHOWN}),
        (Thinking(effort="minimal"), LITE, 100, {"thinkingBudget": 512, **SHOWN}),
        (Thinking(budget=10), PRO, None, {"thinkingBudget": 128, **SHOWN}),
        (Thinking(budget=-1), PRO, None, {"thinkingBudget": -1, **SHOWN}),
        (Thinking(enabled=True), LATEST, None, {"thinkingBudget": -1, **SHOWN}),
        (Thinking(effort="low", shown=False), FLASH, 1000, {"thinkingBudget": 200}),
        (Thinking(effort="none"), FLASH, 1000, {"thinkingBudget": 0}),
        (Thinking(shown=True), FLASH, None, SHOWN),
        (Thinking(effort="low"), THIRD, 1000, {"thinkingLevel": "LOW", **SHOWN}),
        (Thinking(effort="minimal"), THIRD, None, {"thinkingLevel": "MINIMAL", **SHOWN}),
        (Thinking(effort="minimal"), THIRD_PRO, None, {"thinkingLevel": "LOW", **SHOWN}),
        (Thinking(effort="medium"), THIRD_PRO, None, {"thinkingLevel": "HIGH", **SHOWN}),
        (Thinking(effort="medium"), "gemini-3.1-pro", None, {"thinkingLevel": "MEDIUM", **SHOWN}),
        (Thinking(effort="xhigh"), THIRD, None, {"thinkingLevel": "HIGH", **SHOWN}),
        (Thinking(budget=800), THIRD, 1000, {"thinkingLevel": "HIGH", **SHOWN}),
        (Thinking(budget=500), THIRD, 1000, {"thinkingLevel": "MEDIUM", **SHOWN}),
        (Thinking(budget=2000), THIRD, None, {"thinkingLevel": "MEDIUM", **SHOWN}),
        (Thinking(enabled=True), THIRD, None, SHOWN),
        (Thinking(summary="auto"), THIRD, None, SHOWN),
        (Thinking(shown=False), THIRD, None, {}),
    ],
)
def test_what_is_asked_for(thinking: Thinking, model: str, limit: int | None, members: dict[str, object]) -> None:
    """Each generation has its own word for it, within the model's bounds."""
    assert thinking_config(thinking, model, limit) == Config(members)


@pytest.mark.parametrize(
    ("thinking", "model", "members"),
    [
        (Thinking(effort="none"), PRO, {"thinkingBudget": 128}),
        (Thinking(enabled=False), THIRD, {"thinkingLevel": "MINIMAL"}),
        (Thinking(budget=0), THIRD_PRO, {"thinkingLevel": "LOW"}),
        (Thinking(effort="low"), OLD, {}),
        (Thinking(budget=500), "gemma-3-27b", {}),
    ],
)
def test_what_a_model_cannot_do_is_told(thinking: Thinking, model: str, members: dict[str, object]) -> None:
    """A model that always thinks gets the least it takes, one that never does gets nothing; both are not exact."""
    assert thinking_config(thinking, model, 1000) == Config(members, is_exact=False)


def test_silence_is_exact_for_a_model_that_does_not_think() -> None:
    """Nothing is lost where nothing was wanted."""
    assert thinking_config(Thinking(effort="none"), OLD, None) == Config({})
    assert thinking_config(Thinking(shown=False), OLD, None) == Config({})
