"""Modules and their unit tests."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest

from tools.mirror import declares_only, faults, module_of, unit_test_of

PAIRS = [
    ("src/tokenway/store/journal.py", "tests/unit/store/test_journal.py"),
    ("src/tokenway/dialects/openai_chat/stream.py", "tests/unit/dialects/openai_chat/test_stream.py"),
    ("tools/sizes.py", "tests/unit/tools/test_sizes.py"),
    ("benchmarks/report.py", "tests/unit/benchmarks/test_report.py"),
]


@pytest.mark.parametrize(("module", "test"), PAIRS)
def test_each_module_has_one_place_for_its_test(module: str, test: str) -> None:
    """The way there and the way back agree."""
    assert unit_test_of(PurePosixPath(module)) == PurePosixPath(test)
    assert module_of(PurePosixPath(test)) == PurePosixPath(module)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty work tree."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def write(root: Path, *names: str, source: str = "def work():\n    return 1\n") -> None:
    """Puts files with that source into a tree."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")


def test_a_mirrored_tree_has_no_faults(root: Path) -> None:
    """A module with its test, a helper of tests, an end-to-end test, package files and migrations are fine."""
    write(root, *PAIRS[0], "tests/e2e/test_serve.py", "tests/unit/conftest.py")
    write(root, "src/tokenway/store/__init__.py", "src/tokenway/__main__.py", "src/tokenway/store/migrations/0001_a.py")

    assert faults(root, {}) == []


def test_a_module_without_test_is_named(root: Path) -> None:
    """Both the package and the tools need tests; benchmarks may go without."""
    write(root, "src/tokenway/a.py", "tools/b.py", "benchmarks/c.py")

    assert [text.split(":")[0] for text in faults(root, {})] == ["src/tokenway/a.py", "tools/b.py"]


def test_an_orphaned_test_is_named(root: Path) -> None:
    """A unit test whose module has moved away is a fault, also for a benchmark's."""
    write(root, "tests/unit/store/test_gone.py", "tests/unit/benchmarks/test_gone.py")

    assert len(faults(root, {})) == 2


def test_an_exempt_module_needs_no_test_and_may_have_none(root: Path) -> None:
    """A module on the list passes without a test; with one, or when it is gone, it must leave the list."""
    module, test = PAIRS[0]
    assert "not in the tree" in faults(root, {module: "why"})[0]

    write(root, module)
    assert faults(root, {module: "why"}) == []

    write(root, test)
    assert "take it off" in faults(root, {module: "why"})[0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("LIMIT = 1\nclass Record:\n    name: str = ''\n", True),
        ("class Store:\n    def get(self) -> int:\n        'Reads.'\n        ...\n", True),
        ("class Store:\n    async def get(self) -> int:\n        'Reads.'\n", True),
        ("def get():\n    return 1\n", False),
        ("class Store:\n    async def get(self):\n        'Reads.'\n        return 1\n", False),
        ("KEY = lambda item: item.name\n", False),
    ],
)
def test_a_module_in_which_nothing_runs_needs_no_test(source: str, expected: bool, root: Path) -> None:
    """Constants, records and interfaces have nothing to test; any function with a body has."""
    write(root, "src/tokenway/a.py", source=source)

    assert declares_only(source) is expected
    assert (faults(root, {}) == []) is expected
