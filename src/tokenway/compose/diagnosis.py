"""What a diagnosis is made of."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How a probe went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Probe(msgspec.Struct, frozen=True):
    """One line of the diagnosis; `advice` says what to do and is empty when all is well."""

    name: str
    level: Level
    detail: str
    advice: str = ""
