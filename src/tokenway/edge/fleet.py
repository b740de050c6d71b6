"""The endpoints as one worker sees them: how fast, how reliable, how busy each is, and what it still takes.

    before a call   `rank` puts the endpoints of a plan in order, `seat` says with which keys they are asked
    an attempt      `begin` gives a `Trip`, which hears of the head, of a failure, and of the end
    after a call    `learn` takes note of its attempts; `take_outbox` gives what the other workers are to be told

What outlives a snapshot lives here: speeds, breakers and allowances do not begin anew because a price has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Endpoint, EndpointLimits
from tokenway.model.sample import Sample
from tokenway.model.snapshot import Snapshot
from tokenway.routing import breaker
from tokenway.routing.breaker import Breaker
from tokenway.routing.choose import Asked, Chooser, Dice, Ranked, Taste
from tokenway.routing.hedge import HedgeBudget
from tokenway.routing.hints import NAMES, NONE, Hints, read_hints
from tokenway.routing.rate import Allowance, Call
from tokenway.routing.retry import RetryBudget, Scope, scope
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
CALM_AFTER: Final = 120.0
"""Seconds without a failure after which attempts at an endpoint are not kept count of any more."""
TOO_MANY: Final = 429
STANDINGS_MAX: Final = 4000
"""Endpoints that are kept count of; beyond it, those with which all is well begin anew: callers may invent models."""
OUTBOX_MAX: Final = 20_000
"""Samples that wait to be told; more than a worker makes before it is next asked for them."""


class Standing:
    """One endpoint: whether it works, what is under way there, and what each of its provider's keys may still send.

    A key can be good for one model and not for another, so that each endpoint has its own view of them. As long as
    nothing has ever gone wrong there and nobody has spoken of limits, it is calm, and attempts are not kept count of.
    """

    __slots__ = (
        "allowances",
        "breaker",
        "disturbed_at",
        "has_limits",
        "in_flight",
        "is_calm",
        "keys",
        "limits",
        "probe_at",
        "refusals",
        "told",
        "turn",
        "unsaid",
    )

    def __init__(self, endpoint: Endpoint, keys: int, workers: int) -> None:
        self.breaker = Breaker()
        self.in_flight = 0
        self.keys = [Breaker(breaker.CREDENTIAL) for _ in range(keys)]
        self.limits = endpoint.limits, workers
        self.has_limits = endpoint.limits != EndpointLimits()
        self.allowances = [Allowance(endpoint.limits, workers) for _ in range(keys)]
        self.is_calm = not self.has_limits
        self.disturbed_at = 0.0
        self.probe_at = 0.0
        """When the next call may be sent in spite of a limit."""
        self.refusals = 0
        """How often in a row it has said 429."""
        self.turn = 0
        """Which key is asked next: they take turns."""
        self.told = 0
        """Samples of it since the others were last told."""
        self.unsaid = 0.0
        """Attempts that the next sample stands for as well."""

    @property
    def matters(self) -> bool:
        """Whether something is under way there, or known that should not be forgotten."""
        return self.in_flight > 0 or self.has_limits or not self.breaker.is_closed

    def disturb(self, now: float) -> None:
        """Something went wrong: from here on attempts are kept count of."""
        self.is_calm = False
        self.disturbed_at = now

    def settle_down(self, now: float) -> None:
        """Nothing has gone wrong for long."""
        if (
            not self.has_limits
            and now - self.disturbed_at > CALM_AFTER
            and self.breaker.is_closed
            and all(key.is_closed for key in self.keys)
            and not any(allowance.is_limited for allowance in self.allowances)
        ):
            self.is_calm = True


class Trip:
    """One attempt on its way: what it has to say to those who keep count."""

    __slots__ = ("_call", "_credential", "_mine", "_standing", "_theirs", "_tokens", "is_over", "load")

    _mine: int
    _theirs: int

    def __init__(self, standing: Standing, credential: int, tokens: int, now: float) -> None:
        self._standing = standing
        self._credential = credential
        self._tokens = tokens
        self.load = standing.in_flight
        """How many others were under way there."""
        standing.in_flight += 1
        self.is_over = False
        self._call: Call | None = None
        if not standing.is_calm:
            self._track(now)

    def _track(self, now: float) -> Call:
        """Is kept count of from here on."""
        standing, credential = self._standing, self._credential
        mine, theirs = standing.breaker, standing.keys[credential]
        self._mine = mine.try_begun(now) if mine.may_try(now) else -1
        self._theirs = theirs.try_begun(now) if theirs.may_try(now) else -1
        call = self._call = standing.allowances[credential].sent(now, self._tokens)
        return call

    def answered(self, now: float, headers: Headers, at: float) -> None:
        """The head of an answer came that is no failure, at Unix time `at`."""
        standing, credential, call = self._standing, self._credential, self._call
        allowance = standing.allowances[credential]
        hints = NONE
        if headers.has_any(NAMES):
            if call is None:
                standing.disturb(now)
                call = self._track(now)
            if allowance.wants_hints(now):
                hints = read_hints(headers, at)
        if call is not None:
            standing.refusals = 0
            allowance.answered(call, now, hints)
            standing.keys[credential].succeeded(self._theirs, now)

    def succeeded(self, now: float) -> None:
        """The answer is whole, or as good as that: its first text is there."""
        if self._call is not None:
            self._standing.breaker.succeeded(self._mine, now)

    def failed(self, failure: UpstreamFailed, hints: Hints) -> None:
        """The attempt failed; `hints` is what its head said."""
        standing, credential, now = self._standing, self._credential, failure.at
        whose = scope(failure.fault, failure.status, failure.code)
        standing.disturb(now)
        call = self._call or self._track(now)
        if failure.status == TOO_MANY:
            standing.refusals += 1
            standing.allowances[credential].refused(call, now, failure.dice, failure.retry_after, hints)
        elif whose is Scope.CREDENTIAL:
            standing.keys[credential].failed(self._theirs, now, failure.dice)
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
            standing.allowances[self._credential].ended(call)
            standing.breaker.abandoned(self._mine)
            standing.keys[self._credential].abandoned(self._theirs)

    def weight(self) -> float:
        """What a sample of this attempt stands for; 0.0 where there are enough of its endpoint for now."""
        standing = self._standing
        standing.unsaid += 1.0
        if standing.told >= SAMPLES_MOST:
            return 0.0
        standing.told += 1
        weight, standing.unsaid = standing.unsaid, 0.0
        return weight


class Arranged(msgspec.Struct, frozen=True, gc=False):
    """Endpoints in the order in which they are tried, each with the number of the key to ask it with.

    `wait` is for how many seconds none of them takes a call, and `is_refused` whether it is not worth waiting for.
    """

    endpoints: tuple[Endpoint, ...]
    credentials: tuple[int, ...]
    rows: tuple[Ranked, ...] = ()
    wait: float = 0.0
    is_refused: bool = False


class Fleet:
    """All endpoints of one worker. Times are monotonic seconds; `at` is Unix time."""

    def __init__(self, now: float) -> None:
        self.board = Board()
        self.chooser = Chooser(self.board)
        self.retries = RetryBudget(now)
        self.hedges = HedgeBudget()
        self._standings: dict[str, Standing] = {}
        self._secrets: dict[str, tuple[str, ...]] = {}
        self._workers = 1
        self._outbox: list[Sample] = []
        self._known = 0
        """How many of these the board knows."""

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a snapshot: what is known stays, but for keys and limits that have changed."""
        self._workers = snapshot.workers
        for name, provider in snapshot.providers.items():
            secrets = tuple(secret.reveal() for secret in provider.api_keys)
            if self._secrets.get(name) != secrets:
                self._secrets[name] = secrets
                for identity in [each for each in self._standings if each.startswith(f"{name}/")]:
                    del self._standings[identity]

    def standing(self, endpoint: Endpoint) -> Standing:
        """How an endpoint stands."""
        standing = self._standings.get(endpoint.id)
        if standing is None or standing.limits != (endpoint.limits, self._workers):
            keys = max(1, len(self._secrets.get(endpoint.provider, ())))
            standing = self._standings[endpoint.id] = Standing(endpoint, keys, self._workers)
        return standing

    def begin(self, endpoint: Endpoint, credential: int, tokens: int, now: float) -> Trip:
        """An attempt starts; `tokens` is what it is expected to take."""
        return Trip(self.standing(endpoint), credential, tokens, now)

    def ready(self, endpoint: Endpoint, tokens: int, now: float) -> int | None:
        """The number of a key with which an endpoint takes a call now; None where none does, or not all is well."""
        standing = self.standing(endpoint)
        for number in self._in_turn(standing) if standing.breaker.is_closed else ():
            if standing.keys[number].is_closed and standing.allowances[number].may_send(now, tokens) is None:
                return number
        return None

    # -- the order ---------------------------------------------------------------------------------------

    def is_plain(self, endpoints: Sequence[Endpoint], now: float, tokens: int) -> bool:
        """Whether there is nothing to choose: one endpoint with one key, which takes a call."""
        if len(endpoints) != 1:
            return False
        standing = self.standing(endpoints[0])
        if len(standing.keys) != 1:
            return False
        return standing.is_calm or standing.allowances[0].may_send(now, tokens) is None

    def rank(self, endpoints: Sequence[Endpoint], asked: Asked, taste: Taste, at: float, dice: Dice) -> list[Ranked]:
        """The endpoints of one model in order."""
        self._catch_up()
        loads = {each.id: self.standing(each).in_flight for each in endpoints}
        return self.chooser.rank(endpoints, asked, taste, loads, at, dice)

    def seat(self, rows: Sequence[Ranked], tokens: int, now: float, *, insists: bool = False) -> Arranged:
        """Which key each endpoint is asked with. What takes no call now comes last, the soonest first.

        `insists` is whether the call has waited its turn to be sent in spite of what a provider has said.
        """
        ready: list[tuple[Ranked, int]] = []
        broken: list[tuple[float, Ranked, int]] = []
        limited: list[tuple[float, Ranked, int]] = []
        for row in rows:
            standing = self.standing(row.endpoint)
            works = standing.breaker.may_try(now)
            for number in self._in_turn(standing):
                key, free_at = standing.keys[number], standing.allowances[number].may_send(now, tokens)
                if free_at is not None:
                    limited.append((free_at, row, number))
                elif works and key.may_try(now):
                    ready.append((row, number))
                else:
                    broken.append((max(standing.breaker.open_until, key.open_until), row, number))
        broken.sort(key=lambda each: each[0])
        limited.sort(key=lambda each: each[0])  # those that are asked in spite of a limit are asked in this order
        wait, is_refused = 0.0, False
        if not ready and not broken and limited:
            wait, is_refused = self._wait(limited, tokens, now, insists=insists)
        seats = [*ready, *((row, number) for _, row, number in (*broken, *limited))]
        return Arranged(
            tuple(row.endpoint for row, _ in seats),
            tuple(number for _, number in seats),
            tuple(row for row, _ in seats),
            wait,
            is_refused,
        )

    def _wait(
        self, limited: Sequence[tuple[float, Ranked, int]], tokens: int, now: float, *, insists: bool
    ) -> tuple[float, bool]:
        """How long to wait for an endpoint where all are at a limit, and whether that is too long.

        What the configuration says holds always. What a provider has said is believed when it has said so again; then
        one call a second is sent all the same, and few wait for their turn.
        """
        soonest, queues = limited[0][0], [inf]
        for free_at, row, number in limited:
            standing = self.standing(row.endpoint)
            if standing.allowances[number].held_until(now, tokens) > now:
                continue
            if insists:
                return 0.0, False
            if free_at - now <= SHORT:
                return free_at - now, False
            if standing.refusals < BELIEVED_FROM:
                return 0.0, False
            turn = max(now, standing.probe_at)
            if turn - now <= QUEUE:
                standing.probe_at = turn + PROBE_EVERY
                return turn - now, False
            queues.append(turn)
        soonest = min(soonest, *queues)
        wait = (soonest if soonest < inf else now + PROBE_EVERY) - now
        return wait, wait > WAIT_MAX or len(queues) > 1

    @staticmethod
    def _in_turn(standing: Standing) -> list[int]:
        """The numbers of an endpoint's keys, each call with another one in front."""
        count = len(standing.keys)
        standing.turn = (standing.turn + 1) % count
        return [(standing.turn + each) % count for each in range(min(count, SEATS_MAX))]

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
