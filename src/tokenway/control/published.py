"""A published configuration: JSON that lies over the configuration file.

What it says of a provider, model or alias takes the place of all that the file says of it, `null` takes it away; of
`timeouts` and its like each field stands by itself. What belongs to a machine stays the file's (`FILES_OWN`). The
result is a tree like that of a file alone, and is held to the same rules.

Secrets go in and never come out: who reads a configuration sees a *mask* in place of each, and a mask that is sent
back stands for the secret it was shown for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from tokenway.control.document import DEPTH_MAX, NODES_MAX, UNREADABLE, Mapping, Node, Scalar, Sequence, is_text
from tokenway.control.findings import Finding
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.model.shape import Kind, Shape, fields_of, shape_of

FILES_OWN: Final = frozenset({"server", "store", "shared", "auth"})
"""Sections that only the file and the environment give: they are this machine's, or let people in."""
SECTIONS: Final = tuple(name for name in fields_of(Settings) if name not in FILES_OWN)
"""What a published configuration may hold."""

_MASKED: Final = re.compile(rf"{re.escape(Secret.MASK)}[0-9a-f]{{12}}", re.ASCII)

Json = dict[str, Any]


class Published(msgspec.Struct, frozen=True):
    """A configuration with its number, secrets open."""

    version: int
    document: Json

    @property
    def source(self) -> str:
        """How findings name it."""
        return f"published configuration {self.version}" if self.version else "the configuration to be published"


class Change(msgspec.Struct, frozen=True):
    """One setting that differs between two configurations; None where there is none. Secrets are masked."""

    path: str
    old: str | None
    new: str | None


def lay_over(root: Mapping, published: Published) -> list[Finding]:
    """Puts a published configuration into the tree of a file; what it cannot say becomes findings."""
    findings: list[Finding] = []
    source = published.source
    grower = _Grower(source, findings)
    sections = {name: shape_of(_types()[name]) for name in SECTIONS}
    for name, value in published.document.items():
        if not grower.takes(name, ""):
            continue
        if name in FILES_OWN:
            reason = "stays the configuration file's and cannot be published"
            findings.append(Finding(source, 0, name, reason))
        elif value is not None:
            _merge(root, name, value, sections.get(name), grower, name)
    return findings


