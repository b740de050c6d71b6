"""GGUF files for tests: small ones out of nothing, and the embedded model with its weights in another format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tokenway.local.gguf import U32, GgufTensor, TensorType, write_gguf
from tokenway.planner.grade.blocks import microscaled
from tokenway.planner.grade.casts import E2M1, Floats, encode
from tokenway.planner.grade.gguf_file import _Reader
from tokenway.planner.grade.tensors import Weights

ALIGNMENT = 32


class Packed(NamedTuple):
    """A tensor's number in GGUF's list of types, and its bytes."""

    code: int
    data: bytes


def as_float32(values: Floats) -> Packed:
    """As they are."""
    return Packed(0, values.astype("<f4").tobytes())


def as_q8_0(values: Floats) -> Packed:
    """Eight bits, a float16 scale for 32."""
    blocks = values.reshape(-1, 32)
    scales = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype(np.float16)
    divisors = np.where(scales == 0, np.float16(1), scales).astype(np.float32)
    numbers = np.clip(np.rint(blocks / divisors), -127, 127).astype(np.int8)
    return Packed(8, np.concatenate([scales.view(np.uint8), numbers.view(np.uint8)], axis=1).tobytes())


def as_mxfp4(values: Floats) -> Packed:
    """Four bits, a power of two for 32."""
    found = microscaled(values, E2M1)
    codes = encode(found.elements, E2M1).reshape(-1, 32)
    exponents = (np.log2(found.scales).astype(np.int32) + 127).astype(np.uint8).reshape(-1, 1)
    return Packed(39, np.concatenate([exponents, codes[:, :16] | codes[:, 16:] << 4], axis=1).tobytes())


def rewrite(path: Path, data: bytes | memoryview, tensors: Iterable[tuple[str, tuple[int, ...], Packed]]) -> None:
    """Writes the pairs of a GGUF file with these tensors below them."""
    reader = _Reader(memoryview(data))
    reader.take(24)
    (count,) = struct.unpack("<Q", bytes(data[16:24]))
    for _ in range(count):
        reader.text()
        reader.value(int(reader.scalar(4)))
    listed = list(tensors)
    head = bytearray(bytes(data[:8]) + struct.pack("<QQ", len(listed), count) + bytes(data[24 : reader.at]))
    offset = 0
    for name, shape, packed in listed:
        head += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        head += struct.pack("<IQ", packed.code, offset)
        offset += len(packed.data) + -len(packed.data) % ALIGNMENT
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        for _, _, packed in listed:
            file.write(packed.data + bytes(-len(packed.data) % ALIGNMENT))


def repacked(weights: Weights, pack: Callable[[Floats], Packed]) -> Iterable[tuple[str, tuple[int, ...], Packed]]:
    """The model's layers in another format, the rest as it is."""
    codes = {"F32": 0, "Q8_0": 8, "Q4_1": 3}
    for tensor in weights.tensors.values():
        if tensor.is_matrix and tensor.name.startswith("blk."):
            yield tensor.name, tensor.shape, pack(tensor.values())
        else:
            yield tensor.name, tensor.shape, Packed(codes[tensor.kind.name], tensor.raw.tobytes())


VOCABULARY = [*map(chr, range(33, 127)), "Ġ", "Ċ", "Ġt", "he", "Ġthe", "in"]
MERGES = ["Ġ t", "h e", "Ġt he", "i n"]
WIDTH, INNER, HEADS, SHARED, LAYERS = 64, 96, 4, 2, 2
TEXT = "the thin man in the inn then thinks of the thing that he is in; the hen thinks in the thin inn. " * 3


def tiny_pairs(**changes: Any) -> dict[str, Any]:
    """What a small model says about itself."""
    return {
        "general.architecture": "llama",
        "llama.block_count": U32(LAYERS),
        "llama.context_length": U32(128),
        "llama.embedding_length": U32(WIDTH),
        "llama.feed_forward_length": U32(INNER),
        "llama.attention.head_count": U32(HEADS),
        "llama.attention.head_count_kv": U32(SHARED),
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": VOCABULARY,
        "tokenizer.ggml.merges": MERGES,
    } | changes


def tiny_tensors(seed: int = 1) -> list[GgufTensor]:
    """Weights by chance, of ordinary sizes."""
    chance = np.random.default_rng(seed)
    head = WIDTH // HEADS
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (SHARED * head, WIDTH), "attn_v": (SHARED * head, WIDTH)}
    shapes |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH)}
    shapes |= {"ffn_down": (WIDTH, INNER)}

    def tensor(name: str, shape: tuple[int, ...], centre: float = 0.0) -> GgufTensor:
        values = (centre + chance.standard_normal(shape) * (0.1 if centre else 1.5 / np.sqrt(shape[-1]))).astype("<f4")
        return GgufTensor(name, shape, TensorType.F32, values.tobytes())

    found = [tensor("token_embd.weight", (len(VOCABULARY), WIDTH)), tensor("output_norm.weight", (WIDTH,), 1.0)]
    for layer in range(LAYERS):
        found += [tensor(f"blk.{layer}.{name}.weight", shape) for name, shape in shapes.items()]
        found += [tensor(f"blk.{layer}.{name}.weight", (WIDTH,), 1.0) for name in ("attn_norm", "ffn_norm")]
    return found


def gguf(pairs: Mapping[str, Any], tensors: Sequence[GgufTensor]) -> bytes:
    """A file's bytes."""
    file = BytesIO()
    write_gguf(file, pairs, tensors)
    return file.getvalue()


def tiny_model(**changes: Any) -> bytes:
    """A small model that can be run, as a file; `changes` are of what it says about itself."""
    return gguf(tiny_pairs(**changes), tiny_tensors())
