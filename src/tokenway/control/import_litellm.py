"""The configuration of a LiteLLM proxy (`config.yaml`) to one of ours.

Whatever has no counterpart is named, with what became of it; secrets stay names of environment variables, and one that
stands in the file itself is named too. Nothing is read but the text, and nothing is contacted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
import yaml

from tokenway.control.litellm_models import LITERAL, Json, ModelList, environment, is_literal
from tokenway.dialects.providers import family_of
from tokenway.model.errors import ConfigError

RETRIES_MAX: Final = 20
_HEAD: Final = """\
# Made from a LiteLLM proxy's configuration by `tokenway import litellm`.
# `tokenway check` says whether it can be used here; what has no counterpart was listed when it was made.
"""
_SORTS: Final = {
    "latency-based-routing": "latency",
    "cost-based-routing": "price",
    "simple-shuffle": "weight",
}
_PERIODS: Final = {
    **dict.fromkeys(("1d", "24h", "daily"), "day"),
    **dict.fromkeys(("7d", "1w", "weekly"), "week"),
    **dict.fromkeys(("30d", "1mo", "monthly"), "month"),
}
_SECTIONS: Final = frozenset(
    {
        *("model_list", "router_settings", "litellm_settings", "general_settings", "environment_variables"),
        *("credential_list", "include"),
    }
)
_SHARED: Final = ("num_retries", "fallbacks", "default_fallbacks")
_ROUTER: Final = frozenset({*_SHARED, "timeout", "model_group_alias", "routing_strategy"})
_LITELLM: Final = frozenset({*_SHARED, "request_timeout", "max_budget", "budget_duration"})
_GENERAL: Final = frozenset({"master_key"})
_WHY: Final = {
    "database_url": "keys and usage are kept in a file of the data directory",
    "store_model_in_db": "models are in the configuration file",
    "drop_params": "what a provider cannot take is left out and named in the answer",
    "set_verbose": "see the log level",
    "cache": "answers are not kept",
    "cache_params": "answers are not kept",
    "context_window_fallbacks": "fallbacks are tried after any failure: see `models.NAME.fallbacks`",
    "content_policy_fallbacks": "fallbacks are tried after any failure: see `models.NAME.fallbacks`",
    "allowed_fails": "an endpoint that fails is passed over by itself",
    "cooldown_time": "an endpoint that fails is passed over by itself",
    "redis_host": "see `shared`",
    "redis_port": "see `shared`",
    "redis_password": "see `shared`",
    "redis_url": "see `shared`",
    "success_callback": "see /metrics and the ledger",
    "failure_callback": "see /metrics and the ledger",
    "callbacks": "see /metrics and the ledger",
}
_DEFAULT: Final = "there is nothing like it here"


class Unmapped(msgspec.Struct, frozen=True):
    """Something of the old file that is not in the new one as it was: where it stood, and what became of it."""

    path: str
    reason: str


class Imported(msgspec.Struct, frozen=True):
    """The new file's text, and what could not be carried over."""

    text: str
    unmapped: tuple[Unmapped, ...]


