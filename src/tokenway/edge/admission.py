"""Who may go on: every call draws what it can take at most from the leases of its limits, all of them or none.

    reserve ──▶ every lease holds it ─────────────────────────────────────▶ admitted, in the same turn
            └─▶ one does not, or others wait for it ──▶ stands in its line
                     ├── a lease is granted, or something comes back, and all hold it ──▶ admitted
                     ├── another one lacks ─────────────────────────────────────────────▶ stands in that line
                     ├── there is no more ──────────────────▶ refused, or it waits for the next window
                     └── the caller leaves ─────────────────────────────────────────────▶ forgotten

Who stands in a line, and how it moves, is in `edge.waiting`. While the control process cannot be asked, a project's
calls are served on what leases hold, and of rates on the worker's share of the limit; or they are refused. Those that
would be refused wait a moment first, where the control process has just died: the next one is there within a second.

Times are monotonic seconds, but for those of a limit's period, which are Unix time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from tokenway.edge import refusals
from tokenway.edge.claims import Call, Claim, Rules, digest_of, most_of, rules_of, tokens_of, tokens_of_run, took_of
from tokenway.edge.stocks import DEPTH, LOOPS, Stock, Stocks
from tokenway.edge.waiting import SERVE, Waiting
from tokenway.metering.ledger import Draw, Line
from tokenway.model.limits import Limit
from tokenway.model.link import Granted, Return, Want
from tokenway.model.snapshot import Snapshot

RULES_MAX: Final = 10_000
"""Rules kept at a time: callers can invent names of models."""
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
        self._stocks = Stocks(send)
        self._waiting = Waiting(self._stocks, soon)
        self._limits: dict[str, Limit] = {}
        self._model_limits: dict[str, tuple[str, ...]] = {}
        self._rules: dict[tuple[tuple[str, ...], str], Rules] = {}
        """By the ids of a key's limits, and the model."""
        self._claims = 0

    # -- the configuration -------------------------------------------------------------------------------

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in a new snapshot: what is left of a limit that has another amount, or is gone, goes back."""
        self._limits = snapshot.limits
        self._model_limits = snapshot.model_limits
        self._waiting.adopt(snapshot)
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
                self._waiting.serve_soon(stock)
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
        is_held = call.principal.on_outage is not SERVE and stocks.is_blind(mono)
        if is_held and not stocks.may_mend(mono):
            call.refused(refusals.away())
            return
        claim = None if rules is NO_RULES else self._claim(call, amount, rules)
        if claim is None:
            if is_held:
                call.refused(refusals.away())
            else:
                call.admitted(now)
            return
        call.claim = claim
        for stock, needed in claim.needs:
            if is_held or stock.line or not stock.holds(needed, now):
                self._waiting.wait(call, claim, stock, now, mono)
                return
        claim.draw(mono)
        for stock, _ in claim.needs:
            # By the first two, nearly always not.
            if stock.left < stock.chunk and stock.is_low and stock.asks_ahead and not stock.want and not stocks.is_cut:
                self._waiting.ask(stock)
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
                self._waiting.serve_soon(stock)
            if not stock.is_fleeting:
                draws.append(Draw(stock.id, stretch.period, used))
        return tuple(draws)

    def undo(self, claim: Claim) -> None:
        """A call that was admitted does not go on, and nothing is owed: all of it comes back."""
        for stock, drawn, stretch in claim.give_up():
            self._stocks.close(stock, drawn, stretch, 0)
            self._waiting.serve_soon(stock)

    def withdraw(self, claim: Claim) -> None:
        """A caller that waits is gone."""
        stock = claim.waits_for
        if stock is not None:
            self._waiting.withdraw(claim, stock)

    def bounds(self, model: str) -> bool:
        """Whether a model has limits of its own."""
        return model in self._model_limits

    # -- the control process -----------------------------------------------------------------------------

    def granted(self, message: Granted) -> None:
        """An answer has come; who waits for it goes on before anything else happens."""
        stock = self._stocks.answered(message)
        if stock is not None:
            self._waiting.answered(stock, ok=message.ok)

    def recall(self, limits: tuple[str, ...]) -> None:
        """Others have nothing left of these limits: what is not used of them goes back."""
        self._stocks.recall(limits)

    def cut(self) -> None:
        """The control process is gone: nobody answers what it was asked."""
        for stock in self._stocks.cut():
            self._waiting.answered(stock, ok=False)

    def mended(self) -> None:
        """There is a control process again."""
        self._stocks.mended()

    # -- time --------------------------------------------------------------------------------------------

    def sweep(self, mono: float) -> None:
        """Looks at who waits: for an answer that does not come, or for a moment that has."""
        self._waiting.sweep(mono)

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
        return self._waiting.is_any

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
