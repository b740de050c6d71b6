"""Which paths are relayed, and what a path says by itself."""

from __future__ import annotations

import pytest

from tokenway.edge.doors import FIXED, Door, dialect_at, find
from tokenway.model.catalog import Dialect, Operation

CHAT, COMPLETION, EMBEDDING = list(Operation)[:3]


@pytest.mark.parametrize(
    ("path", "door"),
    [
        (b"/v1/chat/completions", Door(Dialect.OPENAI_CHAT, CHAT)),
        (b"/api/v1/completions", Door(Dialect.OPENAI_CHAT, COMPLETION)),
        (b"/openai/v1/embeddings", Door(Dialect.OPENAI_CHAT, EMBEDDING)),
        (b"/v1/responses", Door(Dialect.OPENAI_RESPONSES, CHAT)),
        (b"/v1/responses/input_tokens", Door(Dialect.OPENAI_RESPONSES, Operation.COUNT)),
        (b"/openai/v1/responses/compact", Door(Dialect.OPENAI_RESPONSES, Operation.COMPACT)),
        (b"/openai/deployments/m/responses/input_tokens", Door(Dialect.OPENAI_RESPONSES, Operation.COUNT, "m")),
        (b"/v1/messages", Door(Dialect.ANTHROPIC, CHAT)),
        (b"/v1beta/models/gemini-2.5-pro:generateContent", Door(Dialect.GEMINI, CHAT, "gemini-2.5-pro")),
        (b"/v1/models/google/gemini:streamGenerateContent", Door(Dialect.GEMINI, CHAT, "google/gemini", stream=True)),
        (b"/v1beta/models/llama3:8b:generateContent", Door(Dialect.GEMINI, CHAT, "llama3:8b")),
        (b"/v1/models/x:nitro:streamGenerateContent", Door(Dialect.GEMINI, CHAT, "x:nitro", stream=True)),
        (b"/model/anthropic.claude-v2%3A1/converse", Door(Dialect.BEDROCK, CHAT, "anthropic.claude-v2:1")),
        (b"/model/m/converse-stream", Door(Dialect.BEDROCK, CHAT, "m", stream=True)),
        (b"/openai/deployments/gpt%20x/chat/completions", Door(Dialect.OPENAI_CHAT, CHAT, "gpt x")),
        (b"/openai/deployments/e/embeddings", Door(Dialect.OPENAI_CHAT, EMBEDDING, "e")),
    ],
)
def test_a_path_has_its_door(path: bytes, door: Door) -> None:
    """The dialect and the operation, and where the path says them the model and the streaming."""
    assert find(path) == door


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/models",
        b"/v1/chat/completions/",
        b"/v1beta/models/m:makeTea",
        b"/v1/models/openrouter/m:free",
        b"/model/m/invoke",
        b"/openai/deployments/m/images",
        b"/openai/v1/messages",
        b"/v1beta/models/m",
    ],
)
def test_other_paths_are_not_relayed(path: bytes) -> None:
    """They go to the application, which says what is there."""
    assert find(path) is None


def test_a_prefix_changes_nothing() -> None:
    """`/api/v1` is `/v1` for every path that is fixed."""
    assert all(FIXED[b"/api" + path] is door for path, door in FIXED.items() if path.startswith(b"/v1/"))


@pytest.mark.parametrize(
    ("path", "headers", "dialect"),
    [
        (b"/v1/nothing", {}, Dialect.OPENAI_CHAT),
        (b"/v1/models", {}, Dialect.OPENAI_CHAT),
        (b"/v1/models", {b"anthropic-version": b"1"}, Dialect.ANTHROPIC),
        (b"/api/v1/messages/batches", {}, Dialect.ANTHROPIC),
        (b"/v1/models/x", {b"x-goog-api-key": b"k"}, Dialect.GEMINI),
        (b"/v1/chat/completions", {b"x-goog-api-key": b"k"}, Dialect.OPENAI_CHAT),
        (b"/v1beta/models", {}, Dialect.GEMINI),
        (b"/v1beta", {}, Dialect.GEMINI),
        (b"/api/v1alpha/cachedContents", {}, Dialect.GEMINI),
        (b"/v1/models/x:countTokens", {}, Dialect.GEMINI),
        (b"/v1/models/x:8b:countTokens", {}, Dialect.GEMINI),
        (b"/v1/models/x:free", {}, Dialect.OPENAI_CHAT),
        (b"/model/x/invoke", {}, Dialect.BEDROCK),
        (b"/v1betamax", {}, Dialect.OPENAI_CHAT),
        (b"", {}, Dialect.OPENAI_CHAT),
    ],
)
def test_errors_are_told_in_the_dialect_of_a_paths_callers(
    path: bytes, headers: dict[bytes, bytes], dialect: Dialect
) -> None:
    """Also where nothing is there."""
    assert dialect_at(path, headers) is dialect
