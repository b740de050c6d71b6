"""Affinity: which endpoint has seen how much of a request."""

from __future__ import annotations

import pytest

from tokenway.routing.affinity import FIRST, KEEPS, KEYS_MAX, Affinity, keys_of

TURN = b'{"messages":[' + b"x" * 9000
NEXT = TURN + b"y" * 3000


def test_a_longer_turn_shares_the_keys_of_the_one_before() -> None:
    """A conversation grows at its end, so its beginnings stay."""
    first, later = keys_of(TURN, "default", ""), keys_of(NEXT, "default", "")
    assert set(first) <= set(later)
    assert len(first) == 3  # 2, 4 and 8 KiB
    assert keys_of(b"z" + TURN, "default", "") != first


def test_short_requests_have_no_keys() -> None:
    """No provider caches so little; but a session has one."""
    assert keys_of(b"x" * (FIRST - 1), "default", "") == ()
    assert len(keys_of(b"x", "default", "mine")) == 1


def test_sessions_belong_to_their_scope() -> None:
    """Two projects may choose the same id."""
    assert keys_of(b"", "one", "s") != keys_of(b"", "two", "s")


def test_the_share_is_what_was_seen() -> None:
    """The longest known beginning counts, at the endpoint that saw it, while it is fresh."""
    affinity = Affinity()
    affinity.note(keys_of(TURN, "p", ""), "a/m", 100.0, len(TURN))
    keys = keys_of(NEXT, "p", "")
    assert affinity.share(keys, "a/m", 100.0 + KEEPS, len(NEXT)) == pytest.approx(8192 / len(NEXT))
    assert affinity.share(keys, "a/m", 101.0 + KEEPS, len(NEXT)) == 0.0
    assert affinity.share(keys, "b/m", 100.0, len(NEXT)) == 0.0
    assert affinity.share((), "a/m", 100.0, len(NEXT)) == 0.0


def test_a_session_knows_how_long_its_last_turn_was() -> None:
    """Its whole last request counts, however it is spelled."""
    affinity = Affinity()
    affinity.note(keys_of(b"x" * 900, "p", "s"), "a/m", 100.0, 900)
    assert affinity.share(keys_of(b"y" * 1000, "p", "s"), "a/m", 100.0, 1000) == pytest.approx(0.9)
    assert affinity.share(keys_of(b"y" * 100, "p", "s"), "a/m", 100.0, 100) == 1.0


def test_memory_is_bounded() -> None:
    """The keys that were used longest ago are forgotten."""
    affinity = Affinity()
    for key in range(KEYS_MAX + 10):
        affinity.note((key,), "a/m", 100.0, 4096)
    assert affinity.share((0,), "a/m", 100.0, 4096) == 0.0
    assert affinity.share((KEYS_MAX + 9,), "a/m", 100.0, 4096) > 0.0
    assert len(affinity._seen) <= KEYS_MAX
