"""What a command of the planner answers: sentences and tables for people, figures for programs, and the sources."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

Cell = str | int | float | None
"""Text as it stands; a number is shown with three significant digits; None is a dash."""
_UNITS: Final = ((1e15, "Q"), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


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

    @property
    def basis(self) -> tuple[str, ...]:
        """What it was asked with, and what the data is, of which day and from where: a line each."""
        asked = (f"{name}: {show(value)}" for name, value in self.inputs.items())
        return (*asked, *(f"{source.name} ({source.as_of}): {source.origin}" for source in self.sources))

    def data(self) -> dict[str, object]:
        """For programs: title, sentences, inputs, figures, sources."""
        return {
            "title": self.title,
            "summary": list(self.lines),
            "inputs": dict(self.inputs),
            **self.figures,
            "sources": [source._asdict() for source in self.sources],
        }


def amount(value: float) -> str:
    """`1.23B`, `45.6k`, `7.89`: three digits that people can compare."""
    for size, letter in _UNITS:
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{letter}" if abs(value) < 999.5 * size else f"{value / size:,.0f}{letter}"
    return f"{value:.3g}"


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
