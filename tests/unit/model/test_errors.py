"""Failures as data."""

from __future__ import annotations

import pytest

from tokenway.model.errors import ConfigError, ErrorType, Problem, Refusal, TokenwayError, WireError, invalid_request


@pytest.mark.parametrize("kind", [ConfigError, WireError])
def test_what_is_raised_on_purpose_has_one_base(kind: type[TokenwayError]) -> None:
    """Whoever wants all of them catches one."""
    with pytest.raises(TokenwayError, match="why"):
        raise kind("why")


def test_a_refusal_carries_its_problem() -> None:
    """And reads like it in a log."""
    problem = Problem(404, ErrorType.NOT_FOUND, "Not here.")
    refusal = Refusal(problem)
    assert refusal.problem is problem
    assert str(refusal) == "Not here."
    assert isinstance(refusal, TokenwayError)


def test_the_callers_mistake() -> None:
    """Status 400, with the field and the code where they are known."""
    problem = invalid_request("Wrong.", param="n", code="invalid_value").problem
    assert problem == Problem(400, ErrorType.INVALID_REQUEST, "Wrong.", param="n", code="invalid_value")


def test_problems_do_not_share_their_details() -> None:
    """A default that is changed by one would be told by all."""
    one, other = (Problem(500, ErrorType.SERVER, "m") for _ in range(2))
    one.details["x"] = 1
    assert other.details == {}
