"""A changed configuration is swapped in whole, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tokenway.aio.tasks import Tasks
from tokenway.control.config import find_config, load
from tokenway.control.publish import build_snapshot
from tokenway.control.reload import Reloader, changed_at_start_only
from tokenway.model.secret import Secret
from tokenway.model.settings import ServerSettings, Settings
from tokenway.model.snapshot import Snapshot


@dataclass
class Bench:
    """A reloader over a real file, with what it published and said."""

    file: Path
    swapped: list[Snapshot] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    refuses: bool = False

    def __post_init__(self) -> None:
        self.reloader = Reloader(
            current=load(self.file, {}),
            find=lambda: find_config(None, {"HOME": "/nonexistent"}, self.file.parent),
            read=lambda path: load(path, {}),
            build=self.build,
            swap=self.swapped.append,
            say=self.say,
            interval=0.005,
        )

    def build(self, settings: Settings) -> Snapshot:
        """A snapshot with the next version."""
        if self.refuses:
            raise ValueError("the store is away")
        return build_snapshot(settings, keys={}, environment={}, local=None, version=len(self.swapped) + 2)

    def say(self, line: str) -> None:
        """Keeps the line and wakes who waits for one."""
        self.said.append(line)
        self.happened.set()

    async def told(self, text: str) -> None:
        """Waits until a line holds `text`."""
        async with asyncio.timeout(20):
            while not any(text in line for line in self.said):
                self.happened.clear()
                await self.happened.wait()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench whose file allows two retries."""
    file = tmp_path / "tokenway.yaml"
    file.write_text("retries: {max: 2}\n")
    return Bench(file)


@contextlib.asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[None]:
    """The reloader at work."""

    def fail(name: str, error: BaseException) -> None:
        bench.say(f"{name} failed: {error!r}")

    tasks = Tasks(fail)
    watching = tasks.start("reload", bench.reloader.run())
    try:
        yield
        assert not watching.done()
    finally:
        await tasks.close()


async def test_a_changed_file_is_published(bench: Bench) -> None:
    """The new settings arrive in a snapshot with the next version."""
    async with running(bench):
        bench.file.write_text("retries: {max: 7}\n")
        await bench.told("version 2")
    assert [snapshot.max_retries for snapshot in bench.swapped] == [7]
    assert bench.reloader.settings.retries.max == 7


async def test_a_file_with_errors_changes_nothing_and_says_why(bench: Bench) -> None:
    """The old settings stay, the mistake is told with its line, and the mended file is taken."""
    async with running(bench):
        bench.file.write_text("retries: {max: 7}\nserver: {prt: 1}\n")
        await bench.told("was not changed")
        assert bench.swapped == []
        assert bench.said[0].startswith(f"{bench.file}:2: error: server.prt")
        assert bench.reloader.settings.retries.max == 2
        bench.file.write_text("retries: {max: 8}\n")
        await bench.told("version 2")
    assert [snapshot.max_retries for snapshot in bench.swapped] == [8]


async def test_a_file_put_in_place_by_renaming_counts(bench: Bench) -> None:
    """Editors and deployments replace files instead of writing into them."""
    async with running(bench):
        fresh = bench.file.with_suffix(".new")
        fresh.write_text("retries: {max: 9}\n")
        fresh.rename(bench.file)
        await bench.told("version 2")
    assert bench.swapped[0].max_retries == 9


async def test_a_trigger_reloads_an_unchanged_file(bench: Bench) -> None:
    """Whoever sends the signal wants it read: the environment or a certificate may have changed."""
    async with running(bench):
        bench.reloader.trigger()
        await bench.told("version 2")
    assert len(bench.swapped) == 1


async def test_a_file_that_is_gone_changes_nothing(bench: Bench) -> None:
    """Falling back on defaults because somebody moved a file would drop every model."""
    async with running(bench):
        bench.file.unlink()
        await bench.told("is gone")
    assert bench.swapped == []


async def test_a_snapshot_that_cannot_be_built_changes_nothing(bench: Bench) -> None:
    """Settings may be fine and the rest not."""
    bench.refuses = True
    async with running(bench):
        bench.file.write_text("retries: {max: 7}\n")
        await bench.told("the store is away")
    assert bench.swapped == []
    assert bench.reloader.settings.retries.max == 2


async def test_what_needs_a_restart_is_said(bench: Bench) -> None:
    """A new port is not taken in silence."""
    async with running(bench):
        bench.file.write_text("retries: {max: 3}\nserver: {port: 9999}\n")
        await bench.told("version 2")
    assert "server.port has changed and takes effect with the next start" in bench.said


async def test_what_is_again_as_the_process_runs_needs_no_restart(bench: Bench) -> None:
    """A port that was changed and changed back is the one that is listened on: there is nothing to say."""
    read = bench.reloader.apply
    bench.file.write_text("server: {port: 9999}\n")
    assert read(load(bench.file, {}), bench.file)
    bench.file.write_text("retries: {max: 2}\n")
    bench.said.clear()
    assert read(load(bench.file, {}), bench.file)
    assert not [line for line in bench.said if "next start" in line]


def test_only_listeners_and_stores_need_a_restart() -> None:
    """Everything that a snapshot carries takes effect at once."""
    new = Settings(server=ServerSettings(host="::1", max_body=2048), store=Secret("sqlite:///x"), aliases={"a": "b"})
    assert changed_at_start_only(Settings(), new) == ["server.host", "store"]
    assert changed_at_start_only(new, new) == []
