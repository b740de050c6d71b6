"""How the planner's answers reach a terminal, a pipe, a program or a picture."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tokenway.cli.errors import BadUsage, CommandError
from tokenway.cli.output import Column, print_json, print_table, say
from tokenway.planner.errors import PlanError
from tokenway.planner.plots import form_of, render
from tokenway.planner.report import show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matplotlib.figure import Figure

    from tokenway.planner.report import Report, Table

_QUANTITY: Final = re.compile(r"[-+$]?\d[\d,.]*(e[-+]?\d+)?[kMBTQx%]?")
"""`1.2`, `57.3T`, `+4.5%`: what stands to the right of its column."""


@contextmanager
def planning() -> Iterator[None]:
    """Around what the planner does: says what to install where a package of its extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(
            f"This needs the package {error.name}; install it with: pip install 'tokenway[plan]'"
        ) from None


def check_picture(path: Path | None) -> None:
    """Raises BadUsage for a name that tells no kind of picture, before anything is computed."""
    try:
        if path is not None:
            form_of(path.name)
    except PlanError as error:
        raise BadUsage(f"--plot {error}") from None


def write_picture(path: Path, figure: Figure, report: Report) -> None:
    """Draws the picture of a report and says so; raises CommandError."""
    picture = render(figure, form_of(path.name), title=report.title, lines=(*report.lines, *report.basis))
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from None
    say(f"{path} is written.")


def present(report: Report, *, as_json: bool, plot: Path | None, draw: Callable[[], Figure]) -> None:
    """Prints a report, and draws its picture where one is wanted."""
    print_report(report, as_json=as_json)
    if plot is not None:
        write_picture(plot, draw(), report)


def print_report(report: Report, *, as_json: bool) -> None:
    """Sentences, then tables, then what it was asked with and where the data is from; or all of it as JSON."""
    if as_json:
        print_json(report.data())
        return
    print(report.title)
    for line in report.lines:
        print(line)
    for table in report.tables:
        print()
        print(table.title)
        _print(table)
    print()
    for line in report.basis:
        print(line)
    sys.stdout.flush()


def _print(table: Table) -> None:
    shown = [[show(cell) for cell in row] for row in table.rows]
    columns = [
        Column(title, right=any(map(_QUANTITY.fullmatch, cells)))
        for title, *cells in zip(table.columns, *shown, strict=True)
    ]
    print_table(columns, shown, empty="There is nothing to show.")
