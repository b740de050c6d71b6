"""What callers of the local engine may send, in OpenAI's dialect, and how it becomes a task for the runtime.

Only known fields reach the runtime: it has many switches of its own that are not for callers. Fields that
change nothing here (`user`, `metadata`, `store`, …) are ignored; fields that would change the answer but are
not supported are refused with a sentence.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeVar

import msgspec

PARALLEL = 4
"""Answers that a model writes at once; also the largest `n`."""
MAX_TOKENS_DEFAULT = 1024
"""A small model may never find an end by itself."""
TEMPERATURE_DEFAULT = 0.2
TOP_P_DEFAULT = 0.9
EMBED_INPUTS_MAX = 2048

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Stop = Annotated[list[str], msgspec.Meta(max_length=4)]


class BadRequest(Exception):
    """A request that is not served as it is; becomes an error body in OpenAI's shape."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


class Part(msgspec.Struct):
    """A part of a message; only text can be read here."""

    type: str
    text: str = ""


class CalledFunction(msgspec.Struct):
    """A call that the model made before; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct):
    """A call in an assistant's message."""

    id: str
    function: CalledFunction
    type: str = "function"


class Message(msgspec.Struct):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class Function(msgspec.Struct):
    """A function that the model may call; `parameters` is a JSON schema of an object."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """An entry of `tools`."""

    type: Literal["function"]
    function: Function


class Named(msgspec.Struct):
    """A name on its own."""

    name: str


class NamedTool(msgspec.Struct):
    """`tool_choice` that names one function."""

    function: Named
    type: Literal["function"] = "function"


class SchemaFormat(msgspec.Struct):
    """The schema of `response_format`."""

    schema: dict[str, Any]
    name: str = "answer"


class ResponseFormat(msgspec.Struct):
    """How the answer must look."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaFormat | None = None


class StreamOptions(msgspec.Struct):
    """What a stream carries besides the answer."""

    include_usage: bool = False


class Sampling(msgspec.Struct, kw_only=True):
    """What both kinds of generation share. A null means the default, as it does upstream."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=PARALLEL)] | None = None
    max_tokens: Positive | None = None
    temperature: Temperature | None = None
    top_p: Fraction | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: Seed | None = None
    stop: str | Stop | None = None
    logit_bias: dict[str, float] | None = None

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return self.n or 1

    @property
    def wants_usage(self) -> bool:
        """Whether the stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(Sampling, kw_only=True):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    max_completion_tokens: Positive | None = None
    response_format: ResponseFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    functions: list[Any] | None = None


class CompletionRequest(Sampling, kw_only=True):
    """Body of `POST /v1/completions`."""

    prompt: str | list[str] = ""
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = None
    logprobs: int | None = None

    @property
    def prompts(self) -> list[str]:
        """The prompts as a list."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt


class EmbeddingRequest(msgspec.Struct):
    """Body of `POST /v1/embeddings`."""

    model: str
    input: str | list[str]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = None


RequestKind = TypeVar("RequestKind", ChatRequest, CompletionRequest, EmbeddingRequest)
_AT = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


def decode(body: bytes, kind: type[RequestKind]) -> RequestKind:
    """The body as a request. Raises `BadRequest` that names the field."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        where = _AT.search(text)
        param = where["path"] if where else None
        reason = text[: where.start()] if where else text
        missing = re.fullmatch(r"Object missing required field `(\w+)`", reason)
        if missing:
            param = f"{param}.{missing[1]}" if param else missing[1]
            raise BadRequest(f"The field {param} is required.", param, "missing_required_parameter") from None
        raise BadRequest(f"{reason}{f', in {param}' if param else ''}.", param, "invalid_value") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", code="invalid_json") from None


def sampling_task(request: Sampling) -> dict[str, Any]:
    """The fields of a runtime task that do not depend on the kind of request. Raises `BadRequest`."""
    if request.logit_bias:
        raise BadRequest("The local engine has another vocabulary: leave out logit_bias.", "logit_bias")
    task: dict[str, Any] = {
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a chance to stop while a long prompt is still being read
        "temperature": TEMPERATURE_DEFAULT if request.temperature is None else request.temperature,
        "top_p": TOP_P_DEFAULT if request.top_p is None else request.top_p,
        "max_tokens": request.max_tokens or MAX_TOKENS_DEFAULT,
        "n": request.choices,
    }
    for name in ("frequency_penalty", "presence_penalty"):
        value = getattr(request, name)
        if value is not None:
            task[name] = value
    if request.seed is not None:
        task["seed"] = request.seed % 2**32
    if request.stop:
        task["stop"] = [request.stop] if isinstance(request.stop, str) else request.stop
    return task


def completion_task(request: CompletionRequest) -> dict[str, Any]:
    """The runtime task of a text completion. Raises `BadRequest`."""
    if request.echo or request.suffix or request.logprobs or (request.best_of or 1) > 1:
        raise BadRequest("The local engine completes text only: leave out echo, suffix, best_of and logprobs.")
    prompts = request.prompts
    if not prompts or not all(prompts):
        raise BadRequest("The prompt is empty: send at least one character.", "prompt")
    if len(prompts) > 1 and request.choices > 1:
        raise BadRequest("Send either several prompts or n above 1, not both.", "n")
    if len(prompts) > PARALLEL:
        raise BadRequest(f"At most {PARALLEL} prompts fit into one request.", "prompt")
    return sampling_task(request) | {"prompt": prompts if len(prompts) > 1 else prompts[0]}


def embedding_texts(request: EmbeddingRequest, dimensions: int) -> list[str]:
    """The texts to embed. Raises `BadRequest`."""
    if request.dimensions not in (None, dimensions):
        raise BadRequest(
            f"This model gives {dimensions} dimensions, not {request.dimensions}: leave out dimensions.",
            "dimensions",
        )
    texts = [request.input] if isinstance(request.input, str) else request.input
    if not texts or not all(texts):
        raise BadRequest("An input text is empty: send at least one character for each.", "input")
    if len(texts) > EMBED_INPUTS_MAX:
        raise BadRequest(f"{len(texts)} inputs are too many: send at most {EMBED_INPUTS_MAX}.", "input")
    return texts
