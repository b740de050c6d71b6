"""The shape of settings, read from their types: the one source for the reader, the variables and the manual.

A *shape* says what may stand at one place of the configuration: which kind of value, within which bounds,
and, for records, which fields. It is derived from annotated msgspec structs, so that a setting is said once.
"""

from __future__ import annotations

import types
import typing
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Meta

from tokenway.model.money import NanoUsd, Rate, Share, format_share, format_usd
from tokenway.model.secret import Secret
from tokenway.model.units import READS, format_duration, format_size

SHORTHAND: Final = "shorthand"
"""Key in `Meta.extra` of a record: a scalar in its place is read as this field."""


class Kind(StrEnum):
    """What a value is, as its reader and the manual name it."""

    TEXT = "text"
    PATH = "path"
    SECRET = "secret text"  # noqa: S105 - the name of a kind
    FLAG = "true or false"
    WHOLE = "whole number"
    NUMBER = "number"
    DURATION = "duration"
    SIZE = "size"
    RATE = "USD per million"
    MONEY = "USD"
    SHARE = "share"
    CHOICE = "choice"
    RECORD = "record"
    LIST = "list"
    TABLE = "table"


class Shape(msgspec.Struct, frozen=True):
    """One place: `target` is the class to build for RECORD and CHOICE, `inner` the element of LIST and TABLE."""

    kind: Kind
    optional: bool = False
    description: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    shorthand: str = ""
    target: Any = None
    inner: Shape | None = None

    @property
    def choices(self) -> tuple[str, ...]:
        """The words a CHOICE takes, in their order."""
        return tuple(str(member.value) for member in self.target) if self.kind is Kind.CHOICE else ()


class Field(msgspec.Struct, frozen=True):
    """One setting of a record."""

    name: str
    shape: Shape
    required: bool
    default: Any = None


_SCALARS: Final[dict[Any, Kind]] = {
    str: Kind.TEXT,
    bool: Kind.FLAG,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    Secret: Kind.SECRET,
    Rate: Kind.RATE,
    NanoUsd: Kind.MONEY,
    Share: Kind.SHARE,
}
_READS: Final = {"duration": Kind.DURATION, "size": Kind.SIZE, "path": Kind.PATH}


_PLAIN: Final = {
    Kind.TEXT: "text",
    Kind.SECRET: "text",
    Kind.PATH: "the path of a file",
    Kind.FLAG: "true or false",
    Kind.RATE: "USD per million, zero or more",
    Kind.LIST: "a list",
    Kind.RECORD: "a mapping (name: value)",
    Kind.TABLE: "a mapping (name: value)",
}


@cache
def fields_of(record: Any) -> dict[str, Field]:
    """The settings of a struct by name, in the order in which it declares them."""
    return {
        field.name: Field(name=field.name, shape=shape_of(field.type), required=field.required, default=_default(field))
        for field in msgspec.structs.fields(record)
    }


def shape_of(annotation: Any) -> Shape:
    """The shape of an annotated type; raises TypeError for a type that no configuration value can have."""
    inner, metas, optional = _unwrap(annotation)
    extra: dict[str, Any] = {}
    found: dict[str, Any] = {"optional": optional}
    for meta in metas:
        extra |= meta.extra or {}
        bounds = {"description": meta.description, "at_least": meta.ge, "above": meta.gt, "at_most": meta.le}
        found |= {name: value for name, value in bounds.items() if value is not None}
    if SHORTHAND in extra:
        found["shorthand"] = extra[SHORTHAND]
    origin = typing.get_origin(inner)
    if origin is tuple:
        return Shape(kind=Kind.LIST, inner=shape_of(typing.get_args(inner)[0]), **found)
    if origin is dict:
        return Shape(kind=Kind.TABLE, inner=shape_of(typing.get_args(inner)[1]), **found)
    if inner in _SCALARS:
        return Shape(kind=_READS.get(extra.get(READS, ""), _SCALARS[inner]), **found)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return Shape(kind=Kind.CHOICE, target=inner, **found)
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        return Shape(kind=Kind.RECORD, target=inner, **found)
    raise TypeError(f"no configuration value has the type {annotation!r}")


def expectation(shape: Shape) -> str:
    """What may stand here, for a sentence: `a whole number from 1 to 65535`."""
    match shape.kind:
        case Kind.CHOICE:
            return "one of " + ", ".join(shape.choices)
        case Kind.DURATION:
            return "a duration such as 500ms, 5s or 15m" + _bounds(shape, format_duration)
        case Kind.SIZE:
            return "a size such as 32MiB or 10MB" + _bounds(shape, lambda value: format_size(int(value)))
        case Kind.WHOLE | Kind.NUMBER:
            return f"a {shape.kind}" + _bounds(
                shape, lambda value: f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"
            )
        case Kind.MONEY:
            return f"an amount of USD{_bounds(shape, lambda value: format_usd(int(value)))} such as 5.00"
        case Kind.SHARE:
            bounds = _bounds(shape, lambda value: format_share(int(value)))
            return f"a share{bounds} with at most six decimals such as 0.125"
        case _:
            return _PLAIN[shape.kind]


def _bounds(shape: Shape, show: typing.Callable[[float], str]) -> str:
    if shape.above is not None:
        low = f" above {show(shape.above) if shape.above else '0'}"
        return low if shape.at_most is None else f"{low} and up to {show(shape.at_most)}"
    if shape.at_least is None:
        return "" if shape.at_most is None else f" up to {show(shape.at_most)}"
    if shape.at_most is None:
        return f" from {show(shape.at_least)}"
    return f" from {show(shape.at_least)} to {show(shape.at_most)}"


def _unwrap(annotation: Any) -> tuple[Any, list[Meta], bool]:
    """Takes `Annotated` and `| None` off a type; the outer notes come last and so win."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, metas, optional = _unwrap(annotation.__origin__)
        return inner, [*metas, *(note for note in annotation.__metadata__ if isinstance(note, Meta))], optional
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) != 1:
            raise TypeError(f"a setting has one type, or one and None: {annotation!r}")
        inner, metas, _ = _unwrap(members[0])
        return inner, metas, True
    return annotation, [], False


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default
