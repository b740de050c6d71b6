"""The endpoints as one worker sees them: how fast, how reliable, how busy each is, and what it still takes.

    before a call   `rank` puts the endpoints of a plan in order, `seat` says with which keys they are asked
    an attempt      `begin` gives a `Trip`, which hears of the head, of a failure, and of the end
    after a call    `learn` takes note of its attempts; `take_outbox` gives what the other workers are to be told

What outlives a snapshot lives here: speeds, breakers and allowances do not begin anew because a price has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final

import msgspec

from tokenway.edge.line import Line, Place
from tokenway.edge.standing import Standing
from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Endpoint
from tokenway.model.sample import Sample
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.routing.choose import Asked, Chooser, Dice, Ranked, Taste
from tokenway.routing.hedge import HedgeBudget
from tokenway.routing.hints import NAMES, NONE, Hints, read_hints
from tokenway.routing.rate import Call
from tokenway.routing.retry import SPENT_CODES, RetryBudget, Scope, scope
from tokenway.routing.velocity import Board, thinned
from tokenway.upstream.base import Headers

SEATS_MAX: Final = 4
"""With how many of a provider's keys an endpoint is tried in one exchange."""
WAIT_MAX: Final = 30.0
"""Seconds that a call waits at most for a limit of the configuration, where no other endpoint takes it."""
SHORT: Final = 2.0
"""A limit that a provider has told of is waited for where it ends within so many seconds."""
BELIEVED_FROM: Final = 10
"""How often in a row a provider has to say no until it is believed where there is nothing else to try.

A no may be the last one: whoever has no choice hears it from the provider itself, as long as that does no harm."""
PROBE_EVERY: Final = 1.0
"""Seconds between two calls to an endpoint that is believed to be at its limit: it may have ended early."""
QUEUE: Final = 3.0
"""Seconds that a call waits at most for its turn to be such a probe; a longer queue is told at once."""
TOLD_MOST: Final = 16
"""Samples of an endpoint that are told at a time."""
SAMPLES_MOST: Final = 64
"""Samples of an endpoint that are made in between; a busy one has many like them."""
TOO_MANY: Final = 429
STANDINGS_MAX: Final = 4000
"""Endpoints that are kept count of; beyond it, those with which all is well begin anew: callers may invent models."""
OUTBOX_MAX: Final = 20_000
"""Samples that wait to be told; more than a worker makes before it is next asked for them."""


