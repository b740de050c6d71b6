"""Whether two endpoints serve the same model, from their answers to the same prompts: intervals and a verdict.

An endpoint that is asked twice does not always answer the same, even at temperature 0: what it is batched with
changes the last bits. So each is asked at least twice, and what counts is how much further apart answers *between*
the two are than answers *within* each. Were the two the same, the answers to a prompt could change places; how often
chance then makes the distance as large as it is, is counted (a permutation test), which needs no assumption about
how the noise is distributed and raises a false alarm no more often than it says.

Being different is not being worse, nor is it being in fewer bits: another chip, engine or batch moves
log-probabilities a little too. With log-probabilities the verdict is "different" only where they drift further than
a margin; without, it rests on the answers, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.answers import Answer, Json, Prompt, apart, drift, is_right, is_same
from tokenway.planner.grade.intervals import (
    LEVEL,
    Array,
    Excess,
    Interval,
    chance_of_difference,
    excess,
    newcombe,
    wilson,
)

DRIFT_MARGIN: Final = 0.03
"""Nats. Other kernels on the same weights stay below, weights in four bits go above (docs/planner/grades.md)."""
ANSWER_MARGIN: Final = 0.15
"""Of an answer's length: without log-probabilities, answers of the same model may part so much earlier."""
FEWEST: Final = 10
"""Prompts below which nothing is said; log-probabilities of fewer than that do not decide."""
_ALARMS: Final = 2
"""Tests that can each raise the alarm; they share what is allowed."""

Word = Literal["same", "different", "cannot tell"]


class Asked(NamedTuple):
    """A prompt and what each endpoint answered, once a round."""

    prompt: Prompt
    a: tuple[Answer, ...]
    b: tuple[Answer, ...]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """All, those of A first."""
        return (*self.a, *self.b)


class Share(NamedTuple):
    """How many of the answers of some kind are right, at each, and how many more at B."""

    kind: str
    prompts: int
    a: Interval
    b: Interval
    more: Interval


class Comparison(NamedTuple):
    """All that was found. `agreement` is of answers of A with answers of B, `same_within` of each with itself."""

    prompts: int
    rounds: int
    failed: tuple[int, int]
    agreement: Interval
    same_within: tuple[float, float]
    answers: Excess | None
    drift: Excess | None
    tokens: int
    shares: Sequence[Share]
    rightness: float | None
    """How often equal endpoints would differ as much in how many answers are right."""


class Verdict(NamedTuple):
    """What the figures say, and why, in sentences."""

    word: Word
    reasons: tuple[str, ...]


def compare(asked: Sequence[Asked], tools: Mapping[str, Json], chance: np.random.Generator) -> Comparison:
    """Compares endpoint B with endpoint A. Raises PlanError where there is no prompt that both answered throughout."""
    whole = [each for each in asked if not any(answer.problem for answer in each.answers)]
    if not whole:
        problem = next((answer.problem for each in asked for answer in each.answers if answer.problem), "none was sent")
        raise PlanError(
            f"No prompt was answered by both endpoints in every round, so nothing can be compared: {problem}"
        )
    rounds = len(whole[0].a)
    drifts = [found for each in whole if (found := _distances(each.answers, _drift)) is not None]
    parted = [found for each in whole if (found := _distances(each.answers, apart)) is not None]
    agreed = [float(np.mean([is_same(one, other) for one in each.a for other in each.b])) for each in whole]
    return Comparison(
        prompts=len(whole),
        rounds=rounds,
        failed=(_failed(each.a for each in asked), _failed(each.b for each in asked)),
        agreement=wilson(float(np.mean(agreed)), len(whole)),
        same_within=(_alike(each.a for each in whole), _alike(each.b for each in whole)),
        answers=excess(np.stack(parted), chance) if rounds > 1 else None,
        drift=excess(np.stack(drifts), chance) if rounds > 1 and drifts else None,
        tokens=sum(common[1] for each in whole if (common := drift(each.a[0], each.b[0])) is not None),
        shares=_shares(whole, tools),
        rightness=_rightness(whole, tools, chance) if rounds > 1 else None,
    )


def _failed(sides: Iterable[tuple[Answer, ...]]) -> int:
    return sum(1 for answers in sides for answer in answers if answer.problem)


