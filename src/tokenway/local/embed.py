"""Turns the packaged ONNX embedding model into the GGUF file that the runtime reads, once.

The ONNX file keeps each weight matrix as signed bytes with one scale per column (per row for the embedding
tables). GGUF's Q8_0 keeps rows of signed bytes in blocks of 32 with a scale each, and wants a matrix transposed;
so columns become rows, the column's scale is repeated in each block, and the bytes stay what they were.

The exporter named the matrices by number (`val_49`), but each product is followed by an addition whose bias has
its real name: that is how a matrix is recognised.
"""

from __future__ import annotations

import array
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from tokenway.local.gguf import U32, GgufTensor, TensorType, Value, q8_rows, write_gguf
from tokenway.local.models import EMBED_WEIGHTS, verify, write_atomically
from tokenway.local.onnx_file import DataType, Graph, OnnxError, Tensor, read_graph
from tokenway.local.wordpiece import vocabulary

RECIPE = 1
"""Rises when the conversion changes, so that a file made by an older version is not used."""
LAYERS, WIDTH, INNER, HEADS, POSITIONS = 6, 384, 1536, 12, 512
PREFIX = "inner."
LAYER_PARTS = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
SPECIAL = {"unknown": 100, "cls": 101, "seperator": 102, "padding": 0, "mask": 103}
"""The format really spells it `seperator_token_id`."""
TYPE_NORMAL, TYPE_UNKNOWN, TYPE_CONTROL = 1, 2, 3


def gguf_path(data_dir: Path) -> Path:
    """Where the converted model is kept; its name tells source and recipe."""
    return data_dir / "local" / f"all-minilm-l6-v2-q8_0-{EMBED_WEIGHTS.sha256[:12]}-{RECIPE}.gguf"


def ensure_gguf(onnx: Path, data_dir: Path) -> Path:
    """The converted model, made from `onnx` unless it is there already.

    Raises `WeightsError` when `onnx` has the wrong hash, `OnnxError` when it lacks a weight and OSError when the
    result cannot be written.
    """
    target = gguf_path(data_dir)
    if target.is_file():
        return target
    verify(onnx, EMBED_WEIGHTS.sha256, target.parent)
    write_atomically(target, convert(onnx.read_bytes(), vocabulary()))
    return target


def convert(onnx: bytes, words: tuple[str, ...]) -> bytes:
    """The GGUF file's bytes for an ONNX model of this family. Raises `OnnxError`."""
    graph = read_graph(onnx)
    out = io.BytesIO()
    write_gguf(out, _pairs(words), list(_tensors(graph)))
    return out.getvalue()


def _pairs(words: tuple[str, ...]) -> dict[str, Value]:
    pairs: dict[str, Value] = {
        "general.architecture": "bert",
        "general.name": "all-MiniLM-L6-v2",
        "general.license": "apache-2.0",
        "general.file_type": U32(7),
        "general.quantization_version": U32(2),
        "bert.block_count": U32(LAYERS),
        "bert.context_length": U32(POSITIONS),
        "bert.embedding_length": U32(WIDTH),
        "bert.feed_forward_length": U32(INNER),
        "bert.attention.head_count": U32(HEADS),
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": U32(1),
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "jina-v2-en",
        "tokenizer.ggml.token_type_count": U32(2),
        "tokenizer.ggml.tokens": [_token(word) for word in words],
        "tokenizer.ggml.token_type": [_token_type(word) for word in words],
    }
    for name, number in SPECIAL.items():
        pairs[f"tokenizer.ggml.{name}_token_id"] = U32(number)
    return pairs


def _is_special(word: str) -> bool:
    return word.startswith("[") and word.endswith("]")


def _token(word: str) -> str:
    """The format marks the start of a word where the vocabulary marks its continuation."""
    if _is_special(word):
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def _token_type(word: str) -> int:
    if word == "[UNK]":
        return TYPE_UNKNOWN
    return TYPE_CONTROL if _is_special(word) else TYPE_NORMAL


