"""OpenAI's chat completions, after its API reference: chunks, perhaps a usage chunk, `[DONE]`."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.simulation.bodies import REASONS, Count, Fields
from tests.simulation.client import load
from tests.simulation.clock import pick
from tests.simulation.voices.base import (
    CALL,
    CALL_ID,
    CALL_NAME,
    HUGE,
    TEXT,
    THOUGHT,
    Asked,
    Heard,
    Teller,
    Voice,
    compact,
    events,
    need,
    told,
)
from tokenway.model.catalog import Dialect


class ChatTeller(Teller):
    """A stream of chunks."""

    def chunk(self, choices: list[Any], **more: Any) -> bytes:
        """One chunk."""
        head = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices}
        return self.event("", self.data({**head, **more}))

    def delta(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        """A chunk of the one choice."""
        return self.chunk([{"index": 0, "delta": delta, "finish_reason": reason}])

    def start(self) -> list[Fields]:
        """The role."""
        return [("chunk", self.delta({"role": "assistant", "content": ""}))] if self.rng.random() < 0.7 else []

    def opening(self, kind: str) -> list[Fields]:
        """Only a call has one: its name."""
        if kind != CALL:
            return []
        call = {"index": 0, "id": CALL_ID, "type": "function", "function": {"name": CALL_NAME, "arguments": ""}}
        return [("chunk", self.delta({"tool_calls": [call]}), CALL, "", False, False, None, False, True)]

    def piece(self, kind: str, text: str) -> Fields:
        """More of a part."""
        if kind == CALL:
            delta: dict[str, Any] = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        else:
            delta = {"content" if kind == TEXT else "reasoning_content": text}
        return ("chunk", self.delta(delta), kind, text)

    def closing(self, kind: str) -> list[Fields]:
        """A part ends where another begins."""
        return []

    def usage(self) -> tuple[dict[str, Any], Count]:
        """The usage object, empty where nothing is counted."""
        numbers = self.numbers
        if numbers is None:
            return {}, told(None, given=False)
        if self.is_absurd:
            bad = pick(self.rng, ({"prompt_tokens": -1, "completion_tokens": 5}, {"prompt_tokens": HUGE}))
            return {"usage": bad}, told(None, given=True)
        usage = {
            "prompt_tokens": numbers.prompt,
            "completion_tokens": numbers.output,
            "total_tokens": numbers.prompt + numbers.output,
            "prompt_tokens_details": {"cached_tokens": numbers.cached},
            "completion_tokens_details": {"reasoning_tokens": numbers.reasoning},
        }
        return {"usage": usage}, told(numbers.usage(), given=True)

    def finish(self) -> list[Fields]:
        """The reason, and the usage in a chunk of its own."""
        items: list[Fields] = [("chunk", self.delta({}, pick(self.rng, REASONS)), TEXT, "", True)]
        usage, count = self.usage()
        if usage:
            items.append(("usage", self.chunk([], **usage), TEXT, "", False, count.told, count.usage))
        return items

    def end(self) -> list[Fields]:
        """The end mark."""
        return [("done", self.event("", "[DONE]"))]

    def error(self) -> Fields:
        """An error object in place of a chunk."""
        return ("error", self.event("", self.data({"error": {"message": "overloaded", "code": 529}})))

    def unknown(self) -> Fields:
        """A chunk without choices."""
        return ("chunk", self.chunk([]))


class ChatVoice(Voice):
    """Chat completions on both sides."""

    dialect = Dialect.OPENAI_CHAT
    teller = ChatTeller
    bad_answers = (b'{"error":{"message":"no"}}', b'{"error":"no","choices":[]}', b'{"choices":5}')
    tells_cost = True

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A request; usage is asked for or not."""
        body: dict[str, Any] = {"model": "asked", "messages": [{"role": "user", "content": text}]}
        if stream:
            body["stream"] = True
            if rng.random() < 0.6:
                body["stream_options"] = {"include_usage": rng.random() < 0.7}
        if rng.random() < 0.3:
            body["max_tokens"] = 100
        return Asked(body, "", stream=False)

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked."""
        need(head.startswith(b"POST /chat/completions HTTP/1.1\r\n"), f"asked at {head[:60]!r}")
        content = body["messages"][-1]["content"]
        streams = body.get("stream", False)
        if streams:
            need(body["stream_options"]["include_usage"] is True, "usage was not asked for")
        return body["model"], content if isinstance(content, str) else content[0]["text"], streams

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """A whole completion."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        for kind, text in parts:
            if kind == CALL:
                function = {"name": CALL_NAME, "arguments": text}
                message["tool_calls"] = [{"id": CALL_ID, "type": "function", "function": function}]
            else:
                message["content" if kind == TEXT else "reasoning_content"] = text
        usage, count = teller.usage()
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return teller.data({"id": "c-1", "object": "chat.completion", "choices": [choice], **usage}).encode(), count

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """An error, with a code or without."""
        code = pick(rng, ("", "", "rate_limit_exceeded", "insufficient_quota", "context_length_exceeded"))
        return {"error": {"message": "no", "type": "server_error", **({"code": code} if code else {})}}, code

    def hear(self, body: bytes, query: bytes) -> Heard:
        """Chunks until the end mark or an error."""
        heard = Heard()
        finished = False
        for at, name, data in events(body):
            need(not heard.ending and not name, "an event after the end, or a named one")
            heard.last_at = at
            if data == "[DONE]":
                heard.ending = "whole"
                need(finished, "the end without a finish reason")
                continue
            chunk = load(data)
            if "error" in chunk:
                need(isinstance(chunk["error"], str | dict), "an error without words")
                heard.ending = "error"
                continue
            need(chunk["object"] == "chat.completion.chunk" and isinstance(chunk["id"], str), f"no chunk: {data}")
            if chunk.get("usage"):
                _hear_usage(heard, chunk["usage"])
            for choice in chunk["choices"]:
                need(choice["index"] == 0, "a choice that nobody asked for")
                need(not finished or not _says(choice["delta"]), "text behind the finish reason")
                _hear_message(heard, choice["delta"])
                if choice.get("finish_reason"):
                    need(not finished, "two finish reasons")
                    finished = True
        return heard

    def hear_whole(self, body: bytes) -> Heard:
        """One completion."""
        answer = load(body)
        heard = Heard(ending="whole")
        [choice] = answer["choices"]
        need(isinstance(choice["finish_reason"], str), "no finish reason")
        _hear_message(heard, choice["message"])
        if CALL in heard.texts:
            heard.texts[CALL] = compact(load(heard.texts[CALL]))
        if answer.get("usage"):
            _hear_usage(heard, answer["usage"])
        return heard

    def hear_error(self, body: bytes) -> None:
        """The gateway's error object."""
        error = load(body)["error"]
        texts = (error["message"], error["type"], error["metadata"]["error_type"])
        need(all(isinstance(each, str) for each in texts), "an error without words")


def _says(delta: dict[str, Any]) -> bool:
    return bool(delta.get("content") or delta.get("tool_calls") or delta.get("reasoning_content"))


def _hear_message(heard: Heard, message: dict[str, Any]) -> None:
    heard.add(TEXT, message.get("content") or "")
    heard.add(THOUGHT, message.get("reasoning_content") or "")
    for call in message.get("tool_calls") or ():
        heard.add(CALL, call["function"].get("arguments") or "")


def _hear_usage(heard: Heard, usage: dict[str, Any]) -> None:
    heard.usage = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    heard.cost = usage.get("cost")


VOICE = ChatVoice()
