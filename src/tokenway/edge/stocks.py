"""A worker's leases by limit, and what is said of them to the control process: wants, and what goes back.

Times are monotonic seconds, but for those of a limit's period, which are Unix time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING, Final

from tokenway.metering.lease import ABUNDANT, Back, Lease, Stretch
from tokenway.metering.terms import calendar_period, run_limit
from tokenway.model.limits import Limit, Measure, Scope
from tokenway.model.link import Granted, Return, Want

if TYPE_CHECKING:
    from collections import deque

    from tokenway.edge.claims import Claim

ANSWER_SECONDS: Final = 2.0
"""How long the control process has for an answer; then it is taken for away."""
BLIND_SECONDS: Final = 1.0
"""How long it is taken for away when it could not find something out."""
MEND_SECONDS: Final = 1.5
"""How long what only the control process can decide waits for the next one, once it has died."""
# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration.
USD: Final = Measure.USD
REQUESTS: Final = Measure.REQUESTS
INPUT: Final = Measure.INPUT_TOKENS
OUTPUT: Final = Measure.OUTPUT_TOKENS
TOKENS: Final = Measure.TOKENS
CONCURRENCY: Final = Measure.CONCURRENCY
DEPTH: Final = Measure.DEPTH
LOOPS: Final = Measure.LOOPS
KINDS: Final = {USD: 0, REQUESTS: 1, LOOPS: 1, CONCURRENCY: 2, DEPTH: 3, INPUT: 4, OUTPUT: 5, TOKENS: 6}
"""Measures by where in a call's amounts theirs stands (`edge.claims`)."""


