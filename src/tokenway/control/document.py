"""YAML text to a tree in which every node knows its line.

Three words: a *scalar* is text with its place, a *mapping* and a *sequence* hold nodes. Types are not
decided here: the setting that is read decides what its text means, so `yes`, `010` and `1:30` are text
until somebody asks for a number, and nothing depends on YAML's older rules.

What is refused, each with its line: a key that stands twice, tags, merge keys, more than one document,
text beyond the bounds below. An alias repeats its anchor's node; the bound is on the size of the repeated
whole, so a file of a few lines cannot become gigabytes. Never raises: what is wrong becomes a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Environment
from typing import Final

import msgspec
import yaml

from tokenway.control.findings import Finding

TEXT_MAX: Final = 1024 * 1024
"""Characters of a file; thousands of models fit."""

DEPTH_MAX: Final = 32
"""Nesting; the deepest setting stands at 7."""

NODES_MAX: Final = 100_000
"""Nodes after aliases have been repeated."""

_PARSER: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
"""The C parser makes loading three times as fast; only the events of either are used."""

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TAGS: Final = frozenset(
    {None, "!", *(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "map", "seq"))}
)
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_VARIABLE: Final = re.compile(rf"\$?\$\{{(?P<name>{_NAME})(?::-(?P<default>[^}}]*))?\}}|(?P<open>\$?\$\{{)", re.ASCII)


UNREADABLE: Final = "the value holds a control character or half of a character"


def is_text(value: str) -> bool:
    """Whether every character is one that can be shown and encoded; line breaks and tabs are."""
    return not any(0xD800 <= ord(char) <= 0xDFFF or (ord(char) < 0x20 and char not in "\n\t") for char in value)


class Scalar(msgspec.Struct):
    """Text with its place. `is_null` where nothing was given; `is_broken` where a finding was made already.

    `is_waived` where `${NAME:-}` came to nothing: whoever wrote it knew that the variable may be absent.
    """

    text: str
    file: str
    line: int
    is_null: bool = False
    is_broken: bool = False
    is_waived: bool = False


class Sequence(msgspec.Struct):
    """Nodes in order."""

    items: list[Node]
    file: str
    line: int


class Mapping(msgspec.Struct):
    """Nodes by key; `key_lines` holds the line of each key."""

    entries: dict[str, Node]
    key_lines: dict[str, int]
    file: str
    line: int


Node = Scalar | Sequence | Mapping


class Document(msgspec.Struct):
    """The tree and what was found while reading it; `root` is None when there is no usable tree."""

    root: Mapping | None
    findings: list[Finding]


def read_document(text: str, file: str, environment: Environment[str, str]) -> Document:
    """Reads the text of a configuration file; variables come from `environment`."""
    return _Reader(file, environment).read(text)


class _Stop(Exception):
    """Nothing sensible can be read after this; the finding has been made."""


class _Reader:
    def __init__(self, file: str, environment: Environment[str, str]) -> None:
        self._file = file
        self._environment = environment
        self._findings: list[Finding] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._count = 0

    def read(self, text: str) -> Document:
        root: Node | None = None
        try:
            if len(text) > TEXT_MAX:
                self._fatal(1, f"the file is longer than {TEXT_MAX} characters")
            root = self._parse(text)
        except _Stop:
            return Document(None, self._findings)
        except yaml.MarkedYAMLError as error:
            self._syntax(error, text)
            return Document(None, self._findings)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # The scanner turns escapes such as "\UFFFFFFFF" into characters that do not exist.
            self._add(1, f"not readable as YAML: {str(error).splitlines()[0]}")
            return Document(None, self._findings)
        if root is None or (isinstance(root, Scalar) and root.is_null):
            root = Mapping({}, {}, self._file, 1)
        if not isinstance(root, Mapping):
            self._add(root.line, "expected settings (name: value) at the top of the file")
            return Document(None, self._findings)
        return Document(root, self._findings)

    def _parse(self, text: str) -> Node | None:
        """Builds the tree from the parser's events with a stack of our own: nesting cannot exhaust Python's."""
        root: Node | None = None
        documents = 0
        stack: list[_Open] = []
        for event in _events(text):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fatal(line, "a second document begins here; one file holds one configuration")
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                self._remember(done.anchor, done.node, self._count - done.count_before)
                node: Node = done.node
                line = done.node.line  # it ends where the next token begins
            elif isinstance(event, yaml.CollectionStartEvent):
                self._check_tag(event.tag, line)
                self._open(stack, event, line)
                continue
            elif isinstance(event, yaml.ScalarEvent):
                self._check_tag(event.tag, line)
                self._grow(1, line)
                node = self._scalar(event, line)
                self._remember(event.anchor, node, 1)
            elif isinstance(event, yaml.AliasEvent):
                node = self._alias(event.anchor or "", line)
            else:
                continue
            if stack:
                self._place(stack[-1], node, line)
            else:
                root = node
        return root

    def _open(self, stack: list[_Open], event: yaml.CollectionStartEvent, line: int) -> None:
        if len(stack) >= DEPTH_MAX:
            self._fatal(line, f"nested more than {DEPTH_MAX} deep")
        before = self._count
        self._grow(1, line)
        node: Mapping | Sequence
        if isinstance(event, yaml.MappingStartEvent):
            node = Mapping({}, {}, self._file, line)
        else:
            node = Sequence([], self._file, line)
        stack.append(_Open(node, event.anchor, before))

    def _place(self, parent: _Open, node: Node, line: int) -> None:
        """Puts a finished node into the collection that is being built."""
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
            return
        if parent.key is None:
            parent.key = self._key(parent.node, node, line)
            parent.key_line = line
            return
        key, parent.key = parent.key, None
        if key:
            parent.node.entries[key] = node
            parent.node.key_lines[key] = parent.key_line

    def _key(self, mapping: Mapping, node: Node, line: int) -> str:
        """The text of a key; empty when its value is to be left out, with the finding made."""
        if not isinstance(node, Scalar):
            self._add(line, "a name is expected before ':'")
            return ""
        if node.text == "<<":
            self._add(line, "merge keys (<<) are not supported; write the settings out")
            return ""
        if not node.text or node.is_broken:
            self._add(line, "a name cannot be empty")
            return ""
        if node.text in mapping.entries:
            self._add(line, f"{node.text!r} stands twice, first at line {mapping.key_lines[node.text]}", node.text)
            return ""
        return node.text

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        is_plain = bool(event.implicit[0]) and event.style in {None, ""}
        node = Scalar(event.value, self._file, line, is_null=is_plain and event.value in _NULLS)
        if "${" in node.text:
            node.text = self._expand(node)
            node.is_null = not node.text and not node.is_broken
            node.is_waived = node.is_null and ":-" in event.value
        if not is_text(node.text):
            self._add(line, UNREADABLE)
            node.is_broken = True
        return node

    def _expand(self, node: Scalar) -> str:
        """Fills in `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`."""

        def replace(match: re.Match[str]) -> str:
            if match[0].startswith("$$"):
                return match[0][1:]
            if match["open"]:
                return self._unexpandable(node, "a variable is written ${NAME} or ${NAME:-default}")
            value = self._environment.get(match["name"])
            if match["default"] is not None:
                return value or match["default"]
            if value is None:
                return self._unexpandable(
                    node,
                    f"the environment has no variable {match['name']}; set it or write ${{{match['name']}:-default}}",
                )
            return value

        return _VARIABLE.sub(replace, node.text)

    def _unexpandable(self, node: Scalar, reason: str) -> str:
        self._add(node.line, reason)
        node.is_broken = True
        return ""

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            self._fatal(line, f"*{anchor} names no anchor that is complete before it")
        node, size = self._anchors[anchor]
        self._grow(size, line)
        return node

    def _remember(self, anchor: str | None, node: Node, size: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size)

    def _grow(self, nodes: int, line: int) -> None:
        self._count += nodes
        if self._count > NODES_MAX:
            self._fatal(line, f"more than {NODES_MAX} values, repeated ones counted each time")

    def _check_tag(self, tag: str | None, line: int) -> None:
        if tag not in _TAGS:
            self._add(line, f"tags such as {tag} are not supported")

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> None:
        mark = error.problem_mark or error.context_mark
        lines = text.splitlines()
        # The C parser places what is missing at the end on the line after the last.
        line = min(mark.line + 1 if mark else 1, max(len(lines), 1))
        at = lines[line - 1] if line <= len(lines) else ""
        if "\t" in at[: len(at) - len(at.lstrip())] or "'\\t'" in (error.problem or ""):
            self._add(line, "a tab stands where YAML wants spaces; indent with spaces")
            return
        context = f", {error.context}" if error.context else ""
        self._add(line, f"not readable as YAML: {error.problem or 'syntax error'}{context}")

    def _fatal(self, line: int, reason: str) -> None:
        self._add(line, reason)
        raise _Stop

    def _add(self, line: int, reason: str, path: str = "") -> None:
        self._findings.append(Finding(self._file, line, path, reason))


class _Open(msgspec.Struct):
    """A collection that is being built, and the key that waits for its value (None: none, empty: dropped)."""

    node: Mapping | Sequence
    anchor: str | None
    count_before: int
    key: str | None = None
    key_line: int = 0


def _events(text: str) -> Iterator[yaml.Event]:
    return yaml.parse(text, Loader=_PARSER)
