"""OpenAI's responses, after its API reference: numbered events around items, and the whole response at the end."""

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

_KINDS = {TEXT: "output_text", THOUGHT: "reasoning_summary_text", CALL: "function_call_arguments"}
_KEYS = {f"response.{name}.delta": kind for kind, name in _KINDS.items()} | {"response.reasoning_text.delta": THOUGHT}
_ENDS = {"response.completed", "response.incomplete"}


def _item(kind: str, number: int, text: str, *, done: bool) -> dict[str, Any]:
    """An item of the output, as it is added or complete."""
    if kind == TEXT:
        content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}] if done else []
        return {"id": f"msg_{number}", "type": "message", "role": "assistant", "content": content}
    if kind == THOUGHT:
        summary = [{"type": "summary_text", "text": text}] if done else []
        return {"id": f"rs_{number}", "type": "reasoning", "summary": summary}
    said = {"call_id": CALL_ID, "name": CALL_NAME, "arguments": text if done else ""}
    return {"id": f"fc_{number}", "type": "function_call", **said}


class ResponsesTeller(Teller):
    """A stream of numbered, named events."""

    NAMED = True
    END_ALONE = True

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.number = -1

    def told(self, kind: str, **more: Any) -> bytes:
        """One event."""
        self.number += 1
        return self.event(kind, self.data({"type": kind, "sequence_number": self.number, **more}))

    def response(self, status: str, **more: Any) -> dict[str, Any]:
        """The response object."""
        return {"id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "up", **more}

    def start(self) -> list[Fields]:
        """The response is there, and at work."""
        started = {"response": self.response("in_progress", output=[], usage=None, error=None)}
        items: list[Fields] = [("chunk", self.told("response.created", **started))]
        if self.rng.random() < 0.6:
            items.append(("chunk", self.told("response.in_progress", **started)))
        return items

    def opening(self, kind: str) -> list[Fields]:
        """An item is added, and a content or a summary in it."""
        where = {"output_index": self.parts}
        added = self.told("response.output_item.added", **where, item=_item(kind, self.parts, "", done=False))
        items: list[Fields] = [("chunk", added, kind, "", False, False, None, False, kind == CALL)]
        if kind == TEXT:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            more = {"item_id": f"msg_{self.parts}", **where, "content_index": 0, "part": part}
            items.append(("chunk", self.told("response.content_part.added", **more)))
        elif kind == THOUGHT:
            more = {"item_id": f"rs_{self.parts}", **where, "summary_index": 0}
            more["part"] = {"type": "summary_text", "text": ""}
            items.append(("chunk", self.told("response.reasoning_summary_part.added", **more)))
        return items

    def piece(self, kind: str, text: str) -> Fields:
        """A delta."""
        data = self.told(f"response.{_KINDS[kind]}.delta", **self.where(kind), delta=text)
        return ("chunk", data, kind, text)

    def where(self, kind: str) -> dict[str, Any]:
        """The place of what an event is about."""
        number = max(0, self.parts)
        inner = {TEXT: {"content_index": 0}, THOUGHT: {"summary_index": 0}, CALL: {}}[kind]
        return {"item_id": _item(kind, number, "", done=False)["id"], "output_index": number, **inner}

    def closing(self, kind: str) -> list[Fields]:
        """All of it once more, and the item is done."""
        text = self.sealed[-1][1]
        where = self.where(kind)
        value = {"arguments": text} if kind == CALL else {"text": text}
        items: list[Fields] = [("chunk", self.told(f"response.{_KINDS[kind]}.done", **where, **value))]
        item = _item(kind, self.parts, text, done=True)
        if kind == TEXT:
            items.append(("chunk", self.told("response.content_part.done", **where, part=item["content"][0])))
        items.append(("chunk", self.told("response.output_item.done", output_index=self.parts, item=item)))
        return items

    def usage(self) -> tuple[dict[str, Any], Count]:
        """The usage object, null where nothing is counted."""
        numbers = self.numbers
        if numbers is None:
            return {"usage": None}, told(None, given=False)
        if self.is_absurd:
            bad = pick(self.rng, ({"input_tokens": -1}, {"output_tokens": HUGE}, {"input_tokens": "many"}))
            return {"usage": bad}, told(None, given=True)
        usage = {
            "input_tokens": numbers.prompt,
            "input_tokens_details": {"cached_tokens": numbers.cached},
            "output_tokens": numbers.output,
            "output_tokens_details": {"reasoning_tokens": numbers.reasoning},
            "total_tokens": numbers.prompt + numbers.output,
        }
        return {"usage": usage}, told(numbers.usage(), given=True)

    def finish(self) -> list[Fields]:
        """Stands with the end."""
        return []

    def end(self) -> list[Fields]:
        """The whole response."""
        output = [_item(kind, number, text, done=True) for number, (kind, text) in enumerate(self.sealed)]
        usage, count = self.usage()
        status = pick(self.rng, ("completed", "completed", "incomplete"))
        more = {"incomplete_details": {"reason": "max_output_tokens"}} if status == "incomplete" else {}
        data = self.told(f"response.{status}", response=self.response(status, output=output, **usage, **more))
        return [("done", data, TEXT, "", True, count.told, count.usage)]

    def error(self) -> Fields:
        """The response failed, or an error without one."""
        error = {"code": "server_error", "message": "overloaded"}
        if self.rng.random() < 0.3:
            return ("error", self.told("error", **error, param=None))
        response = self.response("failed", error=error, output=[], usage=None)
        return ("error", self.told("response.failed", response=response))

    def unknown(self) -> Fields:
        """An event that nobody knows, or one that only keeps the connection alive."""
        return ("chunk", self.told(pick(self.rng, ("response.mood.changed", "keepalive"))))

    def strange(self) -> Fields:
        """A chunk of chat, or nothing."""
        text = pick(self.rng, ("{}", '{"object":"chat.completion.chunk","choices":[]}', '{"type":"message_start"}'))
        return ("garbage", self.event("", text))


class ResponsesVoice(Voice):
    """Responses on both sides."""

    dialect = Dialect.OPENAI_RESPONSES
    turns = "input"
    teller = ResponsesTeller
    bad_answers = (
        b'{"error":{"message":"no"}}',
        b'{"id":"r","status":"failed","output":[],"error":{"message":"no"}}',
        b'{"output":5,"status":"completed"}',
    )
    tells_cost = True

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A request."""
        listed = [{"role": "user", "content": [{"type": "input_text", "text": text}]}]
        body: dict[str, Any] = {"model": "asked", "input": text if rng.random() < 0.5 else listed, "store": False}
        if stream:
            body["stream"] = True
        if rng.random() < 0.3:
            body["max_output_tokens"] = 100
        return Asked(body, "", stream=False)

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked."""
        need(head.startswith(b"POST /responses HTTP/1.1\r\n"), f"asked at {head[:60]!r}")
        given = body["input"]
        content = given if isinstance(given, str) else given[-1]["content"]
        return body["model"], content if isinstance(content, str) else content[0]["text"], body.get("stream", False)

    def prefix(self, request: bytes) -> str:
        """There is none."""
        given = load(request)["input"]
        need(isinstance(given, str) or given[-1].get("role") != "assistant", "asked to go on with a text")
        return ""

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """A whole response."""
        usage, count = teller.usage()
        output = [_item(kind, number, text, done=True) for number, (kind, text) in enumerate(parts)]
        return teller.data(teller.response("completed", output=output, error=None, **usage)).encode(), count

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """An error, with a code or without."""
        code = pick(rng, ("", "rate_limit_exceeded", "insufficient_quota", "context_length_exceeded"))
        return {"error": {"message": "no", "type": "server_error", "code": code or None}}, code

    def hear(self, body: bytes, query: bytes) -> Heard:
        """Events in their order, which say everything twice."""
        heard = Heard()
        ear = _Ear(heard)
        for at, name, data in events(body):
            event = load(data)
            need(not heard.ending, "an event after the end")
            need(event["type"] == name, f"the event {event['type']} is called {name!r}")
            heard.last_at = at
            ear.take(event["type"], event)
        return heard

    def hear_whole(self, body: bytes) -> Heard:
        """One response."""
        response = load(body)
        need(response["object"] == "response" and response["status"] in {"completed", "incomplete"}, "no response")
        heard = Heard({}, "whole")
        _hear_output(heard, response["output"])
        _hear_usage(heard, response)
        if CALL in heard.texts:
            heard.texts[CALL] = compact(load(heard.texts[CALL]))
        return heard

    def hear_error(self, body: bytes) -> None:
        """The gateway's error object."""
        value = load(body)
        error = value["error"]
        texts = (error["message"], error["type"], value["error_type"])
        need(all(isinstance(each, str) for each in texts), "an error without words")


class _Ear:
    """What has been heard of one stream."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self.number = -1
        self.id: Any = None
        self.items: dict[int, str] = {}
        """The text of each item; a thought's pieces are joined as they come."""
        self.done: set[int] = set()

    def take(self, kind: str, event: dict[str, Any]) -> None:
        """One event."""
        heard = self.heard
        need(event["sequence_number"] > self.number, f"{kind} has the number {event['sequence_number']}")
        self.number = event["sequence_number"]
        if kind in {"error", "response.failed"}:
            self._fail(kind, event)
            return
        need(self.id is not None or kind in {"response.created", "keepalive"}, f"{kind} comes first")
        index = event.get("output_index", -1)
        if kind == "response.created":
            need(self.id is None, "created twice")
            self.id = event["response"]["id"]
        elif kind == "response.output_item.added":
            need(index == len(self.items), "an item is left out")
            self.items[index] = ""
        elif kind in _KEYS:
            need(index in self.items and index not in self.done, "a delta of no open item")
            self.items[index] += event["delta"]
            heard.add(_KEYS[kind], event["delta"])
        elif kind == "response.output_text.done":
            need(event["text"] == self.items[index], "the text is not what its deltas said")
        elif kind == "response.function_call_arguments.done":
            need(event["arguments"] == self.items[index], "the arguments are not what their deltas said")
        elif kind == "response.output_item.done":
            need(index in self.items and index not in self.done, "an item is done twice")
            self.done.add(index)
        elif kind in _ENDS:
            self._end(kind, event["response"])

    def _fail(self, kind: str, event: dict[str, Any]) -> None:
        error = event if kind == "error" else event["response"]["error"]
        need(isinstance(error["message"], str) and isinstance(error["code"], str), "an error without words")
        if kind == "response.failed":
            need(event["response"]["status"] == "failed", "a failure that has not failed")
            need(self.id is None or event["response"]["id"] == self.id, "the failure of another response")
        self.heard.ending = "error"

    def _end(self, kind: str, response: dict[str, Any]) -> None:
        need(response["status"] == kind.removeprefix("response."), "another status")
        need(response["id"] == self.id, "the end of another response")
        need(len(self.done) == len(self.items) == len(response["output"]), "items that are not done")
        whole = Heard()
        _hear_output(whole, response["output"])
        need(whole.texts == self.heard.texts, f"the end says {whole.texts}, the deltas said {self.heard.texts}")
        _hear_usage(self.heard, response)
        self.heard.ending = "whole"


def _hear_output(heard: Heard, output: list[dict[str, Any]]) -> None:
    for item in output:
        if item["type"] == "message":
            for content in item["content"]:
                heard.add(TEXT, content["text"])
        elif item["type"] == "reasoning":
            for piece in [*item["summary"], *item.get("content", ())]:
                heard.add(THOUGHT, piece["text"])
        else:
            need(item["type"] == "function_call", f"an item of type {item['type']}")
            heard.add(CALL, item["arguments"])


def _hear_usage(heard: Heard, response: dict[str, Any]) -> None:
    usage = response.get("usage")
    if usage:
        heard.usage = (usage.get("input_tokens"), usage.get("output_tokens"))
        heard.cost = usage.get("cost")


VOICE = ResponsesVoice()
