"""What keys and tokens say of themselves."""

from __future__ import annotations

import pytest

from tokenway.store.accounts.records import KeyRow, KeyState, TokenRow


@pytest.mark.parametrize(
    ("revoked", "expires", "archived", "state"),
    [
        (None, None, None, KeyState.ACTIVE),
        (11.0, None, None, KeyState.ACTIVE),
        (10.0, None, None, KeyState.REVOKED),
        (None, 10.0, None, KeyState.EXPIRED),
        (None, 10.1, None, KeyState.ACTIVE),
        (9.0, 9.0, None, KeyState.REVOKED),
        (9.0, 99.0, 9.5, KeyState.ARCHIVED),
    ],
)
def test_a_key_is_active_until_its_first_end(
    revoked: float | None, expires: float | None, archived: float | None, state: KeyState
) -> None:
    """The end itself is outside."""
    row = KeyRow("key_1", "ci", "default", "d", "tw-12345", 0.0, revoked, expires, archived=archived)
    assert row.state(10.0) is state
    assert row.is_active(10.0) is (state is KeyState.ACTIVE)


def test_a_token_is_active_until_its_first_end() -> None:
    """Revoked or expired, whichever comes first."""
    row = TokenRow("tok_1", "usr_1", "ci", "twc-1234", 0.0, expires=10.0, revoked=5.0)
    assert [row.is_active(now) for now in (4.9, 5.0, 11.0)] == [True, False, False]
    assert TokenRow("tok_1", "usr_1", "ci", "twc-1234", 0.0).is_active(1e9)
