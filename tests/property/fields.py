"""A walk through the typed dictionaries of a vendor's SDK: for every field at every place, two requests.

One has the field and the other has not; a field that is required, or that a minimal request needs, has two different
values instead. What a type cannot say (that a URL is one, that a result needs its call) comes from a table of
samples. A type that lies inside of itself is walked once.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Union

import typing_extensions

Path = tuple[str | int, ...]

ANY: Final[dict[type, tuple[Any, Any]]] = {
    str: ("one", "two"),
    bool: (True, False),
    int: (7, 5),
    float: (0.5, 0.25),
    object: ({"a": 1}, {"a": 2}),
}
"""Two values of each plain type."""
WRONG: Final[tuple[Any, ...]] = (True, 7, 0.5, "", "text", [], ["text"], [[7]], [None], {}, {"a": 1}, {"type": 7})
"""Values of every type; which of them are wrong depends on the field."""


@dataclass(frozen=True)
class Variation:
    """A value with a field and one without it, or with another value there; `path` leads to the field.

    `kinds` are the JSON types that the field may have.
    """

    path: Path
    value: Any
    other: Any
    kinds: frozenset[type]

    def __str__(self) -> str:
        return f"{spelled(self.path)} ({'/'.join(way(self.value, self.path))}) = {get(self.value, self.path)!r}"


@dataclass(frozen=True)
class Samples:
    """What types cannot say.

    `values` are two values of a field, by its record and its name; `needed` are members that a record has besides the
    required ones, `before` what stands before a record in a list, and `either` are members of a record that stand in
    for each other.
    """

    values: Mapping[tuple[str, str], tuple[Any, Any]]
    needed: Mapping[str, Mapping[str, Any]]
    before: Mapping[str, Iterable[Any]]
    either: Mapping[str, frozenset[str]]


def spelled(path: Path) -> str:
    """A place as errors name it: `messages[2].content[0].image_url`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def way(value: Any, path: Path) -> list[str]:
    """The names on the way to a place, and the tags (`type`, `role`) of what it goes through."""
    found = []
    for step in path:
        found += [step] if isinstance(step, str) else _tags(value[step])
        value = value[step]
    return found


def inside(value: Any) -> set[str]:
    """All names and tags in a value."""
    if isinstance(value, list):
        return {word for each in value for word in inside(each)}
    if isinstance(value, dict):
        return {*value, *_tags(value), *(word for each in value.values() for word in inside(each))}
    return set()


