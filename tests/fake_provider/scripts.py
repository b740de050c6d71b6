"""What the fake provider can be told to do with one request."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.fake_provider.reply import Reply

NAME = "fake"
"""The models whose name begins with this and a question mark spell their script."""


class UsageMode(StrEnum):
    """Whether and when an answer tells its usage."""

    ASKED = "asked"
    """As OpenAI does it: in a stream only when `stream_options.include_usage` asks for it, last."""
    ALWAYS = "always"
    NONE = "none"
    EARLY = "early"
    """After the first token and not again."""
    EVERY = "every"
    """Running totals in each chunk, as some engines send them."""
    ABSURD = "absurd"
    """More tokens than any context holds."""
    NEGATIVE = "negative"


@dataclass(frozen=True)
class Bill:
    """What a provider would charge for one request, in tokens.

    `reasoning` is part of `completion`; `cached` and `written` (to the cache) are parts of `prompt`.
    """

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0
    written: int = 0

    def __add__(self, other: Bill) -> Bill:
        return Bill(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
            self.written + other.written,
        )


@dataclass(frozen=True)
class Script:
    """One request's treatment. The default is a well-behaved answer of four tokens. Times are in seconds."""

    times: int = 0
    """So many requests of a model are treated so, and its others by the provider's default; 0 is all."""

    # ── the answer ──
    reply: Reply | None = None
    """What is said, in the words of the dialect that was asked; None says made-up words, by the fields below."""
    chunks: int = 4
    """Tokens of the answer; in a stream one event each."""
    text: str = ""
    """The answer's text, one token per character; empty for made-up words."""
    reasoning: int = 0
    """How many of the tokens are reasoning; they come first."""
    prompt: int = 0
    """Prompt tokens to report and bill; 0 counts the words of the messages."""
    cached: int = 0
    usage: UsageMode = UsageMode.ASKED
    done: int = 1
    """How often a stream says `[DONE]`."""
    empty_first: bool = False
    """The first chunk has `choices: []`, as Azure sends it."""
    comments: bool = False
    """Keep-alive comments stand between the events."""
    crlf: bool = False
    """Events end their lines with CR LF."""
    cr: bool = False
    """Events end their lines with CR alone."""
    packed: str = ""
    """`gzip`: the body is compressed, whatever the client accepts; a stream event by event."""
    status: int = 200
    retry_after: str = ""
    error: str = ""
    """The message of an error object: with status 200 the error comes in an answer that looks well."""
    error_after: int = -1
    """A stream sends the error as an event after this many tokens, and ends."""
    malformed: int = -1
    """A stream has an event that is no JSON after this many tokens, and goes on."""
    body: bytes | None = None
    """These bytes instead of an answer."""
    content_type: str = ""
    location: str = ""
    raw: bytes | None = None
    """These bytes instead of everything, the status line included."""
    pieces: tuple[bytes, ...] = ()
    """The same, each in a write of its own."""
    endless: bytes = b""
    """These bytes behind `raw` or `pieces`, again and again with `gap` between, until the client leaves."""

    # ── pace ──
    delay: float = 0.0
    """Before the head."""
    gap: float = 0.0
    """Between a stream's events."""
    slow_after: int = -1
    """After this many tokens of a stream the gap is `slow_gap`."""
    slow_gap: float = 0.0
    gate: asyncio.Semaphore | None = None
    """Each token of a stream waits for one release: the test decides when it is sent."""
    drip: int = 0
    """Sends so many bytes at a time, each in a write of its own; 0 sends a piece at once."""
    drip_gap: float = 0.0
    """With `drip`: between two writes of a body, whose head then comes at once."""
    stall: int = -1
    """A stream falls silent after this many tokens, until the client leaves; 0 is after the head."""

    # ── faults ──
    reset: str = ""
    """`request`: closes instead of answering; `rst` the same with a TCP reset; `head`: after half the head; `body`:
    after the head and half of a body that does not stream, in the way of `cut_how`."""
    cut: int = -1
    """Closes after this many tokens."""
    cut_inside: int = 0
    """With `cut`: so many bytes of the next event are sent before."""
    cut_how: str = "close"
    """`close`, `rst`, or `end`: the transfer coding ends as if the answer were complete."""
    surplus: bytes = b""
    """Sent after the answer in the same write."""
    stray: bytes = b""
    """Sent when the connection is idle again, after `stray_after`."""
    stray_after: float = 0.01
    length_delta: int = 0
    """Added to the true content length."""
    close: bool = False
    """Says `Connection: close` and does it."""
    hang_up: str = ""
    """Ends the connection after the answer without having said so: `close` or `rst`."""
    until_close: bool = False
    """No framing: the body ends with the connection."""
    interim: int = 0
    """So many `103 Early Hints` come first."""

    @property
    def streams(self) -> bool:
        """Whether a request for a stream gets one: an error or a body of the test's own comes whole."""
        return self.status == 200 and self.body is None and (not self.error or self.error_after >= 0)

    @property
    def eol(self) -> bytes:
        """How an event's lines end."""
        return b"\r\n" if self.crlf else b"\r" if self.cr else b"\n"


def spell(**fields: Any) -> str:
    """The model name that spells a script: `spell(chunks=64, gap=0.02)` is `fake?chunks=64&gap=0.02`."""
    known = {field.name for field in dataclasses.fields(Script)}
    unknown = set(fields) - known
    if unknown:
        raise ValueError(f"a script has no {', '.join(sorted(unknown))}")
    pairs = {name: int(value) if isinstance(value, bool) else value for name, value in fields.items()}
    return f"{NAME}?{urlencode(pairs)}" if pairs else NAME


_NO_CASES: Mapping[str, Script] = MappingProxyType({})


def read(model: str, default: Script, cases: Mapping[str, Script] = _NO_CASES) -> Script:
    """The script that a model's name spells, on top of the case it names, or of `default`.

    Raises ValueError for an unknown field.
    """
    name, mark, query = model.partition("?")
    base = cases.get(name, default)
    if not mark or (name != NAME and name not in cases):
        return base
    changes: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True, strict_parsing=True):
        changes[key] = _typed(getattr(base, key, None), key, value)
    return dataclasses.replace(base, **changes)


def _typed(example: object, key: str, value: str) -> object:
    match example:
        case bool():
            return value not in {"", "0", "false"}
        case int():
            return int(value)
        case float():
            return float(value)
        case UsageMode():
            return UsageMode(value)
        case str():
            return value
        case bytes() | None if key in {"body", "raw", "surplus", "stray"}:
            return value.encode()
        case _:
            raise ValueError(f"a script has no {key} that a name can spell")
