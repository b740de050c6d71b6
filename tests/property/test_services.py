"""How an answer was served is read wherever its dialect says it, and so are the searches that its tools made."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from tests.fake_provider.aws import message
from tests.property.crossing import asked, read
from tokenway.control.prices import price_book
from tokenway.dialects.registry import FORMATS
from tokenway.metering.price import cost
from tokenway.metering.price_book import price_at
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.money import parse_usd
from tokenway.model.usage import Metered, Usage, service_of

A, B, G, C, R = Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.GEMINI, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [CHOICE]}
CHAT_USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
OUTPUT = {
    "type": "message",
    "id": "msg",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [OUTPUT],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}
GEMINI_USAGE = {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
}
FAST = {"input_tokens": 1, "output_tokens": 1, "speed": "fast"}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
}

WHOLE: list[tuple[Dialect, dict[str, Any], str]] = [
    (C, CHAT | {"usage": CHAT_USAGE, "service_tier": "priority"}, "priority"),
    (C, CHAT | {"usage": CHAT_USAGE, "service_tier": "default"}, ""),
    (C, CHAT | {"usage": CHAT_USAGE, "service_tier": {"of": "tomorrow"}}, ""),
    (R, RESPONSE | {"service_tier": "flex"}, "flex"),
    (R, RESPONSE | {"service_tier": None}, ""),
    (A, MESSAGE | {"usage": {"input_tokens": 1, "output_tokens": 2, "speed": "fast"}}, "fast"),
    (A, MESSAGE | {"usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "priority"}}, ""),
    (G, {"candidates": [CANDIDATE], "usageMetadata": GEMINI_USAGE | {"serviceTier": "priority"}}, "priority"),
    (G, {"candidates": [CANDIDATE], "usageMetadata": GEMINI_USAGE | {"trafficType": "ON_DEMAND_FLEX"}}, "flex"),
    (G, {"candidates": [CANDIDATE], "usageMetadata": GEMINI_USAGE | {"trafficType": "ON_DEMAND"}}, ""),
    (B, CONVERSE | {"serviceTier": {"type": "flex"}}, "flex"),
    (B, CONVERSE | {"serviceTier": "flex"}, ""),
]
"""Answers, and how each was served. Anthropic's own priority is paid for in advance, not by the token."""


def events(*objects: dict[str, Any], named: bool = False) -> bytes:
    """Server-sent events."""
    return b"".join(
        (b"event: %b\n" % each["type"].encode() if named else b"") + b"data: %b\n\n" % json.dumps(each).encode()
        for each in objects
    )


def frames(*events_of_it: tuple[str, dict[str, Any]]) -> bytes:
    """Events of Amazon's stream."""
    head = {":message-type": "event", ":content-type": "application/json"}
    return b"".join(message(head | {":event-type": kind}, json.dumps(body).encode()) for kind, body in events_of_it)


def chunk(**more: Any) -> dict[str, Any]:
    """A chunk of chat's."""
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": []} | more


def started(kind: str) -> dict[str, Any]:
    """The first event of a stream of responses."""
    return {"type": kind, "sequence_number": 0, "response": RESPONSE | {"status": "in_progress", "output": []}}


STREAMS: list[tuple[Dialect, bytes, str]] = [
    (
        C,
        events(
            chunk(choices=[{"index": 0, "delta": {"content": "hi"}}], service_tier="priority"),
            chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]),
            chunk(usage=CHAT_USAGE),
        )
        + b"data: [DONE]\n\n",
        "priority",
    ),
    (
        R,
        events(
            started("response.created"),
            {"type": "response.completed", "sequence_number": 1, "response": RESPONSE | {"service_tier": "priority"}},
            named=True,
        ),
        "priority",
    ),
    (
        A,
        events(
            {
                "type": "message_start",
                "message": MESSAGE
                | {
                    "content": [],
                    "stop_reason": None,
                    "usage": {"input_tokens": 1, "output_tokens": 1, "speed": "fast"},
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
            named=True,
        ),
        "fast",
    ),
    (
        G,
        events({"candidates": [CANDIDATE], "usageMetadata": GEMINI_USAGE | {"serviceTier": "FLEX"}}),
        "flex",
    ),
    (
        B,
        frames(
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hi"}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": CONVERSE["usage"], "serviceTier": {"type": "priority"}}),
        ),
        "priority",
    ),
]


