"""The two lines between control process and child."""

from __future__ import annotations

import msgspec

from tokenway.local.models import CHAT_MODEL
from tokenway.local.pipe import LINE_MAX, Report, Settings


def test_settings_are_one_line_and_come_back() -> None:
    """Names and paths with any character stay within one line."""
    settings = Settings(key="k", data_dir="/d\n", chat=None, embed="/e", extra={"big": "/models/ü.gguf"})
    line = msgspec.json.encode(settings)
    assert b"\n" not in line
    assert len(line) < LINE_MAX
    assert msgspec.json.decode(line, type=Settings) == settings


def test_a_report_comes_back_with_its_models() -> None:
    """The supervisor learns of the models from the child alone."""
    report = Report((CHAT_MODEL,), ("something is missing.",))
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
