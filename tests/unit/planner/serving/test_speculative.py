"""What drafts gain."""

from __future__ import annotations

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.deployment import Draft
from tokenway.planner.serving.speculative import best_guesses, gain


def test_it_melts_away_with_many_sequences() -> None:
    """The gain at one sequence is near the tokens of a step, and smaller with each doubling; at the end a loss."""
    gains = [gain(deployed(), load(n), Draft(tokens=3, accepted=0.7)) for n in (1, 16, 128, 512)]
    assert gains == sorted(gains, reverse=True)
    tokens = 1 + 0.7 + 0.7**2 + 0.7**3
    assert 0.85 * tokens < gains[0] < tokens


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
