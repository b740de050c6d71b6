"""The beginning of the command line: what it takes for plain is what the parser makes of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.cli import begin
from tokenway.cli.begin import Plain, main, plain
from tokenway.cli.main import run

NAMES = ["--config", "--data-dir", "--host", "--port", "--control-port", "--workers"]
VALUES = ["0", "7", "007", "8080", "99999", "-1", "1.5", "x", "", "a b", "--port", "١", "::1", "./a.yaml", "=", "true"]


def parsed(words: list[str]) -> tuple[int, list[Plain]]:
    """The exit status of the parser's way, and what it would have started."""
    started: list[Plain] = []

    def serve(*, config: Path | None, overrides: Mapping[str, str], data_dir: Path | None) -> int:
        started.append(Plain(config, dict(overrides), data_dir))
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tokenway.compose.serve.serve", serve)
        return run(["serve", *words]), started


def test_nothing_is_plain() -> None:
    """File and environment decide."""
    assert plain([]) == Plain(None, {}, None)


def test_every_option_is_plain() -> None:
    """As settings, and as paths."""
    words = "--host ::1 --port 0 --control-port 9001 --workers 2 --data-dir here --config other.yaml"
    overrides = {"host": "::1", "port": "0", "control_port": "9001", "workers": "2"}
    expected = Plain(Path("other.yaml"), {f"server.{name}": text for name, text in overrides.items()}, Path("here"))
    assert plain(words.split()) == expected


@given(st.lists(st.one_of(st.sampled_from(NAMES), st.sampled_from([*VALUES, "--help", "--hots"])), max_size=6))
def test_what_is_plain_is_what_the_parser_makes_of_it(words: list[str]) -> None:
    """Anything else is left to it."""
    found = plain(words)
    if found is not None:
        assert parsed(words) == (0, [found])


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--port"], ["--port", "x"], ["--port=1"], ["--prot", "1"], ["--port", "1", "--port", "2"], ["x"]],
)
def test_the_rest_needs_a_parser(words: list[str]) -> None:
    """Questions, mistakes and other ways to write it."""
    assert plain(words) is None


def test_it_begins_without_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would stay in the supervisor's memory."""
    program = (
        "import sys; from tokenway.cli import begin; from tokenway.compose import serve; "
        "serve.serve = lambda **asked: print(asked['overrides'], 'cyclopts' in sys.modules) or 7; begin.main()"
    )
    command = [sys.executable, "-c", program, "serve", "--port", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (7, "{'server.port': '1'} False\n")


@pytest.mark.parametrize(("words", "status"), [(["serve", "--port", "x"], 2), (["nothing"], 2), (["serve", "-h"], 0)])
def test_the_parser_has_the_last_word(
    words: list[str], status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On all that is not plain."""
    monkeypatch.setattr(sys, "argv", ["tokenway", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert "".join(capsys.readouterr())


def test_ctrl_c_before_there_is_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends it as it ends every command."""

    def serve(**_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenway.compose.serve.serve", serve)
    monkeypatch.setattr(sys, "argv", ["tokenway", "serve"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == begin.INTERRUPTED == 130


def test_ctrl_c_before_there_is_a_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """To import it takes long enough to be stopped."""

    def importing(_: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenway.cli.main.run", importing)
    monkeypatch.setattr(sys, "argv", ["tokenway", "forecast"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == begin.INTERRUPTED
