"""Providers, endpoints and models as immutable records.

A *provider* is who is called, an *endpoint* is one offer of a model by a provider, and a *model* is
the name a caller asks for, with the endpoints that serve it in order of preference.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tokenway.model.match import Rule
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.preferences import Rescue, SortOrder
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
    EMBED_CONTENT = "embed_content"
    MODERATION = "moderation"
    IMAGE = "image"
    IMAGE_EDIT = "image_edit"
    IMAGE_VARIATION = "image_variation"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    TRANSLATION = "translation"
    RERANK = "rerank"
    COUNT = "count"
    COMPACT = "compact"


MADE_OF: Final[dict[Operation, Operation]] = {
    Operation.COMPLETION: Operation.CHAT,
    Operation.EMBED_CONTENT: Operation.EMBEDDING,
    Operation.COUNT: Operation.CHAT,
    Operation.COMPACT: Operation.CHAT,
}
"""What a model can that can something else: legacy completions are asked for as chat where there is nothing better."""

PICTURES: Final = frozenset({Operation.IMAGE, Operation.IMAGE_EDIT, Operation.IMAGE_VARIATION})
"""What makes images."""
HEARING: Final = frozenset({Operation.TRANSCRIPTION, Operation.TRANSLATION})
"""What makes text of sound."""

_Count = Annotated[int, Meta(ge=1, le=10**12)]
_Minute = Annotated[int, Meta(ge=0, le=1440)]


class Rates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """The rates that differ from a price's own under some condition; None is no difference."""

    input: Annotated[Rate | None, Meta(description="Input that no cache held.")] = None
    output: Annotated[Rate | None, Meta(description="Output.")] = None
    cache_read: Annotated[Rate | None, Meta(description="Input read from the provider's cache.")] = None
    cache_write: Annotated[Rate | None, Meta(description="Input written to a cache for five minutes.")] = None
    cache_write_1h: Annotated[Rate | None, Meta(description="Input written to a cache for an hour.")] = None


