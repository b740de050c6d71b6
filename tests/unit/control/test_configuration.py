"""Taking over what was published, and what a draft would do; see also `api/test_snapshots.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenway.control.config import Source
from tokenway.control.configuration import Configuration
from tokenway.control.published import Published
from tokenway.control.reload import Reloader
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.seal import Seal
from tokenway.store.sqlite import open_sqlite

FILE = {"providers": {"lab": {"base_url": "http://127.0.0.1:9/v1"}}, "retries": {"max": 1}}


class Machine:
    """One machine over a store in `folder`."""

    def __init__(self, folder: Path, key: str = "k" * 32) -> None:
        self.path = folder / "tokenway.yaml"
        self.path.write_text(json.dumps(FILE))
        self.store = open_sqlite(folder / "t.db", node="00000001")
        self.said: list[str] = []
        self.fault = ""
        self.seal = Seal([key])
        source = Source({}, {})
        self.reloader = Reloader(
            current=source.read(self.path),
            find=lambda: self.path,
            read=source.read,
            build=self.build,
            swap=lambda _: None,
            say=self.said.append,
        )
        self.configuration = Configuration(
            store=self.store,
            seal=self.seal,
            source=source,
            reloader=self.reloader,
            run=self.run,
            find=lambda: self.path,
            build=self.build,
            say=self.said.append,
        )

    async def run(self, work: Any, *arguments: Any) -> Any:
        """There is one thread here."""
        return work(*arguments)

    def build(self, _settings: Settings) -> Snapshot:
        """A snapshot of nothing; raises what the test wants."""
        if self.fault:
            raise ValueError(self.fault)
        return Snapshot(1, {}, {}, {}, {})

    async def publish(self, document: dict[str, Any], base: int) -> None:
        """Publishes from this machine."""
        draft = await self.configuration.draft(document, None)
        assert draft.is_good, draft.findings
        self.store.documents.publish(draft.body, base=base, author="a", note="")


async def test_what_is_published_is_taken_over(tmp_path: Path) -> None:
    """And told to whoever looks at the machines, as soon as the machine is known there."""
    machine = Machine(tmp_path)
    await machine.publish({"retries": {"max": 7}}, 0)
    await machine.configuration.step()
    assert (machine.configuration.version, machine.configuration.settings.retries.max) == (1, 7)
    machine.store.nodes.beat(name="n", started=0.0, workers=1, release="0")
    await machine.configuration.step()
    (node,) = machine.store.nodes.all()
    assert (node.configuration, node.fault) == (1, "")
    machine.store.close()


async def test_what_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    """A machine with another key says so, until it has the right one."""
    machine = Machine(tmp_path)
    machine.store.nodes.beat(name="n", started=0.0, workers=1, release="0")
    body = {
        "providers": {"p": {"base_url": "http://127.0.0.1:8/v1", "api_key": Seal(["q" * 32]).seal("x", "document")}}
    }
    machine.store.documents.publish(json.dumps(body), base=0, author="a", note="")
    await machine.configuration.step()
    assert machine.configuration.version == 0
    assert "another key" in machine.configuration.fault
    assert "another key" in machine.store.nodes.all()[0].fault
    assert set(machine.configuration.settings.providers) == {"lab"}
    await machine.publish({"retries": {"max": 3}}, 1)
    await machine.configuration.step()
    assert (machine.configuration.version, machine.configuration.fault) == (2, "")
    machine.store.close()


async def test_what_no_snapshot_can_be_made_of_is_no_draft(tmp_path: Path) -> None:
    """The last of the rules is the workers' own."""
    machine = Machine(tmp_path)
    machine.fault = "means nothing"
    draft = await machine.configuration.draft({}, None)
    assert (draft.is_good, draft.body, [each.reason for each in draft.findings]) == (False, "", ["means nothing"])
    machine.store.close()


async def test_a_draft_seals_and_masks(tmp_path: Path) -> None:
    """What would be kept is sealed, what is shown is masked, and opening gives the secret."""
    machine = Machine(tmp_path)
    document = {"providers": {"p": {"base_url": "http://127.0.0.1:8/v1", "api_key": "sk-secret-secret"}}}
    draft = await machine.configuration.draft(document, None)
    assert "sk-secret-secret" not in draft.body
    assert all("sk-secret-secret" not in (each.new or "") for each in draft.changes)
    row = machine.store.documents.publish(draft.body, base=0, author="a", note="")
    assert machine.configuration.open(row) == Published(1, document)
    machine.store.close()


@pytest.mark.parametrize("document", [{"retries": {"max": -1}}, {"nothing": {}}])
async def test_a_draft_that_is_wrong_says_where(tmp_path: Path, document: dict[str, Any]) -> None:
    """And cannot be published."""
    machine = Machine(tmp_path)
    draft = await machine.configuration.draft(document, None)
    assert not draft.is_good
    assert draft.body == ""
    machine.store.close()
