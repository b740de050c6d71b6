"""How a child begins."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tokenway.compose.birth import COLLECT_AFTER


def test_it_runs_the_module_that_it_is_told(tmp_path: Path) -> None:
    """With the leash; the collector is at rest when the module is imported."""
    (tmp_path / "what.py").write_text("import gc\nseen = gc.get_threshold()[0]\ndef main(leash): print(leash, seen)\n")
    command = [sys.executable, "-m", "tokenway.compose.birth", "what", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert done.stdout == f"7 {COLLECT_AFTER}\n"
