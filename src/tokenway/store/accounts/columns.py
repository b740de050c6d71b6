"""Between a record and its row: lists and labels are JSON texts, flags are 0 and 1, names of cases are texts."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec
import sqlalchemy as sa
from msgspec import UNSET

JSON_COLUMNS: Final = frozenset({"labels", "models", "endpoints", "addresses"})

Record = TypeVar("Record", bound=msgspec.Struct)


def said(terms: msgspec.Struct | None) -> dict[str, Any]:
    """What the terms say: their fields that are set."""
    if terms is None:
        return {}
    fields = {name: getattr(terms, name) for name in terms.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a record as the columns hold them."""
    return {name: _stored(value) for name, value in values.items()}


def record(kind: type[Record], row: sa.Row[Any]) -> Record:
    """A row as a record; columns that it does not have are left out."""
    columns = row._mapping.items()  # noqa: SLF001 - SQLAlchemy's public name for it
    # SQLAlchemy's names are texts of a class of its own.
    values = {str(name): value for name, value in columns if name in kind.__struct_fields__}
    for name in JSON_COLUMNS & values.keys():
        if values[name] is not None:
            values[name] = msgspec.json.decode(values[name])
    return msgspec.convert(values, kind, strict=False)


def columns_of(kind: type[msgspec.Struct], table: sa.Table) -> list[sa.Column[Any]]:
    """The columns that a record has fields for."""
    return [table.c[name] for name in kind.__struct_fields__ if name in table.c]


def _stored(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, dict | tuple | list):
        return msgspec.json.encode(value, order="sorted").decode()
    return value
