"""The engine's HTTP side: OpenAI's dialect on a Unix socket, as one plain ASGI application.

Each request runs beside a watch on its connection: when the caller leaves, the request is cancelled, and with it
the generation, whether it still waits, reads its prompt or writes.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import logging
import secrets
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tokenway.aio.tasks import Tasks
from tokenway.local.answers import Answer, Step
from tokenway.local.generation import Generation, Refused, Run
from tokenway.local.models import CHAT_UPSTREAM, EMBED_DIMENSIONS, LocalModel
from tokenway.local.requests import (
    PARALLEL,
    BadRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Sampling,
    completion_task,
    decode,
    embedding_texts,
)
from tokenway.local.runtime import ChatRuntime, EmbedRuntime, RuntimeUnavailable
from tokenway.local.slots import Busy, Slots
from tokenway.local.toolcalls import chat_task, plan_tools
from tokenway.local.wordpiece import truncate

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_MAX = 32 * 1024 * 1024
WAITING_MAX = 8
"""Callers in line for each model."""
EMBED_BATCH_TEXTS = 16
"""Texts between two looks at whether the caller is still there."""
RETRY_AFTER_S = 2
_log = logging.getLogger("tokenway.local")


@dataclass(slots=True)
class Served:
    """A loaded model with its line of callers."""

    model: LocalModel
    chat: ChatRuntime | None = None
    embed: EmbedRuntime | None = None
    slots: Slots = field(default_factory=lambda: Slots(PARALLEL, WAITING_MAX))


class CallerGone(Exception):
    """The connection closed before the body was complete."""


class LocalApp:
    """The application. `key` is what callers must present; `served` are the models by any of their names."""

    def __init__(self, served: Sequence[Served], key: str) -> None:
        self._served = served
        self._expected = f"Bearer {key}".encode()
        self._tasks = Tasks(_report)
        self._pool = ThreadPoolExecutor(max_workers=PARALLEL * len(served) + 1, thread_name_prefix="generate")
        self._routes: Mapping[tuple[str, str], Callable[[bytes, Send], Awaitable[None]]] = {
            ("GET", "/health"): self._health,
            ("GET", "/v1/models"): self._models,
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._complete,
            ("POST", "/v1/embeddings"): self._embed,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request; ends early when the caller leaves."""
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served here")
        try:
            body = await _read(receive)
        except CallerGone:
            return
        except BadRequest as error:
            await _send_problem(send, error)
            return
        work = self._tasks.start("request", self._answer(scope, body, send))
        watch = self._tasks.start("watch", _until_gone(receive))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _answer(self, scope: Scope, body: bytes, send: Send) -> None:
        try:
            route = self._routes.get((scope["method"], scope["path"]))
            if scope["path"] != "/health":
                self._check_key(scope["headers"])
            if route is None:
                text = f"{scope['method']} {scope['path']} is not served by the local engine."
                raise BadRequest(text, code="not_found", status=404)
            await route(body, send)
        except BadRequest as error:
            await _send_problem(send, error)
        except Busy:
            text = "The local engine is busy and its queue is full; try again in a moment."
            await _send_problem(send, BadRequest(text, code="local_engine_busy", status=503))

    def _check_key(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        given = next((value for name, value in headers if name == b"authorization"), b"")
        if not hmac.compare_digest(given, self._expected):
            raise BadRequest("The key of the local engine is wrong.", code="invalid_api_key", status=401)

    async def _health(self, _: bytes, send: Send) -> None:
        load = {s.model.name: {"running": s.slots.running, "waiting": s.slots.waiting} for s in self._served}
        await _send_json(send, 200, {"status": "ok", "models": load})

    async def _models(self, _: bytes, send: Send) -> None:
        data = [
            {
                "id": served.model.upstream,
                "object": "model",
                "created": served.model.created,
                "owned_by": "local",
                "description": served.model.description,
            }
            for served in self._served
        ]
        await _send_json(send, 200, {"object": "list", "data": data})

    async def _chat(self, body: bytes, send: Send) -> None:
        request = decode(body, ChatRequest)
        served, runtime = self._generator(request.model)
        plan = plan_tools(request, answers_results=served.model.upstream == CHAT_UPSTREAM)
        task = chat_task(request, plan)
        answer = Answer(
            *("chat.completion", served.model.upstream, _new_id),
            unwrap=plan is not None,
            has_alternatives=bool(request.top_logprobs),
        )
        await self._generate(served, request, answer, lambda on_chunk: runtime.chat(task, on_chunk), send)

    async def _complete(self, body: bytes, send: Send) -> None:
        request = decode(body, CompletionRequest)
        served, runtime = self._generator(request.model)
        task = completion_task(request)
        many = len(request.prompts) > 1
        answer = Answer("text_completion", served.model.upstream, _new_id, unwrap=False, sums_prompts=many)
        await self._generate(
            served, request, answer, lambda on_chunk: runtime.complete(task, on_chunk), send, len(request.prompts)
        )

    async def _generate(
        self, served: Served, request: Sampling, answer: Answer, run: Run, send: Send, prompts: int = 1
    ) -> None:
        count = max(prompts, request.choices)
        await served.slots.acquire(count)
        generation = Generation(run, self._pool, lambda: served.slots.release(count))
        steps = _steps(generation, answer)
        try:
            if request.stream:
                await _send_stream(send, steps, answer, with_usage=request.wants_usage)
            else:
                await _send_json(send, 200, answer.whole([step async for step in steps if step is not None]))
        except Refused as error:
            raise BadRequest(str(error), code=_refusal_code(error), status=error.status) from error
        finally:
            generation.cancel()
            await steps.aclose()

    async def _embed(self, body: bytes, send: Send) -> None:
        request = decode(body, EmbeddingRequest)
        served = self._named(request.model)
        if served.embed is None:
            raise BadRequest(f"{request.model!r} makes no embeddings; use local-embed.", "model")
        texts = embedding_texts(request, EMBED_DIMENSIONS)
        await served.slots.acquire()
        try:
            vectors, tokens = await self._vectors(served.embed, texts)
        except RuntimeUnavailable as error:
            raise BadRequest(f"The embedding model failed: {error}", code="engine_failed", status=500) from error
        finally:
            served.slots.release()
        data = [
            {"object": "embedding", "index": index, "embedding": _encoded(vector, request.encoding_format)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "data": data, "model": served.model.upstream, "usage": usage}
        await _send_json(send, 200, answer)

    async def _vectors(self, runtime: EmbedRuntime, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        loop = asyncio.get_running_loop()
        vectors: list[list[float]] = []
        tokens = 0
        for at in range(0, len(texts), EMBED_BATCH_TEXTS):
            batch = [truncate(text) for text in texts[at : at + EMBED_BATCH_TEXTS]]
            made, read = await loop.run_in_executor(self._pool, runtime.embed, batch)
            vectors += made
            tokens += read
        return vectors, tokens

    def _named(self, name: str) -> Served:
        for served in self._served:
            if name in (served.model.name, served.model.upstream):
                return served
        known = ", ".join(served.model.name for served in self._served)
        text = f"The local engine has no model {name!r}; it has {known}."
        raise BadRequest(text, "model", "model_not_found", 404)

    def _generator(self, name: str) -> tuple[Served, ChatRuntime]:
        served = self._named(name)
        if served.chat is None:
            raise BadRequest(f"{name!r} makes embeddings only; use local to generate text.", "model")
        return served, served.chat


def _report(name: str, error: BaseException) -> None:
    _log.error("%s failed", name, exc_info=error)


def _new_id(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(12)}"


def _refusal_code(refusal: Refused) -> str:
    if refusal.status >= 500:
        return "engine_failed"
    return "context_length_exceeded" if "context size" in str(refusal) else "invalid_value"


def _encoded(vector: Sequence[float], encoding: str | None) -> Sequence[float] | str:
    if encoding != "base64":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


async def _steps(generation: Generation, answer: Answer) -> AsyncGenerator[Step | None, None]:
    """The steps of the answer; None for a chunk without any, which shows that the request was accepted."""
    async for chunk in generation:
        steps = list(answer.steps(chunk))  # an error must come before the sign of acceptance
        yield None
        for step in steps:
            yield step


async def _read(receive: Receive) -> bytes:
    """The request's body. Raises `CallerGone`, or `BadRequest` when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_MAX:
            raise BadRequest(f"The body is larger than {BODY_MAX} bytes.", code="too_large", status=413)
        if not message.get("more_body"):
            return b"".join(parts)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_json(send: Send, status: int, body: object, *headers: tuple[bytes, bytes]) -> None:
    raw = msgspec.json.encode(body)
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(raw)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": raw})


def _error(problem: BadRequest) -> dict[str, Any]:
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    return {"error": {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code}}


async def _send_problem(send: Send, problem: BadRequest) -> None:
    headers = [(b"retry-after", b"%d" % RETRY_AFTER_S)] if problem.status == 503 else []
    await _send_json(send, problem.status, _error(problem), *headers)


async def _send_stream(send: Send, steps: AsyncIterator[Step | None], answer: Answer, *, with_usage: bool) -> None:
    """Server-sent events. The head waits for the first sign of the runtime, so that a refusal is a plain error."""

    async def event(body: object) -> None:
        raw = b"data: " + msgspec.json.encode(body) + b"\n\n"
        await send({"type": "http.response.body", "body": raw, "more_body": True})

    await anext(steps, None)
    head = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    try:
        async for step in steps:
            if step is not None:
                await event(answer.chunk(step, usage_follows=with_usage))
    except Refused as error:  # after the head only the stream itself can say so
        await event(_error(BadRequest(f"The local engine failed: {error}", code="engine_failed", status=500)))
    else:
        if with_usage:
            await event(answer.usage_chunk())
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})
