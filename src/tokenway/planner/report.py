"""What a command of the planner answers: sentences and tables for people, figures for programs, and the sources."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

Cell = str | int | float | None
"""Text as it stands; a number is shown with three significant digits; None is a dash."""


class Table(NamedTuple):
    """Rows below their titles."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


class Source(NamedTuple):
    """Data that an answer rests on: what it is, of which day, and where it was read."""

    name: str
    as_of: str
    origin: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One answer.

    `lines` are its sentences, the most important one first; `inputs` what it was asked with, defaults included;
    `figures` all of it as numbers, which is what programs get beside inputs and sources.
    """

    title: str
    lines: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    inputs: dict[str, Cell] = {}
    sources: tuple[Source, ...] = ()
    figures: dict[str, object] = {}

    def data(self) -> dict[str, object]:
        """For programs: title, sentences, inputs, figures, sources."""
        return {
            "title": self.title,
            "summary": list(self.lines),
            "inputs": dict(self.inputs),
            **self.figures,
            "sources": [source._asdict() for source in self.sources],
        }


def show(cell: Cell) -> str:
    """A cell as people read it: `1,234,000`, `0.0123`, `4.57`."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if abs(cell) >= 1000:
        return f"{cell:,.0f}"
    return f"{cell:.3g}"
