"""The neutral request: what a caller asks of a model, in no vendor's words.

A request that crosses from one dialect to another goes through these records: each dialect reads its own
bodies into them and writes its own bodies from them, so that five dialects need ten converters and not
twenty. A request that stays in its dialect never comes here: its bytes are forwarded.

* A *message* is one turn: a role and parts. Results of tools are parts of a `USER` message. Two messages of
  one role may follow each other; a dialect that wants turns to alternate joins them.
* System and developer messages stand where the caller put them; a dialect with one place for them collects them.
* What has no neutral place stays in `Request.rest` under the caller's own name for it. A writer declares it as
  dropped, as everything else that its dialect cannot say: nothing is lost in silence.
* JSON that only passes (schemas, arguments) stays text.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

NO_JSON = msgspec.Raw()
"""What a field of raw JSON holds when it was not given: no JSON value is empty."""
TOOLS = "tools."
"""How a kind of tools begins among the names of what was dropped: the rest of `tools` was said."""


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"


class MediaKind(StrEnum):
    """What a piece of media is."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


class Part(msgspec.Struct, frozen=True, tag_field="part"):
    """One piece of a message.

    `cache` is a breakpoint of the provider's prompt cache behind this part: empty, `5m` or `1h`.
    """


class Text(Part, frozen=True, tag="text"):
    """Text."""

    text: str
    cache: str = ""


class Media(Part, frozen=True, tag="media"):
    """An image, document, sound or film, by exactly one of `data`, `url`, `file_id` and `text`.

    `data` is base64 as the caller wrote it (checked when it was read), `text` the content of a plain document.
    `media_type` is empty where the caller did not say. `place` is the field it came from, for error messages:
    `messages[2].content[0].image_url`.
    """

    kind: MediaKind
    media_type: str = ""
    data: str = ""
    url: str = ""
    file_id: str = ""
    text: str = ""
    title: str = ""
    """A file's name or a document's title."""
    detail: str = ""
    """How closely to look at an image: OpenAI's `low`, `high`, `auto`."""
    cache: str = ""
    place: str = ""


class Reasoning(Part, frozen=True, tag="reasoning"):
    """What a model thought before it answered, or the vendor's sealed form of it.

    `signature` vouches for `text`; `sealed` stands in its place (Anthropic's redacted thinking, OpenAI's encrypted
    content). Both only mean something to the vendor whose `format` it is. `summary` is whether `text` is a summary.
    """

    text: str = ""
    signature: str = ""
    sealed: str = ""
    format: str = ""
    summary: bool = False
    id: str = ""


class ToolCall(Part, frozen=True, tag="tool_call"):
    """A model asks for a tool. `arguments` is a JSON object as text, or free text for a `custom` tool.

    `signature` is Gemini's thought signature, which must come back with the call; `format` says whose it is.
    """

    id: str
    name: str
    arguments: str
    custom: bool = False
    signature: str = ""
    format: str = ""
    cache: str = ""


class ToolResult(Part, frozen=True, tag="tool_result"):
    """What a tool gave. `name` is the tool's, where it is known (readers fill it in from the call)."""

    id: str
    content: tuple[Text | Media, ...]
    name: str = ""
    is_error: bool = False
    custom: bool = False
    cache: str = ""


class Refusal(Part, frozen=True, tag="refusal"):
    """A model's words for why it does not answer."""

    text: str


class Foreign(Part, frozen=True, tag="foreign"):
    """A part that only one vendor knows (`server_tool_use`, `executableCode`): declared as dropped elsewhere.

    `format` is whose it is, as that of reasoning, where another vendor has parts of that name as well.
    """

    name: str
    raw: msgspec.Raw
    format: str = ""


class Message(msgspec.Struct, frozen=True):
    """One turn. `name` is OpenAI's name of a participant."""

    role: Role
    parts: tuple[Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Foreign, ...]
    name: str = ""


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call; `parameters` is its JSON schema, empty for none.

    A `custom` tool takes free text; `grammar` is its format, if it has one. A `hosted` tool is the vendor's own (web
    search, code execution): `hosted` is its type, and `raw` the whole of it.
    """

    name: str
    description: str = ""
    parameters: msgspec.Raw = NO_JSON
    strict: bool | None = None
    custom: bool = False
    grammar: msgspec.Raw = NO_JSON
    hosted: str = ""
    raw: msgspec.Raw = NO_JSON
    cache: str = ""

    @property
    def declared(self) -> str:
        """The name by which a writer declares that its dialect has not this hosted tool: `tools.web_search`."""
        return f"{TOOLS}{self.hosted}"


class ToolMode(StrEnum):
    """Whether the model calls tools."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


class ToolChoice(msgspec.Struct, frozen=True):
    """`names` is the one tool of `NAMED`, or those that `AUTO` and `REQUIRED` are limited to; empty is all."""

    mode: ToolMode
    names: tuple[str, ...] = ()


class FormatKind(StrEnum):
    """What the answer's text must be."""

    TEXT = "text"
    JSON = "json_object"
    SCHEMA = "json_schema"


class ResponseFormat(msgspec.Struct, frozen=True):
    """The answer's text as JSON, by a schema or any."""

    kind: FormatKind
    name: str = ""
    schema: msgspec.Raw = NO_JSON
    description: str = ""
    strict: bool | None = None


