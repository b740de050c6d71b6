"""What the rules of a configuration share: settings, where each stands, and which names lead to a model."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Environment
from typing import TypeAlias

from tokenway.control.addresses import enabled_by
from tokenway.control.document import Mapping, Node, Sequence
from tokenway.control.findings import Finding, Severity
from tokenway.dialects.providers import family_of
from tokenway.model.settings import LOCAL_CHAT, LOCAL_EMBEDDING, LOCAL_PROVIDER, Settings

Path: TypeAlias = "tuple[str | int, ...]"


class Examination:
    """One configuration under examination; `findings` grows.

    Names of providers, models and aliases come from the tree, not from the settings: a provider whose
    entry has a mistake of its own is still a provider that a model may name.
    """

    def __init__(self, settings: Settings, root: Mapping, environment: Environment[str, str]) -> None:
        self.settings = settings
        self.environment = environment
        self.findings: list[Finding] = []
        self._root = root
        self.model_names = self._names("models")
        self.alias_names = self._names("aliases")
        self.provider_names = {*self._names("providers"), *enabled_by(environment)[0], LOCAL_PROVIDER}
        local = settings.providers.get(LOCAL_PROVIDER)
        self.local_names = {LOCAL_CHAT, LOCAL_EMBEDDING, *(local.models if local else ())}

    def say(self, path: Path, reason: str, nearest: tuple[str, ...] = (), severity: Severity = Severity.ERROR) -> None:
        """Makes a finding about the setting at `path`."""
        file, line = self._place(path)
        self.findings.append(Finding(file, line, shown(path), reason, nearest, severity))

    def place(self, path: Path) -> str:
        """Where the setting at `path` stands, for a sentence about another one."""
        file, line = self._place(path)
        return f"line {line}" if line else file

    def node(self, path: Path) -> Node | None:
        """The node at `path`, or None when nothing was written there."""
        node: Node | None = self._root
        for step in path:
            node = _child(node, step)
        return node

    def is_whole(self, path: Path, count: int) -> bool:
        """Whether a list came out with as many elements as were written, so that positions agree."""
        node = self.node(path)
        return isinstance(node, Sequence) and len(node.items) == count

    def matching(self, pattern: Path) -> Iterator[Path]:
        """The paths that were written and match; `*` stands for any name or position."""
        paths: list[Path] = [()]
        for step in pattern:
            paths = [(*path, found) for path in paths for found in self._steps(path, step)]
        yield from paths

    def resolves(self, name: str) -> bool:
        """Whether a caller who asks for `name` reaches a model: the order is that of the contract."""
        return name in self.model_names or name in self.alias_names or self._server_of(name) is not None

    def switched_off(self, name: str) -> str | None:
        """The provider that would serve `name` itself, were it not switched off; None when it is not so."""
        if name in self.model_names or name in self.alias_names:
            return None
        server = self._server_of(name)
        return server if server is not None and self.settings.is_off(server) else None

    def _server_of(self, name: str) -> str | None:
        """The provider that serves a name which is no model's and no alias; None when none does."""
        if name in self.local_names:
            return LOCAL_PROVIDER
        provider, _, model = name.partition("/")
        if model and provider in self.provider_names:
            return provider if provider != LOCAL_PROVIDER else None  # the engine's models have names of their own
        family = family_of(name)
        return family.name if family is not None and family.name in self.provider_names else None

    def targets(self) -> set[str]:
        """Every name that is certain to resolve, for suggestions."""
        return {*self.model_names, *self.alias_names, *self.local_names}

    def _names(self, section: str) -> set[str]:
        node = self._root.entries.get(section)
        return set(node.entries) if isinstance(node, Mapping) else set()

    def _steps(self, path: Path, step: str | int) -> list[str | int]:
        node = self.node(path)
        if step != "*":
            child = _child(node, step)
            return [] if child is None else [step]
        if isinstance(node, Mapping):
            return list(node.entries)
        return list(range(len(node.items))) if isinstance(node, Sequence) else []

    def _place(self, path: Path) -> tuple[str, int]:
        """File and line of the deepest part of `path` that was written."""
        node: Node = self._root
        file, line = node.file, node.line
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            file, line = child.file, child.line
            if isinstance(node, Mapping) and line:
                line = node.key_lines.get(str(step)) or line
            node = child
        return file, line


def shown(path: Path) -> str:
    """`models.mock.endpoints[0].price`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def _child(node: Node | None, step: str | int) -> Node | None:
    if isinstance(node, Mapping) and isinstance(step, str):
        return node.entries.get(step)
    if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
