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

All times are monotonic seconds, but for those of a limit's period, which are Unix time.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from tokenway.edge import refusals
from tokenway.edge.claims import (
    CONCURRENCY,
    DEPTH,
    INPUT,
    LOOPS,
    OUTPUT,
    REQUESTS,
    USD,
    Call,
    Claim,
    Rules,
    Stock,
    digest_of,
    rules_of,
    run_instance,
    used_of,
)
from tokenway.metering.lease import Back
from tokenway.metering.ledger import Draw, Line
from tokenway.model.errors import Problem
from tokenway.model.limits import Limit, OnOutage, Term
from tokenway.model.link import Granted, Return, Want
from tokenway.model.snapshot import Principal, Snapshot

log = logging.getLogger("tokenway.edge")

WAITING_MAX: Final = 4000
"""Calls that wait at most in one worker; beyond it they are refused at once."""
KEY_MAX: Final = WAITING_MAX // 4
"""Calls of one key that wait at most."""
ANSWER_SECONDS: Final = 2.0
"""How long the control process has for an answer; then it is taken for away."""
GATHER_SECONDS: Final = 1.0
"""How long a call waits while others give back what they hold of a limit that is counted in the books."""
AGAIN_SECONDS: Final = 0.1
"""When to ask again for a place among calls under way, where nobody knows when one will be free."""
BLIND_SECONDS: Final = 1.0
"""How long an answer that control could not find out is believed: so long it counts as away."""
MINUTE: Final = 60
RULES_MAX: Final = 10_000
"""Rules kept at a time: callers can invent names of models."""
SERVE: Final = OnOutage.SERVE


