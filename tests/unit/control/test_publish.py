"""Settings to snapshots."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import pytest

from tokenway.control.config import load
from tokenway.control.publish import DEMONSTRATION, Facts, LocalModel, LocalOffer, build_snapshot, key_digest
from tokenway.dialects.providers import KNOWN
from tokenway.metering.price_book import read_book
from tokenway.model.catalog import (
    AwsKeys,
    Capabilities,
    Dialect,
    Endpoint,
    EndpointLimits,
    Grade,
    Operation,
    Price,
    Probing,
    Quirks,
    Routing,
)
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.secret import Secret
from tokenway.model.settings import ProviderSettings, Settings
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.routing.plan import resolve

OFFER = LocalOffer("http://127.0.0.1:1/v1/", Secret("engine-key"), (*DEMONSTRATION, LocalModel("tiny", weights="q8_0")))


def settings_of(text: str, directory: Path, environment: dict[str, str] | None = None) -> Settings:
    """The settings of a configuration text that has no errors."""
    file = directory / "f.yaml"
    file.write_text(text)
    return load(file, environment or {}).demand()


def build(settings: Settings, environment: dict[str, str] | None = None, local: LocalOffer | None = None) -> Snapshot:
    """A snapshot without keys of the store."""
    return build_snapshot(settings, keys={}, environment=environment or {}, local=local, version=3)


def test_nothing_configured_serves_the_engine_and_what_the_environment_enables() -> None:
    """The defaults: local models, providers with a key, and hints about all the others."""
    snapshot = build(Settings(), {"OPENAI_API_KEY": "sk-1"}, OFFER)
    assert list(snapshot.providers) == ["openai", "local"]
    assert list(snapshot.models) == ["local", "local-embed", "tiny"]
    assert snapshot.version == 3
    assert ("gpt-", "openai") in snapshot.families
    hinted = {hint.name: hint.remedy for hint in snapshot.hints}
    assert hinted["anthropic"] == "set ANTHROPIC_API_KEY"
    assert "openai" not in hinted
    assert "ollama" not in hinted
    assert "local" not in hinted


@pytest.mark.parametrize(
    ("settings", "local", "absent"),
    [
        (Settings(), None, ("local", "local-embed")),
        (Settings(), LocalOffer("unix:/x", Secret("k"), (LocalModel("local-embed"),)), ("local",)),
        (Settings(providers={"local": ProviderSettings(enabled=False)}), None, None),
    ],
)
def test_models_that_the_engine_lacks_are_hinted_at(
    settings: Settings, local: LocalOffer | None, absent: tuple[str, ...] | None
) -> None:
    """Whole or in part, with what installs them; nobody is told to install what was switched off."""
    hints = [hint for hint in build(settings, local=local).hints if hint.name == "local"]
    assert [hint.models for hint in hints] == ([] if absent is None else [absent])
    assert all("`tokenway local install`" in hint.remedy for hint in hints)


def test_the_engine_is_an_endpoint_like_any_other() -> None:
    """Free, reached with its own key, and open about being a demonstration of 135M parameters."""
    snapshot = build(Settings(), local=OFFER)
    provider = snapshot.providers["local"]
    assert (provider.base_url, provider.api_keys) == ("http://127.0.0.1:1/v1", (Secret("engine-key"),))
    assert not provider.serves_any_model
    chat, embedding = snapshot.models["local"], snapshot.models["local-embed"]
    assert "135M" in chat.description
    assert "135M" in embedding.description
    assert chat.endpoints[0].price == Price(input=Rate(0), output=Rate(0))
    assert chat.endpoints[0].operations == (Operation.CHAT, Operation.COMPLETION)
    assert embedding.endpoints[0].operations == (Operation.EMBEDDING,)
    assert snapshot.models["tiny"].endpoints[0].grade == Grade(weights="q8_0")


def test_an_endpoint_is_built_as_written(tmp_path: Path) -> None:
    """Every figure arrives, money as exact integers."""
    settings = settings_of(
        """