def _types() -> dict[str, Any]:
    return {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _merge(root: Mapping, name: str, value: Any, shape: Shape | None, grower: _Grower, path: str) -> None:
    """Puts a value in its place: whole, or member by member where it is a section of its own."""
    is_section = shape is not None and shape.kind in {Kind.TABLE, Kind.RECORD} and isinstance(value, dict)
    if not is_section:
        _put(root, name, grower.node(value, path))
        return
    there = root.entries.get(name)
    # A copy, because an alias may have put the same node somewhere else too.
    section = Mapping({}, {}, grower.source, 0)
    if isinstance(there, Mapping):
        section = Mapping(dict(there.entries), dict(there.key_lines), there.file, there.line)
    _put(root, name, section)
    for key, member in value.items():
        inner = f"{path}.{key}"
        if not grower.takes(key, path):
            continue
        if member is None:
            section.entries.pop(key, None)
            section.key_lines.pop(key, None)
        elif shape is not None and shape.kind is Kind.RECORD:
            field = fields_of(shape.target).get(key)
            _merge(section, key, member, field.shape if field is not None else None, grower, inner)
        else:
            _put(section, key, grower.node(member, inner))


def _put(parent: Mapping, name: str, node: Node) -> None:
    parent.entries[name] = node
    parent.key_lines[name] = 0


class _Grower:
    """JSON to nodes, within the bounds of a file."""

    def __init__(self, source: str, findings: list[Finding]) -> None:
        self.source = source
        self._findings = findings
        self._count = 0

    def node(self, value: Any, path: str, depth: int = 1) -> Node:
        """The node of a value; a broken one where a finding says what is wrong."""
        self._count += 1
        if self._count == NODES_MAX:
            self._findings.append(Finding(self.source, 0, path, f"more than {NODES_MAX} values"))
        if self._count >= NODES_MAX:
            return Scalar("", self.source, 0, is_broken=True)
        if isinstance(value, dict | list) and depth > DEPTH_MAX:
            return self._broken(path, f"nested more than {DEPTH_MAX} deep")
        if isinstance(value, dict):
            known = {key: each for key, each in value.items() if self.takes(key, path)}
            entries = {key: self.node(each, f"{path}.{key}", depth + 1) for key, each in known.items()}
            return Mapping(entries, dict.fromkeys(entries, 0), self.source, 0)
        if isinstance(value, list):
            items = [self.node(each, f"{path}[{index}]", depth + 1) for index, each in enumerate(value)]
            return Sequence(items, self.source, 0)
        if value is None:
            return Scalar("", self.source, 0, is_null=True)
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not is_text(text):
            return self._broken(path, UNREADABLE)
        if "${" in text:
            return self._broken(path, "variables of the environment are read in the file only; write the value itself")
        return Scalar(text, self.source, 0)

    def takes(self, name: str, path: str) -> bool:
        """Whether this can be a name; a finding says why not."""
        if not is_text(name) or "\n" in name:
            self._broken(path, "a name here holds a control character")
            return False
        return True

    def _broken(self, path: str, reason: str) -> Scalar:
        self._findings.append(Finding(self.source, 0, path, reason))
        return Scalar("", self.source, 0, is_broken=True)


def plain(node: Node) -> Any:
    """A node as JSON; every scalar is text, as it was written."""
    if isinstance(node, Mapping):
        return {name: plain(child) for name, child in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(child) for child in node.items]
    return None if node.is_null else node.text


# -- secrets -------------------------------------------------------------------------------------------------


def with_secrets(document: Json, change: Callable[[str, str], str]) -> Json:
    """A document whose secrets are what `change` makes of them, from their path and text."""
    found: Json = _walk(document, shape_of(Settings), "", change)
    return found


def secrets_of(document: Json) -> dict[str, str]:
    """The secrets of a document by path."""
    found: dict[str, str] = {}

    def note(path: str, text: str) -> str:
        found[path] = text
        return text

    with_secrets(document, note)
    return found


def masked(document: Json, mark: Callable[[str], str]) -> Json:
    """A document for others' eyes."""
    return with_secrets(document, lambda _, text: Secret.MASK + mark(text))


def unmasked(document: Json, kept: Json, mark: Callable[[str], str]) -> tuple[Json, list[Finding]]:
    """A document with the secrets of `kept` in place of their masks, and what was found wrong."""
    known = {Secret.MASK + mark(text): text for text in secrets_of(kept).values()}
    findings: list[Finding] = []

    def restore(path: str, text: str) -> str:
        if _MASKED.fullmatch(text) and text not in known:
            reason = "is the mask of a secret that is not kept here; write the secret itself"
            findings.append(Finding(Published(0, {}).source, 0, path, reason))
        return known.get(text, text)

    return with_secrets(document, restore), findings


def _walk(value: Any, shape: Shape | None, path: str, change: Callable[[str, str], str]) -> Any:
    if shape is None or value is None:
        return value
    if isinstance(value, dict) and shape.kind is Kind.RECORD:
        fields = fields_of(shape.target)
        return {
            name: _walk(each, fields[name].shape if name in fields else None, _join(path, name), change)
            for name, each in value.items()
        }
    if isinstance(value, dict) and shape.kind is Kind.TABLE:
        inner = _SECRET if path.endswith(".headers") else shape.inner
        return {name: _walk(each, inner, _join(path, name), change) for name, each in value.items()}
    if isinstance(value, list) and shape.kind is Kind.LIST:
        return [_walk(each, shape.inner, f"{path}[{index}]", change) for index, each in enumerate(value)]
    if shape.kind is Kind.SECRET and not isinstance(value, dict | list):
        return change(path, value if isinstance(value, str) else msgspec.json.encode(value).decode())
    return value


_SECRET: Final = Shape(kind=Kind.SECRET)
"""A provider's headers may carry its credentials, so they are treated like them."""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# -- differences ---------------------------------------------------------------------------------------------


def differences(old: Json, new: Json, mark: Callable[[str], str]) -> list[Change]:
    """Which settings two documents differ in, by path."""
    before, after = dict(_leaves(masked(old, mark), "")), dict(_leaves(masked(new, mark), ""))
    return [
        Change(path, before.get(path), after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every value that holds no other, empty ones too, with its path."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _leaves(each, _join(path, name))
    elif isinstance(value, list) and value:
        for index, each in enumerate(value):
            yield from _leaves(each, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value
    elif "." in path or not isinstance(value, dict | list):  # an empty section is as good as none
        yield path, msgspec.json.encode(value).decode()
