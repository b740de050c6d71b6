"""The control process's inside: owns the store and the local engine, publishes snapshots to the workers.

    settings + keys + engine ──▶ snapshot ──▶ workers
    workers' journals ──▶ ledger ──▶ metrics, a line per exchange, answers about the past

Everything that touches the database runs in one thread, in order (`compose.books`); nothing here is on the way of a
request. While the database is away, everything that needs it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.compose.books import Books
from tokenway.compose.engine import EngineKeeper
from tokenway.compose.gauges import set_gauges
from tokenway.compose.lending import Lending
from tokenway.compose.questions import Questions
from tokenway.compose.rounds import AGAIN_SECONDS, forever
from tokenway.compose.stores import connect_again
from tokenway.control.addresses import enabled_by
from tokenway.control.aside import Asides
from tokenway.control.config import Loaded, Source, find_config
from tokenway.control.keyring import with_accounts
from tokenway.control.prices import price_book
from tokenway.control.prober import Prober
from tokenway.control.publish import Facts, build_snapshot
from tokenway.control.reload import Reloader
from tokenway.control.responses import Responses
from tokenway.control.velocity import MINUTES, Velocity
from tokenway.control.vertex import AGAIN_AFTER, Tokens, fetch_token, files_in_use
from tokenway.control.workers import Worker, Workers
from tokenway.local.supervise import EngineState
from tokenway.metering.ledger import Settled
from tokenway.model.limits import Limit
from tokenway.model.link import Keep, Probed, Question, Return, Seen, Want
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.base import StoreError
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tokenway.control.configuration import Configuration
    from tokenway.store.accounts.records import FirstStart
    from tokenway.store.open import Store

log = logging.getLogger("tokenway.control")

KEYS_SECONDS: Final = 0.25
"""How often the store is asked whether accounts have changed."""
TOKENS_SECONDS: Final = 60.0
EXCHANGES_REMEMBERED: Final = 5000
"""Exchanges of the last half hour from which a start learns how endpoints are: a quarter of a second's work at most."""
LAST_WORDS_SECONDS: Final = 2.0
"""How long what the workers said before they ended is listened to and kept."""


