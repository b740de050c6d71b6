"""The SDKs by name. Each is imported when it is first wanted: some take seconds."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final, cast

import pytest

from tests.sdks.seen import Client

_CLASSES: Final = {
    "openai": ("tests.sdks.openai_chat", "OpenAIChat", "openai"),
    "openai-responses": ("tests.sdks.openai_responses", "OpenAIResponses", "openai"),
    "anthropic": ("tests.sdks.anthropic_messages", "Anthropic", "anthropic"),
    "google-genai": ("tests.sdks.gemini", "Gemini", "google.genai"),
    "boto3": ("tests.sdks.bedrock", "Bedrock", "boto3"),
}


NEEDS_TLS: Final = frozenset({"boto3"})
"""SDKs that send their credential over TLS only."""


def connect(sdk: str, origin: str, key: str, authority: Path) -> Client:
    """The SDK, ready to call the server at `origin`; skips the test where it is not installed.

    `authority` is the file of the certificate that vouches for a server with TLS.
    """
    module, name, package = _CLASSES[sdk]
    pytest.importorskip(package)
    return cast("Client", getattr(import_module(module), name)(origin, key, authority))
