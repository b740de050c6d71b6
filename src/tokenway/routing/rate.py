"""The allowance: what one credential may still send to one endpoint, so that we stop before the provider says no.

It knows of limits from three places, and the tightest holds:

1. **configured** (`limits: {rpm, tpm, concurrency}`): each worker has its share. In no sixty seconds does it send
   more; the minute is counted in slots of five seconds, so a place is free again up to five seconds late.
2. **told** by an answer's header fields (`routing.hints`): a level that falls with what is sent, rises as the
   provider's bucket fills, and is set right with each answer. An answer says nothing of the calls that came after its
   own, so those without an answer are subtracted, and an answer to an older call than one that was heard is not heard.
3. **learnt** from a refusal (429) that tells nothing: the rate of the minute before, times `SAFETY`. That is the
   multiplicative decrease of AIMD (Chiu and Jain, 1989); it rises by a tenth each minute and is forgotten in ten. From
   fewer than `LEARN_FROM` calls in that minute nothing is learnt: the probe is enough there.

A refusal also brings a pause:

    it names one (`retry-after`)          nothing is sent until then
    a told level is used up               nothing is sent until that level allows it
    nothing is known about its end        a breaker opens: after a second, doubling to a minute, one call may probe

A call that is larger than a limit passes alone, when nothing else counts against it: it could never pass otherwise.

Whoever sends a call asks `may_send`, gets a `Call` from `sent`, reports one of `answered` and `refused` when its head
comes, and `ended` when it is over, whatever became of it. `tokens` is what the call is expected to take: its input,
and its output where that is limited together. Times are monotonic seconds; memory is bounded by the number of
limits in `routing.hints`.
"""

from __future__ import annotations

from math import inf
from typing import Final

from tokenway.model.catalog import EndpointLimits
from tokenway.routing.breaker import Breaker, Policy
from tokenway.routing.hints import NONE, UNITS, Hints, Limit, Quota, Unit

SAFETY: Final = 0.8
"""What is left of the rate that was refused."""
RISE: Final = 0.1
"""By what share of that a learnt limit rises each minute in which something was answered."""
LEARN_FROM: Final = 10
FORGET: Final = 600.0
"""After so many seconds a learnt limit holds no longer."""
PAUSE_MAX: Final = 86_400.0
"""The longest pause that a provider can impose, in seconds; daily limits are the longest that are known."""
UNKNOWN_END: Final = Policy(in_a_row=1, share=1.0, least=1, window=60.0, pause_first=1.0, pause_max=60.0)
"""How it is asked whether a limit has ended of which nothing is known."""

MINUTE: Final = 60.0
_BURST: Final = 10.0
"""How many seconds' worth of a learnt rate may be sent at once, after as many without a call."""
_SLOT: Final = 5.0
_SLOTS: Final = 13
"""Twelve slots make a minute; the thirteenth is the current one."""
_READ_EVERY: Final = 0.1
"""While there is plenty, one answer in so many seconds is read; when less than a tenth is left, each is."""
_SOON: Final = 0.001


