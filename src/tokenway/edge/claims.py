"""What one call takes of limits: which ones count for it, how much of each, and what became of that in the end."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tokenway.edge.stocks import CONCURRENCY, DEPTH, INPUT, LOOPS, OUTPUT, REQUESTS, TOKENS, USD, Stock
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
    model: str
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


class Rules(msgspec.Struct, frozen=True):
    """The limits that count for a key's calls to a model: for all of them, and for each run by itself."""

    common: tuple[Limit, ...]
    per_run: tuple[Limit, ...]
    needs_tokens: bool
    """Whether one of them counts tokens."""
    is_told: bool
    """Whether callers are told in headers what remains of one of them."""


def rules_of(limits: Sequence[Limit]) -> Rules:
    """Sorts the limits of a call."""
    common = tuple(each for each in limits if not each.per_run)
    return Rules(
        common,
        tuple(each for each in limits if each.per_run),
        any(each.measure in _TOKEN_MEASURES for each in limits),
        any(tells(each) for each in common),
    )


def tells(limit: Limit) -> bool:
    """Whether callers are told in headers what remains of it: a rate of requests or of tokens."""
    return limit.is_fleeting and (limit.measure is REQUESTS or limit.measure in _TOKEN_MEASURES)


def amount_of(limit: Limit, usd: int, tokens: tuple[int, int]) -> int:
    """The most that a call can take of a limit: one that can cost so much, with so many tokens in and out."""
    measure = limit.measure
    if measure is USD:
        return usd
    if measure is REQUESTS or measure is CONCURRENCY or measure is LOOPS:
        return 1
    if measure is DEPTH:
        return 0
    return tokens[0] if measure is INPUT else tokens[1] if measure is OUTPUT else sum(tokens)


def digest_of(content: object) -> str:
    """A request by what it says: the order of its members and its `metadata` make no difference."""
    if not isinstance(content, bytes):
        return sha256(repr(content).encode()).hexdigest()[:32]
    try:
        said = msgspec.json.decode(content)
        if isinstance(said, dict):
            said.pop(UNNAMED, None)
        content = msgspec.json.encode(said, order="deterministic")
    except (ValueError, RecursionError):
        pass  # no JSON, or one that cannot be put in order: its bytes are what it says
    return sha256(content).hexdigest()[:32]


class Claim:
    """What a call needs, and what it has drawn; it is closed once.

    `needs` is (stock, amount) for each limit. `drawn` is (stock, amount, stretch) from its admission to its end.
    """

    __slots__ = ("asked", "began", "call", "drawn", "is_told", "needs", "number", "until", "waits_for")

    def __init__(self, call: Call, number: int, needs: list[tuple[Stock, int]], *, is_told: bool) -> None:
        self.call = call
        self.needs = needs
        self.number = number
        """Its place among all: nobody who came later goes before it."""
        self.is_told = is_told
        self.drawn: list[tuple[Stock, int, Stretch]] | None = None
        self.waits_for: Stock | None = None
        """In whose line it stands."""
        self.asked = 0
        """The number of the want that counted it in."""
        self.began = 0.0
        """When it began to wait, in monotonic seconds, and until when it may do so for a rate."""
        self.until = 0.0

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


def used_of(stock: Stock, drawn: int, spent: int, lines: Sequence[Line]) -> int:
    """How much of a limit an exchange took that cost `spent`, in these attempts.

    What nobody counted stays drawn from a rate, and is nothing in the books.
    """
    measure = stock.measure
    if measure is USD:
        return spent
    if measure is REQUESTS or measure is LOOPS:
        return 1
    if measure is CONCURRENCY or measure is DEPTH:
        return 0
    usage = tokens_of_run(lines) if stock.limit.per_run else tokens_of(lines)
    if usage is None:
        return drawn if stock.is_fleeting else 0
    return usage[0] if measure is INPUT else usage[1] if measure is OUTPUT else usage[0] + usage[1]