providers: {lab: {base_url: 'http://127.0.0.1:9/v1/', api_keys: [a, b], headers: {x-team: blue}}}
models:
  mock:
    endpoints:
      - provider: lab
        model: m
        grade: {weights: fp8, kv_cache: fp8}
        price: {input: 0.0375, cache_read: 0.05, output: 1.50, request: 0.01}
        limits: {rpm: 500}
        weight: 2
    routing: {min_tps: 30, probe: {every: 1m, usd_per_day: 0.50}}
""",
        tmp_path,
    )
    snapshot = build(settings)
    assert snapshot.models["mock"].endpoints == (
        Endpoint(
            "lab",
            "m",
            price=Price(Rate(37_500_000), Rate(1_500_000_000), Rate(50_000_000), request=NanoUsd(10_000_000)),
            grade=Grade(weights="fp8", kv_cache="fp8"),
            limits=EndpointLimits(rpm=500),
            weight=2.0,
        ),
    )
    assert snapshot.models["mock"].min_tps == 30
    assert snapshot.models["mock"].routing == Routing(probe=Probing(60.0, NanoUsd(500_000_000)))
    provider = snapshot.providers["lab"]
    assert provider.base_url == "http://127.0.0.1:9/v1"
    assert provider.api_keys == (Secret("a"), Secret("b"))
    assert provider.headers == (("x-team", "blue"),)


def test_a_known_provider_is_filled_up_from_its_row(tmp_path: Path) -> None:
    """What is written wins; the key, the address and the header come from the row where nothing is."""
    settings = settings_of(
        "providers: {anthropic: {api_key: k}, gemini: {base_url: 'http://127.0.0.1:9/v1'}, ollama: }", tmp_path
    )
    environment = {
        "GEMINI_API_KEY": "g",
        "ANTHROPIC_API_KEY": "other",
        "AZURE_OPENAI_API_KEY": "z",
        "AZURE_OPENAI_ENDPOINT": "https://it.example",
    }
    providers = build(settings, environment).providers
    assert providers["anthropic"].api_keys == (Secret("k"),)
    assert providers["anthropic"].base_url == "https://api.anthropic.com/v1"
    assert (providers["gemini"].base_url, providers["gemini"].api_keys) == ("http://127.0.0.1:9/v1", (Secret("g"),))
    assert providers["ollama"].api_keys == ()
    assert (providers["azure"].base_url, providers["azure"].credential_header) == (
        "https://it.example/openai/v1",
        "api-key",
    )


def test_each_dialect_of_a_provider_arrives(tmp_path: Path) -> None:
    """With its address and header; what was written about its differences stands over what is known."""
    text = "providers: {deepseek: {api_key: k, quirks: {image_urls: false}}, openrouter: {api_key: k}}"
    providers = build(settings_of(text, tmp_path)).providers
    deepseek, openrouter = providers["deepseek"], providers["openrouter"]
    assert deepseek.dialect is Dialect.OPENAI_CHAT
    assert deepseek.speaks == (
        (Dialect.OPENAI_RESPONSES, "https://api.deepseek.com"),
        (Dialect.ANTHROPIC, "https://api.deepseek.com/anthropic/v1"),
    )
    assert deepseek.header(Dialect.ANTHROPIC) == "x-api-key"
    assert deepseek.quirks == Quirks(
        limit_field="max_tokens",
        json_schema=False,
        image_urls=False,
        reasoning_field="reasoning_content",
        prefill="prefix",
    )
    assert openrouter.address(Dialect.ANTHROPIC) == "https://openrouter.ai/api/v1"
    assert openrouter.header(Dialect.ANTHROPIC) == "authorization"
    assert openrouter.address(Dialect.GEMINI) is None


def test_a_provider_may_be_like_a_known_one(tmp_path: Path) -> None:
    """Another account, or another resource, with everything of the row that is not written."""
    text = """
providers:
  second: {like: moonshot, api_key: k}
  west: {like: azure, api_key: w, base_url: 'https://west.example/openai/v1'}
