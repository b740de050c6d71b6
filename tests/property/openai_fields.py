"""What the types of OpenAI's requests cannot say: values that are valid, and what has to stand before an item."""

from __future__ import annotations

from typing import Any, Final

from openai.types.responses.response_input_item_param import ResponseInputItemParam

from tests.property.fields import Samples, alternatives

PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
GIF: Final = "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
PDF: Final = "JVBERi0xLjQKJSVFT0YK"
PDF_2: Final = "JVBERi0xLjUKJSVFT0YK"
SOUND: Final = "UklGRiQAAABXQVZF"
SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
SCHEMA_2: Final = SCHEMA | {"description": "A place."}
IMAGES: Final = (f"data:image/png;base64,{PNG}", f"data:image/gif;base64,{GIF}")
FILES: Final = (f"data:application/pdf;base64,{PDF}", f"data:application/pdf;base64,{PDF_2}")
FILMS: Final = ("https://example.com/a.mp4", "https://example.com/b.mp4")
CHAT_BODY: Final = "CompletionCreateParamsNonStreaming"
ARGUMENTS: Final = ('{"city":"Rome"}', '{"city":"Oslo"}')

HELLO: Final = {"role": "user", "content": "hi"}
CALL: Final = {"id": "one", "type": "function", "function": {"name": "one", "arguments": "{}"}}
OTHER_CALL: Final = {"id": "two", "type": "function", "function": {"name": "two", "arguments": "{}"}}
CALLED: Final = {"role": "assistant", "tool_calls": [CALL, OTHER_CALL]}
FUNCTION: Final = {"name": "one", "parameters": SCHEMA}

CHAT: Final = Samples(
    values={
        ("ImageURL", "url"): IMAGES,
        ("InputAudio", "data"): (SOUND, SOUND + "AAAA"),
        ("FileFile", "file_data"): FILES,
        ("FunctionCall", "arguments"): ARGUMENTS,
        ("Function", "arguments"): ARGUMENTS,
        ("FunctionDefinition", "parameters"): (SCHEMA, SCHEMA_2),
        ("Function", "parameters"): (SCHEMA, SCHEMA_2),
        ("JSONSchema", "schema"): (SCHEMA, SCHEMA_2),
        (CHAT_BODY, "messages"): ([HELLO], [{"role": "user", "content": "bye"}]),
        ("ChatCompletionAllowedToolsParam", "tools"): (
            [{"type": "function", "function": {"name": "one"}}],
            [{"type": "function", "function": {"name": "two"}}],
        ),
    },
    needed={
        CHAT_BODY: {
            "tools": [{"type": "function", "function": FUNCTION}, {"type": "function", "function": {"name": "two"}}],
            "logprobs": True,
        },
        "JSONSchema": {"schema": SCHEMA},
        "FileFile": {"file_data": FILES[0]},
        "ChatCompletionAssistantMessageParam": {"content": "well"},
    },
    before={
        "ChatCompletionDeveloperMessageParam": [HELLO],
        "ChatCompletionSystemMessageParam": [HELLO],
        "ChatCompletionUserMessageParam": [HELLO],
        "ChatCompletionAssistantMessageParam": [HELLO],
        "ChatCompletionToolMessageParam": [HELLO, CALLED],
        "ChatCompletionFunctionMessageParam": [
            HELLO,
            *({"role": "assistant", "function_call": {"name": name, "arguments": "{}"}} for name in ("one", "two")),
        ],
    },
    either={"FileFile": frozenset({"file_data", "file_id"})},
)

_MESSAGE: Final = "Chat{}MessageTypedDict"
OPENROUTER: Final = Samples(
    values={
        ("ChatContentImageImageURLTypedDict", "url"): IMAGES,
        ("ChatContentAudioInputAudioTypedDict", "data"): (SOUND, SOUND + "AAAA"),
        ("ChatContentAudioInputAudioTypedDict", "format"): ("wav", "mp3"),
        ("PromptCacheBreakpointTypedDict", "ttl"): ("12h", "30m"),
        ("ChatContentVideoInputTypedDict", "url"): FILMS,
        ("LegacyChatContentVideoInputTypedDict", "url"): FILMS,
        ("ChatContentFileFileTypedDict", "file_data"): FILES,
        ("ChatToolCallFunctionTypedDict", "arguments"): ARGUMENTS,
        ("ChatFunctionToolFunctionFunctionTypedDict", "parameters"): (SCHEMA, SCHEMA_2),
        ("ChatJSONSchemaConfigTypedDict", "schema"): (SCHEMA, SCHEMA_2),
        ("ChatRequestTypedDict", "messages"): ([HELLO], [{"role": "user", "content": "bye"}]),
    },
    needed={
        "ChatRequestTypedDict": {"model": "one", **CHAT.needed[CHAT_BODY]},
        "ChatContentFileFileTypedDict": {"file_data": FILES[0]},
        "ChatJSONSchemaConfigTypedDict": {"schema": SCHEMA},
        "ReasoningDetailTextTypedDict": {"text": "one"},
        _MESSAGE.format("Assistant"): {"content": "well"},
    },
    before={
        **{_MESSAGE.format(role): [HELLO] for role in ("Developer", "System", "User", "Assistant")},
        _MESSAGE.format("Tool"): [HELLO, CALLED],
    },
    either={"ChatContentFileFileTypedDict": frozenset({"file_data", "file_id"})},
)

_CALL: Final = {"type": "function_call", "call_id": "one", "name": "one", "arguments": "{}"}
_CALLS: Final = [HELLO, _CALL, _CALL | {"call_id": "two"}]
_CUSTOM: Final = {"type": "custom_tool_call", "call_id": "one", "name": "one", "input": "x"}
_CUSTOMS: Final = [HELLO, _CUSTOM, _CUSTOM | {"call_id": "two"}]
_NAMES: Final = ("ResponseInputImageParam", "ResponseInputImageContentParam")
_FILES: Final = ("ResponseInputFileParam", "ResponseInputFileContentParam")
TOP: Final = "ResponseCreateParamsNonStreaming"

