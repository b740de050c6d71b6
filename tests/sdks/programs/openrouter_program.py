"""OpenRouter's SDK."""

from __future__ import annotations

from typing import Any

import httpx
from openrouter import OpenRouter

from tests.sdks.programs import PROMPT, TOOL, Saw, report


async def look(origin: str, key: str, dialect: str, text: str, tools: str) -> Saw:
    """Asks for a text, whole and streamed, and for a call."""
    messages: Any = [{"role": "user", "content": PROMPT}]
    offered: Any = [TOOL]
    ids: list[str] = []

    async def note(response: httpx.Response) -> None:
        ids.extend(response.headers.get_list("x-generation-id"))

    http = httpx.AsyncClient(event_hooks={"response": [note]})
    async with OpenRouter(api_key=key, server_url=f"{origin}/api/v1", async_client=http) as client:
        whole: Any = await client.chat.send_async(model=text, messages=messages)
        if ids:  # a gateway, and no provider
            await _ask_account(client, ids[0], int(whole.usage.completion_tokens))
        called: Any = await client.chat.send_async(model=tools, messages=messages, tools=offered)
        stream: Any = await client.chat.send_async(model=text, messages=messages, stream=True)
        streamed = ""
        async with stream as events:
            async for event in events:
                streamed += "".join(choice.delta.content or "" for choice in event.choices)
    return {
        "whole": whole.choices[0].message.content,
        "streamed": streamed,
        "input": int(whole.usage.prompt_tokens),
        "output": int(whole.usage.completion_tokens),
        "tool": called.choices[0].message.tool_calls[0].function.name,
    }


async def _ask_account(client: OpenRouter, exchange: str, tokens: int) -> None:
    """What an account is told must be in the SDK's own types, or it raises."""
    made = (await client.generations.get_generation_async(id=exchange)).data
    assert (made.id, made.tokens_completion) == (exchange, tokens)
    own = (await client.api_keys.get_current_key_metadata_async()).data
    account = (await client.credits.get_credits_async()).data
    assert account.total_usage >= own.usage >= made.total_cost >= 0


if __name__ == "__main__":
    report(look)
