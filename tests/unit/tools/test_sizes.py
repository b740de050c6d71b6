"""The caps on modules and functions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools.sizes import FUNCTION_CAP, MODULE_CAP, MODULE_SMELL, check, function_faults, module_faults


def test_a_module_at_the_cap_passes() -> None:
    """Six hundred lines are allowed, one more is not."""
    assert module_faults("a.py", MODULE_CAP) == []
    assert len(module_faults("a.py", MODULE_CAP + 1)) == 1


@pytest.mark.parametrize(
    ("lines", "word"),
    [(MODULE_CAP, "under the cap"), (700, "lower its number"), (751, "may only shrink")],
)
def test_an_exception_may_only_shrink(lines: int, word: str) -> None:
    """A module let through at 750 lines fails when it grows, shrinks unnoticed, or needs no exception."""
    (fault,) = module_faults("a.py", lines, {"a.py": 750})

    assert word in fault


def test_an_exception_at_its_length_passes() -> None:
    """A module exactly as long as its exception says passes."""
    assert module_faults("a.py", 750, {"a.py": 750}) == []


def function(lines: int, keyword: str = "def") -> str:
    """The source of a method with that many lines, inside a class."""
    return "\n".join(["class A:", f"    {keyword} work(self):", *["        pass"] * (lines - 1)])


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_function_over_the_cap_is_named_with_its_line(keyword: str) -> None:
    """Methods and coroutines count like functions; the fault says where."""
    assert function_faults("a.py", function(FUNCTION_CAP, keyword)) == []
    (fault,) = function_faults("a.py", function(FUNCTION_CAP + 1, keyword))
    assert fault.startswith("a.py:2: work has 71 lines")


def test_a_tree_is_checked_as_a_whole(tmp_path: Path) -> None:
    """A long module is a smell, a longer one a fault, a short one neither."""
    for name, lines in (("short", 10), ("smell", MODULE_SMELL + 1), ("fault", MODULE_CAP + 1)):
        (tmp_path / f"{name}.py").write_text("pass\n" * lines, encoding="utf-8")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    faults, smells = check(tmp_path)

    assert [text.split(":")[0] for text in faults] == ["fault.py"]
    assert [text.split(":")[0] for text in smells] == ["smell.py"]
