"""The control process's inside: owns the store and the local engine, publishes snapshots to the workers.

    settings + keys + engine ──▶ snapshot ──▶ workers
    workers' journals ──▶ ledger ──▶ metrics, a line per exchange, answers about the past

Everything that touches the database runs in one thread, in order; nothing here is on the way of a request. While the
database is away, everything that needs it is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tokenway import __version__
from tokenway.aio.tasks import Tasks
from tokenway.compose.engine import EngineKeeper
from tokenway.compose.lending import Lending
from tokenway.compose.paths import JOURNALS
from tokenway.compose.stores import database_errors, open_store
from tokenway.control import run_view
from tokenway.control.addresses import enabled_by
from tokenway.control.config import Loaded, Source, find_config
from tokenway.control.keyring import key_figures, with_accounts
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
from tokenway.model.errors import TokenwayError
from tokenway.model.limits import Limit, Measure
from tokenway.model.link import Answer, Keep, Probed, Question, Return, Seen, Want
from tokenway.model.money import NANO_PER_USD
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.base import StoreError
from tokenway.telemetry import names
from tokenway.telemetry.gather import gather
from tokenway.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from tokenway.control.configuration import Configuration
    from tokenway.control.ingest import Ingest
    from tokenway.control.upkeep import Upkeep
    from tokenway.store.accounts.holdings import Holdings
    from tokenway.store.accounts.records import FirstStart
    from tokenway.store.open import Store

log = logging.getLogger("tokenway.control")

COLLECT_AFTER: Final = 50_000
"""Objects between two collections of the garbage collector."""
INGEST_SECONDS: Final = 0.2
"""How often journals are read when nothing asks for it; a question about an exchange reads them at once."""
KEYS_SECONDS: Final = 0.25
"""How often the store is asked whether accounts have changed."""
TOKENS_SECONDS: Final = 60.0
STORE_NICENESS: Final = 5
"""Steps below the workers: a third of their weight, enough to keep up with some that saturate the core."""
NICENESS_MAX: Final = 19
EXCHANGES_REMEMBERED: Final = 5000
"""Exchanges of the last half hour from which a start learns how endpoints are: a quarter of a second's work at most."""
AGAIN_SECONDS: Final = 1.0
"""How long after a failure the next try comes."""
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
        self.prober = Prober(self._probes_cost, self.velocity.heard_of)
        self.first_start: FirstStart | None = None
        self._data_dir = data_dir
        self._listener = listener
        self._environment = environment
        self._on_exchange = on_exchange
        self._say = say
        self._tasks = Tasks(lambda name, error: log.error("task %s failed", name, exc_info=error))
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "store", initializer=_give_way)
        self._store: Store
        self._is_open = False
        self._ingest: Ingest
        self._upkeep: Upkeep
        self._lending = Lending(self._tasks)
        self._limits: dict[str, Limit] = {}
        self._held: Holdings
        """What there is of accounts; only the store's thread looks into it."""
        self._published: tuple[int, int] | None = None
        """Their number and the day when they were last published: prices begin with a day, and budgets start anew."""
        self._version = 0
        self._due = asyncio.Event()
        """Whether a worker waits for a snapshot."""
        self._numbers: dict[str, int] = {}
        """The number of each worker by its life."""
        self.workers = Workers(self.settings.server.workers, self._tasks, self._hello, self._lending.gone)
        self.responses = Responses(self._in_thread, self.workers, lambda: self._reloader.settings.responses.retention)
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
        self._listen_to_workers()

    def _listen_to_workers(self) -> None:
        """Who takes in what workers say; other parts may add their own."""
        on = self.workers.on
        on(Question, lambda worker, question: self._tasks.spawn("question", self._answer_to(worker, question)))
        on(Keep, self.responses.take)
        on(Seen, self._seen)
        on(Want, self._lending.take)
        on(Return, self._lending.take)
        on(Probed, lambda _worker, probed: self.prober.over(probed))

    # -- life --------------------------------------------------------------------------------------------

    async def start(self, *, is_first: bool = True) -> None:
        """Opens the store and begins to work. Raises StoreError when it cannot, the first time.

        Later there are workers that serve without it: then it is tried again until it can be opened.
        """
        await self.workers.accept(self._listener)
        await self._engine.use(self._reloader.settings)
        if is_first:
            await self._in_thread(self._open_store)
        else:
            await self._until_open()
        await self._look_for_configuration(must=is_first)
        await self._lending.start(self.settings, self._data_dir, lambda: self._upkeep.machines, self.workers.alive)
        self._tasks.spawn("publish", self._forever("publishing the configuration", self._publish_what_is_due))
        self._tasks.spawn("ingest", self._forever("reading the journals", self._ingest_round))
        self._tasks.spawn("keep", self._forever("keeping responses", self.responses.step))
        self._tasks.spawn("upkeep", self._forever("looking after the database", self._look_after))
        self._tasks.spawn("keys", self._forever("looking for changed keys", self._look_at_keys))
        self._tasks.spawn("tokens", self._forever("asking for access tokens", self._renew_tokens))
        self._tasks.spawn("reload", self._reloader.run())
        self._tasks.spawn("published", self._forever("looking for a configuration", self._configuration.step))
        self._tasks.spawn("probes", self._forever("probing", lambda: self.prober.step(self.workers)))
        self._tasks.spawn("responses", self._forever("dropping old responses", self.responses.purge))
        # What is alive now stays alive; the records that pass through leave no cycles behind.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)

    async def stop(self, *, in_haste: bool = False) -> None:
        """Takes in what the workers have left, and closes everything.

        In haste what is in the journals is left to the next start, which waits for this one's end.
        """
        if self._is_open and not in_haste:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self.workers.finish(LAST_WORDS_SECONDS)
                    await self.responses.settled()
        await self.workers.close()
        await self._engine.stop()
        await self._tasks.close()
        await self._lending.close()
        await self._in_thread(self._close_store, in_haste)
        self._thread.shutdown()

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
            self._store,
            run=self._in_thread,
            configuration=self._configuration,
            snapshot=lambda: self._snapshot_of(self._reloader.settings, self._version),
            figures=lambda ids: self.velocity.figures(ids, self.workers.breakers(), time.time()),
            drain=self._ingest.drain,
            environment=self._environment,
        )
        return make_api(services)

    # -- the store ---------------------------------------------------------------------------------------

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _until_open(self) -> None:
        said = ""
        while not self._is_open:
            try:
                await self._in_thread(self._open_store)
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    self._say(f"{said}; it is tried again, and the workers go on meanwhile")
                await asyncio.sleep(AGAIN_SECONDS)

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

    def _open_store(self) -> None:
        store = open_store(self.settings, self._data_dir)
        try:
            self._take_store(store)
        except database_errors(store) as error:
            raise StoreError(f"the database cannot be used: {error}") from error
        else:
            self._is_open = True
        finally:
            if not self._is_open:
                store.close()

    def _take_store(self, store: Store) -> None:
        """Reads what is in the store, makes the first key in a fresh one, and takes in what was left behind."""
        from tokenway.control.configuration import Configuration  # noqa: PLC0415 - imported while the workers start
        from tokenway.control.ingest import Ingest  # noqa: PLC0415 - the same
        from tokenway.control.upkeep import Upkeep  # noqa: PLC0415 - the same
        from tokenway.store.accounts.holdings import Holdings  # noqa: PLC0415 - the same
        from tokenway.store.seal import open_seal  # noqa: PLC0415 - the same

        self._store = store
        self._configuration = Configuration(
            store=store,
            seal=open_seal(self._environment, self._data_dir),
            source=self._source,
            reloader=self._reloader,
            run=self._in_thread,
            find=self._find,
            build=lambda settings: self._snapshot_of(settings, 0),
            say=self._say,
        )
        self._upkeep = Upkeep(
            store,
            name=socket.gethostname(),
            workers=self.settings.server.workers,
            release=__version__,
            kept=lambda: self._reloader.settings.ledger,
        )
        self._upkeep.step()
        self.first_start = store.accounts.bootstrap()
        self._held = Holdings()
        store.accounts.holdings.refresh(self._held)
        self._published = (self._held.number, int(time.time() // 86400))
        ingest = self._ingest = Ingest(
            store.ledger,
            self._data_dir / JOURNALS,
            self._settled,
            on_expired=lambda lost: self._say(f"the reservation of {lost.id} was open when its worker ended: expired"),
            on_fault=lambda fault: self._say(f"the journal is damaged: {fault}"),
            on_gone=self._worker_gone,
        )
        self.responses.use(store.responses)
        try:
            ingest.run_once()
            self.responses.fail_all_but(ingest.alive())
            store.leases.release_others(ingest.alive())
        except BaseException:
            ingest.close()
            raise
        self.velocity.take(store.samples.latest(time.time() - MINUTES * 60, EXCHANGES_REMEMBERED))

    def _close_store(self, in_haste: bool) -> None:  # noqa: FBT001 - it is passed to the thread
        if not self._is_open:
            return
        try:
            if not in_haste:
                self._ingest.drain()
                self._upkeep.leave()
        except Exception:
            # Then this machine is taken for lost after a while.
            log.exception("what the workers wrote last is taken in by the next start")
        finally:
            self._ingest.close()
            self._store.close()

    def _settled(self, records: Sequence[Settled]) -> None:
        for gathered in gather(records):
            self.metrics.observe(gathered)
        if self._on_exchange is not None:
            for record in records:
                self._on_exchange(record)

    async def _forever(self, what: str, step: Callable[[], Awaitable[float]]) -> None:
        """Repeats a step, which says how long to pause after it; one that fails is reported and tried again."""
        said = ""
        while True:
            try:
                pause = await step()
                said = ""
            except Exception as error:  # a full disk or a locked database must not end the bookkeeping
                pause = AGAIN_SECONDS
                if str(error) != said:
                    said = str(error)
                    # What we say ourselves needs no trace: the database is away, as a rule.
                    trace = None if isinstance(error, TokenwayError) else error
                    log.error("%s failed and is tried again: %s", what, error, exc_info=trace)  # noqa: TRY400
            await asyncio.sleep(pause)

    async def _ingest_round(self) -> float:
        """A round has a price of its own, and few large ones cost less: only after one that left some comes another."""
        await self._in_thread(self._ingest.run_once)
        return 0.0 if self._ingest.is_behind else INGEST_SECONDS

    async def _look_after(self) -> float:
        """Says that this machine lives, and what else there is to do for the database."""
        sharing = self._upkeep.workers
        pause: float = await self._in_thread(self._upkeep.step)
        if self._upkeep.workers != sharing:
            self._publish()
        return pause

    async def _probes_cost(self, day: int) -> dict[str, int]:
        """What a day's probes have cost by now, those included that the ledger did not have yet."""
        await self._in_thread(self._ingest.drain)
        spent: dict[str, int] = await self._in_thread(self._store.probes.spent, day)
        return spent

    async def _look_at_keys(self) -> float:
        """Publishes when an account has changed, and when a day has begun: budgets start anew with it."""
        await self._in_thread(self._store.accounts.holdings.refresh, self._held)
        seen = (self._held.number, int(time.time() // 86400))
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
        whole: Snapshot = await self._in_thread(self._with_accounts, snapshot, settings)
        whole = msgspec.structs.replace(whole, workers=self._upkeep.workers)
        self._limits = whole.limits
        self._lending.use(whole)
        return whole

    def _with_accounts(self, snapshot: Snapshot, settings: Settings) -> Snapshot:
        """In the store's thread. Into a prepaid project of the configuration somebody can only pay when it is there."""
        from tokenway.store.accounts.records import SYSTEM  # noqa: PLC0415 - imported while the workers start

        accounts = self._store.accounts
        lacking = [name for name, each in settings.projects.items() if each.prepaid and name not in self._held.projects]
        if lacking:
            accounts.ensure_projects(lacking, by=SYSTEM)
            accounts.holdings.refresh(self._held)
        return with_accounts(snapshot, settings, self._held, time.time())

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

    async def _answer_to(self, worker: Worker, question: Question) -> None:
        try:
            answer = Answer(question.number, await self._answer(question))
        except Exception:
            log.exception("a question about %s found no answer", question.what)
            answer = Answer(question.number, None, ok=False)
        worker.send(answer)

    async def _answer(self, question: Question) -> bytes | None:
        """A worker asks for what only the store knows."""
        if question.what in {"generation", "key", "run", "runs"}:
            await self._in_thread(self._ingest.run_once)
        if question.what == "generation":
            found = await self._in_thread(self._store.usage.generation, question.subject, question.key_id)
            return msgspec.json.encode(found) if found is not None else None
        if question.what == "run":
            tree = await self._in_thread(self._store.runs.show, question.subject, question.key_id)
            return None if tree is None else msgspec.json.encode(run_view.tree(tree))
        if question.what == "runs":
            runs: bytes | None = await self._in_thread(self._runs_page, question)
            return runs
        if question.what == "velocity":
            endpoints = msgspec.json.decode(question.subject, type=list[str])
            return msgspec.json.encode(self.velocity.figures(endpoints, self.workers.breakers(), time.time()))
        if question.what == "key":
            return msgspec.json.encode(await self._in_thread(self._key_figures, question.key_id))
        return await self.responses.answer(question)

    def _runs_page(self, question: Question) -> bytes | None:
        """A page of a key's runs; None for a cursor that is none."""
        limit, cursor = msgspec.json.decode(question.subject, type=tuple[int, str | None])
        try:
            found = self._store.runs.page(key=question.key_id, limit=limit, cursor=cursor)
        except ValueError:
            return None
        return msgspec.json.encode(run_view.page(found))

    def _key_figures(self, key_id: str) -> dict[str, object]:
        return key_figures(self._reloader.settings, self._held, key_id, self._store.usage.key_usage(key_id))

    # -- figures -----------------------------------------------------------------------------------------

    def metrics_text(self) -> bytes:
        """The page for Prometheus."""
        from tokenway.telemetry.exposition import expose  # noqa: PLC0415 - only who is asked for it pays for it

        for worker in self.workers.alive:
            gauges = worker.gauges
            if gauges is not None:
                number = str(worker.number)
                self.metrics.drop_gauges(worker=number)  # a limit that is gone has no lease to show
                self.metrics.set_gauge(names.OPEN_STREAMS, gauges.open_streams, worker=number)
                self.metrics.set_gauge(names.LOOP_LAG, gauges.loop_lag, worker=number)
                for name, left in gauges.leases.items():
                    limit = self._limits.get(name)
                    shown = left / NANO_PER_USD if limit is not None and limit.measure is Measure.USD else left
                    self.metrics.set_gauge(names.LEASE_REMAINING, shown, limit=name, worker=number)
        breakers = self.workers.breakers()
        self.metrics.drop_gauges(names.BREAKER_STATE)
        for endpoint in self.metrics.endpoints:
            self.metrics.set_gauge(names.BREAKER_STATE, breakers.get(endpoint, 0), endpoint=endpoint)
        self.metrics.set_gauge(names.JOURNAL_BYTES, self._ingest.backlog_bytes)
        return expose(self.metrics)


def _give_way() -> None:
    """The store's thread yields to workers on the same core: the books can wait a moment, callers cannot."""
    if sys.platform != "linux":
        return  # elsewhere a thread has no niceness of its own
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):  # one that may not lower itself runs as it is
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + STORE_NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, min(NICENESS_MAX, niceness))
