"""One gateway for each data directory."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tokenway.compose.lock import LOCK, data_directory_held
from tokenway.model.errors import ConfigError

HOLDER = """
import sys
from pathlib import Path
from tokenway.compose.lock import data_directory_held
with data_directory_held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_directory_is_made_private(tmp_path: Path) -> None:
    """Nobody but its owner may look into it, and it says who holds it."""
    directory = tmp_path / "a" / "b"
    with data_directory_held(directory):
        assert directory.stat().st_mode & 0o777 == 0o700
        assert (directory / LOCK).stat().st_mode & 0o777 == 0o600
        assert (directory / LOCK).read_text() == f"{os.getpid()}\n"


def test_the_lock_ends_with_the_block(tmp_path: Path) -> None:
    """The next gateway gets the directory, and writes its own name over a longer one."""
    with data_directory_held(tmp_path):
        pass
    (tmp_path / LOCK).write_text("12345678901234567890\n")
    with data_directory_held(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_second_gateway_is_told_who_has_it(tmp_path: Path) -> None:
    """The process id of the first, the directory, and what to do; killed, it holds nothing any more."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ConfigError) as refused, data_directory_held(tmp_path):
            pytest.fail("two processes hold one directory")
        holder.kill()
        holder.wait()
        with data_directory_held(tmp_path):
            pass
    assert str(refused.value) == (
        f"another gateway (process {holder.pid}) uses the data directory {tmp_path}; "
        "stop it, or give this one its own with --data-dir"
    )


INHERITED = """
import subprocess, sys, time
from pathlib import Path
from tokenway.compose.lock import data_directory_held
with data_directory_held(Path(sys.argv[1])) as lock:
    child = [sys.executable, "-c", "import time; print('held', flush=True); time.sleep(%s)"]
    subprocess.Popen(child, pass_fds=(lock,)).wait()
"""


def test_who_inherits_it_holds_it_for_a_moment(tmp_path: Path) -> None:
    """A killed supervisor's control process has the directory until it has seen that; the next one waits for it."""
    command = [sys.executable, "-c", INHERITED % "0.5", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with (tmp_path / LOCK).open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with data_directory_held(tmp_path):
            pass


def test_it_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control process that hangs keeps the directory, and the next one says so."""
    monkeypatch.setattr("tokenway.compose.lock.LOCK_SECONDS", 0.1)
    command = [sys.executable, "-c", INHERITED % "60", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with pytest.raises(ConfigError, match=f"process {holder.pid}"), data_directory_held(tmp_path):
            pytest.fail("two processes hold one directory")
        os.killpg(holder.pid, signal.SIGKILL)


def test_a_directory_that_cannot_be_made_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    """Below a file there is no directory."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as refused, data_directory_held(tmp_path / "file" / "data"):
        pytest.fail("there is no such directory")
    assert str(refused.value) == (
        f"the data directory {tmp_path}/file/data cannot be written (Not a directory); choose another with --data-dir"
    )
