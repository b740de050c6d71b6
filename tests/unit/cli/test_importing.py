"""`tokenway import litellm`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

TEXT = "model_list: [{model_name: a, litellm_params: {model: gpt-4o, api_key: os.environ/K, seed: 7}}]"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A proxy's file with one setting that has no counterpart."""
    path = tmp_path / "config.yaml"
    path.write_text(TEXT)
    return path


def test_the_new_file_goes_to_standard_output(old: Path, tokenway: Run) -> None:
    """And what could not be carried over to standard error."""
    done = tokenway("import", "litellm", str(old))
    assert done.returncode == 0
    assert "api_key: ${K}" in done.stdout
    assert "model_list[0].litellm_params.seed: there is nothing like it here" in done.stderr


def test_or_into_a_file_that_is_not_there_yet(old: Path, tokenway: Run, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    new = tmp_path / "new.yaml"
    done = tokenway("import", "litellm", str(old), "--output", str(new))
    assert (done.returncode, done.stdout) == (0, "")
    assert "api_key: ${K}" in new.read_text()
    assert "tokenway check --config" in done.stderr
    again = tokenway("import", "litellm", str(old), "--output", str(new))
    assert again.returncode == 1
    assert "cannot write" in again.stderr


def test_as_json_both_are_in_one(old: Path, tokenway: Run) -> None:
    """For programs."""
    data = json.loads(tokenway("import", "litellm", str(old), "--json").stdout)
    assert "gpt-4o" in data["configuration"]
    assert {"path", "reason"} == set(data["unmapped"][0])


def test_a_file_that_is_none_is_a_sentence(tokenway: Run, tmp_path: Path) -> None:
    """One that is missing, and one that is something else."""
    missing = tokenway("import", "litellm", str(tmp_path / "none.yaml"))
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "cannot read" in missing.stderr
    other = tmp_path / "other.yaml"
    other.write_text("a: b")
    assert "no model_list" in tokenway("import", "litellm", str(other)).stderr
