"""From the runtime's chunks to OpenAI's answers: one path for streams and for whole answers.

A chunk of the runtime becomes `Step`s; a stream sends each as a chunk, a whole answer folds them into messages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tokenway.local.generation import Chunk, Refused
from tokenway.local.toolcalls import Unwrapper

Json = dict[str, Any]


@dataclass(slots=True)
class Step:
    """What one choice gains: a delta (or text), log probabilities, or its end."""

    index: int
    delta: Json = field(default_factory=dict)
    logprobs: Json | None = None
    finish: str | None = None


@dataclass(slots=True)
class Tokens:
    """Tokens that the runtime counted. Several choices of one prompt read it once."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    sums_prompts: bool = False

    def add(self, usage: Json) -> None:
        """Counts the usage of one finished choice."""
        prompt = int(usage["prompt_tokens"])
        cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0))
        if self.sums_prompts or not self.prompt:
            self.prompt += prompt
            self.cached += cached
        self.completion += int(usage["completion_tokens"])

    def render(self) -> Json:
        """The `usage` object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


class Answer:
    """One answer under way. `kind` is `chat.completion` or `text_completion`."""

    def __init__(
        self,
        kind: str,
        model: str,
        new_id: Callable[[str], str],
        *,
        unwrap: bool,
        sums_prompts: bool = False,
        has_alternatives: bool = True,
    ) -> None:
        """`new_id(prefix)` makes identifiers; `unwrap` undoes the forced JSON of function calls.

        Without `has_alternatives` the caller wants log-probabilities of the answer's own tokens only.
        """
        self.is_chat = kind == "chat.completion"
        self.tokens = Tokens(sums_prompts=sums_prompts)
        self._kind = kind
        self._new_id = new_id
        self._unwrap = unwrap
        self._has_alternatives = has_alternatives
        self._unwrappers: dict[int, Unwrapper] = {}
        self._begun: set[int] = set()
        head = new_id("chatcmpl-" if self.is_chat else "cmpl-")
        self._envelope: Json = {"id": head, "created": int(time.time()), "model": model}

    def steps(self, chunk: Chunk) -> Iterator[Step]:
        """What a chunk of the runtime adds. Raises `Refused` when it is an error, and counts its usage."""
        if "error" in chunk:
            problem = chunk["error"]
            raise Refused(str(problem.get("message", "the runtime failed")), int(problem.get("code", 500)))
        if chunk.get("usage"):
            self.tokens.add(chunk["usage"])
        if "prompt_progress" in chunk:
            return
        for choice in chunk["choices"]:
            yield from self._chat_steps(choice) if self.is_chat else self._text_steps(choice)

    def chunk(self, step: Step, *, usage_follows: bool) -> Json:
        """A step as a chunk of a stream."""
        choice: Json = {"index": step.index, "logprobs": step.logprobs, "finish_reason": step.finish}
        choice |= {"delta": step.delta} if self.is_chat else {"text": step.delta.get("content", "")}
        chunk = self._envelope | {"object": self._chunk_kind(), "choices": [choice]}
        return chunk | {"usage": None} if usage_follows else chunk

    def usage_chunk(self) -> Json:
        """The chunk that only carries the usage."""
        return self._envelope | {"object": self._chunk_kind(), "choices": [], "usage": self.tokens.render()}

    def whole(self, steps: list[Step]) -> Json:
        """All steps folded into one body."""
        choices = [self._folded(index, steps) for index in sorted({step.index for step in steps})]
        return self._envelope | {"object": self._kind, "choices": choices, "usage": self.tokens.render()}

    def _chunk_kind(self) -> str:
        return f"{self._kind}.chunk" if self.is_chat else self._kind

    def _chat_steps(self, choice: Json) -> Iterator[Step]:
        index, logprobs = int(choice["index"]), self._logprobs(choice.get("logprobs"))
        if index not in self._begun:
            self._begun.add(index)
            yield Step(index, {"role": "assistant", "content": "", "refusal": None})
        text = choice["delta"].get("content") or ""
        unwrapper = self._unwrappers.setdefault(index, Unwrapper(lambda: self._new_id("call_")))
        deltas = unwrapper.feed(text) if self._unwrap else [{"content": text}] if text else []
        for delta in deltas:
            yield Step(index, delta, logprobs)
            logprobs = None
        finish = choice.get("finish_reason")
        if finish:
            yield Step(index, finish="tool_calls" if unwrapper.has_call and finish == "stop" else finish)

    def _logprobs(self, native: Json | None) -> Json | None:
        """Log-probabilities without the runtime's own token numbers."""
        if not native or not native.get("content"):
            return None
        return {"content": [self._entry(entry) for entry in native["content"]], "refusal": None}

    def _entry(self, entry: Json) -> Json:
        kept = {name: entry[name] for name in ("token", "logprob", "bytes")}
        others = entry.get("top_logprobs", ()) if self._has_alternatives else ()
        return kept | {"top_logprobs": [{name: top[name] for name in kept} for top in others]}

    @staticmethod
    def _text_steps(choice: Json) -> Iterator[Step]:
        index, text, finish = int(choice["index"]), choice.get("text") or "", choice.get("finish_reason")
        if text or finish:
            yield Step(index, {"content": text}, finish=finish)

    def _folded(self, index: int, steps: list[Step]) -> Json:
        mine = [step for step in steps if step.index == index]
        text = "".join(step.delta.get("content") or "" for step in mine)
        finish = next((step.finish for step in mine if step.finish), "stop")
        logprobs = [entry for step in mine if step.logprobs for entry in step.logprobs["content"]]
        choice: Json = {"index": index, "finish_reason": finish, "logprobs": None}
        if logprobs:
            choice["logprobs"] = {"content": logprobs, "refusal": None}
        if not self.is_chat:
            return choice | {"text": text}
        message: Json = {"role": "assistant", "content": text, "refusal": None}
        calls = [call for step in mine for call in step.delta.get("tool_calls", ())]
        if calls:
            arguments = "".join(call["function"]["arguments"] for call in calls)
            function = {"name": calls[0]["function"]["name"], "arguments": arguments}
            message["content"] = None
            message["tool_calls"] = [{"id": calls[0]["id"], "type": "function", "function": function}]
        return choice | {"message": message}