def _tags(value: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [value[name] for name in ("role", "type") if isinstance(value.get(name), str)]


def get(value: Any, path: Path) -> Any:
    """What stands at a place."""
    for step in path:
        value = value[step]
    return value


def put(value: Any, path: Path, new: Any) -> Any:
    """The value with something else at a place."""
    if not path:
        return new
    head, *rest = path
    found: Any = dict(value) if isinstance(value, dict) else list(value)
    found[head] = put(found[head], tuple(rest), new)
    return found


class Walk:
    """Walks types with one table of samples."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._hints: dict[Any, dict[str, tuple[Any, bool]]] = {}

    # -- what there is -----------------------------------------------------------------------------------

    def members(self, record: Any) -> dict[str, tuple[Any, bool]]:
        """The members of a record: each one's type and whether it is required.

        A name that Python keeps for itself ends in `_` there, and not on the wire.
        """
        if record not in self._hints:
            found = {}
            for name, hint in typing_extensions.get_type_hints(record, include_extras=True).items():
                found[name.removesuffix("_")] = (_bare(hint), _is_required(hint, is_usual=record.__total__))
            self._hints[record] = found
        return self._hints[record]

    def minimal(self, hint: Any) -> Any:
        """The smallest valid value of a type."""
        first = alternatives(hint)[0]
        if is_record(first):
            made = {
                name: self._sample(first, name, inner)
                for name, (inner, is_required) in self.members(first).items()
                if is_required
            }
            return made | dict(self._samples.needed.get(first.__name__, {}))
        if _is_list(first):
            (inner,) = typing.get_args(first)
            item = alternatives(inner)[0]
            return [*self._before(item), self.minimal(item)]
        return self._values(first)[0]

    def _values(self, hint: Any) -> list[Any]:
        """Two values of a plain type, one of a map."""
        if typing.get_origin(hint) is Literal:
            return list(typing.get_args(hint))
        if typing.get_origin(hint) is dict:
            return [{"a": self.minimal(typing.get_args(hint)[1])}]
        return list(ANY[hint])

    def _sample(self, record: type, name: str, hint: Any) -> Any:
        found = self._samples.values.get((record.__name__, name))
        return found[0] if found is not None else self.minimal(hint)

    def _before(self, item: Any) -> list[Any]:
        return list(self._samples.before.get(item.__name__, ())) if is_record(item) else []

    # -- variations --------------------------------------------------------------------------------------

    def variations(self, hint: Any, among: frozenset[Any] = frozenset()) -> Iterator[Variation]:
        """All variations of a value of this type."""
        for each in alternatives(hint):
            if is_record(each) and each not in among:
                yield from self._record(each, among | {each})
            elif _is_list(each):
                yield from self._list(each, among)

    def _record(self, record: type, among: frozenset[Any]) -> Iterator[Variation]:
        base = self.minimal(record)
        either = self._samples.either.get(record.__name__, frozenset())
        for name, (hint, _) in self.members(record).items():
            gone = either if name in either else {name}
            rest = {key: value for key, value in base.items() if key not in gone}
            for value, kind in self._choices(record, name, hint):
                other = base
                if name in base:
                    other = base | {name: self._another(record, name, hint, value)}
                if value != other.get(name, _ABSENT):
                    yield Variation((name,), rest | {name: value}, other, kind)
            for inner in self.variations(hint, among):
                yield replace(
                    inner,
                    path=(name, *inner.path),
                    value=rest | {name: inner.value},
                    other=rest | {name: inner.other},
                )

    def _choices(self, record: type, name: str, hint: Any) -> Iterator[tuple[Any, frozenset[type]]]:
        """The values to try for a field, and the types it takes."""
        kinds = frozenset(kind for each in alternatives(hint) for kind in _kinds(each))
        kinds |= frozenset({type(None)}) if _is_optional(hint) else frozenset()
        given = self._samples.values.get((record.__name__, name))
        if given is not None:
            yield given[0], kinds
        for each in alternatives(hint):
            if typing.get_origin(each) is Literal or not (given is not None and each in ANY):
                yield self.minimal(each), kinds

    def _another(self, record: type, name: str, hint: Any, value: Any) -> Any:
        """Another value than this one for a field that has to be there; the same where its type has no other."""
        given = self._samples.values.get((record.__name__, name))
        found = list(given or ())[::-1]
        for each in alternatives(hint):
            found += [self.minimal(each)] if is_record(each) or _is_list(each) else self._values(each)[::-1]
        return next((each for each in found if each != value), value)

    def _list(self, kind: Any, among: frozenset[Any]) -> Iterator[Variation]:
        (hint,) = typing.get_args(kind)
        for item in alternatives(hint):
            before = self._before(item)
            value = self.minimal(item)
            yield Variation((len(before),), [*before, value], before, frozenset(_kinds(item)))
            if item in among:
                continue
            for inner in self.variations(item, among):
                yield replace(
                    inner,
                    path=(len(before), *inner.path),
                    value=[*before, inner.value],
                    other=[*before, inner.other],
                )


_ABSENT: Final = object()


def is_record(hint: Any) -> bool:
    """Whether a type is a typed dictionary."""
    return typing_extensions.is_typeddict(hint)


def alternatives(hint: Any) -> list[Any]:
    """The types that a type can be, without None; each word of a literal is one."""
    hint = _plain(_bare(hint))
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        known = [part for part in typing.get_args(hint) if part is not type(None) and _plain(part) in (part, object)]
        return [each for part in known for each in alternatives(part)]
    if origin is Literal:
        return [Literal[word] for word in typing.get_args(hint)]
    return [hint]


def _plain(hint: Any) -> Any:
    """A type of an SDK's own as the plain one that it is: words that its makers do not know yet."""
    if hint is Any:
        return object
    if isinstance(hint, type) and not is_record(hint) and typing.get_origin(hint) is None:
        return next((kind for kind in ANY if issubclass(hint, kind)), hint)
    return hint


def _is_required(hint: Any, *, is_usual: bool) -> bool:
    origin = typing_extensions.get_origin(hint)
    return origin is typing_extensions.Required or (is_usual and origin is not typing_extensions.NotRequired)


def _is_optional(hint: Any) -> bool:
    hint = _bare(hint)
    if typing.get_origin(hint) in (Union, types.UnionType):
        return any(part is type(None) or _is_optional(part) for part in typing.get_args(hint))
    return False


def _bare(hint: Any) -> Any:
    """A type without what is written around it."""
    while typing_extensions.get_origin(hint) in (
        typing_extensions.Required,
        typing_extensions.NotRequired,
        typing.Annotated,
    ):
        hint = typing.get_args(hint)[0]
    alias = typing_extensions.get_origin(hint)
    if isinstance(alias, typing_extensions.TypeAliasType):
        return _bare(alias.__value__[typing.get_args(hint)])
    return _bare(hint.__value__) if isinstance(hint, typing_extensions.TypeAliasType) else hint


def _is_list(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return isinstance(origin, type) and issubclass(origin, Iterable) and not issubclass(origin, dict)


def _kinds(hint: Any) -> set[type]:
    """The JSON types of a type."""
    if hint is object:
        return {str, bool, int, float, list, dict, type(None)}
    if is_record(hint) or typing.get_origin(hint) is dict:
        return {dict}
    if _is_list(hint):
        return {list}
    if typing.get_origin(hint) is Literal:
        return {type(word) for word in typing.get_args(hint)}
    return {int, float} if hint is float else {hint}
