"""What a caller must see of a reply, whatever dialect it came through; and what it must pay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from tests.fake_provider.cases import REPLIES
from tests.fake_provider.reply import Counts, Finish, Refused, Reply, Said, Thought
from tests.sdks.seen import Seen, Totals, arguments

CASES: Final = (
    "text",
    "json",
    "tools",
    "parallel-tools",
    "reasoning",
    "reasoning-tools",
    "sealed",
    "refusal",
    "length",
    "stop-sequence",
    "cached",
    "cached-hour",
    "long",
)
"""The replies that every SDK can show of every dialect."""

TELL_STOPS: Final = frozenset({"anthropic", "bedrock"})
"""The dialects that tell a stop sequence from any other end."""
TELL_WRITES: Final = frozenset({"openai_chat", "openai_responses", "anthropic", "bedrock"})
"""The dialects that tell what was written to a cache."""
TELL_HOURS: Final = frozenset({"anthropic", "bedrock"})
"""Those that tell for how long."""
TELL_REASONING: Final = frozenset({"openai_chat", "openai_responses", "gemini", "anthropic"})
"""Those that tell which of the output was reasoning."""


@dataclass(frozen=True)
class Rates:
    """Nano-dollars for each token."""

    input: int = 1000
    output: int = 4000
    cache_read: int = 100
    cache_write: int = 1250
    cache_write_1h: int = 2000

    def price(self) -> dict[str, float]:
        """As a configuration says it: USD per million tokens."""
        return {name: getattr(self, name) / 1000 for name in self.__dataclass_fields__}

    def cost(self, counts: Counts) -> int:
        """What a reply costs, in nano-dollars. Reasoning is charged like any output."""
        return (
            counts.uncached * self.input
            + counts.cache_read * self.cache_read
            + counts.cache_write * self.cache_write
            + counts.cache_write_1h * self.cache_write_1h
            + counts.output * self.output
        )


def told(counts: Counts, upstream: str) -> Counts:
    """The buckets that are left when a dialect has told the counts."""
    if upstream not in TELL_WRITES:
        written = counts.cache_write + counts.cache_write_1h
        counts = replace(counts, uncached=counts.uncached + written, cache_write=0, cache_write_1h=0)
    if upstream not in TELL_HOURS:
        counts = replace(counts, cache_write=counts.cache_write + counts.cache_write_1h, cache_write_1h=0)
    if upstream not in TELL_REASONING:
        counts = replace(counts, text=counts.output, reasoning=0)
    return counts


def finishes(reply: Reply, upstream: str, caller: str) -> frozenset[Finish]:
    """The ends that a caller may be told of."""
    if reply.finish is not Finish.STOP_SEQUENCE or upstream == caller:
        is_plain = reply.finish is Finish.STOP_SEQUENCE and caller not in TELL_STOPS
        return frozenset({Finish.STOP if is_plain else reply.finish})
    if {upstream, caller} <= TELL_STOPS:
        return frozenset({Finish.STOP, Finish.STOP_SEQUENCE})
    return frozenset({Finish.STOP})


def check(seen: Seen, case: str, upstream: str, caller: str) -> None:
    """Asserts that what was seen is the reply of the case."""
    reply = REPLIES[case]
    assert seen.text == reply.joined(Said, Refused)
    assert seen.reasoning == reply.joined(Thought)
    assert seen.calls == tuple((call.name, arguments(call.arguments)) for call in reply.calls())
    assert seen.finish in finishes(reply, upstream, caller)
    assert reply.counts is not None
    _check_totals(seen.totals, told(reply.counts, upstream))


def _check_totals(totals: Totals | None, counts: Counts) -> None:
    assert totals is not None
    assert (totals.input, totals.output, totals.cached) == (counts.input, counts.output, counts.cache_read)
    if totals.written is not None:
        assert totals.written == counts.cache_write + counts.cache_write_1h
    if totals.reasoning is not None:
        assert totals.reasoning == counts.reasoning


Sdk = str
CALLERS: Final[Mapping[Sdk, str]] = {
    "openai": "openai_chat",
    "openai-responses": "openai_responses",
    "anthropic": "anthropic",
    "google-genai": "gemini",
    "boto3": "bedrock",
}
"""Each SDK, and the dialect it speaks."""
