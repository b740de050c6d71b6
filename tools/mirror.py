"""Fails when a module has no unit test of its own, or a unit test no module: `python -m tools.mirror`.

`src/tokenway/store/journal.py` is tested by `tests/unit/store/test_journal.py`, `tools/sizes.py` by
`tests/unit/tools/test_sizes.py`. So whoever changes a module knows where its tests are, and a module
that moved cannot leave them behind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from tools.tree import ROOT, modules

PACKAGE: Final = PurePosixPath("src/tokenway")
TESTS: Final = PurePosixPath("tests/unit")
BESIDE: Final = ("tools", "benchmarks", "fuzz")
"""Folders beside the package whose tests lie under their own name in tests/unit."""
MUST_HAVE_TESTS: Final = ("src/tokenway", "tools")
WITHOUT_TESTS: Final = frozenset({"__init__.py", "__main__.py"})

EXEMPT: Final[Mapping[str, str]] = {
    "src/tokenway/telemetry/names.py": "names and bucket bounds, nothing that runs",
    "src/tokenway/wire/limits.py": "numbers, nothing that runs",
}
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


def is_optional(module: PurePosixPath) -> bool:
    """Migrations are tested as a chain, and files without code of their own need no test."""
    return module.name in WITHOUT_TESTS or "migrations" in module.parts


def faults(paths: Iterable[PurePosixPath], exempt: Mapping[str, str] = EXEMPT) -> list[str]:
    """What does not match in a tree of these files, as sentences."""
    present = set(paths)
    found = []
    for module in sorted(present):
        if not module.as_posix().startswith(tuple(f"{folder}/" for folder in MUST_HAVE_TESTS)) or is_optional(module):
            continue
        has_test = unit_test_of(module) in present
        if module.as_posix() in exempt:
            if has_test:
                found.append(f"{module}: has a test now: take it off the list in tools/mirror.py")
        elif not has_test:
            found.append(f"{module}: its test {unit_test_of(module)} is missing")
    for test in sorted(present):
        is_unit_test = test.is_relative_to(TESTS) and test.name.startswith("test_")
        if is_unit_test and module_of(test) not in present:
            found.append(f"{test}: there is no {module_of(test)} for it to test")
    found += [
        f"{name}: on the list in tools/mirror.py and not in the tree"
        for name in exempt
        if PurePosixPath(name) not in present
    ]
    return found


def main(root: Path = ROOT) -> int:
    """Prints what does not match; 1 when anything does not."""
    found = faults(PurePosixPath(path.as_posix()) for path in modules(root))
    for line in found:
        print(f"fault: {line}")
    print(f"mirror: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
