"""Which calls of an agent's run its user sees, and what of them.

One request of a user becomes many calls: the agent's own turns with their tools, its sub-agents, and what a client asks
beside the conversation, as for a title. The user sees the answers at which the agent's own turns end; all other calls
are hidden. A figure that compares the two is only as good as this distinction, so it is made in one place.
"""

from __future__ import annotations

from typing import Final

from tokenway.metering.ledger import Settled, Settlement, Trace
from tokenway.model.event import TOOL_WORDS

GOES_ON: Final = TOOL_WORDS | {"pause_turn"}
"""How an answer ends after which the agent asks again by itself: it has tools to call, or an answer to go on with."""
MAIN: Final = "main"
"""The class of the requests that are the conversation with the user."""
ANSWERS: Final = frozenset({"chat", "completion"})
"""The operations whose answer may be for the user: vectors, counts and summaries of a conversation are the agent's."""


def is_own(trace: Trace | None) -> bool:
    """Whether the run's own agent asked: one without a name, or that works for no other."""
    return trace is None or not trace.agent or not trace.parent


def is_shown(record: Settled) -> bool:
    """Whether the user saw this call's answer.

    It was delivered, to the run's own agent, in its conversation with the user or in no class that it told, and does
    not end in calls of tools.
    """
    trace = record.trace
    return (
        record.settlement is Settlement.DELIVERED
        and record.operation in ANSWERS
        and record.finish_reason not in GOES_ON
        and is_own(trace)
        and (trace is None or trace.request_class in {"", MAIN})
    )


def shown_tokens(record: Settled) -> int:
    """The tokens of the answer that the user saw, without what the model thought; 0 where none was seen or counted."""
    if is_shown(record):
        for line in record.lines:
            if line.settlement is Settlement.DELIVERED and line.usage is not None and not line.absurd:
                return line.usage.output_tokens - line.usage.reasoning
    return 0
