"""The requests of a simulated day: when they come, how long they are, and which belong to one conversation.

Lengths are log-normal mixes fitted to what is public, by kind of traffic:

* `once` and `code`: the Azure LLM inference trace of 2023 (github.com/Azure/AzurePublicDataset, described by Patel et
  al., "Splitwise", arXiv 2311.18677). Conversation: prompts of 1,020 tokens at the median, answers of 129, 211 in the
  mean; code completion: 1,500, 13 and 28.
* `chat`: BurstGPT (Wang et al., arXiv 2401.17644), conversation logs: answers of a few hundred tokens, prompts that
  grow by what was said before. It is also the source for arrivals that are far burstier than a Poisson process; they
  describe them by a gamma distribution.
* `agent`: GitHub's coding agent traces of June 2026 (same repository as Azure's): 527 answer tokens per call in the
  mean, 86 % of the prompt cached, about thirty calls to a session. The rankings of openrouter.ai in the spring of 2026
  have 6,000 to 34,000 prompt tokens per request. Sessions are shorter here, so that a context of 65,536 holds them.

A turn's time does not depend on when the answer before it was finished: every policy meets the same requests.
"""

from __future__ import annotations

import math
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from random import Random

CONTEXT = 65_536
"""The longest prompt, in tokens."""
LONGEST = 8_192
"""The longest answer, in tokens: a common bound of providers."""
MINUTE_S = 60.0
DAY_S = 86_400.0
CYCLE = 0.5
"""The busiest hour has 1 + CYCLE times the mean rate, the quietest 1 - CYCLE."""
BURST_SHAPE = 2.0
"""Shape of the gamma distribution of a minute's rate: its coefficient of variation is 1/√2."""
SPIKES_PER_DAY = 8.0
SPIKE_FACTOR = 3.0
SPIKE_MINUTES = (2, 4)
NOMINAL_SPEED = 60.0
"""Tokens per second at which an answer is taken to flow when the time of the next turn is drawn."""
TTFT_NOISE = 0.40
"""Standard deviation of the logarithm of one request's time to its first token, around its endpoint's."""
SPEED_NOISE = 0.20
"""The same of one request's output speed."""


@dataclass(frozen=True)
class Lengths:
    """A log-normal distribution of token counts."""

    median: float
    sigma: float

    def draw(self, chance: Random) -> int:
        """One count, at least 1."""
        return max(1, round(chance.lognormvariate(math.log(self.median), self.sigma)))


@dataclass(frozen=True)
class Kind:
    """One kind of session; `share` is that of all requests, `turns` the mean of a geometric distribution."""

    name: str
    share: float
    turns: float
    first: Lengths
    added: Lengths
    answer: Lengths
    pause_s: Lengths


KINDS = (
    Kind("once", 0.25, 1.0, Lengths(1020, 0.8), Lengths(1, 0), Lengths(129, 1.0), Lengths(1, 0)),
    Kind("code", 0.15, 1.0, Lengths(1500, 0.8), Lengths(1, 0), Lengths(13, 1.2), Lengths(1, 0)),
    Kind("chat", 0.35, 4.0, Lengths(600, 0.9), Lengths(60, 1.0), Lengths(220, 0.9), Lengths(45, 1.0)),
    Kind("agent", 0.25, 12.0, Lengths(6000, 0.6), Lengths(700, 1.2), Lengths(250, 1.2), Lengths(4, 1.0)),
)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a policy may know of a request: its number, time (s), conversation, and prompt (tokens)."""

    number: int
    at: float
    conversation: int
    turn: int
    prompt: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request with what only the future knows: its answer's length, its noise, its luck with sporadic errors.

    The noise is the request's own, the same at every endpoint: so policies are compared on equal requests, and what
    an oracle knows of the present is all there is to know.
    """

    ask: Ask
    answer: int
    ttft_noise: float
    speed_noise: float
    luck: float


def _rates(chance: Random, duration_s: float) -> list[float]:
    """The relative rate of new sessions in each minute."""
    minutes = max(1, math.ceil(duration_s / MINUTE_S))
    rates = [
        (1 + CYCLE * math.sin(2 * math.pi * (minute * MINUTE_S / DAY_S - 0.25)))
        * chance.gammavariate(BURST_SHAPE, 1 / BURST_SHAPE)
        for minute in range(minutes)
    ]
    for _ in range(round(SPIKES_PER_DAY * duration_s / DAY_S)):
        start, length = chance.randrange(minutes), chance.randint(*SPIKE_MINUTES)
        for minute in range(start, min(minutes, start + length)):
            rates[minute] *= SPIKE_FACTOR
    return rates


def _turns(chance: Random, kind: Kind) -> int:
    """From a geometric distribution with the kind's mean."""
    if kind.turns <= 1:
        return 1
    return 1 + int(math.log(1 - chance.random()) / math.log(1 - 1 / kind.turns))


def _session(chance: Random, kind: Kind, at: float) -> list[tuple[float, int, int, int]]:
    """(time, turn, prompt, answer) of each turn, until the context is full."""
    turns = []
    prompt = kind.first.draw(chance)
    for turn in range(_turns(chance, kind)):
        if prompt > CONTEXT:
            break
        answer = min(LONGEST, kind.answer.draw(chance))
        turns.append((at, turn, prompt, answer))
        at += 1 + answer / NOMINAL_SPEED + kind.pause_s.draw(chance)
        prompt += answer + kind.added.draw(chance)
    return turns


def requests(seed: int, count: int, duration_s: float) -> list[Request]:
    """The `count` requests of the seed, in the order of their times, all before `duration_s`."""
    chance = Random(f"{seed} workload")
    rates = _rates(chance, duration_s)
    sums = list(accumulate(rates))
    weights = [kind.share / kind.turns for kind in KINDS]
    drawn: list[tuple[float, int, int, int, int]] = []
    conversation = 0
    while len(drawn) < count:
        minute = min(bisect(sums, chance.random() * sums[-1]), len(sums) - 1)
        kind = chance.choices(KINDS, weights)[0]
        at = (minute + chance.random()) * MINUTE_S
        drawn += [(*turn, conversation) for turn in _session(chance, kind, at) if turn[0] < duration_s]
        conversation += 1
    drawn = sorted(drawn[:count])
    return [
        Request(
            Ask(number, at, conversation, turn, prompt),
            answer,
            chance.lognormvariate(0, TTFT_NOISE),
            chance.lognormvariate(0, SPEED_NOISE),
            chance.random(),
        )
        for number, (at, turn, prompt, answer, conversation) in enumerate(drawn)
    ]
