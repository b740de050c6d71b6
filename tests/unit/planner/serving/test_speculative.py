"""What drafts gain."""

from __future__ import annotations

import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.deployment import Draft
from tokenway.planner.serving.speculative import best_guesses, gain, tokens_per_step


def test_tokens_of_a_step() -> None:
    """Three guesses, each right four times in five: 1 + 0.8 + 0.64 + 0.512."""
    assert tokens_per_step(Draft(tokens=3, accepted=0.8)) == pytest.approx(2.952)


def test_it_melts_away_with_many_sequences() -> None:
    """The gain at one sequence is near the tokens of a step, and smaller with each doubling; at the end a loss."""
    gains = [gain(deployed(), load(n), Draft(tokens=3, accepted=0.7)) for n in (1, 16, 128, 512)]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > 0.85 * tokens_per_step(Draft(tokens=3, accepted=0.7))


def test_experts_gain_less() -> None:
    """Guesses touch further ones."""
    draft = Draft(tokens=3, accepted=0.7)
    assert gain(deployed("deepseek-r1"), load(4), draft) < gain(deployed("llama-3-70b"), load(4), draft)


def test_how_many_to_guess() -> None:
    """More where they are mostly right; none where they never are."""
    few = best_guesses(deployed(), load(1), Draft(accepted=0.4, cost=0.05))
    many = best_guesses(deployed(), load(1), Draft(accepted=0.9, cost=0.05))
    assert 0 < few < many
    assert best_guesses(deployed(), load(1), Draft(accepted=0.0, cost=0.05)) == 0
