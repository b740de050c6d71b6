"""Callers of the five dialects by hand: where they ask, what they say, how they read an answer or an error."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import httpx2

from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway
from tests.fake_provider.aws import split
from tokenway.model.catalog import Dialect

CHAT: Final = Dialect.OPENAI_CHAT
RESPONSES: Final = Dialect.OPENAI_RESPONSES
ANTHROPIC: Final = Dialect.ANTHROPIC
GEMINI: Final = Dialect.GEMINI
BEDROCK: Final = Dialect.BEDROCK

HEADERS: Final = {"authorization": f"Bearer {KEY}"}


class Ask(NamedTuple):
    """One request: its path and its body."""

    path: str
    body: dict[str, Any]


@asynccontextmanager
async def dial(gateway: Gateway, key: str = KEY) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client that knows the gateway's address and a key."""
    origin = gateway.base_url.removesuffix("/v1")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(base_url=origin, headers=headers, timeout=WAIT_SECONDS) as http:
        yield http


def ask(dialect: Dialect, model: str, *, stream: bool = False, text: str = "hi", **more: Any) -> Ask:
    """The plainest request of a dialect; `more` are members of its body."""
    said: dict[str, Any] = {"role": "user", "content": text}
    match dialect:
        case Dialect.OPENAI_CHAT:
            return Ask("/v1/chat/completions", {"model": model, "messages": [said], "stream": stream} | more)
        case Dialect.OPENAI_RESPONSES:
            return Ask("/v1/responses", {"model": model, "input": text, "stream": stream} | more)
        case Dialect.ANTHROPIC:
            body = {"model": model, "max_tokens": 100, "messages": [said], "stream": stream}
            return Ask("/v1/messages", body | more)
        case Dialect.GEMINI:
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": text}]}]
            return Ask(f"/v1beta/models/{quote(model)}:{verb}", {"contents": contents} | more)
        case Dialect.BEDROCK:
            verb = "converse-stream" if stream else "converse"
            messages = [{"role": "user", "content": [{"text": text}]}]
            return Ask(f"/model/{quote(model, safe='')}/{verb}", {"messages": messages} | more)


def text_of(dialect: Dialect, body: Any) -> str:
    """The text of a whole answer."""
    match dialect:
        case Dialect.OPENAI_CHAT:
            return str(body["choices"][0]["message"]["content"])
        case Dialect.OPENAI_RESPONSES:
            messages = [item for item in body["output"] if item["type"] == "message"]
            return "".join(part["text"] for item in messages for part in item["content"])
        case Dialect.ANTHROPIC:
            return "".join(block["text"] for block in body["content"] if block["type"] == "text")
        case Dialect.GEMINI:
            parts = body["candidates"][0]["content"]["parts"]
            return "".join(part.get("text", "") for part in parts if not part.get("thought"))
        case Dialect.BEDROCK:
            return "".join(block.get("text", "") for block in body["output"]["message"]["content"])


class Problem(NamedTuple):
    """An error as its dialect tells it: text, kind, and the field that is wrong."""

    message: str
    kind: str
    param: str | None


def problem_of(dialect: Dialect, body: Any) -> Problem:
    """Reads an error answer; fails the test where it has not its dialect's shape."""
    match dialect:
        case Dialect.OPENAI_CHAT | Dialect.OPENAI_RESPONSES:
            error = body["error"]
            assert {"message", "type", "param", "code"} <= error.keys(), body
            return Problem(error["message"], error["type"], error["param"])
        case Dialect.ANTHROPIC:
            assert body["type"] == "error", body
            assert body["request_id"], body
            error = body["error"]
            return Problem(error["message"], error["type"], error.get("param"))
        case Dialect.GEMINI:
            error = body["error"]
            assert isinstance(error["code"], int), body
            (info,) = [each for each in error["details"] if each["@type"].endswith("ErrorInfo")]
            return Problem(error["message"], error["status"], info["metadata"].get("param"))
        case Dialect.BEDROCK:
            return Problem(body["message"], body["__type"], body.get("metadata", {}).get("param"))


def events(body: bytes) -> Iterator[tuple[str, Any]]:
    """The events of a stream: name and data; `[DONE]` is a text. Fails the test for half an event."""
    assert body.endswith(b"\n\n"), body[-200:]
    for block in body.decode().split("\n\n")[:-1]:
        lines = [line for line in block.split("\n") if not line.startswith(":")]
        if not lines:
            continue
        fields = dict(line.split(": ", 1) for line in lines)
        data = fields["data"]
        yield fields.get("event", ""), data if data == "[DONE]" else json.loads(data)


class Heard(NamedTuple):
    """What came of a stream: its text, whether it ended as its dialect ends, and the error in it."""

    text: str
    is_whole: bool
    error: str


def hear(dialect: Dialect, body: bytes) -> Heard:
    """Reads a whole stream."""
    if dialect is Dialect.BEDROCK:
        return _hear_bedrock(body)
    text, is_whole, error = "", False, ""
    for name, data in events(body):
        assert not is_whole or name == "message_stop", "something comes behind the end"
        match dialect:
            case Dialect.OPENAI_CHAT:
                is_whole = data == "[DONE]"
                if not is_whole:
                    error = data.get("error", {}).get("message", error)
                    text += "".join(choice["delta"].get("content") or "" for choice in data.get("choices", []))
            case Dialect.OPENAI_RESPONSES:
                assert name == data["type"]
                text += data["delta"] if name == "response.output_text.delta" else ""
                is_whole = name in {"response.completed", "response.incomplete"}
                error = data["response"]["error"]["message"] if name == "response.failed" else error
            case Dialect.ANTHROPIC:
                assert name == data["type"]
                text += data["delta"].get("text", "") if name == "content_block_delta" else ""
                is_whole = name == "message_stop"
                error = data["error"]["message"] if name == "error" else error
            case _:
                error = data.get("error", {}).get("message", error)
                for candidate in data.get("candidates", []):
                    parts = candidate.get("content", {}).get("parts", [])
                    text += "".join(part.get("text", "") for part in parts if not part.get("thought"))
                    is_whole = bool(candidate.get("finishReason"))
    return Heard(text, is_whole, error)


def _hear_bedrock(body: bytes) -> Heard:
    text, is_whole, error = "", False, ""
    for headers, payload in split(body):
        data = json.loads(payload)
        if headers[":message-type"] == "exception":
            error = data["message"]
        elif headers[":event-type"] == "contentBlockDelta":
            text += data["delta"].get("text", "")
        is_whole = is_whole or headers.get(":event-type") == "messageStop"
    return Heard(text, is_whole, error)
