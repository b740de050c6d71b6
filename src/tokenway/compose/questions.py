"""Workers ask for what only the store knows, and are answered."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.compose.books import Books
from tokenway.control import run_view
from tokenway.control.keyring import credit_figures, key_figures
from tokenway.control.responses import Responses
from tokenway.control.velocity import Velocity
from tokenway.control.workers import Worker, Workers
from tokenway.model.errors import TokenwayError
from tokenway.model.limits import Scope
from tokenway.model.link import Answer, Question
from tokenway.model.settings import Settings

log = logging.getLogger("tokenway.control")

_OF_THE_LEDGER = frozenset({"credits", "generation", "key", "run", "runs"})


class Questions:
    """What is asked, and who knows it."""

    def __init__(
        self,
        books: Books,
        responses: Responses,
        velocity: Velocity,
        workers: Workers,
        tasks: Tasks,
        settings: Callable[[], Settings],
    ) -> None:
        """`settings` gives those in force."""
        self._books = books
        self._responses = responses
        self._velocity = velocity
        self._workers = workers
        self._tasks = tasks
        self._settings = settings

    def take(self, worker: Worker, question: Question) -> None:
        """Answers it as soon as the answer is known; one that cannot be found out is answered with `ok=False`."""
        self._tasks.spawn("question", self._answer_to(worker, question))

    async def answer(self, question: Question) -> bytes | None:
        """What a worker wants to know; None where there is no such thing."""
        run, books = self._books.run, self._books
        if question.what in _OF_THE_LEDGER:
            await run(books.ingest.run_once)
        if question.what == "generation":
            found = await run(books.store.usage.generation, question.subject, question.key_id)
            return msgspec.json.encode(found) if found is not None else None
        if question.what == "run":
            tree = await run(books.store.runs.show, question.subject, question.key_id)
            return None if tree is None else msgspec.json.encode(run_view.tree(tree))
        if question.what == "runs":
            runs: bytes | None = await run(self._runs_page, question)
            return runs
        if question.what == "velocity":
            endpoints = msgspec.json.decode(question.subject, type=list[str])
            return msgspec.json.encode(self._velocity.figures(endpoints, self._workers.breakers(), time.time()))
        if question.what == "key":
            return msgspec.json.encode(await run(self._key_figures, question.key_id))
        if question.what == "credits":
            return msgspec.json.encode(await run(self._credit_figures, question.subject))
        return await self._responses.answer(question)

    async def _answer_to(self, worker: Worker, question: Question) -> None:
        try:
            answer = Answer(question.number, await self.answer(question))
        except Exception as error:
            # As in `rounds`: what we say ourselves, that the database is away, needs no trace.
            trace = None if isinstance(error, TokenwayError) else error
            log.error("a question about %s found no answer: %s", question.what, error, exc_info=trace)  # noqa: TRY400
            answer = Answer(question.number, None, ok=False)
        worker.send(answer)

    def _runs_page(self, question: Question) -> bytes | None:
        """A page of a key's runs; None for a cursor that is none."""
        limit, cursor = msgspec.json.decode(question.subject, type=tuple[int, str | None])
        try:
            found = self._books.store.runs.page(key=question.key_id, limit=limit, cursor=cursor)
        except ValueError:
            return None
        return msgspec.json.encode(run_view.page(found))

    def _key_figures(self, key_id: str) -> dict[str, object]:
        usage = self._books.store.usage.key_usage(key_id)
        return key_figures(self._settings(), self._books.held, key_id, usage)

    def _credit_figures(self, project: str) -> dict[str, object]:
        store = self._books.store
        usage = store.usage.scope_usage(Scope.PROJECT, project)
        return credit_figures(self._settings(), self._books.held, project, store.money.wallet(project), usage)
