"""The pages that people wrote, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tools.tree import ROOT

PAGES: Final = tuple(
    path.relative_to(ROOT)
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
)
"""Relative to the root of the repository."""

_BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
_CODE: Final = re.compile(r"`([^`\n]+)`")


def text_of(page: Path | str) -> str:
    """The page as it is written."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: Path | str, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return [body for name, body in _BLOCK.findall(text_of(page)) if name == language]


def links(page: Path | str) -> list[str]:
    """The targets of links that stay in the repository."""
    prose = _BLOCK.sub("", text_of(page))
    return [target for target in _LINK.findall(prose) if "://" not in target]


def code(page: Path | str) -> list[str]:
    """What stands between backticks in the prose."""
    return _CODE.findall(_BLOCK.sub("", text_of(page)))
