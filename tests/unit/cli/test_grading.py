"""Files of weights to reports: what is read, what is refused, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from tests.unit.planner.grade.gguf_maker import TEXT, tiny_model
from tokenway.cli import grading
from tokenway.cli.errors import CommandError
from tokenway.cli.grading import Told, draw, embedded_model, grade_file, read_file
from tokenway.local.models import CHAT_WEIGHTS
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.blocks import SCHEMES

FOUR = [SCHEMES["nvfp4"], SCHEMES["mxfp4"]]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model."""
    path = tmp_path / "tiny.gguf"
    path.write_bytes(tiny_model())
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A text in its few letters."""
    path = tmp_path / "text.txt"
    path.write_text(TEXT)
    return path


def test_a_model_is_graded_whole(model: Path, text: Path) -> None:
    """Perplexity, errors, and where the text is from."""
    found = grade_file(model, FOUR, Told(text, 100))
    assert found.report.inputs["tokens predicted"] == 99
    assert found.report.sources[0].name == "text.txt"
    assert [point.name for point in found.points] == ["nvfp4", "mxfp4"]
    assert found.what == "times the perplexity"
    assert len(draw(found).axes) == 1


def test_errors_alone_take_no_text(model: Path) -> None:
    """Where perplexity is not wanted."""
    found = grade_file(model, FOUR, None)
    assert "tokens predicted" not in found.report.inputs
    assert found.what == "RMS error over RMS of the weights"
    assert 0.05 < found.points[0].cost.value < found.points[1].cost.value < 0.2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"general.architecture": "mamba"}, "architecture is mamba"),
        ({"tokenizer.ggml.pre": "tekken"}, "tokenizer is gpt2/tekken"),
    ],
)
def test_a_model_that_cannot_be_run_has_errors_only(
    model: Path, text: Path, changes: dict[str, str], said: str
) -> None:
    """And the report says why there is no perplexity."""
    model.write_bytes(tiny_model(**changes))
    found = grade_file(model, FOUR, Told(text, None))
    assert said in found.report.lines[-1]
    assert found.report.figures["perplexity_as_stored"] is None


def test_safetensors_have_errors_only(tmp_path: Path) -> None:
    """Their files do not say what computes with them."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"layer.weight": np.random.default_rng(1).standard_normal((8, 64)).astype(np.float32)}))
    found = grade_file(path, FOUR, Told(None, None))
    assert "safetensors file does not say" in found.report.lines[-1]


def test_what_is_no_number_is_named(tmp_path: Path) -> None:
    """A damaged tensor."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"layer.weight": np.full((8, 64), np.nan, np.float32)}))
    with pytest.raises(PlanError, match=r"'layer.weight' has numbers that are not finite"):
        grade_file(path, FOUR, None)


def test_a_file_of_embeddings_has_nothing_to_grade(tmp_path: Path) -> None:
    """Deployments leave these as they are."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(save({"embed.weight": np.ones((8, 64), np.float32)}))
    with pytest.raises(PlanError, match="nothing to grade"):
        grade_file(path, FOUR, None)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Missing, empty, a folder, and neither kind."""
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(CommandError, match="is empty"):
        read_file(empty)
    for missing in (tmp_path / "missing", tmp_path):
        with pytest.raises(CommandError, match="There is no file"):
            read_file(missing)
    empty.write_text("hello")
    with pytest.raises(PlanError, match="neither GGUF nor safetensors"):
        read_file(empty)


def test_texts_that_cannot_be_read(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, not UTF-8, too long, too short."""
    text = tmp_path / "odd.txt"
    with pytest.raises(CommandError, match="cannot be read"):
        grade_file(model, FOUR, Told(text, None))
    text.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match="not UTF-8 text"):
        grade_file(model, FOUR, Told(text, None))
    text.write_text("in the inn")
    assert "needs 64" in grade_file(model, FOUR, Told(text, None)).report.lines[-1]
    monkeypatch.setattr(grading, "_TEXT_MAX", 5)
    with pytest.raises(CommandError, match="more than 5 bytes"):
        grade_file(model, FOUR, Told(text, None))


def test_the_embedded_model_is_found_or_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its package the sentence says what installs it."""
    monkeypatch.setattr(grading, "locate", lambda _: None)
    with pytest.raises(CommandError, match="tokenway local install"):
        embedded_model()
    monkeypatch.setattr(grading, "locate", lambda weights: tmp_path / weights.name)
    assert embedded_model().name == CHAT_WEIGHTS.name