def _tensors(graph: Graph) -> Iterator[GgufTensor]:
    table = f"{PREFIX}embeddings."
    words = f"{table}word_embeddings.weight"
    yield GgufTensor("token_embd.weight", *_quantised_rows(graph, words))
    yield GgufTensor("position_embd.weight", *_expanded_rows(graph, f"{table}position_embeddings.weight"))
    yield _plain(graph, "token_types.weight", f"{table}token_type_embeddings.weight")
    for end in ("weight", "bias"):
        yield _plain(graph, f"token_embd_norm.{end}", f"{table}LayerNorm.{end}")
    matrices = _matrices(graph)
    for layer in range(LAYERS):
        for part, short in LAYER_PARTS.items():
            source = f"{PREFIX}encoder.layer.{layer}.{part}"
            name = f"blk.{layer}.{short}"
            yield _plain(graph, f"{name}.bias", f"{source}.bias")
            if part.endswith("LayerNorm"):
                yield _plain(graph, f"{name}.weight", f"{source}.weight")
            elif f"{source}.bias" in matrices:
                yield GgufTensor(f"{name}.weight", *_quantised_columns(graph, matrices[f"{source}.bias"]))
            else:
                raise OnnxError(f"no matrix leads to {source}.bias")


def _matrices(graph: Graph) -> dict[str, str]:
    """Name of a bias -> name of the matrix whose product it is added to."""
    products = {node.outputs[0]: node.inputs[1] for node in graph.nodes if node.operator == "MatMul"}
    found: dict[str, str] = {}
    for node in graph.nodes:
        if node.operator != "Add":
            continue
        for product, bias in (node.inputs, node.inputs[::-1]):
            if product in products and bias in graph.tensors:
                found[bias] = products[product]
    return found


def _tensor(graph: Graph, name: str, kind: DataType) -> Tensor:
    tensor = graph.tensors.get(name)
    if tensor is None:
        raise OnnxError(f"the weight {name} is missing")
    if tensor.data_type != kind:
        raise OnnxError(f"the weight {name} has element type {tensor.data_type} instead of {int(kind)}")
    size = 4 if kind is DataType.FLOAT else 1
    count = 1
    for side in tensor.shape:
        count *= side
    if count * size != len(tensor.data):
        raise OnnxError(f"the weight {name} has {len(tensor.data)} bytes for the shape {tensor.shape}")
    return tensor


def _floats(tensor: Tensor) -> array.array[float]:
    values = array.array("f", tensor.data.tobytes())
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _plain(graph: Graph, name: str, source: str) -> GgufTensor:
    tensor = _tensor(graph, source, DataType.FLOAT)
    return GgufTensor(name, tensor.shape, TensorType.F32, tensor.data.tobytes())


def _parts(graph: Graph, name: str) -> tuple[bytes, int, int, array.array[float]]:
    """Bytes, rows, columns and scales of a quantised matrix."""
    tensor = _tensor(graph, f"{name}_q", DataType.INT8)
    if len(tensor.shape) != 2:
        raise OnnxError(f"the weight {name} is not a matrix")
    return tensor.data.tobytes(), *tensor.shape, _floats(_tensor(graph, f"{name}_scale", DataType.FLOAT))


def _quantised_rows(graph: Graph, name: str) -> tuple[tuple[int, ...], TensorType, bytes]:
    data, rows, columns, scales = _parts(graph, name)
    if len(scales) != rows:
        raise OnnxError(f"the weight {name} has {len(scales)} scales for {rows} rows")
    lines = (data[at : at + columns] for at in range(0, len(data), columns))
    return (rows, columns), TensorType.Q8_0, q8_rows(lines, scales)


def _quantised_columns(graph: Graph, name: str) -> tuple[tuple[int, ...], TensorType, bytes]:
    data, rows, columns, scales = _parts(graph, name)
    if len(scales) != columns:
        raise OnnxError(f"the weight {name} has {len(scales)} scales for {columns} columns")
    lines = (data[column::columns] for column in range(columns))
    return (columns, rows), TensorType.Q8_0, q8_rows(lines, scales)


def _expanded_rows(graph: Graph, name: str) -> tuple[tuple[int, ...], TensorType, bytes]:
    """The positions are few and added to everything, so they are kept exactly."""
    data, rows, columns, scales = _parts(graph, name)
    values = array.array("f")
    for row, scale in enumerate(scales):
        line = array.array("b", data[row * columns : (row + 1) * columns])
        values.extend(number * scale for number in line)
    if sys.byteorder == "big":
        values.byteswap()
    return (rows, columns), TensorType.F32, values.tobytes()
