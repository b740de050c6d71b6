"""The known providers that the OpenAI chat dialect reaches: one row each, and nothing but rows.

A row says what a person would otherwise have to look up: the address, the variable that usually holds the
key, the header it goes into, and what the names of the provider's own models begin with. Hosts of other
people's models have no prefixes, because their names do not tell who should serve them. Anthropic and
Google publish addresses that speak this dialect; those are used here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tokenway.model.secret import Secret

BEARER: Final = "authorization"


def is_key(text: str) -> bool:
    """Whether a header can carry it as a credential: printable ASCII without spaces, at least one character."""
    return bool(text) and all("!" <= char <= "~" for char in text)


class KnownProvider(msgspec.Struct, frozen=True):
    """One row. `base_url` may hold `{VARIABLE}`, which is read from the environment.

    `key_variables` are alternatives, the usual one first; a row without any needs no key. `stand_ins` gives
    another variable to read where the first is not set.
    """

    name: str
    title: str
    base_url: str
    key_variables: tuple[str, ...] = ()
    credential_header: str = BEARER
    prefixes: tuple[str, ...] = ()
    address_variables: tuple[str, ...] = ()
    stand_ins: tuple[tuple[str, str], ...] = ()

    @property
    def is_keyless(self) -> bool:
        """Whether it is called without a key: a server of one's own."""
        return not self.key_variables

    def key(self, environment: Mapping[str, str]) -> Secret | None:
        """The key from the first usual variable that holds one; space around it is a slip of the shell."""
        for name in self.key_variables:
            text = environment.get(name, "").strip()
            if is_key(text):
                return Secret(text)
        return None

    def address(self, environment: Mapping[str, str]) -> str | None:
        """The base URL with its variables filled in; None when one of them is not set."""
        address = self.base_url
        for name in self.address_variables:
            text = (environment.get(name) or environment.get(dict(self.stand_ins).get(name, ""), "")).strip()
            if not text:
                return None
            address = address.replace("{" + name + "}", text.rstrip("/"))
        return address

    def missing(self, environment: Mapping[str, str], *, has_key: bool = False) -> tuple[str, ...]:
        """The variables to set before it can be called; `has_key` when the key comes from elsewhere."""
        missing = [] if has_key or self.is_keyless or self.key(environment) else [self.key_variables[0]]
        if self.address(environment) is None:
            stand_ins = dict(self.stand_ins)
            missing += [
                name
                for name in self.address_variables
                if not environment.get(name) and not environment.get(stand_ins.get(name, ""))
            ]
        return tuple(missing)


_ROWS: Final = (
    KnownProvider(
        "openai",
        "OpenAI",
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        prefixes=(
            "gpt-",
            "chatgpt-",
            "codex-",
            "o1",
            "o3",
            "o4",
            "text-embedding-",
            "davinci-",
            "babbage-",
            "computer-use-",
        ),
    ),
    KnownProvider(
        "anthropic", "Anthropic", "https://api.anthropic.com/v1", ("ANTHROPIC_API_KEY",), prefixes=("claude-",)
    ),
    KnownProvider(
        "gemini",
        "Google Gemini",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        prefixes=("gemini-", "gemma-"),
    ),
    KnownProvider(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        prefixes=(
            "mistral-",
            "ministral-",
            "magistral-",
            "codestral-",
            "devstral-",
            "voxtral-",
            "pixtral-",
            "open-mistral-",
            "open-mixtral-",
        ),
    ),
    KnownProvider("groq", "Groq", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    KnownProvider(
        "deepseek", "DeepSeek", "https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), prefixes=("deepseek-",)
    ),
    KnownProvider("xai", "xAI", "https://api.x.ai/v1", ("XAI_API_KEY",), prefixes=("grok-",)),
    KnownProvider("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
    KnownProvider("together", "Together AI", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
    KnownProvider("fireworks", "Fireworks AI", "https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",)),
    KnownProvider("cerebras", "Cerebras", "https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",)),
    KnownProvider(
        "azure",
        "Azure OpenAI",
        "{AZURE_OPENAI_ENDPOINT}/openai/v1",
        ("AZURE_OPENAI_API_KEY",),
        credential_header="api-key",
        address_variables=("AZURE_OPENAI_ENDPOINT",),
    ),
    KnownProvider(
        "bedrock",
        "Amazon Bedrock",
        "https://bedrock-runtime.{AWS_REGION}.amazonaws.com/openai/v1",
        ("AWS_BEARER_TOKEN_BEDROCK",),
        address_variables=("AWS_REGION",),
        stand_ins=(("AWS_REGION", "AWS_DEFAULT_REGION"),),
    ),
    KnownProvider(
        "cohere",
        "Cohere",
        "https://api.cohere.ai/compatibility/v1",
        ("COHERE_API_KEY", "CO_API_KEY"),
        prefixes=("command-", "embed-"),
    ),
    KnownProvider(
        "perplexity", "Perplexity", "https://api.perplexity.ai", ("PERPLEXITY_API_KEY",), prefixes=("sonar",)
    ),
    KnownProvider(
        "moonshot", "Moonshot AI", "https://api.moonshot.ai/v1", ("MOONSHOT_API_KEY",), prefixes=("kimi-", "moonshot-")
    ),
    KnownProvider("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",)),
    KnownProvider("sambanova", "SambaNova", "https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",)),
    KnownProvider("nvidia", "NVIDIA NIM", "https://integrate.api.nvidia.com/v1", ("NVIDIA_API_KEY",)),
    KnownProvider("ollama", "Ollama", "http://127.0.0.1:11434/v1"),
    KnownProvider("vllm", "vLLM", "http://127.0.0.1:8000/v1"),
    KnownProvider("sglang", "SGLang", "http://127.0.0.1:30000/v1"),
    KnownProvider("lmstudio", "LM Studio", "http://127.0.0.1:1234/v1"),
    KnownProvider("llamacpp", "llama.cpp server", "http://127.0.0.1:8080/v1"),
)

KNOWN: Final[dict[str, KnownProvider]] = {row.name: row for row in _ROWS}
"""Every row by its name."""


def detected(environment: Mapping[str, str]) -> dict[str, KnownProvider]:
    """The rows whose usual variables are all set; a server of one's own is enabled by the configuration only."""
    return {name: row for name, row in KNOWN.items() if not row.is_keyless and not row.missing(environment)}


def family_of(model: str) -> KnownProvider | None:
    """The provider whose own models have names like this one; the longest prefix decides."""
    best = max(
        ((len(prefix), row) for row in _ROWS for prefix in row.prefixes if model.startswith(prefix)),
        key=lambda found: found[0],
        default=None,
    )
    return None if best is None else best[1]