class Gateway:
    """One gateway on this machine. `start`, then `stop`; `first_start` holds the key that was made, if any."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        data_dir: Path,
        listener: socket.socket,
        environment: Mapping[str, str],
        overrides: Mapping[str, str],
        on_exchange: Callable[[Settled], None] | None,
        say: Callable[[str], None],
        latest: Loaded | None = None,
    ) -> None:
        """`listener` is where workers come; `latest` the configuration in force, where it is not `loaded` any more."""
        self.settings = loaded.demand()
        self.metrics = Metrics()
        self.velocity = Velocity()
        self._data_dir = data_dir
        self._listener = listener
        self._environment = environment
        self._on_exchange = on_exchange
        self._say = say
        self._tasks = Tasks(lambda name, error: log.error("task %s failed", name, exc_info=error))
        self._loop = asyncio.get_running_loop()
        self._books = Books(
            self.settings,
            data_dir,
            say,
            kept=lambda: self._reloader.settings.ledger,
            on_settled=self._settled,
            on_gone=self._worker_gone,
        )
        self.prober = Prober(self._books.probes_cost, self.velocity.heard_of)
        self._lending = Lending(self._tasks)
        self._asides = Asides(lambda: connect_again(self.settings, data_dir))
        self._limits: dict[str, Limit] = {}
        self._published: tuple[int, int] | None = None
        """What had been seen of accounts when they were last published."""
        self._version = 0
        self._due = asyncio.Event()
        """Whether a worker waits for a snapshot."""
        self._numbers: dict[str, int] = {}
        """The number of each worker by its life."""
        self.workers = Workers(self.settings.server.workers, self._tasks, self._hello, self._lending.gone)
        self.responses = Responses(self._books.run, self.workers, lambda: self._reloader.settings.responses.retention)
        self._tokens = Tokens(fetch_token, say)
        self._engine = EngineKeeper(data_dir, self._tasks, self._publish)
        self._source = Source(environment, overrides)
        self._find = lambda: find_config(loaded.path, environment)
        self._configuration: Configuration
        self._reloader = Reloader(
            current=loaded,
            find=self._find,
            read=self._source.read,
            build=self._build,
            swap=self._swap,
            say=say,
            latest=latest,
        )
        self.questions = Questions(
            self._books, self.responses, self.velocity, self.workers, self._tasks, lambda: self._reloader.settings
        )
        self._listen_to_workers()

    def _listen_to_workers(self) -> None:
        """Who takes in what workers say; other parts may add their own."""
        on = self.workers.on
        on(Question, self.questions.take)
        on(Keep, self.responses.take)
        on(Seen, self._seen)
        on(Want, self._lending.take)
        on(Return, self._lending.take)
        on(Probed, lambda _worker, probed: self.prober.over(probed))

    @property
    def first_start(self) -> FirstStart | None:
        """The user, token and key that the first start made, if this was it."""
        return self._books.first_start

    # -- life --------------------------------------------------------------------------------------------

    async def start(self, *, is_first: bool = True) -> None:
        """Opens the store and begins to work. Raises StoreError when it cannot, the first time.

        Later there are workers that serve without it: then it is tried again until it can be opened.
        """
        await self.workers.accept(self._listener)
        await self._engine.use(self._reloader.settings)
        await self._books.open(self._join, self._took_in, is_first=is_first)
        self._published = self._books.seen
        await self._look_for_configuration(must=is_first)
        await self._lending.start(
            self.settings, self._data_dir, lambda: self._books.upkeep.machines, self.workers.alive
        )
        self._tasks.spawn("publish", forever("publishing the configuration", self._publish_what_is_due))
        self._tasks.spawn("ingest", forever("reading the journals", self._books.ingest_round))
        self._tasks.spawn("keep", forever("keeping responses", self.responses.step))
        self._tasks.spawn("upkeep", forever("looking after the database", self._look_after))
        self._tasks.spawn("keys", forever("looking for changed keys", self._look_at_keys))
        self._tasks.spawn("tokens", forever("asking for access tokens", self._renew_tokens))
        self._tasks.spawn("reload", self._reloader.run())
        self._tasks.spawn("published", forever("looking for a configuration", self._configuration.step))
        self._tasks.spawn("probes", forever("probing", lambda: self.prober.step(self.workers)))
        self._tasks.spawn("responses", forever("dropping old responses", self.responses.purge))
        # What is alive now stays alive: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    async def stop(self, *, in_haste: bool = False) -> None:
        """Takes in what the workers have left, and closes everything.

        In haste what is in the journals is left to the next start, which waits for this one's end.
        """
        if self._books.is_open and not in_haste:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self.workers.finish(LAST_WORDS_SECONDS)
                    await self.responses.settled()
        await self.workers.close()
        await self._engine.stop()
        await self._tasks.close()
        await self._lending.close()
        await self._asides.close()
        await self._books.close(in_haste=in_haste)

    def reload(self) -> None:
        """Reads the configuration again, as on SIGHUP."""
        self._reloader.trigger()

    def on_engine_settled(self, tell: Callable[[EngineState], None]) -> None:
        """Calls `tell` once, when the local engine is ready or known to be unavailable."""
        self._engine.on_settled(tell)

    def local_models(self) -> set[str]:
        """What the local engine serves, or will when it has loaded, as far as is known by now."""
        offer = self._engine.offer()
        return set() if offer is None else {model.name for model in offer.models}

    def start_control(self, listener: socket.socket) -> None:
        """Serves the control listener from now on."""
        self._tasks.spawn("control listener", self._serve_control(listener))

    async def _serve_control(self, listener: socket.socket) -> None:
        from tokenway.control.app import make_app, serve_control  # noqa: PLC0415 - after requests can be served

        # Its import takes the better part of a second, which nobody waits for who calls a model.
        api = await asyncio.to_thread(self._make_api)
        await serve_control(make_app(self.metrics_text, api), listener)

    def _make_api(self) -> ASGIApp:
        from tokenway.compose.control_api import make_services  # noqa: PLC0415 - in a thread of its own
        from tokenway.control.api.app import make_api  # noqa: PLC0415 - the same

        services = make_services(
            self._books.store,
            run=self._books.run,
            configuration=self._configuration,
            snapshot=lambda: self._snapshot_of(self._reloader.settings, self._version),
            figures=lambda ids: self.velocity.figures(ids, self.workers.breakers(), time.time()),
            drain=self._books.ingest.drain,
            asides=self._asides,
            environment=self._environment,
        )
        return make_api(services)

    # -- the store ---------------------------------------------------------------------------------------

    async def _look_for_configuration(self, *, must: bool) -> None:
        """What was published is in force before any worker is told anything."""
        while True:
            try:
                await self._configuration.step()
            except StoreError:
                if must:
                    raise
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                return

    def _join(self, store: Store) -> None:
        """Called in the store's thread, before any journal is read."""
        from tokenway.control.configuration import Configuration  # noqa: PLC0415 - imported while the workers start
        from tokenway.store.seal import open_seal  # noqa: PLC0415 - the same

        self._configuration = Configuration(
            store=store,
            seal=open_seal(self._environment, self._data_dir),
            source=self._source,
            reloader=self._reloader,
            run=self._books.run,
            find=self._find,
            build=lambda settings: self._snapshot_of(settings, 0),
            say=self._say,
        )
        self.responses.use(store.responses)

    def _took_in(self, store: Store) -> None:
        """Called in the store's thread, when what was left behind is in the ledger."""
        self.responses.fail_all_but(self._books.ingest.alive())
        self.velocity.take(store.samples.latest(time.time() - MINUTES * 60, EXCHANGES_REMEMBERED))

    def _settled(self, records: Sequence[Settled]) -> None:
        for gathered in gather(records):
            self.metrics.observe(gathered)
        if self._on_exchange is not None:
            for record in records:
                self._on_exchange(record)

    async def _look_after(self) -> float:
        """Says that this machine lives, and what else there is to do for the database."""
        upkeep = self._books.upkeep
        sharing = upkeep.workers
        pause: float = await self._books.run(upkeep.step)
        if upkeep.workers != sharing:
            self._publish()
        return pause

    async def _look_at_keys(self) -> float:
        """Publishes when an account has changed, and when a day has begun: budgets start anew with it."""
        seen = await self._books.refresh()
        if seen != self._published:
            self._published = seen
            self._publish()
        return KEYS_SECONDS

    async def _renew_tokens(self) -> float:
        """Publishes when an access token has come; asks sooner where one is still missing."""
        files = files_in_use(self._reloader.settings, self._environment, enabled_by(self._environment)[0])
        if await asyncio.to_thread(self._tokens.renew, files, time.time()):
            self._publish()
        return TOKENS_SECONDS if files == set(self._tokens.by_file) else AGAIN_AFTER

    # -- snapshots ---------------------------------------------------------------------------------------

    def _build(self, settings: Settings) -> Snapshot:
        """A snapshot without keys: they differ by worker. Raises ValueError for settings that mean nothing."""
        self._version += 1
        return self._snapshot_of(settings, self._version)

    def _snapshot_of(self, settings: Settings, version: int) -> Snapshot:
        return build_snapshot(
            settings,
            keys={},
            environment=self._environment,
            local=self._engine.offer(),
            version=version,
            not_ready=self._engine.why_not_ready(),
            facts=Facts(price_book(), int(time.time() // 86400), self._tokens.by_file),
        )

    def _swap(self, snapshot: Snapshot) -> None:
        self.metrics.use(snapshot)
        self._tasks.spawn("follow", self._follow())

    async def _follow(self) -> None:
        """After a reload: the workers at once, the local engine where its settings have changed."""
        self._publish()
        await self._engine.use(self._reloader.settings)

    def _publish(self) -> None:
        """Every worker is to have a new snapshot."""
        self.workers.all_are_due()
        self._due.set()

    async def _publish_what_is_due(self) -> float:
        await self._due.wait()
        self._due.clear()
        try:
            await self.workers.publish(self._snapshot_for, self.velocity.known)
        except BaseException:
            self._due.set()
            raise
        return 0.0

    async def _snapshot_for(self, _worker: Worker) -> Snapshot:
        settings = self._reloader.settings
        snapshot = self._build(settings)
        self.metrics.use(snapshot)
        self.prober.use(snapshot)
        await self._books.run(self._books.ensure_projects, settings)
        whole: Snapshot = await self._books.run(with_accounts, snapshot, settings, self._books.held, time.time())
        whole = msgspec.structs.replace(whole, workers=self._books.upkeep.workers)
        self._limits = whole.limits
        self._lending.use(whole)
        return whole

    # -- workers -----------------------------------------------------------------------------------------

    def _hello(self, worker: Worker) -> None:
        """A worker is there, or there again."""
        self._numbers[worker.holder] = worker.number
        self._version = max(self._version, worker.version)
        self._lending.joined(worker)
        self._due.set()

    def _worker_gone(self, holder: str) -> None:
        """A worker has ended for good, and all that it wrote is in the ledger; called in the store's thread."""
        self.responses.worker_gone(holder)
        number = self._numbers.pop(holder, None)
        if number is not None:
            self._loop.call_soon_threadsafe(lambda: self.metrics.drop_gauges(worker=str(number)))

    def _seen(self, worker: Worker, seen: Seen) -> None:
        self.velocity.take(seen.samples)
        self.workers.pass_on(worker, seen.samples)

    # -- figures -----------------------------------------------------------------------------------------

    def metrics_text(self) -> bytes:
        """The page for Prometheus."""
        from tokenway.telemetry.exposition import expose  # noqa: PLC0415 - only who is asked for it pays for it

        set_gauges(self.metrics, self.workers, self._limits, self._books.ingest.backlog_bytes)
        return expose(self.metrics)
