"""Writes docs/configuration.md from the settings' own types: `python -m tools.settings_docs [--check]`.

Names, types, bounds, defaults and meanings come from `model/settings.py`, the providers from
`dialects/providers.py`; only the frame around them is written here. `--check` writes nothing and fails when
the page is not what would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec

from tokenway.control.config import FILE_NAME, FLAGS
from tokenway.control.examination import shown
from tokenway.control.rules import NOT_YET
from tokenway.dialects.known import KnownProvider
from tokenway.dialects.providers import KNOWN
from tokenway.model.money import format_share, format_usd
from tokenway.model.settings import CONFIG_VARIABLE, DATA_VARIABLE, RESTART_ONLY, Settings, variables
from tokenway.model.shape import Field, Kind, Shape, expectation, fields_of
from tokenway.model.units import format_duration, format_size
from tools.tree import ROOT

PAGE: Final = Path("docs/configuration.md")

_INTRODUCTION: Final = f"""\
# Configuration

This page is written by `python -m tools.settings_docs` from the types of the settings; change those, not it.
`examples/{FILE_NAME}` is a file to start from.

A setting comes from the first of: a flag of `tokenway serve`, an environment variable, the configuration file,
its default. The file is `--config`, else `${CONFIG_VARIABLE}`, else `./{FILE_NAME}`, else
`$XDG_CONFIG_HOME/tokenway/{FILE_NAME}`. The data directory is `--data-dir`, else `${DATA_VARIABLE}`, else
`$XDG_DATA_HOME/tokenway`. Without any of it the gateway serves the embedded engine and every known provider
whose usual variables are set.

`tokenway check` reads the file like `serve` does and lists everything that is wrong, each with its line. A running
gateway reads a changed file by itself, and on `SIGHUP`: the new configuration is built whole and swapped in, and one
with an error changes nothing and is reported.

## How values are written

The file is YAML. Whatever a setting expects decides how its text is read: `yes` is text, `010` is ten.

* `${{NAME}}` stands for an environment variable, `${{NAME:-text}}` for a variable or the text when it is unset or
  empty, `$${{` for a plain `${{`. A variable that is missing is an error; one that is empty counts as not written.
  A known provider with `api_key: ${{NAME:-}}` is left out where that is empty.
* Durations: `500ms`, `5s`, `15m`, `1h`, `2d`, or a bare number of seconds.
* Sizes: `32MiB`, `10MB`, or a bare number of bytes.
* Money: USD as a number or text, exact to a thousand-millionth. Prices are USD per million tokens, but for what is
  sold by the piece: calls, searches, images, hours of sound; spoken text is by the million characters.
* A relative path starts at the directory of the file.
* `name:` without a value keeps the default; under `providers` it is a provider with nothing but defaults.
* An unknown setting, a name that stands twice, a tag and a merge key (`<<`) are errors.
"""

_NAMES: Final = """\
## Names of models

A caller's model name is looked up in this order: `models`, then `aliases`, then `provider/model` of an enabled
provider, then the beginnings of names in the table below. The embedded engine brings `local` and `local-embed`.
"""

_PROVIDERS: Final = """\
## Known providers

These need no `base_url`, and are enabled by their variables alone or by a line under `providers` with an `api_key`.
Servers of your own are enabled by a line only: `ollama:`. Nothing is contacted until a caller asks for a model.
Their addresses, wire formats and differences stand in [providers.md](providers.md).
"""


_WITHOUT_EFFECT: Final = """\
## Settings of later versions

This version reads and checks these without acting on them; `tokenway check` says so where they are written.
"""


def page() -> str:
    """The whole page."""
    later = [(f"`{shown(pattern)}`", reason) for pattern, _, reason in NOT_YET]
    parts = [_INTRODUCTION, *_sections()]
    parts += [_WITHOUT_EFFECT + "\n" + table(("setting", "why"), later)] if later else []
    parts += [_NAMES, _PROVIDERS + "\n" + _providers()]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Writes the page, or compares it; returns the exit status."""
    text = page()
    target = root / PAGE
    if "--check" in arguments:
        if target.is_file() and target.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is not current: run `python -m tools.settings_docs`")
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return 0


