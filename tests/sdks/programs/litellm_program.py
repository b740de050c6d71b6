"""LiteLLM as a client library, for OpenAI's and for Anthropic's protocol."""

from __future__ import annotations

from typing import Any

import litellm

from tests.sdks.programs import PROMPT, TOOL, Saw, report


async def look(origin: str, key: str, dialect: str, text: str, tools: str) -> Saw:
    """Asks for a text, whole and streamed, and for a call."""
    family, base = ("anthropic", origin) if dialect == "anthropic" else ("openai", f"{origin}/v1")
    asked: dict[str, Any] = {
        "messages": [{"role": "user", "content": PROMPT}],
        "api_base": base,
        "api_key": key,
        "max_retries": 0,
    }
    whole: Any = await litellm.acompletion(model=f"{family}/{text}", **asked)
    called: Any = await litellm.acompletion(model=f"{family}/{tools}", tools=[TOOL], **asked)
    stream: Any = await litellm.acompletion(model=f"{family}/{text}", stream=True, **asked)
    streamed = ""
    async for chunk in stream:
        streamed += "".join(choice.delta.content or "" for choice in chunk.choices)
    return {
        "whole": whole.choices[0].message.content,
        "streamed": streamed,
        "input": whole.usage.prompt_tokens,
        "output": whole.usage.completion_tokens,
        "tool": called.choices[0].message.tool_calls[0].function.name,
    }


if __name__ == "__main__":
    report(look)
