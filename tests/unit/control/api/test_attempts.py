"""How often a password may be tried."""

from __future__ import annotations

from tokenway.control.api.attempts import KEPT_MAX, PER_ADDRESS, PER_NAME, WINDOW_SECONDS, Attempts


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        """What it shows."""
        return self.now


def test_a_name_waits_after_some_attempts_from_anywhere() -> None:
    """Whatever case it is written in, until the window is over."""
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(PER_NAME):
        assert attempts.begin("Name", f"10.0.0.{number}") == 0.0
    clock.now += 100
    assert attempts.begin("nAME", "10.9.9.9") == WINDOW_SECONDS - 100
    assert attempts.begin("other", "10.9.9.9") == 0.0
    clock.now += WINDOW_SECONDS - 100
    assert attempts.begin("name", "10.9.9.9") == 0.0


def test_an_address_waits_whatever_the_names() -> None:
    """So nobody tries one password with a thousand names."""
    attempts = Attempts(Clock())
    for number in range(PER_ADDRESS):
        assert attempts.begin(f"name {number}", "a") == 0.0
    assert attempts.begin("another", "a") > 0
    assert attempts.begin("another", "b") == 0.0


def test_who_is_right_begins_anew() -> None:
    """And his address has the attempt back, and no more."""
    attempts = Attempts(Clock())
    for _ in range(3):
        for _ in range(PER_NAME - 1):
            assert attempts.begin("name", "a") == 0.0
        assert attempts.begin("name", "a") == 0.0
        attempts.succeeded("name", "a")
    for number in range(PER_ADDRESS - 3 * (PER_NAME - 1)):
        assert attempts.begin(f"name {number}", "a") == 0.0
    assert attempts.begin("last", "a") > 0


def test_a_clock_that_was_set_back_locks_nobody_out() -> None:
    """A new window begins."""
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(PER_NAME):
        attempts.begin("name", "a")
    clock.now -= 5000
    assert attempts.begin("name", "a") == 0.0


def test_memory_is_bounded() -> None:
    """Who was tried longest ago is forgotten."""
    attempts = Attempts(Clock())
    for number in range(KEPT_MAX + 10):
        attempts.begin(f"n{number}", f"a{number}")
    assert (len(attempts._names), len(attempts._addresses)) == (KEPT_MAX, KEPT_MAX)
