"""Messages as the contents of a Gemini request."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.dialects.gemini.samples import raw
from tokenway.dialects.base import Upstream
from tokenway.dialects.gemini.contents import Contents
from tokenway.dialects.gemini.signature import STAND_IN
from tokenway.dialects.seal import ANTHROPIC, GEMINI
from tokenway.model import request as model
from tokenway.model.catalog import Quirks
from tokenway.model.errors import Refusal
from tokenway.model.request import Foreign, Media, MediaKind, Message, Reasoning, Role, Text, ToolCall, ToolResult

SECOND, THIRD = Upstream("gemini-2.5-flash"), Upstream("gemini-3-pro-preview")
PICTURE = Media(MediaKind.IMAGE, "image/png", data="AAAA")
INLINE = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def user(*parts: Text | Media | ToolResult) -> Message:
    """A turn of the user."""
    return Message(Role.USER, parts)


def assistant(*parts: Text | Media | Reasoning | ToolCall | model.Refusal | Foreign) -> Message:
    """A turn of the model."""
    return Message(Role.ASSISTANT, parts)


def contents(*messages: Message, upstream: Upstream = SECOND) -> tuple[list[tuple[object, object]], list[str]]:
    """The role and parts of each content, and the names of what was dropped."""
    dropped: dict[str, None] = {}
    found = Contents(upstream, dropped)
    for message in messages:
        found.add(message)
    found.finish()
    return [(each["role"], each["parts"]) for each in found.contents], list(dropped)


def call_of(*messages: Message, upstream: Upstream = THIRD) -> list[object]:
    """The signatures of the model's calls, in order."""
    turns, _ = contents(*messages, upstream=upstream)
    parts = [part for role, parts in turns if role == "model" and isinstance(parts, list) for part in parts]
    return [part.get("thoughtSignature") for part in parts if "functionCall" in part]


def test_turns_of_one_role_are_joined() -> None:
    """Two of the user are one content with the parts of both; an empty text is left out."""
    assert contents(user(Text("a")), user(Text(""), Text("b")), assistant(Text("c"), model.Refusal("d"))) == (
        [("user", [{"text": "a"}, {"text": "b"}]), ("model", [{"text": "c"}, {"text": "d"}])],
        [],
    )


def test_system_messages_are_collected() -> None:
    """Wherever they stood, in their order; they take text only."""
    found = Contents(SECOND, {})
    for message in (
        Message(Role.SYSTEM, (Text("one"),)),
        user(Text("a")),
        Message(Role.DEVELOPER, (Text("two"), Text(""))),
    ):
        found.add(message)
    assert found.system == [{"text": "one"}, {"text": "two"}]
    with pytest.raises(Refusal):
        found.add(Message(Role.SYSTEM, (PICTURE,)))


def test_results_of_all_calls_have_one_content() -> None:
    """They follow the calls, one for each, under the names of their tools; what else is said comes behind them."""
    turns, dropped = contents(
        assistant(ToolCall("1", "f", '{"a": 1}'), ToolCall("2", "g", "")),
        user(ToolResult("1", (Text("x"), Text("y")))),
        user(Text("and"), ToolResult("2", (Text("no"),), "g", is_error=True)),
    )
    assert turns[1:] == [
        (
            "user",
            [
                {"functionResponse": {"name": "f", "response": {"output": "x\ny"}, "id": "1"}},
                {"functionResponse": {"name": "g", "response": {"error": "no"}, "id": "2"}},
            ],
        ),
        ("user", [{"text": "and"}]),
    ]
    assert dropped == []


def test_media_of_a_result_follow_it() -> None:
    """Before the third generation a picture is the user's, behind the results of all calls."""
    messages = (
        assistant(ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}")),
        user(ToolResult("1", (Text("see"), PICTURE))),
        user(ToolResult("2", (Text("ok"),))),
    )
    turns, _ = contents(*messages, user(Text("next")))
    assert turns[2] == ("user", [{"text": "From the result of f:"}, INLINE, {"text": "next"}])
    turns, _ = contents(*messages, assistant(Text("so")))
    assert [role for role, _ in turns] == ["model", "user", "user", "model"]


def test_media_inside_of_a_result() -> None:
    """The third generation takes them there."""
    turns, _ = contents(
        assistant(ToolCall("1", "f", "{}")), user(ToolResult("1", (Text("see"), PICTURE))), upstream=THIRD
    )
    assert turns[1] == (
        "user",
        [{"functionResponse": {"name": "f", "response": {"output": "see"}, "id": "1", "parts": [INLINE]}}],
    )


def test_a_result_without_a_call_is_refused() -> None:
    """Gemini wants the tool's name, which nobody knows."""
    with pytest.raises(Refusal) as caught:
        contents(user(ToolResult("1", (Text("x"),))))
    assert caught.value.problem.code == "tool_call_missing"


