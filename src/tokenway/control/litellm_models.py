"""LiteLLM's `model_list` to providers and models.

An entry of the list is one endpoint; entries of one `model_name` are the endpoints of one model. Each set of address
and credentials becomes one provider, under its usual name where it is the first of its kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import urlsplit

from tokenway.control.litellm_names import (
    BASE_VARIABLES,
    CLAUDE_ON_VERTEX,
    COMPATIBLE,
    FIREWORKS_PATH,
    KEY_VARIABLES,
    PROVIDERS,
    ROUTES,
)
from tokenway.control.model_rules import is_model_name
from tokenway.dialects.known import KnownProvider
from tokenway.dialects.providers import KNOWN, family_of
from tokenway.model.catalog import Dialect
from tokenway.model.money import format_usd, parse_rate

Note = Callable[[str, str], None]
"""(path in LiteLLM's file, what became of it)."""
Json = dict[str, Any]

ENVIRONMENT: Final = "os.environ/"
LITERAL: Final = "is a secret in the file itself, and is one in the new file"
_COSTS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
}
_PIECES: Final = {
    "input_cost_per_character": ("characters", 1_000_000),
    "input_cost_per_second": ("sound_hour", 3600),
    "output_cost_per_image": ("image", 1),
    "input_cost_per_query": ("search", 1),
}
"""Costs of what is not sold by the token, to our rate and to how many of LiteLLM's units it is for."""
SECONDS_MAX: Final = 86_400
_TIMEOUTS: Final = {"timeout": "total", "stream_timeout": "first_token"}
_LIMITS: Final = {"rpm": "rpm", "tpm": "tpm", "max_parallel_requests": "concurrency"}
_ABLE: Final = {
    "max_input_tokens": "context",
    "max_output_tokens": "max_output",
    "supports_vision": "vision",
    "supports_function_calling": "tools",
    "supports_assistant_prefill": "prefill",
}
_AWS: Final = {
    "aws_access_key_id": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "session_token",
    "aws_region_name": "region",
}
_USED: Final = frozenset(
    {
        *(
            "model",
            "custom_llm_provider",
            "api_key",
            "api_base",
            "base_url",
            "headers",
            "extra_headers",
            "organization",
        ),
        *_TIMEOUTS,
        *("weight", "order", "vertex_project", "vertex_location", "vertex_ai_project", "vertex_ai_location"),
        *("vertex_credentials", "vertex_ai_credentials"),
        *_COSTS,
        *_PIECES,
        *_LIMITS,
        *_AWS,
    }
)
_GOOGLE: Final = frozenset({"vertex", CLAUDE_ON_VERTEX})
_SERVERS: Final = frozenset({"openai", "huggingface"})
"""Providers that are a server of one's own, which may need no key, once they have an address."""
_WITHOUT_EFFECT: Final = {
    "id",
    "mode",
    "db_model",
    "description",
    "litellm_provider",
    "created_at",
    "updated_at",
    "team_id",
}
_WHY: Final = {
    "api_version": "the address of Azure's v1 API needs none",
    "max_retries": "retries are counted for the whole gateway: see `retries.max`",
    "base_model": "name it as the endpoint's model, or write a price",
    "drop_params": "what a provider cannot take is left out and named in the answer",
    "tags": "callers choose by provider, not by tag",
}
_DEFAULT: Final = "there is nothing like it here"


def environment(value: object) -> str:
    """A text of LiteLLM's file, with `os.environ/NAME` as `${NAME}`."""
    text = str(value)
    if text.startswith(ENVIRONMENT):
        return "${" + text.removeprefix(ENVIRONMENT) + "}"
    return text.replace("${", "$${")


def is_literal(value: object) -> bool:
    """Whether a secret stands in the file itself."""
    return not str(value).startswith(ENVIRONMENT)


