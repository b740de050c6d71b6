"""The in-process inference runtime: one native server object per model file.

`xllamacpp` is loaded only when a runtime is made: on a processor without the instructions it was built for, the
import alone ends the process. Each native server also opens a listener of its own, which cannot be turned off;
it gets a socket in the engine's private folder and a key that nobody knows.
"""

from __future__ import annotations

import importlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from tokenway.local.generation import OnChunk
from tokenway.local.models import CHAT_CONTEXT
from tokenway.local.requests import PARALLEL

PROMPT_STEP = 32
"""Prompt tokens computed at once. Bigger steps are no faster for such a small model, and between two steps other
streams get their token and a cancelled request ends."""
EMBED_BATCH = 512
"""Tokens of one text, which the embedding model must see at once."""
EMBED_CONTEXT = 2048


class RuntimeUnavailable(Exception):
    """A model cannot be loaded; the text says which and why."""


class ChatRuntime(Protocol):
    """What the server of a chat model does. Both calls block and raise ValueError or RuntimeError for a bad task."""

    def chat(self, task: dict[str, Any], on_chunk: OnChunk) -> None: ...  # noqa: D102 - named by the class
    def complete(self, task: dict[str, Any], on_chunk: OnChunk) -> None: ...  # noqa: D102 - named by the class


class EmbedRuntime(Protocol):
    """What the server of an embedding model does."""

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """The vectors in order, and the tokens read. Blocks. Raises `RuntimeUnavailable` when it fails."""


def thread_counts() -> tuple[int, int]:
    """(threads for one token, threads for a prompt). More than half of many cores slows single tokens down."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return (usable if usable <= 2 else usable // 2), usable


class NativeServer:
    """One model file, loaded. Satisfies `ChatRuntime` or `EmbedRuntime`, by how it was made."""

    def __init__(self, path: Path, alias: str, folder: Path, *, embedding: bool) -> None:
        """Blocks until the model is in memory. Raises `RuntimeUnavailable`."""
        native = importlib.import_module("xllamacpp")
        listener = folder / f"n{secrets.token_hex(3)}.sock"
        listener.unlink(missing_ok=True)  # a left-over file makes the native listener fail
        params = native.CommonParams()
        params.model.path = str(path)
        params.model_alias = {alias}
        params.hostnames = [str(listener)]
        params.api_keys = [secrets.token_hex(16)]
        params.ui = False
        params.offline = True
        params.verbosity = 0
        params.cache_ram_mib = 0  # the default would keep up to 8 GiB of old prompts
        params.cors_origins = ""
        params.n_threads_http = 1
        params.n_parallel = PARALLEL
        params.cpuparams.n_threads, params.cpuparams_batch.n_threads = thread_counts()
        if embedding:
            params.embedding = True
            params.n_ctx = EMBED_CONTEXT
            params.n_batch = params.n_ubatch = EMBED_BATCH
        else:
            params.n_ctx = CHAT_CONTEXT
            params.kv_unified = True  # any of the parallel answers may use the whole context
            params.n_batch = params.n_ubatch = PROMPT_STEP
        try:
            self._server = native.Server(params)
        except RuntimeError as error:
            raise RuntimeUnavailable(f"The model file {path} cannot be loaded: {error}") from error

    def chat(self, task: dict[str, Any], on_chunk: OnChunk) -> None:
        """See `ChatRuntime`."""
        self._server.handle_chat_completions(task, on_chunk)

    def complete(self, task: dict[str, Any], on_chunk: OnChunk) -> None:
        """See `ChatRuntime`."""
        self._server.handle_completions(task, on_chunk)

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """See `EmbedRuntime`."""
        answer = self._server.handle_embeddings({"input": list(texts)})
        if "error" in answer:
            raise RuntimeUnavailable(str(answer["error"].get("message", answer["error"])))
        rows = sorted(answer["data"], key=lambda row: int(row["index"]))
        return [row["embedding"] for row in rows], int(answer["usage"]["prompt_tokens"])