"""
    providers = build(settings_of(text, tmp_path)).providers
    second, west = providers["second"], providers["west"]
    assert second.base_url == "https://api.moonshot.ai/v1"
    assert second.address(Dialect.ANTHROPIC) == "https://api.moonshot.ai/anthropic/v1"
    assert not second.quirks.image_urls
    assert (west.credential_header, west.header(Dialect.OPENAI_RESPONSES)) == ("api-key", "api-key")
    assert west.address(Dialect.OPENAI_RESPONSES) == "https://west.example/openai/v1"


def test_what_a_provider_promises_of_its_data_arrives(tmp_path: Path) -> None:
    """Nothing unless it is written; the embedded engine keeps nothing, for nothing leaves the machine."""
    text = """
providers:
  lab: {base_url: 'http://h/v1', data: {training: false}}
  vault: {base_url: 'http://h/v1', data: {training: false, zdr: true}}
  other: {base_url: 'http://h/v1'}
"""
    snapshot = build(settings_of(text, tmp_path), local=OFFER)
    assert {name: (each.data.training, each.data.zdr) for name, each in snapshot.providers.items()} == {
        "lab": (False, False),
        "vault": (False, True),
        "other": (True, False),
        "local": (False, True),
    }


def test_all_known_providers_are_names(tmp_path: Path) -> None:
    """Whether they are enabled or not: a caller may prefer one that is not here."""
    assert set(build(settings_of("{}", tmp_path)).known) == set(KNOWN)


def test_signing_keys_arrive_where_there_is_no_key(tmp_path: Path) -> None:
    """From the environment or as written; a key stands before them."""
    environment = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "eu-west-1"}
    assert build(Settings(), environment).providers["bedrock"].aws == AwsKeys("A", Secret("s"), "eu-west-1")
    with_key = build(Settings(), environment | {"AWS_BEARER_TOKEN_BEDROCK": "b"}).providers["bedrock"]
    assert (with_key.aws, with_key.api_keys) == (None, (Secret("b"),))
    text = "providers: {bedrock: {aws: {access_key: B, secret_key: t, region: r, session_token: u}}}"
    written = build(settings_of(text, tmp_path, environment), environment).providers["bedrock"]
    assert written.aws == AwsKeys("B", Secret("t"), "r", Secret("u"))
    assert build(Settings(), {"OPENAI_API_KEY": "k"}).providers["openai"].aws is None


def test_a_region_that_is_written_goes_before_the_variable(tmp_path: Path) -> None:
    """It signs and makes the address; the region in a written address signs too."""
    environment = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-east-1"}
    text = "providers: {bedrock: {aws: {access_key: B, secret_key: t, region: eu-west-3}}}"
    written = build(settings_of(text, tmp_path, environment), environment).providers["bedrock"]
    assert written.base_url == "https://bedrock-runtime.eu-west-3.amazonaws.com"
    text = "providers: {eu: {like: bedrock, base_url: 'https://bedrock-runtime.eu-central-1.amazonaws.com'}}"
    assert build(settings_of(text, tmp_path, environment), environment).providers["eu"].aws == AwsKeys(
        "A", Secret("s"), "eu-central-1"
    )


def test_a_provider_without_chat_embeds_only() -> None:
    """So that a chat with its model is refused with the reason."""
    provider = build(Settings(), {"VOYAGE_API_KEY": "k"}).providers["voyage"]
    assert provider.operations == (Operation.EMBEDDING, Operation.EMBED_CONTENT, Operation.RERANK)


def test_where_there_are_no_legacy_completions_they_are_asked_for_as_chat(tmp_path: Path) -> None:
    """By what is known of the provider; of a server of one's own it is taken for granted."""
    text = """
providers: {groq: {api_key: k}, vllm: , lab: {base_url: 'http://x/v1'}}
models: {a: {endpoints: [{provider: groq, model: m}, {provider: vllm, model: m}, {provider: lab, model: m}]}}
"""
    snapshot = build(settings_of(text, tmp_path))
    assert [each.capabilities.completions for each in snapshot.models["a"].endpoints] == [False, True, True]
    unlisted = resolve(snapshot, "groq/other")
    assert unlisted is not None
    assert not unlisted.endpoints[0].capabilities.completions


