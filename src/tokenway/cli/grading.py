"""The work of `tokenway grade weights`: files in, a report and a picture out. Imported only with the extra `plan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from tokenway.cli.errors import CommandError
from tokenway.cli.files import text_of
from tokenway.local.models import CHAT_WEIGHTS, INSTALL_HINT, locate
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.damage import Damage, damage, gradable, total
from tokenway.planner.grade.forward import Llama
from tokenway.planner.grade.intervals import Interval
from tokenway.planner.grade.perplexity import AS_STORED, Reading, measure
from tokenway.planner.grade.pictures import Point, formats_picture
from tokenway.planner.grade.prompts import shipped_text
from tokenway.planner.grade.reports import by_scheme, changes_of, weights_report
from tokenway.planner.grade.tokens import Tokenizer
from tokenway.planner.grade.weights import read_weights
from tokenway.planner.report import Cell, Report, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from tokenway.planner.grade.blocks import Scheme
    from tokenway.planner.grade.perplexity import Measured
    from tokenway.planner.grade.tensors import Weights

_TEXT_MAX: Final = 4 << 20
"""Bytes of a text: more than any machine would want to read through a model here."""


class Told(NamedTuple):
    """What perplexity is measured on; `tokens` is the most of it."""

    text: Path | None
    tokens: int | None


class Graded(NamedTuple):
    """A report and what its picture shows."""

    report: Report
    points: list[Point]
    what: str


def embedded_model() -> Path:
    """The chat model of the local engine. Raises CommandError where it is not installed."""
    found = locate(CHAT_WEIGHTS)
    if found is None:
        raise CommandError(f"The embedded model is not installed: {INSTALL_HINT}, or name a file of weights.")
    return found


def read_file(path: Path) -> Weights:
    """A file of weights, mapped into memory. Raises CommandError or PlanError where it cannot be read."""
    try:
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        if path.stat().st_size == 0:
            raise CommandError(f"The file {path} is empty.")
        return read_weights(np.memmap(path, np.uint8, "r").data)
    except OSError as error:
        raise CommandError(f"The file {path} cannot be read: {error.strerror}.") from None


def grade_file(path: Path, schemes: Sequence[Scheme], told: Told | None) -> Graded:
    """Grades a file in each format; without perplexity where `told` is None or its model cannot be run here."""
    weights = read_file(path)
    source, why, measured = None, "", None
    if told is not None:
        text, source = _text(told.text)
        try:
            if weights.format != "GGUF":
                raise PlanError(f"a {weights.format} file does not say how its model computes; a GGUF file does.")
            measured = _measured(weights, text, told.tokens, schemes)
        except PlanError as error:
            why = f"No perplexity was measured: {error}"
    readings = measured.readings if measured else {}
    damages = measured.damages if measured else _damages(weights, schemes)
    report = weights_report(f"Formats of few bits for {path.name}", weights, damages, readings, why)
    sources = (*([source] if source and readings else []), *report.sources)
    inputs: dict[str, Cell] = {"file": str(path), "formats": ", ".join(scheme.name for scheme in schemes)}
    if readings:
        inputs["tokens predicted"] = len(readings[AS_STORED].losses)
    return Graded(msgspec.structs.replace(report, inputs=inputs, sources=sources), *_points(damages, readings))


def draw(graded: Graded) -> Figure:
    """The picture of it."""
    return formats_picture(graded.points, graded.what)


def _points(damages: Sequence[Damage], readings: Mapping[str, Reading]) -> tuple[list[Point], str]:
    changes = changes_of(readings)
    points = []
    for name, parts in by_scheme(damages).items():
        found = total(parts)
        cost = Interval(*[found.relative] * 3) if name not in changes else Interval(*changes[name])
        points.append(Point(name, found.bits / found.numbers, cost))
    return points, "times the perplexity" if changes else "RMS error over RMS of the weights"


def _text(path: Path | None) -> tuple[str, Source]:
    if path is None:
        shipped = shipped_text()
        return shipped.text, Source(f"{shipped.title}, {shipped.author}", str(shipped.year), shipped.source)
    return text_of(path, most=_TEXT_MAX), Source(path.name, "as it is now", str(path))


def _measured(weights: Weights, text: str, tokens: int | None, schemes: Sequence[Scheme]) -> Measured:
    model = Llama(weights)
    ids = np.array(Tokenizer(weights.about).encode(text)[:tokens], np.int64)
    with Progress() as tell:
        return measure(model, ids, schemes, tell)


def _damages(weights: Weights, schemes: Sequence[Scheme]) -> list[Damage]:
    tensors = gradable(weights)
    if not tensors:
        raise PlanError("The file has no matrix besides embeddings and head, so there is nothing to grade.")
    found: list[Damage] = []
    with Progress() as tell:
        for number, tensor in enumerate(tensors, 1):
            values = tensor.values()
            if not np.isfinite(values).all():
                raise PlanError(f"The tensor {tensor.name!r} has numbers that are not finite: the file is damaged.")
            found.extend(damage(tensor.name, scheme, values, scheme.restored(values)) for scheme in schemes)
            tell(f"tensor {number} of {len(tensors)}")
    return found


class Progress:
    """A line on a terminal that says what is going on; nothing elsewhere."""

    def __enter__(self) -> Callable[[str], None]:
        return self._tell

    def __exit__(self, *_: object) -> None:
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @staticmethod
    def _tell(what: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
