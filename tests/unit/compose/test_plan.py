"""What goes over the leash before there is work."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.compose.plan import Asked, Begin, Plan, decode_plan, decode_request, encode

PLAN = Plan("data", "data/journal", "::", 80, 81, 2, 5.0, "cert", None, bytes(range(256)))


@pytest.mark.parametrize(
    "request_", [Asked("a.yaml", {"server.port": "0"}, None), Begin(8080, 8081), Begin(1, 2, b"\0\xff")]
)
def test_the_child_knows_what_it_is_asked(request_: Asked | Begin) -> None:
    """To read the configuration, or to begin."""
    assert decode_request(encode(request_)) == request_


def test_a_plan_comes_as_it_was() -> None:
    """What is in it for later control processes is not looked into."""
    assert decode_plan(encode(PLAN)) == PLAN


def test_a_plan_is_no_request() -> None:
    """Whoever mistakes one for the other is told."""
    with pytest.raises(msgspec.ValidationError):
        decode_request(encode(PLAN))
