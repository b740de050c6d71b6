"""Reading processes from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_cpu_time_of_a_child_that_ended_is_still_counted() -> None:
    """The tree's CPU time holds what a reaped child used, and one process alone does so too."""
    before = machine.cpu_seconds(os.getpid())
    script = "import time\nwhile time.process_time() < 0.2: pass"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert machine.cpu_seconds(os.getpid()) - before > 0.15  # the kernel counts in hundredths, rounded twice


def test_stop_ends_the_whole_tree() -> None:
    """A child that ignores its parent's end is ended too."""
    inner = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    script = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {inner!r}]); p.wait()"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"1\n"
    pids = machine.tree(process.pid)
    assert len(pids) == 2
    machine.stop(process)
    process.stdout.close()
    give_up = time.monotonic() + 10
    while any(_is_running(pid) for pid in pids):
        assert time.monotonic() < give_up


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_memory_names_this_process_first() -> None:
    """The root of the tree comes first, with a resident size that is at least its private part."""
    first = machine.memory(os.getpid())[0]
    assert first.pid == os.getpid()
    assert 0 < first.private <= first.resident


def test_program_that_does_not_compile_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler's words reach the report instead of a stack trace."""
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }")
    with pytest.raises(machine.Unavailable, match=r"no C compiler|broken\.c does not compile"):
        machine.build(source)
