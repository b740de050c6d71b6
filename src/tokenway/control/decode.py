"""A tree of nodes and a shape to settings, collecting everything that is wrong instead of the first thing.

A value that cannot be read gives a finding and is left out: its default stands in, or its whole record
is left out when it has none. So one mistake does not hide the next, and what comes out is well-typed even
where it is incomplete; the caller looks at the findings before using it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tokenway.control.document import Mapping, Node, Scalar, Sequence
from tokenway.control.findings import Finding, nearest
from tokenway.model.money import parse_rate, parse_share, parse_usd
from tokenway.model.secret import Secret
from tokenway.model.shape import Kind, Shape, expectation, fields_of
from tokenway.model.units import parse_duration, parse_size


class _Missing:
    """Says that a value could not be read."""


MISSING: Final = _Missing()

_WHOLE: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][-+]?[0-9]{1,2})?", re.ASCII)
_FLAGS: Final = {"true": True, "false": False}

USD_MAX: Final = 1_000_000_000
"""The largest amount: its nano-dollars fit the store's 64-bit integers with room to add."""


class Decoder:
    """Reads nodes against shapes; `findings` grows as it goes. `base` is where relative paths start."""

    def __init__(self, base: Path) -> None:
        self.findings: list[Finding] = []
        self._base = base

    def read(self, node: Node, shape: Shape, path: str) -> Any:
        """The value of a node, or MISSING when a finding says why there is none."""
        if isinstance(node, Scalar) and node.is_broken:
            return MISSING
        match shape.kind:
            case Kind.RECORD:
                return self._record(node, shape, path)
            case Kind.TABLE:
                return self._table(node, shape, path)
            case Kind.LIST:
                return self._list(node, shape, path)
            case _:
                return self._scalar(node, shape, path)

    def _record(self, node: Node, shape: Shape, path: str) -> Any:
        if isinstance(node, Scalar) and node.is_null:
            node = Mapping({}, {}, node.file, node.line)
        if isinstance(node, Scalar) and shape.shorthand:
            node = Mapping({shape.shorthand: node}, {shape.shorthand: node.line}, node.file, node.line)
        if not isinstance(node, Mapping):
            return self._unexpected(node, shape, path)
        fields = fields_of(shape.target)
        for key, line in node.key_lines.items():
            if key not in fields:
                self._add(node.file, line, _join(path, key), "there is no such setting", nearest(key, fields))
        values: dict[str, Any] = {}
        is_complete = True
        for name, field in fields.items():
            child = node.entries.get(name)
            if child is None or (isinstance(child, Scalar) and child.is_null):
                if field.required:
                    self._add(node.file, node.line, _join(path, name), f"is required: {expectation(field.shape)}")
                    is_complete = False
                continue
            value = self.read(child, field.shape, _join(path, name))
            if value is not MISSING:
                values[name] = value
            elif field.required:
                is_complete = False
        return shape.target(**values) if is_complete else MISSING

    def _table(self, node: Node, shape: Shape, path: str) -> Any:
        if not isinstance(node, Mapping):
            return self._unexpected(node, shape, path)
        inner = _inner(shape)
        found = {key: self.read(child, inner, _join(path, key)) for key, child in node.entries.items()}
        return {key: value for key, value in found.items() if value is not MISSING}

    def _list(self, node: Node, shape: Shape, path: str) -> Any:
        if not isinstance(node, Sequence):
            return self._unexpected(node, shape, path)
        inner = _inner(shape)
        found = [self.read(child, inner, f"{path}[{index}]") for index, child in enumerate(node.items)]
        return tuple(value for value in found if value is not MISSING)

    def _scalar(self, node: Node, shape: Shape, path: str) -> Any:
        if not isinstance(node, Scalar) or node.is_null:
            return self._unexpected(node, shape, path)
        try:
            value = _READERS[shape.kind](node.text, shape)
        except ValueError:
            return self._unexpected(node, shape, path)
        if isinstance(value, int | float) and not _is_within(value, shape):
            return self._unexpected(node, shape, path)
        if shape.kind is Kind.PATH:
            try:
                return str(self._base / Path(value).expanduser()) if value else self._unexpected(node, shape, path)
            except RuntimeError:  # `~name` where there is no such user
                return self._unexpected(node, shape, path)
        return value

    def _unexpected(self, node: Node, shape: Shape, path: str) -> _Missing:
        hint: tuple[str, ...] = ()
        if isinstance(node, Scalar):
            got = "nothing" if node.is_null else repr(_shortened(node.text))
            hint = nearest(node.text, shape.choices)
        else:
            got = "a list" if isinstance(node, Sequence) else "a mapping"
        self._add(node.file, node.line, path, f"expected {expectation(shape)}, got {got}", hint)
        return MISSING

    def _add(self, file: str, line: int, path: str, reason: str, hint: tuple[str, ...] = ()) -> None:
        self.findings.append(Finding(file, line, path, reason, hint))


def _number(text: str, _: Shape) -> float:
    if not _DECIMAL.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text)


def _whole(text: str, _: Shape) -> int:
    if not _WHOLE.fullmatch(text.strip()):
        raise ValueError(text)
    return int(text)


def _flag(text: str, _: Shape) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError(text)
    return _FLAGS[text.lower()]


def _usd(parse: Callable[[str], int]) -> Callable[[str, Shape], int]:
    def read(text: str, shape: Shape) -> int:
        if not 0 <= _number(text, shape) <= USD_MAX:
            raise ValueError(text)
        return parse(text.strip())

    return read


_READERS: Final[dict[Kind, Callable[[str, Shape], Any]]] = {
    Kind.TEXT: lambda text, _: text,
    Kind.PATH: lambda text, _: text,
    Kind.SECRET: lambda text, _: Secret(text),
    Kind.FLAG: _flag,
    Kind.WHOLE: _whole,
    Kind.NUMBER: _number,
    Kind.DURATION: lambda text, _: parse_duration(text),
    Kind.SIZE: lambda text, _: parse_size(text),
    Kind.RATE: _usd(parse_rate),
    Kind.MONEY: _usd(parse_usd),
    Kind.SHARE: lambda text, _: parse_share(text),
    Kind.CHOICE: lambda text, shape: shape.target(text),
}


def _is_within(value: float, shape: Shape) -> bool:
    return (
        math.isfinite(value)
        and (shape.at_least is None or value >= shape.at_least)
        and (shape.above is None or value > shape.above)
        and (shape.at_most is None or value <= shape.at_most)
    )


def _inner(shape: Shape) -> Shape:
    if shape.inner is None:
        raise TypeError(f"a {shape.kind} has elements")
    return shape.inner


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"
