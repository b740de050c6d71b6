"""Every fuzz harness holds for a few hundred fixed rounds; `make fuzz` plays as many as there is time for."""

from __future__ import annotations

import importlib

import pytest

from fuzz.run import load, names, play

ROUNDS = 400


@pytest.mark.parametrize("name", names())
def test_the_invariant_holds(name: str) -> None:
    """No damaged input breaks the harness's invariant; a finding is shown with its input."""
    target = load(name)
    for number in range(ROUNDS):
        data, error = play(target, 1, number)
        assert error is None, f"round {number}: {data!r}"


@pytest.mark.parametrize("name", names())
def test_a_harness_begins_with_its_invariant(name: str) -> None:
    """The first line of the module's docstring is a sentence, and there is input to start from."""
    invariant = (importlib.import_module(f"fuzz.{name}").__doc__ or "").partition("\n")[0]

    assert invariant.endswith(".")
    assert load(name).seeds