class Stock(Lease):
    """The lease of one limit, or of one run's, with those who wait for it. `id` is how the control process knows it.

    A single one, of `depth` or `loops`, is about one agent or one request, which `detail` tells: nothing of it can be
    kept for another. Places of calls that are under way come back by themselves, so that none are asked for ahead.
    """

    __slots__ = (
        "again_at",
        "answered",
        "asked_at",
        "asks_ahead",
        "awaited",
        "detail",
        "due_at",
        "id",
        "is_fleeting",
        "is_gone",
        "is_single",
        "key_id",
        "kind",
        "limit",
        "line",
        "measure",
        "model",
        "name",
        "remains",
        "run",
        "serves_soon",
        "wait",
        "want",
    )

    def __init__(
        self,
        name: str,
        limit: Limit,
        identity: str = "",
        key_id: str = "",
        run: str = "",
        detail: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.name = name
        """What the worker knows it by."""
        self.id = identity or name
        self.use(limit)
        self.key_id = key_id
        self.run = run
        self.detail = detail
        self.line: deque[Claim] | None = None
        """Who waits for it, in the order in which they came; None where nobody ever has."""
        self.awaited = 0
        """How many need it of those who wait, be it for another one."""
        self.want = 0
        """The number of the want that was not answered yet."""
        self.asked_at = 0.0
        self.answered = 0
        """The number of the want that was answered last."""
        self.remains = 0
        """What nobody held when it was answered."""
        self.wait = 0.0
        """After how many seconds from then on asking again may help; 0.0 for never in its period."""
        self.due_at = 0.0
        """When that is; 0.0 for never."""
        self.again_at = 0.0
        """When it is asked for again, because somebody waits for that."""
        self.serves_soon = False
        self.is_gone = False
        """Whether its limit is not in the snapshot any more."""

    def use(self, limit: Limit) -> None:
        """Goes by this limit, as it stands in the configuration now."""
        self.limit = limit
        self.measure = limit.measure
        self.kind = KINDS[limit.measure]
        self.model = limit.subject if limit.scope is Scope.MODEL else ""
        """Whose limit it is, where that is a model: only calls that it answered count in the end."""
        self.is_fleeting = limit.is_fleeting
        self.is_single = limit.measure is DEPTH or limit.measure is LOOPS
        self.asks_ahead = not self.is_single and limit.measure is not CONCURRENCY


class Stocks:
    """All leases of one worker. `send` gives a message to the control process."""

    def __init__(self, send: Callable[[Want | Return], None]) -> None:
        self._send = send
        self._by_name: dict[str, Stock] = {}
        self._asked: dict[int, Stock] = {}
        self._wants = 0
        self._blind_until = 0.0
        self.age = 0
        """Rises when a lease is forgotten: whoever keeps what `of` gave has to ask again."""
        self.is_cut = False
        """Whether there is no control process."""
        self._cut_at = 0.0

    # -- finding -----------------------------------------------------------------------------------------

    def of(self, limit: Limit) -> Stock:
        """The lease of a limit."""
        stock = self._by_name.get(limit.id)
        if stock is None:
            stock = self._by_name[limit.id] = Stock(limit.id, limit)
        return stock

    def of_run(self, limit: Limit, key_id: str, run: str, detail: tuple[str, ...] = ()) -> Stock:
        """A run's lease of a limit that holds for each; `detail` is what a single one is about."""
        name = identity = run_limit(limit.id, key_id, run)
        if detail:
            name = f"{identity}#{detail[0]}"
        stock = self._by_name.get(name)
        if stock is None:
            stock = self._by_name[name] = Stock(name, limit, identity, key_id, run, detail)
            stock.touched = monotonic()
        return stock

    @property
    def all(self) -> list[Stock]:
        """Every one that is known."""
        return list(self._by_name.values())

    @property
    def remaining(self) -> dict[str, int]:
        """What is left by the limit's id; not of single runs, of which there may be any number."""
        return {name: stock.left for name, stock in self._by_name.items() if not stock.run}

    # -- asking ------------------------------------------------------------------------------------------

    def is_blind(self, mono: float) -> bool:
        """Whether nobody can be asked what is left."""
        return self.is_cut or mono < self._blind_until

    def may_mend(self, mono: float) -> bool:
        """Whether the control process is gone for so short a time that the next one is likely to be there soon."""
        return self.is_cut and mono < self._cut_at + MEND_SECONDS

    def want(self, stock: Stock, least: int) -> None:
        """Asks for so much of a limit, or with 0 for more of it ahead; `want` of the stock is the question's number."""
        stock.asked_at = monotonic()
        stock.again_at = 0.0
        self._asked[stock.want] = stock
        self._send(Want(stock.want, stock.id, least, stock.key_id, stock.run, stock.detail))

    def next_number(self) -> int:
        """The number of the next question."""
        self._wants += 1
        return self._wants

    def answered(self, message: Granted) -> Stock | None:
        """Takes an answer in; gives the lease that it is about, None where nobody waits for it any more."""
        stock = self._asked.pop(message.number, None)
        if stock is None:
            if message.amount > 0:
                self._send(Return(message.limit, message.period, message.amount))
            return None
        stock.answered, stock.want = stock.want, 0
        if message.ok:
            now = stock.touched = monotonic()
            back = stock.take(message.period, message.begins, message.ends, message.amount)
            stock.remains, stock.wait = message.remains, message.wait
            stock.due_at = now + message.wait if message.wait else 0.0
            self._give(stock, back)
        else:
            self._blind_until = monotonic() + BLIND_SECONDS
        return stock

    def is_overdue(self, stock: Stock, mono: float) -> bool:
        """Whether an answer does not come: then it is not waited for any more."""
        if mono - stock.asked_at <= ANSWER_SECONDS:
            return False
        del self._asked[stock.want]
        stock.want = 0
        self._blind_until = mono + BLIND_SECONDS
        return True

    def cut(self) -> list[Stock]:
        """The control process is gone; gives the leases that it was asked about."""
        if not self.is_cut:
            self._cut_at = monotonic()
        self.is_cut = True
        asked, self._asked = list(self._asked.values()), {}
        for stock in asked:
            stock.want = 0
        return asked

    def mended(self) -> None:
        """There is a control process again, which knows nothing of the calls that are under way."""
        if self.is_cut:
            self.is_cut = False
            self._blind_until = 0.0
            for stock in self._by_name.values():
                if stock.measure is CONCURRENCY:
                    stock.forgotten()

    def take_share(self, stock: Stock, workers: int) -> None:
        """The worker's share of a rate, which it takes by itself while nobody can be asked."""
        share, now = stock.limit.amount // workers, time.time()
        stock.remains, stock.due_at, stock.wait = 0, 0.0, 0.0
        period = calendar_period(stock.limit.term, now)
        stock.own(period.number, period.begins, period.ends, share)
        if period.ends:
            stock.wait = period.ends - now
            stock.due_at = monotonic() + stock.wait

    # -- giving back -------------------------------------------------------------------------------------

    def close(self, stock: Stock, drawn: int, stretch: Stretch, used: int) -> None:
        """A call is over that drew so much in a stretch: what nobody is likely to need goes back."""
        back = stock.close(drawn, stretch, used)
        if back is None:
            # Most calls end here.
            if stock.left <= ABUNDANT * stock.chunk or stock.line or stock.want or self.is_cut:
                return
            surplus = stock.surplus
            if not surplus:
                return
            back = stock.give_back(surplus)
        self._give(stock, back)

    def give_back(self, stock: Stock) -> None:
        """Gives back all that is left of a lease; what nobody can take is kept."""
        if not self.is_cut:
            self._give(stock, stock.give_back())

    def recall(self, limits: Iterable[str]) -> None:
        """Others have nothing left of these: what nobody waits for goes back."""
        wanted = frozenset(limits)
        for stock in self.all:
            if (stock.id in wanted or stock.limit.id in wanted) and not stock.line:
                self.give_back(stock)

    def tick(self, mono: float) -> None:
        """Gives back what nobody draws from, and forgets what is empty; where others can be asked, own shares end."""
        is_blind = self.is_blind(mono)
        for stock in self.all:
            if stock.owned and not is_blind:
                stock.disown()
                stock.due_at = 0.0
            if stock.is_idle(mono) and not stock.awaited and not stock.want:
                self.give_back(stock)
                self.drop(stock)

    def drop(self, stock: Stock) -> None:
        """Forgets a lease of which nothing is held, and nothing is left that counts.

        What was overdrawn counts in the books as long as its period lasts: they took it from what is lent next.
        """
        if stock.held or stock.awaited or stock.want:
            return
        is_owed = stock.left < 0 and not stock.is_fleeting and not stock.is_gone and stock.is_current(time.time())
        if stock.is_single or (stock.left <= 0 and not is_owed):
            self._by_name.pop(stock.name, None)
            self.age += not stock.run

    def _give(self, stock: Stock, back: Back | None) -> None:
        """Gives back, if anybody takes it: what is left of a minute that is over, or of one call, is of no use."""
        if back is None or self.is_cut or stock.is_single:
            return
        if stock.is_fleeting and back.period != stock.period:
            return
        self._send(Return(stock.id, back.period, back.amount))
