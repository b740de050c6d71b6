"""What providers say that they have counted and billed: the CSV files of OpenAI's and Anthropic's consoles.

    openai usage      start_time … model, num_model_requests, input_tokens, input_cached_tokens, output_tokens …
    openai costs      start_time … amount_value, amount_currency, line_item …
    anthropic usage   usage_date_utc, model_version, usage_input_tokens_no_cache … usage_output_tokens …
    anthropic costs   usage_date_utc, model, token_type, cost_usd …

A file is known by its header. A value that cannot be read is an error that names its line; columns that nobody knows,
and rows that are of no model, are named and left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

import msgspec

from tokenway.model.errors import TokenwayError

FIGURES: Final = (
    *("requests", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "searches"),
    "cost",
)
"""What is compared: counts, and nano-dollars. `input` is neither read from a cache nor written to it."""
ALL_MODELS: Final = "all-models"
"""Stands for the model where a file does not say it."""

_NANO: Final = Decimal(10**9)
_DATED: Final = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


class ExportFault(TokenwayError):
    """The file is none of the known ones, or a line of it cannot be read."""


class Export(msgspec.Struct):
    """What a file says: figures by Unix day and model, in whole numbers (money in nano-dollars).

    `names` are the figures that its shape has, and `notes` what was not understood.
    """

    shape: str
    provider: str
    names: tuple[str, ...]
    days: tuple[int, int]
    """The first and the last day that it speaks of."""
    figures: dict[tuple[int, str], dict[str, int]]
    notes: list[str]


class _Shape(NamedTuple):
    name: str
    provider: str
    needed: frozenset[str]
    """The columns by which it is known."""
    known: frozenset[str]
    """Others that it may have."""
    names: tuple[str, ...]
    read: Callable[[Mapping[str, str]], tuple[str, dict[str, Decimal]]]
    """The model of a row, empty for none, and its figures."""


def read_export(text: str) -> Export:
    """Reads a file. Raises ExportFault."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    shape = _shape_of(header)
    sums: dict[tuple[int, str], dict[str, Decimal]] = {}
    days: list[int] = []
    notes = []
    if unknown := sorted(set(header) - shape.needed - shape.known):
        notes.append(f"columns that are not understood, and left out: {', '.join(unknown)}")
    for number, row in _rows(reader):
        try:
            day = _day_of(row)
            model, figures = shape.read(row)
        except (ValueError, InvalidOperation) as error:
            raise ExportFault(f"line {number}: {error}") from None
        days.append(day)
        if not model:
            if any(figures.values()):
                notes.append(f"line {number}: it names no model, and is left out")
            continue
        place = sums.setdefault((day, normal(model)), dict.fromkeys(shape.names, Decimal()))
        for name, value in figures.items():
            place[name] += value
    if not days:
        raise ExportFault("there is no row below the header")
    figures_of = {place: {name: _whole(name, value) for name, value in row.items()} for place, row in sums.items()}
    return Export(shape.name, shape.provider, shape.names, (min(days), max(days)), figures_of, notes)


def normal(model: str) -> str:
    """A model's name without its date and its way of writing: `Claude Sonnet 4.5`, `claude-sonnet-4-5-20250929`."""
    return _DATED.sub("", model.strip().lower().replace(" ", "-")).replace(".", "-")


def _shape_of(header: list[str]) -> _Shape:
    for shape in _SHAPES:
        if shape.needed <= set(header):
            return shape
    if {"start_time", "end_time"} <= set(header) and "model" not in header:
        raise ExportFault(
            "line 1: an export of OpenAI's without columns of counts; choose a time in which something was used, "
            "and group it by model"
        )
    known = "; ".join(f"{shape.name}: {', '.join(sorted(shape.needed))}" for shape in _SHAPES)
    raise ExportFault(f"line 1: the header is of no export that is known ({known})")


def _rows(reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str]]]:
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ExportFault(f"line {reader.reader.line_num}: {error}") from None
        if None in row or None in row.values():
            raise ExportFault(f"line {reader.line_num}: it has not as many values as the header")
        yield reader.line_num, {name: value.strip() for name, value in row.items()}


def _day_of(row: Mapping[str, str]) -> int:
    text = row.get("usage_date_utc") or row.get("start_time_iso") or ""
    if not text and (seconds := row.get("start_time")):
        return int(_number(seconds, "start_time")) // 86_400
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"no date: {text!r}") from None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return (moment.date() - date(1970, 1, 1)).days


