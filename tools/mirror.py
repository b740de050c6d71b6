"""Fails when a module has no unit test of its own, or a unit test no module: `python -m tools.mirror`.

`src/tokenway/store/journal.py` is tested by `tests/unit/store/test_journal.py`, `tools/sizes.py` by
`tests/unit/tools/test_sizes.py`. So whoever changes a module knows where its tests are, and a module
that moved cannot leave them behind. A module in which nothing runs, only constants, records and
interfaces, needs none; it may have one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from tools.tree import ROOT, modules

PACKAGE: Final = PurePosixPath("src/tokenway")
TESTS: Final = PurePosixPath("tests/unit")
BESIDE: Final = ("tools", "benchmarks", "fuzz")
"""Folders beside the package whose tests lie under their own name in tests/unit."""
MUST_HAVE_TESTS: Final = ("src/tokenway", "tools")
WITHOUT_TESTS: Final = frozenset({"__init__.py", "__main__.py"})

EXEMPT: Final[Mapping[str, str]] = {}
"""Module to the reason why it has no test. A module that gets one must leave the list."""


def unit_test_of(module: PurePosixPath) -> PurePosixPath:
    """Where the unit test of a module belongs."""
    inside = module.relative_to(PACKAGE) if module.is_relative_to(PACKAGE) else module
    return TESTS / inside.parent / f"test_{inside.name}"


def module_of(test: PurePosixPath) -> PurePosixPath:
    """The module that a unit test belongs to."""
    inside = test.relative_to(TESTS)
    named = inside.parent / inside.name.removeprefix("test_")
    return named if inside.parts[0] in BESIDE else PACKAGE / named


def declares_only(source: str) -> bool:
    """Whether nothing in a module has a body: no function does more than state its name and types."""
    return not any(
        has_body(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    )


def has_body(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> bool:
    """Whether a function holds more than a docstring and an ellipsis."""
    if isinstance(node, ast.Lambda):
        return True
    return not all(isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in node.body)


def needs_test(module: PurePosixPath, root: Path) -> bool:
    """Whether a module must have a unit test: it is ours, and something in it runs.

    Migrations are tested as a chain, from the first to the last.
    """
    inside = any(module.is_relative_to(folder) for folder in MUST_HAVE_TESTS)
    if not inside or module.name in WITHOUT_TESTS or "migrations" in module.parts:
        return False
    return not declares_only((root / module).read_text(encoding="utf-8"))


def faults(root: Path, exempt: Mapping[str, str] = EXEMPT) -> list[str]:
    """What does not match in the tree under `root`, as sentences."""
    present = {PurePosixPath(path.as_posix()) for path in modules(root)}
    found = [
        f"{module}: its test {unit_test_of(module)} is missing"
        for module in sorted(present)
        if module.as_posix() not in exempt and unit_test_of(module) not in present and needs_test(module, root)
    ]
    for test in sorted(present):
        is_unit_test = test.is_relative_to(TESTS) and test.name.startswith("test_")
        if is_unit_test and module_of(test) not in present:
            found.append(f"{test}: there is no {module_of(test)} for it to test")
    for module in map(PurePosixPath, sorted(exempt)):
        if module not in present:
            found.append(f"{module}: on the list in tools/mirror.py and not in the tree")
        elif unit_test_of(module) in present:
            found.append(f"{module}: has a test now: take it off the list in tools/mirror.py")
    return found


def main() -> int:
    """Prints what does not match; 1 when anything does not."""
    found = faults(ROOT)
    for line in found:
        print(f"fault: {line}")
    print(f"mirror: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
