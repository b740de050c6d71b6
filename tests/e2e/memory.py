"""What tests of the Responses API's memory share: OpenAI's client, and what a provider keeps itself."""

from __future__ import annotations

import json
from typing import Any

import openai
from openai.types.responses import Response

from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, until
from tests.e2e.sdk_matrix import DIALECTS
from tests.fake_provider.play import Received
from tokenway.model.catalog import Dialect

OTHERS = [each for each in DIALECTS if each is not Dialect.OPENAI_RESPONSES]
NATIVE = "openai_responses--text"
CHAT = "openai_chat--text"
SAID = "Grüße from the fake provider"
TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
]
OUTPUT: Any = [{"type": "function_call_output", "call_id": "call_fake_1", "output": "It is sunny."}]


def sdk(gateway: Gateway, key: str = KEY) -> openai.AsyncOpenAI:
    """OpenAI's client without retries of its own."""
    return openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0, timeout=WAIT_SECONDS)


def in_order(received: Received, *texts: str) -> None:
    """Fails unless these texts stand in what the upstream got, each once, in this order."""
    body = json.dumps(received.json, ensure_ascii=False)
    places = [body.find(text) for text in texts]
    assert -1 not in places, (texts, places, body)
    assert places == sorted(places), (places, body)
    assert [body.count(text) for text in texts] == [1] * len(texts), body


def said_in(item: Any) -> str:
    """The text of an item of the input."""
    text: str = item.content[0].text
    return text


def native(name: str, text: str) -> bytes:
    """What a provider of the Responses API answers, under an id of its own."""
    item = {
        "id": f"msg_{name}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 8,
    }
    shape = {
        "id": f"resp_{name}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": "completed",
        "model": "text",
        "output": [item],
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage,
    }
    return json.dumps(shape).encode()


async def settled(client: openai.AsyncOpenAI, name: str) -> Response:
    """The response when it is not under way any more."""
    found: list[Response] = []

    async def look() -> bool:
        found[:] = [await client.responses.retrieve(name)]
        return found[0].status not in {"queued", "in_progress"}

    await until(look)
    return found[0]
