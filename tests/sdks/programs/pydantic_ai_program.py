"""Pydantic AI, for chat completions, responses and messages."""

from __future__ import annotations

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tests.sdks.programs import PROMPT, TOOL, Saw, report


def connect(origin: str, key: str, dialect: str, model: str) -> Model:
    """A model of the class for the dialect."""
    if dialect == "anthropic":
        return AnthropicModel(model, provider=AnthropicProvider(base_url=origin, api_key=key))
    provider = OpenAIProvider(base_url=f"{origin}/v1", api_key=key)
    kind = OpenAIResponsesModel if dialect == "openai_responses" else OpenAIChatModel
    return kind(model, provider=provider)


def _text(response: ModelResponse) -> str:
    return "".join(part.content for part in response.parts if isinstance(part, TextPart))


async def look(origin: str, key: str, dialect: str, text: str, tools: str) -> Saw:
    """Asks for a text, whole and streamed, and for a call."""
    asked = [ModelRequest.user_text_prompt(PROMPT)]
    declared = TOOL["function"]
    offered = ToolDefinition(name=declared["name"], parameters_json_schema=declared["parameters"])
    whole = await model_request(connect(origin, key, dialect, text), asked)
    called = await model_request(
        connect(origin, key, dialect, tools),
        asked,
        model_request_parameters=ModelRequestParameters(function_tools=[offered]),
    )
    async with model_request_stream(connect(origin, key, dialect, text), asked) as stream:
        async for _ in stream:
            pass
        streamed = _text(stream.get())
    return {
        "whole": _text(whole),
        "streamed": streamed,
        "input": whole.usage.input_tokens,
        "output": whole.usage.output_tokens,
        "tool": next(part.tool_name for part in called.parts if isinstance(part, ToolCallPart)),
    }


if __name__ == "__main__":
    report(look)
