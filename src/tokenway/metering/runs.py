"""Which calls of an agent's run its user sees, and what a run comes to.

One request of a user becomes many calls: the agent's own turns with their tools, its sub-agents, and what a client asks
beside the conversation, as for a title. The user sees the answers at which the agent's own turns end; all other calls
are hidden. A figure that compares the two is only as good as this distinction, so it is made in one place.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.metering.ledger import Settled, Settlement
from tokenway.metering.stamps import MICROSECONDS, mean_speed, mean_ttft
from tokenway.model.event import TOOL_WORDS
from tokenway.model.usage import Usage

GOES_ON: Final = TOOL_WORDS | {"pause_turn"}
"""How an answer ends after which the agent asks again by itself: it has tools to call, or an answer to go on with."""
MAIN: Final = "main"
"""The class of the requests that are the conversation with the user."""
ANSWERS: Final = frozenset({"chat", "completion"})
"""The operations whose answer may be for the user: vectors, counts and summaries of a conversation are the agent's."""


def is_seen(settlement: str, operation: str, finish_reason: str, request_class: str) -> bool:
    """Whether the user saw a call's answer.

    It was delivered, in the conversation with the user or in no class at all, and does not end in calls of tools.
    An agent that works for another always has a class (`dialects.runs`).
    """
    return (
        settlement == Settlement.DELIVERED
        and operation in ANSWERS
        and finish_reason not in GOES_ON
        and request_class in {"", MAIN}
    )


def is_shown(record: Settled) -> bool:
    """Whether the user saw the answer of this call; see `is_seen`."""
    request_class = "" if record.trace is None else record.trace.request_class
    return is_seen(record.settlement, record.operation, record.finish_reason, request_class)


def shown_tokens(record: Settled) -> int:
    """The tokens of the answer that the user saw, without what the model thought; 0 where none was seen or counted."""
    if is_shown(record):
        for line in record.lines:
            if line.settlement is Settlement.DELIVERED and line.usage is not None and not line.absurd:
                return line.usage.output_tokens - line.usage.reasoning
    return 0


class Figures(msgspec.Struct, frozen=True):
    """What calls came to: money in nano-dollars, and the sums of which the other figures are made.

    `shown` calls are those whose answer the user saw, `shown_tokens` their answers'; `usage` is of all attempts. The
    times are in microseconds: `ttft_us` of `first_tokens` calls, `timed_us` for `timed_tokens` of output, `duration_us`
    of all calls. A figure of which nothing is known is None.
    """

    calls: int = 0
    shown: int = 0
    shown_tokens: int = 0
    errors: int = 0
    slow: int = 0
    charged: int = 0
    cost: int = 0
    usage: Usage = Usage()
    ttft_us: int = 0
    first_tokens: int = 0
    timed_tokens: int = 0
    timed_us: int = 0
    duration_us: int = 0

    @property
    def tokens(self) -> int:
        """All that went in and came out."""
        return self.usage.input_tokens + self.usage.output_tokens

    @property
    def amplification(self) -> float | None:
        """How many tokens were used for each that the user saw."""
        return self.tokens / self.shown_tokens if self.shown_tokens else None

    @property
    def hidden_calls(self) -> float | None:
        """How many calls the user saw nothing of, for each answer that the user saw."""
        return (self.calls - self.shown) / self.shown if self.shown else None

    @property
    def cache_hits(self) -> float | None:
        """The share of the input that came from providers' caches."""
        return self.usage.cache_read / self.usage.input_tokens if self.usage.input_tokens else None

    @property
    def velocity(self) -> float | None:
        """Tokens of output per second, while they were made."""
        return mean_speed(self.timed_tokens, self.timed_us)

    @property
    def ttft(self) -> float | None:
        """Seconds to the first token of a stream, in the mean."""
        return mean_ttft(self.ttft_us, self.first_tokens)

    @property
    def model_time(self) -> float:
        """Seconds that calls took, all of them together."""
        return self.duration_us / MICROSECONDS