def _alike(sides: Iterable[tuple[Answer, ...]]) -> float:
    """The share of pairs of an endpoint's own answers that are the same."""
    pairs = [is_same(one, other) for answers in sides for n, one in enumerate(answers) for other in answers[:n]]
    return float(np.mean(pairs)) if pairs else 1.0


def _drift(one: Answer, other: Answer) -> float | None:
    found = drift(one, other)
    return None if found is None else found[0]


def _distances(answers: Sequence[Answer], distance: Callable[[Answer, Answer], float | None]) -> Array | None:
    """How far each is from each; None where one of these is not known."""
    found = np.zeros((len(answers), len(answers)))
    for row, one in enumerate(answers):
        for column, other in enumerate(answers[:row]):
            far = distance(one, other)
            if far is None:
                return None
            found[row, column] = found[column, row] = far
    return found


def _shares(asked: Sequence[Asked], tools: Mapping[str, Json]) -> list[Share]:
    """By kind of prompt; the intervals are those of so many prompts, however often each was asked."""
    found: dict[str, list[tuple[float, float]]] = {}
    for each in asked:
        right = [is_right(each.prompt, answer, tools) for answer in each.answers]
        if None not in right:
            of_a, of_b = np.array(right, np.float64).reshape(2, -1).mean(axis=1)
            found.setdefault(each.prompt.kind, []).append((float(of_a), float(of_b)))
    shares = []
    for kind, pairs in found.items():
        a, b = (wilson(float(np.mean(side)), len(pairs)) for side in zip(*pairs, strict=True))
        shares.append(Share(kind, len(pairs), a, b, newcombe(a, b)))
    return shares


def _rightness(asked: Sequence[Asked], tools: Mapping[str, Json], chance: np.random.Generator) -> float | None:
    rows = [[is_right(each.prompt, answer, tools) for answer in each.answers] for each in asked]
    known = [row for row in rows if None not in row]
    return chance_of_difference(np.array(known, dtype=np.float64), chance) if known else None


def judge(found: Comparison, margin: float = DRIFT_MARGIN) -> Verdict:
    """What follows from the figures. Log-probabilities decide where there are enough, otherwise the answers."""
    if found.answers is None:
        return Verdict(
            "cannot tell", ("Each endpoint was asked once, so how far it is apart from itself is not known.",)
        )
    if found.prompts < FEWEST:
        return Verdict("cannot tell", (f"Only {found.prompts} prompts were answered by both; {FEWEST} are needed.",))
    allowed = (1 - LEVEL) / _ALARMS
    by_tokens = found.drift is not None and found.drift.prompts >= FEWEST
    measure, bound = (found.drift, margin) if by_tokens and found.drift else (found.answers, ANSWER_MARGIN)
    reasons = [_told(measure, bound) if by_tokens else _guessed(measure, bound)]
    if found.rightness is not None and found.rightness <= allowed:
        reasons.insert(0, _unequal(found.shares, found.rightness))
        return Verdict("different", tuple(reasons))
    if measure.chance <= allowed and measure.more.low > bound:
        return Verdict("different", tuple(reasons))
    if measure.more.high < bound:
        return Verdict("same", tuple(reasons))
    reasons.append(
        "That is neither clearly below what other chips and engines cause nor above; more prompts would tell."
    )
    return Verdict("cannot tell", tuple(reasons))


def _told(measure: Excess, margin: float) -> str:
    return (
        f"Log-probabilities of the same tokens are {measure.more.value:.4f} nats further apart between the two than "
        f"within each ({LEVEL:.0%}: {measure.more.low:.4f} to {measure.more.high:.4f}; margin {margin:g}; "
        f"equal endpoints: p = {measure.chance:.2g})."
    )


def _guessed(measure: Excess, margin: float) -> str:
    return (
        f"Too few log-probabilities came, so the answers decide: they part {measure.more.value:.1%} of their length "
        f"earlier between the two than within each ({LEVEL:.0%}: {measure.more.low:.1%} to {measure.more.high:.1%}; "
        f"margin {margin:.0%}; equal endpoints: p = {measure.chance:.2g}). Another chip or engine can cause this too."
    )


def _unequal(shares: Sequence[Share], rightness: float) -> str:
    worst = max(shares, key=lambda share: abs(share.more.value))
    return (
        f"They differ in how many answers are right (equal endpoints: p = {rightness:.2g}), most for {worst.kind}: "
        f"{worst.a.value:.0%} at A, {worst.b.value:.0%} at B."
    )
