"""The known providers: one row each, and the few questions that are asked of all of them.

Where a provider publishes addresses for several wire formats, its own comes first and the others stand in
`speaks`, but only those that serve every model it has: a request in another one is translated, which works, while an
address for some of the models would refuse the rest. Sources are the vendors' own API references.

How a begun answer is marked (`Quirks.prefill`): Mistral's API reference (`prefix` of an assistant message); DeepSeek,
"Chat Prefix Completion" (`prefix`, at the address `https://api.deepseek.com/beta` only); Moonshot, "Partial Mode";
Alibaba Cloud, "Partial mode" (`partial`, without thinking); vLLM, "OpenAI-Compatible Server", and SGLang's example of a
response prefill (`continue_final_message`). llama.cpp's server and Ollama go on with a model's last turn unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from tokenway.dialects.known import KnownProvider, Offer, Service
from tokenway.model.catalog import BEARER, Dialect, Operation, Quirks

_CHAT: Final = Dialect.OPENAI_CHAT
_RESPONSES: Final = Dialect.OPENAI_RESPONSES
_ANTHROPIC: Final = Dialect.ANTHROPIC
_GEMINI: Final = Dialect.GEMINI
_BEDROCK: Final = Dialect.BEDROCK

_TEXT: Final = (Service.COMPLETIONS,)
_EMBED: Final = (Service.EMBEDDINGS,)
_BOTH: Final = (Service.COMPLETIONS, Service.EMBEDDINGS)
_SOUND: Final = (Service.SPEECH, Service.TRANSCRIPTIONS)

_CLASSIC: Final = Quirks(limit_field="max_tokens")
_WITHOUT_SCHEMA: Final = Quirks(limit_field="max_tokens", json_schema=False)
_WITHOUT_URLS: Final = Quirks(limit_field="max_tokens", image_urls=False)
_WIDE: Final = Quirks(limit_field="max_tokens", sampling_extras=True)
_THINKING: Final = Quirks(limit_field="max_tokens", json_schema=False, reasoning_field="reasoning_content")
_ALWAYS_COUNTS: Final = Quirks(limit_field="max_tokens", usage_flag=False)
"""It refuses or ignores the usage flag, and ends every stream with its usage."""
_TEMPLATES: Final = Quirks(sampling_extras=True, prefill="continue_final_message")
"""It applies a model's own chat template, and is told how."""

