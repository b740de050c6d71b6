"""Amazon Bedrock's Converse, after its API reference: binary messages with a checksum."""

from __future__ import annotations

from random import Random
from typing import Any, Final
from urllib.parse import unquote

from tests.fake_provider.aws import message, split
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
    need,
    told,
)
from tokenway.model.catalog import Dialect

STREAM_TYPE: Final = b"application/vnd.amazon.eventstream"
_REASONS = ("end_turn", "max_tokens", "tool_use", "stop_sequence", "content_filtered")


class BedrockTeller(Teller):
    """A stream of messages."""

    def told(self, kind: str, **more: Any) -> bytes:
        """One event."""
        headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        return message(headers, self.data({**more, "p": "abcdefghijkl"[: self.rng.randrange(12)]}).encode())

    def start(self) -> list[Fields]:
        """The message."""
        return [("chunk", self.told("messageStart", role="assistant"))]

    def opening(self, kind: str) -> list[Fields]:
        """Only a tool has one."""
        if kind != CALL:
            return []
        start = {"toolUse": {"toolUseId": CALL_ID, "name": CALL_NAME}}
        data = self.told("contentBlockStart", contentBlockIndex=self.parts, start=start)
        return [("chunk", data, kind, "", False, False, None, False, True)]

    def piece(self, kind: str, text: str) -> Fields:
        """A delta."""
        delta: dict[str, Any] = {"text": text}
        if kind != TEXT:
            delta = {"reasoningContent": {"text": text}} if kind == THOUGHT else {"toolUse": {"input": text}}
        data = self.told("contentBlockDelta", contentBlockIndex=max(0, self.parts), delta=delta)
        return ("chunk", data, kind, text)

    def closing(self, kind: str) -> list[Fields]:
        """The block stops."""
        return [("chunk", self.told("contentBlockStop", contentBlockIndex=self.parts))]

    def usage(self) -> tuple[dict[str, Any], Count]:
        """The usage; cached tokens stand beside the others, and reasoning is not told."""
        numbers = self.numbers
        if numbers is None:
            return {}, told(None, given=False)
        plain = numbers.prompt - numbers.cached
        usage: dict[str, Any] = {
            "inputTokens": plain,
            "outputTokens": numbers.output,
            "totalTokens": numbers.prompt + numbers.output,
            "cacheReadInputTokens": numbers.cached,
        }
        if self.is_absurd:
            bad = pick(self.rng, ({"inputTokens": -1}, {"outputTokens": HUGE}, {"totalTokens": 1 + 2 * HUGE}))
            return {"usage": usage | bad}, told(None, given=True)
        return {"usage": usage}, told(numbers.usage(numbers.output), given=True)

    def finish(self) -> list[Fields]:
        """The reason."""
        data = self.told("messageStop", stopReason=pick(self.rng, _REASONS))
        return [("chunk", data, TEXT, "", True, False, None, True)]

    def end(self) -> list[Fields]:
        """The count."""
        usage, count = self.usage()
        data = self.told("metadata", **usage, metrics={"latencyMs": 5})
        return [("done", data, TEXT, "", False, count.told, count.usage)]

    def error(self) -> Fields:
        """An exception, or an error without a type."""
        if self.rng.random() < 0.3:
            headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "overloaded"}
            return ("error", message(headers, b""))
        kind = pick(self.rng, ("throttlingException", "serviceUnavailableException", "modelStreamErrorException"))
        headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
        return ("error", message(headers, b'{"message":"overloaded"}'))

    def unknown(self) -> Fields:
        """An event that nobody knows."""
        return ("chunk", self.told("moodChanged", mood="fair"))

    def ping(self) -> Fields:
        """There is none: nothing at all."""
        return ("comment", b"")

    def strange(self) -> Fields:
        """An event that cannot come first."""
        return ("garbage", self.told("contentBlockStop", contentBlockIndex=0))

    def garbage(self) -> Fields:
        """Text, or a message with a wrong checksum."""
        if self.rng.random() < 0.5:
            return ("garbage", b"<html>no</html>" + b" " * 20)
        whole = self.told("messageStart", role="assistant")
        return ("garbage", whole[:-1] + bytes([whole[-1] ^ 1]))


