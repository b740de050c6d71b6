"""`tokenway local`: what is said of the local engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenway.cli import local
from tokenway.cli.main import run
from tokenway.compose.local_status import LocalStatus


def test_status_is_about_this_machine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON names both built-in models, and the exit status agrees with the verdict."""
    status = run(["local", "status", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["models"] == ["local", "local-embed"]
    assert found["works"] is (status == 0) is (not found["problems"])


def test_a_file_that_is_no_model_is_a_problem(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that the configuration names as a further model is looked at too."""
    (home / "mine.gguf").write_text("not a model")
    (home / "tokenway.yaml").write_text("providers: {local: {models: {mine: ./mine.gguf}}}\n")
    assert run(["local", "status"]) == 1
    assert "mine.gguf of local model 'mine' is not a GGUF file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "status", "text"),
    [
        (LocalStatus(True, ("local", "mine"), ()), 0, "The local engine can run. Models: local, mine.\n"),
        (LocalStatus(False, ("local",), ("No CPU.", "No file.")), 1, "No CPU.\nNo file.\n"),
    ],
)
def test_people_get_sentences(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: LocalStatus,
    status: int,
    text: str,
) -> None:
    """Either that it works and with which models, or every problem on a line of its own."""
    monkeypatch.setattr(local, "local_status", lambda _: found)
    assert run(["local", "status"]) == status
    assert capsys.readouterr().out == text


def test_install_passes_on_what_the_installer_says(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each sentence is printed, and a failed installation is exit status 1."""

    def installer(say: object) -> int:
        assert callable(say)
        say("Installing.")
        return 1

    monkeypatch.setattr(local, "install_local", installer)
    assert run(["local", "install"]) == 1
    assert capsys.readouterr().out == "Installing.\n"