def passed(dialect: Dialect, body: bytes) -> Metered:
    """What is metered of a stream that only passes."""
    stream = FORMATS[dialect].passing(asked(dialect, stream=True))
    stream.feed(body, 1.0)
    stream.finish()
    return stream.metered


@pytest.mark.parametrize(("dialect", "answer", "service"), WHOLE)
def test_a_whole_answer_says_how_it_was_served(dialect: Dialect, answer: dict[str, Any], service: str) -> None:
    """Whether it passes or is converted."""
    body = json.dumps(answer).encode()
    metered = FORMATS[dialect].read_whole(Operation.CHAT, body).metered
    assert metered.usage is not None
    assert (metered.usage.input_tokens, metered.usage.output_tokens, metered.service) == (1, 2, service)
    assert FORMATS[dialect].read_answer(body).metered == metered


@pytest.mark.parametrize(("dialect", "body", "service"), STREAMS, ids=[each[0].value for each in STREAMS])
def test_so_does_a_stream(dialect: Dialect, body: bytes, service: str) -> None:
    """Wherever in it that stands."""
    metered = passed(dialect, body)
    assert metered.usage is not None
    assert (metered.usage.output_tokens, metered.service) == (2, service)
    assert read(dialect, body, stream=True).metered == metered


@pytest.mark.parametrize(
    ("shelf", "name", "usage", "service", "dollars"),
    [
        # in millionths of a dollar, 800 * 1.25 + 200 * 0.125 + 300 * 10
        ("openai", "gpt-5", Usage(800, 200, output_text=300), "", "0.004025"),
        # 800 * 0.625 + 200 * 0.0625 + 300 * 5
        ("openai", "gpt-5", Usage(800, 200, output_text=300), "flex", "0.0020125"),
        # 800 * 2.5 + 200 * 0.25 + 300 * 20
        ("openai", "gpt-5", Usage(800, 200, output_text=300), "priority", "0.00805"),
        # 1000 * 16 + 500 * 0.4 + 100 * 20 + 50 * 32 + 10 * 80
        ("anthropic", "claude-fable-5-2", Usage(1000, 500, 100, 50, 10), "fast", "0.0206"),
        # 300000 * 5 + 1000 * 22.5: it is long
        ("openai", "gpt-5.5", Usage(300_000, output_text=1000), "flex", "1.5225"),
        # a class that has no rates of its own there
        ("openai", "gpt-4.1", Usage(1000, output_text=100), "flex", "0.0028"),
    ],
)
def test_bills_by_hand(shelf: str, name: str, usage: Usage, service: str, dollars: str) -> None:
    """At the book's prices of a day in November 2026."""
    price = price_at(price_book(), shelf, name, (date(2026, 11, 26) - date(1970, 1, 1)).days)
    assert price is not None
    assert cost(usage, price, service=service) == parse_usd(dollars)


@pytest.mark.parametrize(("said", "service"), [("Flex", "flex"), ("scale", ""), (None, ""), (7, ""), (["flex"], "")])
def test_only_services_with_prices_of_their_own_are_told_apart(said: object, service: str) -> None:
    """Whatever else is said is the usual one."""
    assert service_of(said) == service


@pytest.mark.parametrize(
    ("tools", "searches"),
    [
        ({"web_search": {"num_requests": 3}, "image_gen": {}}, 3),
        ({"web_search": {"num_requests": True}}, 0),
        ({"web_search": {"num_requests": -1}}, 0),
        ({"web_search": [1]}, 0),
        ("none", 0),
    ],
)
def test_a_response_counts_the_searches_of_its_tools(tools: object, searches: int) -> None:
    """They are paid for by the search, beside the tokens."""
    body = json.dumps(RESPONSE | {"tool_usage": tools}).encode()
    usage = FORMATS[R].read_whole(Operation.CHAT, body).metered.usage
    assert usage is not None
    assert usage.searches == searches