class BedrockVoice(Voice):
    """Converse on both sides."""

    dialect = Dialect.BEDROCK
    stream_type = STREAM_TYPE
    teller = BedrockTeller
    is_binary = True
    bad_answers = (b'{"message":"no"}', b'{"output":5}', b'{"output":{}}')

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A request."""
        body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": text}]}]}
        if rng.random() < 0.3:
            body["inferenceConfig"] = {"maxTokens": 100}
        return Asked(body, "asked", stream)

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked."""
        path = head.split(b" ", 2)[1].decode()
        stream = path.endswith("/converse-stream")
        need(stream or path.endswith("/converse"), f"asked at {path}")
        model = unquote(path.removeprefix("/model/").rpartition("/")[0])
        return model, body["messages"][-1]["content"][0]["text"], stream

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """A whole answer."""
        content: list[dict[str, Any]] = []
        for kind, text in parts:
            if kind == TEXT:
                content.append({"text": text})
            elif kind == THOUGHT:
                content.append({"reasoningContent": {"reasoningText": {"text": text}}})
            else:
                content.append({"toolUse": {"toolUseId": CALL_ID, "name": CALL_NAME, "input": load(text)}})
        usage, count = teller.usage()
        output = {"message": {"role": "assistant", "content": content}}
        return teller.data({"output": output, "stopReason": "end_turn", **usage}).encode(), count

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """An exception."""
        return {"message": "no"}, ""

    def hear(self, body: bytes, query: bytes) -> Heard:
        """Messages in their order."""
        heard = Heard()
        blocks: dict[int, str] = {}
        state, at = "new", 0
        for headers, payload in split(body):
            need(heard.ending in {"", "stopped"}, "a message after the end")
            heard.last_at = at
            at += 16 + len(payload) + sum(len(name) + len(value) + 4 for name, value in headers.items())
            if headers[":message-type"] != "event":
                need(heard.ending == "", "an error after the end")
                _hear_failure(headers, payload)
                heard.ending = "error"
                continue
            event, kind = load(payload), headers[":event-type"]
            need(headers[":content-type"] == "application/json", "no JSON")
            state = _step(heard, blocks, state, kind, event)
        if heard.ending == "stopped":
            heard.ending = "whole"
        return heard

    def hear_whole(self, body: bytes) -> Heard:
        """One answer."""
        answer = load(body)
        heard = Heard({}, "whole")
        need(isinstance(answer["stopReason"], str), "no stop reason")
        for block in answer["output"]["message"]["content"]:
            if "toolUse" in block:
                heard.add(CALL, compact(block["toolUse"]["input"]))
            elif "reasoningContent" in block:
                heard.add(THOUGHT, block["reasoningContent"]["reasoningText"]["text"])
            else:
                heard.add(TEXT, block["text"])
        _hear_usage(heard, answer)
        return heard

    def hear_error(self, body: bytes) -> None:
        """The gateway's error object."""
        value = load(body)
        need(isinstance(value["message"], str) and value["__type"].endswith("Exception"), "an error without words")


def _step(heard: Heard, blocks: dict[int, str], state: str, kind: str, event: dict[str, Any]) -> str:
    index = event.get("contentBlockIndex", -1)
    if kind == "messageStart":
        need(state == "new" and event["role"] == "assistant", "a second message")
        return "open"
    if kind == "contentBlockStart":
        need(state == "open" and index == len(blocks), "a block where none can be")
        blocks[index] = CALL
    elif kind == "contentBlockDelta":
        need(state == "open" and blocks.get(index) != "", "a delta where none can be")
        if index not in blocks:
            need(index == len(blocks), "a block is left out")
            blocks[index] = TEXT
        delta = event["delta"]
        heard.add(TEXT, delta.get("text", ""))
        heard.add(THOUGHT, delta.get("reasoningContent", {}).get("text", ""))
        heard.add(CALL, delta.get("toolUse", {}).get("input", ""))
    elif kind == "contentBlockStop":
        need(blocks.get(index) != "" and index in blocks, "a block stops that is not open")
        blocks[index] = ""
    elif kind == "messageStop":
        need(state == "open" and not any(blocks.values()), "an end with an open block")
        need(isinstance(event["stopReason"], str), "no stop reason")
        heard.ending = "stopped"
        return "stopped"
    elif kind == "metadata":
        need(state == "stopped", "a count before the end")
        _hear_usage(heard, event)
        heard.ending = "whole"
    else:
        need(kind == "moodChanged" and state != "new", f"a strange {kind}")
    return state


def _hear_failure(headers: dict[str, str], payload: bytes) -> None:
    if headers[":message-type"] == "exception":
        need(headers[":exception-type"].endswith("Exception"), "an exception without a type")
        need(isinstance(load(payload)["message"], str), "an exception without words")
    else:
        need(headers[":message-type"] == "error" and headers[":error-code"] != "", "an error without a code")


def _hear_usage(heard: Heard, event: dict[str, Any]) -> None:
    usage = event.get("usage")
    if usage:
        cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
        heard.usage = (usage["inputTokens"] + cached, usage["outputTokens"])


VOICE = BedrockVoice()
