"""The types of answers as the vendors' own SDKs have them, walked leaf by leaf.

A leaf is a member that holds no other members; its path has `[]` for an item of a list and `:name` for one of several
types, `content[]:text.citations[]:char_location.cited_text`. For each leaf there is the smallest answer that has it,
made of what its types require and of `PLAIN`, which says by hand what a type needs beyond that to mean anything.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cache, partial
from typing import Any, Final

import pydantic
from anthropic.types.beta import BetaMessage
from botocore import session
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tokenway.model.catalog import Dialect

Json = Any
PNG: Final = ("iVBORw0KGgo=", "iVBORw0KGgoB")
"""Two beginnings of a picture, in base64."""


@dataclass
class Shape:
    """A type: the values of a leaf, an item of a list, the members of an object, or one of several types."""

    name: str = ""
    values: tuple[Json, ...] = ()
    item: Shape | None = None
    members: dict[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    either: tuple[Shape, ...] = ()

    @property
    def tag(self) -> str:
        """What tells this object from the others it could be."""
        kind = self.members.get("type")
        return kind.values[0] if kind is not None and kind.values else self.name


@dataclass(frozen=True)
class Leaf:
    """One leaf: `make` gives the answer with a value of it, `without` the same answer without it."""

    path: str
    values: tuple[Json, ...]
    make: Callable[[Json], Json]
    without: Json


SCALARS: Final[dict[Any, tuple[Json, ...]]] = {
    str: ("one", "two"),
    int: (3, 5),
    float: (0.25, 0.5),
    bool: (True, False),
    bytes: ("c2ln", "c2lnbg=="),
    datetime: ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
    object: ({"a": 1}, {"a": 2}),
    Any: ({"a": 1}, {"a": 2}),
}
SOUND: Final = ("UklGRgo=", "UklGRgoB")
BY_NAME: Final[dict[str, tuple[Json, ...]]] = {
    "index": (0,),
    "partIndex": (0,),
    "url": ("https://a.example/1", "https://a.example/2"),
    "uri": ("https://a.example/1", "https://a.example/2"),
    "arguments": ('{"a":1}', '{"a":2}'),
    "mime_type": ("image/png", "image/jpeg"),
    "mimeType": ("image/png", "image/jpeg"),
    "encrypted_content": ("c2VhbA==", "c2VhbGVk"),
    "redactedContent": ("c2VhbA==", "c2VhbGVk"),
}
"""Members whose values mean nothing if they are any text."""
BY_TYPE: Final[dict[str, tuple[Json, ...]]] = {
    "ImageGenerationCall.result": PNG,
    "ConverseImageSource.bytes": PNG,
    "Blob.data": PNG,
    "ChatCompletionAudio.data": ("UklGRgo=", "UklGRgoB"),
    "GroundingChunkImage.sourceUri": ("https://a.example/1", "https://a.example/2"),
    "AnnotationURLCitation.start_index": (0, 1),
    "AnnotationURLCitation.end_index": (2, 3),
    "Segment.startIndex": (0, 1),
    "Segment.endIndex": (2, 3),
    "Segment.text": ("tex", "ext"),
    "GroundingSupport.groundingChunkIndices": (0, 1),
    "Citation.startIndex": (0, 1),
    "Citation.endIndex": (2, 3),
    "ConverseResponse.additionalModelResponseFields": ({"stop_sequence": "one"}, {"stop_sequence": "two"}),
}
"""The same, where only the member of one type has these values."""


SETTINGS: Final[dict[str, frozenset[str]]] = {
    "Response": frozenset(
        ["instructions", "tools", "tool_choice", "text", "reasoning", "prompt", "conversation", "prompt_cache_options"]
    ),
    "GenerateContentResponse": frozenset({"automaticFunctionCallingHistory", "sdkHttpResponse", "parsed"}),
}
"""Members that are no part of an answer: settings of the request told back, and what an SDK adds on its side."""


def _values(owner: str, name: str, found: tuple[Json, ...]) -> tuple[Json, ...]:
    if found not in SCALARS.values():
        return found
    return BY_TYPE.get(f"{owner}.{name}") or BY_NAME.get(name) or found


def _named(owner: str, name: str, shape: Shape) -> Shape:
    """A member's shape, with the values that its name asks for."""
    if shape.values:
        return Shape(shape.name, _values(owner, name, shape.values))
    if shape.item is not None and shape.item.values:
        return Shape(item=Shape(values=_values(owner, name, shape.item.values)))
    return shape


# -- pydantic ----------------------------------------------------------------------------------------------


@cache
def of_model(kind: Any) -> Shape:
    """The shape of a pydantic model."""
    return _model(kind, ())


