"""Money before dispatch: what each key may still spend, held in memory.

A key's lease is the part of its budget that this worker may spend without asking. A reservation takes the
worst case out of it; a settlement gives back what was not used. The lease can therefore never be overdrawn
by more than an answer that outgrows its own bound.
"""

from __future__ import annotations

from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.money import format_usd
from tokenway.model.snapshot import Principal, Snapshot


class Lease:
    """What is left for one key in one period, in nano-dollars, and the grant it was counted from."""

    __slots__ = ("epoch", "granted", "left")

    def __init__(self, granted: int, epoch: int) -> None:
        self.granted = granted
        self.epoch = epoch
        self.left = granted


class Admission:
    """The leases of one worker."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in the grants of a new snapshot; within a period, what was spent and reserved stays counted."""
        leases: dict[str, Lease] = {}
        for principal in snapshot.keys.values():
            if principal.budget is None:
                continue
            lease = self._leases.get(principal.key_id)
            if lease is None or lease.epoch != principal.budget_epoch:
                lease = Lease(principal.budget, principal.budget_epoch)
            else:
                lease.left += principal.budget - lease.granted
                lease.granted = principal.budget
            leases[principal.key_id] = lease
        self._leases = leases

    def reserve(self, principal: Principal, amount: int) -> Lease | None:
        """Sets `amount` aside and gives the lease it came from; None for a key without a budget.

        Raises Refusal (402) when the lease does not hold it.
        """
        lease = self._leases.get(principal.key_id) if principal.budget is not None else None
        if lease is not None:
            if amount > lease.left or lease.left <= 0:
                raise Refusal(_spent(lease.left, amount))
            lease.left -= amount
        return lease

    @property
    def remaining(self) -> dict[str, int]:
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
