"""Reads the weights out of an ONNX file with the standard library: just enough protocol buffers, read-only.

An ONNX file is one protocol-buffer message. Field numbers used here, from the public `onnx.proto`:
model 7 = graph; graph 1 = node, 5 = initializer; node 1 = input, 2 = output, 4 = operator; tensor 1 = dims,
2 = data type, 4 = packed floats, 8 = name, 9 = raw little-endian data.

The file is data from a package whose hash is checked before; a broken one still ends in `OnnxError`,
never in an index error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
VARINT_BYTES_MAX = 10


class OnnxError(Exception):
    """The file is not the ONNX model it should be; the text says where."""


class DataType(IntEnum):
    """The tensor element types that weight files of this kind hold."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    INT64 = 7


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named constant. `data` is row-major and little-endian."""

    name: str
    shape: tuple[int, ...]
    data_type: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class Node:
    """One operation: its kind, and the names of what goes in and comes out."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(slots=True)
class Graph:
    """The operations in order, and the constants by name."""

    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """The number at `at` and the offset after it."""
    value = 0
    for index in range(VARINT_BYTES_MAX):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise OnnxError(f"a number at byte {at} does not end")


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of a message in order: numbers as int, everything else as a view of its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire_type == LENGTH:
            size, at = _varint(data, at)
        elif wire_type in (FIXED32, FIXED64):
            size = 4 if wire_type == FIXED32 else 8
        else:
            raise OnnxError(f"wire type {wire_type} at byte {at} is unknown")
        if at + size > len(data):
            raise OnnxError(f"a field of {size} bytes at byte {at} is cut off")
        yield number, data[at : at + size]
        at += size


def _text(value: int | memoryview) -> str:
    return str(_view(value), "utf-8", "replace")


def _view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise OnnxError("a number stands where bytes are expected")
    return value


def _numbers(value: int | memoryview) -> Iterator[int]:
    """A repeated integer, packed or one at a time."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = _varint(value, at)
        yield number


def _tensor(data: memoryview) -> Tensor:
    name, kind, raw = "", 0, memoryview(b"")
    shape: list[int] = []
    for number, value in fields(data):
        if number == 1:
            shape.extend(_numbers(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number in (4, 9):
            raw = _view(value)
        elif number == 8:
            name = _text(value)
    return Tensor(name, tuple(shape), kind, raw)


def _node(data: memoryview) -> Node:
    operator = ""
    inputs: list[str] = []
    outputs: list[str] = []
    for number, value in fields(data):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            operator = _text(value)
    return Node(operator, tuple(inputs), tuple(outputs))


def read_graph(data: bytes | memoryview) -> Graph:
    """The graph of an ONNX model. Raises `OnnxError`."""
    graph = Graph()
    for number, value in fields(memoryview(data)):
        if number != 7:
            continue
        for inner, content in fields(_view(value)):
            if inner == 1:
                graph.nodes.append(_node(_view(content)))
            elif inner == 5:
                tensor = _tensor(_view(content))
                graph.tensors[tensor.name] = tensor
    return graph