def import_litellm(text: str) -> Imported:
    """Converts the text of a proxy's `config.yaml`; raises ConfigError when it is none."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"this is not YAML: {_yaml_fault(error)}") from None
    if not isinstance(document, dict) or not _SECTIONS & document.keys():
        raise ConfigError("this is not the configuration of a LiteLLM proxy: it has no model_list")
    conversion = _Conversion(document)
    made = conversion.run()
    body = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
    return Imported(_HEAD + (body if made else ""), tuple(conversion.unmapped))


def _yaml_fault(error: yaml.YAMLError) -> str:
    """What is wrong, and at which line."""
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or " ".join(str(error).split())
    return reason if mark is None else f"line {mark.line + 1}: {reason}"


class _Conversion:
    """One file under conversion."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.unmapped: list[Unmapped] = []
        self._document = document
        self._router = self._section("router_settings")
        self._litellm = self._section("litellm_settings")
        self._general = self._section("general_settings")

    def run(self) -> Json:
        """The new configuration as plain values."""
        listed = ModelList(self._say)
        for index, entry in enumerate(self._entries()):
            listed.read(entry, f"model_list[{index}]")
        aliases = self._aliases(listed)
        self._fallbacks(listed, aliases)
        self._sort(listed)
        made = {
            "auth": self._auth(),
            "timeouts": self._timeouts(),
            "retries": self._retries(),
            "providers": listed.providers,
            "models": listed.models,
            "aliases": aliases,
        }
        self._leftovers()
        return {name: part for name, part in made.items() if part}

    def _entries(self) -> list[Any]:
        """The list of models, each entry with the credentials that it names."""
        entries = self._document.get("model_list")
        if not isinstance(entries, list) or not entries:
            self._say("model_list", "names no model: those that the proxy keeps in its database are not in its file")
            return []
        listed = self._document.get("credential_list")
        named = {
            str(each.get("credential_name")): each["credential_values"]
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, Mapping) and isinstance(each.get("credential_values"), Mapping)
        }
        return [_with_credentials(entry, named) for entry in entries]

    def _section(self, name: str) -> Mapping[str, Any]:
        found = self._document.get(name)
        return found if isinstance(found, Mapping) else {}

    def _say(self, path: str, reason: str) -> None:
        self.unmapped.append(Unmapped(path, reason))

    def _first(self, *places: tuple[str, str]) -> tuple[str, Any]:
        """The first of these settings that is written, with its path; the others are named."""
        sections = {"router_settings": self._router, "litellm_settings": self._litellm}
        written = [
            (f"{section}.{name}", sections[section][name]) for section, name in places if name in sections[section]
        ]
        written = [(path, value) for path, value in written if value is not None]
        for path, _ in written[1:]:
            self._say(path, f"{written[0][0]} goes before it")
        return written[0] if written else ("", None)

    def _auth(self) -> Json:
        """The master key is a key like any other here: it calls models, and does not administer."""
        key = self._general.get("master_key")
        if not key:
            # The proxy takes it from LITELLM_MASTER_KEY too, so its absence here does not say that everybody may call.
            self._say("general_settings.master_key", "is not set: calls need a key here, unless `auth.required: false`")
            return {}
        if is_literal(key):
            self._say("general_settings.master_key", LITERAL)
        fixed: Json = {"name": "master", "key": environment(key)}
        amount = self._litellm.get("max_budget")
        if isinstance(amount, int | float) and not isinstance(amount, bool) and amount > 0:
            duration = self._litellm.get("budget_duration")
            period = _PERIODS.get(str(duration), "total")
            if duration is not None and str(duration) not in _PERIODS:
                self._say("litellm_settings.budget_duration", "a budget starts anew each day, week or month, or never")
            self._say("litellm_settings.max_budget", "is the budget of the key `master`; others have their own")
            fixed["budget"] = {"usd": str(amount), "period": period}
        return {"keys": [fixed]}

    def _timeouts(self) -> Json:
        path, value = self._first(("router_settings", "timeout"), ("litellm_settings", "request_timeout"))
        if value is None:
            return {}
        if not isinstance(value, int | float) or not 0 < value <= 86400:
            self._say(path, "is not a time of at most a day")
            return {}
        # The shorter deadlines must not be longer than the whole.
        usual = {"connect": 5, "first_token": 60, "between_tokens": 30}
        return {name: value for name, seconds in usual.items() if seconds > value} | {"total": value}

    def _retries(self) -> Json:
        path, value = self._first(("router_settings", "num_retries"), ("litellm_settings", "num_retries"))
        if value is None:
            return {}
        if not isinstance(value, int) or value < 0:
            self._say(path, "is not a number of retries")
            return {}
        if value > RETRIES_MAX:
            self._say(path, f"is at most {RETRIES_MAX} here")
        return {"max": min(value, RETRIES_MAX)}

    def _aliases(self, listed: ModelList) -> dict[str, str]:
        found = {}
        written = self._router.get("model_group_alias")
        for alias, target in written.items() if isinstance(written, Mapping) else ():
            path = f"router_settings.model_group_alias.{alias}"
            name = target.get("model") if isinstance(target, Mapping) else target
            if isinstance(target, Mapping) and target.get("hidden"):
                self._say(path, "is listed like every alias")
            if alias in listed.models:
                self._say(path, "a model has this name, which goes first")
            elif not self._is_reached(str(name), listed, {}):
                self._say(path, f"{name!r} is no model of the file")
            else:
                found[str(alias)] = str(name)
        return found

    def _fallbacks(self, listed: ModelList, aliases: Mapping[str, str]) -> None:
        path, value = self._first(("router_settings", "fallbacks"), ("litellm_settings", "fallbacks"))
        spares = {name: (f"{path}.{name}", names) for name, names in _pairs(value)}
        anybodys = spares.pop("*", None)
        if anybodys is not None:
            spares = dict.fromkeys(listed.models, anybodys) | spares
        path, usual = self._first(("router_settings", "default_fallbacks"), ("litellm_settings", "default_fallbacks"))
        for name in listed.models if isinstance(usual, list) else ():
            spares.setdefault(name, (path, usual))
        for name, (place, names) in spares.items():
            if name not in listed.models:
                self._say(place, f"{name!r} is no model of the file")
                continue
            others = [spare for spare in names if spare != name]
            kept = [str(spare) for spare in others if self._is_reached(str(spare), listed, aliases)]
            for spare in others:
                if str(spare) not in kept:
                    self._say(place, f"{spare!r} is no model of the file")
            if kept:
                listed.models[name]["fallbacks"] = kept

    @staticmethod
    def _is_reached(name: str, listed: ModelList, aliases: Mapping[str, str]) -> bool:
        family = family_of(name)
        prefix, _, model = name.partition("/")
        return (
            name in listed.models
            or name in aliases
            or (bool(model) and prefix in listed.providers)
            or (family is not None and family.name in listed.providers)
        )

    def _sort(self, listed: ModelList) -> None:
        strategy = self._router.get("routing_strategy")
        if strategy is None:
            return
        if strategy not in _SORTS:
            self._say(
                "router_settings.routing_strategy",
                f"{strategy!r} has no counterpart: who is expected to be done first is asked",
            )
            return
        sort = _SORTS[strategy]
        for model in listed.models.values():
            model["routing"] = {"sort": sort}

    def _leftovers(self) -> None:
        for section, written, used in (
            ("router_settings", self._router, _ROUTER),
            ("litellm_settings", self._litellm, _LITELLM),
            ("general_settings", self._general, _GENERAL),
        ):
            for name in written:
                if name not in used:
                    self._say(f"{section}.{name}", _WHY.get(str(name), _DEFAULT))
        if self._section("environment_variables"):
            names = ", ".join(map(str, self._section("environment_variables")))
            self._say("environment_variables", f"are set in the environment, not in a file: {names}")
        if self._document.get("include"):
            self._say("include", "is not followed: put what the other files hold into this one, and convert it again")
        for section in self._document:
            if section not in _SECTIONS:
                self._say(str(section), _DEFAULT)


def _with_credentials(entry: Any, named: Mapping[str, Mapping[str, Any]]) -> Any:
    """An entry with the parameters that `litellm_credential_name` stands for; its own go before them."""
    parameters = entry.get("litellm_params") if isinstance(entry, Mapping) else None
    if not isinstance(parameters, Mapping):
        return entry
    values = named.get(str(parameters.get("litellm_credential_name")))
    if values is None:
        return entry
    rest = {name: value for name, value in parameters.items() if name != "litellm_credential_name"}
    return {**entry, "litellm_params": {**values, **rest}}


def _pairs(value: object) -> Iterator[tuple[str, list[object]]]:
    """Fallbacks: a list of mappings from a name to names."""
    for each in value if isinstance(value, list) else ():
        for name, names in each.items() if isinstance(each, Mapping) else ():
            yield str(name), names if isinstance(names, list) else [names]
