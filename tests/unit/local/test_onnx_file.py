"""The protocol-buffer reader: what it reads, and that any garbage ends in its one error."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.local.onnx_file import DataType, OnnxError, fields, read_graph


def number(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sized(field: int, content: bytes) -> bytes:
    """A field with a length."""
    return number(field << 3 | 2) + number(len(content)) + content


def plain(field: int, value: int) -> bytes:
    """A number field."""
    return number(field << 3) + number(value)


def tensor(name: str, shape: tuple[int, ...], kind: int, raw: bytes, *, packed: bool = False) -> bytes:
    """A constant of a graph, its dimensions packed or one by one."""
    dims = sized(1, b"".join(map(number, shape))) if packed else b"".join(plain(1, side) for side in shape)
    return sized(5, dims + plain(2, kind) + sized(8, name.encode()) + sized(9, raw))


def node(operator: str, inputs: list[str], outputs: list[str]) -> bytes:
    """An operation of a graph."""
    names = b"".join(sized(1, name.encode()) for name in inputs) + b"".join(sized(2, n.encode()) for n in outputs)
    return sized(1, names + sized(4, operator.encode()))


def model(*parts: bytes) -> bytes:
    """A model around a graph, with fields that the reader skips."""
    return plain(1, 9) + sized(2, b"exporter") + sized(7, b"".join(parts) + sized(2, b"graph"))


@pytest.mark.parametrize("packed", [False, True])
def test_tensors_and_nodes_are_read(packed: bool) -> None:
    """Names, shapes, types, bytes and the wiring come back."""
    raw = struct.pack("<6f", *range(6))
    graph = read_graph(
        model(tensor("w", (2, 300), DataType.FLOAT, raw, packed=packed), node("MatMul", ["x", "w"], ["y"]))
    )
    weight = graph.tensors["w"]
    assert (weight.shape, weight.data_type, bytes(weight.data)) == ((2, 300), DataType.FLOAT, raw)
    (operation,) = graph.nodes
    assert (operation.operator, operation.inputs, operation.outputs) == ("MatMul", ("x", "w"), ("y",))


def test_fixed_width_fields_are_stepped_over() -> None:
    """Fields of four and eight bytes have the right length."""
    data = memoryview(number(1 << 3 | 5) + b"abcd" + number(2 << 3 | 1) + b"abcdefgh" + plain(3, 300))
    assert [(n, v if isinstance(v, int) else bytes(v)) for n, v in fields(data)] == [
        (1, b"abcd"),
        (2, b"abcdefgh"),
        (3, 300),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\x3a\x05ab",  # five bytes promised, two there
        b"\x3a\xff",  # a length that does not end
        b"\x80" * 11,  # a number longer than any
        b"\x0b",  # a wire type of old
        plain(7, 1),  # a number where the graph should be
    ],
)
def test_broken_files_are_reported(data: bytes) -> None:
    """A cut or wrong file is this module's one error."""
    with pytest.raises(OnnxError):
        read_graph(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_graph_or_the_one_error(data: bytes) -> None:
    """Whatever the bytes, no other exception leaves the reader."""
    try:
        graph = read_graph(sized(7, data))
    except OnnxError:
        return
    assert isinstance(graph.nodes, list)
