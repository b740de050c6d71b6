"""The runner of the fuzz harnesses."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from fuzz.run import Target, load, main, mutate, names, pieces, play, search

SEEDS = (b"one,two,three", b"\x00\x01" * 20)


def refuses_commas(data: bytes, chance: Random) -> None:
    """A harness that breaks on the first seed."""
    assert b"," not in data


def accepts(data: bytes, chance: Random) -> None:
    """A harness that holds for anything."""
    assert b"".join(pieces(data, chance)) == data


def test_every_module_but_the_runner_is_a_harness(tmp_path: Path) -> None:
    """A new file in the folder is found without being listed."""
    for name in ("run.py", "__init__.py", "new.py", "note.md"):
        (tmp_path / name).touch()

    assert names(tmp_path) == ["new"]
    assert "sse" in names()


def test_mutation_repeats_and_varies() -> None:
    """The same chance gives the same input, other chances give many others."""
    assert mutate(SEEDS, Random(5)) == mutate(SEEDS, Random(5))
    assert len({mutate(SEEDS, Random(number)) for number in range(200)}) > 100


def test_pieces_are_the_data_cut() -> None:
    """Nothing is lost or reordered, no piece is empty, and both whole and single bytes occur."""
    cuts = [pieces(b"0123456789", Random(number)) for number in range(200)]

    assert all(b"".join(cut) == b"0123456789" and all(cut) for cut in cuts)
    assert {1, 10} <= {len(cut) for cut in cuts}


def test_a_round_is_repeated_by_its_numbers() -> None:
    """Name, seed and round decide the input; whatever the harness raises is the finding."""
    target = Target("commas", SEEDS, refuses_commas)
    found = [play(target, 1, number) for number in range(20)]

    assert found[7][0] == play(target, 1, 7)[0]
    assert {type(error) for _, error in found} == {type(None), AssertionError}


def test_a_finding_is_printed_with_the_way_to_repeat_it(capsys: pytest.CaptureFixture[str]) -> None:
    """The search stops at the first finding and prints input and command."""
    assert not search(Target("commas", SEEDS, refuses_commas), 1, 0, time.monotonic() + 30)
    assert "again: python -m fuzz.run commas --seed 1 --first " in capsys.readouterr().out


def test_a_search_ends_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A harness that holds is played until the time is over."""
    assert search(Target("anything", SEEDS, accepts), 1, 0, time.monotonic() + 0.05)
    assert "no finding" in capsys.readouterr().out


def test_the_command_runs_the_harnesses_it_is_given() -> None:
    """A known name runs and exits with 0, an unknown one with 2."""
    assert main(["sse", "--seconds", "0.05", "--seed", "1"]) == 0
    with pytest.raises(SystemExit, match="2"):
        main(["nothing"])


def test_a_module_without_harness_is_refused() -> None:
    """A folder's file that is no harness is an error, not an empty search."""
    with pytest.raises(ModuleNotFoundError):
        load("nothing")
