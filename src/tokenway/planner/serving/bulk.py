"""Predictions for rows of a file, in their order; a row that has no answer says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tokenway.planner.errors import PlanError
from tokenway.planner.serving.capacity import memory_of
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.deployment import Deployment, Load
from tokenway.planner.serving.points import asked
from tokenway.planner.serving.predict import predict_all

ADDED: Final = ("tpot_ms", "tpot_low", "tpot_high", "ttft_ms", "tokens_per_s_per_gpu", "reason")
"""Columns of an answer: milliseconds, and the band that holds four of five; output tokens of a GPU; or the reason."""

_GIGA: Final = 1e9


class Answers(NamedTuple):
    """Answers in the order of the rows, by the names of ADDED, and how many of them have numbers."""

    rows: list[dict[str, str]]
    answered: int


def answers(rows: Sequence[Mapping[str, str]]) -> Answers:
    """An answer for each row."""
    found: list[dict[str, str]] = [dict.fromkeys(ADDED, "") for _ in rows]
    told: list[tuple[int, Deployment, Load]] = []
    for number, row in enumerate(rows):
        try:
            told.append((number, *asked(row)))
        except PlanError as error:
            found[number]["reason"] = str(error)
    if not told:
        return Answers(found, 0)
    cases = cases_of([(deployment, load) for _, deployment, load in told])
    guess, memory = predict_all(cases), memory_of(cases)
    answered = 0
    for place, (number, deployment, _) in enumerate(told):
        if not guess.fits[place]:
            weights, sequence = memory.weights[place] / _GIGA, memory.sequence[place] / _GIGA
            found[number]["reason"] = (
                f"{deployment.shape.title} does not fit: a GPU would hold {weights:.0f} GB of weights and "
                f"{sequence:.2g} GB of a sequence, and has {(memory.free[place] / _GIGA + weights):.0f} GB for both."
            )
            continue
        answered += 1
        numbers = (
            *(1e3 * guess.tpot[place], 1e3 * guess.low[place], 1e3 * guess.high[place], 1e3 * guess.ttft[place]),
            guess.tokens_per_s_gpu[place],
        )
        found[number] |= {name: f"{value:.6g}" for name, value in zip(ADDED, numbers, strict=False)}
    return Answers(found, answered)
