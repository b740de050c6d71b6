"""How LiteLLM calls the providers that are known here, and which variables it reads for them.

Names as in LiteLLM's documentation, "Providers".
"""

from __future__ import annotations

from typing import Final

PROVIDERS: Final = {
    "ai21_chat": "ai21",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "bigmodel": "zhipu",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "featherless_ai": "featherless",
    "fireworks_ai": "fireworks",
    "hosted_vllm": "vllm",
    "jina_ai": "jina",
    "llamafile": "llamacpp",
    "lm_studio": "lmstudio",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "zhipuai": "zhipu",
}
"""Its name for a provider to ours, where they differ."""

CLAUDE_ON_VERTEX: Final = "vertex-anthropic"
"""Where `vertex_ai/claude-…` goes: Anthropic's models have another form of address there than Google's own."""

COMPATIBLE: Final = frozenset({"openai_like", "custom_openai", "litellm_proxy", "openai", "text-completion-openai"})
"""Providers of it that are any server which speaks OpenAI's dialect, once they have an address."""

KEY_VARIABLES: Final = {
    "azure": "AZURE_API_KEY",
    "cloudflare": "CLOUDFLARE_API_KEY",
    "databricks": "DATABRICKS_API_KEY",
    "featherless": "FEATHERLESS_AI_API_KEY",
    "fireworks": "FIREWORKS_AI_API_KEY",
    "huggingface": "HUGGINGFACE_API_KEY",
    "jina": "JINA_AI_API_KEY",
    "nvidia": "NVIDIA_NIM_API_KEY",
    "perplexity": "PERPLEXITYAI_API_KEY",
    "together": "TOGETHERAI_API_KEY",
    "vercel": "VERCEL_AI_GATEWAY_API_KEY",
    "volcengine": "VOLCENGINE_API_KEY",
    "zhipu": "BIGMODEL_API_KEY",
}
"""The variable that it reads for a key, where it is not the usual one here."""

BASE_VARIABLES: Final = {"azure": "AZURE_API_BASE", "databricks": "DATABRICKS_API_BASE"}
"""The variable that it reads for the address of a provider that has none of its own."""

ROUTES: Final = ("converse/", "converse_like/", "invoke/", "invoke_like/")
"""What may stand between `bedrock/` and the model's name; requests go to Converse here."""

FIREWORKS_PATH: Final = "accounts/fireworks/models/"