class Trip:
    """One attempt on its way: what it has to say to those who keep count."""

    __slots__ = ("_allowance", "_call", "_key", "_mine", "_standing", "_theirs", "_tokens", "is_over", "load")

    _mine: int
    _theirs: int

    def __init__(self, standing: Standing, credential: int, tokens: int, now: float) -> None:
        self._standing = standing
        self._key = standing.keys[credential]
        self._allowance = standing.allowances[credential]
        self._tokens = tokens
        self.load = standing.in_flight
        """How many others were under way there."""
        standing.in_flight += 1
        self.is_over = False
        self._call: Call | None = None
        if not standing.is_calm:
            self._track(now)

    def _track(self, now: float, *, is_late: bool = False) -> Call:
        """Is kept count of from here on; `is_late` is whether it began before that, and so is nobody's probe."""
        mine, theirs = self._standing.breaker, self._key
        self._mine = mine.try_begun(now) if mine.is_closed or (not is_late and mine.may_try(now)) else -1
        self._theirs = theirs.try_begun(now) if theirs.is_closed or (not is_late and theirs.may_try(now)) else -1
        call = self._call = self._allowance.sent(now, self._tokens, is_late=is_late)
        return call

    def answered(self, now: float, headers: Headers, at: float) -> None:
        """The head of an answer came that is no failure, at Unix time `at`."""
        standing, allowance, call = self._standing, self._allowance, self._call
        hints = NONE
        if headers.has_any(NAMES):
            if call is None:
                standing.disturb(now)
                call = self._track(now, is_late=True)
            if allowance.wants_hints(now):
                hints = read_hints(headers, at)
        if call is not None:
            standing.refusals = 0
            allowance.answered(call, now, hints)
            self._key.succeeded(self._theirs, now)

    def succeeded(self, now: float) -> None:
        """The answer is whole, or as good as that: its first text is there."""
        if self._call is not None:
            self._standing.breaker.succeeded(self._mine, now)

    def failed(self, failure: UpstreamFailed, hints: Hints) -> None:
        """The attempt failed; `hints` is what its head said."""
        standing, now = self._standing, failure.at
        whose = scope(failure.fault, failure.status, failure.code)
        standing.disturb(now)
        call = self._call or self._track(now, is_late=True)
        if failure.status == TOO_MANY and failure.code not in SPENT_CODES:
            standing.refusals += 1
            self._allowance.refused(call, now, failure.dice, failure.retry_after, hints)
        elif whose is Scope.CREDENTIAL:
            self._key.failed(self._theirs, now, failure.dice)
        elif whose is Scope.ENDPOINT:
            standing.breaker.failed(self._mine, now, failure.dice, failure.retry_after or 0.0)
        self.over()

    def over(self) -> None:
        """The attempt is over, however it ended; what comes after this concerns nobody."""
        if self.is_over:
            return
        self.is_over = True
        standing, call = self._standing, self._call
        standing.in_flight -= 1
        if call is not None:
            self._allowance.ended(call)
            standing.breaker.abandoned(self._mine)
            self._key.abandoned(self._theirs)
            standing.freed()

    def weight(self) -> float:
        """What a sample of this attempt stands for; 0.0 where there are enough of its endpoint for now."""
        standing = self._standing
        standing.unsaid += 1.0
        if standing.told >= SAMPLES_MOST:
            return 0.0
        standing.told += 1
        weight, standing.unsaid = standing.unsaid, 0.0
        return weight


_Late = tuple[float, Ranked, int]
"""Who takes no call now: from when on it does, as far as that is known, and the number of a key."""


def _when(late: _Late) -> float:
    return late[0]


class Arranged(msgspec.Struct, frozen=True, gc=False):
    """Endpoints in the order in which they are tried, each with the number of the key to ask it with.

    `takers` is how many of them, the first ones, take a call now. `wait` is for how many seconds none does, and
    `is_refused` whether it is not worth waiting for. `is_held` is whether limits of the configuration hold it back
    everywhere: it stands in line, and `wait` is `inf` where nobody knows how long.
    """

    endpoints: tuple[Endpoint, ...]
    credentials: tuple[int, ...]
    rows: tuple[Ranked, ...] = ()
    takers: int = 0
    wait: float = 0.0
    is_refused: bool = False
    is_held: bool = False


