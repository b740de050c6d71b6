"""Reports say what was measured, in words, tables and figures."""

from __future__ import annotations

import json

import msgspec
import numpy as np

from tests.unit.planner.grade.gguf_maker import TEXT, tiny_model
from tokenway.planner.grade.agreement import Asked, compare, judge
from tokenway.planner.grade.answers import Answer, Prompt
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.damage import damage, gradable
from tokenway.planner.grade.forward import Llama
from tokenway.planner.grade.perplexity import AS_STORED, Measured, Reading, measure
from tokenway.planner.grade.reports import by_scheme, changes_of, comparison_report, formats_report, weights_report
from tokenway.planner.grade.tokens import Tokenizer
from tokenway.planner.grade.weights import read_weights
from tokenway.planner.report import Report

WEIGHTS = read_weights(memoryview(tiny_model()))
NAMES = ("fp16", "nvfp4", "mxfp4")


def measured() -> Measured:
    """A small model on a small text."""
    ids = np.array(Tokenizer(WEIGHTS.about).encode(TEXT))
    return measure(Llama(WEIGHTS), ids, [SCHEMES[name] for name in NAMES], lambda _: None)


def decoded(report: Report) -> dict[str, object]:
    """What a program gets, by way of JSON."""
    found: dict[str, object] = json.loads(msgspec.json.encode(report.data()))
    return found


def test_formats_have_bits_and_sources() -> None:
    """Every scheme, with the documents that define them."""
    report = formats_report()
    assert {row[0] for row in report.tables[0].rows} == set(SCHEMES)
    assert ("mxfp4", 4.25) in {row[:2] for row in report.tables[0].rows}
    assert len(report.sources) == 3


def test_weights_have_perplexity_error_and_size() -> None:
    """Three tables, and figures for each format and tensor."""
    found = measured()
    report = weights_report("t", WEIGHTS, found.damages, found.readings)
    assert [len(table.rows) for table in report.tables] == [4, 3, 9]
    data = decoded(report)
    formats = data["formats"]
    assert isinstance(formats, dict)
    assert set(formats) == set(NAMES)
    assert formats["mxfp4"]["relative_rmse"] > formats["nvfp4"]["relative_rmse"] > formats["fp16"]["relative_rmse"]
    times = formats["mxfp4"]["perplexity_times"]
    assert times["low"] <= times["ratio"] <= times["high"]
    assert isinstance(data["tensors"], list)
    assert len(data["tensors"]) == 3 * 14
    assert "stored as F32" in report.lines[0]


def test_without_perplexity_it_says_why() -> None:
    """And gives the errors."""
    damages = [
        damage(each.name, SCHEMES["int8"], each.values(), SCHEMES["int8"].restored(each.values()))
        for each in gradable(WEIGHTS)
    ]
    report = weights_report("t", WEIGHTS, damages, {}, "No perplexity: no such thing.")
    assert report.lines[-1] == "No perplexity: no such thing."
    assert [table.title for table in report.tables] == ["Error of the weights", "Tensors with the largest error"]
    assert decoded(report)["perplexity_as_stored"] is None
    assert changes_of({}) == {}
    assert set(by_scheme(damages)) == {"int8"}


def reading(more: float, noise: float, seed: int) -> Reading:
    """Losses that are `more` than the usual ones, give or take `noise`."""
    usual = np.random.default_rng(1).gamma(2, 2, 600)
    losses = usual + more + np.random.default_rng(seed).normal(0, noise, 600)
    return Reading(losses.astype(np.float32), np.full(600, more, np.float32), np.ones(600, np.float32))


def test_sentences_rank_what_can_be_told_and_say_what_cannot() -> None:
    """A change that is noise, one that is clear, and two that are too alike to be ranked."""
    readings = {
        AS_STORED: reading(0, 0, 2),
        "int8": reading(0, 0.3, 3),
        "nvfp4": reading(0.2, 0.1, 4),
        "int4-32": reading(0.2, 0.3, 5),
        "mxfp4": reading(0.5, 0.1, 6),
    }
    damages = [
        damage("w", SCHEMES[name], np.ones((2, 32), np.float32), np.ones((2, 32), np.float32))
        for name in readings
        if name != AS_STORED
    ]
    lines = weights_report("t", WEIGHTS, damages, readings).lines
    assert "no change of perplexity can be told for int8" in lines[1]
    assert any("cannot tell" in line and "nvfp4" in line and "int4-32" in line for line in lines)
    assert any("predicts better than mxfp4" in line for line in lines)


def test_a_comparison_has_its_verdict_first() -> None:
    """And every figure for programs."""
    prompts = [Prompt(id=f"p{n}", kind="fact", ask="?", max_tokens=8, expect="yes") for n in range(12)]
    same = (Answer(text="yes indeed"), Answer(text="yes indeed"))
    failed = (Answer(problem="closed"), Answer(text="yes"))
    asked = [*(Asked(prompt, same, same) for prompt in prompts), Asked(prompts[0], same, failed)]
    found = compare(asked, {}, np.random.default_rng(1))
    report = comparison_report("m at x", "m at y", found, judge(found), 0.03)
    assert report.title == "Cannot tell: B beside A."
    assert report.lines[:2] == ("A is m at x.", "B is m at y.")
    assert any("0 requests failed at A and 1 at B" in line for line in report.lines)
    data = decoded(report)
    assert data["verdict"] == "cannot tell"
    assert data["drift"] is None
    assert data["failed"] == {"a": 0, "b": 1}
    rows = {row[0]: row for row in report.tables[0].rows}
    assert rows["log-probabilities (nats)"][1] == 0
    assert report.tables[1].rows[0][:3] == ("fact", 12, "100% (76% to 100%)")
