"""What the fake provider says, in no vendor's words: parts, a reason to stop, and counts by bucket.

A *reply* is the truth that a gateway is tested against. Each dialect has a renderer of its own in
`tests/fake_provider/dialects`, which shares nothing with the gateway's code; so that a reply, rendered by one dialect
and read by another dialect's SDK on the far side of the gateway, must still be the same reply.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_WORD = re.compile(r"\S+\s*|\s+")
_ARGUMENT_STEP = 7


class Finish(StrEnum):
    """Why a reply ends."""

    STOP = "stop"
    LENGTH = "length"
    STOP_SEQUENCE = "stop_sequence"
    TOOLS = "tools"
    REFUSED = "refused"


@dataclass(frozen=True)
class Said:
    """Text. It streams word by word, or `step` characters at a time."""

    text: str
    step: int = 0

    @property
    def pieces(self) -> list[str]:
        """The text as it streams; every piece is one token."""
        if self.step:
            return [self.text[start : start + self.step] for start in range(0, len(self.text), self.step)]
        return _WORD.findall(self.text)


@dataclass(frozen=True)
class Thought:
    """Reasoning. `signature` vouches for the text; `sealed` stands in its place."""

    text: str = ""
    signature: str = ""
    sealed: str = ""

    @property
    def pieces(self) -> list[str]:
        """The text as it streams."""
        return _WORD.findall(self.text)


@dataclass(frozen=True)
class Called:
    """A call of a tool. `signature` is what Gemini wants back with it."""

    id: str
    name: str
    arguments: dict[str, Any]
    signature: str = ""

    @property
    def text(self) -> str:
        """The arguments as compact JSON."""
        return json.dumps(self.arguments, ensure_ascii=False, separators=(",", ":"))

    @property
    def pieces(self) -> list[str]:
        """The arguments as they stream, cut without regard to JSON."""
        text = self.text
        return [text[start : start + _ARGUMENT_STEP] for start in range(0, len(text), _ARGUMENT_STEP)]


@dataclass(frozen=True)
class Drawn:
    """An image, in base64."""

    data: str
    media_type: str = "image/png"


@dataclass(frozen=True)
class Refused:
    """The model's words for why it does not answer."""

    text: str

    @property
    def pieces(self) -> list[str]:
        """The text as it streams."""
        return _WORD.findall(self.text)


Part = Said | Thought | Called | Drawn | Refused


@dataclass(frozen=True)
class Counts:
    """Tokens by bucket; each token is in one bucket only."""

    uncached: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """Written to the cache for five minutes."""
    cache_write_1h: int = 0
    text: int = 0
    """Output that is no reasoning."""
    reasoning: int = 0

    @property
    def input(self) -> int:
        """All that went in."""
        return self.uncached + self.cache_read + self.cache_write + self.cache_write_1h

    @property
    def output(self) -> int:
        """All that came out."""
        return self.text + self.reasoning


@dataclass(frozen=True)
class Reply:
    """One answer. `stop` is the stop sequence that was met; `counts` None tells no usage."""

    parts: tuple[Part, ...]
    finish: Finish = Finish.STOP
    counts: Counts | None = Counts(uncached=11, text=7)
    stop: str = ""

    @property
    def tokens(self) -> int:
        """How many pieces a stream of it has."""
        return sum(len(part.pieces) for part in self.parts if not isinstance(part, Drawn))

    def joined(self, *kinds: type[Said | Thought | Refused]) -> str:
        """The text of all parts of these kinds."""
        return "".join(part.text for part in self.parts if isinstance(part, kinds))

    def calls(self) -> Iterator[Called]:
        """The calls of tools, in order."""
        return (part for part in self.parts if isinstance(part, Called))
