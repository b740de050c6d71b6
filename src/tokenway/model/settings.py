"""Every setting, said once: name, type, bounds, default and meaning.

The reader of the configuration file, the environment variables and `docs/configuration.md` are all
derived from these types. A path names a setting: `server.port`, `models.NAME.endpoints[0].price.input`.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from tokenway.model.catalog import DataPolicy, Dialect, Timeouts
from tokenway.model.money import NanoUsd
from tokenway.model.offers import ModelSettings
from tokenway.model.quotas import BudgetSetting, LimitSettings, ProjectSettings, Rates
from tokenway.model.secret import Secret
from tokenway.model.shape import Kind, fields_of
from tokenway.model.sign_up import SignUpSettings
from tokenway.model.units import Duration, FilePath, Size

LOCAL_PROVIDER: Final = "local"
"""The embedded engine's name as a provider."""

LOCAL_CHAT: Final = "local"
LOCAL_EMBEDDING: Final = "local-embed"

Port = Annotated[int, Meta(ge=0, le=65535)]


class TlsSettings(msgspec.Struct, frozen=True):
    """The certificate of the public listener."""

    cert: Annotated[FilePath, Meta(description="Certificate chain, PEM.")]
    key: Annotated[FilePath, Meta(description="Private key, PEM.")]


class ServerSettings(msgspec.Struct, frozen=True):
    """Listeners and processes; all but `max_body` are read at the start only."""

    host: Annotated[str, Meta(description="Address of both listeners.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Public listener; 0 lets the system choose.")] = 8080
    control_port: Annotated[Port, Meta(description="Control listener: metrics and control API; 0 as above.")] = 8081
    workers: Annotated[int, Meta(ge=1, le=256, description="Edge worker processes.")] = 1
    drain: Annotated[
        Duration, Meta(ge=0, le=86400, description="How long open streams may go on after a request to stop.")
    ] = 30.0
    max_body: Annotated[Size, Meta(ge=1024, le=2**30, description="The largest request body, after decompression.")] = (
        32 * 1024 * 1024
    )
    tls: Annotated[TlsSettings | None, Meta(description="Certificate of the public listener.")] = None


class FixedKey(msgspec.Struct, frozen=True):
    """A key that the configuration itself brings."""

    name: Annotated[str, Meta(description="What people call it; unique.")]
    key: Annotated[Secret, Meta(description="What callers send.")]
    project: Annotated[str, Meta(description="Whom its use is counted for.")] = "default"
    budget: BudgetSetting = None
    limits: Annotated[Rates, Meta(description="How fast its calls may come.")] = Rates()
    max_cost: Annotated[NanoUsd | None, Meta(description="The most that one call may cost.")] = None
    models: Annotated[
        tuple[str, ...] | None,
        Meta(description="The models that it may use, by the names that callers use; `gpt-*` for all that begin so."),
    ] = None
    endpoints: Annotated[
        tuple[str, ...] | None,
        Meta(description="The endpoints that it may use: `provider/model`, or a provider for all of its own."),
    ] = None
    addresses: Annotated[
        tuple[str, ...] | None, Meta(description="The networks that it may be used from: `10.0.0.0/8`.")
    ] = None
    expires: Annotated[
        str | None,
        Meta(description="When it ends: `2030-01-31`, or `2030-01-31T12:00:00Z`; a day without a time, as it begins."),
    ] = None
    user: Annotated[str, Meta(description="The user whose limits its calls count against too.")] = ""


class OidcSettings(msgspec.Struct, frozen=True):
    """An identity provider at which people sign in to the control API and the console (OpenID Connect)."""

    issuer: Annotated[str, Meta(description="Its address, as it calls itself: `https://id.example.com/realm`.")]
    client_id: Annotated[str, Meta(description="What this gateway is called there.")]
    client_secret: Annotated[Secret | None, Meta(description="Its secret there; none for a public client.")] = None
    scopes: Annotated[tuple[str, ...], Meta(description="What is asked for.")] = ("openid", "email", "profile")
    redirect_url: Annotated[
        str | None,
        Meta(description="`…/api/oidc/callback` as browsers reach it; made of their requests when left out."),
    ] = None
    name_claim: Annotated[str, Meta(description="The claim that names a person.")] = "email"
    groups_claim: Annotated[str, Meta(description="The claim with a person's groups.")] = "groups"
    admin_groups: Annotated[
        tuple[str, ...], Meta(description="Groups whose people may do everything; looked at with every sign-in.")
    ] = ()
    create: Annotated[bool, Meta(description="Whether who has no account yet gets one.")] = True


class AuthSettings(msgspec.Struct, frozen=True):
    """Who may call."""

    required: Annotated[bool, Meta(description="Whether a call needs a key.")] = True
    keys: Annotated[
        tuple[FixedKey, ...], Meta(description="Fixed keys, for automation and tests; others live in the store.")
    ] = ()
    oidc: Annotated[OidcSettings | None, Meta(description="Sign-in at an identity provider.")] = None