_VENDORS: Final = (
    KnownProvider(
        name="openai",
        title="OpenAI",
        base_url="https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        prefixes=(
            *("gpt-", "chatgpt-", "codex-", "o1", "o3", "o4", "text-embedding-", "davinci-", "babbage-"),
            *("computer-use-", "omni-moderation-", "dall-e-", "tts-", "whisper-1", "sora-", "ft:gpt-"),
        ),
        speaks=(Offer(_RESPONSES, "https://api.openai.com/v1"),),
        quirks=Quirks(developer_role=True, custom_tools=True, input_tokens=True),
        services=(*_BOTH, Service.MODERATIONS, Service.IMAGES, *_SOUND),
        models=r"^(?!ft:|moderation$|.*\.ft-$|.*:extended$)",
    ),
    KnownProvider(
        name="azure",
        title="Azure OpenAI",
        base_url="{AZURE_OPENAI_ENDPOINT}/openai/v1",
        key_variables=("AZURE_OPENAI_API_KEY",),
        header="api-key",
        address_variables=("AZURE_OPENAI_ENDPOINT",),
        speaks=(Offer(_RESPONSES, "{AZURE_OPENAI_ENDPOINT}/openai/v1", "api-key"),),
        quirks=Quirks(developer_role=True, custom_tools=True),
        services=(*_BOTH, Service.IMAGES, *_SOUND),
        models="(?!)",  # what it serves are deployments, named by their owner
    ),
    KnownProvider(
        name="anthropic",
        title="Anthropic",
        dialect=_ANTHROPIC,
        base_url="https://api.anthropic.com/v1",
        key_variables=("ANTHROPIC_API_KEY",),
        prefixes=("claude-",),
    ),
    KnownProvider(
        name="gemini",
        title="Google Gemini",
        dialect=_GEMINI,
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        prefixes=("gemini-", "gemma-", "imagen-", "veo-"),
        speaks=(Offer(_CHAT, "https://generativelanguage.googleapis.com/v1beta/openai"),),
        services=(*_EMBED, Service.IMAGES),
        prices="google",
        models="^(?!claude-|.*-maas$)",  # the book's Google is Vertex too, where others' models are
    ),
    KnownProvider(
        name="vertex",
        title="Google Vertex AI",
        dialect=_GEMINI,
        base_url="https://{GOOGLE_CLOUD_LOCATION}-aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}"
        "/locations/{GOOGLE_CLOUD_LOCATION}/publishers/google",
        key_variables=("GOOGLE_OAUTH_ACCESS_TOKEN",),
        account_file="GOOGLE_APPLICATION_CREDENTIALS",
        header=BEARER,
        address_variables=("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_PROJECT"),
        stand_ins=(("GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION"), ("GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT")),
        services=_EMBED,
        prices="google",
        models="^(?!claude-)",  # they are in another publisher's place
    ),
    KnownProvider(
        name="vertex-anthropic",
        title="Claude on Google Vertex AI",
        dialect=_ANTHROPIC,
        base_url="https://{GOOGLE_CLOUD_LOCATION}-aiplatform.googleapis.com/v1/projects/{GOOGLE_CLOUD_PROJECT}"
        "/locations/{GOOGLE_CLOUD_LOCATION}/publishers/anthropic",
        key_variables=("GOOGLE_OAUTH_ACCESS_TOKEN",),
        account_file="GOOGLE_APPLICATION_CREDENTIALS",
        header=BEARER,
        address_variables=("GOOGLE_CLOUD_LOCATION", "GOOGLE_CLOUD_PROJECT"),
        stand_ins=(("GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION"), ("GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT")),
        quirks=Quirks(image_urls=False, hosted_version="vertex-2023-10-16"),
        prices="google",
        models="^claude-(?!4-)",  # the book has `claude-4-opus` for what is called `claude-opus-4`
    ),
    KnownProvider(
        name="azure-anthropic",
        title="Claude on Microsoft Foundry",
        dialect=_ANTHROPIC,
        base_url="https://{ANTHROPIC_FOUNDRY_RESOURCE}.services.ai.azure.com/anthropic/v1",
        key_variables=("ANTHROPIC_FOUNDRY_API_KEY",),
        address_variables=("ANTHROPIC_FOUNDRY_RESOURCE",),
        prices="anthropic",
        models="(?!)",  # what it serves are deployments, named by their owner
    ),
    KnownProvider(
        name="bedrock",
        title="Amazon Bedrock",
        dialect=_BEDROCK,
        base_url="https://bedrock-runtime.{AWS_REGION}.amazonaws.com",
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        signing=("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        prefixes=("amazon.", "anthropic.", "us.amazon.", "us.anthropic.", "eu.anthropic.", "global.anthropic."),
        address_variables=("AWS_REGION",),
        stand_ins=(("AWS_REGION", "AWS_DEFAULT_REGION"),),
        quirks=Quirks(image_urls=False),
        prices="aws",
        models="^(?!regional)",
    ),
    KnownProvider(
        name="mistral",
        title="Mistral",
        base_url="https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        prefixes=(
            *("mistral-", "ministral-", "magistral-", "codestral-", "devstral-", "voxtral-", "pixtral-"),
            *("open-mistral-", "open-mixtral-"),
        ),
        quirks=msgspec.structs.replace(_ALWAYS_COUNTS, prefill="prefix"),
        services=(*_EMBED, Service.MODERATIONS, Service.TRANSCRIPTIONS),
        models="^(?!.*:free$)",
    ),
    KnownProvider(
        name="deepseek",
        title="DeepSeek",
        base_url="https://api.deepseek.com/v1",
        key_variables=("DEEPSEEK_API_KEY",),
        prefixes=("deepseek-",),
        speaks=(
            Offer(_RESPONSES, "https://api.deepseek.com"),
            Offer(_ANTHROPIC, "https://api.deepseek.com/anthropic/v1"),
        ),
        quirks=msgspec.structs.replace(_THINKING, prefill="prefix"),
    ),
    KnownProvider(
        name="xai",
        title="xAI",
        base_url="https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        prefixes=("grok-",),
        speaks=(Offer(_RESPONSES, "https://api.x.ai/v1"),),
        services=(*_TEXT, Service.IMAGES),
        prices="x-ai",
    ),
    KnownProvider(
        name="cohere",
        title="Cohere",
        base_url="https://api.cohere.ai/compatibility/v1",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        prefixes=("command-", "c4ai-", "embed-", "rerank-"),
        quirks=msgspec.structs.replace(_CLASSIC, embeddings="cohere"),
        services=(*_EMBED, Service.RERANK),
        elsewhere=(
            (Operation.RERANK, "https://api.cohere.com/v2"),
            (Operation.EMBEDDING, "https://api.cohere.com/v2"),
        ),
    ),
    KnownProvider(
        name="ai21",
        title="AI21 Labs",
        base_url="https://api.ai21.com/studio/v1",
        key_variables=("AI21_API_KEY",),
        prefixes=("jamba-",),
        quirks=Quirks(limit_field="max_tokens", usage_flag=False, json_schema=False),
    ),
    KnownProvider(
        name="perplexity",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY", "PERPLEXITYAI_API_KEY"),
        prefixes=("sonar",),
        quirks=_ALWAYS_COUNTS,
    ),
    KnownProvider(
        name="moonshot",
        title="Moonshot AI",
        base_url="https://api.moonshot.ai/v1",
        key_variables=("MOONSHOT_API_KEY",),
        prefixes=("kimi-", "moonshot-"),
        speaks=(
            Offer(_RESPONSES, "https://api.moonshot.ai/v1"),
            Offer(_ANTHROPIC, "https://api.moonshot.ai/anthropic/v1", BEARER),
        ),
        quirks=Quirks(
            limit_field="max_tokens", image_urls=False, reasoning_field="reasoning_content", prefill="partial"
        ),
        prices="moonshotai",
    ),
    KnownProvider(
        name="zai",
        title="Z.ai",
        base_url="https://api.z.ai/api/paas/v4",
        key_variables=("ZAI_API_KEY",),
        prefixes=("glm-",),
        speaks=(Offer(_ANTHROPIC, "https://api.z.ai/api/anthropic/v1", BEARER),),
        quirks=_THINKING,
        services=(Service.IMAGES,),
    ),
    KnownProvider(
        name="zhipu",
        title="Zhipu AI",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        key_variables=("ZHIPUAI_API_KEY", "ZHIPU_API_KEY"),
        speaks=(Offer(_ANTHROPIC, "https://open.bigmodel.cn/api/anthropic/v1", BEARER),),
        quirks=_THINKING,
        services=(*_EMBED, Service.IMAGES),
        prices="zhipuai",
    ),
    KnownProvider(
        name="minimax",
        title="MiniMax",
        base_url="https://api.minimax.io/v1",
        key_variables=("MINIMAX_API_KEY",),
        prefixes=("MiniMax-",),
        speaks=(
            Offer(_RESPONSES, "https://api.minimax.io/v1"),
            Offer(_ANTHROPIC, "https://api.minimax.io/anthropic/v1", BEARER),
        ),
        quirks=_WITHOUT_SCHEMA,
    ),
    KnownProvider(
        name="dashscope",
        title="Alibaba Cloud Model Studio",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_variables=("DASHSCOPE_API_KEY",),
        prefixes=("qwen", "qwq-", "qvq-"),
        quirks=msgspec.structs.replace(_CLASSIC, prefill="partial"),
        services=_EMBED,
    ),
    KnownProvider(
        name="volcengine",
        title="Volcengine Ark",
        base_url="https://ark.cn-beijing.volces.com/api/v3",
        key_variables=("ARK_API_KEY", "VOLCENGINE_API_KEY"),
        prefixes=("doubao-",),
        quirks=_CLASSIC,
        services=(*_EMBED, Service.IMAGES),
    ),
    KnownProvider(
        name="voyage",
        title="Voyage AI",
        base_url="https://api.voyageai.com/v1",
        key_variables=("VOYAGE_API_KEY",),
        prefixes=("voyage-", "rerank-2"),
        services=(*_EMBED, Service.RERANK),
        chats=False,
        prices="voyageai",
    ),
    KnownProvider(
        name="jina",
        title="Jina AI",
        base_url="https://api.jina.ai/v1",
        key_variables=("JINA_API_KEY",),
        prefixes=("jina-",),
        services=(*_EMBED, Service.RERANK),
        chats=False,
    ),
)
"""Who serves models of their own."""

