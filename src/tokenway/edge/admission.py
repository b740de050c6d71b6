"""Who may go on: every call draws what it can take at most from the leases of its limits, all of them or none.

    reserve ──▶ every lease holds it ─────────────────────────────────────▶ admitted, in the same turn
            └─▶ one does not, or others wait for it ──▶ stands in its line
                     ├── a lease is granted, or something comes back, and all hold it ──▶ admitted
                     ├── another one lacks ─────────────────────────────────────────────▶ stands in that line
                     ├── there is no more ──────────────────▶ refused, or it waits for the next window
                     └── the caller leaves ─────────────────────────────────────────────▶ forgotten

Calls have numbers in the order in which they came. In the line of a lease they stand by them, and nobody passes by who
came earlier, so that the oldest of all is never kept up by others. What is wanted of the control process is wanted once
for all who stand in a line (`Want`); what comes later is wanted after the answer.

While the control process cannot be asked, a project's calls are served on what leases hold, and of rates on the
worker's share of the limit; or they are refused. Nobody knows then whether money is left, so what its lease does not
hold gets 503 and not 402.

Times are monotonic seconds, but for those of a limit's period, which are Unix time.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from tokenway.edge import refusals
from tokenway.edge.claims import Call, Claim, Rules, digest_of, most_of, rules_of, tokens_of, tokens_of_run, took_of
from tokenway.edge.stocks import CONCURRENCY, DEPTH, LOOPS, Stock, Stocks
from tokenway.metering.ledger import Draw, Line
from tokenway.model.errors import Problem
from tokenway.model.limits import Limit, OnOutage
from tokenway.model.link import Granted, Return, Want
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
RULES_MAX: Final = 10_000
"""Rules kept at a time: callers can invent names of models."""
SERVE: Final = OnOutage.SERVE
NO_RULES: Final = Rules((), ())
_NO_TOKENS: Final = (0, 0)


class Admission:
    """Who may go on in one worker."""

    def __init__(
        self,
        send: Callable[[Want | Return], None] = lambda _message: None,
        soon: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        """`send` gives a message to the control process; `soon` calls something in a turn of the loop of its own."""
        self._soon = soon
        self._stocks = Stocks(send)
        self._limits: dict[str, Limit] = {}
        self._model_limits: dict[str, tuple[str, ...]] = {}
        self._rules: dict[tuple[tuple[str, ...], str], Rules] = {}
        """By the ids of a key's limits, and the model."""
        self._busy: dict[Stock, None] = {}
        """Leases that were asked for, or in whose line somebody stands."""
        self._claims = 0
        self._waiting: Counter[str] = Counter()
        """How many calls wait, by key."""
        self._waits = 0
        self._queue = 0.0
        self._workers = 1

    # -- the configuration -------------------------------------------------------------------------------

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a new snapshot: what is left of a limit that has another amount, or is gone, goes back."""
        self._limits = snapshot.limits
        self._model_limits = snapshot.model_limits
        self._queue = snapshot.queue
        self._workers = max(1, snapshot.workers)
        self._rules.clear()
        for stock in self._stocks.all:
            limit = snapshot.limits.get(stock.limit.id)
            if limit == stock.limit and not stock.is_gone:
                continue
            self._stocks.give_back(stock)
            stock.is_gone = limit is None
            if limit is not None:
                stock.use(limit)
            else:
                for claim in stock.line or ():  # it keeps nobody any more
                    claim.spare(stock)
                self._serve_soon(stock)
            self._stocks.drop(stock)

    # -- calls -------------------------------------------------------------------------------------------

    def reserve(self, call: Call, amount: int) -> None:
        """Asks for a call that can cost `amount` nano-dollars; the call hears whether it is admitted, now or later."""
        limits = call.principal.limits
        rules = self._rules.get((limits, call.counted)) if limits or self._model_limits else NO_RULES
        self._reserve(call, amount, rules or self._rules_of(limits, call.counted))

    def reserve_more(self, call: Call, amount: int) -> None:
        """The same for the limits of its model alone: for a call whose key's are drawn from already."""
        self._reserve(call, amount, self._rules_of((), call.counted))

    def _reserve(self, call: Call, amount: int, rules: Rules) -> None:
        now, stocks = time.time(), self._stocks
        mono = monotonic()
        if call.principal.on_outage is not SERVE and stocks.is_blind(mono):
            call.refused(refusals.away())
            return
        claim = None if rules is NO_RULES else self._claim(call, amount, rules)
        if claim is None:
            call.admitted(now)
            return
        call.claim = claim
        for stock, needed in claim.needs:
            if stock.line or not stock.holds(needed, now):
                self._wait(call, claim, stock, now, mono)
                return
        claim.draw(mono)
        for stock, _ in claim.needs:
            # By the first two, nearly always not.
            if stock.left < stock.chunk and stock.is_low and stock.asks_ahead and not stock.want and not stocks.is_cut:
                self._ask(stock)
        call.admitted(now)

    def close(self, claim: Claim, spent: int, lines: Sequence[Line], model: str) -> tuple[Draw, ...]:
        """A call is over that cost `spent`, for which `model` pays: what it did not use comes back.

        Gives what the books are to say of it, which is of limits that are counted from them.
        """
        draws = []
        took = took_of(spent, tokens_of(lines) if claim.counts_tokens else None)
        for stock, drawn, stretch in claim.give_up():
            used = took[stock.kind]
            if stock.limit.per_run:
                used = took_of(spent, tokens_of_run(lines))[stock.kind]
            if used is None:
                used = drawn if stock.is_fleeting else 0
            if stock.model and stock.model != model:
                used = 0
            self._stocks.close(stock, drawn, stretch, used)
            if stock.line:
                self._serve_soon(stock)
            if not stock.is_fleeting:
                draws.append(Draw(stock.id, stretch.period, used))
        return tuple(draws)

    def undo(self, claim: Claim) -> None:
        """A call that was admitted does not go on, and nothing is owed: all of it comes back."""
        for stock, drawn, stretch in claim.give_up():
            self._stocks.close(stock, drawn, stretch, 0)
            self._serve_soon(stock)

    def withdraw(self, claim: Claim) -> None:
        """A caller that waits is gone."""
        stock = claim.waits_for
        if stock is not None:
            self._leave(claim, stock)
            self._serve_soon(stock)

    def bounds(self, model: str) -> bool:
        """Whether a model has limits of its own."""
        return model in self._model_limits

    # -- the control process -----------------------------------------------------------------------------

    def granted(self, message: Granted) -> None:
        """An answer has come; who waits for it goes on before anything else happens."""
        stock = self._stocks.answered(message)
        if stock is not None:
            if message.ok:
                self._serve(stock)
            else:
                self._serve_blind(stock)
            self._settle_down(stock)

    def recall(self, limits: tuple[str, ...]) -> None:
        """Others have nothing left of these limits: what is not used of them goes back."""
        self._stocks.recall(limits)

    def cut(self) -> None:
        """The control process is gone: nobody answers what it was asked."""
        for stock in self._stocks.cut():
            self._serve_blind(stock)
            self._settle_down(stock)

    def mended(self) -> None:
        """There is a control process again."""
        self._stocks.mended()

    # -- time --------------------------------------------------------------------------------------------

    def sweep(self, mono: float) -> None:
        """Looks at who waits: for an answer that does not come, or for a moment that has."""
        for stock in list(self._busy):
            if not stock.want:
                if stock.line and stock.again_at <= mono:
                    self._ask(stock)
            elif self._stocks.is_overdue(stock, mono):
                log.warning("nobody says what is left of a limit", extra={"limit": stock.id})
                self._serve_blind(stock)
            self._settle_down(stock)

    def tick(self, mono: float) -> None:
        """Once a second: gives back what nobody draws from."""
        self._stocks.tick(mono)

    def stop(self) -> None:
        """The worker ends: what is left goes back."""
        for stock in self._stocks.all:
            self._stocks.give_back(stock)

    @property
    def remaining(self) -> dict[str, int]:
        """What is left by the limit's id, for those who look at the worker from outside."""
        return self._stocks.remaining

    @property
    def is_waiting(self) -> bool:
        """Whether something is to be looked at by `sweep`."""
        return bool(self._busy)

    # -- what a call needs -------------------------------------------------------------------------------

    def _claim(self, call: Call, amount: int, rules: Rules) -> Claim | None:
        """What a call needs of leases; None where no limit counts for it."""
        if rules.age != self._stocks.age:
            of = self._stocks.of
            rules.stocks = tuple((stock, stock.kind) for stock in map(of, rules.common))
            rules.age = self._stocks.age
        most = most_of(amount, call.tokens_most() if rules.needs_tokens else _NO_TOKENS)
        needs = [(stock, most[kind]) for stock, kind in rules.stocks]
        if rules.per_run and call.run:
            of_run = (self._of_run(limit, call) for limit in rules.per_run)
            needs += [(stock, most[stock.kind]) for stock in of_run if stock is not None]
        if not needs:
            return None
        self._claims += 1
        return Claim(self._claims, needs, rules)

    def _rules_of(self, limits: tuple[str, ...], model: str) -> Rules:
        """These limits of a key, and those of a model."""
        key = (limits, model)
        rules = self._rules.get(key)
        if rules is None:
            if len(self._rules) >= RULES_MAX:
                self._rules.clear()
            names = dict.fromkeys((*limits, *self._model_limits.get(model, ())))
            rules = rules_of([self._limits[name] for name in names if name in self._limits])
            self._rules[key] = rules
        return rules

    def _of_run(self, limit: Limit, call: Call) -> Stock | None:
        """A run's lease of a limit that holds for each; None where it does not concern this call."""
        detail: tuple[str, ...] = ()
        if limit.measure is DEPTH:
            trace = call.trace
            if trace is None or not trace.agent:
                return None  # the run's own agent is at the top
            detail = (trace.agent, trace.parent)
        elif limit.measure is LOOPS:
            detail = (digest_of(call.content),)
        return self._stocks.of_run(limit, call.principal.key_id, call.run, detail)

    # -- waiting -----------------------------------------------------------------------------------------

    def _wait(self, call: Call, claim: Claim, stock: Stock, now: float, mono: float) -> None:
        """A call cannot go on at once: it stands in line, unless too many do, or it is known to be in vain."""
        key_id = call.principal.key_id
        if self._waits >= WAITING_MAX or self._waiting[key_id] >= KEY_MAX:
            call.refused(refusals.crowded())
            return
        for other, needed in claim.needs:
            if other.is_fleeting and (needed > other.limit.amount or (other is stock and self._is_dry(stock, now))):
                call.refused(refusals.used_up(other, needed, call, now))
                return
        claim.call = call
        claim.began = mono
        claim.until = (call.asked_at or mono) + self._queue
        self._waits += 1
        self._waiting[key_id] += 1
        for other, _ in claim.needs:
            other.awaited += 1
        self._stand(claim, stock)

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
            self._ask(stock)

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
        self._waits -= 1
        call = claim.call
        del claim.call
        key_id = call.principal.key_id
        self._waiting[key_id] -= 1
        if not self._waiting[key_id]:
            del self._waiting[key_id]
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
                self._ask(stock)
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
                self._refuse(claim, stock, refusals.away())
            elif lacking is None:
                self._admit(claim, stock, now)
            elif lacking is not stock:
                self._move(claim, stock, lacking)
            elif not stock.is_fleeting:
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

    def _ask(self, stock: Stock) -> None:
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

    def _serve_soon(self, stock: Stock) -> None:
        """Something of a lease came back: who waits for it goes on, after whoever brought it."""
        if stock.line and not stock.serves_soon:
            stock.serves_soon = True
            self._soon(lambda: self._serve_now(stock))

    def _serve_now(self, stock: Stock) -> None:
        stock.serves_soon = False
        self._serve(stock)
        self._settle_down(stock)

    def _settle_down(self, stock: Stock) -> None:
        """Forgets that somebody waits where nobody does."""
        if not stock.line and not stock.want:
            self._busy.pop(stock, None)
