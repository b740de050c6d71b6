"""Passwords: hashed slowly, checked without telling who is there."""

from __future__ import annotations

from typing import Literal

import pytest
from argon2 import PasswordHasher

from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.base import Invalid

RIGHT = Secret("correct horse")


def test_only_the_right_password_is_right() -> None:
    """Of two hashes of one password neither shows it, and they differ."""
    stored = passwords.hashed(RIGHT)
    assert stored.reveal().startswith("$argon2id$")
    assert stored != passwords.hashed(RIGHT)
    assert passwords.check(stored, RIGHT) == passwords.Checked(is_right=True)
    for wrong in ("correct horsf", "", "\ud800", "x" * 10_000):
        assert not passwords.check(stored, Secret(wrong)).is_right


def test_nobodys_password_is_never_right_and_takes_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same function is run over a hash of the same parameters, so the time does not tell names."""
    run: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - the base's name
            run.append(str(hash).rsplit("$", 2)[0])
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_HASHER", Watched(2, 19_456, 1))
    stored = passwords.hashed(RIGHT)
    assert not passwords.check(None, RIGHT).is_right
    assert not passwords.check(stored, Secret("wrong password")).is_right
    assert len(run) == 2
    assert run[0] == run[1]


def test_a_hash_by_older_parameters_is_made_anew() -> None:
    """When the password was right, which is the only moment at which it is known."""
    older = Secret(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(RIGHT.reveal()))
    checked = passwords.check(older, RIGHT)
    assert checked.is_right
    assert checked.rehashed is not None
    assert passwords.check(checked.rehashed, RIGHT) == passwords.Checked(is_right=True)
    assert passwords.check(older, Secret("wrong password")) == passwords.Checked(is_right=False)


def test_a_damaged_hash_lets_nobody_in() -> None:
    """It is no reason to fail either."""
    assert not passwords.check(Secret("$argon2id$broken"), RIGHT).is_right


@pytest.mark.parametrize("text", ["", "1234567", "x" * 257])
def test_a_password_has_8_to_256_characters(text: str) -> None:
    """The error says so, without the password."""
    with pytest.raises(Invalid, match="8 to 256 characters") as caught:
        passwords.hashed(Secret(text))
    assert caught.value.field == "password"
    assert not text or text not in str(caught.value)


def test_a_generated_password_is_long_enough_and_never_the_same() -> None:
    """128 random bits."""
    assert passwords.generated() != passwords.generated()
    assert len(passwords.generated().reveal()) == 22