KINDS_OF_SUMMARY = frozenset({"concise", "detailed"})
"""Kinds of a summary of reasoning that only OpenAI's models choose between; elsewhere there is one."""


class Thinking(msgspec.Struct, frozen=True):
    """How much to reason. None in each is: not said.

    `effort` is one of none, minimal, low, medium, high, xhigh, max. `budget` is in tokens (-1: as the model likes,
    0: none). `shown` is whether the caller wants to see the reasoning, `summary` how it is summarised.
    """

    effort: str | None = None
    budget: int | None = None
    enabled: bool | None = None
    shown: bool | None = None
    summary: str | None = None

    @property
    def is_off(self) -> bool:
        """Whether no reasoning at all is asked for."""
        return self.enabled is False or self.budget == 0 or self.effort == "none"

    @property
    def declared(self) -> str:
        """The name by which a writer declares that it cannot say it: an effort alone often has a place of its own."""
        return "effort" if self.effort is not None and self.enabled is None and self.budget is None else "thinking"


class Request(msgspec.Struct, frozen=True):
    """One request. Fields without a default of their own are None where the caller did not say.

    `max_tokens` bounds the answer with its reasoning. `user` is an opaque id of the caller's own user. `continues` is
    whether the last message is the beginning of the answer, which is to go on there (see `prefilled`). `words` is whose
    names those in `rest` are, like the format of reasoning, since another vendor means something else by the same name;
    it is empty for OpenAI's, of which its two dialects share some.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    thinking: Thinking | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logit_bias: msgspec.Raw = NO_JSON
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    user: str | None = None
    metadata: msgspec.Raw = NO_JSON
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    verbosity: str | None = None
    rest: dict[str, msgspec.Raw] = {}
    words: str = ""
    continues: bool = False


class Written(msgspec.Struct, frozen=True):
    """A request in an upstream's dialect, and the names of what that dialect cannot say.

    The names are this module's field names (`seed`, `logit_bias`), names out of `Request.rest`, of a part or its
    property (`reasoning`, `detail`, `name`), or of a kind of tools (`Tool.declared`); the caller's dialect translates
    them into its own spelling.
    """

    body: bytes
    dropped: tuple[str, ...] = ()


CHARACTERS_PER_TOKEN = 4
"""A guess at how long a token is, for what nobody has counted; English text has a little more, code less."""

_OTHER_MEDIA = frozenset({"audio", "modalities", "responseModalities", "speechConfig"})
"""Names in `Request.rest` by which sound or pictures are asked for."""
_BOUND = frozenset(
    {
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"),
        *("grammar", "json_schema", "regex", "ebnf", "responseMimeType"),
    }
)
"""Names in `Request.rest` by which servers hold an answer to a form: vLLM's, SGLang's, llama.cpp's and Gemini's."""


def prefilled(request: Request, text: str) -> Request:
    """The request for an endpoint that is to go on with an answer of which its caller has `text` already.

    The text becomes the end of the last turn, which is the model's, without the white space at its end: Anthropic
    refuses any there, and elsewhere a model that sees it leaves out the token it would have begun with. Whoever reads
    the answer takes care of that (`dialects.continuation`). The limit is lowered by a guess at what the text has used
    of it, to no less than 1. Reasoning that was asked for is not asked for again: it comes before an answer, and
    Anthropic refuses it together with a text to go on with. Where there is nothing but white space, the request is
    unchanged: the answer is to be given from its beginning.
    """
    begun = text.rstrip()
    if not begun:
        return request
    before, last = request.messages, None
    if before and before[-1].role is Role.ASSISTANT:
        before, last = before[:-1], before[-1]
    last = Message(Role.ASSISTANT, (Text(begun),)) if last is None else _extended(last, begun)
    limit = request.max_tokens
    thinking = request.thinking
    return msgspec.structs.replace(
        request,
        messages=(*before, last),
        continues=True,
        max_tokens=None if limit is None else max(1, limit - len(text) // CHARACTERS_PER_TOKEN),
        thinking=thinking if thinking is not None and thinking.is_off else None,
    )


def _extended(turn: Message, text: str) -> Message:
    """A turn with more text at its end."""
    *others, last = turn.parts or (Text(""),)
    if isinstance(last, Text):
        return msgspec.structs.replace(turn, parts=(*others, msgspec.structs.replace(last, text=last.text + text)))
    return msgspec.structs.replace(turn, parts=(*turn.parts, Text(text)))


def why_not_continued(request: Request) -> str:
    """Why an answer to this request may not go on elsewhere once its text has begun; empty where it may.

    What a form or a probability is tied to would not fit what another model goes on with. Tools that are only offered
    are no reason: one that has been called is seen in the answer.
    """
    wanted = request.response_format
    if (wanted is not None and wanted.kind is not FormatKind.TEXT) or _BOUND.intersection(request.rest):
        return "the answer has a form to keep to"
    if request.n is not None and request.n > 1:
        return "there are several answers"
    if request.logprobs or request.top_logprobs:
        return "log probabilities are asked for"
    if _OTHER_MEDIA.intersection(request.rest):
        return "the answer is not text alone"
    choice = request.tool_choice
    if choice is not None and choice.mode in {ToolMode.REQUIRED, ToolMode.NAMED}:
        return "a tool has to be called"
    return ""
