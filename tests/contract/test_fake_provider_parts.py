"""The parts of the fake provider that need no socket."""

from __future__ import annotations

import pytest

from tests.fake_provider.aws import message, split
from tests.fake_provider.routes import read, read_form


def test_aws_messages_are_split_where_they_were_joined() -> None:
    """The encoding reads back, and a flipped bit is found."""
    coded = message({":a": "b", ":long": "x" * 300}, b"one") + message({}, b"")
    assert list(split(coded)) == [({":a": "b", ":long": "x" * 300}, b"one"), ({}, b"")]
    with pytest.raises(ValueError, match="checksum"):
        list(split(coded.replace(b"one", b"onf")))


def test_paths_choose_the_renderer() -> None:
    """Every path has its dialect, operation and model, with or without a prefix."""
    found = {
        path: (read(path, "", b"{}").dialect, read(path, "", b"{}").kind, read(path, "", b"{}").model)
        for path in (
            "/v1/responses",
            "/v1/messages?beta=true",
            "/v1/messages/count_tokens",
            "/v1/models/a-b:streamGenerateContent?alt=sse",
            "/model/anthropic.claude%3A0/converse-stream",
            "/openai/v1/audio/speech",
            "/v1/chat/completions",
        )
    }
    assert list(found.values()) == [
        ("openai_responses", "responses", ""),
        ("anthropic", "messages", ""),
        ("anthropic", "count_tokens", ""),
        ("gemini", "streamGenerateContent", "a-b"),
        ("bedrock", "converse-stream", "anthropic.claude:0"),
        ("openai_media", "audio/speech", ""),
        ("openai_chat", "completions", ""),
    ]


def test_a_form_without_a_boundary_is_an_error() -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="boundary"):
        read_form("multipart/form-data", b"")
