"""The line: calls that wait for a limit of the configuration, each worker's own.

    stand ──▶ waits ──┬── an attempt at one of its endpoints ends, or a minute's limit has room ──▶ its turn
                      ├── a snapshot is put in force ─────────────────────────────────────────────▶ planned anew
                      ├── `until` ────────────────────────────────────────────────────────────────▶ refused
                      └── the caller leaves ──────────────────────────────────────────────────────▶ forgotten

Each endpoint has a line in the order in which calls came, and a call stands in those of all endpoints that may serve
it. Whoever is first in one gets its next place: a newcomer passes nobody by, and who is planned in vain stands again
where it stood. Only the first is looked at when there may be room, and only one that has room is planned, so that a
place that becomes free costs one plan however many wait. Nobody looks for room by the clock.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable
from math import inf
from operator import attrgetter
from time import monotonic
from typing import Final

from tokenway.model.catalog import Endpoint

LINE_MAX: Final = 4000
"""Calls that wait at most; beyond it they are refused at once."""
KEY_MAX: Final = LINE_MAX // 4
"""Calls of one key that wait at most: nobody fills the line alone."""
TOKENS_MAX: Final = 64 << 20
"""Tokens of the requests that wait at most: 256 MiB, as four bytes are taken for one."""
AGAIN: Final = 1.0
"""Seconds until a call is planned again that had room and yet could not go."""
RENEWED: Final = 100
"""Calls that are planned anew in one turn of the loop after a snapshot."""
_number = attrgetter("number")

RoomAt = Callable[[Endpoint, int, float], float]
"""When an endpoint takes a call of so many tokens under its configured limits; `inf` when another has to end first."""


class Place:
    """A call that has to wait, and what is to be done when its turn has come."""

    __slots__ = (
        "caller",
        "endpoints",
        "go",
        "insists",
        "key",
        "not_before",
        "number",
        "ring_at",
        "timer",
        "tokens",
        "until",
    )

    def __init__(self, caller: object, until: float, go: Callable[[Place], None], key: str = "") -> None:
        """`go` plans and begins it, or has it stand again; from `until` on it must not. `key` is whose it is."""
        self.caller = caller
        self.key = key
        self.until = until
        self.go = go
        self.insists = False
        """Whether it has waited its turn to be sent in spite of what a provider has said."""
        self.number = inf
        """Its place among all; nobody's before it has stood."""
        self.endpoints: tuple[Endpoint, ...] = ()
        """Where it stands in line; empty while it does not."""
        self.tokens = 0
        self.not_before = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.ring_at = inf


