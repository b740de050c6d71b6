"""The kinds of ConverseStream's messages."""

from __future__ import annotations

import pytest

from tokenway.dialects.bedrock.frames import EVENTS, FAULT, OTHER, Kinds, event
from tokenway.model.errors import WireError
from tokenway.wire.event_stream import make_headers, parse_message, sections


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_written_and_told(name: str) -> None:
    """Each event has Amazon's three headers, and its name tells its kind, also the second time."""
    message = event(name, b"{}")
    parsed = parse_message(message)
    assert [(key, header.value) for key, header in parsed.headers.items()] == [
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ]
    kinds = Kinds()
    assert [kinds.of(sections(message)[0]) for _ in range(2)] == [name, name]


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({":message-type": "exception", ":exception-type": "throttlingException"}, FAULT),
        ({":message-type": "error", ":error-code": "500"}, FAULT),
        ({":message-type": "exception", ":event-type": "messageStop"}, FAULT),
        ({":message-type": "event", ":event-type": "somethingNew"}, OTHER),
        ({":message-type": "event"}, OTHER),
        ({":message-type": "news", ":event-type": "messageStop"}, OTHER),
    ],
)
def test_other_messages(headers: dict[str, str], kind: str) -> None:
    """Exceptions and errors are faults; what is not known is left to who reads it."""
    assert Kinds().of(make_headers(headers)) == kind


def test_a_message_must_tell_its_type() -> None:
    """A message without a type is none of AWS's."""
    with pytest.raises(WireError, match="type"):
        Kinds().of(make_headers({":event-type": "messageStop"}))


def test_few_kinds_are_remembered() -> None:
    """Headers that differ in every message do not fill the memory."""
    kinds = Kinds()
    for number in range(200):
        assert kinds.of(make_headers({":message-type": "event", "n": str(number)})) == OTHER
    assert len(kinds._known) == 64
