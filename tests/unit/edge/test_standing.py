"""How one endpoint stands: what is kept when its limits change, and when it is calm."""

from __future__ import annotations

from math import inf

from tokenway.edge.standing import CALM_AFTER, Standing
from tokenway.model.catalog import Endpoint, EndpointLimits
from tokenway.model.secret import Secret

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


def test_a_key_keeps_what_is_known_of_it_wherever_it_stands() -> None:
    """One that takes another's place begins anew, but for what was sent; one that is added begins with nothing."""
    one, two, new, more = map(Secret, ("one", "two", "new", "more"))
    standing = Standing(Endpoint("p", "m", limits=EndpointLimits(rpm=2)), 2, 1)
    for _ in range(2):
        standing.keys[0].failed(standing.keys[0].number, NOW, 0.5)
    standing.allowances[0].sent(NOW, 1)
    call = standing.allowances[1].sent(NOW, 1)
    standing.allowances[1].refused(call, NOW, 0.5, 60.0)
    known = standing.keys[0], standing.allowances[0]
    standing.rekey((one, two), (new, one, more))
    assert (standing.keys[1], standing.allowances[1]) == known
    assert [each.is_closed for each in standing.keys] == [True, False, True]
    assert [each.may_send(NOW, 1) for each in standing.allowances] == [None, None, None]
    standing.rekey((new, one, more), (two, one))
    assert standing.keys[1] is known[0]
    standing.rekey((two, one), ())
    assert len(standing.keys) == len(standing.allowances) == 1


def test_a_key_in_anothers_place_has_sent_what_that_one_sent() -> None:
    """It may be the same account's."""
    standing = Standing(Endpoint("p", "m", limits=EndpointLimits(rpm=1)), 1, 1)
    call = standing.allowances[0].sent(NOW, 1)
    standing.allowances[0].refused(call, NOW, 0.5, 600.0)
    standing.rekey((Secret("token-1"),), (Secret("token-2"),))
    assert NOW < (standing.allowances[0].may_send(NOW, 1) or 0.0) < NOW + 70.0


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
