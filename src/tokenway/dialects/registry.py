"""The table of wire formats: one line a dialect."""

from __future__ import annotations

from typing import Final

from tokenway.dialects.anthropic.format import FORMAT as ANTHROPIC
from tokenway.dialects.base import Format
from tokenway.dialects.bedrock.format import FORMAT as BEDROCK
from tokenway.dialects.gemini.format import FORMAT as GEMINI
from tokenway.dialects.openai_chat.format import FORMAT as OPENAI_CHAT
from tokenway.dialects.openai_responses.format import FORMAT as OPENAI_RESPONSES
from tokenway.model.catalog import Dialect

FORMATS: Final[dict[Dialect, Format]] = {
    form.dialect: form for form in (OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC, GEMINI, BEDROCK)
}
"""Every dialect by its name."""
