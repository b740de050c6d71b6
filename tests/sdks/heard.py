"""What an upstream hears of the request that every SDK makes here, in no dialect's words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from tests.fake_provider.dialects.base import Ask
from tests.sdks.seen import MAX_TOKENS, PROMPT, STOPS, SYSTEM, TOOLS

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Heard:
    """One request. `tools` are names and the properties of their arguments."""

    system: str
    prompt: str
    tools: tuple[tuple[str, tuple[str, ...]], ...]
    max_tokens: int
    stops: tuple[str, ...]


WITHOUT_STOPS: Final = frozenset({"openai_responses"})
"""The dialects that have no stop sequences."""


def expected(caller: str, upstream: str) -> Heard:
    """What must arrive of it at an upstream."""
    tools = tuple((name, tuple(schema["properties"])) for name, schema in TOOLS.items())
    stops = () if {caller, upstream} & WITHOUT_STOPS else tuple(STOPS)
    return Heard(SYSTEM, PROMPT, tools, MAX_TOKENS, stops)


def hear(ask: Ask) -> Heard:
    """What did arrive."""
    return _EARS[ask.dialect](ask.body)


def _joined(content: str | Iterable[Body]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _tools(declared: Iterable[tuple[str, Body]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((name, tuple(schema["properties"])) for name, schema in declared)


def _turns(messages: Iterable[Body], roles: frozenset[str]) -> str:
    return "".join(_joined(message["content"]) for message in messages if message["role"] in roles)


_SYSTEM: Final = frozenset({"system", "developer"})
_USER: Final = frozenset({"user"})


def _chat(body: Body) -> Heard:
    limit = body.get("max_completion_tokens") or body["max_tokens"]
    tools = _tools((tool["function"]["name"], tool["function"]["parameters"]) for tool in body["tools"])
    messages = body["messages"]
    return Heard(_turns(messages, _SYSTEM), _turns(messages, _USER), tools, limit, tuple(body.get("stop", ())))


def _responses(body: Body) -> Heard:
    given = body["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    system = (body.get("instructions") or "") + _turns(items, _SYSTEM)
    tools = _tools((tool["name"], tool["parameters"]) for tool in body["tools"])
    return Heard(system, _turns(items, _USER), tools, body["max_output_tokens"], ())


def _anthropic(body: Body) -> Heard:
    tools = _tools((tool["name"], tool["input_schema"]) for tool in body["tools"])
    stops = tuple(body.get("stop_sequences", ()))
    return Heard(_joined(body["system"]), _turns(body["messages"], _USER), tools, body["max_tokens"], stops)


def _schema(declared: Body) -> Body:
    """A function's schema, under whichever of its names a client of Google's has put it."""
    names = ("parametersJsonSchema", "parameters_json_schema", "parameters")
    schema: Body = next(declared[name] for name in names if name in declared)
    return schema


def _gemini(body: Body) -> Heard:
    declared = [each for tool in body["tools"] for each in tool["functionDeclarations"]]
    config = body["generationConfig"]
    return Heard(
        _joined(body["systemInstruction"]["parts"]),
        "".join(_joined(turn["parts"]) for turn in body["contents"]),
        _tools((each["name"], _schema(each)) for each in declared),
        config["maxOutputTokens"],
        tuple(config.get("stopSequences", ())),
    )


def _bedrock(body: Body) -> Heard:
    declared = [tool["toolSpec"] for tool in body["toolConfig"]["tools"]]
    config = body["inferenceConfig"]
    return Heard(
        _joined(body["system"]),
        _turns(body["messages"], _USER),
        _tools((each["name"], each["inputSchema"]["json"]) for each in declared),
        config["maxTokens"],
        tuple(config.get("stopSequences", ())),
    )


_EARS: Final[Mapping[str, Callable[[Body], Heard]]] = MappingProxyType(
    {
        "openai_chat": _chat,
        "openai_responses": _responses,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "bedrock": _bedrock,
    }
)
