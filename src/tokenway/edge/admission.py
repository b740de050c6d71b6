"""Money before dispatch: what each key may still spend, held in memory.

A key's lease is the part of its budget that this worker may spend without asking. A reservation takes the
worst case out of it; a settlement gives back what was not used. The lease can therefore never be overdrawn
by more than an answer that outgrows its own bound.
"""

from __future__ import annotations

from typing import Final

from tokenway.model.errors import ErrorType, Problem, Refusal
from tokenway.model.money import format_usd
from tokenway.model.snapshot import Principal, Snapshot

GONE: Final = -1
"""The epoch of a lease whose key is not in the snapshot; no grant has it."""


class Lease:
    """What is left for one key, in nano-dollars, the grant it was counted from, and what is reserved out of it."""

    __slots__ = ("epoch", "granted", "held", "left")

    def __init__(self, granted: int, epoch: int) -> None:
        self.granted = granted
        self.epoch = epoch
        self.held = 0
        self.left = granted

    def renew(self, granted: int, epoch: int) -> None:
        """Takes in a grant. One of the same epoch was changed; another one is new, and bears what is reserved now."""
        if epoch == self.epoch:
            self.left += granted - self.granted
        else:
            self.left = granted - self.held
            self.epoch = epoch
        self.granted = granted

    def close(self, reserved: int, charged: int) -> None:
        """Ends a reservation, of which `charged` was spent."""
        self.held -= reserved
        self.left += reserved - charged


class Admission:
    """The leases of one worker."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}

    def adopt(self, snapshot: Snapshot) -> None:
        """Takes in the grants of a new snapshot; with the same epoch, what was spent and reserved stays counted."""
        leases: dict[str, Lease] = {}
        for principal in snapshot.keys.values():
            if principal.budget is None:
                continue
            lease = self._leases.get(principal.key_id)
            if lease is None:
                lease = Lease(principal.budget, principal.budget_epoch)
            else:
                lease.renew(principal.budget, principal.budget_epoch)
            leases[principal.key_id] = lease
        for key_id, lease in self._leases.items():
            # A key that is not there any more may come back before its last exchange has ended.
            if key_id not in leases and lease.held:
                lease.epoch = GONE
                leases[key_id] = lease
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
            lease.held += amount
        return lease

    @property
    def remaining(self) -> dict[str, int]:
        """Nano-dollars left by key id, for the keys of the snapshot."""
        return {key_id: lease.left for key_id, lease in self._leases.items() if lease.epoch != GONE}


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
