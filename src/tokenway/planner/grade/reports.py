"""The answers of `tokenway grade` as reports: sentences, tables and figures from what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Final

import numpy as np

from tokenway.planner.grade.agreement import Comparison, Share, Verdict
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.damage import Damage, file_bits, total
from tokenway.planner.grade.intervals import LEVEL, Excess, Interval
from tokenway.planner.grade.perplexity import AS_STORED, Change, Reading, change
from tokenway.planner.grade.tensors import Weights
from tokenway.planner.report import Cell, Report, Source, Table

_SEED: Final = 20261126
"""Of the bootstrap, so that the same measurement gives the same interval."""
_WORST: Final = 3
"""Tensors that are named for a format."""
SPECIFICATIONS: Final = (
    Source(
        "OCP 8-bit Floating Point 1.0",
        "2023-12-01",
        "https://www.opencompute.org/documents/ocp-8-bit-floating-point-specification-ofp8-revision-1-0-2023-12-01-pdf-1",
    ),
    Source(
        "OCP Microscaling Formats 1.0",
        "2023-09",
        "https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf",
    ),
    Source("NVFP4 in NVIDIA Transformer Engine", "2025", "https://docs.nvidia.com/deeplearning/transformer-engine/"),
)


def formats_report() -> Report:
    """All formats, with the bits that a weight of a large matrix takes."""
    shape = (4096, 4096)
    bits = {name: scheme.stored_bits(shape) / (shape[0] * shape[1]) for name, scheme in SCHEMES.items()}
    rows = tuple((name, round(bits[name], 3), scheme.title) for name, scheme in SCHEMES.items())
    return Report(
        title="Formats of weights that can be graded",
        lines=(
            f"Bits are those of a weight in a matrix of {shape[0]} x {shape[1]}, its share of the scales included.",
        ),
        tables=(Table("Formats", ("FORMAT", "BITS", "WHAT IT IS"), rows),),
        sources=SPECIFICATIONS,
        figures={"formats": [{"format": row[0], "bits": bits[row[0]], "title": row[2]} for row in rows]},
    )


def by_scheme(damages: Iterable[Damage]) -> dict[str, list[Damage]]:
    """Damages of tensors, format by format."""
    found: dict[str, list[Damage]] = {}
    for each in damages:
        found.setdefault(each.scheme, []).append(each)
    return found


def weights_report(
    title: str,
    weights: Weights,
    damages: Sequence[Damage],
    readings: Mapping[str, Reading],
    why_no_perplexity: str = "",
) -> Report:
    """Error, size and perplexity by format; `readings` is empty where no perplexity could be measured."""
    parts = by_scheme(damages)
    sums = {name: total(each) for name, each in parts.items()}
    sizes = {name: file_bits(weights, each) / 8 for name, each in sums.items()}
    changes = changes_of(readings)
    tables = [_error_table(sums, sizes), _worst_table(parts)]
    if readings:
        tables.insert(0, _perplexity_table(readings, changes))
    return Report(
        title=title,
        lines=(*_said(weights, readings, changes), *([why_no_perplexity] if why_no_perplexity else [])),
        tables=tuple(tables),
        sources=SPECIFICATIONS,
        figures={
            "formats": {name: _figures(each, sizes[name], readings, changes) for name, each in sums.items()},
            "perplexity_as_stored": readings[AS_STORED].perplexity if readings else None,
            "tensors": [_tensor_figures(each) for each in damages],
        },
    )


def changes_of(readings: Mapping[str, Reading]) -> dict[str, Change]:
    """How each format changes the perplexity; nothing where none was measured."""
    before = readings.get(AS_STORED)
    if before is None:
        return {}
    # The same draws for all, so that formats are compared on the same resampled texts.
    return {
        name: change(reading, before, np.random.default_rng(_SEED))
        for name, reading in readings.items()
        if name != AS_STORED
    }


def _said(weights: Weights, readings: Mapping[str, Reading], changes: Mapping[str, Change]) -> list[str]:
    kinds = sorted({each.kind.name for each in weights.tensors.values() if each.is_matrix})
    said = [f"The file's matrices are stored as {', '.join(kinds)}: what it lost before is not seen here."]
    if not readings:
        return said
    alike = [name for name, found in changes.items() if not found.is_told]
    if alike:
        said.append(f"On this text no change of perplexity can be told for {', '.join(alike)}.")
    ranked = sorted((name for name, found in changes.items() if found.is_told), key=lambda name: changes[name].ratio)
    for better, worse in pairwise(ranked):
        apart = change(readings[worse], readings[better], np.random.default_rng(_SEED))
        if apart.is_told:
            said.append(f"{better} predicts better than {worse}, whose perplexity is {_times(apart)}.")
        else:
            said.append(f"The text cannot tell {better} from {worse}, whose perplexity is {_times(apart)}.")
    return said


def _times(found: Change) -> str:
    return f"{found.ratio:.3f} times the other ({LEVEL:.0%}: {found.low:.3f} to {found.high:.3f})"


def _perplexity_table(readings: Mapping[str, Reading], changes: Mapping[str, Change]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, reading in readings.items():
        found = changes.get(name)
        rows.append(
            (
                name,
                f"{reading.perplexity:.2f}",
                *(f"{value:.4f}" for value in found or ()),
                *([None] * 3 if found is None else []),
                None if found is None else f"{float(reading.divergence.mean()):.4f}",
                None if found is None else f"{float(reading.same_top.mean()):.1%}",
            )
        )
    columns = ("FORMAT", "PERPLEXITY", "TIMES", "LOW", "HIGH", "KL (NATS)", "SAME FIRST")
    return Table(f"Perplexity beside the weights as stored, with {LEVEL:.0%} intervals", columns, tuple(rows))


def _error_table(sums: Mapping[str, Damage], sizes: Mapping[str, float]) -> Table:
    rows = tuple(
        (name, round(each.bits / each.numbers, 3), f"{sizes[name] / 1e6:.1f}", f"{each.relative:.3%}", _decibels(each))
        for name, each in sums.items()
    )
    return Table("Error of the weights", ("FORMAT", "BITS", "FILE (MB)", "RMSE/RMS", "SQNR (DB)"), rows)


def _worst_table(parts: Mapping[str, Sequence[Damage]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in parts.items():
        worst = sorted(each, key=lambda found: -found.relative)[:_WORST]
        rows.extend((name, one.name, f"{one.relative:.3%}", _decibels(one), f"{one.largest:.2f}") for one in worst)
    columns = ("FORMAT", "TENSOR", "RMSE/RMS", "SQNR (DB)", "LARGEST/RMS")
    return Table("Tensors with the largest error", columns, tuple(rows))


def _decibels(found: Damage) -> str:
    return f"{found.decibels:.1f}" if isfinite(found.decibels) else "exact"


def _tensor_figures(found: Damage) -> dict[str, object]:
    return {
        "name": found.name,
        "format": found.scheme,
        "numbers": found.numbers,
        "bits": found.bits / found.numbers,
        "relative_rmse": found.relative,
        "sqnr_db": found.decibels if isfinite(found.decibels) else None,
        "largest_error": found.largest,
    }


def _figures(
    found: Damage, size: float, readings: Mapping[str, Reading], changes: Mapping[str, Change]
) -> dict[str, object]:
    figures = {**_tensor_figures(found), "file_bytes": size}
    if found.scheme in changes:
        reading = readings[found.scheme]
        figures |= {
            "perplexity": reading.perplexity,
            "perplexity_times": changes[found.scheme]._asdict(),
            "divergence": float(reading.divergence.mean()),
            "same_first": float(reading.same_top.mean()),
        }
    return {name: value for name, value in figures.items() if name not in {"name", "format"}}


def comparison_report(a: str, b: str, found: Comparison, verdict: Verdict, margin: float) -> Report:
    """What two endpoints have in common."""
    measures: list[tuple[Cell, ...]] = [
        _excess_row("log-probabilities (nats)", found.drift, "{:.4f}"),
        _excess_row("where answers part (share)", found.answers, "{:.4f}"),
    ]
    shares = tuple(
        (share.kind, share.prompts, _share(share.a), _share(share.b), _share(share.more, "{:+.0%}"))
        for share in found.shares
    )
    columns = ("KIND", "PROMPTS", "RIGHT AT A", "RIGHT AT B", "MORE AT B")
    return Report(
        title=f"{verdict.word.capitalize()}: B beside A.",
        lines=(f"A is {a}.", f"B is {b}.", *verdict.reasons, *_notes(found)),
        tables=(
            Table(
                f"Distance of answers, with {LEVEL:.0%} intervals",
                ("MEASURE", "PROMPTS", "BETWEEN", "WITHIN", "MORE", "LOW", "HIGH", "P"),
                tuple(measures),
            ),
            Table(f"Answers that are right or have the form asked for, with {LEVEL:.0%} intervals", columns, shares),
        ),
        inputs={"prompts": found.prompts, "rounds": found.rounds, "margin": margin},
        figures={
            "verdict": verdict.word,
            "agreement": found.agreement._asdict(),
            "same_within": dict(zip(("a", "b"), found.same_within, strict=True)),
            "drift": _excess_figures(found.drift),
            "answers": _excess_figures(found.answers),
            "tokens": found.tokens,
            "failed": dict(zip(("a", "b"), found.failed, strict=True)),
            "right": [_share_figures(share) for share in found.shares],
            "right_p": found.rightness,
        },
    )


def _notes(found: Comparison) -> list[str]:
    agreed, (a, b) = found.agreement, found.same_within
    notes = [
        (
            f"{agreed.value:.0%} of A's answers are B's as well ({LEVEL:.0%}: {agreed.low:.0%} to {agreed.high:.0%}); "
            f"asked again, A repeats {a:.0%} and B {b:.0%}."
        )
    ]
    if any(found.failed):
        notes.append(f"{found.failed[0]} requests failed at A and {found.failed[1]} at B; their prompts are left out.")
    return notes


def _excess_row(name: str, found: Excess | None, form: str) -> tuple[Cell, ...]:
    if found is None:
        return (name, 0, *[None] * 6)
    figures = (found.between, found.within, *found.more)
    return (name, found.prompts, *map(form.format, figures), f"{found.chance:.2g}")


def _share(found: Interval, form: str = "{:.0%}") -> str:
    low, high = form.format(found.low), form.format(found.high)
    return f"{form.format(found.value)} ({low} to {high})"


def _excess_figures(found: Excess | None) -> dict[str, object] | None:
    return None if found is None else {**found._asdict(), "more": found.more._asdict()}


def _share_figures(share: Share) -> dict[str, object]:
    figures: dict[str, object] = share._asdict()
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in figures.items()}