class Minute:
    """How much was sent in the last sixty seconds, and up to five more."""

    __slots__ = ("_last", "_slots", "total")

    def __init__(self) -> None:
        self._slots = [0] * _SLOTS
        self._last = 0
        self.total = 0
        """Right after `turn`."""

    def turn(self, now: float) -> None:
        """Drops what is too old. A time before the last one is taken for that."""
        current = int(now // _SLOT)
        if current > self._last:
            for slot in range(max(self._last + 1, current - _SLOTS + 1), current + 1):
                self.total -= self._slots[slot % _SLOTS]
                self._slots[slot % _SLOTS] = 0
            self._last = current

    def add(self, now: float, amount: int) -> None:
        """Something was sent."""
        self.turn(now)
        self._slots[self._last % _SLOTS] += amount
        self.total += amount

    def free_at(self, now: float, amount: int, most: float) -> float:
        """When so much may be sent under a limit of `most` a minute; 0.0 for now, and for the first in a minute."""
        self.turn(now)
        left = self.total
        if left == 0 or left + amount <= most:
            return 0.0
        for slot in range(self._last + 1, self._last + _SLOTS):
            left -= self._slots[slot % _SLOTS]
            if left == 0 or left + amount <= most:
                return slot * _SLOT
        return (self._last + _SLOTS) * _SLOT


class Level:
    """What is left of one limit."""

    __slots__ = ("_at", "_counts_tokens", "_least", "_left", "_most", "_period", "_rate", "_resets_at", "_step")

    def __init__(self, quota: Quota, now: float, on_the_way: int = 0, before: Level | None = None) -> None:
        """One that was told. `on_the_way` is what was sent and has no answer yet: it may not have been counted."""
        most, reset = quota.most, quota.reset
        self._counts_tokens = UNITS[quota.limit] is Unit.TOKENS
        self._most = inf if most is None else most
        self._left = max(0.0, min(quota.remaining, self._most) - on_the_way)
        self._at = now
        period = min(PAUSE_MAX, max(1.0, MINUTE if reset is None else reset))
        self._resets_at = now + period
        # A reset is told from somewhere within a window: the longest seen is the window's own length.
        self._period: float = period if before is None else max(period, before._period)  # noqa: SLF001 - our own class
        self._least = 0.0
        self._step = 0.0
        self._rate = 0.0
        if most is not None and quota.refills:
            self._rate = max(self._fill(most, most - quota.remaining, reset, before), most / PAUSE_MAX)

    @classmethod
    def learnt(cls, limit: Limit, a_minute: float, now: float) -> Level:
        """One that was learnt: it begins empty, and a call that is larger than it is paid for by those after it."""
        rate = a_minute / MINUTE
        most = max(1.0, rate * _BURST)
        level = cls(Quota(limit, 0.0, most, most / rate), now)
        level._least = -a_minute
        level._step = rate * RISE
        return level

    @property
    def a_minute(self) -> float:
        """How much comes back in a minute."""
        return self._rate * MINUTE

    def rise(self) -> None:
        """A minute went by without a refusal."""
        self._rate += self._step
        self._most += self._step * _BURST

    @staticmethod
    def _fill(most: float, spent: float, reset: float | None, before: Level | None) -> float:
        """How much comes back each second. A bucket that is full does not say: as before, else as slow as a day's."""
        if reset is None:
            return most / MINUTE
        if reset > 0.0 and spent > 0.0:
            return spent / reset
        return before._rate if before is not None else 0.0  # noqa: SLF001 - of the same class

    def left(self, now: float) -> float:
        """What may be sent now."""
        rate = self._rate
        if now > self._at:
            if rate > 0.0:
                self._left = min(self._most, self._left + (now - self._at) * rate)
            elif now >= self._resets_at:
                # Its next window; where the limit itself is not known, nothing is known of that one.
                self._left = self._most
                self._resets_at = now + self._period
            self._at = now
        return self._left

    def is_scarce(self, now: float) -> bool:
        """Whether less than a tenth is left, or it is not known what that is."""
        return self.left(now) < (self._most / 10.0 if self._most < inf else inf)

    def spend(self, tokens: int) -> None:
        """A call was sent."""
        left = self._left - (tokens if self._counts_tokens else 1)
        self._left = max(left, self._least)

    def free_at(self, now: float, tokens: int) -> float:
        """When a call may be sent; 0.0 for now. One that takes more than the limit may when it is whole."""
        # How much a call will put out is not known: there has to be some left.
        amount = tokens if self._counts_tokens else 1
        left = self.left(now)
        if left >= amount or left >= self._most:
            return 0.0
        if self._rate > 0.0:
            return now + min(PAUSE_MAX, (min(amount, self._most) - left) / self._rate)
        return self._resets_at


class Call:
    """One call that was sent, from `sent` to `ended`."""

    __slots__ = ("at", "is_waiting", "number", "order", "tokens")

    def __init__(self, at: float, order: int, tokens: int, number: int) -> None:
        self.at = at
        """When it was sent."""
        self.order = order
        """Its place among all calls that were sent."""
        self.tokens = tokens
        self.number = number
        """Its number at the breaker; -1 where it was sent although nothing may be."""
        self.is_waiting = True
        """Whether it has no answer yet."""


class Allowance:
    """What one credential may still send to one endpoint."""

    __slots__ = (
        "_breaker",
        "_concurrency",
        "_heard",
        "_is_limited",
        "_learnt",
        "_learnt_until",
        "_levels",
        "_open",
        "_paused_until",
        "_read_at",
        "_requests",
        "_rises_at",
        "_rpm",
        "_sent",
        "_tokens",
        "_tpm",
        "_waiting",
        "_waiting_tokens",
    )

    def __init__(self, limits: EndpointLimits = EndpointLimits(), workers: int = 1) -> None:  # noqa: B008 - frozen
        """`limits` are those of the configuration, of which each of `workers` has a share: one at least."""
        self._rpm = self._tpm = self._concurrency = inf
        self._is_limited = False
        self._requests = Minute()
        self._tokens = Minute()
        self._levels: dict[Limit, Level] = {}
        self._learnt: tuple[Level, ...] = ()
        """Of requests and of tokens, until it is forgotten."""
        self._learnt_until = self._rises_at = 0.0
        self._paused_until = 0.0
        self._breaker = Breaker(UNKNOWN_END)
        self._read_at = 0.0
        self._sent = 0
        self._heard = 0
        self._open = self._waiting = self._waiting_tokens = 0
        self.renew(limits, workers)

    def renew(self, limits: EndpointLimits, workers: int) -> None:
        """The configuration has these limits from now on; what was sent counts against them too."""
        self._rpm = _share(limits.rpm, workers)
        self._tpm = _share(limits.tpm, workers)
        self._concurrency = _share(limits.concurrency, workers)
        was_told = bool(self._levels or self._learnt or self._paused_until) or not self._breaker.is_closed
        self._is_limited = was_told or min(self._rpm, self._tpm, self._concurrency) < inf

    def forget(self) -> None:
        """What was told and learnt is of another credential; what was sent in the last minute still counts."""
        self._levels.clear()
        self._learnt, self._paused_until, self._read_at = (), 0.0, 0.0
        calls = self._breaker.number + 1
        self._breaker = Breaker(UNKNOWN_END)
        self._breaker.number = calls  # so that no call from before is taken for one with this credential
        self._is_limited = min(self._rpm, self._tpm, self._concurrency) < inf

    def may_send(self, now: float, tokens: int) -> float | None:
        """None when a call may be sent now; else when it may be: `inf` when a call under way has to end first."""
        if not self._is_limited:
            return None
        at = max(self._paused_until, self.held_until(now, tokens))
        breaker = self._breaker
        if not breaker.is_closed and not breaker.may_try(now):
            at = max(at, breaker.open_until if breaker.open_until > now else inf)
        for level in self._levels.values():
            at = max(at, level.free_at(now, tokens))
        if self._learnt:
            if now >= self._learnt_until:
                self._learnt = ()
            for level in self._learnt:
                at = max(at, level.free_at(now, tokens))
        return None if at <= now else max(at, now + _SOON)

    @property
    def is_limited(self) -> bool:
        """Whether anything is known of a limit: configured, told or refused."""
        return self._is_limited or bool(self._levels)

    def held_until(self, now: float, tokens: int) -> float:
        """Until when the configured limits hold a call back, which nobody may pass over; the past when they do not."""
        if self._open >= self._concurrency:
            return inf
        at = 0.0
        if self._rpm < inf:
            at = self._requests.free_at(now, 1, self._rpm)
        if self._tpm < inf:
            at = max(at, self._tokens.free_at(now, tokens, self._tpm))
        return at

    def sent(self, now: float, tokens: int, *, is_late: bool = False) -> Call:
        """A call is sent. What was not asked for, because nothing else is left to try, is counted all the same.

        `is_late` is whether it was sent before anybody counted: it may not pass for the probe of a limit.
        """
        breaker = self._breaker
        may_try = breaker.is_closed or (not is_late and breaker.may_try(now))
        number = breaker.try_begun(now) if may_try else -1
        self._sent += 1
        self._open += 1
        self._waiting += 1
        self._waiting_tokens += tokens
        self._requests.add(now, 1)
        self._tokens.add(now, tokens)
        for level in self._levels.values():
            level.spend(tokens)
        for level in self._learnt:
            level.spend(tokens)
        return Call(now, self._sent, tokens, number)

    def wants_hints(self, now: float) -> bool:
        """Whether an answer's fields are worth reading now; those of a refusal always are."""
        return now >= self._read_at

    def answered(self, call: Call, now: float, hints: Hints = NONE) -> None:
        """The head of an answer came that is no refusal for its rate, whatever its status."""
        self._hear(call, now, hints)
        self._breaker.succeeded(call.number, now)
        if self._learnt and now >= self._rises_at:
            self._rises_at = now + MINUTE
            for level in self._learnt:
                level.rise()

    def refused(
        self, call: Call, now: float, dice: float, retry_after: float | None = None, hints: Hints = NONE
    ) -> None:
        """The provider said 429; `retry_after` is what its fields or its body say, in seconds, None for neither."""
        self._is_limited = True
        self._hear(call, now, hints)
        breaker = self._breaker
        if retry_after is not None and retry_after > 0.0:
            self._paused_until = max(self._paused_until, now + min(retry_after, PAUSE_MAX))
            breaker.abandoned(call.number)
        elif any(level.free_at(now, call.tokens) > now for level in self._levels.values()):
            breaker.abandoned(call.number)
        else:
            if breaker.is_closed and call.number == breaker.number:
                self._learn(now)
            breaker.failed(call.number, now, dice)

    def ended(self, call: Call) -> None:
        """A call is over; one that got no answer tells nothing of the limits."""
        self._open -= 1
        if call.is_waiting:
            self._answer(call)
            self._breaker.abandoned(call.number)

    def learnt(self, now: float) -> tuple[float, float]:
        """The requests and tokens a minute that were learnt from refusals; `inf` for none."""
        if not self._learnt or now >= self._learnt_until:
            return inf, inf
        return self._learnt[0].a_minute, self._learnt[1].a_minute

    def _answer(self, call: Call) -> None:
        call.is_waiting = False
        self._waiting -= 1
        self._waiting_tokens -= call.tokens

    def _hear(self, call: Call, now: float, hints: Hints) -> None:
        """Takes in what an answer tells, unless it is older news than what is known."""
        if call.is_waiting:
            self._answer(call)
        if call.order < self._heard:
            return
        self._heard = call.order
        if not hints.quotas:
            return
        self._is_limited = True
        for quota in hints.quotas:
            if not quota.refills and quota.reset is not None and now - call.at > quota.reset:
                continue  # If it was written when the call came in, it is of a window that is over.
            unit = UNITS[quota.limit]
            on_the_way = (self._waiting, self._waiting_tokens, 0)[unit]
            before = self._levels.get(quota.limit)
            self._levels[quota.limit] = Level(quota, now, on_the_way, before)
        is_scarce = any(level.is_scarce(now) for level in self._levels.values())
        self._read_at = now if is_scarce else now + _READ_EVERY

    def _learn(self, now: float) -> None:
        """A refusal that tells nothing: what was sent in the last minute was too much."""
        self._requests.turn(now)
        self._tokens.turn(now)
        if self._requests.total < LEARN_FROM:
            return
        known = self.learnt(now)
        self._learnt = (
            Level.learnt(Limit.REQUESTS, SAFETY * min(known[0], self._requests.total), now),
            Level.learnt(Limit.TOKENS, max(1.0, SAFETY * min(known[1], self._tokens.total)), now),
        )
        self._learnt_until = now + FORGET
        self._rises_at = now + MINUTE


def _share(limit: int | None, workers: int) -> float:
    """A worker's part of a limit; `inf` for none."""
    return inf if limit is None else float(max(1, limit // max(1, workers)))