class Tier(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rates of a call whose input is longer than `above` tokens: of the whole call, not of what is above."""

    above: Annotated[_Count, Meta(description="Tokens of input, cached ones included, above which it holds.")]


class Hours(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rates between two times of the day, UTC; a window may pass midnight."""

    begin: Annotated[_Minute, Meta(description="The first minute of the day, UTC.")]
    end: Annotated[_Minute, Meta(description="The minute after the last one.")]


class Service(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rates of a class of service: a batch, a slower or a faster one. Its tiers are its own."""

    tiers: Annotated[tuple[Tier, ...], Meta(description="Other rates for long input.")] = ()


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What an image costs that is asked for in this size and quality; one that is empty holds for any."""

    size: Annotated[str, Meta(description="The size that is asked for, such as `1024x1792`.")] = ""
    quality: Annotated[str, Meta(description="The quality that is asked for, such as `hd`.")] = ""
    image: Annotated[NanoUsd, Meta(description="USD for each image.")]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rates per bucket in nano-dollars per million units (see `model.money`).

    A bucket without a rate of its own is charged like its parent: cache and media input like input,
    reasoning and media output like output. `request` and `search` are nano-dollars for each. Of `tiers`, the one
    with the highest `above` that the input passes holds; what it does not name stays as it is. A class of service
    (`model.usage.SERVICES`) has the price's own rates where it names no others, and neither its tiers nor its hours.

    What is sold by the piece has no parent: where `image`, `sound_hour` or `characters` is not said, it is not known.
    Of `images`, the first that fits what is asked for takes the place of `image`.
    """

    input: Annotated[Rate, Meta(description="Input that no cache held.")]
    output: Annotated[Rate, Meta(description="Output.")]
    cache_read: Annotated[Rate | None, Meta(description="Input read from the provider's cache.")] = None
    cache_write: Annotated[Rate | None, Meta(description="Input written to a cache for five minutes.")] = None
    cache_write_1h: Annotated[Rate | None, Meta(description="Input written to a cache for an hour.")] = None
    reasoning: Annotated[Rate | None, Meta(description="Output spent on reasoning.")] = None
    request: Annotated[NanoUsd, Meta(description="USD for each call, whatever its tokens.")] = NanoUsd(0)
    audio_input: Annotated[Rate | None, Meta(description="Input that is audio.")] = None
    audio_output: Annotated[Rate | None, Meta(description="Output that is audio.")] = None
    image_input: Annotated[Rate | None, Meta(description="Input that is an image, by token.")] = None
    image_output: Annotated[Rate | None, Meta(description="Output that is an image, by token.")] = None
    search: Annotated[NanoUsd, Meta(description="USD for each search, of the web or for a ranking.")] = NanoUsd(0)
    image: Annotated[NanoUsd | None, Meta(description="USD for each image that is made.")] = None
    images: Annotated[tuple[Picture, ...], Meta(description="Other prices of an image, by what is asked for.")] = ()
    sound_hour: Annotated[NanoUsd | None, Meta(description="USD for an hour of sound that is heard.")] = None
    characters: Annotated[Rate | None, Meta(description="Characters of text that is spoken.")] = None
    tiers: Annotated[tuple[Tier, ...], Meta(description="Other rates for long input.")] = ()
    hours: Annotated[tuple[Hours, ...], Meta(description="Other rates at times of the day.")] = ()
    batch: Annotated[Service | None, Meta(description="Other rates for calls in a batch.")] = None
    flex: Annotated[Service | None, Meta(description="Other rates where it was served as `flex`.")] = None
    priority: Annotated[Service | None, Meta(description="Other rates where it was served as `priority`.")] = None
    fast: Annotated[Service | None, Meta(description="Other rates where it was served as `fast`.")] = None


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


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
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

    def within(self, other: Timeouts) -> Timeouts:
        """Of each deadline the earlier: a caller can shorten one and never lengthen it."""
        return Timeouts(
            min(self.connect, other.connect),
            min(self.first_token, other.first_token),
            min(self.between_tokens, other.between_tokens),
            min(self.total, other.total),
        )


class AwsKeys(msgspec.Struct, frozen=True):
    """What signs requests to Amazon's services. `token` belongs to keys that are lent for a while."""

    access_key: str
    secret_key: Secret
    region: str
    token: Secret | None = None


class Quirks(msgspec.Struct, frozen=True):
    """Where a provider differs from the dialect it speaks; the defaults are what most of them understand."""

    limit_field: str = "max_completion_tokens"
    """OpenAI chat: the name of the answer's limit; older servers only know `max_tokens`."""
    developer_role: bool = False
    """OpenAI chat: whether `developer` is a role of its own; else such a message is sent as `system`."""
    custom_tools: bool = False
    """OpenAI chat: whether it knows tools that take free text, as OpenAI does; else they are functions."""
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
    embeddings: str = ""
    """The provider's own form of embeddings (`cohere`); empty where it is its dialect's."""
    encrypted_reasoning: bool = True
    """OpenAI Responses: whether sealed reasoning may be asked for (`include`); a few models refuse it."""
    input_tokens: bool = False
    """OpenAI Responses: whether it counts tokens (`/responses/input_tokens`), which few do; else they are estimated."""
    prefill: str = ""
    """OpenAI chat: how a last turn of the model's is marked that it is to go on with. `prefix` and `partial` are
    members of that message, `continue_final_message` is one of the request; empty where no mark is needed."""
    hosted_version: str = ""
    """Anthropic: what `anthropic_version` says in a body whose model stands in the path (`vertex-2023-10-16`); empty
    where the address is Anthropic's own."""
    variants: bool = False
    """Whether `:free`, `:nitro` and `:floor` are part of its own names of models, as they are OpenRouter's."""


BEARER: Final = "authorization"

CREDENTIAL_HEADERS: Final[Mapping[Dialect, str]] = {Dialect.ANTHROPIC: "x-api-key", Dialect.GEMINI: "x-goog-api-key"}
"""The header that a dialect's own vendor wants the key in, where it is not `authorization`."""


def credential_header(dialect: Dialect) -> str:
    """The header that carries the key where nothing else is said."""
    return CREDENTIAL_HEADERS.get(dialect, BEARER)


class DataPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider does with what it is sent. Without a promise, the worse is supposed."""

    training: Annotated[bool, Meta(description="Whether it may train on what it is sent.")] = True
    zdr: Annotated[bool, Meta(description="Whether it keeps nothing of it (zero data retention).")] = False


class Provider(msgspec.Struct, frozen=True):
    """Who is called. `base_url` is what the dialect's path is added to.

    The scheme is `http`, `https`, or `unix` for a socket path: `unix:/run/x.sock:/v1`.
    `credential_header` is `authorization` (the key is sent as a bearer token) or another header's name
    (the key is sent as it is). `dialect` is the one that requests of other dialects are translated into; `speaks`
    are more that it understands itself, each with its base URL, so that nothing has to be translated.
    """

    name: str
    base_url: str
    dialect: Dialect = Dialect.OPENAI_CHAT
    api_keys: tuple[Secret, ...] = ()
    credential_header: str = BEARER
    headers: tuple[tuple[str, str], ...] = ()
    serves_any_model: bool = True
    """Whether `provider/model` reaches models that the configuration does not list."""
    speaks: tuple[tuple[Dialect, str], ...] = ()
    speaks_with: tuple[tuple[Dialect, str], ...] = ()
    """The credential header of a dialect in `speaks`, where it is not the usual one of that dialect."""
    quirks: Quirks = Quirks()
    elsewhere: tuple[tuple[Operation, str], ...] = ()
    """Operations that it has at another address than the rest, each with the base URL for it."""
    completions: bool = True
    """Whether it takes legacy completions; where not, they are asked for as chat."""
    fetch_urls: bool = False
    """Whether images that a caller gives by URL may be fetched for it, from public addresses only."""
    operations: tuple[Operation, ...] = tuple(Operation)
    """What it does for models that the configuration does not list."""
    aws: AwsKeys | None = None
    """Signs its requests where it has no key."""
    data: DataPolicy = DataPolicy()

    def address(self, dialect: Dialect) -> str | None:
        """The base URL at which it understands a dialect itself; None when it does not."""
        return self.base_url if dialect is self.dialect else dict(self.speaks).get(dialect)

    def header(self, dialect: Dialect) -> str:
        """The header that carries its key in a request of this dialect."""
        if dialect is self.dialect:
            return self.credential_header
        return dict(self.speaks_with).get(dialect, credential_header(dialect))


class Listing(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a provider's model before anybody has configured it. `rule` says which names mean it."""

    name: str
    rule: Rule
    title: str = ""
    price: Price | None = None
    capabilities: Capabilities = Capabilities()
    embeds: bool = False
    """Whether it makes embeddings, and nothing else."""
    is_listed: bool = True
    """Whether `name` is one that callers can ask the provider for, and not only a rule's own name."""


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
    timeouts: Timeouts | None = None
    """Its own deadlines; None where it has the same as all. The total is of one attempt here."""
    id: str = ""
    """`provider/upstream-model`, as headers and the ledger name it; made from the two when it is not given."""

    def can(self, operation: Operation) -> bool:
        """Whether the operation can be asked for here, as it is or as what it is made of."""
        return operation in self.operations or MADE_OF.get(operation) in self.operations

    def __post_init__(self) -> None:
        if not self.id:
            msgspec.structs.force_setattr(self, "id", f"{self.provider}/{self.upstream_model}")


class Probing(msgspec.Struct, frozen=True):
    """An endpoint that nobody has asked for `every` seconds is asked by the gateway, for `budget` a day at most."""

    every: float
    budget: NanoUsd


class Routing(msgspec.Struct, frozen=True):
    """How one of a model's endpoints is chosen and watched; what a caller says goes before it.

    `hour` is what an hour of waiting is worth, in USD. A stream may be slower than the model's floor for `grace`
    seconds. `hedge_at` is the share of first tokens that have come when a second attempt starts, and `hedge_share` the
    largest share of calls that may be raced, and of what they cost: 0 races none, None only those that are asked to be.
    `streams` is whether an answer that is wanted whole is asked for as a stream. `probe` is None where the gateway asks
    nothing of its own accord.
    """

    sort: SortOrder = SortOrder.FINISH
    hour: float = 36.0
    grace: float = 4.0
    hedge_at: float = 0.9
    hedge_share: float | None = None
    rescue: Rescue = Rescue.FAULT
    streams: bool = False
    probe: Probing | None = None


class Model(msgspec.Struct, frozen=True):
    """What callers ask for, with its endpoints in order of preference and models to fall back on."""

    name: str
    endpoints: tuple[Endpoint, ...]
    fallbacks: tuple[str, ...] = ()
    min_tps: float = 20.0
    created: int = 0
    owner: str = "tokenway"
    description: str = ""
    title: str = ""
    """Its name for people, where it has one."""
    routing: Routing = Routing()