def _model(kind: Any, above: tuple[Any, ...]) -> Shape:
    shape = Shape(kind.__name__)
    if kind in above:
        return Shape(kind.__name__, values=SCALARS[object])
    required = set()
    for name, info in kind.model_fields.items():
        spelled = info.alias or name
        if spelled in SETTINGS.get(kind.__name__, ()):
            continue
        shape.members[spelled] = _named(kind.__name__, spelled, _type(info.annotation, (*above, kind)))
        if info.is_required():
            required.add(spelled)
    shape.required = frozenset(required)
    return shape


def _type(given: Any, above: tuple[Any, ...]) -> Shape:
    origin, inner = typing.get_origin(given), typing.get_args(given)
    if origin is typing.Annotated:
        return _type(inner[0], above)
    if origin is typing.Literal:
        return Shape(values=inner)
    if origin in {typing.Union, types.UnionType}:
        return _either([_type(each, above) for each in inner if each is not type(None)])
    if origin in {list, tuple, set}:
        return Shape(item=_type(inner[0], above))
    if origin in {dict, Mapping}:
        return Shape(values=SCALARS[object])
    if isinstance(given, type) and issubclass(given, Enum):
        return Shape(values=tuple(each.value for each in given))
    if isinstance(given, type) and issubclass(given, pydantic.BaseModel):
        return _model(given, above)
    return Shape(values=SCALARS.get(given, SCALARS[object]))


def _either(shapes: list[Shape]) -> Shape:
    """Several types; texts that may be any are the most that several kinds of values can be."""
    if len(shapes) == 1:
        return shapes[0]
    objects = [each for each in shapes if each.members or each.item or each.either]
    if objects:
        return objects[0] if len(objects) == 1 else Shape(either=tuple(objects))
    is_free = any(each.values in (SCALARS[str], SCALARS[object]) for each in shapes)
    return Shape(values=SCALARS[str]) if is_free else shapes[0]


# -- botocore ----------------------------------------------------------------------------------------------

BOTO: Final = {
    "string": str,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": bool,
    "blob": bytes,
    "structure": object,
    "map": object,
}


@cache
def _service() -> Any:
    return session.get_session().get_service_model("bedrock-runtime")


@cache
def of_converse() -> Shape:
    """The shape of what Converse gives."""
    return _boto(_service().operation_model("Converse").output_shape, ())


def _boto(given: Any, above: tuple[str, ...]) -> Shape:
    if given.type_name == "list":
        return Shape(item=_boto(given.member, above))
    if given.type_name != "structure" or not given.members or given.name in above:
        return Shape(given.name, tuple(getattr(given, "enum", None) or SCALARS[BOTO[given.type_name]]))
    shape = Shape(f"Converse{given.name.removeprefix('Converse')}", required=frozenset(given.required_members))
    for name, member in given.members.items():
        shape.members[name] = _named(shape.name, name, _boto(member, (*above, given.name)))
    return shape


# -- answers -----------------------------------------------------------------------------------------------

