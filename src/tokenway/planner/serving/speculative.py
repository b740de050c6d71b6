"""What a draft gains: tokens of a step, and how much faster a user is served with it than without.

Guesses go through the step as further tokens: while memory bounds it they cost little, and the gain is near the tokens
per step (arXiv 2211.17192, §3); with many sequences, or experts of which guesses touch further ones, it melts away.
"""

from __future__ import annotations

import msgspec

from tokenway.planner.serving.deployment import Deployment, Draft, Load
from tokenway.planner.serving.predict import predict


def gain(deployment: Deployment, load: Load, draft: Draft) -> float:
    """Tokens/s of a user with the draft, as a multiple of without."""
    plain = msgspec.structs.replace(deployment, draft=None)
    drafted = msgspec.structs.replace(deployment, draft=draft)
    return predict(plain, load).tpot / predict(drafted, load).tpot


def best_guesses(deployment: Deployment, load: Load, draft: Draft, most: int = 8) -> int:
    """How many tokens to guess per step; 0 where every number of them slows users down."""
    gains = {0: 1.0}
    for tokens in range(1, most + 1):
        gains[tokens] = gain(deployment, load, msgspec.structs.replace(draft, tokens=tokens))
    return max(gains, key=lambda tokens: gains[tokens])
