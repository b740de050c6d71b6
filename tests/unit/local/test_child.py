"""The child's own parts; the whole of it is driven by the end-to-end test of the engine."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec

from tokenway.local.child import listen, load
from tokenway.local.pipe import EXIT_UNUSABLE, Report, Settings


def test_a_left_over_socket_is_replaced(tmp_path: Path) -> None:
    """The address of a dead predecessor can be used again, by its owner only."""
    path = tmp_path / "s"
    listen(path).close()
    with listen(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_wrong_files_become_sentences(tmp_path: Path) -> None:
    """Each model that cannot be loaded is told, none is served, and nothing raises."""
    wrong = tmp_path / "weights"
    wrong.write_bytes(b"GGUF")
    settings = Settings(
        key="k",
        data_dir=str(tmp_path),
        chat=str(wrong),
        embed=str(wrong),
        extra={"gone": str(tmp_path / "gone.gguf")},
    )
    served, problems = load(settings, tmp_path)
    assert served == []
    assert [word in problem for word, problem in zip(["SHA-256", "SHA-256", "gone.gguf"], problems, strict=True)] == [
        True
    ] * 3


def test_a_child_without_models_reports_and_leaves(tmp_path: Path) -> None:
    """The report is the only line on standard output, and the status says that trying again is useless."""
    settings = Settings(key="k", data_dir=str(tmp_path), chat=str(tmp_path / "gone"))
    command = [sys.executable, "-m", "tokenway.local.child", str(tmp_path / "s")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(msgspec.json.encode(settings) + b"\n")
        child.stdin.flush()  # the pipe stays open: its end would be the end of the child
        (line,) = child.stdout.readlines()
        assert child.wait(30) == EXIT_UNUSABLE
    report = msgspec.json.decode(line, type=Report)
    assert report.models == ()
    assert "gone" in report.problems[0]


def test_what_the_runtime_prints_does_not_disturb_the_report() -> None:
    """Prints of native code go to standard error, the private output to standard output."""
    script = """
        import os
        from tokenway.local.child import private_output
        output = private_output()
        os.write(1, b"noise")
        output.write(b"report")
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (b"report", b"noise")


def test_the_child_ends_with_its_parent() -> None:
    """When the pipe ends, so does the process, whatever it is doing."""
    script = """
        import sys, time
        from tokenway.local.child import die_with_parent
        die_with_parent(sys.stdin.fileno())
        print("up", flush=True)
        time.sleep(100)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.stdin.close()
        assert child.wait(30) == 0