_HOSTS: Final = (
    KnownProvider(
        name="openrouter",
        title="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        speaks=(
            Offer(_RESPONSES, "https://openrouter.ai/api/v1"),
            Offer(_ANTHROPIC, "https://openrouter.ai/api/v1", BEARER),
        ),
        quirks=Quirks(reasoning_field="reasoning_details", sampling_extras=True, variants=True),
        services=(*_BOTH, Service.IMAGES, *_SOUND, Service.RERANK),
        models="/(?!.*:batch$)",  # batches are another API's
    ),
    KnownProvider(
        name="groq",
        title="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        speaks=(Offer(_RESPONSES, "https://api.groq.com/openai/v1"),),
        services=_SOUND,
    ),
    KnownProvider(
        name="together",
        title="Together AI",
        base_url="https://api.together.ai/v1",
        key_variables=("TOGETHER_API_KEY",),
        quirks=_WIDE,
        services=(*_BOTH, Service.IMAGES, *_SOUND, Service.RERANK),
    ),
    KnownProvider(
        name="fireworks",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
        speaks=(
            Offer(_RESPONSES, "https://api.fireworks.ai/inference/v1"),
            Offer(_ANTHROPIC, "https://api.fireworks.ai/inference/v1", BEARER),
        ),
        quirks=_WIDE,
        services=(*_BOTH, Service.RERANK),
    ),
    KnownProvider(
        name="cerebras",
        title="Cerebras",
        base_url="https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        services=_TEXT,
    ),
    KnownProvider(
        name="sambanova",
        title="SambaNova",
        base_url="https://api.sambanova.ai/v1",
        key_variables=("SAMBANOVA_API_KEY",),
        quirks=_WITHOUT_URLS,
        services=(*_EMBED, Service.TRANSCRIPTIONS),
    ),
    KnownProvider(
        name="deepinfra",
        title="DeepInfra",
        base_url="https://api.deepinfra.com/v1/openai",
        key_variables=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        quirks=_WIDE,
        services=(*_BOTH, Service.IMAGES, *_SOUND),
    ),
    KnownProvider(
        name="novita",
        title="Novita AI",
        base_url="https://api.novita.ai/openai/v1",
        key_variables=("NOVITA_API_KEY",),
        quirks=_WIDE,
        services=_BOTH,
    ),
    KnownProvider(
        name="hyperbolic",
        title="Hyperbolic",
        base_url="https://api.hyperbolic.xyz/v1",
        key_variables=("HYPERBOLIC_API_KEY",),
        quirks=_WIDE,
        services=_TEXT,
    ),
    KnownProvider(
        name="nebius",
        title="Nebius Token Factory",
        base_url="https://api.tokenfactory.nebius.com/v1",
        key_variables=("NEBIUS_API_KEY",),
        quirks=_CLASSIC,
        services=(*_BOTH, Service.IMAGES),
    ),
    KnownProvider(
        name="baseten",
        title="Baseten",
        base_url="https://inference.baseten.co/v1",
        key_variables=("BASETEN_API_KEY",),
        quirks=_CLASSIC,
    ),
    KnownProvider(
        name="featherless",
        title="Featherless AI",
        base_url="https://api.featherless.ai/v1",
        key_variables=("FEATHERLESS_API_KEY",),
        quirks=_WIDE,
        services=_TEXT,
    ),
    KnownProvider(
        name="nscale",
        title="Nscale",
        base_url="https://inference.api.nscale.com/v1",
        key_variables=("NSCALE_API_KEY", "NSCALE_SERVICE_TOKEN"),
        quirks=_CLASSIC,
        services=(*_EMBED, Service.IMAGES),
    ),
    KnownProvider(
        name="parasail",
        title="Parasail",
        base_url="https://api.parasail.io/v1",
        key_variables=("PARASAIL_API_KEY",),
        quirks=_WIDE,
        services=_BOTH,
    ),
    KnownProvider(
        name="siliconflow",
        title="SiliconFlow",
        base_url="https://api.siliconflow.com/v1",
        key_variables=("SILICONFLOW_API_KEY",),
        quirks=_CLASSIC,
        services=(*_EMBED, Service.IMAGES, *_SOUND, Service.RERANK),
    ),
    KnownProvider(
        name="scaleway",
        title="Scaleway Generative APIs",
        base_url="https://api.scaleway.ai/v1",
        key_variables=("SCW_SECRET_KEY",),
        quirks=_CLASSIC,
        services=_EMBED,
    ),
    KnownProvider(
        name="nvidia",
        title="NVIDIA NIM",
        base_url="https://integrate.api.nvidia.com/v1",
        key_variables=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        quirks=_CLASSIC,
        services=_EMBED,
    ),
    KnownProvider(
        name="huggingface",
        title="Hugging Face router",
        base_url="https://router.huggingface.co/v1",
        key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        speaks=(Offer(_RESPONSES, "https://router.huggingface.co/v1"),),
        quirks=_CLASSIC,
    ),
    KnownProvider(
        name="vercel",
        title="Vercel AI Gateway",
        base_url="https://ai-gateway.vercel.sh/v1",
        key_variables=("AI_GATEWAY_API_KEY",),
        speaks=(
            Offer(_RESPONSES, "https://ai-gateway.vercel.sh/v1"),
            Offer(_ANTHROPIC, "https://ai-gateway.vercel.sh/v1"),
        ),
        services=_EMBED,
    ),
    KnownProvider(
        name="cloudflare",
        title="Cloudflare Workers AI",
        base_url="https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        key_variables=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
        address_variables=("CLOUDFLARE_ACCOUNT_ID",),
        quirks=_WITHOUT_URLS,
        services=_EMBED,
    ),
    KnownProvider(
        name="databricks",
        title="Databricks Model Serving",
        base_url="{DATABRICKS_HOST}/serving-endpoints",
        key_variables=("DATABRICKS_TOKEN",),
        address_variables=("DATABRICKS_HOST",),
        quirks=_CLASSIC,
        services=_EMBED,
    ),
)
"""Who serves other people's models."""

