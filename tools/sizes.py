"""Fails when a module or a function has grown too long: `python -m tools.sizes`.

A module of more than 400 lines is a smell and is named; more than 600 fails. A function of more than
70 lines fails. A file that has to be longer goes into `EXCEPTIONS` with its length of today, and that
number may only go down: a file that has shrunk must have its number lowered, one that is under the cap
must leave the list.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.tree import ROOT, modules

MODULE_SMELL: Final = 400
MODULE_CAP: Final = 600
FUNCTION_CAP: Final = 70

EXCEPTIONS: Final[Mapping[str, int]] = {}
"""Path to the number of lines it may have."""


def module_faults(path: str, lines: int, exceptions: Mapping[str, int] = EXCEPTIONS) -> list[str]:
    """What is wrong with a module of that many lines, as sentences."""
    allowed = exceptions.get(path)
    if allowed is None:
        return [f"{path}: {lines} lines, the cap is {MODULE_CAP}: split it"] if lines > MODULE_CAP else []
    if lines <= MODULE_CAP:
        return [f"{path}: {lines} lines is under the cap: take it off the list in tools/sizes.py"]
    if lines > allowed:
        return [f"{path}: {lines} lines, it was let through at {allowed} and may only shrink"]
    if lines < allowed:
        return [f"{path}: shrunk to {lines} lines: lower its number in tools/sizes.py from {allowed}"]
    return []


def function_faults(path: str, source: str) -> list[str]:
    """The functions over the cap, from the `def` line to the last, as sentences."""
    faults = []
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_CAP:
                faults.append(f"{path}:{node.lineno}: {node.name} has {lines} lines, the cap is {FUNCTION_CAP}")
    return faults


def check(root: Path) -> tuple[list[str], list[str]]:
    """Faults, and smells that do not fail, over every module under `root`."""
    faults: list[str] = []
    smells: list[str] = []
    paths = modules(root)
    for path in paths:
        source = (root / path).read_text(encoding="utf-8")
        lines = len(source.splitlines())
        faults += module_faults(path.as_posix(), lines) + function_faults(path.as_posix(), source)
        if MODULE_SMELL < lines <= MODULE_CAP:
            smells.append(f"{path}: {lines} lines, more than {MODULE_SMELL}: think about splitting it")
    gone = set(EXCEPTIONS) - {path.as_posix() for path in paths}
    faults += [f"{path}: on the list in tools/sizes.py and not in the tree" for path in sorted(gone)]
    return faults, smells


def main() -> int:
    """Prints what is too long; 1 when anything fails."""
    faults, smells = check(ROOT)
    for line in smells:
        print(f"smell: {line}")
    for line in faults:
        print(f"fault: {line}")
    print(f"sizes: {len(faults)} faults, {len(smells)} smells")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
