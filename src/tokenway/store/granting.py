"""What leases are asked for with, and what comes of it: the same for money in the database and for rates beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from tokenway.model.errors import TokenwayError
from tokenway.model.limits import Limit


class Unavailable(TokenwayError):
    """What counts these limits cannot be asked now."""


class Ask(msgspec.Struct, frozen=True):
    """One holder needs `least` of a limit now. `id` is the limit's, or that of one run (`key_id`, `run`).

    `holders` is how many share the limit over all machines. `detail` is as in `model.link.Want`.
    """

    id: str
    limit: Limit
    holder: str
    least: int
    holders: int = 1
    key_id: str = ""
    run: str = ""
    detail: tuple[str, ...] = ()


class Lent(msgspec.Struct, frozen=True):
    """What an ask came to: `amount` of this period, after which nobody holds `remains`.

    The period begins and ends at these Unix times by the clock of this machine, 0.0 for one without an end. After
    `wait` seconds asking again may help, 0.0 for never in this period. `elsewhere` is what other holders have and have
    not spent, as far as is known.
    """

    amount: int
    remains: int = 0
    period: int = 0
    begins: float = 0.0
    ends: float = 0.0
    wait: float = 0.0
    elsewhere: int = 0


class Given(msgspec.Struct, frozen=True):
    """What a holder gives back of a limit's period."""

    id: str
    period: int
    holder: str
    amount: int


class LeaseStore(Protocol):
    """Leases of money, in the database; every method is one transaction, and blocks. Raises what the database does."""

    def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks."""

    def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders give; when it raises, nothing was taken back."""


class RateStore(Protocol):
    """Limits that may be lost with the memory they are in."""

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks."""

    async def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders give."""

    async def drop(self, holder: str) -> None:
        """A holder is gone, and with it all calls that it had under way."""

    async def beat(self) -> None:
        """Says that this machine is alive; to be called every few seconds."""

    async def close(self) -> None:
        """Ends connections."""
