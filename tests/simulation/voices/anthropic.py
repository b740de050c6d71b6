"""Anthropic's messages, after its API reference: a message starts, has blocks, gets a delta, and stops."""

from __future__ import annotations

from random import Random
from typing import Any

from tests.simulation.bodies import Count, Fields
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

_BLOCKS: dict[str, dict[str, Any]] = {
    TEXT: {"type": "text", "text": ""},
    THOUGHT: {"type": "thinking", "thinking": "", "signature": ""},
    CALL: {"type": "tool_use", "id": CALL_ID, "name": CALL_NAME, "input": {}},
}
_DELTAS = {
    TEXT: ("text_delta", "text"),
    THOUGHT: ("thinking_delta", "thinking"),
    CALL: ("input_json_delta", "partial_json"),
}
_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal")


class AnthropicTeller(Teller):
    """A stream of named events."""

    NAMED = True

    def told(self, kind: str, **more: Any) -> bytes:
        """One event."""
        return self.event(kind, self.data({"type": kind, **more}))

    def start(self) -> list[Fields]:
        """The message, with the count of the prompt."""
        message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": []}
        message |= {"stop_reason": None, "stop_sequence": None}
        count = told(None, given=False)
        if self.numbers is not None:
            message["usage"] = self.input_usage() | {"output_tokens": 1}
            count = told(self.numbers.usage(1), given=True)
        data = self.told("message_start", message=message)
        return [("chunk", data, TEXT, "", False, count.told, count.usage)]

    def input_usage(self) -> dict[str, Any]:
        """The prompt: cached tokens stand beside the others."""
        numbers = self.numbers
        if numbers is None:
            return {}
        return {"input_tokens": numbers.prompt - numbers.cached, "cache_read_input_tokens": numbers.cached}

    def usage(self) -> tuple[dict[str, Any], Count]:
        """The whole usage, empty where nothing is counted."""
        numbers = self.numbers
        if numbers is None:
            return {}, told(None, given=False)
        if self.is_absurd:
            bad: Any = pick(self.rng, (-1, HUGE, "many"))
            return {"usage": self.input_usage() | {"output_tokens": bad}}, told(None, given=True)
        details = {"output_tokens": numbers.output, "output_tokens_details": {"thinking_tokens": numbers.reasoning}}
        return {"usage": self.input_usage() | details}, told(numbers.usage(), given=True)

    def opening(self, kind: str) -> list[Fields]:
        """A block starts."""
        data = self.told("content_block_start", index=self.parts, content_block=_BLOCKS[kind])
        return [("chunk", data, kind, "", False, False, None, False, kind == CALL)]

    def piece(self, kind: str, text: str) -> Fields:
        """A delta of the block."""
        name, member = _DELTAS[kind]
        data = self.told("content_block_delta", index=max(0, self.parts), delta={"type": name, member: text})
        return ("chunk", data, kind, text)

    def closing(self, kind: str) -> list[Fields]:
        """A block stops; a thought is signed first."""
        items: list[Fields] = []
        if kind == THOUGHT:
            delta = {"type": "signature_delta", "signature": "c2lnbmVk"}
            items.append(("chunk", self.told("content_block_delta", index=self.parts, delta=delta)))
        items.append(("chunk", self.told("content_block_stop", index=self.parts)))
        return items

    def finish(self) -> list[Fields]:
        """The reason and the count."""
        usage, count = self.usage()
        reason = pick(self.rng, _REASONS)
        delta = {"stop_reason": reason, "stop_sequence": "END" if reason == "stop_sequence" else None}
        data = self.told("message_delta", delta=delta, **usage)
        return [("chunk", data, TEXT, "", True, count.told, count.usage)]

    def end(self) -> list[Fields]:
        """The end mark."""
        return [("done", self.told("message_stop"))]

    def error(self) -> Fields:
        """The event `error`."""
        return ("error", self.told("error", error={"type": "overloaded_error", "message": "overloaded"}))

    def unknown(self) -> Fields:
        """An event that nobody knows."""
        return ("chunk", self.told("content_block_mood", index=0, mood="fair"))

    def ping(self) -> Fields:
        """Anthropic's own, or a comment."""
        return super().ping() if self.rng.random() < 0.3 else ("comment", self.told("ping"))

    def strange(self) -> Fields:
        """A block before the message, or another dialect's event."""
        if self.rng.random() < 0.5:
            return super().strange()
        return ("garbage", self.told("content_block_start", index=0, content_block=_BLOCKS[TEXT]))


