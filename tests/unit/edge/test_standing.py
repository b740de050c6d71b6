"""How one endpoint stands: what is kept when its limits change, and when it is calm."""

from __future__ import annotations

from math import inf

from tokenway.edge.standing import CALM_AFTER, Standing
from tokenway.model.catalog import Endpoint, EndpointLimits

NOW = 1000.0


def test_other_limits_count_what_was_sent_before() -> None:
    """Two at once under a limit of two leave room for one more when it is three; none when it is one."""
    standing = Standing(Endpoint("p", "m", limits=EndpointLimits(concurrency=2)), 1, 1)
    [allowance] = standing.allowances
    calls = [allowance.sent(NOW, 100) for _ in range(2)]
    assert allowance.may_send(NOW, 100) == inf
    standing.renew(EndpointLimits(concurrency=3), 1)
    assert allowance.may_send(NOW, 100) is None
    standing.renew(EndpointLimits(rpm=2), 1)
    assert allowance.held_until(NOW, 100) > NOW
    standing.renew(EndpointLimits(concurrency=2), 2)
    allowance.ended(calls[0])
    assert allowance.may_send(NOW, 100) == inf
    standing.renew(EndpointLimits(), 1)
    assert not standing.has_limits
    assert not allowance.is_limited
    assert allowance.may_send(NOW, 100) is None


def test_limits_that_come_end_the_calm_and_limits_that_go_bring_it_back() -> None:
    """What a provider has told of goes on to hold."""
    standing = Standing(Endpoint("p", "m"), 1, 1)
    calm = [standing.is_calm]
    standing.renew(EndpointLimits(rpm=1), 1)
    calm.append(standing.is_calm)
    standing.settle_down(NOW)
    standing.renew(EndpointLimits(), 1)
    calm.append(standing.is_calm)
    standing.settle_down(NOW + CALM_AFTER)
    calm.append(standing.is_calm)
    assert calm == [True, False, False, True]
    allowance = standing.allowances[0]
    allowance.refused(allowance.sent(NOW, 1), NOW, 0.5, 60.0)
    standing.renew(EndpointLimits(), 1)
    assert allowance.may_send(NOW, 1) is not None
