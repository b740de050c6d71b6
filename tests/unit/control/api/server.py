"""The control API on a real port, over a real store and a real configuration file, without workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx

from tokenway.aio.tasks import Tasks
from tokenway.compose.control_api import make_services
from tokenway.control.api.app import make_api
from tokenway.control.api.services import Services
from tokenway.control.app import make_app, serve_control
from tokenway.control.aside import Asides
from tokenway.control.config import Source, find_config
from tokenway.control.configuration import Configuration
from tokenway.control.prices import price_book
from tokenway.control.publish import Facts, LocalOffer, build_snapshot
from tokenway.control.reload import Reloader
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.accounts.records import FirstStart
from tokenway.store.open import Store
from tokenway.store.seal import open_seal
from tokenway.store.sqlite import open_sqlite

FILE: Final[dict[str, Any]] = {
    "providers": {
        "lab": {"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-file-secret-1", "headers": {"x-team": "blue"}},
    },
    "models": {
        "mock": {
            "endpoints": [{"provider": "lab", "model": "fake", "price": {"input": "1.5", "output": 2}}],
        },
        "org/other": {"endpoints": [{"provider": "lab", "model": "other"}], "fallbacks": ["mock"]},
    },
    "aliases": {"usual": "mock"},
    "timeouts": {"total": "10m"},
}


class Api:
    """One control process' API. `url` is where it listens, `first` what the first start made."""

    url: str
    first: FirstStart

    def __init__(
        self,
        folder: Path,
        *,
        file: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        open_store: Callable[[], Store] | None = None,
        node: str = "00000001",
    ) -> None:
        self.folder = folder
        self.path = folder / "tokenway.yaml"
        self.path.write_text(json.dumps(FILE if file is None else file))
        self.environment = {"HOME": str(folder), "TOKENWAY_CONFIG": str(self.path), **(environment or {})}
        self.said: list[str] = []
        self.snapshot: Snapshot
        self._thread = ThreadPoolExecutor(1)
        self.services: Services
        self._tasks = Tasks(lambda name, error: self.said.append(f"{name}: {error!r}"))
        self._open = open_store or (lambda: open_sqlite(folder / "tokenway.db", node=node))
        self._version = 0

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Runs something in the store's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def start(self) -> Api:
        """Opens the store and serves."""
        self.store: Store = await self.run(self._open)
        first = await self.run(self.store.accounts.bootstrap)
        if first is not None:
            self.first = first
        await self.run(lambda: self.store.nodes.beat(name="test", started=time.time(), workers=1, release="0"))
        seal = open_seal(self.environment, self.folder)
        source = Source(self.environment, {})

        def find() -> Path | None:
            return find_config(None, self.environment)

        self.reloader = Reloader(
            current=source.read(find()),
            find=find,
            read=source.read,
            build=self._build,
            swap=self._swap,
            say=self.said.append,
        )
        self._swap(self._build(self.reloader.settings))
        self.configuration = Configuration(
            store=self.store,
            seal=seal,
            source=source,
            reloader=self.reloader,
            run=self.run,
            find=find,
            build=self._build,
            say=self.said.append,
        )
        await self.configuration.step()
        self._asides = Asides(lambda: self._open().database)
        self.services = make_services(
            self.store,
            run=self.run,
            configuration=self.configuration,
            snapshot=lambda: self.snapshot,
            figures=lambda endpoints: {each: {"status": 0} for each in endpoints},
            drain=lambda: None,
            asides=self._asides,
            environment=self.environment,
        )
        self._listener = listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        self._tasks.spawn("api", serve_control(make_app(lambda: b"", make_api(self.services)), listener))
        self._tasks.spawn("reload", self.reloader.run())
        self._tasks.spawn("configuration", self._watch())
        return self

    async def stop(self) -> None:
        """Ends it."""
        await self._tasks.close()
        self._listener.close()
        await self._asides.close()
        await self.run(self.store.close)
        self._thread.shutdown()

    @staticmethod
    def store_of(folder: Path) -> Callable[[str], Callable[[], Store]]:
        """What opens the same store for other machines, by their ids."""
        return lambda node: lambda: open_sqlite(folder / "tokenway.db", node=node)

    async def member(self, name: str, project: str, role: str | None) -> str:
        """A user with this role in a project, None for none; his token."""
        async with self.client() as admin:
            user = (await admin.post("/users", json={"name": name})).json()["id"]
            if role is not None:
                done = await admin.put(f"/projects/{project}/members/{user}", json={"role": role})
                assert done.status_code == 200, done.text
            made = await admin.post("/tokens", json={"name": "test", "user": user})
            return str(made.json()["secret"])

    def client(self, token: str | None = None, **more: Any) -> httpx.AsyncClient:
        """A client; with the first admin's token unless another is given."""
        secret = self.first.token.secret.reveal() if token is None else token
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=False, **more)

    async def _watch(self) -> None:
        while not await asyncio.sleep(await self.configuration.step(), result=False):
            pass

    def _build(self, settings: Settings) -> Snapshot:
        self._version += 1
        return build_snapshot(
            settings,
            keys={},
            environment=self.environment,
            local=LocalOffer("unix:/nowhere:/v1", Secret("local")),
            version=self._version,
            facts=Facts(price_book(), int(time.time() // 86400)),
        )

    def _swap(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


@contextlib.asynccontextmanager
async def serving(folder: Path, **more: Any) -> AsyncIterator[Api]:
    """An API that has nothing bad to tell of at its end."""
    api = await Api(folder, **more).start()
    try:
        yield api
    finally:
        await api.stop()