class Line:
    """All who wait in one worker. Times are monotonic seconds."""

    def __init__(
        self,
        room_at: RoomAt,
        clock: Callable[[], float] = monotonic,
        loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.get_running_loop,
    ) -> None:
        self._room_at = room_at
        self._clock = clock
        self._loop = loop
        self._lines: dict[str, list[Place]] = {}
        self._places: dict[object, Place] = {}
        self._of_key: Counter[str] = Counter()
        self._tokens = 0
        self._count = 0
        self._freed: dict[str, None] = {}
        """Endpoints in whose line the first may have room."""
        self._stale: deque[Place] = deque()
        """Those that were planned by an older snapshot."""
        self._is_called = False

    def __len__(self) -> int:
        return len(self._places)

    def is_behind(self, endpoint: Endpoint, place: Place | None) -> bool:
        """Whether others have waited longer for an endpoint; None for a call that has not waited."""
        line = self._lines.get(endpoint.id)
        return line is not None and (place is None or line[0].number < place.number)

    def stand(self, place: Place, endpoints: Iterable[Endpoint], tokens: int) -> bool:
        """Has a call wait for the first of these endpoints that takes it; False when too many wait."""
        is_full = len(self._places) >= LINE_MAX or self._tokens + tokens > TOKENS_MAX
        if is_full or self._of_key[place.key] >= KEY_MAX:
            return False
        if place.number == inf:
            self._count += 1
            place.number = self._count
        place.endpoints = tuple({each.id: each for each in endpoints}.values())
        place.tokens = tokens
        self._places[place.caller] = place
        self._of_key[place.key] += 1
        self._tokens += tokens
        for each in place.endpoints:
            insort(self._lines.setdefault(each.id, []), place, key=_number)
        now = self._clock()
        self._ring_at(place, self._due(place, now), now)
        return True

    def left(self, caller: object) -> None:
        """A caller is gone; it may never have waited."""
        place = self._places.get(caller)
        if place is not None:
            self._leave(place)

    def freed(self, endpoint: str) -> None:
        """An attempt at an endpoint is over."""
        if endpoint in self._lines:
            self._freed[endpoint] = None
            self._call()

    def renew(self) -> None:
        """A snapshot was put in force: what may serve a call, and how many, may be different now."""
        self._stale = deque(sorted(self._places.values(), key=_number))
        self._call()

    def _leave(self, place: Place) -> None:
        del self._places[place.caller]
        self._of_key[place.key] -= 1
        if not self._of_key[place.key]:
            del self._of_key[place.key]
        self._tokens -= place.tokens
        for each in place.endpoints:
            line = self._lines[each.id]
            at = bisect_left(line, place.number, key=_number)
            del line[at]
            if not line:
                del self._lines[each.id]
            elif at == 0:
                self._freed[each.id] = None
        place.endpoints = ()
        if place.timer is not None:
            place.timer.cancel()
            place.timer = None
        self._call()

    def _call(self) -> None:
        """Has the line looked at in a turn of the loop of its own: whoever says that there is room goes on first."""
        if not self._is_called and (self._freed or self._stale):
            self._is_called = True
            self._loop().call_soon(self._serve)

    def _serve(self) -> None:
        freed, stale = self._freed, self._stale
        try:
            for _ in range(min(RENEWED, len(stale))):
                place = stale.popleft()
                if place.endpoints:
                    self._again(place)
            while freed:
                endpoint = next(iter(freed))
                del freed[endpoint]
                self._advance(endpoint)
        finally:
            self._is_called = False
            self._call()

    def _advance(self, endpoint: str) -> None:
        """Lets those go who are first in an endpoint's line, as long as there is room for them."""
        while line := self._lines.get(endpoint):
            place, now = line[0], self._clock()
            due = self._due(place, now)
            if due > now and not self._is_vain(place, due, now):
                self._ring_at(place, due, now)
                return
            self._again(place)
            if place.endpoints:
                due = self._due(place, now)
                if due <= now or self._is_vain(place, due, now):
                    due = place.not_before = now + AGAIN
                self._ring_at(place, due, now)
                return

    def _is_vain(self, place: Place, due: float, now: float) -> bool:
        """Whether it is known to be too late for a call when there is room: it need not wait to hear that."""
        is_too_late = place.until < due < inf and place.not_before <= now
        return is_too_late and all(self._lines[each.id][0] is place for each in place.endpoints)

    def _again(self, place: Place) -> None:
        self._leave(place)
        place.go(place)

    def _due(self, place: Place, now: float) -> float:
        """When there is room for a call where it is the first in line."""
        lines, room_at = self._lines, self._room_at
        firsts = [each for each in place.endpoints if lines[each.id][0] is place]
        return max(place.not_before, min([room_at(each, place.tokens, now) for each in firsts], default=inf))

    def _ring_at(self, place: Place, due: float, now: float) -> None:
        at = min(due, place.until)
        if place.timer is not None:
            if place.ring_at == at:
                return
            place.timer.cancel()
        place.ring_at = at
        place.timer = self._loop().call_later(max(0.0, at - now), self._ring, place)

    def _ring(self, place: Place) -> None:
        """A minute's limit has room for it, or its time is over."""
        place.timer = None
        now = self._clock()
        if now >= place.until:
            self._again(place)
            return
        self._ring_at(place, place.until, now)
        for each in place.endpoints:
            self.freed(each.id)
