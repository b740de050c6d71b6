"""The dialect as one record."""

from __future__ import annotations

import json

import pytest

from tests.unit.dialects.openai_chat.answers import maker
from tokenway.dialects.openai_chat.format import FORMAT
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal
from tokenway.model.request import Message, Role, Text

BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def test_a_model_in_the_path_counts() -> None:
    """Azure names it there, and a body may then have none, or another."""
    for body in (BODY, BODY.replace(b'"model":"m",', b"")):
        request = FORMAT.parse(Operation.CHAT, body, "deployed", False)
        assert request.model == "deployed"
        sent = request.upstream_body("theirs")
        assert isinstance(sent, bytes)
        assert json.loads(sent)["model"] == "theirs"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model":"a","model":"b","messages":[]}'])
def test_a_broken_body_is_refused_all_the_same(body: bytes) -> None:
    """With a model in the path as without."""
    with pytest.raises(Refusal):
        FORMAT.parse(Operation.CHAT, body, "deployed", False)


def test_paths() -> None:
    """Each operation has one."""
    operations = (Operation.CHAT, Operation.COMPLETION, Operation.EMBEDDING)
    assert [FORMAT.path(operation, "m", False) for operation in operations] == [
        "/chat/completions",
        "/completions",
        "/embeddings",
    ]


def test_a_stream_passes_with_what_its_caller_asked() -> None:
    """How many choices there are, and whether the usage is told."""
    stream = FORMAT.passing(maker(usage=False, choices=2).request)
    assert isinstance(stream, PassingChat)
    stream.feed(b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n', 1.0)
    assert not stream.is_whole
    assert stream.tail(b"", b"") == b"data: [DONE]\n\n"


def test_a_request_in_the_neutral_form() -> None:
    """By the name that the caller asked for."""
    neutral = FORMAT.parse(Operation.CHAT, BODY, "", False).neutral()
    assert (neutral.model, neutral.messages) == ("m", (Message(Role.USER, (Text("hi"),)),))