BOOK = read_book(
    b'{"made":"","shelves":{"openai":{"entries":[{"name":"gpt-x","rule":["^","gpt-x"],"asked":"gpt-x","title":"X",'
    b'"prices":[{"price":{"input":1,"output":2}},{"price":{"input":3,"output":4},"since":10}],'
    b'"capabilities":{"context":100,"max_output":10,"vision":true}}]},'
    b'"mistral":{"entries":[{"name":"m","rule":["=","m"],"prices":[]}]}}}'
)


def test_endpoints_are_filled_up_from_the_price_book(tmp_path: Path) -> None:
    """What is written wins: a price, or one size of the model; of the book, the price of the day."""
    text = """
providers: {openai: {api_key: k}, eu: {base_url: 'https://eu/v1', like: openai}, lab: {base_url: 'http://x/v1'}}
models:
  a:
    endpoints:
      - {provider: openai, model: gpt-x-1}
      - {provider: eu, model: gpt-x, price: {input: 9, output: 9}, capabilities: {context: 50}}
      - {provider: lab, model: gpt-x}
"""
    settings = settings_of(text, tmp_path)
    snapshot = build_snapshot(settings, keys={}, environment={}, local=None, version=1, facts=Facts(BOOK, 10))
    filled, written, unknown = snapshot.models["a"].endpoints
    assert filled.price == Price(Rate(3), Rate(4))
    assert filled.capabilities == Capabilities(context=100, max_output=10, vision=True)
    assert written.price == Price(Rate(9_000_000_000), Rate(9_000_000_000))
    assert written.capabilities == Capabilities(context=50, max_output=10)
    assert (unknown.price, unknown.capabilities) == (None, Capabilities())
    assert set(snapshot.listings) == {"openai", "eu"}
    (listing,) = snapshot.listings["openai"]
    assert (listing.name, listing.price, listing.is_listed) == ("gpt-x", Price(Rate(3), Rate(4)), True)


def test_only_enabled_providers_rows_are_published() -> None:
    """A snapshot goes to every worker, so it stays small."""
    snapshot = build_snapshot(
        Settings(), keys={}, environment={"MISTRAL_API_KEY": "k"}, local=None, version=1, facts=Facts(BOOK)
    )
    assert set(snapshot.listings) == {"mistral"}
    data = msgspec.msgpack.encode(snapshot, enc_hook=lambda secret: secret.reveal())
    assert msgspec.msgpack.decode(data, type=Snapshot, dec_hook=lambda kind, text: kind(text)) == snapshot


def test_without_the_engine_its_endpoints_and_fallbacks_are_left_out(tmp_path: Path) -> None:
    """A spare that is not there must not break the calls that do not need it."""
    text = """
providers: {lab: {base_url: http://127.0.0.1:9/v1}}
models:
  a: {endpoints: [{provider: local, model: local}, {provider: lab, model: m}], fallbacks: [local, gpt-4o, lab/x]}
"""
    settings = settings_of(text, tmp_path)
    without = build(settings).models["a"]
    assert [endpoint.id for endpoint in without.endpoints] == ["lab/m"]
    assert without.fallbacks == ("lab/x",)
    with_engine = build(settings, {"OPENAI_API_KEY": "sk"}, OFFER).models["a"]
    assert [endpoint.id for endpoint in with_engine.endpoints] == ["local/local", "lab/m"]
    assert with_engine.endpoints[0].price == Price(input=Rate(0), output=Rate(0))
    assert with_engine.fallbacks == ("local", "gpt-4o", "lab/x")


def test_aliases_lead_straight_to_their_end(tmp_path: Path) -> None:
    """A chain is walked once, when the snapshot is built."""
    settings = settings_of("aliases: {a: b, b: local}", tmp_path)
    assert build(settings, local=OFFER).aliases == {"a": "local", "b": "local"}