@pytest.mark.parametrize("arguments", ["[1]", "{", '"a"', "null"])
def test_arguments_must_be_an_object(arguments: str) -> None:
    """Anything else is a 400 that names the call."""
    with pytest.raises(Refusal) as caught:
        contents(assistant(ToolCall("1", "lookup", arguments)))
    assert (caught.value.problem.status, caught.value.problem.code) == (400, "invalid_json")
    assert "lookup" in caught.value.problem.message


def test_signatures_of_calls_go_back() -> None:
    """Gemini's own stands at its call, and one signed call speaks for those beside it."""
    signed = ToolCall("1", "f", "{}", signature="c2ln", format=GEMINI)
    assert call_of(assistant(signed, ToolCall("2", "g", "{}"))) == ["c2ln", None]
    assert call_of(assistant(signed), upstream=SECOND) == ["c2ln"]


def test_calls_of_other_models_get_the_stand_in() -> None:
    """The first of each turn, for the third generation only."""
    turn = assistant(Text("hm"), ToolCall("1", "f", "{}"), ToolCall("2", "g", "{}"))
    results = user(ToolResult("1", (Text("x"),)), ToolResult("2", (Text("y"),)))
    assert call_of(turn, results, turn) == [STAND_IN, None, STAND_IN, None]
    assert call_of(turn, upstream=SECOND) == [None, None]


def test_gemini_s_own_thoughts_go_back() -> None:
    """With what signs them; thoughts that are not shown stand at the text they came with, or alone."""
    turns, dropped = contents(
        assistant(
            Reasoning("hm", "c2ln", format=GEMINI),
            Reasoning(sealed="b25l", format=GEMINI),
            Text("a"),
            Reasoning(sealed="dHdv", format=GEMINI),
            Reasoning(sealed="dGhyZWU=", format=GEMINI),
            ToolCall("1", "f", "{}"),
        )
    )
    assert turns[0][1] == [
        {"text": "hm", "thought": True, "thoughtSignature": "c2ln"},
        {"text": "a", "thoughtSignature": "b25l"},
        {"text": "", "thoughtSignature": "dHdv"},
        {"text": "", "thoughtSignature": "dGhyZWU="},
        {"functionCall": {"name": "f", "args": {}, "id": "1"}},
    ]
    assert dropped == []


def test_a_seal_goes_to_the_text_before_it() -> None:
    """That is where Gemini had it."""
    turns, _ = contents(assistant(Text("a"), Reasoning(sealed="b25l", format=GEMINI)))
    assert turns == [("model", [{"text": "a", "thoughtSignature": "b25l"}])]


def test_other_vendors_thoughts_are_declared() -> None:
    """No vendor is shown another's signature."""
    turns, dropped = contents(assistant(Reasoning("hm", "sig", format=ANTHROPIC), Reasoning("plain"), Text("a")))
    assert turns == [("model", [{"text": "a"}])]
    assert dropped == ["reasoning"]


def test_foreign_parts() -> None:
    """Gemini's own go back as they came, others are declared by name."""
    own = {"executableCode": {"code": "1"}, "thoughtSignature": "eA=="}
    turns, dropped = contents(
        assistant(Foreign("executableCode", raw(own)), Foreign("server_tool_use", raw({"a": 1})), Text("a"))
    )
    assert msgspec.json.decode(msgspec.json.encode(turns)) == [["model", [own, {"text": "a"}]]]
    assert dropped == ["server_tool_use"]
    broken = Foreign("executableCode", raw([]))
    assert contents(assistant(broken, Text("a"))) == ([("model", [{"text": "a"}])], ["executableCode"])


def test_properties_without_a_counterpart_are_declared() -> None:
    """Each once, in the order in which they come."""
    picture = Media(MediaKind.IMAGE, "image/png", data="AAAA", title="a.png", detail="high", cache="5m")
    _, dropped = contents(Message(Role.USER, (picture, picture, Text("b", cache="1h")), name="ann"))
    assert dropped == ["name", "cache_control", "detail", "title"]
    assert contents(user(Media(MediaKind.IMAGE, "image/png", data="AAAA", detail="auto")))[1] == []


def test_addresses_where_an_endpoint_takes_none() -> None:
    """Refused with the caller's place."""
    with pytest.raises(Refusal) as caught:
        contents(
            user(Media(MediaKind.IMAGE, url="https://x.test/a.png", place="messages[0].content[0].image_url")),
            upstream=Upstream("gemini-3-pro", quirks=Quirks(image_urls=False)),
        )
    assert caught.value.problem.param == "messages[0].content[0].image_url"
