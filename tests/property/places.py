"""Every place where a vendor's own types let a field stand in a request, each with a request that has it there.

The vendors' SDKs describe a request in three ways: Anthropic's as typed dictionaries, Google's as pydantic models,
Amazon's as a service model. `Anthropic`, `Google` and `Amazon` tell what one of their types is in common words, and
`Walk` goes from a request's root to every field. A type that is inside of itself is entered once more and no further.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import typing_extensions
from botocore.loaders import Loader
from pydantic import BaseModel

_TAGS: Final = frozenset({"type", "role"})
_DEPTH: Final = 2
"""How often a type may be inside of itself."""


class Leaf(msgspec.Struct, frozen=True):
    """A value with nothing inside. All of `values` are valid, and mean different things."""

    values: tuple[Any, ...]


class Many(msgspec.Struct, frozen=True):
    """A list of a type."""

    item: Any


class Choice(msgspec.Struct, frozen=True):
    """One of several types."""

    types: tuple[Any, ...]


class Record(msgspec.Struct, frozen=True):
    """An object: the types of its fields, and which of them it must have. A union has exactly one of its fields."""

    name: str
    fields: Mapping[str, Any]
    required: frozenset[str] = frozenset()
    is_union: bool = False


Kind = Leaf | Many | Choice | Record


class Vendor(Protocol):
    """Types of one vendor."""

    def kind(self, of: Any) -> Kind:
        """What a type is."""


class Values(msgspec.Struct, frozen=True):
    """What is valid beyond a type.

    `leaves` are the values of a field by its name, or by its name and that of the field around it
    (`source.data`). `fillers` are elements that stand before the one under test in a list, by the names on the way to
    it (`messages.content`). `companions` are what an object must have beside a field, by the object's type (`Blob`)
    and, where it is about one of them, the field (`Part.inlineData`); None takes a member away.
    """

    leaves: Mapping[str, tuple[Any, ...]]
    fillers: Mapping[str, Any] = {}
    companions: Mapping[str, Mapping[str, Any]] = {}


class Place(msgspec.Struct, frozen=True):
    """One value of a field in one place. `names` are the fields on the way; `=type` is the block that they stand in.

    `told` is a request with the value, `other` the same without it or, where the field must be there, with another.
    """

    names: tuple[str, ...]
    told: dict[str, Any]
    other: dict[str, Any]
    value: Any

    @property
    def id(self) -> str:
        """The place in one word."""
        return ".".join(self.names).replace(".=", "=")

    @property
    def fields(self) -> list[str]:
        """The names of fields alone, as a path has them."""
        return [name for name in self.names if not name.startswith("=")]


class _Absent:
    """No value."""


_ABSENT: Final = _Absent()
_Step = tuple[tuple[str, ...], Any, Any, Any]
"""Names, a value of a type, another one of it or none, and what the innermost field holds in the first."""


class Walk:
    """The walk through one vendor's types. `wrong` are values that each field has in place of valid ones, if any."""

    def __init__(self, vendor: Vendor, values: Values, wrong: tuple[Any, ...] = ()) -> None:
        self._vendor = vendor
        self._values = values
        self._wrong = wrong

    def places(self, root: Any) -> Iterator[Place]:
        """All places of a request of type `root`; where values are wrong, the other request is the same."""
        for names, told, other, value in self._inside(root, (), ()):
            if self._wrong:
                yield Place(names, told, told, value)
            elif names and not isinstance(other, _Absent):
                yield Place(names, told, other, value)

    # -- one value -------------------------------------------------------------------------------------------

    def _kind(self, of: Any, names: tuple[str, ...]) -> Kind:
        """What a type is here: a leaf where its values are said by hand."""
        fields = [name for name in names if not name.startswith("=")]
        for known in (".".join(fields[-2:]), *fields[-1:]):
            if known in self._values.leaves:
                return Leaf(self._values.leaves[known])
        return self._vendor.kind(of)

    def _least(self, of: Any, names: tuple[str, ...]) -> Any:
        """The least value of a type."""
        kind = self._kind(of, names)
        match kind:
            case Leaf():
                return kind.values[0]
            case Many():
                return [*self._before(names), self._least(kind.item, names)]
            case Choice():
                return self._least(kind.types[0], names)
            case Record(fields=fields) if kind.is_union:
                name = next(iter(fields))
                return {name: self._least(fields[name], (*names, name))}
        return self._least_record(kind, names)

    def _least_record(self, kind: Record, names: tuple[str, ...]) -> dict[str, Any]:
        found = {name: self._least(kind.fields[name], (*names, name)) for name in kind.fields if name in kind.required}
        return {**found, **self._companions(kind.name)}

    def _companions(self, name: str) -> Mapping[str, Any]:
        return self._values.companions.get(name, {})

    def _before(self, names: tuple[str, ...]) -> list[Any]:
        filler = self._values.fillers.get(".".join(name for name in names if not name.startswith("=")))
        return [] if filler is None else [filler]

    # -- all of them -----------------------------------------------------------------------------------------

    def _inside(self, of: Any, names: tuple[str, ...], outer: tuple[str, ...]) -> Iterator[_Step]:
        """Every value of a type."""
        kind = self._kind(of, names)
        for value in self._wrong if names else ():
            yield names, value, _ABSENT, value
        match kind:
            case Leaf() if not self._wrong:
                for position, value in enumerate(kind.values):
                    yield names, value, _ABSENT if len(kind.values) == 1 else kind.values[position - 1], value
            case Many():
                before = self._before(names)
                for found, told, other, value in self._inside(kind.item, names, outer):
                    rest = [] if isinstance(other, _Absent) else [other]
                    yield found, [*before, told], [*before, *rest] or _ABSENT, value
            case Choice():
                for each in kind.types:
                    yield from self._inside(each, names, outer)
            case Record() if outer.count(kind.name) < _DEPTH:
                yield from self._record(kind, names, outer)

    def _record(self, kind: Record, names: tuple[str, ...], outer: tuple[str, ...]) -> Iterator[_Step]:
        tag = self._tag(kind)
        here = (*names, f"={tag}") if tag else names
        least = {} if kind.is_union else self._least_record(kind, here)
        if not kind.is_union and not self._wrong:
            yield here, least, _ABSENT, least
        for name, inner in kind.fields.items():
            if name in _TAGS and not self._wrong and self._vendor.kind(inner) == Leaf((tag,)):
                continue
            around = {**least, **self._companions(f"{kind.name}.{name}")}
            around = {key: value for key, value in around.items() if value is not None and key != name}
            must = kind.is_union or name in kind.required or name in self._companions(kind.name)
            for found, told, other, value in self._inside(inner, (*here, name), (*outer, kind.name)):
                changed = _ABSENT if isinstance(other, _Absent) else {**around, name: other}
                is_removed = isinstance(other, _Absent) or found == (*here, name)
                yield found, {**around, name: told}, around if is_removed and not must else changed, value

    def _tag(self, kind: Record) -> str:
        """The word that tells this type of block or message from others; the first, where a block has several."""
        for name in kind.required & _TAGS:
            inner = self._vendor.kind(kind.fields[name])
            if isinstance(inner, Leaf) and (name == "type" or len(inner.values) == 1):
                return str(inner.values[0])
        return ""


