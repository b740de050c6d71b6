"""One entry of the configuration by itself: a provider, a model or an alias.

Each change of one publishes the whole configuration with that change, so it is checked, compared and rolled back like
any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenway.control.api.problems import not_found
from tokenway.control.api.publishing import current
from tokenway.control.api.services import Services
from tokenway.control.api.types import Json
from tokenway.control.published import Published

FILE: Final = "file"
PUBLISHED: Final = "published"


class Entries(msgspec.Struct, frozen=True):
    """A section of the configuration: what is written by name (secrets open), where from, and by which version."""

    written: dict[str, Any]
    sources: dict[str, str]
    version: int


async def entries(services: Services, section: str) -> Entries:
    """The entries of `providers`, `models` or `aliases`, as the file and the published configuration have them."""
    now = await current(services)
    whole = await asyncio.to_thread(services.configuration.written, now)
    written = whole.get(section)
    found = written if isinstance(written, dict) else {}
    said = _section(now, section)
    sources = {name: PUBLISHED if said.get(name) is not None else FILE for name in found}
    return Entries(found, sources, 0 if now is None else now.version)


def with_entry(section: str, name: str, value: Any) -> Callable[[Json], Json]:
    """What makes a document that has this entry."""
    return lambda document: document | {section: _entries(document, section) | {name: value}}


def without_entry(
    section: str, name: str, *, is_files: bool, is_enabled_elsewhere: bool = False
) -> Callable[[Json], Json]:
    """What makes a document without this entry, one that also takes it from the file where the file has it.

    A provider that the environment enables stays away only when it is switched off.
    """

    def make(document: Json) -> Json:
        left = {key: each for key, each in _entries(document, section).items() if key != name}
        if is_enabled_elsewhere:
            left[name] = {"enabled": False}
        elif is_files:
            left[name] = None
        return document | {section: left}

    return make


def merged(written: Any, patch: Any) -> Any:
    """A value with a merge patch applied (RFC 7396): members that are null go."""
    if not isinstance(patch, dict):
        return patch
    result = dict(written) if isinstance(written, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def entry_of(found: Entries, what: str, name: str) -> Any:
    """What is written for a name. Raises Problem when nothing is."""
    if name not in found.written:
        raise not_found(what, name)
    return found.written[name]


async def is_in_file(services: Services, section: str, name: str) -> bool:
    """Whether the file of this machine has an entry."""
    whole = await asyncio.to_thread(services.configuration.written, None)
    return isinstance(whole.get(section), dict) and name in whole[section]


def _section(now: Published | None, section: str) -> Json:
    return {} if now is None else _entries(now.document, section)


def _entries(document: Json, section: str) -> Json:
    written = document.get(section)
    return written if isinstance(written, dict) else {}
