"""The embedding model re-packed: the real one gives real embeddings, and a broken one is named."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.unit.local.test_onnx_file import model, node, tensor
from tokenway.local import embed
from tokenway.local.embed import LAYER_PARTS, LAYERS, convert, ensure_gguf, gguf_path
from tokenway.local.models import EMBED_WEIGHTS, WeightsError, locate
from tokenway.local.onnx_file import DataType, OnnxError

WIDTH = 32
WORDS = ("[PAD]", "[UNK]", "word", "##s", "!")


def floats(*values: float) -> bytes:
    """Little-endian single precision."""
    return struct.pack(f"<{len(values)}f", *values)


def quantised(name: str, shape: tuple[int, int], scales: int) -> bytes:
    """A matrix of bytes counting up, with its scales."""
    count = shape[0] * shape[1]
    return tensor(f"{name}_q", shape, DataType.INT8, bytes(i % 100 for i in range(count))) + tensor(
        f"{name}_scale", (scales,), DataType.FLOAT, floats(*[0.5] * scales)
    )


def small_onnx(*, without: str = "") -> bytes:
    """A model of the same form, 32 wide; `without` leaves out one part."""
    table = "inner.embeddings."
    parts = {
        "words": quantised(f"{table}word_embeddings.weight", (len(WORDS), WIDTH), len(WORDS)),
        "positions": quantised(f"{table}position_embeddings.weight", (4, WIDTH), 4),
        "types": tensor(f"{table}token_type_embeddings.weight", (2, WIDTH), DataType.FLOAT, floats(*[1.0] * 2 * WIDTH)),
    }
    for end in ("weight", "bias"):
        parts[f"norm.{end}"] = tensor(f"{table}LayerNorm.{end}", (WIDTH,), DataType.FLOAT, floats(*[1.0] * WIDTH))
    for layer in range(LAYERS):
        for index, part in enumerate(LAYER_PARTS):
            name = f"inner.encoder.layer.{layer}.{part}"
            parts[f"{name}.bias"] = tensor(f"{name}.bias", (WIDTH,), DataType.FLOAT, floats(*[1.0] * WIDTH))
            if part.endswith("LayerNorm"):
                parts[f"{name}.weight"] = tensor(f"{name}.weight", (WIDTH,), DataType.FLOAT, floats(*[1.0] * WIDTH))
                continue
            matrix, product = f"val_{layer}_{index}", f"out_{layer}_{index}"
            parts[f"{name}.matrix"] = quantised(matrix, (WIDTH, WIDTH), WIDTH)
            parts[f"{name}.product"] = node("MatMul", ["x", matrix], [product])
            parts[f"{name}.sum"] = node("Add", [product, f"{name}.bias"], ["y"])
    return model(*(content for key, content in parts.items() if key != without))


def test_columns_become_rows() -> None:
    """A product's matrix is stored transposed, in blocks of a scale and 32 bytes."""
    data = convert(small_onnx(), WORDS)
    column = bytes(row * WIDTH % 100 for row in range(WIDTH))
    assert struct.pack("<e", 0.5) + column in data
    assert data.startswith(b"GGUF")


def test_a_converted_model_marks_the_start_of_words() -> None:
    """The vocabulary's marks are turned around, special entries stay."""
    data = convert(small_onnx(), WORDS)
    for token in ("[PAD]", "\u2581word", "s", "\u2581!"):
        raw = token.encode()
        assert struct.pack("<Q", len(raw)) + raw in data


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("words", "word_embeddings.weight_q is missing"),
        ("types", "token_type_embeddings.weight is missing"),
        ("inner.encoder.layer.3.output.dense.product", "no matrix leads to inner.encoder.layer.3.output.dense.bias"),
        ("inner.encoder.layer.5.intermediate.dense.bias", "dense.bias is missing"),
    ],
)
def test_a_missing_weight_is_named(without: str, words: str) -> None:
    """The error says which one."""
    with pytest.raises(OnnxError, match=words):
        convert(small_onnx(without=without), WORDS)


def test_another_file_is_not_converted(tmp_path: Path) -> None:
    """The hash is checked before anything is made."""
    path = tmp_path / "model.onnx"
    path.write_bytes(small_onnx())
    with pytest.raises(WeightsError, match="SHA-256"):
        ensure_gguf(path, tmp_path)
    assert not gguf_path(tmp_path).exists()


def test_the_packaged_model_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call finds the file; its size is what the format makes of 22.7 million weights."""
    source = locate(EMBED_WEIGHTS)
    if source is None:
        pytest.skip("the package with the embedding weights is not installed")
    made = ensure_gguf(source, tmp_path)
    assert made.stat().st_size == 25_279_168
    monkeypatch.setattr(embed, "convert", lambda *_: pytest.fail("converted again"))
    assert ensure_gguf(source, tmp_path) == made
