"""A model that does as it is told: it satisfies the engine's runtime protocols, in a thread, like the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from tokenway.local.generation import OnChunk


class ScriptedModel:
    """Answers each prompt with `words`, as many as `max_tokens` allow; waits for `go` after the first."""

    def __init__(self, words: Sequence[str] = ("one", " two", " three")) -> None:
        self.words = words
        self.go = threading.Event()
        self.go.set()
        self.tasks: list[dict[str, Any]] = []
        self.stopped = threading.Event()
        self.error: dict[str, Any] | None = None
        self.error_late = False

    def chat(self, task: dict[str, Any], on_chunk: OnChunk) -> None:
        """Calls back like the runtime: the role, the words, the end, the usage."""
        self.tasks.append(task)
        if self.error and not self.error_late:
            on_chunk({"error": self.error})
            return
        for text in self._written(task):
            choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            if on_chunk({"choices": [choice]}):
                self.stopped.set()
                return
            self.go.wait(20)
        if self.error:
            on_chunk({"error": self.error})
            return
        on_chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        on_chunk({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": len(self.words)}})

    def complete(self, task: dict[str, Any], on_chunk: OnChunk) -> None:
        """The same for text completions."""
        self.tasks.append(task)
        for text in self._written(task):
            on_chunk({"choices": [{"index": 0, "text": text, "finish_reason": None}]})
        usage = {"prompt_tokens": 5, "completion_tokens": len(self.words)}
        on_chunk({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}], "usage": usage})

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """A vector for each text: its length, then zeros."""
        return [[float(len(text))] + [0.0] * 383 for text in texts], len(texts)

    def _written(self, task: dict[str, Any]) -> Iterator[str | None]:
        yield None
        yield from self.words[: task["max_tokens"]]
