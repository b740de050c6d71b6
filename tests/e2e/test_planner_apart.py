"""Whoever only relays pays nothing for the planner."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import importlib, sys
importlib.import_module(sys.argv[1])
print(*sorted({"numpy", "scipy", "matplotlib"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    "module",
    ["compose.serve", "compose.worker", "compose.control", "control.api.app", "cli.main", "cli.plan", "local.child"],
)
def test_the_gateway_imports_no_numpy(module: str) -> None:
    """Neither its processes nor the command line's help; it is there only for those who plan."""
    script = [sys.executable, "-c", _SCRIPT, f"tokenway.{module}"]
    assert subprocess.run(script, capture_output=True, text=True, check=True).stdout == "\n"
