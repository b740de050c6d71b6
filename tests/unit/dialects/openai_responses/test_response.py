"""The response object and the ids that it is made of."""

from __future__ import annotations

import json

import msgspec
from openai.types.responses import Response

from tests.unit.dialects.openai_responses.made import maker
from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.request import parse as parse_chat
from tokenway.dialects.openai_responses.response import (
    Shape,
    exchange_id,
    failure,
    priced_usage,
    response_id,
    stem,
    with_member,
)
from tokenway.model.catalog import Operation


def test_ids_lead_from_one_to_the_other() -> None:
    """The exchange's and the response's."""
    assert response_id("gen-1a-2b-3") == "resp_1a-2b-3"
    assert exchange_id("resp_1a-2b-3") == "gen-1a-2b-3"
    assert stem("gen-1a-2b-3") == "1a-2b-3"


def test_every_status_has_what_the_sdks_type_requires() -> None:
    """Strictly, with all defaults."""
    for status in ("queued", "in_progress", "completed", "incomplete", "cancelled"):
        shape = json.loads(msgspec.json.encode(Shape(maker()).make(status)))
        assert Response.model_validate(shape).status == status
        assert shape["output"] == []
    broken = Shape(maker()).make("failed", error=failure("server_error", "oh"))
    assert Response.model_validate(json.loads(msgspec.json.encode(broken))).error is not None


def test_an_id_that_was_told_is_kept() -> None:
    """An error inside of a stream that passes belongs to the upstream's response."""
    told = msgspec.structs.replace(maker(), answer="resp_up")
    assert Shape(told).make("failed")["id"] == "resp_up"


def test_a_request_of_another_dialect_has_no_settings() -> None:
    """The defaults stand for all of them."""
    request = parse_chat(Operation.CHAT, b'{"model":"m","messages":[],"temperature":1}')
    shape = Shape(Maker("gen-7", "m", 1, request)).make("completed")
    assert (shape["temperature"], shape["store"], shape["previous_response_id"]) == (None, True, None)


def test_null_settings_are_defaults() -> None:
    """A caller that sends null has said nothing."""
    shape = Shape(maker(tool_choice=None, tools=None, truncation=None, background=True)).make("queued")
    assert (shape["tool_choice"], shape["tools"], shape["truncation"]) == ("auto", [], "disabled")
    assert shape["background"] is True


def test_members_are_added_at_the_end() -> None:
    """Where there are any."""
    assert with_member(b'{"a":1}', b'"b":2') == b'{"a":1,"b":2}'
    assert with_member(b'{"a":1}', b"") == b'{"a":1}'
    assert msgspec.json.encode(priced_usage({"a": 1}, b'"cost":2')) == b'{"a":1,"cost":2}'
    assert priced_usage({"a": 1}, b"") == {"a": 1}
    assert priced_usage(None, b'"cost":2') is None


def test_a_called_name_is_told_apart() -> None:
    """By the request's tools; a request of another dialect, or without tools, has none."""
    space = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}
    assert Shape(maker(tools=[space])).apart("n__f") == ("n", "f")
    request = parse_chat(Operation.CHAT, b'{"model":"m","messages":[]}')
    assert Shape(Maker("gen-7", "m", 1, request)).apart("n__f") == ("", "n__f")
    assert Shape(maker()).apart("n__f") == ("", "n__f")


def test_tools_that_were_not_read_are_not_looked_at() -> None:
    """What fails before any model was asked may have tools that are none."""
    shape = Shape(maker(tools=[{"type": "namespace"}, 7]))
    assert json.loads(msgspec.json.encode(shape.make("queued")))["status"] == "queued"


def test_a_response_that_was_told_goes_on() -> None:
    """With its own id, time and settings; how it stands now is ours."""
    shape = Shape(maker())
    shape.follow({"id": "resp_up", "created_at": 7, "temperature": 0.5, "status": "in_progress", "output": []})
    made = shape.make("completed", [{"type": "message"}], usage={"input_tokens": 1})
    assert made == {
        "id": "resp_up",
        "created_at": 7,
        "temperature": 0.5,
        "status": "completed",
        "output": [{"type": "message"}],
        "error": None,
        "incomplete_details": None,
        "usage": {"input_tokens": 1},
    }
