"""How a request of Anthropic's, Google's or Amazon's must look around a field, so that it is one they would take.

Types do not say that a tool's result follows its call, or that base64 is an image: it is said here, by hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

import msgspec
from anthropic.types.beta import message_create_params as claude
from google.genai import types as google

from tests.property.places import Amazon, Anthropic, Google, Place, Record, Values, Vendor, Walk, fields_of
from tokenway.model.catalog import Dialect

_PNG: Final = ("iVBORw0KGgo=", "iVBORw0KGgoAAAAA")
_PDF: Final = "JVBERi0xLjQ="
_URLS: Final = ("https://example.com/a.png", "https://example.com/b.png")
_SCHEMAS: Final[tuple[dict[str, Any], ...]] = (
    {"type": "object", "properties": {"one": {"type": "string"}}},
    {"type": "object", "properties": {"two": {"type": "string"}}},
)
_NAMES: Final = ("f", "g", "h")
"""Tools that every request has, unless it is about tools."""
_IMAGE: Final = {"mimeType": "image/png", "data": _PNG[0]}
_FILE: Final = {"mimeType": "image/png", "fileUri": _URLS[0]}


class Caller(msgspec.Struct, frozen=True):
    """One vendor's requests.

    `turns` is the field that holds them, `call` a call of `f` by the model. `thoughts` are places in the model's own
    turns, `results` those that follow a call. `tools` are the members that offer `_NAMES`, `needed` what is required.
    """

    vendor: Vendor
    root: Any
    values: Values
    turns: str
    greeting: dict[str, Any]
    call: dict[str, Any]
    thoughts: frozenset[str]
    results: frozenset[str]
    tools: Mapping[str, Any]
    needed: Mapping[str, Any] = {}

    def framed(self, body: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """A whole request around what the walk found: turns before and behind, tools, required members."""
        turns = body.get(self.turns) or [self.greeting]
        if place.names[0] == self.turns and len(place.names) > 1 and isinstance(turns, list):
            if self.results.intersection(place.names):
                turns = [self.greeting, self.call, *turns]
            elif self.thoughts.intersection(place.names):
                said = [{**turn, "role": self.call["role"]} if isinstance(turn, dict) else turn for turn in turns]
                turns = [self.greeting, *said, self.greeting]
            else:
                turns = [self.greeting, *turns]
        whole = {**self.needed, **self.tools, **body, self.turns: turns}
        for name, value in self.tools.items():
            if isinstance(value, dict) and isinstance(whole[name], dict):
                whole[name] = {**value, **whole[name]}
        return whole


# -- Anthropic -------------------------------------------------------------------------------------------------

_ANTHROPIC: Final = Caller(
    Anthropic(),
    claude.MessageCreateParamsNonStreaming,
    Values(
        {
            "model": ("m",),
            "betas": (["x"],),
            "max_tokens": (3000, 8192),
            "budget_tokens": (3500, 1024),
            "source.data": _PNG,
            "source.url": _URLS,
            "source.file_id": ("file_011CN", "file_011CP"),
            "tool_use_id": ("call_1",),
            "tool_choice.name": ("f", "g"),
            "format.schema": _SCHEMAS,
            "output_format.schema": _SCHEMAS,
            "input_schema.properties": ({"one": {"type": "string"}}, {"two": {"type": "string"}}),
            "temperature": (0.5, 0.25),
            "top_p": (0.5, 0.25),
        },
        {"messages.content": {"type": "text", "text": "hi"}},
        {
            "BetaBase64PDFSourceParam": {"media_type": "application/pdf", "data": _PDF},
            "BetaPlainTextSourceParam": {"media_type": "text/plain", "data": "words"},
            "BetaSystemMessageParam.clear_at": {"content": "hi"},
        },
    ),
    "messages",
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "f", "input": {}}]},
    frozenset({"=assistant"}),
    frozenset({"=tool_result"}),
    {"tools": [{"name": name, "input_schema": {"type": "object"}} for name in _NAMES]},
    {"max_tokens": 4096},
)

# -- Google ----------------------------------------------------------------------------------------------------

_OF_THE_CLIENT: Final = frozenset({"httpOptions", "shouldReturnHttpResponse", "automaticFunctionCalling"})
"""Members of the SDK's configuration that are never sent."""
_AT_THE_TOP: Final[dict[str, Any]] = {
    "contents": list[google.Content],
    "systemInstruction": google.Content,
    "tools": list[google.Tool],
    "toolConfig": google.ToolConfig,
    "safetySettings": list[google.SafetySetting],
    "cachedContent": str,
    "labels": dict[str, str],
    "serviceTier": google.ServiceTier,
    "store": bool,
    "continuationToken": bytes,
    "automaticContinuation": bool,
    "modelArmorConfig": google.ModelArmorConfig,
}
"""Members of a request; the SDK has most of them in its configuration and sends them here."""
_GENERATION: Final = {
    name: of
    for name, of in (fields_of(google.GenerateContentConfig) | fields_of(google.GenerationConfig)).items()
    if name not in _OF_THE_CLIENT | _AT_THE_TOP.keys()
}
_BARE: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse", "audioTranscription")
_ABOUT_MEDIA: Final = ("videoMetadata", "mediaResolution", "mediaProcessing", "speechMetadata")
_ABOUT_FILES: Final = ("documentMetadata", "spreadsheetMetadata", "audioMetadata")
_DATA: Final = ("inlineData", "fileData", "functionCall", "functionResponse")

