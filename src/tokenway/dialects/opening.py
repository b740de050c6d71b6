"""How a conversation opens where its first turn must be the user's.

OpenAI and Gemini answer a conversation that has nothing but instructions, or that begins with the model's own turn;
Anthropic and Bedrock want a turn of the user's first. The caller's instructions make one then: nothing is invented, and
nothing is lost. Where there are no instructions either, the conversation cannot be had there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.request import Message, Role

_INSTRUCTIONS = frozenset({Role.SYSTEM, Role.DEVELOPER})


def opened(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages, with the instructions before the first turn as the user's where that turn is not."""
    first = next((at for at, each in enumerate(messages) if each.role not in _INSTRUCTIONS), len(messages))
    if first < len(messages) and messages[first].role is Role.USER:
        return messages
    return (*(msgspec.structs.replace(each, role=Role.USER) for each in messages[:first]), *messages[first:])


def no_opening(whose: str) -> Refusal:
    """400 for a conversation that still does not begin with the user."""
    return invalid_request(
        f"A conversation with a model {whose} begins with a message of the user's.",
        param="messages",
        code="unsupported_parameter",
    )