def _sections() -> Iterator[str]:
    """A section for each part of the file, and one for the settings that are parts by themselves."""
    single = []
    for field in fields_of(Settings).values():
        rows = list(_rows(field.name, field.shape))
        if not rows:
            single.append(_row(field.name, field))
            continue
        yield f"## `{field.name}`\n\n{field.shape.description}\n\n{table(_HEAD, rows)}\n"
    yield f"## Other settings\n\n{table(_HEAD, single)}\n"


_HEAD: Final = ("setting", "value", "default", "meaning")


def _rows(path: str, shape: Shape) -> Iterator[tuple[str, ...]]:
    """A row for each setting below `path`; names that people choose are written NAME."""
    if shape.kind is Kind.RECORD:
        for field in fields_of(shape.target).values():
            below = f"{path}.{field.name}"
            inner = list(_rows(below, field.shape))
            if not inner or field.required or field.shape.optional or field.shape.kind is not Kind.RECORD:
                yield _row(below, field)
            yield from inner
    elif shape.kind is Kind.TABLE and shape.inner is not None:
        yield from _rows(f"{path}.NAME", shape.inner)
    elif shape.kind is Kind.LIST and shape.inner is not None:
        yield from _rows(f"{path}[]", shape.inner)


def _row(path: str, field: Field) -> tuple[str, ...]:
    notes = [field.shape.description]
    sources = [f"`${name}`" for name, target in variables().items() if target == path]
    if path in FLAGS:
        sources.insert(0, f"`{FLAGS[path]}`")
    if sources:
        notes.append(f"Also {', '.join(sources)}.")
    if path in RESTART_ONLY:
        notes.append("Read at the start only.")
    return f"`{path}`", _expected(field.shape), _shown(field), " ".join(notes)


def _expected(shape: Shape) -> str:
    """What may be written, elements of lists and tables included."""
    if shape.inner is not None and shape.inner.inner is None and shape.inner.kind is not Kind.RECORD:
        plural = "list" if shape.kind is Kind.LIST else "mapping of names"
        return f"{plural}: {expectation(shape.inner)}"
    if shape.kind is Kind.RECORD and shape.shorthand:
        return f"{expectation(shape)}, or just `{shape.shorthand}`"
    return expectation(shape)


def _shown(field: Field) -> str:
    """The default as it would be written."""
    value: Any = field.default
    if field.required:
        return "required"
    if value is None or value in ((), {}) or isinstance(value, msgspec.Struct):
        return ""
    match field.shape.kind:
        case Kind.DURATION:
            text = format_duration(value)
        case Kind.SIZE:
            text = format_size(value)
        case Kind.MONEY | Kind.RATE:
            text = format_usd(value)
        case Kind.SHARE:
            text = format_share(value)
        case Kind.FLAG:
            text = str(value).lower()
        case _:
            text = (
                str(value.value)
                if isinstance(value, Enum)
                else f"{value:g}"
                if isinstance(value, float)
                else str(value)
            )
    return f"`{text}`"


def _providers() -> str:
    rows = []
    for name, row in KNOWN.items():
        names = ", ".join(f"`{prefix}`" for prefix in row.prefixes)
        rows.append((f"`{name}`", row.title, needs(row), names))
    return table(("name", "provider", "variables", "names begin with"), rows)


def needs(row: KnownProvider) -> str:
    """The variables that enable a provider by themselves."""
    keys = " or ".join(f"`{key}`" for key in row.key_variables)
    if row.signing is not None:
        keys = f"({keys} or `{row.signing[0]}` with `{row.signing[1]}`)"
    if row.account_file:
        keys = f"({keys} or `{row.account_file}`)"
    return " and ".join(filter(None, [keys, *(f"`{name}`" for name in row.address_variables)])) or "none"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
