"""Fails on text that does not belong into this repository: `python -m tools.tidy`.

Three rules, each over every file that git tracks or would track:

* no name of a package index: a lock or a script must work against whichever index its user has;
* no absolute path of somebody's machine;
* no task started outside `tokenway.aio.tasks`. ruff bans the functions of asyncio by name and cannot
  see that `loop.create_task(...)` is the same thing, so this looks at the attribute.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Final

from tools.tree import ROOT, files

# Put together from pieces, so that this file passes its own check.
INDEX_HOSTS: Final = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("deb", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("ghcr", "io"),
        ("docker", "io"),
    )
)
HOMES: Final = ("home", "Users", "root", "work")
MACHINE_PATH: Final = re.compile(r"(?<![\w.\-/$}])/(?:" + "|".join(HOMES) + r")/[\w.\-]+")
TASK_STARTERS: Final = frozenset({"create_task", "ensure_future", "run_coroutine_threadsafe"})
TASK_HOME: Final = PurePosixPath("src/tokenway/aio/tasks.py")
PACKAGE: Final = PurePosixPath("src/tokenway")


def text_faults(path: PurePosixPath, text: str) -> list[str]:
    """Index hosts and machine paths in a file, as sentences with the line."""
    faults = []
    for number, line in enumerate(text.splitlines(), start=1):
        faults += [f"{path}:{number}: names the package index {host}" for host in INDEX_HOSTS if host in line.lower()]
        faults += [
            f"{path}:{number}: the path {found} exists on one machine only" for found in MACHINE_PATH.findall(line)
        ]
    return faults


def task_faults(path: PurePosixPath, source: str) -> list[str]:
    """Tasks started by a module of the package that is not the one which may."""
    if not path.is_relative_to(PACKAGE) or path == TASK_HOME:
        return []
    return [
        f"{path}:{node.lineno}: {node.func.attr} outside {TASK_HOME}: use Tasks.start"
        for node in ast.walk(ast.parse(source, path.as_posix()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TASK_STARTERS
    ]


def check(root: Path) -> list[str]:
    """All faults under `root`; binary files are passed over."""
    faults = []
    for relative in files(root):
        path = PurePosixPath(relative.as_posix())
        data = (root / relative).read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", errors="replace")
        faults += text_faults(path, text)
        if path.suffix == ".py":
            faults += task_faults(path, text)
    return faults


def main() -> int:
    """Prints what does not belong; 1 when anything does not."""
    found = check(ROOT)
    for line in found:
        print(f"fault: {line}")
    print(f"tidy: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
