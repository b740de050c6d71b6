"""Contents as neutral messages."""

from __future__ import annotations

import pytest

from tests.unit.dialects.gemini.samples import neutral, parts_of
from tokenway.dialects.gemini.signature import STAND_IN, closed
from tokenway.dialects.gemini.turns import result_text
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import Refusal
from tokenway.model.request import Foreign, Media, MediaKind, Part, Reasoning, Role, Text, ToolCall, ToolResult


def turns(*contents: object) -> list[Part]:
    """The parts of a request with these contents."""
    return parts_of(neutral({"contents": contents}).messages)


def model(*parts: object) -> dict[str, object]:
    """A content of the model."""
    return {"role": "model", "parts": list(parts)}


def user(*parts: object) -> dict[str, object]:
    """A content of the user."""
    return {"role": "user", "parts": list(parts)}


def test_roles() -> None:
    """No role is the user's, `function` is the user's too, and a content without anything in it is left out."""
    found = neutral(
        {"contents": [{"parts": [{"text": "a"}]}, model({"text": "b"}), {"role": "model"}, user({"text": ""})]}
    ).messages
    assert [(each.role, each.parts) for each in found] == [
        (Role.USER, (Text("a"),)),
        (Role.ASSISTANT, (Text("b"),)),
    ]


def test_both_spellings_of_media() -> None:
    """Data comes out in the standard letters with its padding, which everybody reads."""
    assert turns(
        user(
            {"inline_data": {"mime_type": "image/png", "data": "_-8"}},
            {"fileData": {"fileUri": "https://x.test/a.mp4", "displayName": "film"}},
        )
    ) == [
        Media(MediaKind.IMAGE, "image/png", data="/+8="),
        Media(MediaKind.VIDEO, url="https://x.test/a.mp4", title="film"),
    ]


def test_a_call_and_its_result_meet_by_id() -> None:
    """Ids that the caller gives are kept; the result has the name of its call."""
    call = {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1.5}}, "thoughtSignature": "c2ln"}
    answer = {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "x"}}}
    assert turns(user({"text": "q"}), model(call), user(answer))[1:] == [
        ToolCall("c1", "f", '{"a":1.5}', signature="c2ln", format=GEMINI),
        ToolResult("c1", (Text("x"),), "f"),
    ]


def test_without_ids_they_meet_by_name_in_order() -> None:
    """Ids come from the place of a call, so that the next request with this history has the same."""
    calls = model({"function_call": {"name": "f"}}, {"functionCall": {"name": "g"}}, {"functionCall": {"name": "f"}})
    results = user(
        {"functionResponse": {"name": "f", "response": {"error": "bad"}}},
        {"functionResponse": {"name": "f", "response": {"a": 1, "b": 2}}},
        {"functionResponse": {"name": "g"}},
    )
    assert turns(user({"text": "q"}), calls, results)[1:] == [
        ToolCall("call_1_0", "f", "{}"),
        ToolCall("call_1_1", "g", "{}"),
        ToolCall("call_1_2", "f", "{}"),
        ToolResult("call_1_0", (Text("bad"),), "f", is_error=True),
        ToolResult("call_1_2", (Text('{"a":1,"b":2}'),), "f"),
        ToolResult("call_1_1", (), "g"),
    ]


def test_a_result_without_a_call_is_refused() -> None:
    """Neither its id nor its name finds one, or all of them have results."""
    answer = {"functionResponse": {"name": "f", "response": {}}}
    for contents in ([user(answer)], [model({"functionCall": {"name": "f"}}), user(answer, answer)]):
        with pytest.raises(Refusal) as caught:
            turns(*contents)
        assert caught.value.problem.code == "tool_call_missing"


def test_media_inside_of_a_result() -> None:
    """The third generation's parts of a result are its content."""
    answer = {
        "functionResponse": {
            "name": "f",
            "response": {"result": {"ok": True}},
            "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
        }
    }
    assert turns(model({"functionCall": {"name": "f"}}), user(answer))[1] == ToolResult(
        "call_0_0",
        (
            Text('{"ok":true}'),
            Media(
                MediaKind.IMAGE,
                "image/png",
                data="AAAA",
                place="contents[1].parts[0].functionResponse.parts[0].inlineData",
            ),
        ),
        "f",
    )


def test_signatures_find_whose_they_are() -> None:
    """Beside a text a signature is thoughts that are not shown; other vendors' come out of their seal."""
    assert turns(
        model(
            {"text": "hm", "thought": True, "thoughtSignature": closed("sig", ANTHROPIC)},
            {"text": "sum", "thought": True, "thoughtSignature": closed("enc", OPENAI)},
            {"text": "", "thoughtSignature": closed("red", ANTHROPIC)},
            {"text": "yes", "thoughtSignature": "b3du"},
            {"functionCall": {"name": "f"}, "thoughtSignature": STAND_IN},
        )
    ) == [
        Reasoning("hm", "sig", format=ANTHROPIC),
        Reasoning("sum", sealed="enc", format=OPENAI, summary=True),
        Reasoning(sealed="red", format=ANTHROPIC),
        Text("yes"),
        Reasoning(sealed="b3du", format=GEMINI),
        ToolCall("call_0_0", "f", "{}"),
    ]