class RetrySettings(msgspec.Struct, frozen=True):
    """What happens after a failed attempt."""

    max: Annotated[
        int, Meta(ge=0, le=20, description="Extra attempts of one exchange over all endpoints and fallbacks.")
    ] = 2


class ResponsesSettings(msgspec.Struct, frozen=True):
    """What the Responses API keeps between calls."""

    retention: Annotated[
        Duration,
        Meta(
            ge=0,
            le=400 * 86400,
            description="How long a response is kept for `previous_response_id` and `GET`, unless its caller says "
            "`store: false`; `0s` keeps none.",
        ),
    ] = 30 * 86400.0


class LedgerSettings(msgspec.Struct, frozen=True):
    """How long the ledger keeps what, in whole days; sums by day and by account are kept for ever."""

    retention: Annotated[
        Duration,
        Meta(ge=0, le=4000 * 86400, description="How long exchanges are kept one by one; `0s` keeps them for ever."),
    ] = 0.0
    minutes: Annotated[
        Duration, Meta(ge=0, le=4000 * 86400, description="How long sums by minute are kept; `0s` for ever.")
    ] = 0.0
    hours: Annotated[
        Duration, Meta(ge=0, le=4000 * 86400, description="How long sums by hour are kept; `0s` for ever.")
    ] = 0.0


class AwsSettings(msgspec.Struct, frozen=True):
    """What signs requests to Amazon Bedrock, instead of a key."""

    access_key: Annotated[Secret, Meta(description="The access key's id.")]
    secret_key: Annotated[Secret, Meta(description="Its secret.")]
    region: Annotated[str | None, Meta(description="Its region; `$AWS_REGION` when left out.")] = None
    session_token: Annotated[Secret | None, Meta(description="Belongs to keys that are lent for a while.")] = None


class QuirkSettings(msgspec.Struct, frozen=True):
    """Where a provider differs from the dialect that it speaks; what is left out is as usual, or as it is known."""

    limit_field: Annotated[
        str | None, Meta(description="OpenAI chat: `max_completion_tokens`, or `max_tokens` for older servers.")
    ] = None
    developer_role: Annotated[
        bool | None, Meta(description="OpenAI chat: whether `developer` is a role; else it is sent as `system`.")
    ] = None
    custom_tools: Annotated[
        bool | None, Meta(description="OpenAI chat: whether it knows tools in free text; else they are functions.")
    ] = None
    usage_flag: Annotated[
        bool | None, Meta(description="OpenAI chat: whether a stream may be asked for its usage.")
    ] = None
    reasoning_field: Annotated[
        str | None,
        Meta(
            description="OpenAI chat: the member of a message that takes former reasoning back: `reasoning_content`, "
            "`reasoning_details` or `extra_content`; empty for none."
        ),
    ] = None
    sampling_extras: Annotated[
        bool | None, Meta(description="OpenAI chat: whether it knows `top_k`, `min_p` and `repetition_penalty`.")
    ] = None
    encrypted_reasoning: Annotated[
        bool | None, Meta(description="OpenAI Responses: whether sealed reasoning may be asked for.")
    ] = None
    input_tokens: Annotated[
        bool | None, Meta(description="OpenAI Responses: whether it counts input tokens; else they are estimated.")
    ] = None
    prefill: Annotated[
        str | None,
        Meta(
            description="OpenAI chat: how an answer is marked that the request has begun: `prefix`, `partial` or "
            "`continue_final_message`; empty for none."
        ),
    ] = None
    hosted_version: Annotated[
        str | None,
        Meta(
            description="Anthropic: the `anthropic_version` of bodies whose model stands in the path "
            "(`vertex-2023-10-16`); empty for Anthropic's own addresses."
        ),
    ] = None
    variants: Annotated[
        bool | None,
        Meta(
            description="Whether `:free`, `:nitro` and `:floor` belong to its own names of models, as to OpenRouter's."
        ),
    ] = None
    json_schema: Annotated[bool | None, Meta(description="Whether it takes a JSON schema for its answer.")] = None
    image_urls: Annotated[bool | None, Meta(description="Whether it takes images by URL.")] = None


class RunsSettings(msgspec.Struct, frozen=True):
    """How an agent's run is recognised."""

    guess: Annotated[
        bool,
        Meta(
            description="Whether calls that name no run are taken for one where their conversations begin with the "
            "same words. Every conversation is a run then, and those that begin alike are the same one."
        ),
    ] = False


