"""How fast each endpoint is, estimated from the attempts of all workers: what routing predicts with.

    TTFT(prompt, load)  =  a + b * uncached prompt tokens + c * attempts in flight
    seconds per token   =  t + u * attempts in flight
    finish              =  TTFT + output tokens * seconds per token  (+ what failing costs)

Each line is a filter (`routing.filter`) that follows its coefficients and their uncertainty. A whole answer tells one
time for both; what it differs from its prediction is shared out by how uncertain each part is, which is what a filter
over both would do. How often an endpoint fails and how much time that takes is counted with a memory of minutes.

A board is fed with samples, of this worker's own attempts at once and of the others' as they are told, and keeps the
same figures wherever the same samples come.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import exp2
from typing import Final

import msgspec

from tokenway.model.sample import Outcome, Sample
from tokenway.routing.affinity import Affinity
from tokenway.routing.filter import Filter
from tokenway.routing.window import Window

ENDPOINTS_MAX: Final = 2000
"""Endpoints and models that are remembered; beyond it, the one that was heard of longest ago is forgotten."""
USUAL_TTFT: Final = 0.6
"""Seconds to a first token where nothing is known, without the prompt."""
USUAL_PREFILL: Final = 0.05
"""Seconds for a thousand tokens of prompt where nothing is known."""
USUAL_PACE: Final = 1.0 / 50.0
"""Seconds for a token of output where nothing is known."""
LOAD_UNIT: Final = 16.0
"""Attempts in flight that count as one: about what makes a server that is our own slower by a part of its speed."""
FAILURES_HALF_LIFE: Final = 120.0
"""Seconds in which a failure counts half."""
FAILURES_USUAL: Final = (0.05, 1.0)
"""Failures and answers that are taken as seen before anything was."""
LOSS_LEAST: Final = 1.0
"""Seconds that a failed attempt counts for at least: it takes one of few retries as well."""
USUAL_OUTPUT: Final = 300.0
"""Output tokens of an answer where nothing is known."""
BYTES_PER_TOKEN: Final = 4.0
"""Bytes of a request for a token of prompt where nothing is known: English text."""
USUAL_SENT: Final = 220.0
"""Bytes of a stream for a token of output where nothing is known: an event of OpenAI's chat with one word."""
GUESSED_FROM: Final = 1.0
"""Seconds between first and last delta, from which on a stream that was left tells its speed: what comes at the
beginning often comes at once."""
USUAL_HIT: Final = 0.5
"""How much of what an endpoint has seen it still has cached, where nothing is known."""
JUDGED_FROM: Final = 10.0
"""With how many first tokens an endpoint's own quantile is one."""
LATE: Final = 3.0
"""How many times what is expected is late, where there is no quantile."""
TRIED_FOR: Final = 600.0
"""Seconds for which an endpoint that was asked and has answered nothing is not asked anew to know it."""
GAIN_LEAST: Final = 0.05
"""The least weight of a new observation in a mean that follows; the first ones weigh more."""


class Mean:
    """A mean that follows: of few values all alike, of many the latest twenty or so."""

    __slots__ = ("seen", "value")

    def __init__(self, value: float) -> None:
        """`value` is the guess before anything was seen."""
        self.value = value
        self.seen = 0.0

    def take(self, value: float, weight: float = 1.0) -> None:
        """Moves towards a value that stands for `weight` of them."""
        self.seen += weight
        self.value += (value - self.value) * max(min(1.0, weight / self.seen), min(1.0, weight * GAIN_LEAST))


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """What is expected of one attempt: seconds, and tokens per second. `variance` is of `finish`, in seconds squared.

    `finish` is without failures; `failing` is the share of attempts that fail, `loss` seconds that one takes.
    `is_known` is whether its speed was ever seen, `is_tried` whether it was asked lately, if only in vain.
    """

    ttft: float
    pace: float
    finish: float
    variance: float
    failing: float
    loss: float
    is_known: bool
    is_tried: bool

    @property
    def speed(self) -> float:
        """Tokens per second while it generates."""
        return 1.0 / self.pace

    @property
    def expected(self) -> float:
        """Seconds to a whole answer, with what failing costs on the way: each failure takes its time once more."""
        return self.finish + self.failing / (1.0 - self.failing) * self.loss


