"""Modules and their unit tests."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from tools.mirror import faults, is_optional, module_of, unit_test_of

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


def tree(*names: str) -> list[PurePosixPath]:
    """Those paths."""
    return [PurePosixPath(name) for name in names]


def test_a_mirrored_tree_has_no_faults() -> None:
    """A module with its test, a helper of tests and an end-to-end test are fine."""
    paths = tree(*PAIRS[0], "tests/e2e/test_serve.py", "tests/unit/conftest.py", "src/tokenway/store/__init__.py")

    assert faults(paths, {}) == []


def test_a_module_without_test_is_named() -> None:
    """Both the package and the tools need tests; benchmarks may go without."""
    found = faults(tree("src/tokenway/a.py", "tools/b.py", "benchmarks/c.py"), {})

    assert [text.split(":")[0] for text in found] == ["src/tokenway/a.py", "tools/b.py"]


def test_an_orphaned_test_is_named() -> None:
    """A unit test whose module has moved away is a fault, also for a benchmark's."""
    found = faults(tree("tests/unit/store/test_gone.py", "tests/unit/benchmarks/test_gone.py"), {})

    assert len(found) == 2


def test_an_exempt_module_needs_no_test_and_may_have_none() -> None:
    """A module on the list passes without a test; with one, or when it is gone, it must leave the list."""
    module, test = PAIRS[0]

    assert faults(tree(module), {module: "data"}) == []
    assert "take it off" in faults(tree(module, test), {module: "data"})[0]
    assert "not in the tree" in faults([], {module: "data"})[0]


@pytest.mark.parametrize(
    "name", ["src/tokenway/__main__.py", "src/tokenway/aio/__init__.py", "src/tokenway/store/migrations/0001_first.py"]
)
def test_files_without_code_of_their_own_are_optional(name: str) -> None:
    """Package files and migrations need no test named after them."""
    assert is_optional(PurePosixPath(name))
