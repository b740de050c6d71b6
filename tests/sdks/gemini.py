"""Google's SDK, generate content."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx
from google import genai
from google.genai import errors, types

from tests.fake_provider.reply import Finish
from tests.sdks.seen import MAX_TOKENS, PROMPT, STOPS, SYSTEM, TOOLS, Failed, Seen, Totals, arguments

FINISH: Final = {"STOP": Finish.STOP, "MAX_TOKENS": Finish.LENGTH, "SAFETY": Finish.REFUSED}


class Gemini:
    """See `tests.sdks.seen.Client`."""

    def __init__(self, origin: str, key: str, authority: Path, version: str = "v1beta") -> None:
        # Its other transport subclasses a class that warns about that.
        self._http = httpx.AsyncClient(timeout=None)
        options = types.HttpOptions(base_url=origin, api_version=version, httpx_async_client=self._http)
        self._client = genai.Client(api_key=key, http_options=options)
        declared = [
            types.FunctionDeclaration(name=name, parameters_json_schema=schema) for name, schema in TOOLS.items()
        ]
        self._config = types.GenerateContentConfig(
            system_instruction=SYSTEM,
            tools=[types.Tool(function_declarations=declared)],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            max_output_tokens=MAX_TOKENS,
            stop_sequences=STOPS,
        )

    async def ask(self, model: str, *, stream: bool) -> Seen:
        """One request."""
        chunks: list[types.GenerateContentResponse] = []
        models = self._client.aio.models
        try:
            if stream:
                pieces = await models.generate_content_stream(model=model, contents=PROMPT, config=self._config)
                async for piece in pieces:
                    chunks.append(piece)  # noqa: PERF401 - what came before an error counts
            else:
                chunks.append(await models.generate_content(model=model, contents=PROMPT, config=self._config))
        except errors.APIError as error:
            raise Failed(200 if chunks else error.code, error.message or "", _text(chunks)) from error
        return seen(chunks)

    async def close(self) -> None:
        """Frees its connections."""
        await self._client.aio.aclose()
        await self._http.aclose()


def _parts(chunks: list[types.GenerateContentResponse]) -> list[types.Part]:
    return [
        part
        for chunk in chunks
        for candidate in (chunk.candidates or ())[:1]
        if candidate.content
        for part in candidate.content.parts or ()
    ]


def _text(chunks: list[types.GenerateContentResponse]) -> str:
    return "".join(part.text or "" for part in _parts(chunks) if not part.thought)


def seen(chunks: list[types.GenerateContentResponse]) -> Seen:
    """One response, or the chunks of a stream: the last usage counts."""
    parts = _parts(chunks)
    calls = [part.function_call for part in parts if part.function_call]
    finish = FINISH[_finish_word(chunks)]
    usage = [chunk.usage_metadata for chunk in chunks if chunk.usage_metadata]
    response: Any = chunks[0].sdk_http_response
    return Seen(
        text=_text(chunks),
        reasoning="".join(part.text or "" for part in parts if part.thought),
        calls=tuple((call.name or "", arguments(call.args or {})) for call in calls),
        finish=Finish.TOOLS if finish is Finish.STOP and calls else finish,
        totals=totals(usage[-1]) if usage else None,
        headers={name.lower(): value for name, value in (response.headers or {}).items()},
    )


def _finish_word(chunks: list[types.GenerateContentResponse]) -> str:
    said = [each.finish_reason for chunk in chunks for each in chunk.candidates or () if each.finish_reason]
    assert len(said) == 1, "a stream says once why it ends"
    return str(said[0].value)


def totals(usage: types.GenerateContentResponseUsageMetadata) -> Totals:
    """The usage of a response: reasoning is counted beside the answer."""
    thoughts = usage.thoughts_token_count or 0
    output = (usage.candidates_token_count or 0) + thoughts
    given = usage.prompt_token_count or 0
    assert usage.total_token_count == given + output
    return Totals(given, output, usage.cached_content_token_count or 0, reasoning=thoughts)