class ModelList:
    """Reads entries one by one; `providers`, `models` and `wildcards` grow."""

    def __init__(self, note: Note) -> None:
        self.providers: dict[str, Json] = {}
        self.models: dict[str, Json] = {}
        self.wildcards: set[str] = set()
        self._note = note
        self._names: dict[tuple[str, str], str] = {}
        """Kind and settings of a provider to its name."""
        self._orders: dict[str, list[float]] = {}

    def read(self, entry: object, path: str) -> None:
        """One entry of the list."""
        parameters = entry.get("litellm_params") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(parameters, Mapping) or not parameters.get("model"):
            self._note(path, "is not a model: it has no litellm_params.model")
            return
        name = str(entry.get("model_name") or parameters["model"])
        info = entry.get("model_info")
        info = info if isinstance(info, Mapping) else {}
        kind, upstream = self._kind(parameters)
        row = KNOWN.get(kind)
        if row is None and not _address(parameters):
            self._note(f"{path}.litellm_params.model", f"the provider {kind!r} is not known here and has no api_base")
            return
        if kind == "vertex" and not upstream.startswith(("gemini", "gemma", "text-embedding", "*")):
            self._note(f"{path}.litellm_params.model", "of Vertex AI only Google's and Anthropic's models are reached")
            return
        self._leftovers(entry, parameters, info, path)
        if "*" in name or "*" in upstream:
            self._wildcard(name, upstream, kind, parameters, path)
            return
        if not is_model_name(name):
            self._note(f"{path}.model_name", "a model's name is printable text without spaces")
            return
        provider = self._provider(kind, row, parameters, path)
        endpoint = {"provider": provider, "model": upstream} | self._endpoint(parameters, info, path)
        self._add(name, endpoint, parameters.get("order"), path)

    def _kind(self, parameters: Mapping[str, Any]) -> tuple[str, str]:
        """Our name of the provider, and the model's name there."""
        model, written = str(parameters["model"]), parameters.get("custom_llm_provider")
        prefix, slash, rest = model.partition("/")
        if written:
            prefix, upstream = str(written), model.removeprefix(f"{written}/")
        elif slash and (prefix in PROVIDERS or prefix in KNOWN or prefix in COMPATIBLE or _address(parameters)):
            upstream = rest
        else:
            family = family_of(model)
            if family is None and slash:
                return prefix, rest  # whose it is was said, and nobody here is called so
            prefix, upstream = ("openai" if family is None else family.name), model
        kind = PROVIDERS.get(prefix, prefix)
        if kind == "bedrock":
            upstream = next((upstream.removeprefix(route) for route in ROUTES if upstream.startswith(route)), upstream)
        if kind == "vertex" and upstream.startswith("claude"):
            kind = CLAUDE_ON_VERTEX
        if kind == "fireworks" and "/" not in upstream and "*" not in upstream:
            upstream = FIREWORKS_PATH + upstream
        return kind, upstream

    def _provider(
        self, kind: str, row: KnownProvider | None, parameters: Mapping[str, Any], path: str, wanted: str = ""
    ) -> str:
        """The name of the provider with this address and these credentials; made where there is none yet."""
        settings = self._settings(kind, row, parameters, path)
        known = (wanted or kind, repr(sorted(settings.items(), key=str)))
        if known in self._names:
            return self._names[known]
        name = wanted or (kind if row is not None and "dialect" not in settings else _host(settings) or kind)
        free, number = name, 2
        while free in self.providers:
            free, number = f"{name}-{number}", number + 1
        if free != kind and row is not None and "dialect" not in settings:
            settings = {"like": kind} | settings
        self.providers[free] = settings
        self._names[known] = free
        return free

    def _settings(self, kind: str, row: KnownProvider | None, parameters: Mapping[str, Any], path: str) -> Json:
        base = _address(parameters)
        if row is not None and base.rstrip("/") == row.base_url:
            base = ""
        settings: Json = {}
        if kind == "azure_ai" and base.rstrip("/").endswith("/anthropic"):
            settings["dialect"] = str(Dialect.ANTHROPIC)
        elif row is None or (base and kind in COMPATIBLE):
            settings["dialect"] = str(Dialect.OPENAI_CHAT)
        address = self._base_url(kind, row, base, parameters)
        if address:
            settings["base_url"] = address
        settings |= self._credentials(kind, row, parameters, path)
        headers = {
            str(name): environment(value)
            for field in ("headers", "extra_headers")
            for name, value in (parameters.get(field) or {}).items()
        }
        if parameters.get("organization"):
            headers["openai-organization"] = environment(parameters["organization"])
        return settings | ({"headers": headers} if headers else {})

    def _credentials(self, kind: str, row: KnownProvider | None, parameters: Mapping[str, Any], path: str) -> Json:
        key = parameters.get("api_key")
        aws = {ours: environment(parameters[theirs]) for theirs, ours in _AWS.items() if parameters.get(theirs)}
        for theirs in ("api_key", "aws_secret_access_key", "aws_session_token"):
            if parameters.get(theirs) and is_literal(parameters[theirs]):
                self._note(f"{path}.litellm_params.{theirs}", LITERAL)
        if key:
            return {"api_key": environment(key)}
        if kind == "bedrock":
            return {"aws": aws} if {"access_key", "secret_key"} <= set(aws) else {}
        if kind in _GOOGLE:
            return self._account(parameters, path)
        if row is None or row.is_keyless or (kind in _SERVERS and _address(parameters)):
            return {}
        return {"api_key": "${" + KEY_VARIABLES.get(kind, row.key_variables[0]) + "}"}

    def _account(self, parameters: Mapping[str, Any], path: str) -> Json:
        """Vertex AI's credentials file; without one the usual variables say which, or hold a token."""
        place = next((name for name in ("vertex_credentials", "vertex_ai_credentials") if parameters.get(name)), "")
        file = str(parameters.get(place, ""))
        if not isinstance(parameters.get(place, ""), str) or file.lstrip().startswith("{"):
            self._note(
                f"{path}.litellm_params.{place}", "is a secret in the file itself: put it into a file and name it"
            )
            return {}
        return {"credentials": environment(file)} if file else {}

    @staticmethod
    def _base_url(kind: str, row: KnownProvider | None, base: str, parameters: Mapping[str, Any]) -> str:
        """The address as it is written here; empty where the known one holds."""
        if kind == "azure":
            base = base or "${" + BASE_VARIABLES["azure"] + "}"
            root = re.split(r"/openai(?:/|$)", base)[0].rstrip("/")
            return root + "/openai/v1"
        if kind in _GOOGLE:
            project = parameters.get("vertex_project") or parameters.get("vertex_ai_project")
            place = parameters.get("vertex_location") or parameters.get("vertex_ai_location")
            if project and place and row is not None:
                filled = {"GOOGLE_CLOUD_PROJECT": environment(project), "GOOGLE_CLOUD_LOCATION": environment(place)}
                return row.address(filled) or ""
            return ""
        if kind == "bedrock" and not base and parameters.get("aws_region_name"):
            return f"https://bedrock-runtime.{environment(parameters['aws_region_name'])}.amazonaws.com"
        if not base and kind in BASE_VARIABLES:
            return "${" + BASE_VARIABLES[kind] + "}"
        if kind in {"ollama", "huggingface"} and base and not base.rstrip("/").endswith("/v1"):
            return base.rstrip("/") + "/v1"
        return base

    def _endpoint(self, parameters: Mapping[str, Any], info: Mapping[str, Any], path: str) -> Json:
        found: Json = {}
        price = self._price({**info, **parameters}, path)
        if price:
            found["price"] = price
        limits = {
            ours: _whole(parameters[theirs]) for theirs, ours in _LIMITS.items() if _whole(parameters.get(theirs))
        }
        if limits:
            found["limits"] = limits
        able = {ours: info[theirs] for theirs, ours in _ABLE.items() if isinstance(info.get(theirs), bool | int)}
        if able:
            found["capabilities"] = able
        timeouts = {
            ours: f"{value:g}s"
            for theirs, ours in _TIMEOUTS.items()
            if isinstance(value := parameters.get(theirs), int | float) and 0 < value <= SECONDS_MAX
        }
        if timeouts:
            found["timeouts"] = timeouts
        weight = parameters.get("weight")
        if isinstance(weight, int | float) and weight > 0:
            found["weight"] = weight
        return found

    def _price(self, parameters: Mapping[str, Any], path: str) -> dict[str, str]:
        """Dollars per token to dollars per million, and those by the piece to what they are written for here."""
        price = {}
        for theirs, (ours, many) in {**{name: (rate, 1_000_000) for name, rate in _COSTS.items()}, **_PIECES}.items():
            value = parameters.get(theirs)
            if value is None:
                continue
            try:
                price[ours] = format_usd(parse_rate(Decimal(str(value)) * many))
            except (InvalidOperation, ValueError):
                self._note(f"{path}.{theirs}", "is not an amount of dollars")
        is_by_token = not {rate for rate, _ in _PIECES.values()} & set(price)
        if price and is_by_token and not {"input", "output"} <= set(price):
            self._note(path, "a price needs input and output; the one that is not written is taken as 0")
        return {"input": "0", "output": "0"} | price if price else {}

    def _add(self, name: str, endpoint: Json, order: object, path: str) -> None:
        endpoints = self.models.setdefault(name, {"endpoints": []})["endpoints"]
        if any((each["provider"], each["model"]) == (endpoint["provider"], endpoint["model"]) for each in endpoints):
            self._note(path, "stands twice in its model, with the same address and credentials")
            return
        orders = self._orders.setdefault(name, [])
        rank = float(order) if isinstance(order, int | float) else float("inf")
        place = next((index for index, other in enumerate(orders) if other > rank), len(orders))
        orders.insert(place, rank)
        endpoints.insert(place, endpoint)

    def _wildcard(self, name: str, upstream: str, kind: str, parameters: Mapping[str, Any], path: str) -> None:
        """`prefix/*` is a provider of that name: `provider/model` reaches all of its models."""
        prefix, _, rest = name.partition("/")
        if name == "*" and upstream == "*":
            self._note(
                f"{path}.model_name", "names of a known provider's models reach it by themselves, once it has a key"
            )
            self._provider(kind, KNOWN.get(kind), parameters, path)
            return
        if rest != "*" or not upstream.endswith("*") or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", prefix, re.ASCII):
            self._note(f"{path}.model_name", "only `name/*` has a counterpart: a provider of that name")
            return
        if upstream != "*":
            self._note(f"{path}.litellm_params.model", f"what stands before the model's name is left out: {upstream}")
        self._provider(kind, KNOWN.get(kind), parameters, path, wanted=prefix)
        self.wildcards.add(prefix)

    def _leftovers(
        self, entry: Mapping[str, Any], parameters: Mapping[str, Any], info: Mapping[str, Any], path: str
    ) -> None:
        """Names what has no counterpart."""
        for field in entry:
            if field not in {"model_name", "litellm_params", "model_info"}:
                self._note(f"{path}.{field}", _WHY.get(str(field), _DEFAULT))
        for field in parameters:
            if field not in _USED:
                self._note(f"{path}.litellm_params.{field}", _WHY.get(str(field), _DEFAULT))
        for field in info:
            if field not in _WITHOUT_EFFECT and field not in _ABLE and field not in _COSTS:
                self._note(f"{path}.model_info.{field}", _WHY.get(str(field), _DEFAULT))


def _address(parameters: Mapping[str, Any]) -> str:
    base = parameters.get("api_base") or parameters.get("base_url")
    return environment(base) if base else ""


def _host(settings: Json) -> str:
    """A name for a server: its host's, without what every host has."""
    address = str(settings.get("base_url", ""))
    variable = re.match(r"\$\{(\w+?)(?:_(?:API_BASE|BASE_URL|URL))?\}", address)
    host = variable[1].lower() if variable else (urlsplit(address).hostname or "")
    return re.sub(r"[^A-Za-z0-9]+", "-", host.removeprefix("api.").removeprefix("www.")).strip("-")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
