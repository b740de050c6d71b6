"""The files of this repository, as the checks see them: what git tracks or would track."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def files(root: Path = ROOT) -> list[Path]:
    """Every file that is tracked, or is new and not ignored; relative to `root`, sorted.

    Raises subprocess.CalledProcessError outside a git work tree.
    """
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    # A file that was deleted and not yet committed is still listed.
    return sorted({Path(name) for name in listed if name and (root / name).is_file()})


def modules(root: Path = ROOT) -> list[Path]:
    """The Python files among them."""
    return [path for path in files(root) if path.suffix == ".py"]
