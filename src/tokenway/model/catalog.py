"""Providers, endpoints and models as immutable records.

A *provider* is who is called, an *endpoint* is one offer of a model by a provider, and a *model* is
the name a caller asks for, with the endpoints that serve it in order of preference.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tokenway.model.money import NanoUsd, Rate
from tokenway.model.secret import Secret
from tokenway.model.units import Duration


class Dialect(StrEnum):
    """A wire format of a provider."""

    OPENAI_CHAT = "openai_chat"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    BEDROCK = "bedrock"


class Operation(StrEnum):
    """What a caller asks an endpoint to do; each has one path in a dialect."""

    CHAT = "chat"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    MODERATION = "moderation"
    IMAGE = "image"
    IMAGE_EDIT = "image_edit"
    IMAGE_VARIATION = "image_variation"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    RERANK = "rerank"
    COUNT = "count"


_Count = Annotated[int, Meta(ge=1, le=10**12)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rates per bucket in nano-dollars per million units (see `model.money`).

    A bucket without a rate of its own is charged like its parent: cache and media input like input,
    reasoning and media output like output. `request` is nano-dollars for each call.
    """

    input: Annotated[Rate, Meta(description="Input that no cache held.")]
    output: Annotated[Rate, Meta(description="Output.")]
    cache_read: Annotated[Rate | None, Meta(description="Input read from the provider's cache.")] = None
    cache_write: Annotated[Rate | None, Meta(description="Input written to a cache for five minutes.")] = None
    cache_write_1h: Annotated[Rate | None, Meta(description="Input written to a cache for an hour.")] = None
    reasoning: Annotated[Rate | None, Meta(description="Output spent on reasoning.")] = None
    request: Annotated[NanoUsd, Meta(description="USD for each call, whatever its tokens.")] = NanoUsd(0)


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The number formats an endpoint declares for weights, activations and the key-value cache."""

    weights: Annotated[str, Meta(description="Number format of the weights.")] = "unknown"
    activations: Annotated[str, Meta(description="Number format of the activations.")] = "unknown"
    kv_cache: Annotated[str, Meta(description="Number format of the key-value cache.")] = "unknown"


class EndpointLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint takes: requests and tokens a minute, and calls at once; None is no limit."""

    rpm: Annotated[_Count | None, Meta(description="Requests a minute.")] = None
    tpm: Annotated[_Count | None, Meta(description="Tokens a minute.")] = None
    concurrency: Annotated[_Count | None, Meta(description="Calls at once.")] = None


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint can do; sizes in tokens, None where it does not say."""

    prefill: Annotated[bool, Meta(description="Continues an answer that the request has begun.")] = False
    tools: Annotated[bool, Meta(description="Calls tools.")] = True
    vision: Annotated[bool, Meta(description="Reads images.")] = False
    context: Annotated[_Count | None, Meta(description="Tokens of input and output together.")] = None
    completions: Annotated[
        bool, Meta(description="Takes legacy completions; where not, they are asked for as chat.")
    ] = True
    max_output: Annotated[_Count | None, Meta(description="Tokens of one answer.")] = None


_Deadline = Annotated[Duration, Meta(gt=0, le=86400)]


class Timeouts(msgspec.Struct, frozen=True):
    """The four deadlines of an exchange, in seconds."""

    connect: Annotated[_Deadline, Meta(description="To reach a provider, TLS included.")] = 5.0
    first_token: Annotated[
        _Deadline,
        Meta(description="From an attempt's request to its first token; for streams, since only they have one."),
    ] = 60.0
    between_tokens: Annotated[_Deadline, Meta(description="The longest pause inside a stream.")] = 30.0
    total: Annotated[_Deadline, Meta(description="The whole exchange, retries included.")] = 900.0


class Quirks(msgspec.Struct, frozen=True):
    """Where a provider differs from the dialect it speaks; the defaults are what most of them understand."""

    limit_field: str = "max_completion_tokens"
    """OpenAI chat: the name of the answer's limit; older servers only know `max_tokens`."""
    developer_role: bool = False
    """OpenAI chat: whether `developer` is a role of its own; else such a message is sent as `system`."""
    usage_flag: bool = True
    """OpenAI chat: whether a stream may be asked for its usage (`stream_options`); a few servers refuse the field."""
    json_schema: bool = True
    """Whether an answer's JSON schema is taken; else it is declared as dropped."""
    reasoning_field: str = ""
    """OpenAI chat: the member of an assistant's message that takes its former reasoning back: `reasoning_content`
    (text), `reasoning_details` (OpenRouter's list, and its `reasoning` object in the request) or `extra_content`
    (Google's signatures at tool calls); empty where the provider takes none."""
    sampling_extras: bool = False
    """OpenAI chat: whether `top_k`, `min_p` and `repetition_penalty` are known, as to vLLM, OpenRouter and Together."""
    image_urls: bool = True
    """Whether images may be given by URL; where not, the call is refused unless `fetch_urls` is on."""
    encrypted_reasoning: bool = True
    """OpenAI Responses: whether sealed reasoning may be asked for (`include`); a few models refuse it."""


class Provider(msgspec.Struct, frozen=True):
    """Who is called. `base_url` is what the dialect's path is added to.

    The scheme is `http`, `https`, or `unix` for a socket path: `unix:/run/x.sock:/v1`.
    `credential_header` is `authorization` (the key is sent as a bearer token) or another header's name
    (the key is sent as it is).
    """

    name: str
    base_url: str
    dialect: Dialect = Dialect.OPENAI_CHAT
    api_keys: tuple[Secret, ...] = ()
    credential_header: str = "authorization"
    headers: tuple[tuple[str, str], ...] = ()
    serves_any_model: bool = True
    """Whether `provider/model` reaches models that the configuration does not list."""
    speaks: tuple[tuple[Dialect, str], ...] = ()
    """Further dialects that it speaks natively, each with the base URL for it."""
    quirks: Quirks = Quirks()

    def base_url_for(self, dialect: Dialect) -> str | None:
        """Where this provider speaks a dialect natively; None where it does not."""
        if dialect is self.dialect:
            return self.base_url
        return dict(self.speaks).get(dialect)


class Endpoint(msgspec.Struct, frozen=True):
    """One offer of a model."""

    provider: str
    upstream_model: str
    price: Price | None = None
    grade: Grade = Grade()
    limits: EndpointLimits = EndpointLimits()
    capabilities: Capabilities = Capabilities()
    weight: float = 1.0
    operations: tuple[Operation, ...] = tuple(Operation)
    id: str = ""
    """`provider/upstream-model`, as headers and the ledger name it; made from the two when it is not given."""

    def __post_init__(self) -> None:
        if not self.id:
            msgspec.structs.force_setattr(self, "id", f"{self.provider}/{self.upstream_model}")


class Model(msgspec.Struct, frozen=True):
    """What callers ask for, with its endpoints in order of preference and models to fall back on."""

    name: str
    endpoints: tuple[Endpoint, ...]
    fallbacks: tuple[str, ...] = ()
    min_tps: float = 20.0
    created: int = 0
    owner: str = "tokenway"
    description: str = ""