PLAIN: Final[dict[str, Json]] = {
    "ChatCompletion": {
        "id": "i",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "text", "refusal": None}}
        ],
    },
    "Choice": {"message": {"role": "assistant", "content": "text", "refusal": "no"}},
    "ChatCompletionMessage": {"role": "assistant", "content": "text"},
    "ChatCompletionTokenLogprob": {"top_logprobs": []},
    "ChoiceLogprobs": {},
    "AnnotationURLCitation": {"start_index": 0, "end_index": 2},
    "Response": {
        "id": "i",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
        "output": [
            {
                "id": "i",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "text", "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 3,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 8,
        },
    },
    "ResponseOutputMessage": {"content": [{"type": "output_text", "text": "text", "annotations": []}]},
    "ResponseReasoningItem": {"summary": [{"type": "summary_text", "text": "sum"}]},
    "ImageGenerationCall": {"status": "completed", "result": PNG[0]},
    "Logprob": {"token": "one", "bytes": [], "logprob": 0.5, "top_logprobs": []},
    "BetaMessage": {
        "id": "i",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "text"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 5},
    },
    "GenerateContentResponse": {
        "candidates": [{"content": {"parts": [{"text": "text"}], "role": "model"}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8},
    },
    "Candidate": {"content": {"parts": [{"text": "text"}], "role": "model"}, "finishReason": "STOP"},
    "Content": {"parts": [{"text": "text"}], "role": "model"},
    "GroundingMetadata": {"groundingChunks": [{"web": {"uri": "https://a.example/1"}}]},
    "GenerateContentResponsePromptFeedback": {"blockReason": "SAFETY"},
    "GroundingChunkImage": {"sourceUri": "https://a.example/1"},
    "GroundingChunkWeb": {"uri": "https://a.example/1"},
    "GroundingChunkRetrievedContext": {"uri": "https://a.example/1"},
    "GroundingChunkMaps": {"uri": "https://a.example/1"},
    "GroundingSupport": {"segment": {"startIndex": 0, "endIndex": 2}, "groundingChunkIndices": [0]},
    "Segment": {"startIndex": 0, "endIndex": 3},
    "Citation": {"uri": "https://a.example/1", "startIndex": 0, "endIndex": 3},
    "LogprobsResult": {"chosenCandidates": [{"token": "one", "logProbability": 0.5}]},
    "LogprobsResultCandidate": {"token": "one"},
    "FunctionCall": {"name": "f", "args": {}},
    "Blob": {"mimeType": "image/png", "data": PNG[0]},
    "FileData": {"mimeType": "image/png", "fileUri": "https://a.example/1"},
    "ConverseResponse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "text"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 8},
        "metrics": {"latencyMs": 1},
    },
    "ConverseMessage": {"role": "assistant", "content": [{"text": "text"}]},
    **{
        f"Converse{kind}Block": {"format": word, "source": {"bytes": PNG[0]}}
        for kind, word in (("Image", "png"), ("Document", "pdf"), ("Video", "mp4"), ("Audio", "wav"))
    },
    "ConverseCitationsContentBlock": {"content": [{"text": "text"}]},
    "ConverseCitation": {"location": {"web": {"url": "https://a.example/1"}}},
}
"""What an answer has besides its leaf, by the name of its type: by hand."""
BESIDES: Final[dict[str, Json]] = {
    "groundingSupports": {"groundingChunks": [{"web": {"uri": f"https://a.example/{each}"}} for each in (1, 2)]},
    "topCandidates": {"chosenCandidates": [{"token": "one", "logProbability": 0.5}]},
    "finishMessage": {"finishReason": "SAFETY"},
    "thought": {"text": "thought"},
    "promptFeedback": {"candidates": []},
    "stop_details": {"stop_reason": "refusal"},
    "stop_sequence": {"stop_reason": "stop_sequence"},
    "incomplete_details": {"status": "incomplete"},
    "source": {"location": {}},
    "error": {"source": {}},
    "additionalModelResponseFields": {"stopReason": "stop_sequence"},
}
"""What stands beside a member, without which that means nothing."""


def least(shape: Shape) -> Json:
    """The smallest value of a type."""
    if shape.name in PLAIN:
        return PLAIN[shape.name] | {
            name: least(shape.members[name]) for name in shape.required - PLAIN[shape.name].keys()
        }
    if shape.either:
        return least(shape.either[0])
    if shape.item is not None:
        return []
    if shape.members:
        return {name: least(shape.members[name]) for name in sorted(shape.required)}
    return shape.values[0]


_MISSING: Final = object()


def _walk(shape: Shape, path: str) -> Iterator[tuple[str, tuple[Json, ...], Callable[[Json], Json]]]:
    """Path and values of each leaf below, and what makes the value of the whole type of one of them."""
    if shape.either:
        for each in shape.either:
            yield from _walk(each, f"{path}:{each.tag}")
    elif shape.item is not None and shape.item.values:
        yield path, tuple([value] for value in shape.item.values), _same
    elif shape.item is not None:
        for name, values, make in _walk(shape.item, f"{path}[]"):
            yield name, values, partial(_in_list, make)
    elif shape.members:
        for member, inner in shape.members.items():
            rest = least(shape) | {key: value for key, value in BESIDES.get(member, {}).items() if key in shape.members}
            rest.pop(member, None)
            for name, values, make in _walk(inner, f"{path}.{member}".lstrip(".")):
                yield name, values, partial(_in_object, rest, member, make)
    else:
        yield path, shape.values, _same


def _same(value: Json) -> Json:
    return value


def _in_list(make: Callable[[Json], Json], value: Json) -> Json:
    return [make(value)]


def _in_object(rest: Json, member: str, make: Callable[[Json], Json], value: Json) -> Json:
    made = make(value)
    return rest if made is _MISSING else {**rest, member: made}


def leaves(dialect: Dialect) -> Iterator[Leaf]:
    """Every leaf of a dialect's whole answer."""
    for path, values, make in _walk(SHAPES[dialect](), ""):
        yield Leaf(path, values, make, make(_MISSING))


SHAPES: Final[dict[Dialect, Callable[[], Shape]]] = {
    Dialect.OPENAI_CHAT: lambda: of_model(ChatCompletion),
    Dialect.OPENAI_RESPONSES: lambda: of_model(Response),
    Dialect.ANTHROPIC: lambda: of_model(BetaMessage),
    Dialect.GEMINI: lambda: of_model(GenerateContentResponse),
    Dialect.BEDROCK: of_converse,
}