_OWN: Final = (
    KnownProvider(
        name="ollama",
        title="Ollama",
        base_url="http://127.0.0.1:11434/v1",
        speaks=(
            Offer(_RESPONSES, "http://127.0.0.1:11434/v1"),
            Offer(_ANTHROPIC, "http://127.0.0.1:11434/v1"),
        ),
        quirks=_WITHOUT_URLS,
        services=_BOTH,
    ),
    KnownProvider(
        name="vllm",
        title="vLLM",
        base_url="http://127.0.0.1:8000/v1",
        speaks=(
            Offer(_RESPONSES, "http://127.0.0.1:8000/v1"),
            Offer(_ANTHROPIC, "http://127.0.0.1:8000/v1"),
        ),
        quirks=_TEMPLATES,
        services=(*_BOTH, Service.TRANSCRIPTIONS, Service.RERANK),
    ),
    KnownProvider(
        name="sglang",
        title="SGLang",
        base_url="http://127.0.0.1:30000/v1",
        speaks=(
            Offer(_RESPONSES, "http://127.0.0.1:30000/v1"),
            Offer(_ANTHROPIC, "http://127.0.0.1:30000/v1"),
        ),
        quirks=_TEMPLATES,
        services=(*_BOTH, Service.RERANK),
    ),
    KnownProvider(
        name="lmstudio",
        title="LM Studio",
        base_url="http://127.0.0.1:1234/v1",
        speaks=(
            Offer(_RESPONSES, "http://127.0.0.1:1234/v1"),
            Offer(_ANTHROPIC, "http://127.0.0.1:1234/v1"),
        ),
        quirks=_WITHOUT_URLS,
        services=_BOTH,
    ),
    KnownProvider(
        name="llamacpp",
        title="llama.cpp server",
        base_url="http://127.0.0.1:8080/v1",
        speaks=(
            Offer(_RESPONSES, "http://127.0.0.1:8080/v1"),
            Offer(_ANTHROPIC, "http://127.0.0.1:8080/v1"),
        ),
        quirks=_CLASSIC,
        services=(*_BOTH, Service.RERANK),
    ),
    KnownProvider(
        name="tgi",
        title="Text Generation Inference",
        base_url="http://127.0.0.1:3000/v1",
        quirks=_CLASSIC,
        services=_TEXT,
    ),
)
"""Servers of one's own, at the address that each has out of the box."""

KNOWN: Final[dict[str, KnownProvider]] = {row.name: row for row in (*_VENDORS, *_HOSTS, *_OWN)}
"""Every row by its name."""


def detected(environment: Mapping[str, str]) -> dict[str, KnownProvider]:
    """The rows whose usual variables are all set; a server of one's own is enabled by the configuration only."""
    return {name: row for name, row in KNOWN.items() if not row.is_keyless and not row.missing(environment)}


def family_of(model: str) -> KnownProvider | None:
    """The provider whose own models have names like this one; the longest prefix decides."""
    best = max(
        ((len(prefix), row) for row in KNOWN.values() for prefix in row.prefixes if model.startswith(prefix)),
        key=lambda found: found[0],
        default=None,
    )
    return None if best is None else best[1]
