"""Text of files, and why there is none."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tokenway.cli.errors import BadUsage
from tokenway.cli.files import text_of


def test_text_is_utf8_without_its_mark(tmp_path: Path) -> None:
    """Spreadsheets write one in front."""
    file = tmp_path / "a.csv"
    file.write_bytes("\ufeffdate,tök".encode())
    assert text_of(file) == "date,tök"


def test_a_dash_is_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with other tools."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"date")))
    assert text_of(Path("-")) == "date"


def test_why_there_is_none(tmp_path: Path) -> None:
    """Missing, a folder, other bytes, too many of them."""
    file = tmp_path / "a.csv"
    with pytest.raises(BadUsage, match=r"a\.csv cannot be read: No such file"):
        text_of(file)
    with pytest.raises(BadUsage, match="cannot be read: Is a directory"):
        text_of(tmp_path)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BadUsage, match="it is not UTF-8 text"):
        text_of(file)
    with pytest.raises(BadUsage, match="more than 1 bytes"):
        text_of(file, most=1)
