"""Tables for people, tab-separated lines for pipes, JSON for programs.

rich is imported only where a table really reaches a terminal: it costs more than most commands do.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

NOTHING = "–"
"""Stands in a cell for what is not known."""

_IDLE: Final = {NOTHING, "", "0"}


_WORD: Final = 40
"""Longer words may be broken: ids are shorter."""

_PART: Final = 28
"""What is left whole in a table that would not fit otherwise; ids of accounts are shorter still."""

_MOMENT: Final = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\dZ)$")
"""A time of day may stand below its date on a terminal."""


class Column(NamedTuple):
    """One column: its title, and whether its cells are numbers, which stand to the right and are never broken.

    A spare one is left out on a terminal where all its cells are nothing.
    """

    title: str
    right: bool = False
    spare: bool = False


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
    """A table, or a block for each row where the terminal is too narrow for one.

    Words, ids and numbers are whole in either, so that they can be copied. Columns that say nothing are left out.
    """
    from rich.console import Console  # noqa: PLC0415 - rich costs more than most commands do
    from rich.table import Table  # noqa: PLC0415 - the same
    from rich.text import Text  # noqa: PLC0415 - the same

    shown = [n for n, each in enumerate(columns) if not each.spare or any(line[n] not in _IDLE for line in lines)]
    columns = [columns[n] for n in shown]
    lines = [[_MOMENT.sub(r"\1 \2", line[n]) for n in shown] for line in lines]
    console = Console()
    for gap, word in ((2, _WORD), (1, _WORD), (1, _PART)):
        widths = _widths(columns, lines, console.width - gap * (len(columns) - 1), word)
        if widths is not None:
            break
    else:
        _print_blocks(console, columns, lines)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, gap, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.title, justify=justify, overflow="fold", no_wrap=column.right, width=width)
    for line in lines:
        # Text keeps square brackets in names from being read as markup.
        table.add_row(*(Text(cell) for cell in line))
    console.print(table)


def _widths(columns: Sequence[Column], lines: Sequence[Sequence[str]], room: int, whole: int) -> list[int] | None:
    """How wide each column is, so that no word of up to `whole` letters is broken; None where there is no room."""
    from rich.cells import cell_len  # noqa: PLC0415 - rich costs more than most commands do

    widths, wanted = [], []
    for number, column in enumerate(columns):
        cells = [column.title, *(line[number] for line in lines)]
        wanted.append(max(map(cell_len, cells)))
        words = max((cell_len(word) for cell in cells for word in cell.split()), default=1)
        widths.append(wanted[-1] if column.right else min(words, whole))
    while sum(widths) < room and widths != wanted:
        narrow = min((n for n in range(len(widths)) if widths[n] < wanted[n]), key=widths.__getitem__)
        widths[narrow] += 1
    return widths if sum(widths) <= room else None


def _print_blocks(console: Console, columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> None:
    from rich.table import Table  # noqa: PLC0415 - rich costs more than most commands do
    from rich.text import Text  # noqa: PLC0415 - the same

    titles = max(len(column.title) for column in columns)
    for number, line in enumerate(lines):
        block = Table(box=None, pad_edge=False, show_header=False)
        block.add_column(style="bold", no_wrap=True, width=titles)
        block.add_column(overflow="fold")
        for column, cell in zip(columns, line, strict=True):
            if cell not in {NOTHING, ""}:
                block.add_row(column.title, Text(cell))
        console.print(*([] if number == 0 else [""]), block, sep="\n")


def wants_colour(*, stream_is_terminal: bool) -> bool:
    """Whether to colour: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return stream_is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def money(nano_usd: int | None) -> str:
    """Nano-dollars as `$0.0000125` or `-$3`; a dash when unknown."""
    if nano_usd is None:
        return NOTHING
    return f"{'-' if nano_usd < 0 else ''}${format_usd(abs(nano_usd))}"


def number(value: float | None, digits: int = 1) -> str:
    """A figure with `digits` decimals; a dash when unknown."""
    return NOTHING if value is None else f"{value:.{digits}f}"