class Estimate:
    """What is known of one endpoint. Times are Unix seconds."""

    __slots__ = (
        "_answered",
        "_failed",
        "_failures_at",
        "deltas_per_token",
        "heard_at",
        "hit",
        "loss",
        "pace",
        "sent_per_token",
        "ttft",
        "usual",
        "window",
    )

    def __init__(self) -> None:
        self.ttft = Filter(USUAL_TTFT, USUAL_PREFILL)
        self.pace = Filter(USUAL_PACE, 0.0)
        self.hit = Mean(USUAL_HIT)
        """The share of what it has seen before that it reads from its cache."""
        self.loss = Mean(LOSS_LEAST)
        self.heard_at = 0.0
        """When it was last heard of, whatever became of that."""
        self.usual = Mean(USUAL_TTFT)
        """The first token's time that was expected of the requests there were."""
        self.sent_per_token = Mean(USUAL_SENT)
        self.deltas_per_token = Mean(1.0)
        self.window = Window()
        self._failed, self._answered = FAILURES_USUAL
        self._failures_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether anything was seen of how fast it is."""
        return self.ttft.seen > 0.0 or self.pace.seen > 0.0

    def take(self, sample: Sample) -> None:
        """Takes in an attempt."""
        self.heard_at = max(self.heard_at, sample.at)
        is_counted = sample.tokens > 0
        is_whole = sample.outcome is Outcome.ANSWERED
        if not is_counted and sample.span > (0.0 if is_whole else GUESSED_FROM):
            sample = msgspec.structs.replace(sample, tokens=self._guessed(sample))
        self.window.take(sample)
        self._count(sample)
        if sample.outcome is Outcome.FAILED and sample.took > 0.0:
            self.loss.take(max(LOSS_LEAST, sample.took), sample.weight)
        prompt, load = sample.prompt / 1000.0, sample.load / LOAD_UNIT
        if sample.ttft > 0.0:
            self.usual.take(self.ttft.predict(prompt, load), sample.weight)
            self.ttft.observe(sample.ttft, prompt, load, sample.at, sample.weight)
            if sample.tokens > 1 and sample.span > 0.0:
                self.pace.observe(sample.span / (sample.tokens - 1), 0.0, load, sample.at, sample.weight)
                if is_counted:
                    self._learn_sizes(sample)
        elif sample.outcome is Outcome.ANSWERED and sample.took > 0.0 and (sample.tokens or sample.prompt):
            self._take_whole(sample, prompt, load)

    def predict(self, prompt: float, output: float, load: int, now: float) -> Prediction:
        """What an attempt is expected to take: `prompt` uncached tokens in, `output` tokens out."""
        first, busy = prompt / 1000.0, load / LOAD_UNIT
        ttft = self.ttft.predict(first, busy, now)
        pace = self.pace.predict(0.0, busy, now)
        variance = self.ttft.variance(first, busy, now) + output * output * self.pace.variance(0.0, busy, now)
        return Prediction(
            ttft,
            pace,
            ttft + output * pace,
            variance,
            self.failing(now),
            self.loss.value,
            self.is_known,
            self.is_known or now - self.heard_at <= TRIED_FOR,
        )

    def late(self, prompt: float, load: int, now: float, share: float) -> float:
        """Seconds after which a share of first tokens has come, for a prompt of so many uncached tokens.

        It is the endpoint's own quantile of the last half hour, longer or shorter as this prompt is expected to be; of
        an endpoint that was hardly seen, a multiple of what is expected.
        """
        expected = self.ttft.predict(prompt / 1000.0, load / LOAD_UNIT)
        seen = self.window.ttft(now, 30, share) if self.ttft.seen >= JUDGED_FROM else None
        return LATE * expected if seen is None else seen * expected / self.usual.value

    def failing(self, now: float) -> float:
        """The share of attempts that fail, lately."""
        fade = exp2((self._failures_at - now) / FAILURES_HALF_LIFE) if now > self._failures_at else 1.0
        failed, answered = FAILURES_USUAL
        failed += (self._failed - failed) * fade
        answered += (self._answered - answered) * fade
        return min(0.99, failed / (failed + answered))

    def _count(self, sample: Sample) -> None:
        if sample.outcome is Outcome.LEFT or sample.outcome is Outcome.LIMITED:
            return
        if sample.at > self._failures_at:
            fade = exp2((self._failures_at - sample.at) / FAILURES_HALF_LIFE)
            failed, answered = FAILURES_USUAL
            self._failed = failed + (self._failed - failed) * fade
            self._answered = answered + (self._answered - answered) * fade
            self._failures_at = sample.at
        if sample.outcome is Outcome.FAILED:
            self._failed += sample.weight
        else:
            self._answered += sample.weight

    def _learn_sizes(self, sample: Sample) -> None:
        """What a token takes in a stream."""
        deltas = sum(sample.gaps)
        if sample.sent:
            self.sent_per_token.take(sample.sent / sample.tokens, sample.weight)
        if deltas:
            self.deltas_per_token.take(deltas / (sample.tokens - 1), sample.weight)

    def _guessed(self, sample: Sample) -> int:
        """The tokens of a stream that nobody counted: it was left, perhaps for being slow, or is of one who never does.

        Its bytes tell, where all of them were counted; else how often something came, once it is known how much then
        comes at a time. A provider that never counts is taken to send one token at a time.
        """
        if sample.sent:
            return round(sample.sent / self.sent_per_token.value)
        deltas = sum(sample.gaps)
        is_known = self.deltas_per_token.seen or sample.outcome is Outcome.ANSWERED
        return 1 + round(deltas / self.deltas_per_token.value) if deltas and is_known else 0

    def _take_whole(self, sample: Sample, prompt: float, load: float) -> None:
        """A whole answer: one time for the first token and all others."""
        tokens = max(1, sample.tokens)
        ttft, pace = self.ttft.predict(prompt, load, sample.at), self.pace.predict(0.0, load, sample.at)
        rest = sample.took - ttft - tokens * pace
        first = self.ttft.variance(prompt, load, sample.at)
        later = tokens * tokens * self.pace.variance(0.0, load, sample.at)
        share = first / (first + later) if first + later > 0.0 else 0.5
        self.ttft.observe(max(0.001, ttft + rest * share), prompt, load, sample.at, sample.weight)
        if sample.tokens > 1:
            mine = max(pace / 100.0, pace + rest * (1.0 - share) / tokens)
            self.pace.observe(mine, 0.0, load, sample.at, sample.weight)


class Habits:
    """What the requests for one model are like."""

    __slots__ = ("bytes_per_token", "output")

    def __init__(self) -> None:
        self.output = Mean(USUAL_OUTPUT)
        self.bytes_per_token = Mean(BYTES_PER_TOKEN)

    def take(self, sample: Sample) -> None:
        """Takes in an answered attempt."""
        if sample.tokens:
            self.output.take(sample.tokens, sample.weight)
        if sample.size and sample.prompt + sample.cached:
            self.bytes_per_token.take(sample.size / (sample.prompt + sample.cached), sample.weight)

    def prompt(self, size: int) -> float:
        """Tokens that a request of so many bytes has."""
        return size / self.bytes_per_token.value


class Board:
    """The estimates of all endpoints, and the habits of all models."""

    def __init__(self) -> None:
        self._estimates: OrderedDict[str, Estimate] = OrderedDict()
        self._habits: OrderedDict[str, Habits] = OrderedDict()
        self._affinity = Affinity()

    def of(self, endpoint: str) -> Estimate:
        """What is known of an endpoint; the guesses where that is nothing."""
        return self._estimates.get(endpoint) or _NOTHING

    def habits(self, model: str) -> Habits:
        """What the requests for a model are like."""
        return self._habits.get(model) or _USUAL

    def cached_share(self, keys: tuple[int, ...], endpoint: str, now: float, size: int) -> float:
        """The share of a request's prompt that an endpoint is expected to read from its cache."""
        if not keys:
            return 0.0
        return self._affinity.share(keys, endpoint, now, size) * self.of(endpoint).hit.value

    def take(self, samples: Iterable[Sample]) -> None:
        """Takes in attempts."""
        for sample in samples:
            estimate = self._estimates.get(sample.endpoint)
            if estimate is None:
                estimate = self._estimates[sample.endpoint] = Estimate()
                _bound(self._estimates)
            else:
                self._estimates.move_to_end(sample.endpoint)
            estimate.take(sample)
            if sample.outcome is Outcome.ANSWERED:
                self._remember(sample, estimate)
                habits = self._habits.get(sample.model)
                if habits is None:
                    habits = self._habits[sample.model] = Habits()
                    _bound(self._habits)
                habits.take(sample)

    def _remember(self, sample: Sample, estimate: Estimate) -> None:
        """Where this conversation is now, and how much of what was seen before was read from the cache."""
        if not sample.keys:
            return
        seen = self._affinity.share(sample.keys, sample.endpoint, sample.at, sample.size)
        total = sample.prompt + sample.cached
        # One that never tells of its cache has what it saves in its first tokens, as if it had none.
        if seen and total:
            estimate.hit.take(min(1.0, sample.cached / (seen * total)), sample.weight)
        self._affinity.note(sample.keys, sample.endpoint, sample.at, sample.size)


def thinned(samples: Iterable[Sample], most: int) -> list[Sample]:
    """What stands for the samples: at most `most` of each endpoint and outcome, in the order of their time.

    They are chosen evenly, and each takes over the weights of those left out before it, so that the sum of weights
    stays what it was: exactly, as long as weights are whole numbers. Probes stand for probes only.
    """
    groups: dict[tuple[str, Outcome, bool], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.endpoint, sample.outcome, sample.is_probe), []).append(sample)
    kept: list[Sample] = []
    for group in groups.values():
        size = len(group)
        parts = min(most, size)
        for number in range(parts):
            part = group[size * number // parts : size * (number + 1) // parts]
            kept.append(msgspec.structs.replace(part[-1], weight=sum([each.weight for each in part])))
    return sorted(kept, key=lambda sample: sample.at)


_NOTHING: Final = Estimate()
_USUAL: Final = Habits()


def _bound(table: OrderedDict[str, Estimate] | OrderedDict[str, Habits]) -> None:
    while len(table) > ENDPOINTS_MAX:
        table.popitem(last=False)
