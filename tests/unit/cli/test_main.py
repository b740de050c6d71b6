"""`tokenway.cli.main`: every command has help with an example, and each failure its exit status."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from tests.unit.cli.conftest import Run
from tokenway import __version__
from tokenway.cli.errors import BadUsage, CommandError
from tokenway.cli.main import build_app, command_paths, run
from tokenway.model.errors import ConfigError


@pytest.mark.parametrize("path", [(), *command_paths()], ids=" ".join)
def test_every_command_has_help_with_an_example(
    path: tuple[str, ...], home: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` succeeds, names the command in its usage and shows at least one example of it."""
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: {' '.join(('tokenway', *path))}" in text
    assert f"  {' '.join(('tokenway', *path))}" in text.partition("For example:")[2]


def test_lists_of_commands_say_what_each_does(home: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the whole and of a group has a sentence beside every command."""
    for words, commands in (
        ([], {path[0] for path in command_paths()}),
        (["keys"], {"create", "list", "revoke", "rotate"}),
        (["local", "--help"], {"install", "status"}),
    ):
        run(words)
        lines = [line.strip("│ \n") for line in capsys.readouterr().out.splitlines()]
        for command in commands:
            assert any(line.startswith(f"{command} ") for line in lines), command


def test_every_printing_command_takes_json(home: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands that print data have --json; those that run or converse, or write a file of rows, do not."""
    groups = {path[:1] for path in command_paths() if len(path) > 1}
    silent = {("serve",), ("chat",), ("local", "install"), ("ledger", "export"), ("plan", "predict"), *groups}
    for path in command_paths():
        run([*path, "--help"])
        assert ("--json" in capsys.readouterr().out) is (path not in silent), path


def test_the_process_reports_the_version(process: Run) -> None:
    """`python -m tokenway --version` is the package's version."""
    done = process("--version")
    assert (done.returncode, done.stdout) == (0, f"tokenway {__version__}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ask", "local"], "PROMPT is missing. Try `tokenway ask --help`."),
        (["aks"], 'Unknown command "aks". Did you mean "ask"?'),
        (["keys", "crate"], "Try `tokenway keys --help`."),
        (["serve", "--port", "http"], 'unable to convert "http" into int. Try `tokenway serve --help`.'),
        (["models", "--jsno"], "Unknown option: --jsno. Did you mean --json?"),
    ],
)
def test_bad_usage_is_one_sentence_and_status_two(
    words: list[str], sentence: str, home: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line says what is wrong on standard error and where the help is."""
    assert run(words) == 2
    captured = capsys.readouterr()
    assert not captured.out
    assert captured.err.startswith("tokenway: ")
    assert sentence in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(CommandError("No."), 1), (BadUsage("No."), 2), (ConfigError("No."), 1), (KeyboardInterrupt(), 130)],
)
def test_failures_leave_with_their_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of failure has one exit status, and expected ones show no traceback."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("tokenway.cli.main.build_app", lambda: fail)
    assert run(["anything"]) == status
    assert capsys.readouterr().err == ("" if status == 130 else "tokenway: No.\n")


def test_a_reader_that_leaves_is_no_traceback(home: pathlib.Path) -> None:
    """`tokenway --help | true` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenway", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert not process.stderr.read()
    process.wait(30)


def test_the_commands_of_the_help_are_the_commands_there_are() -> None:
    """The list that documentation and tests go by holds every registered command."""
    app = build_app()
    top = {path[0] for path in command_paths()}
    assert top == {name for name in app if not name.startswith("-")}
    for group in ("keys", "local"):
        assert {path[1] for path in command_paths() if path[0] == group and len(path) == 2} == {
            name for name in app[group] if not name.startswith("-")
        }


def test_starting_imports_nothing_heavy(home: pathlib.Path) -> None:
    """Building the parser and reading `serve`'s options needs neither tables, the database nor a server."""
    code = (
        "import sys; from tokenway.cli.main import build_app; build_app()['serve']; "
        "print([m for m in "
        "('rich', 'sqlalchemy', 'openai', 'starlette', 'alembic', 'http.client') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
