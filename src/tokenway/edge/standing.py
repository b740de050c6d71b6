"""How one endpoint stands, as one worker sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tokenway.model.catalog import Endpoint, EndpointLimits
from tokenway.model.secret import Secret
from tokenway.routing import breaker
from tokenway.routing.breaker import Breaker
from tokenway.routing.rate import Allowance

CALM_AFTER: Final = 120.0
"""Seconds without a failure after which attempts at an endpoint are not kept count of any more."""


class Standing:
    """One endpoint: whether it works, what is under way there, and what each of its provider's keys may still send.

    A key can be good for one model and not for another, so that each endpoint has its own view of them. As long as
    nothing has ever gone wrong there and nobody has spoken of limits, it is calm, and attempts are not kept count of.
    """

    __slots__ = (
        "allowances",
        "breaker",
        "disturbed_at",
        "freed",
        "has_limits",
        "in_flight",
        "is_calm",
        "keys",
        "limits",
        "probe_at",
        "refusals",
        "seen",
        "told",
        "turn",
        "unsaid",
    )

    def __init__(self, endpoint: Endpoint, keys: int, workers: int, freed: Callable[[], None] = lambda: None) -> None:
        """`freed` hears of each attempt there that is over and was kept count of."""
        self.freed = freed
        self.breaker = Breaker()
        self.in_flight = 0
        self.keys = [Breaker(breaker.CREDENTIAL) for _ in range(keys)]
        self.seen = endpoint.limits
        """Those of the last endpoint of this name that was looked at: as long as it is the same one, they are."""
        self.limits = endpoint.limits, workers
        self.has_limits = endpoint.limits != EndpointLimits()
        self.allowances = [Allowance(endpoint.limits, workers) for _ in range(keys)]
        self.is_calm = not self.has_limits
        self.disturbed_at = 0.0
        self.probe_at = 0.0
        """When the next call may be sent in spite of a limit."""
        self.refusals = 0
        """How often in a row it has said 429."""
        self.turn = 0
        """Which key is asked next: they take turns."""
        self.told = 0
        """Samples of it since the others were last told."""
        self.unsaid = 0.0
        """Attempts that the next sample stands for as well."""

    @property
    def matters(self) -> bool:
        """Whether something is under way there, or known that should not be forgotten."""
        return self.in_flight > 0 or self.has_limits or not self._is_sound

    @property
    def _is_sound(self) -> bool:
        """Whether it works with each key, and nobody has spoken of limits."""
        return (
            self.breaker.is_closed
            and all(key.is_closed for key in self.keys)
            and not any(allowance.is_limited for allowance in self.allowances)
        )

    def rekey(self, before: Sequence[Secret], after: Sequence[Secret]) -> None:
        """Its provider has other keys.

        What is known of a key stays with it. One that takes the place of another begins anew, but for what was sent:
        it may be the same account's, as a token is that was renewed.
        """
        known = dict(zip(before or (None,), zip(self.keys, self.allowances, strict=True), strict=True))
        keys, allowances, limits = [], [], self.limits
        for place, secret in enumerate(after or (None,)):
            if secret in known:
                key, allowance = known[secret]
            else:
                key, allowance = Breaker(breaker.CREDENTIAL), Allowance(*limits)
                if place < len(before) and before[place] not in after:
                    allowance = self.allowances[place]
                    allowance.forget()
            keys.append(key)
            allowances.append(allowance)
        self.keys, self.allowances, self.turn = keys, allowances, 0

    def renew(self, limits: EndpointLimits, workers: int) -> None:
        """The configuration has these limits for it, other ones or not; what was sent counts against them too."""
        self.seen = limits
        if self.limits == (limits, workers):
            return
        self.limits = limits, workers
        self.has_limits = limits != EndpointLimits()
        self.is_calm = self.is_calm and not self.has_limits
        for allowance in self.allowances:
            allowance.renew(limits, workers)

    def disturb(self, now: float) -> None:
        """Something went wrong: from here on attempts are kept count of."""
        self.is_calm = False
        self.disturbed_at = now

    def settle_down(self, now: float) -> None:
        """Nothing has gone wrong for long."""
        if not self.has_limits and now - self.disturbed_at > CALM_AFTER and self._is_sound:
            self.is_calm = True
