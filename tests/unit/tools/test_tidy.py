"""Text that does not belong into the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from tools.tidy import INDEX_HOSTS, check, task_faults, text_faults

NOTE = PurePosixPath("docs/note.md")
MODULE = PurePosixPath("src/tokenway/edge/relay.py")


@pytest.mark.parametrize("host", INDEX_HOSTS)
def test_the_name_of_an_index_is_a_fault(host: str) -> None:
    """Each known index is found, in any case of letters, with its line."""
    (fault,) = text_faults(NOTE, f"first\nfetch it from https://{host.upper()}/simple\n")

    assert fault == f"docs/note.md:2: names the package index {host}"


@pytest.mark.parametrize("folder", ["home", "Users", "root", "work"])
def test_a_path_of_one_machine_is_a_fault(folder: str) -> None:
    """A path below somebody's home or workplace is found, also in quotes."""
    (fault,) = text_faults(NOTE, f'open("/{folder}/me/data.json")')

    assert f"/{folder}/me" in fault


@pytest.mark.parametrize(
    "text", ["GET /v1/home/x", "$HOME/work/a", "src/root/b.py", "a/home/b", "/etc/hosts", "/tmp/x"]
)
def test_other_paths_are_no_fault(text: str) -> None:
    """Routes, relative paths and the system's own folders pass."""
    assert text_faults(NOTE, text) == []


@pytest.mark.parametrize("call", ["loop.create_task(work())", "group.create_task(work())", "asyncio.ensure_future(x)"])
def test_a_task_started_by_hand_is_a_fault(call: str) -> None:
    """Any call by that attribute is found in the package, with its line."""
    (fault,) = task_faults(MODULE, f"import asyncio\n{call}\n")

    assert fault.startswith("src/tokenway/edge/relay.py:2:")


@pytest.mark.parametrize("path", ["src/tokenway/aio/tasks.py", "tests/e2e/test_serve.py"])
def test_the_one_place_and_the_tests_may_start_tasks(path: str) -> None:
    """The rule is for the package, without the module that exists for it."""
    assert task_faults(PurePosixPath(path), "loop.create_task(work())") == []


def test_binary_files_are_passed_over(tmp_path: Path) -> None:
    """A tree is checked file by file; a picture that happens to hold a host's name is none of our text."""
    host = INDEX_HOSTS[0].encode()
    (tmp_path / "picture.png").write_bytes(b"\0" + host)
    (tmp_path / "note.md").write_bytes(host)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    assert [fault.split(":")[0] for fault in check(tmp_path)] == ["note.md"]
