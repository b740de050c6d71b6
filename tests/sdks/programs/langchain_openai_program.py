"""LangChain's OpenAI integration, for chat completions and for responses."""

from __future__ import annotations

from typing import Any

from langchain_openai import ChatOpenAI

from tests.sdks.programs import PROMPT, TOOL, Saw, report


async def look(origin: str, key: str, dialect: str, text: str, tools: str) -> Saw:
    """Asks for a text, whole and streamed, and for a call."""
    common: dict[str, Any] = {
        "base_url": f"{origin}/v1",
        "api_key": key,
        "max_retries": 0,
        "use_responses_api": dialect == "openai_responses",
    }
    model = ChatOpenAI(model=text, **common)
    whole = await model.ainvoke(PROMPT)
    called: Any = await ChatOpenAI(model=tools, **common).bind_tools([TOOL]).ainvoke(PROMPT)
    streamed = "".join([chunk.text async for chunk in model.astream(PROMPT)])
    assert whole.usage_metadata is not None
    return {
        "whole": whole.text,
        "streamed": streamed,
        "input": whole.usage_metadata["input_tokens"],
        "output": whole.usage_metadata["output_tokens"],
        "tool": called.tool_calls[0]["name"],
    }


if __name__ == "__main__":
    report(look)
