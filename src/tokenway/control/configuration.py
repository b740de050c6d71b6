"""Configurations that are published: what one would change, and taking over what any machine has published.

Every machine looks twice a second which one is in force. One that cannot be used here, because the environment of this
machine differs, leaves the former in force, and the reason is told to whoever looks at the machines.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from tokenway.control.config import Source
from tokenway.control.findings import Finding, has_errors
from tokenway.control.published import Change, Json, Published, differences, masked, unmasked, with_secrets
from tokenway.control.reload import Reloader
from tokenway.model.settings import Settings
from tokenway.store.documents import DocumentRow
from tokenway.store.open import Store
from tokenway.store.seal import Seal, SealFault

PURPOSE: Final = "document"
LOOK_SECONDS: Final = 0.5

Run = Callable[..., Awaitable[Any]]


class Draft(msgspec.Struct, frozen=True):
    """A configuration that may be published. `body` has its secrets sealed; it is empty where there are errors."""

    findings: tuple[Finding, ...]
    changes: tuple[Change, ...]
    body: str

    @property
    def is_good(self) -> bool:
        """Whether it can be published."""
        return not has_errors(self.findings)


class Configuration:
    """The published configurations of one gateway; `step` looks for a new one.

    `run` runs what touches the store; `find` says which file is in force; `build` raises ValueError for settings of
    which no snapshot can be made.
    """

    def __init__(
        self,
        *,
        store: Store,
        seal: Seal,
        source: Source,
        reloader: Reloader,
        run: Run,
        find: Callable[[], Path | None],
        build: Callable[[Settings], object],
        say: Callable[[str], None],
    ) -> None:
        self._documents = store.documents
        self._nodes = store.nodes
        self.seal = seal
        self._source = source
        self._reloader = reloader
        self._run = run
        self._find = find
        self._build = build
        self._say = say
        self._looking = asyncio.Lock()
        self._seen = 0
        self._fault = ""
        self._told: tuple[int, str] | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force on this machine."""
        return self._reloader.settings

    @property
    def version(self) -> int:
        """The published configuration that is in force on this machine."""
        return self._reloader.version

    @property
    def fault(self) -> str:
        """Why the newest one is not; empty when it is."""
        return self._fault or self._reloader.fault

    async def step(self) -> float:
        """Takes over what was published since; returns how long to pause."""
        async with self._looking:
            newest = await self._run(self._documents.version)
            if newest != self._seen:
                await self._take(newest)
        told = (self.version, self.fault)
        if told != self._told and await self._run(self._nodes.configured, *told):
            self._told = told
        return LOOK_SECONDS

    async def _take(self, newest: int) -> None:
        row: DocumentRow | None = await self._run(self._documents.get, newest)
        try:
            self._source.published = None if row is None else self.open(row)
        except SealFault as error:
            self._seen, self._fault = newest, str(error)
            self._say(f"published configuration {newest} is not in force here: {error}")
            return
        self._seen, self._fault = newest, ""
        await self._reloader.read_again()

    def open(self, row: DocumentRow) -> Published:
        """A row of the database with its secrets open. Raises SealFault."""
        document = msgspec.json.decode(row.body, type=Json)
        return Published(row.version, with_secrets(document, lambda _, text: self.seal.open(text, PURPOSE)))

    def shown(self, document: Json) -> Json:
        """A document with its secrets masked."""
        return masked(document, self.seal.mark)

    def written(self, published: Published | None) -> Json:
        """What the file of this machine and a published configuration say together, secrets open."""
        return self._source.written(self._find(), published)

    async def draft(self, document: Json, current: Published | None) -> Draft:
        """What publishing a document in place of `current` would do; masks in it stand for the secrets of today."""
        return await asyncio.to_thread(self._draft, document, current)

    def _draft(self, document: Json, current: Published | None) -> Draft:
        kept = self.written(current)
        document, findings = unmasked(document, kept, self.seal.mark)
        draft = Published(0, document)
        loaded = self._source.read_with(self._find(), draft)
        findings += loaded.findings
        if loaded.settings is not None and not has_errors(findings):
            try:
                self._build(loaded.settings)
            except ValueError as error:
                findings.append(Finding(draft.source, 0, "", str(error)))
        changes = tuple(self.changes(kept, self.written(draft)))
        if has_errors(findings):
            return Draft(tuple(findings), changes, "")
        body = with_secrets(document, lambda _, text: self.seal.seal(text, PURPOSE))
        return Draft(tuple(findings), changes, msgspec.json.encode(body).decode())

    def changes(self, old: Json, new: Json) -> list[Change]:
        """How two configurations differ, secrets masked."""
        return differences(old, new, self.seal.mark)
