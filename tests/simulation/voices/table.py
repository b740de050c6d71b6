"""The voices by name."""

from __future__ import annotations

from typing import Final

from tests.simulation.voices import anthropic, bedrock, chat, gemini, responses
from tests.simulation.voices.base import Voice

CHAT: Final[Voice] = chat.VOICE
VOICES: Final[tuple[Voice, ...]] = (
    chat.VOICE,
    responses.VOICE,
    anthropic.VOICE,
    gemini.VOICE,
    bedrock.VOICE,
)
