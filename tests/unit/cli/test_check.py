"""`tokenway check`: findings with file and line, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.cli.conftest import Run


def test_without_a_file_the_defaults_can_be_used(tokenway: Run) -> None:
    """No configuration at all is a right configuration."""
    done = tokenway("check")
    assert done.returncode == 0
    assert "can be used" in done.stdout
    assert "no configuration file" in done.stdout


def test_a_wrong_name_is_found_with_its_line_and_the_nearest(process: Run, home: Path) -> None:
    """A misspelled setting in ./tokenway.yaml is named with file, line and what was probably meant; status 1."""
    (home / "tokenway.yaml").write_text("server:\n  prot: 8080\n")
    done = process("check")
    assert done.returncode == 1
    assert "tokenway.yaml:2: error: server.prot" in done.stdout
    assert "did you mean 'port'?" in done.stdout


def test_json_lists_every_finding(tokenway: Run, home: Path) -> None:
    """The JSON form says whether it can be used and holds each finding as an object."""
    path = home / "other.yaml"
    path.write_text("server:\n  prot: 8080\nmodel: {}\n")
    done = tokenway("check", "--config", str(path), "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["ok"] is False
    assert [(one["line"], one["nearest"]) for one in found["findings"]] == [(2, ["port"]), (3, ["models"])]


def test_a_named_file_that_is_not_there_is_a_failure(tokenway: Run) -> None:
    """--config with a wrong path does not fall back to the defaults."""
    done = tokenway("check", "--config", "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stdout
