"""Custom tools as functions, and their calls as texts again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.property.crossing import parsed
from tokenway.dialects.freeform import Unpacking, as_functions, names_of, unpacked
from tokenway.model.catalog import Dialect
from tokenway.model.errors import Refusal
from tokenway.model.event import (
    Added,
    Answer,
    Choice,
    Closed,
    Event,
    Finished,
    FinishReason,
    Opened,
    PartKind,
    fold,
    unfold,
)
from tokenway.model.request import NO_JSON, Message, Request, Role, Text, Tool, ToolCall

CALL = PartKind.TOOL_CALL
USER = Message(Role.USER, (Text("hi"),))
NAMES = frozenset({"patch"})
ASKED = parsed(Dialect.OPENAI_RESPONSES, b'{"model":"m","input":"hi","tools":[{"type":"custom","name":"patch"}]}')
UNREADABLE = parsed(Dialect.OPENAI_RESPONSES, b'{"model":"m","input":"hi","tools":[{"type":"custom"}]}')
"""An upstream that speaks the dialect may take it, or refuse it; it has no neutral form."""


def custom(grammar: object = None) -> Tool:
    """A tool that takes free text."""
    given = NO_JSON if grammar is None else msgspec.Raw(json.dumps(grammar).encode())
    return Tool("patch", "Patches.", custom=True, grammar=given)


def test_a_request_without_free_text_stays_what_it_is() -> None:
    """Not even a copy is made."""
    request = Request("m", (USER,), tools=(Tool("f"),))
    assert as_functions(request) is request


@pytest.mark.parametrize(
    ("grammar", "description", "declared"),
    [
        (None, "Patches.", False),
        ({"type": "text"}, "Patches.", False),
        (
            {"type": "grammar", "syntax": "lark", "definition": "start: X"},
            "Patches.\n\nThe input follows this grammar (lark):\nstart: X",
            True,
        ),
        (
            {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
            "Patches.\n\nThe input follows this grammar (regex):\na+",
            True,
        ),
        ({"type": "of_tomorrow"}, "Patches.", True),
        ([1], "Patches.", True),
    ],
)
def test_a_tool_becomes_a_function_with_one_text(grammar: object, description: str, *, declared: bool) -> None:
    """Its grammar is told in words, and nothing holds the model to it: that is declared."""
    found = as_functions(Request("m", (USER,), tools=(Tool("f"), custom(grammar))))
    function = found.tools[1]
    assert (function.name, function.description, function.custom) == ("patch", description, False)
    assert json.loads(bytes(function.parameters))["required"] == ["input"]
    assert found.tools[0] == Tool("f")
    assert ("tools.format" in found.rest) is declared


def test_calls_of_before_become_calls_of_the_function() -> None:
    """Their text is its argument."""
    turn = Message(
        Role.ASSISTANT, (Text("a"), ToolCall("1", "patch", 'say "x"', custom=True), ToolCall("2", "f", "{}"))
    )
    found = as_functions(Request("m", (USER, turn)))
    assert found.messages[1].parts == (
        Text("a"),
        ToolCall("1", "patch", '{"input":"say \\"x\\""}'),
        ToolCall("2", "f", "{}"),
    )


def test_names_are_those_of_the_callers_custom_tools() -> None:
    """A request that does not speak of any is not read again."""
    tools = [{"type": "custom", "name": "patch"}, {"type": "function", "name": "f", "parameters": {}}]
    body = json.dumps({"model": "m", "input": "hi", "tools": tools}).encode()
    assert names_of(parsed(Dialect.OPENAI_RESPONSES, body)) == NAMES
    assert names_of(parsed(Dialect.OPENAI_RESPONSES, b'{"model":"m","input":"hi"}')) == frozenset()


ARGUMENTS = [
    ('{"input":"a\\nb"}', "a\nb"),
    ('{"patch":"a"}', "a"),
    ('{"input":""}', ""),
    ("", ""),
    ("no JSON", "no JSON"),
    ('{"input":1}', '{"input":1}'),
    ('{"a":"x","b":"y"}', '{"a":"x","b":"y"}'),
    ('["a"]', '["a"]'),
]
"""What a model calls the function with, and the text in it."""


def answer(*calls: ToolCall) -> Answer:
    """An answer that calls tools."""
    return Answer("i", "m", 0, (Choice((Text("t"), *calls), Finished(FinishReason.TOOL_CALLS)),))


class Given:
    """A reader that has these events for each frame."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = list(events)

    def read(self, frame: bytes) -> Sequence[Event]:
        """As many as the frame has letters."""
        taken, self.events = self.events[: len(frame)], self.events[len(frame) :]
        return taken

    def end(self) -> Sequence[Event]:
        """The rest."""
        return self.events


@pytest.mark.parametrize(("arguments", "text"), ARGUMENTS)
@pytest.mark.parametrize("step", [1, 2, 100])
def test_a_call_is_unpacked(arguments: str, text: str, step: int) -> None:
    """Whole and streamed, however the events come; a call of another tool stays what it is."""
    given = answer(ToolCall("1", "patch", arguments), ToolCall("2", "f", '{"input":"x"}'))
    wanted = answer(ToolCall("1", "patch", text, custom=True), ToolCall("2", "f", '{"input":"x"}'))
    assert unpacked(given, NAMES) == wanted
    events = list(unfold(given))
    reader = Unpacking(Given(events), ASKED)
    streamed = [event for _ in range(0, len(events), step) for event in reader.read(b"x" * step)]
    assert fold([*streamed, *reader.end()]) == wanted


def test_a_call_of_a_real_custom_tool_passes() -> None:
    """An upstream that knows them has nothing to unpack."""
    events: list[Any] = [Opened(0, CALL, "1", "patch", custom=True), Added(0, '{"input":"x"}'), Closed(0)]
    assert Unpacking(Given(events), ASKED).read(b"xxx") == events
    whole = answer(ToolCall("1", "patch", '{"input":"x"}', custom=True))
    assert unpacked(whole, NAMES) == whole


def test_a_request_is_not_read_before_a_model_calls_something() -> None:
    """An attempt is set up before its request is written, which may be refused."""
    events: list[Any] = [Opened(0, PartKind.TEXT), Added(0, "a"), Closed(0)]
    assert Unpacking(Given(events), UNREADABLE).read(b"xxx") == events
    with pytest.raises(Refusal):
        names_of(UNREADABLE)
