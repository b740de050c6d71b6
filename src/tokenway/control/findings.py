"""What is wrong with a configuration: records that say where, what and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """An `error` keeps the configuration from being used; a `warning` is likely a mistake; a `note` is news."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(msgspec.Struct, frozen=True):
    """One finding. `file` is a path, or the flag or `$VARIABLE` that brought the value; `line` is then 0.

    `path` names the setting (`models.mock.endpoints[0].provider`); `nearest` are valid names like the wrong one.
    """

    file: str
    line: int
    path: str
    reason: str
    nearest: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        hint = f" (did you mean {' or '.join(repr(name) for name in self.nearest)}?)" if self.nearest else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}: {self.severity}: {where}{self.reason}{hint}"


def nearest(name: str, valid: Iterable[str], count: int = 2) -> tuple[str, ...]:
    """The valid names most like `name`, best first; upper and lower case do not matter."""
    folded: dict[str, str] = {}
    for candidate in valid:
        folded.setdefault(candidate.casefold(), candidate)
    return tuple(folded[match] for match in difflib.get_close_matches(name.casefold(), folded, n=count, cutoff=0.6))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any of them keeps the configuration from being used."""
    return any(finding.severity is Severity.ERROR for finding in findings)