RESPONSES: Final = Samples(
    values={
        **{(name, "image_url"): IMAGES for name in _NAMES},
        **{(name, "file_data"): FILES for name in _FILES},
        **{(name, "file_url"): ("https://example.com/a.pdf", "https://example.com/b.pdf") for name in _FILES},
        ("ResponseInputImageParam", "detail"): ("auto", "low"),
        ("ToolChoiceAllowedParam", "tools"): (
            [{"type": "function", "name": "one"}],
            [{"type": "function", "name": "two"}],
        ),
        ("InputAudio", "data"): (SOUND, SOUND + "AAAA"),
        ("ResponseFunctionToolCallParam", "arguments"): ARGUMENTS,
        ("FunctionToolParam", "parameters"): (SCHEMA, SCHEMA_2),
        ("ResponseFormatTextJSONSchemaConfigParam", "schema"): (SCHEMA, SCHEMA_2),
        (TOP, "input"): ([HELLO], [{"role": "user", "content": "bye"}]),
    },
    needed={
        TOP: {
            "model": "one",
            "input": [HELLO],
            "tools": [{"type": "function", "strict": False, **FUNCTION}, {"type": "function", "name": "two"}],
            "include": ["message.output_text.logprobs"],
        },
        **{name: {"image_url": IMAGES[0]} for name in _NAMES},
        **{name: {"file_data": FILES[0]} for name in _FILES},
        "FunctionCallOutput": {"call_id": "one"},
    },
    before={
        **{kind.__name__: [HELLO] for kind in alternatives(ResponseInputItemParam)},
        "FunctionCallOutput": _CALLS,
        "ResponseCustomToolCallOutputParam": _CUSTOMS,
    },
    either={
        **dict.fromkeys(_NAMES, frozenset({"image_url", "file_id"})),
        **dict.fromkeys(_FILES, frozenset({"file_data", "file_url", "file_id"})),
    },
)


def stands_in(body: Any, place: str, *, missing: bool) -> bool:
    """Whether an error's place leads somewhere in a body; what is `missing` need not be there itself."""
    value = body
    steps = place.replace("[", ".[").split(".")
    for index, step in enumerate(steps):
        if step.startswith("[") and isinstance(value, list) and int(step[1:-1]) < len(value):
            value = value[int(step[1:-1])]
        elif isinstance(value, dict) and step in value:
            value = value[step]
        else:
            return missing and index == len(steps) - 1 and isinstance(value, dict)
    return bool(place)


OTHER_WORDS: Final = {
    "cache_control": "prompt_cache_breakpoint",
    "reasoning_details": "reasoning",
    "reasoning_effort": "reasoning",
    "safety_identifier": "user",
    "summary": "generate_summary",
    "user": "safety_identifier",
}
"""What a caller is told, and another word of its dialect for the same that it may have written."""

_ECHO: Final = "clients give back what an answer had: it says nothing to a model"
_USUAL: Final = "it asks for what happens anyway"
_EMPTY: Final = "an empty object asks for nothing"
_GATEWAY: Final = "it is for the gateway"
_STREAM: Final = "the gateway writes the stream, and a path or the body asks the upstream for one"

MEANINGLESS: Final[dict[str, str]] = {
    r"input/.*/?(id|status) = .*": _ECHO,
    r"input/user/message/type = .*": "a tag that can be left out",
    r"input/.*/(annotations|logprobs)\b.* = .*": _ECHO,
    r"messages/assistant/model = .*": _ECHO,
    r"messages/assistant/content/video_url/.*/processing = .*": _ECHO,
    r".*/detail = \"auto\"": _USUAL,
    r".*/prompt_cache_breakpoint/ttl = \"30m\"": _USUAL,
    r".*/cache_control/ttl = \"5m\"": _USUAL,
    r"modalities = (\[\"text\"\]|\"text\")": _USUAL,
    r"(response_format|text/format|.*tools/custom/(custom/)?format) = {\"type\": \"text\"}": _USUAL,
    r"parallel_tool_calls = true": _USUAL,
    r"service_tier = \"auto\"": _USUAL,
    r"truncation = \"disabled\"": _USUAL,
    r"reasoning/context = \"auto\"": _USUAL,
    r"reasoning/mode = \"standard\"": _USUAL,
    r"(reasoning|text|.*tools/web_search/(filters|parameters|user_location|x_search)) = {}": _EMPTY,
    r"reasoning(/effort|_effort) = \"none\"": "some models do not reason unless they are asked to",
    r"reasoning/(generate_)?summary = .*": "where a model does not reason there is nothing to summarise",
    r"(response_format/json_schema|text/format)/name = .*": "a label of the schema, which not everybody has",
    r"(response_format/json_schema|text/format)/strict = true": "everybody else always keeps to a schema",
    r".*tools/web_search.*/type = .*": "versions of one search",
    r"include = \"reasoning.encrypted_content\"": "sealed reasoning is always given back",
    r"(background|store) = true": _GATEWAY,
    r"(provider|debug|trace)\b.* = .*": _GATEWAY,
    r"(models|session_id) = .*": _GATEWAY,
    r"stream(_options)?\b.* = .*": _STREAM,
}
"""Fields that need not be carried nor declared, as patterns of their way and value; and why."""
UNREAD: Final[dict[str, str]] = {
    r"messages/assistant/reasoning_details/.*": "what a client gives back of a stream may be in pieces",
}
"""Fields whose type nothing looks at, as patterns; and why."""
