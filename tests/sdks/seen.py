"""What a caller sees of an answer through an SDK, in no SDK's words; so that answers of two can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.fake_provider.reply import Finish

PROMPT: Final = "Say something."
SYSTEM: Final = "Be brief."
MAX_TOKENS: Final = 1000
STOPS: Final = ["END"]
TEXT_SCHEMA: Final = {"type": "string"}
TOOLS: Final[Mapping[str, dict[str, Any]]] = {
    "get_weather": {
        "type": "object",
        "properties": {"city": TEXT_SCHEMA, "unit": TEXT_SCHEMA},
        "required": ["city"],
    },
    "get_time": {"type": "object", "properties": {"zone": TEXT_SCHEMA}, "required": ["zone"]},
}
"""The tools that every request offers, by name, with the schemas of their arguments."""


@dataclass(frozen=True)
class Totals:
    """Tokens as the caller adds them up: cached ones are part of the input, reasoning is part of the output.

    None is what the SDK's dialect cannot say.
    """

    input: int
    output: int
    cached: int
    written: int | None = None
    reasoning: int | None = None


@dataclass(frozen=True)
class Seen:
    """One answer. `calls` are names and arguments, as JSON with sorted keys."""

    text: str
    reasoning: str
    calls: tuple[tuple[str, str], ...]
    finish: Finish
    totals: Totals | None
    headers: Mapping[str, str] = field(compare=False)


class Failed(Exception):
    """The SDK raised. `before` is the text that had come until then."""

    def __init__(self, status: int, message: str, before: str = "") -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.before = before


class Client(Protocol):
    """An SDK, ready to call one server."""

    async def ask(self, model: str, *, stream: bool) -> Seen:
        """One request, the same for every SDK; raises Failed."""

    async def close(self) -> None:
        """Frees its connections."""


def arguments(given: str | Mapping[str, Any]) -> str:
    """A call's arguments in one spelling; raises ValueError for broken JSON."""
    decoded = json.loads(given) if isinstance(given, str) else dict(given)
    return json.dumps(decoded, ensure_ascii=False, sort_keys=True)
