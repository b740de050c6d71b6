"""Verdicts about simulated endpoints: equal, noisy, or quietly switched ones, and too little to tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.agreement import FEWEST, Asked, Comparison, compare, judge
from tokenway.planner.grade.answers import Answer, Call, Prompt, Token
from tokenway.planner.grade.prompts import shipped_prompts

SHIPPED = shipped_prompts()
LENGTH = 24
Chance = np.random.Generator


class Behaviour(NamedTuple):
    """How an endpoint answers.

    `drift` moves the log-probabilities of every token of a prompt for good, `noise` those of one answer; `parts` is
    how often an answer leaves its usual words, `switched` how often these are others for good.
    """

    drift: float = 0.0
    noise: float = 0.01
    parts: float = 0.1
    switched: float = 0.0
    right: float = 0.8
    logprobs: bool = True


class Simulated:
    """Sixty prompts of a model, and endpoints that serve it."""

    def __init__(self, seed: int, prompts: int = 60) -> None:
        self.chance = np.random.default_rng(seed)
        self.prompts = SHIPPED.prompts[:prompts]
        self._usual = -self.chance.gamma(0.5, 0.6, (prompts, LENGTH))
        self._skill = self.chance.random(prompts)

    def endpoint(self, how: Behaviour, rounds: int = 2) -> list[tuple[Answer, ...]]:
        """Its answers, prompt by prompt."""
        moved = self._usual + how.drift * self.chance.standard_normal(self._usual.shape)
        others = self.chance.random(len(self.prompts)) < how.switched
        return [
            tuple(self._answer(number, how, moved[number], is_other=bool(others[number])) for _ in range(rounds))
            for number in range(len(self.prompts))
        ]

    def _answer(
        self, number: int, how: Behaviour, logs: np.ndarray[tuple[int], np.dtype[np.float64]], *, is_other: bool
    ) -> Answer:
        words = [f"{'other' if is_other and place > 3 else 'word'}{place}" for place in range(LENGTH)]
        if self.chance.random() < how.parts:
            at = int(self.chance.integers(1, LENGTH))
            words[at:] = [f"else{self.chance.integers(3)}"] * (LENGTH - at)
        seen = logs + how.noise * self.chance.standard_normal(LENGTH)
        tokens = tuple(Token(f" {word}", float(log)) for word, log in zip(words, seen, strict=True))
        prompt = self.prompts[number]
        is_right = self._skill[number] < how.right
        if prompt.kind == "tools":
            arguments = '{"city": "Paris", "unit": "celsius"}' if is_right else '{"city": '
            name = prompt.tools[0] if is_right else "get_weather"
            return Answer(text=" ".join(words), calls=(Call(name, arguments),), tokens=tokens if how.logprobs else None)
        return Answer(text=" ".join(words), tokens=tokens if how.logprobs else None)

    def compared(self, a: Behaviour, b: Behaviour, rounds: int = 2) -> Comparison:
        """What a comparison of two finds."""
        sides = zip(self.prompts, self.endpoint(a, rounds), self.endpoint(b, rounds), strict=True)
        return compare([Asked(*each) for each in sides], SHIPPED.tools, self.chance)


EQUAL = Behaviour()


def test_equal_endpoints_are_the_same() -> None:
    """With intervals that say how sure that is."""
    found = Simulated(1).compared(EQUAL, EQUAL)
    verdict = judge(found)
    assert verdict.word == "same"
    assert found.drift is not None
    assert found.drift.prompts == 60
    assert found.agreement.low < found.agreement.value < found.agreement.high


@pytest.mark.parametrize(
    "how",
    [
        EQUAL,
        Behaviour(noise=0.1, parts=0.6),
        Behaviour(noise=0.0, parts=0.0),
        Behaviour(logprobs=False),
        Behaviour(logprobs=False, parts=0.7),
    ],
    ids=["usual", "noisy", "exact", "no logprobs", "noisy without"],
)
def test_equal_endpoints_raise_no_alarm(how: Behaviour) -> None:
    """At most 3 of 40 comparisons, whatever the noise, where one in twenty would be allowed."""
    alarms = sum(judge(Simulated(seed).compared(how, how)).word == "different" for seed in range(40))
    assert alarms <= 3


def test_without_any_margin_alarms_are_as_rare_as_said() -> None:
    """The tests behind the verdict keep to their level by themselves: 5 % of 200 comparisons, give or take."""
    chances = []
    for seed in range(200):
        found = Simulated(1000 + seed, 30).compared(EQUAL, EQUAL)
        assert found.drift is not None
        chances.append(found.drift.chance)
    assert sum(chance <= 0.05 for chance in chances) <= 18
    assert 0.4 < float(np.mean(chances)) < 0.6


@pytest.mark.parametrize("drift", [0.1, 0.3])
def test_a_quiet_switch_to_four_bits_is_seen(drift: float) -> None:
    """A drift as measured between the embedded model and its four-bit files, and a third of it: in 20 of 20."""
    words = {judge(Simulated(seed).compared(EQUAL, Behaviour(drift=drift))).word for seed in range(20)}
    assert words == {"different"}


def test_another_chip_is_no_alarm() -> None:
    """A drift of 0.014 nats, as other kernels make it, is told from chance (p) and still below the margin."""
    found = Simulated(5).compared(EQUAL, Behaviour(drift=0.014))
    assert found.drift is not None
    assert found.drift.chance < 0.01
    assert judge(found).word == "same"
    assert judge(found, margin=0.001).word == "different"


def test_near_the_margin_it_cannot_tell() -> None:
    """And says that more prompts would."""
    simulated = Simulated(6, 12)
    found = simulated.compared(EQUAL, Behaviour(drift=0.052))
    verdict = judge(found)
    assert verdict.word == "cannot tell"
    assert "more prompts would tell" in verdict.reasons[-1]


def test_without_log_probabilities_the_answers_decide_and_it_says_so() -> None:
    """Other words in half of the answers, for good."""
    found = Simulated(7).compared(Behaviour(logprobs=False), Behaviour(logprobs=False, switched=0.5))
    verdict = judge(found)
    assert found.drift is None
    assert verdict.word == "different"
    assert "Too few log-probabilities" in verdict.reasons[0]
    assert "Another chip or engine" in verdict.reasons[0]


def test_log_probabilities_of_one_side_only_do_not_count() -> None:
    """The other gives none."""
    found = Simulated(8).compared(EQUAL, Behaviour(logprobs=False))
    assert found.drift is None
    assert judge(found).word in {"same", "cannot tell"}


def test_worse_calls_of_tools_are_an_alarm_by_themselves() -> None:
    """Half as many that have the form asked for, with log-probabilities as before."""
    simulated = Simulated(9)
    simulated.prompts = tuple(p for p in SHIPPED.prompts if p.kind == "tools") * 10
    simulated._skill = simulated.chance.random(60)
    found = simulated.compared(Behaviour(right=1.0), Behaviour(right=0.3))
    verdict = judge(found)
    assert verdict.word == "different"
    assert "most for tools" in verdict.reasons[0]
    (share,) = found.shares
    assert share.more.high < 0


def test_asked_once_nothing_is_told() -> None:
    """Because an endpoint's distance from itself is not known."""
    found = Simulated(10).compared(EQUAL, Behaviour(drift=1.0), rounds=1)
    assert judge(found).word == "cannot tell"
    assert "asked once" in judge(found).reasons[0]


def test_too_few_prompts_tell_nothing() -> None:
    """However different their answers are."""
    verdict = judge(Simulated(11, FEWEST - 1).compared(EQUAL, Behaviour(drift=1.0)))
    assert verdict.word == "cannot tell"
    assert f"Only {FEWEST - 1} prompts" in verdict.reasons[0]


def test_failures_are_left_out_and_counted() -> None:
    """A prompt with a failure at either is not compared; with nothing left the reason is given."""
    prompt = Prompt(id="p", kind="prose", ask="?", max_tokens=8)
    good, bad = Answer(text="yes"), Answer(problem="It is closed.")
    found = compare(
        [Asked(prompt, (good, good), (good, good)), Asked(prompt, (good, good), (bad, good))],
        {},
        np.random.default_rng(1),
    )
    assert (found.prompts, found.failed) == (1, (0, 1))
    with pytest.raises(PlanError, match="It is closed"):
        compare([Asked(prompt, (good,), (bad,))], {}, np.random.default_rng(1))
    with pytest.raises(PlanError, match="none was sent"):
        compare([], {}, np.random.default_rng(1))