class AnthropicVoice(Voice):
    """Messages on both sides."""

    dialect = Dialect.ANTHROPIC
    teller = AnthropicTeller
    bad_answers = (
        b'{"type":"error","error":{"type":"api_error","message":"no"}}',
        b'{"content":5}',
        b'{"type":"message"}',
    )

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A request."""
        content: Any = text if rng.random() < 0.5 else [{"type": "text", "text": text}]
        body: dict[str, Any] = {"model": "asked", "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
        if stream:
            body["stream"] = True
        if rng.random() < 0.2:
            body["system"] = "Be brief."
        return Asked(body, "", stream=False)

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked."""
        need(head.startswith(b"POST /messages HTTP/1.1\r\n"), f"asked at {head[:60]!r}")
        need(b"\r\nanthropic-version: 2023-06-01\r\n" in head, "no version")
        need(body["max_tokens"] >= 1, "no limit")
        content = body["messages"][-1]["content"]
        return body["model"], content if isinstance(content, str) else content[0]["text"], body.get("stream", False)

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """A whole message."""
        content = []
        for kind, text in parts:
            _, member = _DELTAS[kind]
            more = {"input": load(text)} if kind == CALL else {member: text}
            content.append(_BLOCKS[kind] | more)
        usage, count = teller.usage()
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": content}
        return teller.data({**message, "stop_reason": "end_turn", "stop_sequence": None, **usage}).encode(), count

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """An error object."""
        kind = pick(rng, ("overloaded_error", "api_error", "invalid_request_error", "rate_limit_error"))
        return {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}, ""

    def hear(self, body: bytes, query: bytes) -> Heard:
        """Events in their order: message, blocks, delta, stop."""
        heard = Heard()
        state = "new"
        blocks: dict[int, str] = {}
        for at, name, data in events(body):
            event = load(data)
            kind = event["type"]
            need(kind == name, f"the event {kind} is called {name!r}")
            need(not heard.ending, f"{kind} after the end")
            heard.last_at = at
            if kind == "error":
                _hear_failure(event)
                heard.ending = "error"
            elif kind == "message_start":
                need(state == "new", "a second message")
                state = "open"
                need(event["message"]["content"] == [] and isinstance(event["message"]["id"], str), "no empty message")
                _hear_usage(heard, event["message"].get("usage"))
            elif kind == "content_block_start":
                need(state == "open" and event["index"] not in blocks, "a block where none can be")
                need(event["index"] == len(blocks), "a block is left out")
                blocks[event["index"]] = event["content_block"]["type"]
                _hear_block(heard, event["content_block"], is_start=True)
            elif kind == "content_block_delta":
                need(blocks.get(event["index"]) is not None and state == "open", "a delta of no open block")
                _hear_delta(heard, event["delta"], blocks[event["index"]])
            elif kind == "content_block_stop":
                need(blocks[event["index"]] != "", "a block stops twice")
                blocks[event["index"]] = ""
            elif kind == "message_delta":
                need(state == "open" and not any(blocks.values()), "an end with an open block")
                need(isinstance(event["delta"]["stop_reason"], str), "no stop reason")
                state = "last"
                _hear_usage(heard, event.get("usage"))
            elif kind == "message_stop":
                need(state == "last", "a stop without a reason")
                heard.ending = "whole"
            else:
                need(kind in {"ping", "content_block_mood"} and state != "new", f"a strange {kind}")
        return heard

    def hear_whole(self, body: bytes) -> Heard:
        """One message."""
        message = load(body)
        need(message["type"] == "message" and isinstance(message["stop_reason"], str), "no message")
        heard = Heard(ending="whole")
        for block in message["content"]:
            _hear_block(heard, block, is_start=False)
        _hear_usage(heard, message.get("usage"))
        return heard

    def hear_error(self, body: bytes) -> None:
        """The gateway's error object."""
        event = load(body)
        _hear_failure(event)
        need(isinstance(event["error"]["error_type"], str) and isinstance(event["request_id"], str), "no error of ours")


def _hear_failure(event: dict[str, Any]) -> None:
    error = event["error"]
    need(event["type"] == "error" and error["type"].endswith("_error"), f"no error: {event}")
    need(isinstance(error["message"], str), "an error without words")


def _hear_block(heard: Heard, block: dict[str, Any], *, is_start: bool) -> None:
    if block["type"] == "tool_use":
        need(isinstance(block["id"], str) and isinstance(block["name"], str), "a call without a name")
        need(not is_start or block["input"] == {}, "a call that starts with its input")
        heard.add(CALL, "" if is_start else compact(block["input"]))
    else:
        need(block["type"] in {"text", "thinking", "redacted_thinking"}, f"a block of type {block['type']}")
        heard.add(TEXT, block.get("text", ""))
        heard.add(THOUGHT, block.get("thinking", ""))


def _hear_delta(heard: Heard, delta: dict[str, Any], block: str) -> None:
    allowed = {
        "text": {"text_delta", "citations_delta"},
        "thinking": {"thinking_delta", "signature_delta"},
        "tool_use": {"input_json_delta"},
    }
    need(delta["type"] in allowed[block], f"{delta['type']} in a block of {block}")
    heard.add(TEXT, delta.get("text", ""))
    heard.add(THOUGHT, delta.get("thinking", ""))
    heard.add(CALL, delta.get("partial_json", ""))


def _hear_usage(heard: Heard, usage: dict[str, Any] | None) -> None:
    if not usage:
        return
    before = heard.usage or (0, 0)
    into = before[0]
    if "input_tokens" in usage:
        parts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        into = sum(usage.get(name) or 0 for name in parts)
    heard.usage = (into, usage.get("output_tokens", before[1]))


VOICE = AnthropicVoice()
