"""Writes `docs/cli.md` from the commands' own help: `python -m tools.cli_docs`.

A test compares the page with what this would write, so the two cannot drift apart.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from rich.console import Console

from tokenway.cli.main import build_app, command_paths, load_all

PAGE: Final = Path(__file__).parents[1] / "docs" / "cli.md"
WIDTH: Final = 100
_HEAD: Final = """\
# Command line

<!-- Written by `python -m tools.cli_docs` from the commands' help; changes belong there. -->

Exit status: 0 done, 1 failed, 2 bad usage, 130 stopped by Ctrl-C. What went wrong is one sentence on
standard error. In a pipe, tables are tab-separated lines; `--json` gives every figure. `NO_COLOR` turns
colours off. An option beats its environment variable, which beats the configuration file.
"""


def render() -> str:
    """The whole page."""
    sections = [_HEAD, _section(())]
    sections += [_section(path) for path in command_paths()]
    return "\n".join(sections)


def _section(path: tuple[str, ...]) -> str:
    words = ("tokenway", *path)
    return f"{'#' * min(len(words) + 1, 3)} `{' '.join(words)}`\n\n```text\n{_help(path)}\n```\n"


def _help(path: tuple[str, ...]) -> str:
    text = io.StringIO()
    console = Console(
        file=text, width=WIDTH, force_terminal=False, color_system=None, legacy_windows=False, emoji=False, _environ={}
    )
    app = build_app()
    load_all(app)
    app.help_print(list(path), console=console)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip()


def main() -> None:
    """Writes the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {os.path.relpath(PAGE)}")


if __name__ == "__main__":
    main()
