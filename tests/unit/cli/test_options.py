"""`tokenway.cli.options`: options that several commands share."""

from __future__ import annotations

import pathlib

import pytest

from tokenway.cli.main import command_paths, run

SHARED = {
    "--config": "Configuration file",
    "--data-dir": "Data directory",
    "--base-url": "Address of the gateway",
    "--key": "Key to call with",
    "--json": "Print JSON.",
}


def test_an_option_means_the_same_wherever_it_stands(home: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each shared option has its one help text in every command that takes it, and is taken by several."""
    users = dict.fromkeys(SHARED, 0)
    for path in command_paths():
        run([*path, "--help"])
        for line in capsys.readouterr().out.splitlines():
            words = line.strip("│ ").split()
            if words and words[0] in SHARED:
                assert SHARED[words[0]] in line, path
                users[words[0]] += 1
    assert min(users.values()) >= 4


def test_negative_forms_of_flags_do_not_exist(home: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--no-json` would mean nothing, so it is an unknown option."""
    assert run(["check", "--no-json"]) == 2
    assert "Unknown option" in capsys.readouterr().err
