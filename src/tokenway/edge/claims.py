"""What one call takes of limits: which ones count for it, how much of each, and what became of that in the end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tokenway.edge.stocks import INPUT, OUTPUT, REQUESTS, TOKENS, Stock
from tokenway.metering.lease import Stretch
from tokenway.metering.ledger import PAYING, Line, Trace
from tokenway.model.limits import Limit
from tokenway.model.snapshot import Principal

if TYPE_CHECKING:
    from tokenway.model.errors import Problem

_TOKEN_MEASURES: Final = frozenset({INPUT, OUTPUT, TOKENS})
UNNAMED: Final = "metadata"
"""The member of a request that tells it from another one and makes no other request of it."""


class Call(Protocol):
    """An exchange as its admission sees it."""

    principal: Principal
    counted: str
    """The name of the model whose limits count for it (`routing.names`)."""
    run: str
    trace: Trace | None
    asked_at: float
    claim: Claim | None

    def tokens_most(self) -> tuple[int, int]:
        """The most tokens that go in, and that come out."""

    @property
    def content(self) -> object:
        """The body of its request."""

    def admitted(self, at: float) -> None:
        """It may go on; `at` is the Unix time to which it belongs."""

    def refused(self, problem: Problem) -> None:
        """It may not."""

    def broke(self, error: Exception) -> None:
        """It has raised this, and is to end; must not raise."""


class Rules:
    """The limits that count for a key's calls to a model: for all of them, and for each run by itself."""

    __slots__ = ("age", "common", "is_told", "needs_tokens", "per_run", "stocks")

    def __init__(self, common: tuple[Limit, ...], per_run: tuple[Limit, ...]) -> None:
        self.common = common
        self.per_run = per_run
        self.needs_tokens = any(each.measure in _TOKEN_MEASURES for each in (*common, *per_run))
        """Whether one of them counts tokens."""
        self.is_told = any(tells(each) for each in common)
        """Whether callers are told in headers what remains of one of them."""
        self.stocks: tuple[tuple[Stock, int], ...] = ()
        """The leases of those that are for all calls, and the kinds of these."""
        self.age = -1
        """The age of the worker's leases when these were found."""


def rules_of(limits: Sequence[Limit]) -> Rules:
    """Sorts the limits of a call."""
    return Rules(
        tuple(each for each in limits if not each.per_run),
        tuple(each for each in limits if each.per_run),
    )


def tells(limit: Limit) -> bool:
    """Whether callers are told in headers what remains of it: a rate of requests or of tokens."""
    return limit.is_fleeting and (limit.measure is REQUESTS or limit.measure in _TOKEN_MEASURES)


Amounts = tuple[int, int, int, int, int, int, int]
"""Of money, calls, places, levels, tokens in, tokens out, and both together (`stocks.KINDS`)."""


def most_of(usd: int, tokens: tuple[int, int]) -> Amounts:
    """The most that a call can take: one that can cost so much, with so many tokens in and out."""
    came_in, came_out = tokens
    return usd, 1, 1, 0, came_in, came_out, came_in + came_out


def digest_of(content: object) -> str:
    """A request by what it says: the order of its members and its `metadata` make no difference."""
    if not isinstance(content, bytes):
        return sha256(repr(content).encode()).hexdigest()[:32]
    # Of what is no JSON, or cannot be put in order, its bytes are what it says.
    with suppress(ValueError, RecursionError):
        said = msgspec.json.decode(content)
        if isinstance(said, dict):
            said.pop(UNNAMED, None)
        content = msgspec.json.encode(said, order="deterministic")
    return sha256(content).hexdigest()[:32]


class Claim:
    """What a call needs, and what it has drawn; it is closed once.

    `needs` is (stock, amount) for each limit. `drawn` is (stock, amount, stretch) from its admission to its end. `call`
    is there while it waits and no longer: a call has its claim, and a circle would have to wait for the collector.
    """

    call: Call
    drawn: list[tuple[Stock, int, Stretch]] | None = None
    waits_for: Stock | None = None
    """In whose line it stands."""
    asked = 0
    """The number of the want that counted it in."""
    began = 0.0
    """When it began to wait, in monotonic seconds, and until when it may do so for a rate."""
    until = 0.0

    def __init__(self, number: int, needs: list[tuple[Stock, int]], rules: Rules) -> None:
        self.needs = needs
        self.number = number
        """Its place among all: nobody who came later goes before it."""
        self.is_told = rules.is_told
        self.counts_tokens = rules.needs_tokens

    def draw(self, mono: float) -> None:
        """Takes what it needs of every limit, each of which holds it; `mono` is in monotonic seconds."""
        drawn = []
        for stock, amount in self.needs:
            stock.draw(amount, mono)
            drawn.append((stock, amount, stock.stretch))
        self.drawn = drawn

    def needs_of(self, stock: Stock) -> int:
        """How much it needs of a limit."""
        return next((needed for other, needed in self.needs if other is stock), 0)

    def spare(self, stock: Stock) -> None:
        """It waits, and does not need this limit any more."""
        self.needs = [need for need in self.needs if need[0] is not stock]
        stock.awaited -= 1

    def give_up(self) -> list[tuple[Stock, int, Stretch]]:
        """What it has drawn, once: whoever asks has to close it."""
        drawn, self.drawn = self.drawn, None
        return drawn or []


def tokens_of(lines: Sequence[Line]) -> tuple[int, int] | None:
    """Tokens in and out of the attempts that are paid for; None where one of them was not counted."""
    came_in = came_out = 0
    for line in lines:
        if line.settlement in PAYING:
            usage = line.usage
            if usage is None:
                return None
            came_in += usage.input_tokens
            came_out += usage.output_tokens
    return came_in, came_out


def tokens_of_run(lines: Sequence[Line]) -> tuple[int, int]:
    """Tokens in and out as a run counts them: of all attempts, whoever pays, as far as they were counted."""
    usages = [line.usage for line in lines if line.usage is not None and not line.absurd]
    return sum(usage.input_tokens for usage in usages), sum(usage.output_tokens for usage in usages)


def took_of(spent: int, tokens: tuple[int, int] | None) -> tuple[int | None, ...]:
    """What an exchange took that cost `spent`, with so many tokens in and out, by kind; None is what nobody counted.

    Of a rate that stays drawn, and in the books it is nothing.
    """
    if tokens is None:
        return spent, 1, 0, 0, None, None, None
    came_in, came_out = tokens
    return spent, 1, 0, 0, came_in, came_out, came_in + came_out