class Fleet:
    """All endpoints of one worker. Times are monotonic seconds; `at` is Unix time."""

    def __init__(self, now: float) -> None:
        self.board = Board()
        self.chooser = Chooser(self.board)
        self.retries = RetryBudget(now)
        self._hedges: dict[str, HedgeBudget] = {}
        """By model of the configuration."""
        self._other_hedges = HedgeBudget()
        """All models that callers have named and nobody has configured: there may be any number of them."""
        self.line = Line(self.room_at)
        """Those who wait for a limit of the configuration."""
        self._standings: dict[str, Standing] = {}
        self._secrets: dict[str, tuple[Secret, ...]] = {}
        self._workers = 1
        self._outbox: list[Sample] = []
        self._known = 0
        """How many of these the board knows."""

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a snapshot: what is known stays, but for keys that have changed; other limits hold from now on."""
        if snapshot.workers != self._workers:
            self._workers = snapshot.workers
            for standing in self._standings.values():
                standing.renew(standing.seen, snapshot.workers)
        self._hedges = {name: self._hedges.get(name) or HedgeBudget() for name in snapshot.models}
        for name, provider in snapshot.providers.items():
            before, after = self._secrets.get(name, ()), provider.api_keys
            if before != after:
                self._secrets[name] = after
                for identity, standing in self._standings.items():
                    if identity.startswith(f"{name}/"):
                        standing.rekey(before, after)

    def standing(self, endpoint: Endpoint) -> Standing:
        """How an endpoint stands."""
        standing = self._standings.get(endpoint.id)
        if standing is None:
            keys = max(1, len(self._secrets.get(endpoint.provider, ())))
            freed = partial(self.line.freed, endpoint.id)
            standing = self._standings[endpoint.id] = Standing(endpoint, keys, self._workers, freed)
        elif endpoint.limits is not standing.seen:
            standing.renew(endpoint.limits, self._workers)
        return standing

    def hedges(self, model: str) -> HedgeBudget:
        """What may be spent on races of a model."""
        return self._hedges.get(model, self._other_hedges)

    def room_at(self, endpoint: Endpoint, tokens: int, now: float) -> float:
        """When its configured limits let a call through with one of its keys, as `Allowance.held_until` has it."""
        return min([each.held_until(now, tokens) for each in self.standing(endpoint).allowances])

    def is_held(self, endpoint: Endpoint, tokens: int, now: float, place: Place) -> bool:
        """Whether a limit of its configuration holds a call back, or others who wait for one."""
        return self.line.is_behind(endpoint, place) or self.room_at(endpoint, tokens, now) > now

    def begin(self, endpoint: Endpoint, credential: int, tokens: int, now: float) -> Trip:
        """An attempt starts; `tokens` is what it is expected to take.

        Where it was planned with a key that is gone since, it is asked with the first one.
        """
        standing = self.standing(endpoint)
        return Trip(standing, credential if credential < len(standing.keys) else 0, tokens, now)

    def ready(self, endpoint: Endpoint, tokens: int, now: float) -> int | None:
        """The number of a key with which an endpoint takes a call now; None where none does, or not all is well."""
        standing = self.standing(endpoint)
        is_free = standing.breaker.is_closed and not self.line.is_behind(endpoint, None)
        for number in self._in_turn(standing, tokens, now) if is_free else ():
            if standing.keys[number].is_closed and standing.allowances[number].may_send(now, tokens) is None:
                return number
        return None

    # -- the order ---------------------------------------------------------------------------------------

    def is_plain(self, endpoints: Sequence[Endpoint], now: float, tokens: int, place: Place | None = None) -> bool:
        """Whether there is nothing to choose: one endpoint with one key, which takes a call."""
        if len(endpoints) != 1:
            return False
        standing = self.standing(endpoints[0])
        if len(standing.keys) != 1:
            return False
        if standing.is_calm:
            return True
        return not self.line.is_behind(endpoints[0], place) and standing.allowances[0].may_send(now, tokens) is None

    def rank(self, endpoints: Sequence[Endpoint], asked: Asked, taste: Taste, at: float, dice: Dice) -> list[Ranked]:
        """The endpoints of one model in order."""
        self._catch_up()
        loads = {each.id: self.standing(each).in_flight for each in endpoints}
        return self.chooser.rank(endpoints, asked, taste, loads, at, dice)

    def seat(self, rows: Sequence[Ranked], tokens: int, now: float, *, place: Place | None = None) -> Arranged:
        """Which key each endpoint is asked with. What takes no call now comes last, the soonest first.

        The last of all are those whom a limit of the configuration holds back: it is not for the call to pass over.
        `place` is that of a call that has waited.
        """
        ready: list[tuple[Ranked, int]] = []
        broken: list[_Late] = []
        limited: list[_Late] = []
        held: list[_Late] = []
        for row in rows:
            standing = self.standing(row.endpoint)
            works = standing.breaker.may_try(now)
            is_behind = self.line.is_behind(row.endpoint, place)
            for number in self._in_turn(standing, tokens, now):
                key, free_at = standing.keys[number], standing.allowances[number].may_send(now, tokens)
                if is_behind:
                    held.append((inf, row, number))
                elif free_at is not None:
                    is_held = standing.allowances[number].held_until(now, tokens) > now
                    (held if is_held else limited).append((free_at, row, number))
                elif works and key.may_try(now):
                    ready.append((row, number))
                else:
                    broken.append((max(standing.breaker.open_until, key.open_until), row, number))
        for late in (broken, limited, held):
            late.sort(key=_when)  # those that are asked in spite of what they have said are asked in this order
        wait, is_refused, is_held = 0.0, False, False
        if not ready and not broken and rows:
            wait, is_refused, is_held = self._wait(limited, held, now, insists=place is not None and place.insists)
        seats = [*ready, *((row, number) for _, row, number in (*broken, *limited, *held))]
        return Arranged(
            tuple(row.endpoint for row, _ in seats),
            tuple(number for _, number in seats),
            tuple(row for row, _ in seats),
            len(ready),
            wait,
            is_refused,
            is_held,
        )

    def _wait(
        self, limited: Sequence[_Late], held: Sequence[_Late], now: float, *, insists: bool
    ) -> tuple[float, bool, bool]:
        """How long to wait for an endpoint where all are at a limit, whether that is too long, and whether in line.

        What the configuration says holds always (`held`), and those who wait for it go first. What a provider has said
        (`limited`) is believed when it has said so again; then one call a second is sent all the same, and few wait
        for their turn.
        """
        soonest = inf
        for free_at, row, _ in limited:
            standing = self.standing(row.endpoint)
            if insists:
                return 0.0, False, False
            if free_at - now <= SHORT:
                return free_at - now, False, False
            if standing.refusals < BELIEVED_FROM:
                return 0.0, False, False
            turn = max(now, standing.probe_at)
            if turn - now <= QUEUE:
                standing.probe_at = turn + PROBE_EVERY
                return turn - now, False, False
            soonest = min(soonest, free_at, turn)
        if not held:
            return soonest - now, True, False
        wait = inf if held[-1][0] == inf else held[0][0] - now
        if WAIT_MAX < wait < inf:
            return min(wait, soonest - now), True, False
        return wait, False, True

    @staticmethod
    def _in_turn(standing: Standing, tokens: int, now: float) -> list[int]:
        """The numbers of an endpoint's keys, each call with another one in front."""
        count = len(standing.keys)
        standing.turn = (standing.turn + 1) % count
        numbers = [(standing.turn + each) % count for each in range(count)]
        if count > SEATS_MAX and standing.has_limits:
            allowances = standing.allowances
            numbers.sort(key=lambda number: allowances[number].held_until(now, tokens) > now)
        return numbers[:SEATS_MAX]

    # -- what is known -----------------------------------------------------------------------------------

    def learn(self, samples: Sequence[Sample]) -> None:
        """Takes note of what this worker's own attempts were like; who chooses next will know it."""
        if len(self._outbox) < OUTBOX_MAX:
            self._outbox += samples

    def _catch_up(self) -> None:
        """Samples are looked at when somebody chooses by them: for most models there is nothing to choose."""
        if self._known < len(self._outbox):
            self.board.take(self._outbox[self._known :])
            self._known = len(self._outbox)

    def hear(self, samples: Iterable[Sample]) -> None:
        """Takes in what other workers' attempts were like."""
        self.board.take(samples)

    def take_outbox(self, now: float) -> list[Sample]:
        """What the others are to be told: the samples since the last time, fewer and heavier where there were many."""
        told = thinned(self._outbox, TOLD_MOST)
        if not self._known:
            self.board.take(told)
        else:
            self._catch_up()
        self._outbox = []
        self._known = 0
        if len(self._standings) > STANDINGS_MAX:
            self._standings = {name: each for name, each in self._standings.items() if each.matters}
        for standing in self._standings.values():
            standing.told = 0
            if not standing.is_calm:
                standing.settle_down(now)
        return told

    @property
    def breakers(self) -> Mapping[str, int]:
        """The state of each endpoint's breaker by its id, as `tokenway_breaker_state` has it."""
        return {name: int(standing.breaker.state) for name, standing in self._standings.items()}
