"""The local engine as the settings ask for it: started, replaced after a reload, or not there at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tokenway.aio.tasks import Tasks
from tokenway.control.publish import LocalModel, LocalOffer
from tokenway.local.supervise import EngineState, LocalEngine, Parts, Phase
from tokenway.model.settings import LOCAL_PROVIDER, Settings

log = logging.getLogger("tokenway.control")

_WARMING: Final = (Phase.PROBING, Phase.LOADING)


class EngineKeeper:
    """Holds at most one engine. `changed` is called whenever what it offers may be different."""

    def __init__(self, data_dir: Path, tasks: Tasks, changed: Callable[[], None], parts: Parts | None = None) -> None:
        """`parts` is what an engine is built from; tests bring their own."""
        self._data_dir = data_dir
        self._parts = parts
        self._tasks = tasks
        self._changed = changed
        self._engine: LocalEngine | None = None
        self._models: Mapping[str, str] | None = None
        """The further models of the engine that runs; None when none does."""
        self._tell: Callable[[EngineState], None] | None = None
        self._turn = asyncio.Lock()

    async def use(self, settings: Settings) -> None:
        """Starts the engine, replaces it or stops it, where the settings differ from what runs."""
        async with self._turn:
            models = wanted_models(settings)
            if models == self._models:
                return
            if self._engine is not None:
                await self._engine.stop()
            self._engine, self._models = None, models
            if models is not None:
                self._engine = self._make(models)
                self._engine.start()
            self._changed()

    async def stop(self) -> None:
        """Ends the engine."""
        async with self._turn:
            if self._engine is not None:
                await self._engine.stop()

    def on_settled(self, tell: Callable[[EngineState], None]) -> None:
        """Calls `tell` once, when the engine is ready or known to be unavailable."""
        self._tell = tell
        self._tell_once()

    def offer(self) -> LocalOffer | None:
        """What the engine serves, or will when it is ready; None without one."""
        state = self._engine.state if self._engine is not None else None
        if state is None or state.phase is Phase.UNAVAILABLE:
            return None
        if not state.models:
            return LocalOffer(state.base_url, state.api_key)
        models = tuple(
            LocalModel(model.name, model.operations, model.description, context=model.context) for model in state.models
        )
        return LocalOffer(state.base_url, state.api_key, models)

    def why_not_ready(self) -> str:
        """Why a caller of a local model would have to wait; empty when not."""
        state = self._engine.state if self._engine is not None else None
        if state is not None and state.phase in {*_WARMING, Phase.RESTARTING}:
            return "the local engine is starting"
        return ""

    def _make(self, models: Mapping[str, str]) -> LocalEngine:
        extra = {name: Path(path) for name, path in models.items()}
        data = self._data_dir
        return LocalEngine(data / "run", data, extra, self._on_state, self._tasks, self._parts)

    def _on_state(self, state: EngineState) -> None:
        if state.phase is Phase.RESTARTING:
            log.warning("%s It is started again.", state.reason)
        elif state.reason and state.phase is not Phase.READY:
            log.info("local engine: %s: %s", state.phase.value, state.reason)
        self._changed()
        self._tell_once()

    def _tell_once(self) -> None:
        engine = self._engine
        if engine is None or self._tell is None or engine.state.phase in _WARMING:
            return
        tell, self._tell = self._tell, None
        tell(engine.state)


def wanted_models(settings: Settings) -> Mapping[str, str] | None:
    """The further models (name to file) of the engine that the settings ask for; None when they ask for none."""
    if settings.is_off(LOCAL_PROVIDER):
        return None
    local = settings.providers.get(LOCAL_PROVIDER)
    return {} if local is None else local.models
