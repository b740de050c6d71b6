"""Calls that wait for a lease: who stands in which line, what is wanted for them, and who goes on.

Calls have numbers in the order in which they came. In the line of a lease they stand by them, and nobody passes by who
came earlier, so that the oldest of all is never kept up by others. What is wanted of the control process is wanted once
for all who stand in a line (`Want`); what comes later is wanted after the answer.

While it cannot be asked, nobody knows whether money is left: what its lease does not hold gets 503 and not 402. Where
it has just died, such calls wait for the next one first, for `MEND_SECONDS` in all.

Times are monotonic seconds, but for those of a limit's period, which are Unix time.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Final

from tokenway.edge import refusals
from tokenway.edge.claims import Call, Claim
from tokenway.edge.stocks import CONCURRENCY, MEND_SECONDS, Stock, Stocks
from tokenway.model.errors import Problem
from tokenway.model.limits import OnOutage
from tokenway.model.snapshot import Snapshot

log = logging.getLogger("tokenway.edge")

WAITING_MAX: Final = 4000
"""Calls that wait at most in one worker; beyond it they are refused at once."""
KEY_MAX: Final = WAITING_MAX // 4
"""Calls of one key that wait at most."""
GATHER_SECONDS: Final = 1.0
"""How long a call waits while others give back what they hold of a limit that is counted in the books."""
AGAIN_SECONDS: Final = 0.1
"""When to ask again for a place among calls under way, where nobody knows when one will be free."""
SERVE: Final = OnOutage.SERVE


class Waiting:
    """All who wait for a lease in one worker."""

    def __init__(self, stocks: Stocks, soon: Callable[[Callable[[], None]], object]) -> None:
        """`soon` calls something in a turn of the loop of its own."""
        self._stocks = stocks
        self._soon = soon
        self._busy: dict[Stock, None] = {}
        """Leases that were asked for, or in whose line somebody stands."""
        self._of_key: Counter[str] = Counter()
        """How many calls wait, by key."""
        self._count = 0
        self._queue = 0.0
        self._workers = 1

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a new snapshot: for how long calls may wait for a rate, and who else serves them."""
        self._queue = snapshot.queue
        self._workers = max(1, snapshot.workers)

    def wait(self, call: Call, claim: Claim, stock: Stock, now: float, mono: float) -> None:
        """A call cannot go on at once: it stands in line, unless too many do, or it is known to be in vain."""
        key_id = call.principal.key_id
        if self._count >= WAITING_MAX or self._of_key[key_id] >= KEY_MAX:
            call.refused(refusals.crowded())
            return
        for other, needed in claim.needs:
            if other.is_fleeting and (needed > other.limit.amount or (other is stock and self._is_dry(stock, now))):
                call.refused(refusals.used_up(other, needed, call, now))
                return
        claim.call = call
        claim.began = mono
        claim.until = (call.asked_at or mono) + self._queue
        self._count += 1
        self._of_key[key_id] += 1
        for other, _ in claim.needs:
            other.awaited += 1
        self._stand(claim, stock)

    def ask(self, stock: Stock) -> None:
        """Wants what those in line need of a lease, or more of it ahead."""
        if self._stocks.is_cut:
            self._serve_blind(stock)
            return
        number = stock.want = self._stocks.next_number()
        self._busy[stock] = None
        least = 0
        for claim in stock.line or ():
            claim.asked = number
            needed = claim.needs_of(stock)
            if needed <= stock.limit.amount:  # else it is only to be told what there is
                least += needed or 1
        self._stocks.want(stock, stock.lacks(least, time.time()) if least else 0)

    def serve_soon(self, stock: Stock) -> None:
        """Something of a lease came back: who waits for it goes on, after whoever brought it."""
        if stock.line and not stock.serves_soon:
            stock.serves_soon = True
            self._soon(lambda: self._serve_now(stock))

    def withdraw(self, claim: Claim, stock: Stock) -> None:
        """A caller is gone that stood in this lease's line."""
        self._leave(claim, stock)
        self.serve_soon(stock)

    def answered(self, stock: Stock, *, ok: bool) -> None:
        """What was wanted of a lease was answered, or nobody can say what is left of it."""
        if ok:
            self._serve(stock)
        else:
            self._serve_blind(stock)
        self._settle_down(stock)

    def sweep(self, mono: float) -> None:
        """Looks at who waits: for an answer that does not come, or for a moment that has."""
        for stock in list(self._busy):
            if not stock.want:
                if stock.line and stock.again_at <= mono:
                    self.ask(stock)
            elif self._stocks.is_overdue(stock, mono):
                log.warning("nobody says what is left of a limit", extra={"limit": stock.id})
                self._serve_blind(stock)
            self._settle_down(stock)

    @property
    def is_any(self) -> bool:
        """Whether something is to be looked at by `sweep`."""
        return bool(self._busy)

    # -- lines -------------------------------------------------------------------------------------------

    def _is_dry(self, stock: Stock, now: float) -> bool:
        """Whether it is known that there is nothing before a moment for which nobody waits here."""
        if stock.line or self._queue or stock.want or stock.measure is CONCURRENCY:
            return False
        return stock.left <= 0 and stock.is_current(now) and stock.due_at > monotonic()

    def _stand(self, claim: Claim, stock: Stock) -> None:
        """Stands in the line of a lease, by its number, and sees to it that the line moves."""
        line = stock.line
        if line is None:
            line = stock.line = deque()
        at = len(line)
        while at and line[at - 1].number > claim.number:
            at -= 1
        line.insert(at, claim)
        claim.waits_for = stock
        self._busy[stock] = None
        if not stock.want and stock.again_at <= monotonic():
            self.ask(stock)

    def _move(self, claim: Claim, stock: Stock, other: Stock) -> None:
        """Goes from the line of one lease into that of another."""
        if stock.line is not None:
            stock.line.remove(claim)
        self._stand(claim, other)

    def _leave(self, claim: Claim, stock: Stock) -> Call:
        """Leaves a line, and waits no more; gives whose claim it is."""
        if stock.line is not None:
            stock.line.remove(claim)
        claim.waits_for = None
        for other, _ in claim.needs:
            other.awaited -= 1
        self._count -= 1
        call = claim.call
        del claim.call
        key_id = call.principal.key_id
        self._of_key[key_id] -= 1
        if not self._of_key[key_id]:
            del self._of_key[key_id]
        return call

    def _lacking(self, claim: Claim, now: float) -> Stock | None:
        """The first lease that does not hold what a call needs, or for which an older one waits; None where all do."""
        for stock, needed in claim.needs:
            line = stock.line
            if not stock.holds(needed, now) or (line and line[0].number < claim.number):
                return stock
        return None

    def _serve(self, stock: Stock) -> None:
        """Lets those go on who are first in a line, as long as they can, and refuses who waits in vain."""
        if self._stocks.is_cut:
            self._serve_blind(stock)
            return
        while stock.line:
            now, claim = time.time(), stock.line[0]
            lacking = self._lacking(claim, now)
            if lacking is None:
                self._admit(claim, stock, now)
            elif lacking is not stock:
                self._move(claim, stock, lacking)
            elif stock.want:
                return
            elif claim.asked != stock.answered or self._is_late(claim, stock, now):
                self.ask(stock)
            elif self._goes_on_waiting(claim, stock):
                return
            else:
                self._refuse(claim, stock, refusals.used_up(stock, claim.needs_of(stock), claim.call, now))

    def _serve_blind(self, stock: Stock) -> None:
        """Nobody says what is left: those in line go on with what there is, or a share of it, or are refused."""
        if stock.line and stock.is_fleeting and not stock.is_single:
            self._stocks.take_share(stock, self._workers)
        while stock.line:
            now, claim = time.time(), stock.line[0]
            if stock.is_single:
                # How deep, or how often, is not known: as far as this limit goes, it is let go.
                claim.spare(stock)
            lacking = self._lacking(claim, now)
            if claim.call.principal.on_outage is not SERVE:
                if self._waits_for_control(claim):
                    return
                self._refuse(claim, stock, refusals.away())
            elif lacking is None:
                self._admit(claim, stock, now)
            elif lacking is not stock:
                self._move(claim, stock, lacking)
            elif not stock.is_fleeting:
                if self._waits_for_control(claim):
                    return
                self._refuse(claim, stock, refusals.away())
            elif self._goes_on_waiting(claim, stock):
                return
            else:
                self._refuse(claim, stock, refusals.used_up(stock, claim.needs_of(stock), claim.call, now))

    def _admit(self, claim: Claim, stock: Stock, now: float) -> None:
        call = self._leave(claim, stock)
        claim.draw(monotonic())
        try:
            call.admitted(now)
        except Exception as error:  # noqa: BLE001 - whatever one of them meets, the others go on
            call.broke(error)

    def _refuse(self, claim: Claim, stock: Stock, problem: Problem) -> None:
        call = self._leave(claim, stock)
        try:
            call.refused(problem)
        except Exception as error:  # noqa: BLE001 - the same
            call.broke(error)

    def _waits_for_control(self, claim: Claim) -> bool:
        """Whether there may soon be somebody to ask again; `sweep` looks for it."""
        mono = monotonic()
        return self._stocks.may_mend(mono) and mono < claim.began + MEND_SECONDS

    @staticmethod
    def _is_late(claim: Claim, stock: Stock, now: float) -> bool:
        """Whether the answer is about a period that has ended meanwhile; not for ever, whatever clocks say."""
        return not stock.is_current(now) and monotonic() < claim.began + GATHER_SECONDS

    @staticmethod
    def _goes_on_waiting(claim: Claim, stock: Stock) -> bool:
        """Whether there may be more in time for a call that was not granted enough; then it is asked for again."""
        if stock.is_single or claim.needs_of(stock) > stock.limit.amount:
            return False
        due = stock.due_at
        if stock.measure is CONCURRENCY:
            due = due or monotonic() + AGAIN_SECONDS
        until = claim.until if stock.is_fleeting else claim.began + GATHER_SECONDS
        if not due or due > until:
            return False
        stock.again_at = due
        return True

    def _serve_now(self, stock: Stock) -> None:
        stock.serves_soon = False
        self._serve(stock)
        self._settle_down(stock)

    def _settle_down(self, stock: Stock) -> None:
        """Forgets that somebody waits where nobody does."""
        if not stock.line and not stock.want:
            self._busy.pop(stock, None)
