"""Children that wait to be told what they are for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tokenway.compose.spawn import CONTROL, WORKER, begun, spawn


@pytest.mark.parametrize("module", [CONTROL, WORKER])
def test_a_child_waits_and_ends_with_its_leash(module: str) -> None:
    """It is in a session of its own, and has nothing to say when it is let go before it was told anything."""
    born = spawn(module)
    assert os.getsid(born.process.pid) == born.process.pid
    born.end.close()
    assert born.process.wait(60) == 0


def test_a_child_that_is_killed_is_gone() -> None:
    """Once or twice."""
    born = spawn(WORKER)
    born.kill()
    born.kill()
    assert born.process.returncode == -9


def test_what_has_begun_is_gone_at_the_end() -> None:
    """Whatever became of the start."""
    with begun() as (control, worker):
        assert (control.process.poll(), worker.process.poll()) == (None, None)
    assert (control.process.returncode, worker.process.returncode) == (-9, -9)


def test_it_imports_next_to_nothing() -> None:
    """The command line begins with it, before anything slow."""
    program = "import sys, tokenway.compose.serve; print(*{each.partition('.')[0] for each in sys.modules})"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert not {"asyncio", "cyclopts", "msgspec", "yaml", "uvloop", "sqlalchemy"} & set(told.split())


def test_an_interpreter_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And both ends of the leash are closed."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    ends = socket.socketpair()
    monkeypatch.setattr(socket, "socketpair", lambda: ends)
    with pytest.raises(FileNotFoundError):
        spawn(WORKER)
    assert [end.fileno() for end in ends] == [-1, -1]
