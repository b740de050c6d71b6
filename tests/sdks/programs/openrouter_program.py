"""OpenRouter's SDK."""

from __future__ import annotations

from typing import Any

from openrouter import OpenRouter

from tests.sdks.programs import PROMPT, TOOL, Saw, report


async def look(origin: str, key: str, dialect: str, text: str, tools: str) -> Saw:
    """Asks for a text, whole and streamed, and for a call."""
    messages: Any = [{"role": "user", "content": PROMPT}]
    offered: Any = [TOOL]
    async with OpenRouter(api_key=key, server_url=f"{origin}/api/v1") as client:
        whole: Any = await client.chat.send_async(model=text, messages=messages)
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


if __name__ == "__main__":
    report(look)
