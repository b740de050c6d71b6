"""Money before dispatch: what each key may still spend, held in memory.

A key's lease is the part of its budget that this worker may spend without asking. A reservation takes the
worst case out of it; a settlement gives back what was not used. The lease can therefore never be overdrawn
by more than an answer that outgrows its own bound.
"""

from __future__ import annotations

from collections.abc import Mapping

from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.money import format_usd
from tokenway.model.snapshot import Principal, Snapshot


class Lease:
    """What is left for one key, in nano-dollars, and the grant it was counted from."""

    __slots__ = ("granted", "left")

    def __init__(self, granted: int) -> None:
        self.granted = granted
        self.left = granted


class Admission:
    """The leases of one worker."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in the grants of a new snapshot; what was spent and what is reserved stays counted."""
        granted = {p.key_id: int(p.budget) for p in snapshot.keys.values() if p.budget is not None}
        for key_id, amount in granted.items():
            lease = self._leases.get(key_id)
            if lease is None:
                self._leases[key_id] = Lease(amount)
            elif lease.granted != amount:
                lease.left += amount - lease.granted
                lease.granted = amount
        for key_id in self._leases.keys() - granted.keys():
            del self._leases[key_id]

    def reserve(self, principal: Principal, amount: int) -> None:
        """Sets `amount` aside; raises Refusal (402) when the lease does not hold it."""
        if principal.budget is None:
            return
        lease = self._leases.get(principal.key_id)
        if lease is None:
            return
        if amount > lease.left or lease.left <= 0:
            raise Refusal(_spent(lease.left, amount))
        lease.left -= amount

    def settle(self, principal: Principal, reserved: int, charged: int) -> None:
        """Gives back what a reservation did not use."""
        lease = self._leases.get(principal.key_id)
        if lease is not None and principal.budget is not None:
            lease.left += reserved - charged

    @property
    def remaining(self) -> Mapping[str, int]:
        """Nano-dollars left by key id."""
        return {key_id: lease.left for key_id, lease in self._leases.items()}


def _spent(left: int, amount: int) -> Problem:
    return Problem(
        402,
        ErrorType.PAYMENT_REQUIRED,
        f"The budget of this key does not hold this call: {format_usd(max(left, 0))} USD are left and it can cost "
        f"up to {format_usd(amount)} USD. A smaller 'max_tokens' lowers that bound.",
        code="insufficient_quota",
        should_retry=False,
        details={"limit_remaining": format_usd(max(left, 0)), "worst_case": format_usd(amount)},
    )
