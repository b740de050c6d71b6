"""Which names a rule means: the small language in which a price book says what its rows are about.

Texts are compared in small letters, which the rules are written in too. A pattern is a regular expression that may
hit anywhere in the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

_DATE: Final = re.compile(r"-(20\d{2})(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?=-|:|$)", re.ASCII)


class Equals(msgspec.Struct, frozen=True, array_like=True, tag="="):
    """The whole name."""

    text: str

    def means(self, name: str) -> bool:
        """Whether a name in small letters is meant."""
        return name == self.text


class Begins(msgspec.Struct, frozen=True, array_like=True, tag="^"):
    """How the name begins."""

    text: str

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return name.startswith(self.text)


class Ends(msgspec.Struct, frozen=True, array_like=True, tag="$"):
    """How the name ends."""

    text: str

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return name.endswith(self.text)


class Holds(msgspec.Struct, frozen=True, array_like=True, tag="~"):
    """A part of the name."""

    text: str

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return self.text in name


class Pattern(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A regular expression."""

    text: str

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return _compiled(self.text).search(name) is not None


class Either(msgspec.Struct, frozen=True, array_like=True, tag="|"):
    """One rule of several at least."""

    rules: tuple[Rule, ...]

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return any(rule.means(name) for rule in self.rules)


class Each(msgspec.Struct, frozen=True, array_like=True, tag="&"):
    """Every rule of several."""

    rules: tuple[Rule, ...]

    def means(self, name: str) -> bool:
        """As `Equals.means`."""
        return all(rule.means(name) for rule in self.rules)


Rule: TypeAlias = Equals | Begins | Ends | Holds | Pattern | Either | Each


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


class _Ruled(Protocol):
    @property
    def rule(self) -> Rule: ...


RuledT = TypeVar("RuledT", bound=_Ruled)


def first_meant(rows: Iterable[RuledT], name: str) -> RuledT | None:
    """The first row whose rule means a name, as it is or with a date in it written with dashes: `-2025-12-11`."""
    rows = tuple(rows)
    folded = name.lower()
    dashed = _DATE.sub(r"-\1-\2-\3", folded)
    for spelled in (folded,) if dashed == folded else (folded, dashed):
        for row in rows:
            if row.rule.means(spelled):
                return row
    return None
