"""Secrets at rest: sealed, opened, and opened by nobody else."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.store.seal import FILE_NAME, VARIABLE, Seal, SealFault, open_seal

ONE, TWO = "a" * 32, "b" * 40


@given(text=st.text())
def test_what_is_sealed_is_opened(text: str) -> None:
    """Any text; each time another one comes of it, and nothing of the text is in it."""
    seal = Seal([ONE])
    sealed = seal.seal(text, "purpose")
    assert seal.open(sealed, "purpose") == text
    assert seal.seal(text, "purpose") != sealed
    assert len(text) < 8 or text not in sealed


@given(text=st.text(max_size=20), at=st.integers(0, 200), by=st.integers(1, 63))
def test_what_was_changed_is_not_opened(text: str, at: int, by: int) -> None:
    """Not one character may differ."""
    seal = Seal([ONE])
    sealed = seal.seal(text, "purpose")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    head, body = sealed[: sealed.rindex(".") + 1], sealed[sealed.rindex(".") + 1 :]
    index = at % (len(body) - 1)  # the last character holds bits that mean nothing
    other = alphabet[(alphabet.index(body[index]) + by) % 64]
    with pytest.raises(SealFault):
        seal.open(head + body[:index] + other + body[index + 1 :], "purpose")


@pytest.mark.parametrize("sealed", ["", "v1", "v1.", "v2.0.x", "plain text", "v1.00000000.AAAA", "v1..x"])
def test_what_was_never_sealed_is_not_opened(sealed: str) -> None:
    """A plain text in the database is no secret."""
    with pytest.raises(SealFault):
        Seal([ONE]).open(sealed, "purpose")


def test_it_is_for_one_purpose() -> None:
    """A cookie is no document."""
    seal = Seal([ONE])
    with pytest.raises(SealFault):
        seal.open(seal.seal("x", "one"), "other")
    assert seal.sign("one", b"x") != seal.sign("other", b"x")


def test_keys_are_replaced_one_after_the_other() -> None:
    """The new one seals, both open, and in the end the old one can go."""
    old, both, new = Seal([ONE]), Seal([TWO, ONE]), Seal([TWO])
    before = old.seal("x", "p")
    assert both.open(before, "p") == "x"
    after = both.seal("x", "p")
    assert new.open(after, "p") == "x"
    with pytest.raises(SealFault, match="another key"):
        new.open(before, "p")


def test_marks_tell_secrets_apart_and_nothing_of_them() -> None:
    """The same for the same text and key."""
    seal = Seal([ONE])
    assert seal.mark("x") == seal.mark("x") != seal.mark("y")
    assert Seal([TWO]).mark("x") != seal.mark("x")
    assert len(seal.mark("x")) == 12


@pytest.mark.parametrize("keys", [[], ["short"], [ONE, "short"]])
def test_keys_are_long(keys: list[str]) -> None:
    """What could be guessed is refused."""
    with pytest.raises(SealFault):
        Seal(keys)


def test_the_key_of_a_machine_is_made_once(tmp_path: Path) -> None:
    """In a file for its owner only; the next start has the same."""
    sealed = open_seal({}, tmp_path).seal("x", "p")
    path = tmp_path / FILE_NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_seal({}, tmp_path).open(sealed, "p") == "x"
    assert [each.name for each in tmp_path.iterdir()] == [FILE_NAME]


def test_many_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    """Whoever comes first makes it."""
    with ThreadPoolExecutor(8) as pool:
        seals = list(pool.map(lambda _: open_seal({}, tmp_path), range(16)))
    sealed = seals[0].seal("x", "p")
    assert {seal.open(sealed, "p") for seal in seals} == {"x"}


def test_the_environment_comes_first(tmp_path: Path) -> None:
    """Then no file is made; several keys are separated by commas."""
    seal = open_seal({VARIABLE: f"{TWO}, {ONE}"}, tmp_path)
    assert seal.open(Seal([ONE]).seal("x", "p"), "p") == "x"
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("text", ["", "short\n", "\n"])
def test_a_damaged_file_is_told(tmp_path: Path, text: str) -> None:
    """It is never written over: what it opened would be lost."""
    path = tmp_path / FILE_NAME
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SealFault, match="damaged"):
        open_seal({}, tmp_path)
    assert path.read_text() == text


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It says what to do."""
    open_seal({}, tmp_path)
    (tmp_path / FILE_NAME).chmod(0o640)
    with pytest.raises(SealFault, match="chmod 600"):
        open_seal({}, tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Somebody else may have put it there."""
    (tmp_path / "elsewhere").write_text(ONE)
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SealFault, match="cannot be read"):
        open_seal({}, tmp_path)