def test_a_stream_kept_in_pieces_is_joined() -> None:
    """Clients keep each chunk as a content of its own; the signature of a thought comes in the last piece."""
    pieces = [
        model({"text": "I th", "thought": True}),
        model({"text": "ink", "thought": True}),
        model({"text": "", "thought": True, "thoughtSignature": closed("sig", ANTHROPIC)}),
        model({"text": "So "}),
        model({"text": "it is"}, {"text": ""}),
    ]
    found = neutral({"contents": pieces}).messages
    assert len(found) == 1
    assert found[0].parts == (Reasoning("I think", "sig", format=ANTHROPIC), Text("So it is"))


def test_what_only_gemini_knows_is_foreign() -> None:
    """Code and its result, and parts of a kind that is not known, keep their bytes and their name."""
    found = turns(model({"executableCode": {"code": "1"}, "thoughtSignature": "eA=="}, {"newThing": {"a": [1]}}))
    assert [(type(each), getattr(each, "name", "")) for each in found] == [
        (Foreign, "executableCode"),
        (Foreign, "newThing"),
    ]
    assert isinstance(found[0], Foreign)
    assert bytes(found[0].raw) == b'{"executableCode":{"code":"1"},"thoughtSignature":"eA=="}'


def test_members_without_a_place_are_kept_to_be_declared() -> None:
    """Nothing of a part is lost in silence."""
    found = neutral(
        {
            "contents": [
                user(
                    {"text": "a", "videoMetadata": {"fps": 2}},
                    {"inlineData": {"mimeType": "image/png", "data": "AAAA", "extra": 1}},
                )
            ]
        }
    )
    assert set(found.rest) == {"videoMetadata", "extra"}


def test_members_of_a_results_parts_are_kept_to_be_declared() -> None:
    """As those of a turn's own parts."""
    part = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "mediaResolution": {"level": "LOW"}}
    response = {"name": "f", "response": {}, "parts": [part]}
    found = neutral({"contents": [model({"functionCall": {"name": "f"}}), user({"functionResponse": response})]})
    assert set(found.rest) == {"mediaResolution"}


def test_only_a_model_thinks() -> None:
    """A thought or a signature of anybody else is no part, and is declared."""
    signed = {"text": "c", "thoughtSignature": "c2ln"}
    found = neutral(
        {"systemInstruction": {"parts": [signed]}, "contents": [user({"text": "b", "thought": True}, signed)]}
    )
    assert [message.parts for message in found.messages] == [(Text("c"),), (Text("c"),)]
    assert set(found.rest) == {"thought", "thoughtSignature"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"systemInstruction": {"parts": [{"functionCall": {"name": "f"}}]}}, "systemInstruction.parts[0]"),
        ({"contents": [user({"functionCall": {"name": "f"}})]}, "contents[0].parts[0]"),
        (
            {"contents": [model({"functionCall": {"name": "f"}}, {"functionResponse": {"name": "f"}})]},
            "contents[0].parts[1]",
        ),
    ],
)
def test_calls_are_the_models_and_results_the_users(body: dict[str, object], param: str) -> None:
    """A part in a content of another role is refused at its place."""
    with pytest.raises(Refusal) as caught:
        neutral({"contents": [user({"text": "a"})], **body})
    assert caught.value.problem.param == param


@pytest.mark.parametrize(
    ("parts", "param"),
    [
        ([{"inlineData": {"mimeType": "image/png", "data": "%"}}], "contents[0].parts[0].inlineData.data"),
        ([{"inlineData": {"data": "AAAA"}}], "contents[0].parts[0].inlineData.mimeType"),
        ([{"text": 5}], "contents[0].parts[0].text"),
        ([{"functionCall": {"args": {}}}], "contents[0].parts[0].functionCall.name"),
        ([{"functionCall": {"name": "f", "args": []}}], "contents[0].parts[0].functionCall.args"),
        (["text"], "contents[0].parts[0]"),
    ],
)
def test_what_is_wrong_is_named(parts: list[object], param: str) -> None:
    """A Refusal has the place of the field."""
    with pytest.raises(Refusal) as caught:
        turns(user(*parts))
    assert caught.value.problem.param == param


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"output": "x"}, ("x", False)),
        ({"result": [1]}, ("[1]", False)),
        ({"error": {"a": 1}}, ('{"a":1}', True)),
        ({"output": "x", "more": 1}, ('{"output":"x","more":1}', False)),
        ({}, ("", False)),
        (None, ("", False)),
        ("plain", ('"plain"', False)),
    ],
)
def test_responses_as_text(response: object, expected: tuple[str, bool]) -> None:
    """`output`, `result` and `error` alone are what they hold; anything else is JSON."""
    assert result_text(response) == expected