def test_a_configured_model_stands_before_the_engines(tmp_path: Path) -> None:
    """Who writes a model called `local` gets that one."""
    text = "providers: {lab: {base_url: http://x/v1}}\nmodels: {local: {endpoints: [{provider: lab, model: m}]}}"
    assert build(settings_of(text, tmp_path), local=OFFER).models["local"].endpoints[0].id == "lab/m"


def test_keys_are_known_by_their_digest_only() -> None:
    """What is published is what was given; the digest is SHA-256 in hexadecimal."""
    digest = hashlib.sha256(b"sk-fixed-0123456789").hexdigest()
    assert key_digest("sk-fixed-0123456789") == digest
    keys = {digest: Principal("k1", "ci", "web", max_cost=NanoUsd(1)), "ff": Principal("k2", "laptop", "default")}
    snapshot = build_snapshot(Settings(), keys=keys, environment={}, local=None, version=1, not_ready="loading")
    assert snapshot.keys == keys
    assert snapshot.not_ready == "loading"


def test_a_fixed_key_is_nowhere_in_a_snapshot(tmp_path: Path) -> None:
    """Not even in one that lets everybody in."""
    text = "auth: {required: false, keys: [{name: ci, key: sk-fixed-0123456789, project: web, budget: 5.00}]}"
    snapshot = build(settings_of(text, tmp_path))
    assert not snapshot.auth_required
    assert "sk-fixed" not in repr(snapshot)


def test_limits_and_deadlines_are_carried_over(tmp_path: Path) -> None:
    """What workers need of `server`, `timeouts` and `retries`."""
    text = "server: {max_body: 1MiB}\ntimeouts: {total: 60}\nretries: {max: 5}"
    snapshot = build(settings_of(text, tmp_path))
    assert (snapshot.max_body, snapshot.timeouts.total, snapshot.max_retries) == (2**20, 60.0, 5)


def test_the_longest_prefix_comes_first() -> None:
    """So that the first match in the list is the right one."""
    environment = {"OPENAI_API_KEY": "a", "MISTRAL_API_KEY": "b", "COHERE_API_KEY": "c"}
    lengths = [len(prefix) for prefix, _ in build(Settings(), environment).families]
    assert lengths == sorted(lengths, reverse=True)


def test_settings_that_were_not_checked_are_refused() -> None:
    """A provider without an address cannot be built."""
    with pytest.raises(ValueError, match="no address"):
        build(Settings(providers={"x": ProviderSettings()}))


def test_a_snapshot_can_be_sent(tmp_path: Path) -> None:
    """What is built fits the types that a worker decodes, keys revealed on the way."""
    text = (
        "providers: {lab: {base_url: http://x/v1, api_key: k}}\nmodels: {a: {endpoints: [{provider: lab, model: m}]}}"
    )
    snapshot = build(settings_of(text, tmp_path), {"OPENAI_API_KEY": "sk-1"}, OFFER)
    data = msgspec.msgpack.encode(snapshot, enc_hook=lambda secret: secret.reveal())
    assert msgspec.msgpack.decode(data, type=Snapshot, dec_hook=lambda kind, text: kind(text)) == snapshot


def test_a_provider_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    """Neither its variable nor its line enables it, and no hint asks for a key that would not help."""
    settings = settings_of(
        """
providers: {openai: {enabled: false}, lab: {enabled: false, base_url: 'http://127.0.0.1:9/v1'}, groq: {}}
models: {mock: {endpoints: [{provider: lab, model: m}, {provider: groq, model: n}], fallbacks: [gpt-4o]}}
""",
        tmp_path,
        {"GROQ_API_KEY": "gsk-1"},
    )
    snapshot = build(settings, {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "gsk-1"})
    assert set(snapshot.providers) == {"groq"}
    assert [endpoint.id for endpoint in snapshot.models["mock"].endpoints] == ["groq/n"]
    assert snapshot.models["mock"].fallbacks == ()
    assert "openai" not in {hint.name for hint in snapshot.hints}
