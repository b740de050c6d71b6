"""The list of files that the checks look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.tree import files, modules


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git work tree with a tracked, a new, an ignored and a deleted file."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n", encoding="utf-8")
    for name in ("tracked.py", "gone.py"):
        (tmp_path / name).write_text("", encoding="utf-8")
    subprocess.run(["git", "-C", str(tmp_path), "add", "."], check=True)
    (tmp_path / "gone.py").unlink()
    (tmp_path / "new.txt").write_text("", encoding="utf-8")
    (tmp_path / "ignored.py").write_text("", encoding="utf-8")
    return tmp_path


def test_tracked_and_new_files_are_listed(repository: Path) -> None:
    """What git tracks or would track is listed; what it ignores or what is gone is not."""
    assert files(repository) == [Path(".gitignore"), Path("new.txt"), Path("tracked.py")]


def test_modules_are_the_python_files(repository: Path) -> None:
    """Only Python files are modules."""
    assert modules(repository) == [Path("tracked.py")]


def test_outside_a_work_tree_there_is_an_error(tmp_path: Path) -> None:
    """A folder without git is refused, so that no check passes by seeing nothing."""
    with pytest.raises(subprocess.CalledProcessError):
        files(tmp_path / "nowhere")
