"""Names of Google's fields: `camelCase` in its documents, `snake_case` in the messages below; both are taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tokenway.dialects.walk import Node

_STEP = re.compile(r"_([a-z0-9])")
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """A field's name as the documents spell it."""
    return _STEP.sub(lambda found: found.group(1).upper(), name) if "_" in name else name


@lru_cache(maxsize=1024)
def snake(name: str) -> str:
    """A field's name as the underlying messages spell it."""
    return _HUMP.sub(lambda found: "_" + found.group(1).lower(), name)


def member(node: Node, name: str) -> Node | None:
    """The member `name` (in camelCase) of an object in either spelling; None where it is absent or null."""
    return node.at(name) or node.at(snake(name))


def needed(node: Node, name: str) -> Node:
    """The member `name` in either spelling; raises Refusal (400) where it is absent."""
    return member(node, name) or node.need(name)


def members(node: Node) -> Iterator[tuple[str, Node]]:
    """The members of an object that are not null, by their names in camelCase."""
    for name, value in node.members():
        yield camel(name), value


def many(node: Node) -> list[Node]:
    """The elements of a repeated field; a single value counts as a list of one, as Google's servers have it."""
    return [node] if node.is_object else node.items()