def _number(text: str, name: str) -> Decimal:
    """A number that may be empty, and have commas between its thousands."""
    try:
        value = Decimal(text.replace(",", "") or 0)
    except InvalidOperation:
        raise ValueError(f"{name} is not a number: {text!r}") from None
    if not value.is_finite():
        raise ValueError(f"{name} is not a number: {text!r}")
    return value


def _openai_usage(row: Mapping[str, str]) -> tuple[str, dict[str, Decimal]]:
    def count(name: str) -> Decimal:
        return _number(row.get(name, ""), name)

    cached = count("input_cached_tokens")
    uncached = count("input_tokens") - cached
    if row.get("input_uncached_tokens") and count("input_uncached_tokens") != uncached:
        raise ValueError("input_uncached_tokens and input_cached_tokens do not add up to input_tokens")
    return row["model"], {
        "requests": count("num_model_requests"),
        "input": uncached,
        "cache_read": cached,
        "output": count("output_tokens"),
    }


def _openai_costs(row: Mapping[str, str]) -> tuple[str, dict[str, Decimal]]:
    amount = _number(row["amount_value"], "amount_value")
    if amount and row["amount_currency"].lower() != "usd":
        raise ValueError(f"the amount is not in US dollars: {row['amount_currency']!r}")
    model = row["line_item"].partition(",")[0].strip() if "line_item" in row else ""
    return model or (ALL_MODELS if amount else ""), {"cost": amount * _NANO}


def _anthropic_usage(row: Mapping[str, str]) -> tuple[str, dict[str, Decimal]]:
    prefix = "usage_input_tokens_"
    written = _number(row.get(f"{prefix}cache_write_5m") or row.get(f"{prefix}cache_write", ""), "cache_write_5m")
    return row["model_version"], {
        "input": _number(row[f"{prefix}no_cache"], f"{prefix}no_cache"),
        "cache_read": _number(row.get(f"{prefix}cache_read", ""), f"{prefix}cache_read"),
        "cache_write_5m": written,
        "cache_write_1h": _number(row.get(f"{prefix}cache_write_1h", ""), f"{prefix}cache_write_1h"),
        "output": _number(row["usage_output_tokens"], "usage_output_tokens"),
        "searches": _number(row.get("web_search_count", ""), "web_search_count"),
    }


def _anthropic_costs(row: Mapping[str, str]) -> tuple[str, dict[str, Decimal]]:
    return row["model"], {"cost": _number(row["cost_usd"], "cost_usd") * _NANO}


def _whole(name: str, value: Decimal) -> int:
    return int(value.to_integral_value()) if name == "cost" else int(value)


_TIMES: Final = frozenset({"start_time", "end_time"})
_OPENAI: Final = frozenset({"start_time_iso", "end_time_iso", "project_id", "project_name", "organization_id"})
_OPENAI_USAGE: Final = frozenset(
    {
        *("user_id", "user_email", "api_key_id", "api_key_name", "batch", "service_tier", "organization_name"),
        *("num_model_requests", "input_cached_tokens", "input_uncached_tokens"),
        # Parts of what is counted already.
        *("input_text_tokens", "output_text_tokens", "input_cached_text_tokens", "input_audio_tokens"),
        *("input_cached_audio_tokens", "output_audio_tokens", "input_image_tokens", "input_cached_image_tokens"),
        "output_image_tokens",
    }
)
_ANTHROPIC: Final = frozenset({"api_key", "workspace", "usage_type", "context_window", "inference_geo", "speed"})
_SHAPES: Final = (
    _Shape(
        "openai usage",
        "openai",
        _TIMES | {"model", "input_tokens", "output_tokens"},
        _OPENAI | _OPENAI_USAGE,
        ("requests", "input", "cache_read", "output"),
        _openai_usage,
    ),
    _Shape(
        "openai costs",
        "openai",
        _TIMES | {"amount_value", "amount_currency"},
        _OPENAI | {"line_item", "organization_name", "quantity"},
        ("cost",),
        _openai_costs,
    ),
    _Shape(
        "anthropic usage",
        "anthropic",
        frozenset({"usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens"}),
        _ANTHROPIC
        | {
            *("usage_input_tokens_cache_write", "usage_input_tokens_cache_write_5m"),
            *("usage_input_tokens_cache_write_1h", "usage_input_tokens_cache_read", "web_search_count"),
        },
        ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "searches"),
        _anthropic_usage,
    ),
    _Shape(
        "anthropic costs",
        "anthropic",
        frozenset({"usage_date_utc", "model", "cost_usd"}),
        _ANTHROPIC | {"token_type", "cost_type"},
        ("cost",),
        _anthropic_costs,
    ),
)