class ProviderSettings(msgspec.Struct, frozen=True):
    """Who is called. A known provider needs only its credentials."""

    enabled: Annotated[bool, Meta(description="Whether it is used; `false` also where its usual variable is set.")] = (
        True
    )
    dialect: Annotated[
        Dialect | None,
        Meta(description="Its wire format; that of the known provider, or `openai_chat`, when left out."),
    ] = None
    speaks: Annotated[
        tuple[Dialect, ...] | None,
        Meta(
            description="More wire formats that it understands at the same address; requests in them pass as they are."
        ),
    ] = None
    base_url: Annotated[
        str | None,
        Meta(
            description="What the dialect's path is added to; `http`, `https` or `unix:/path:/v1`. For `anthropic` and "
            "`gemini` the version (`/v1`, `/v1beta`) is added where it is absent."
        ),
    ] = None
    api_key: Annotated[Secret | None, Meta(description="Its key.")] = None
    api_keys: Annotated[tuple[Secret, ...], Meta(description="Several keys, to spread calls over them.")] = ()
    headers: Annotated[dict[str, str], Meta(description="Headers added to each call.")] = {}
    aws: Annotated[AwsSettings | None, Meta(description="Only for `bedrock`: what signs its requests.")] = None
    credentials: Annotated[
        FilePath | None,
        Meta(
            description="Only for Google's `vertex` and `vertex-anthropic`: the file with which tokens are asked for."
        ),
    ] = None
    quirks: Annotated[QuirkSettings, Meta(description="Where it differs from its dialect.")] = QuirkSettings()
    like: Annotated[
        str | None,
        Meta(description="A known provider: what is known of it holds where nothing is written."),
    ] = None
    data: Annotated[DataPolicy, Meta(description="What it does with what it is sent.")] = DataPolicy()
    fetch_urls: Annotated[
        bool,
        Meta(description="Whether images given by URL are fetched for it where it takes none, from public addresses."),
    ] = False
    models: Annotated[
        dict[str, FilePath], Meta(description="Only for `local`: further chat models, name to GGUF file.")
    ] = {}


class Settings(msgspec.Struct, frozen=True):
    """The whole configuration; the default of each part makes an empty file a valid one."""

    server: Annotated[ServerSettings, Meta(description="Listeners and processes.")] = ServerSettings()
    store: Annotated[
        Secret | None,
        Meta(
            description="Database: `sqlite:///PATH`, or `postgresql://USER:PASSWORD@HOST:5432/NAME` for several "
            "machines; `tokenway.db` in the data directory when left out."
        ),
    ] = None
    shared: Annotated[
        Secret | None,
        Meta(
            description="What several machines count rates in: `valkey://USER:PASSWORD@HOST:6379/0`, `valkeys` for "
            "TLS; Redis too (`redis`, `rediss`). Without it each machine has its share of a rate."
        ),
    ] = None
    auth: Annotated[AuthSettings, Meta(description="Who may call.")] = AuthSettings()
    projects: Annotated[
        dict[str, ProjectSettings],
        Meta(description="Whom use is counted for, by name: what holds for all of its keys."),
    ] = {}
    limits: Annotated[LimitSettings, Meta(description="What happens at limits.")] = LimitSettings()
    signup: Annotated[SignUpSettings, Meta(description="Accounts that people make themselves.")] = SignUpSettings()
    timeouts: Annotated[Timeouts, Meta(description="The four deadlines of an exchange.")] = Timeouts()
    retries: Annotated[RetrySettings, Meta(description="What happens after a failed attempt.")] = RetrySettings()
    responses: Annotated[ResponsesSettings, Meta(description="What the Responses API keeps between calls.")] = (
        ResponsesSettings()
    )
    ledger: Annotated[LedgerSettings, Meta(description="How long the ledger keeps what.")] = LedgerSettings()
    runs: Annotated[RunsSettings, Meta(description="How the runs of agents are recognised.")] = RunsSettings()
    providers: Annotated[dict[str, ProviderSettings], Meta(description="Who is called, by name.")] = {}
    models: Annotated[dict[str, ModelSettings], Meta(description="What callers ask for, by name.")] = {}
    aliases: Annotated[dict[str, str], Meta(description="Other names for models.")] = {}

    def is_off(self, provider: str) -> bool:
        """Whether a provider was switched off; one that is not written here is not."""
        return provider in self.providers and not self.providers[provider].enabled


FLAG_VARIABLES: Final = {
    "TOKENWAY_HOST": "server.host",
    "TOKENWAY_PORT": "server.port",
    "TOKENWAY_CONTROL_PORT": "server.control_port",
    "TOKENWAY_WORKERS": "server.workers",
}
"""Short names of the settings that are flags of `serve` too; a short name wins over the long one."""

POSTGRES: Final = ("postgresql://", "postgres://")
SHARED_SCHEMES: Final = ("valkey", "valkeys", "redis", "rediss")
"""How the URL of a store begins that is no file."""

CONFIG_VARIABLE: Final = "TOKENWAY_CONFIG"
DATA_VARIABLE: Final = "TOKENWAY_DATA_DIR"

RESTART_ONLY: Final = (
    *("server." + name for name in fields_of(ServerSettings) if name != "max_body"),
    "store",
    "shared",
)
"""Settings that are read at the start only; every other one takes effect when the file is read again."""


def variables() -> dict[str, str]:
    """Environment variable to the path of the setting it gives: every scalar outside lists and tables."""
    return _variables(Settings, "") | FLAG_VARIABLES


def _variables(record: type[msgspec.Struct], prefix: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for field in fields_of(record).values():
        path = prefix + field.name
        if field.shape.kind is Kind.RECORD:
            found |= _variables(field.shape.target, f"{path}.")
        elif field.shape.kind not in {Kind.LIST, Kind.TABLE}:
            found["TOKENWAY_" + path.replace(".", "_").upper()] = path
    return found