_GOOGLE: Final = Caller(
    Google(),
    Record(
        "request",
        _AT_THE_TOP | {"generationConfig": Record("GenerationConfig", _GENERATION)},
        frozenset({"contents"}),
    ),
    Values(
        {
            "contents.role": ("user", "model"),
            "systemInstruction.role": ("user",),
            "mimeType": ("image/png", "image/jpeg"),
            "inlineData.data": _PNG,
            "fileData.fileUri": _URLS,
            "functionCall.name": ("f", "g"),
            "functionResponse.name": ("f",),
            "functionResponse.id": ("call_1",),
            "functionResponse.response": ({"output": "one"}, {"output": "two"}),
            "topK": (40, 20),
            "candidateCount": (2, 3),
            "maxOutputTokens": (3000, 8192),
            "responseMimeType": ("application/json", "text/x.enum", "text/plain"),
            "responseModalities": (["AUDIO"], ["TEXT"]),
            "allowedFunctionNames": (["f"], ["f", "g"]),
            "logprobs": (3, 4),
            "enum": (["one"], ["two"]),
            "propertyOrdering": (["two", "one"],),
            "required": (["one"], ["two"]),
            "format": ("int32", "int64"),
            "responseJsonSchema": _SCHEMAS,
            "parametersJsonSchema": _SCHEMAS,
        },
        {"contents.parts": {"text": "hi"}, "systemInstruction.parts": {"text": "hi"}},
        {
            "Part": {"text": "words"},
            **{f"Part.{name}": {"text": None} for name in (*_DATA, *_BARE)},
            **{f"Part.{name}": {"text": None, "inlineData": _IMAGE} for name in (*_ABOUT_MEDIA, *_ABOUT_FILES)},
            "Blob": _IMAGE,
            "FileData": _FILE,
            "FunctionResponseBlob": _IMAGE,
            "FunctionResponseFileData": _FILE,
            "FunctionResponsePart": {"inlineData": _IMAGE},
            "FunctionResponsePart.fileData": {"inlineData": None},
            "FunctionCall": {"name": "f"},
            "FunctionResponse": {"name": "f", "response": {"output": "ok"}},
            "FunctionDeclaration": {"name": "f"},
            "FunctionCallingConfig": {"mode": "ANY"},
            "Content": {"parts": [{"text": "hi"}]},
            "Schema": {"type": "OBJECT"},
            "Schema.propertyOrdering": {"properties": {"one": {"type": "STRING"}, "two": {"type": "STRING"}}},
            "GenerationConfig.logprobs": {"responseLogprobs": True},
            "GenerationConfig.responseSchema": {"responseMimeType": "application/json"},
            "GenerationConfig.responseJsonSchema": {"responseMimeType": "application/json"},
        },
    ),
    "contents",
    {"role": "user", "parts": [{"text": "hi"}]},
    {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "f", "args": {}}}]},
    frozenset({"functionCall", "thought", "thoughtSignature", "executableCode", "codeExecutionResult", "toolCall"}),
    frozenset({"functionResponse"}),
    {"tools": [{"functionDeclarations": [{"name": name} for name in _NAMES]}]},
)

# -- Amazon ----------------------------------------------------------------------------------------------------

_SPECS: Final = [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in _NAMES]

_AMAZON: Final = Caller(
    Amazon(),
    "ConverseStreamRequest",
    Values(
        {
            "bytes": _PNG,
            "uri": ("s3://bucket/a", "s3://bucket/b"),
            "toolUseId": ("call_1",),
            "tool.name": ("f", "g"),
            "maxTokens": (3000, 8192),
            "inputSchema.json": _SCHEMAS,
            "jsonSchema.schema": tuple(msgspec.json.encode(schema).decode() for schema in _SCHEMAS),
            "outputConfig.effort": ("low", "high"),
            "additionalModelRequestFields": (
                {"top_k": 5},
                {"thinking": {"type": "enabled", "budget_tokens": 2048}},
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
                {"reasoning_effort": "low"},
                {"reasoning_config": "low"},
                {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            ),
        },
        {"messages.content": {"text": "hi"}},
        {
            "DocumentBlock": {"format": "pdf"},
            "ToolConfiguration.toolChoice": {"tools": _SPECS},
        },
    ),
    "messages",
    {"role": "user", "content": [{"text": "hi"}]},
    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_1", "name": "f", "input": {}}}]},
    frozenset({"toolUse", "reasoningContent", "citationsContent"}),
    frozenset({"toolResult"}),
    {"toolConfig": {"tools": _SPECS}},
)

CALLERS: Final = {Dialect.ANTHROPIC: _ANTHROPIC, Dialect.GEMINI: _GOOGLE, Dialect.BEDROCK: _AMAZON}


@cache
def places(dialect: Dialect) -> tuple[Place, ...]:
    """Every field of a caller's requests, in every place."""
    caller = CALLERS[dialect]
    return _once(Walk(caller.vendor, caller.values).places(caller.root))


def mistakes(dialect: Dialect, wrong: tuple[Any, ...]) -> tuple[Place, ...]:
    """The same fields with these values, whatever their types."""
    caller = CALLERS[dialect]
    return _once(Walk(caller.vendor, caller.values, wrong).places(caller.root))


def _once(found: Iterable[Place]) -> tuple[Place, ...]:
    """Each value of a field once: types of several places may share a field."""
    return tuple({(place.id, repr(place.value)): place for place in found}.values())
