"""Google's Gemini, after its API reference: each event is a response, and the body's end is the answer's."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import unquote

from tests.simulation.bodies import Count, Fields
from tests.simulation.client import load
from tests.simulation.clock import pick
from tests.simulation.voices.base import (
    CALL,
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
from tokenway.model.usage import Usage

_REASONS = ("STOP", "STOP", "MAX_TOKENS", "SAFETY")


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == CALL:
        return {"functionCall": {"name": CALL_NAME, "args": load(text)}}
    return {"text": text, "thought": True} if kind == THOUGHT else {"text": text}


class GeminiTeller(Teller):
    """A stream of responses."""

    HAS_END = False

    def __init__(self, rng: Random) -> None:
        super().__init__(rng)
        self.counts_always = rng.random() < 0.5
        self.count = 0

    def response(self, parts: list[dict[str, Any]], usage: dict[str, Any], **more: Any) -> str:
        """One response."""
        content = {"parts": parts, "role": "model"} if parts else {}
        candidate = {"content": content, "index": 0, **more}
        return self.data({"candidates": [candidate], **usage, "modelVersion": "up", "responseId": "r-1"})

    def so_far(self) -> tuple[dict[str, Any], Usage | None]:
        """The count in the middle of the answer."""
        numbers = self.numbers
        if numbers is None or not self.counts_always:
            return {}, None
        usage = self.spelled(self.count, 0)
        return usage, numbers.usage(self.count)

    def spelled(self, output: int, thoughts: int) -> dict[str, Any]:
        """A count; reasoning is beside the candidates'."""
        numbers = self.numbers
        if numbers is None:
            return {}
        usage = {
            "promptTokenCount": numbers.prompt,
            "cachedContentTokenCount": numbers.cached,
            "candidatesTokenCount": output,
            "thoughtsTokenCount": thoughts,
            "totalTokenCount": numbers.prompt + output + thoughts,
        }
        return {"usageMetadata": usage}

    def usage(self) -> tuple[dict[str, Any], Count]:
        """The last count."""
        numbers = self.numbers
        if numbers is None:
            return {}, told(None, given=False)
        if self.is_absurd:
            bad = pick(
                self.rng,
                ({"promptTokenCount": -1}, {"promptTokenCount": HUGE}, {"promptTokenCount": 1, "totalTokenCount": 9}),
            )
            return {"usageMetadata": bad}, told(None, given=True)
        usage = self.spelled(numbers.output - numbers.reasoning, numbers.reasoning)
        return usage, told(numbers.usage(), given=True)

    def start(self) -> list[Fields]:
        """It begins with its first part."""
        return []

    def part(self, kind: str, texts: list[str]) -> Iterator[Fields]:
        """A call is in one piece."""
        for text in ["".join(texts)] if kind == CALL else texts:
            yield self.piece(kind, text)

    def piece(self, kind: str, text: str) -> Fields:
        """A response with one part."""
        self.count += 1
        usage, count = self.so_far()
        data = self.event("", self.response([_part(kind, text)], usage))
        return ("chunk", data, kind, text, False, count is not None, count)

    def finish(self) -> list[Fields]:
        """A response with the reason; sometimes another behind it."""
        usage, count = self.usage()
        reason = pick(self.rng, _REASONS)
        if self.rng.random() < 0.2 and usage:
            first = self.event("", self.response([], {}, finishReason=reason))
            last = self.event("", self.response([], usage, finishReason=reason))
            return [
                ("chunk", first, TEXT, "", True, False, None, True),
                ("chunk", last, TEXT, "", True, count.told, count.usage, True),
            ]
        data = self.event("", self.response([{"text": ""}], usage, finishReason=reason))
        return [("chunk", data, TEXT, "", True, count.told, count.usage, True)]

    def end(self) -> list[Fields]:
        """There is none."""
        return []

    def error(self) -> Fields:
        """An error in place of a response; sometimes as bare JSON."""
        text = self.data({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
        return ("error", self.event("", text))

    def unknown(self) -> Fields:
        """A response that says nothing."""
        return ("chunk", self.event("", self.response([], {})))

    def strange(self) -> Fields:
        """No response."""
        return ("garbage", self.event("", pick(self.rng, ("{}", '{"modelVersion":"up"}', '{"choices":[]}'))))


class GeminiVoice(Voice):
    """Gemini on both sides."""

    dialect = Dialect.GEMINI
    turns = "contents"
    teller = GeminiTeller
    hears_arrays = True
    says_calls_whole = True
    ends_with_body = True
    bad_answers = (
        b'{"error":{"code":500,"message":"no","status":"INTERNAL"}}',
        b'{"candidates":[]}',
        b'{"candidates":5}',
    )

    def request(self, rng: Random, text: str, *, stream: bool) -> Asked:
        """A request; a stream comes as events or as an array."""
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        if rng.random() < 0.3:
            body["generationConfig"] = {"maxOutputTokens": 100}
        return Asked(body, "asked", stream, b"alt=sse" if rng.random() < 0.7 else b"")

    def asked(self, head: bytes, body: dict[str, Any]) -> tuple[str, str, bool]:
        """What a provider was asked."""
        path = unquote(head.split(b" ", 2)[1].decode("ascii"))
        need(head.split(b"\r\n")[0].endswith(b" HTTP/1.1"), f"no line of HTTP: {head[:80]!r}")
        stream = path.endswith(":streamGenerateContent?alt=sse")
        need(stream or path.endswith(":generateContent"), f"asked at {path}")
        need("model" not in body, "a model in the body")
        return (
            path.rpartition(":")[0].removeprefix("/models/").removeprefix("/"),
            body["contents"][-1]["parts"][0]["text"],
            stream,
        )

    def prefix(self, request: bytes) -> str:
        """The last turn, where it is the model's."""
        turn = load(request)["contents"][-1]
        if turn["role"] != "model":
            return ""
        [part] = turn["parts"]
        return str(part["text"])

    def whole(self, teller: Any, parts: list[tuple[str, str]]) -> tuple[bytes, Count]:
        """A whole response."""
        usage, count = teller.usage()
        return teller.response([_part(kind, text) for kind, text in parts], usage, finishReason="STOP").encode(), count

    def error(self, rng: Random) -> tuple[dict[str, Any], str]:
        """An error object."""
        return {"error": {"code": 500, "message": "no", "status": pick(rng, ("UNAVAILABLE", "INTERNAL", ""))}}, ""

    def hear(self, body: bytes, query: bytes) -> Heard:
        """Responses until one has a finish reason and the body ends, or an error."""
        heard = Heard()
        for at, data in _elements(body, query, heard):
            response = load(data)
            heard.last_at = at
            need(heard.ending != "error", "a response after an error")
            if "error" in response:
                _hear_failure(response)
                heard.ending = "error"
                continue
            [candidate] = response["candidates"]
            parts = candidate.get("content", {}).get("parts", [])
            need(not heard.ending or not any(part.get("text") for part in parts), "text behind the finish reason")
            _hear_parts(heard, parts)
            if candidate.get("finishReason"):
                heard.ending = "whole"
            _hear_usage(heard, response)
        return heard

    def hear_whole(self, body: bytes) -> Heard:
        """One response."""
        response = load(body)
        heard = Heard({}, "whole")
        [candidate] = response["candidates"]
        need(isinstance(candidate["finishReason"], str), "no finish reason")
        _hear_parts(heard, candidate["content"]["parts"])
        _hear_usage(heard, response)
        return heard

    def hear_error(self, body: bytes) -> None:
        """The gateway's error object."""
        value = load(body)
        _hear_failure(value)
        need(value["error"]["details"][0]["metadata"]["error_type"] != "", "no error of ours")


def _elements(body: bytes, query: bytes, heard: Heard) -> Iterator[tuple[int, str]]:
    """The JSON of each response: events, or elements of an array, whose end must be there when the answer's is."""
    if query == b"alt=sse":
        yield from ((at, data) for at, _, data in events(body))
        return
    if not body:
        return
    text = body.decode()
    is_closed = text.endswith("]") and closes(text)
    for element in load(text if is_closed else text + "]"):
        yield 0, compact(element)
    need(heard.ending != "" or not is_closed, "the array ends and the answer does not")
    if not is_closed:
        heard.ending = ""


def closes(text: str) -> bool:
    """Whether an array is complete."""
    try:
        load(text)
    except ValueError:
        return False
    return True


def _hear_failure(value: dict[str, Any]) -> None:
    error = value["error"]
    need(isinstance(error["message"], str) and isinstance(error["code"], int), "an error without words")


def _hear_parts(heard: Heard, parts: list[dict[str, Any]]) -> None:
    for part in parts:
        if "functionCall" in part:
            heard.add(CALL, compact(part["functionCall"]["args"]))
        elif "text" in part:
            heard.add(THOUGHT if part.get("thought") else TEXT, part["text"])


def _hear_usage(heard: Heard, response: dict[str, Any]) -> None:
    usage = response.get("usageMetadata")
    if usage and "promptTokenCount" in usage:
        output = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
        heard.usage = (usage["promptTokenCount"], output)


VOICE = GeminiVoice()
