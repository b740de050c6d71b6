"""The local engine as the settings ask for it; the child is one that says what it serves, and waits."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tokenway.aio.tasks import Tasks
from tokenway.compose.engine import EngineKeeper, wanted_models
from tokenway.local.models import CHAT_MODEL
from tokenway.local.pipe import Report
from tokenway.local.probe import Machine
from tokenway.local.supervise import EngineState, Parts, Phase
from tokenway.model.settings import ProviderSettings, Settings

MACHINE: Final = Machine(system="linux", architecture="aarch64", cpuinfo="", find_library=lambda name: name)
REPORT: Final = msgspec.json.encode(Report((CHAT_MODEL,), ())).decode()
CHILD: Final = f"import sys; sys.stdin.readline(); print({REPORT!r}, flush=True); sys.stdin.read()"
OFF: Final = Settings(providers={"local": ProviderSettings(enabled=False)})


class Kept:
    """A keeper with what it told."""

    def __init__(self, data_dir: Path, tasks: Tasks) -> None:
        self.machine = MACHINE
        self.changes = 0
        self.moved = asyncio.Event()
        parts = Parts(
            command=lambda _socket: [sys.executable, "-c", CHILD],
            machine=lambda: self.machine,
            find=lambda _module: data_dir,
        )
        self.keeper = EngineKeeper(data_dir, tasks, self._changed, parts)

    def _changed(self) -> None:
        self.changes += 1
        self.moved.set()

    async def becomes_ready(self) -> None:
        """Until there is nothing to wait for any more."""
        while self.keeper.why_not_ready():
            self.moved.clear()
            await self.moved.wait()


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    """A keeper whose engine is the child above, on a machine that lacks nothing but the embedding model."""
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    failures: list[str] = []
    tasks = Tasks(lambda name, error: failures.append(f"{name}: {error!r}"))
    kept = Kept(tmp_path, tasks)
    yield kept
    await kept.keeper.stop()
    await tasks.close()
    assert failures == []


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def settled(kept: Kept) -> EngineState:
    """The state that is told once."""
    told: asyncio.Future[EngineState] = asyncio.get_running_loop().create_future()
    kept.keeper.on_settled(told.set_result)
    return await told


async def test_without_a_word_in_the_settings_there_is_an_engine(kept: Kept) -> None:
    """It is offered while it loads, and says why a caller would wait; when ready, what it serves."""
    await kept.keeper.use(Settings())
    offer = kept.keeper.offer()
    assert offer is not None
    assert [model.name for model in offer.models] == ["local", "local-embed"]
    assert kept.keeper.why_not_ready() == "the local engine is starting"
    state = await settled(kept)
    offer = kept.keeper.offer()
    assert state.phase is Phase.READY
    assert offer is not None
    assert [(model.name, model.context) for model in offer.models] == [(CHAT_MODEL.name, CHAT_MODEL.context)]
    assert (offer.base_url, kept.keeper.why_not_ready()) == (state.base_url, "")


async def test_the_same_settings_change_nothing(kept: Kept) -> None:
    """A reload for another reason leaves the engine's process alone."""
    await kept.keeper.use(Settings())
    state = await settled(kept)
    changes = kept.changes
    await kept.keeper.use(Settings(aliases={"a": "local"}))
    assert kept.changes == changes
    assert state.pid is not None
    assert is_alive(state.pid)


async def test_switched_off_it_ends_and_switched_on_it_comes_back(kept: Kept) -> None:
    """Both are told, so that a new snapshot is published."""
    await kept.keeper.use(Settings())
    state = await settled(kept)
    changes = kept.changes
    await kept.keeper.use(OFF)
    assert state.pid is not None
    assert not is_alive(state.pid)
    assert (kept.keeper.offer(), kept.keeper.why_not_ready()) == (None, "")
    assert kept.changes == changes + 1
    await kept.keeper.use(Settings())
    await kept.becomes_ready()
    assert kept.keeper.offer() is not None


async def test_another_list_of_models_replaces_it(kept: Kept, tmp_path: Path) -> None:
    """The new child knows the new file; the old one is gone."""
    await kept.keeper.use(Settings())
    state = await settled(kept)
    more = Settings(
        providers={"local": ProviderSettings(models={"tiny": str(tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf")})}
    )
    await kept.keeper.use(more)
    assert state.pid is not None
    assert not is_alive(state.pid)
    await kept.becomes_ready()
    assert kept.keeper.offer() is not None


async def test_a_killed_child_is_one_warning(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how it ended and that it is started again, once for each accident."""
    await kept.keeper.use(Settings())
    state = await settled(kept)
    assert state.pid is not None
    os.kill(state.pid, signal.SIGKILL)
    while not kept.keeper.why_not_ready():
        kept.moved.clear()
        await kept.moved.wait()
    await kept.becomes_ready()
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["The local engine was ended by SIGKILL. It is started again."]


async def test_an_engine_that_cannot_run_is_not_offered(kept: Kept) -> None:
    """Nobody waits for it, and the reason is told."""
    kept.machine = dataclasses.replace(MACHINE, system="plan9")
    await kept.keeper.use(Settings())
    state = await settled(kept)
    assert state.phase is Phase.UNAVAILABLE
    assert state.reason
    assert (kept.keeper.offer(), kept.keeper.why_not_ready()) == (None, "")


def test_what_is_wanted_follows_from_the_settings() -> None:
    """Nothing written is the engine with its own models; switched off is none, whatever else is written."""
    assert wanted_models(Settings()) == {}
    assert wanted_models(OFF) is None
    assert wanted_models(Settings(providers={"local": ProviderSettings(models={"a": "/a"})})) == {"a": "/a"}