class Admission:
    """The leases of one worker, and who waits for them."""

    def __init__(
        self,
        send: Callable[[Want | Return], None] = lambda _message: None,
        soon: Callable[[Callable[[], None]], object] = lambda work: work(),
    ) -> None:
        """`send` gives a message to the control process; `soon` calls something in a turn of the loop of its own."""
        self.send = send
        self._soon = soon
        self._stocks: dict[str, Stock] = {}
        self._limits: dict[str, Limit] = {}
        self._model_limits: dict[str, tuple[str, ...]] = {}
        self._rules: dict[tuple[tuple[str, ...], str], Rules] = {}
        self._asked: dict[int, Stock] = {}
        self._busy: dict[str, Stock] = {}
        """Those with a want that was not answered, or with somebody in line."""
        self._wants = 0
        self._claims = 0
        self._waiting: dict[str, int] = {}
        """How many calls wait, by key."""
        self._waits = 0
        self._queue = 0.0
        self._workers = 1
        self._is_cut = False
        self._blind_until = 0.0

    # -- the configuration -------------------------------------------------------------------------------

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a new snapshot: what a limit's lease holds of another amount, or of one that is gone, goes back."""
        self._limits = snapshot.limits
        self._model_limits = snapshot.model_limits
        self._queue = snapshot.queue
        self._workers = max(1, snapshot.workers)
        self._rules.clear()
        for stock in list(self._stocks.values()):
            limit = snapshot.limits.get(stock.limit.id)
            if limit == stock.limit and not stock.is_gone:
                continue
            self._return(stock, stock.give_back())
            if limit is not None:
                stock.is_gone = False
                stock.use(limit)
            elif not stock.is_gone:
                stock.is_gone = True
                for claim in stock.line or ():  # it holds nobody up any more
                    claim.needs = [need for need in claim.needs if need[0] is not stock]
                self._serve_soon(stock)
            self._drop(stock)

    # -- calls -------------------------------------------------------------------------------------------

    def reserve(self, call: Call, amount: int) -> None:
        """Asks for a call that can cost `amount` nano-dollars; the call hears whether it is admitted, now or later."""
        now = time.time()
        principal = call.principal
        if principal.on_outage is not SERVE and (self._is_cut or monotonic() < self._blind_until):
            call.refused(refusals.away())
            return
        if not principal.limits and not self._model_limits:
            call.admitted(now)
            return
        rules = self._rules_of(principal, call.model)
        self._claims += 1
        claim = Claim(call, self._claims, is_told=rules.is_told)
        self._need(claim, rules, amount)
        needs = claim.needs
        if not needs:
            call.admitted(now)
            return
        call.claim = claim
        for stock, needed in needs:
            if stock.line or not stock.holds(needed, now):
                self._wait(claim, stock, now)
                return
        mono = monotonic()
        claim.draw(mono)
        for stock, _ in needs:
            if stock.is_low and stock.asks_ahead and not stock.want and not self._is_cut:
                self._ask(stock)
        call.admitted(now)

    def close(self, claim: Claim, spent: int, lines: Sequence[Line]) -> tuple[Draw, ...]:
        """A call is over that cost `spent`: what it did not use comes back.

        Gives what the books are to say of it, which is of limits that are counted from them.
        """
        draws = []
        for stock, drawn, period in claim.give_up():
            used = used_of(stock, drawn, spent, lines)
            self._closed(stock, drawn, period, used)
            if not stock.is_fleeting:
                draws.append(Draw(stock.id, period, used))
        return tuple(draws)

    def undo(self, claim: Claim) -> None:
        """A call that was admitted does not go on, and nothing is owed: all of it comes back."""
        for stock, amount, period in claim.give_up():
            self._closed(stock, amount, period, 0)

    def withdraw(self, claim: Claim) -> None:
        """A caller that waits is gone."""
        stock = claim.waits_for
        if stock is not None:
            self._leave(claim, stock)
            self._serve_soon(stock)

    # -- the control process -----------------------------------------------------------------------------

    def granted(self, message: Granted) -> None:
        """An answer has come; who waits for it goes on before anything else happens."""
        stock = self._asked.pop(message.number, None)
        if stock is None:
            if message.amount > 0:
                self.send(Return(message.limit, message.period, message.amount))
            return
        stock.want = 0
        stock.answered = message.number
        if message.ok:
            back = stock.take(message.period, message.begins, message.ends, message.amount)
            stock.touched = monotonic()
            stock.remains, stock.wait = message.remains, message.wait
            stock.due_at = stock.touched + message.wait if message.wait else 0.0
            self._return(stock, back)
            self._serve(stock)
        else:
            self._blind_until = monotonic() + BLIND_SECONDS
            self._serve_blind(stock)
        self._settle_down(stock)

    def recall(self, limits: tuple[str, ...]) -> None:
        """Others have nothing left of these: what is not used of them goes back."""
        wanted = frozenset(limits)
        for stock in list(self._stocks.values()):
            if (stock.id in wanted or stock.limit.id in wanted) and not stock.line:
                self._return(stock, stock.give_back())

    def cut(self) -> None:
        """The control process is gone: nobody answers what it was asked."""
        self._is_cut = True
        asked, self._asked = self._asked, {}
        for stock in asked.values():
            stock.want = 0
            self._serve_blind(stock)
            self._settle_down(stock)

    def mended(self) -> None:
        """There is a control process again; it knows nothing of the calls that are under way."""
        if self._is_cut:
            self._is_cut = False
            self._blind_until = 0.0
            for stock in self._stocks.values():
                if stock.measure is CONCURRENCY:
                    stock.forgotten()

    # -- time --------------------------------------------------------------------------------------------

    def sweep(self, mono: float) -> None:
        """Looks at who waits: for an answer that does not come, or for a moment that has."""
        for stock in list(self._busy.values()):
            if stock.want:
                if mono - stock.asked_at > ANSWER_SECONDS:
                    del self._asked[stock.want]
                    stock.want = 0
                    self._blind_until = mono + BLIND_SECONDS
                    log.warning("the control process does not say what is left of a limit", extra={"limit": stock.id})
                    self._serve_blind(stock)
            elif stock.line and stock.again_at <= mono:
                self._ask(stock)
            self._settle_down(stock)

    def tick(self, mono: float) -> None:
        """Once a second: gives back what nobody draws from."""
        for stock in list(self._stocks.values()):
            if stock.is_idle(mono) and not stock.line and not stock.want:
                self._return(stock, stock.give_back())
                self._drop(stock)

    def stop(self) -> None:
        """The worker ends: what is left goes back."""
        for stock in self._stocks.values():
            self._return(stock, stock.give_back())

    @property
    def remaining(self) -> dict[str, int]:
        """What is left by the limit's id; not of single runs, of which there may be any number."""
        return {name: stock.left for name, stock in self._stocks.items() if not stock.run}

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._waits

    # -- what a call needs -------------------------------------------------------------------------------

    def _rules_of(self, principal: Principal, model: str) -> Rules:
        """The limits that count for this key and model."""
        key = (principal.limits, model)
        rules = self._rules.get(key)
        if rules is None:
            if len(self._rules) >= RULES_MAX:
                self._rules.clear()
            names = dict.fromkeys((*principal.limits, *self._model_limits.get(model, ())))
            rules = rules_of([self._limits[name] for name in names if name in self._limits])
            self._rules[key] = rules
        return rules

    def _need(self, claim: Claim, rules: Rules, amount: int) -> None:
        """Finds how much a call needs of which leases."""
        call, stocks = claim.call, self._stocks
        came_in, comes_out = call.tokens_most() if rules.needs_tokens else (0, 0)
        for limit in rules.common:
            stock = stocks.get(limit.id)
            if stock is None:
                stock = stocks[limit.id] = Stock(limit.id, limit)
            claim.needs.append((stock, _amount(limit, amount, came_in, comes_out)))
        if rules.per_run and call.run:
            for limit in rules.per_run:
                found = self._of_run(limit, call)
                if found is not None:
                    claim.needs.append((found, _amount(limit, amount, came_in, comes_out)))

    def _of_run(self, limit: Limit, call: Call) -> Stock | None:
        """A run's lease of a limit that holds for each; None where it does not concern this call."""
        key_id = call.principal.key_id
        name = identity = run_instance(limit.id, key_id, call.run)
        detail: tuple[str, ...] = ()
        if limit.measure is DEPTH:
            trace = call.trace
            if trace is None or not trace.agent:
                return None  # the run's own agent is at the top
            detail = (trace.agent, trace.parent)
            name = f"{name}#{trace.agent}"
        elif limit.measure is LOOPS:
            detail = (digest_of(call.content),)
            name = f"{name}#{detail[0]}"
        stock = self._stocks.get(name)
        if stock is None:
            stock = self._stocks[name] = Stock(name, limit, identity, key_id, call.run, detail)
            stock.touched = monotonic()
        return stock

    # -- waiting -----------------------------------------------------------------------------------------

    def _wait(self, claim: Claim, stock: Stock, now: float) -> None:
        """A call cannot go on at once: it stands in line, unless too many do."""
        key_id = claim.call.principal.key_id
        of_key = self._waiting.get(key_id, 0)
        if self._waits >= WAITING_MAX or of_key >= KEY_MAX:
            claim.call.refused(refusals.crowded())
            return
        for other, needed in claim.needs:
            if other.is_fleeting and (needed > other.limit.amount or (other is stock and self._is_dry(stock, now))):
                claim.call.refused(refusals.used_up(other, needed, claim.call, now))
                return
        claim.began = monotonic()
        claim.until = (claim.call.asked_at or claim.began) + self._queue
        self._waits += 1
        self._waiting[key_id] = of_key + 1
        self._stand(claim, stock)

    def _is_dry(self, stock: Stock, now: float) -> bool:
        """Whether it is known that there is nothing before a moment for which nobody waits here."""
        if stock.line or self._queue or stock.want or not stock.wait or stock.measure is CONCURRENCY:
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
        self._busy[stock.name] = stock
        if not stock.want and stock.again_at <= monotonic():
            self._ask(stock)

    def _leave(self, claim: Claim, stock: Stock) -> None:
        """Leaves a line, and waits no more."""
        if stock.line is not None:
            stock.line.remove(claim)
        claim.waits_for = None
        self._waits -= 1
        key_id = claim.call.principal.key_id
        self._waiting[key_id] -= 1
        if not self._waiting[key_id]:
            del self._waiting[key_id]

    def _lacking(self, claim: Claim, now: float) -> Stock | None:
        """The first lease that does not hold what a call needs, or for which an older one waits; None where all do."""
        for stock, needed in claim.needs:
            line = stock.line
            if not stock.holds(needed, now) or (line and line[0].number < claim.number):
                return stock
        return None

    def _serve(self, stock: Stock) -> None:
        """Lets those go on who are first in a line, as long as they can, and refuses who waits in vain."""
        while stock.line:
            now = time.time()
            claim = stock.line[0]
            lacking = self._lacking(claim, now)
            if lacking is None:
                self._admit(claim, stock, now)
            elif lacking is not stock:
                stock.line.popleft()
                self._stand(claim, lacking)
            elif stock.want:
                return
            elif claim.asked != stock.answered or self._is_late(claim, stock, now):
                self._ask(stock)
            elif not self._goes_on_waiting(claim, stock):
                needed = self._needed(claim, stock)
                self._refuse(claim, stock, refusals.used_up(stock, needed, claim.call, now))
            else:
                return

    def _admit(self, claim: Claim, stock: Stock, now: float) -> None:
        self._leave(claim, stock)
        claim.draw(monotonic())
        try:
            claim.call.admitted(now)
        except Exception as error:  # noqa: BLE001 - whatever one of them meets, the others go on
            claim.call.broke(error)

    def _refuse(self, claim: Claim, stock: Stock, problem: Problem) -> None:
        self._leave(claim, stock)
        try:
            claim.call.refused(problem)
        except Exception as error:  # noqa: BLE001 - the same
            claim.call.broke(error)

    @staticmethod
    def _is_late(claim: Claim, stock: Stock, now: float) -> bool:
        """Whether the answer is about a period that has ended meanwhile; not for ever, whatever clocks say."""
        return not stock.is_current(now) and monotonic() < claim.began + GATHER_SECONDS

    def _goes_on_waiting(self, claim: Claim, stock: Stock) -> bool:
        """Whether there may be more in time for a call that was not granted enough; then it is asked for again."""
        if stock.is_single or self._needed(claim, stock) > stock.limit.amount:
            return False
        due = stock.due_at
        if stock.measure is CONCURRENCY:
            due = due or monotonic() + AGAIN_SECONDS
        until = claim.until if stock.is_fleeting else claim.began + GATHER_SECONDS
        if not due or due > until:
            return False
        stock.again_at = due
        return True

    @staticmethod
    def _needed(claim: Claim, stock: Stock) -> int:
        return next(needed for other, needed in claim.needs if other is stock)

    # -- asking and giving back --------------------------------------------------------------------------

    def _ask(self, stock: Stock) -> None:
        """Wants what those in line need of a lease, or more of it ahead."""
        if self._is_cut:
            self._serve_blind(stock)
            return
        now = time.time()
        self._wants += 1
        stock.want = number = self._wants
        stock.asked_at = monotonic()
        stock.again_at = 0.0
        self._asked[number] = self._busy[stock.name] = stock
        least = 0
        if stock.line:
            for claim in stock.line:
                claim.asked = number
                needed = self._needed(claim, stock)
                if needed <= stock.limit.amount:  # else it is only to be told what there is
                    least += needed or 1
            least = stock.lacks(least, now)
        self.send(Want(number, stock.id, least, stock.key_id, stock.run, stock.detail))

    def _serve_blind(self, stock: Stock) -> None:
        """Nobody says what is left: those in line go on with what there is, or a share of it, or are refused."""
        if not stock.line:
            return
        if stock.is_fleeting and not stock.is_single:
            self._take_share(stock)
        while stock.line:
            now = time.time()
            claim = stock.line[0]
            lacking = self._lacking(claim, now)
            if claim.call.principal.on_outage is not SERVE:
                self._refuse(claim, stock, refusals.away())
            elif lacking is stock and stock.is_single:
                # How deep, or how often, is not known: it is let go, as far as this limit goes.
                claim.needs = [need for need in claim.needs if need[0] is not stock]
                lacking = self._lacking(claim, now)
                if lacking is None:
                    self._admit(claim, stock, now)
                else:
                    stock.line.popleft()
                    self._stand(claim, lacking)
            elif lacking is None:
                self._admit(claim, stock, now)
            elif lacking is not stock:
                stock.line.popleft()
                self._stand(claim, lacking)
            elif not stock.is_fleeting:
                self._refuse(claim, stock, refusals.away())
            elif not self._goes_on_waiting(claim, stock):
                self._refuse(claim, stock, refusals.used_up(stock, self._needed(claim, stock), claim.call, now))
            else:
                return

    def _take_share(self, stock: Stock) -> None:
        """The worker's share of a rate, which it takes by itself while nobody can be asked."""
        share, now = stock.limit.amount // self._workers, time.time()
        stock.remains, stock.due_at, stock.wait = 0, 0.0, 0.0
        if stock.limit.term is Term.MINUTE:
            minute = int(now // MINUTE)
            begins = float(minute * MINUTE)
            stock.own(minute, begins, begins + MINUTE, share)
            stock.wait = begins + MINUTE - now
            stock.due_at = monotonic() + stock.wait
        else:
            stock.own(0, 0.0, 0.0, share)

    def _closed(self, stock: Stock, drawn: int, period: int, used: int) -> None:
        back = stock.close(drawn, period, used)
        if back is None and not stock.line:
            surplus = stock.surplus
            if surplus and not stock.want:
                back = stock.give_back(surplus)
        self._return(stock, back)
        if stock.line:
            self._serve_soon(stock)

    def _serve_soon(self, stock: Stock) -> None:
        """Something of a lease came back: who waits for it goes on, after whoever brought it."""
        if stock.line and not stock.serves_soon:
            stock.serves_soon = True
            self._soon(lambda: self._serve_now(stock))

    def _serve_now(self, stock: Stock) -> None:
        stock.serves_soon = False
        self._serve(stock)
        self._settle_down(stock)

    def _return(self, stock: Stock, back: Back | None) -> None:
        """Gives back, if anybody takes it: what is left of a minute that is over, or of one call, is of no use."""
        if back is None or self._is_cut or stock.is_single:
            return
        if stock.is_fleeting and back.period != stock.period:
            return
        self.send(Return(stock.id, back.period, back.amount))

    def _settle_down(self, stock: Stock) -> None:
        """Forgets that somebody waits where nobody does."""
        if not stock.line and not stock.want:
            self._busy.pop(stock.name, None)

    def _drop(self, stock: Stock) -> None:
        """Forgets a lease of which nothing is held, and nothing is left that counts."""
        if not (stock.held or stock.line or stock.want) and (stock.left <= 0 or stock.is_single):
            self._stocks.pop(stock.name, None)


def _amount(limit: Limit, usd: int, came_in: int, comes_out: int) -> int:
    """The most that a call can take of a limit."""
    measure = limit.measure
    if measure is USD:
        return usd
    if measure is REQUESTS or measure is CONCURRENCY or measure is LOOPS:
        return 1
    if measure is DEPTH:
        return 0
    return came_in if measure is INPUT else comes_out if measure is OUTPUT else came_in + comes_out
