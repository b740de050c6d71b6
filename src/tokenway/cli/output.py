"""Tables for people, tab-separated lines for pipes, JSON for programs.

rich is imported only where a table really reaches a terminal: it costs more than most commands do.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from typing import TYPE_CHECKING, Literal, NamedTuple

from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NOTHING = "–"
"""Stands in a cell for what is not known."""


class Column(NamedTuple):
    """One column: its title, and whether its cells are numbers, which stand to the right and are never broken."""

    title: str
    right: bool = False


def say(text: str) -> None:
    """A sentence beside the data: to standard error, so that a pipe gets only the data."""
    print(text, file=sys.stderr)


def print_json(data: object) -> None:
    """`data` as indented JSON on standard output."""
    print(json.dumps(data, indent=2, ensure_ascii=False))


def print_csv(rows: Sequence[Mapping[str, object]], example: Mapping[str, object]) -> None:
    """Rows as CSV on standard output, below the names of `example`; a table within a row becomes columns."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_flat(example))
    for row in rows:
        writer.writerow(_flat(row).values())


def _flat(row: Mapping[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in row.items():
        inner = value if isinstance(value, dict) else None
        found |= {name: value} if inner is None else {f"{name}_{each}": inner[each] for each in inner}
    return found


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Rows under their titles; `empty` is the sentence for standard error when there are none."""
    lines = [list(row) for row in rows]
    if not lines:
        say(empty)
    elif sys.stdout.isatty():
        _print_rich(columns, lines)
    else:
        print("\t".join(column.title for column in columns))
        for line in lines:
            print("\t".join(line))


def _print_rich(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - rich costs more than most commands do
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, overflow="fold", no_wrap=column.right)
    for line in lines:
        # Text keeps square brackets in names from being read as markup.
        table.add_row(*(Text(cell) for cell in line))
    Console().print(table)


def wants_colour(*, stream_is_terminal: bool) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return stream_is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def money(nano_usd: int | None) -> str:
    """Nano-dollars as `$0.0000125`; a dash when unknown."""
    return NOTHING if nano_usd is None else f"${format_usd(nano_usd)}"


def number(value: float | None, digits: int = 1) -> str:
    """A figure with `digits` decimals; a dash when unknown."""
    return NOTHING if value is None else f"{value:.{digits}f}"