# -- the vendors -----------------------------------------------------------------------------------------------

_PLAIN: Final[dict[Any, tuple[Any, ...]]] = {
    str: ("one", "two"),
    bool: (True, False),
    int: (2048, 1536),
    float: (0.25, 0.5),
    bytes: ("b25l", "dHdv"),
    datetime: ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    object: ({"one": 1}, {"two": 2}),
    Any: ({"one": 1}, {"two": 2}),
}
"""Values of plain types."""
_MARKS: Final[frozenset[Any]] = frozenset({typing.Annotated, typing.Required, typing_extensions.Required})


def _opened(of: Any) -> Any:
    """A type without the marks around it."""
    while typing.get_origin(of) in _MARKS:
        of = typing.get_args(of)[0]
    return of


def _general(of: Any) -> Kind | None:
    """What both Python SDKs say in the same way."""
    if of in _PLAIN:
        return Leaf(_PLAIN[of])
    origin, inner = typing.get_origin(of), typing.get_args(of)
    if origin is typing.Literal:
        return Leaf(inner)
    if origin in {typing.Union, types.UnionType}:
        return Choice(tuple(each for each in inner if each is not type(None)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        value = _general(inner[1])
        return Leaf(tuple({"one": each} for each in value.values) if isinstance(value, Leaf) else ({"one": {}},))
    return None


class Anthropic:
    """Typed dictionaries; the classes of answers that stand among them are left out."""

    def kind(self, of: Any) -> Kind:
        """What a type is."""
        of = _opened(of)
        found = _general(of)
        if isinstance(found, Choice):
            return Choice(tuple(each for each in found.types if not (isinstance(each, type) and _is_answers(each))))
        if found is not None:
            return found
        if typing_extensions.is_typeddict(of):
            hints = typing_extensions.get_type_hints(of, include_extras=True)
            needed = {name for name, hint in hints.items() if typing.get_origin(hint) in _MARKS - {typing.Annotated}}
            return Record(of.__name__, hints, frozenset(needed))
        return Many(typing.get_args(of)[0])


def _is_answers(of: type) -> bool:
    return issubclass(of, BaseModel)


class Google:
    """Pydantic models; their JSON has the names of their aliases. A record stands for itself."""

    def kind(self, of: Any) -> Kind:
        """What a type is."""
        if isinstance(of, Record):
            return of
        found = _general(of)
        if found is not None:
            return found
        if isinstance(of, type) and issubclass(of, BaseModel):
            return Record(of.__name__, fields_of(of))
        if isinstance(of, type) and issubclass(of, enum.Enum):
            return Leaf(tuple(each.value for each in of))
        return Many(typing.get_args(of)[0])


def fields_of(model: type[BaseModel]) -> dict[str, Any]:
    """The types of a model's fields, by their names in JSON."""
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


class Amazon:
    """Shapes of a service model, by their names."""

    _NAMES: Final[dict[str, type]] = {"string": str, "boolean": bool, "integer": int, "float": float, "blob": bytes}

    def __init__(self) -> None:
        self._shapes = Loader().load_service_model("bedrock-runtime", "service-2")["shapes"]

    def kind(self, of: Any) -> Kind:
        """What a type is."""
        shape = self._shapes[of]
        match shape:
            case {"document": True}:
                return Leaf(_PLAIN[object])
            case {"type": "structure", "members": members}:
                fields = {name: each["shape"] for name, each in members.items() if "location" not in each}
                needed = frozenset(shape.get("required", ())) & fields.keys()
                return Record(of, fields, needed, is_union=shape.get("union", False))
            case {"type": "list", "member": member}:
                return Many(member["shape"])
            case {"type": "map"}:
                return Leaf(({"one": "1"}, {"two": "2"}))
            case {"enum": words}:
                return Leaf(tuple(words))
        return Leaf(_PLAIN[self._NAMES[shape["type"]]])
