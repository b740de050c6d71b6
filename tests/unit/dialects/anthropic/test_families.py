"""The table of Anthropic's models."""

from __future__ import annotations

import pytest

from tokenway.dialects.anthropic.families import NEWEST, OTHER, Thinks, effort_for, family_of


@pytest.mark.parametrize(
    ("model", "thinks", "max_output"),
    [
        ("claude-3-haiku-20240307", Thinks.NEVER, 4096),
        ("claude-3-opus-latest", Thinks.NEVER, 4096),
        ("claude-3-5-sonnet-20241022", Thinks.NEVER, 8192),
        ("claude-3.5-haiku", Thinks.NEVER, 8192),
        ("claude-3-7-sonnet-20250219", Thinks.BUDGET, 64_000),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Thinks.BUDGET, 64_000),
        ("claude-opus-4-20250514", Thinks.BUDGET, 32_000),
        ("claude-opus-4-1", Thinks.BUDGET, 32_000),
        ("claude-sonnet-4-0", Thinks.BUDGET, 64_000),
        ("anthropic/claude-sonnet-4", Thinks.BUDGET, 64_000),
        ("claude-sonnet-4@20250514", Thinks.BUDGET, 64_000),
        ("claude-sonnet-4-5-20250929", Thinks.BUDGET, 64_000),
        ("claude-haiku-4-5", Thinks.BUDGET, 64_000),
        ("claude-opus-4-6", Thinks.BOTH, 128_000),
        ("anthropic/claude-sonnet-4.6", Thinks.BOTH, 64_000),
        ("claude-opus-4-7", Thinks.ADAPTIVE, 128_000),
        ("claude-opus-5", Thinks.ADAPTIVE, 128_000),
        ("kimi-k2", Thinks.BUDGET, 4096),
    ],
)
def test_a_name_finds_its_family(model: str, thinks: Thinks, max_output: int) -> None:
    """Prefixes, dots and dates in a name do not matter."""
    family = family_of(model)
    assert (family.thinks, family.max_output) == (thinks, max_output)


@pytest.mark.parametrize(
    ("model", "off"),
    [
        ("claude-opus-5", "disabled"),
        ("claude-sonnet-5", "disabled"),
        ("claude-haiku-5-5", "disabled"),
        ("claude-sonnet-5-5", "between_tools"),
        ("claude-opus-5-5", ""),
        ("claude-fable-5-1", ""),
        ("claude-mythos-preview", ""),
        ("claude-opus-4-8", "disabled"),
    ],
)
def test_how_thinking_is_turned_off(model: str, off: str) -> None:
    """Some of the newest cannot do without."""
    assert family_of(model).off == off


def test_an_unknown_claude_is_like_the_newest() -> None:
    """A model that comes out tomorrow is not asked for what the newest refuse."""
    assert family_of("claude-opus-9") is NEWEST
    assert family_of("gpt-5") is OTHER


@pytest.mark.parametrize(
    ("model", "asked", "level"),
    [
        ("claude-opus-4-6", "xhigh", "high"),
        ("claude-opus-4-6", "max", "max"),
        ("claude-opus-4-7", "xhigh", "xhigh"),
        ("claude-opus-4-7", "minimal", "low"),
        ("claude-opus-4-7", "low", "low"),
    ],
)
def test_an_effort_is_never_raised(model: str, asked: str, level: str) -> None:
    """The next lower level stands for one that the family does not have; the lowest for what is below all."""
    assert effort_for(family_of(model), asked) == level
