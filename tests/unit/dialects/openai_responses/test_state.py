"""Records of responses, and what is made of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response, ResponseItemList

from tests.unit.dialects.openai_responses.made import maker, message, response, said
from tokenway.dialects.openai_responses.request import parse
from tokenway.dialects.openai_responses.state import (
    Record,
    cancelled,
    deleted,
    expand,
    failed,
    input_items,
    record,
    waiting,
)
from tokenway.model.catalog import Operation
from tokenway.model.errors import ErrorType, Problem, Refusal, WireError
from tokenway.model.request import Message, Role, Text, ToolCall, ToolResult

CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
THOUGHT: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [],
    "encrypted_content": "gAAA",
    "status": None,
}
BARE: dict[str, Any] = {"type": "reasoning", "id": "rs_2", "summary": []}


def body(given: Any, **members: Any) -> bytes:
    """A request's body."""
    return json.dumps({"model": "m", "input": given, **members}).encode()


def kept(given: Any, *output: dict[str, Any], name: str = "resp_a", **members: Any) -> Record:
    """The record of a response to this input."""
    return record(body(given, **members), json.dumps(response("completed", *output, id=name)).encode())


def plain(items: Any) -> list[dict[str, Any]]:
    """Items as objects."""
    return [json.loads(bytes(item)) for item in items]


FIRST = kept("hi", THOUGHT, BARE, CALL)
SECOND = kept(
    [{"type": "function_call_output", "call_id": "c", "output": "1"}],
    message(said("one")),
    name="resp_b",
    previous_response_id="resp_a",
)


def test_a_record_has_its_input_as_a_list() -> None:
    """Each item with its type and an id, a message with its contents; the output as it was."""
    assert (FIRST.id, FIRST.previous) == ("resp_a", "")
    assert plain(FIRST.input) == [
        {
            "id": "msg_a_in0",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "hi"}],
        }
    ]
    assert plain(FIRST.output) == [THOUGHT, BARE, CALL]
    assert (SECOND.id, SECOND.previous) == ("resp_b", "resp_a")
    assert plain(SECOND.input)[0]["id"] == "fco_b_in0"


def test_messages_without_a_type_get_theirs() -> None:
    """And the assistant's text is a text of the model's."""
    found = plain(kept([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "id": "msg_9"}]).input)
    assert [each["content"][0] for each in found] == [
        {"type": "input_text", "text": "a"},
        {"type": "output_text", "text": "b", "annotations": []},
    ]
    assert found[1]["id"] == "msg_9"
    assert kept(None).input == ()


def test_a_chain_becomes_one_input() -> None:
    """Oldest first, each response's input and output, then what is new; other members keep their bytes."""
    new = b'{"model": "m",  "previous_response_id": "resp_b", "input": "and?", "temperature": 0.50}'
    full = expand(new, [FIRST, SECOND])
    assert full.startswith(b'{"model": "m",')
    assert b'"temperature": 0.50' in full
    assert json.loads(full) == {
        "model": "m",
        "temperature": 0.5,
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            CALL,
            {"type": "function_call_output", "call_id": "c", "output": "1"},
            message(said("one")),
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and?"}]},
        ],
    }


def test_an_expanded_request_converts() -> None:
    """It has become one without state; who expanded it tells the caller the id that it gave."""
    full = expand(body("and?", previous_response_id="resp_b"), [FIRST, SECOND])
    request = parse(Operation.CHAT, full, "", False)
    assert request.previous == ""
    request.previous = "resp_b"
    user, assistant, results, answer, last = request.neutral().messages
    assert user == Message(Role.USER, (Text("hi"),))
    assert ToolCall("c", "f", "{}") in assistant.parts
    assert results == Message(Role.USER, (ToolResult("c", (Text("1"),), "f"),))
    assert (answer.role, answer.parts, last.parts) == (Role.ASSISTANT, (Text("one"),), (Text("and?"),))


def test_a_reference_is_looked_up() -> None:
    """By its id, with a type or without."""
    for reference in ({"type": "item_reference", "id": "fc_1"}, {"id": "fc_1"}):
        full = json.loads(expand(body([reference]), [FIRST]))
        assert full["input"][-1] == CALL
    with pytest.raises(Refusal) as refused:
        expand(body([{"type": "item_reference", "id": "nowhere"}]), [FIRST])
    assert refused.value.problem.param == "input[0].id"


def test_a_request_without_input_gets_the_chains() -> None:
    """The member is added."""
    full = json.loads(expand(b'{"model":"m","previous_response_id":"resp_a"}', [FIRST]))
    assert [each["type"] for each in full["input"]] == ["message", "reasoning", "function_call"]


@pytest.mark.parametrize("broken", [b"<html>", b'{"input":[3]}', b'{"input":{}}'])
def test_what_cannot_be_read(broken: bytes) -> None:
    """A body that no parser has taken."""
    with pytest.raises(WireError):
        expand(broken, [])
    with pytest.raises(WireError):
        record(broken, json.dumps(response()).encode())


def test_a_page_of_input_items() -> None:
    """Newest first; `after` goes on behind an item; the SDK's type takes it."""
    items = kept([{"role": "user", "content": str(number)} for number in range(5)]).input
    page = input_items(items, limit=2)
    assert ResponseItemList.model_validate_json(page).has_more
    assert [each["content"][0]["text"] for each in json.loads(page)["data"]] == ["4", "3"]
    rest = json.loads(input_items(items, after=json.loads(page)["last_id"]))
    assert [each["content"][0]["text"] for each in rest["data"]] == ["2", "1", "0"]
    assert (rest["first_id"], rest["last_id"], rest["has_more"]) == ("msg_a_in2", "msg_a_in0", False)
    ascending = json.loads(input_items(items, limit=1, is_ascending=True))
    assert ascending["first_id"] == ascending["last_id"] == "msg_a_in0"
    assert json.loads(input_items(())) == {
        "object": "list",
        "data": [],
        "first_id": "",
        "last_id": "",
        "has_more": False,
    }


def test_responses_in_the_background() -> None:
    """Queued, begun, given up, failed: the SDK's type takes each."""
    queued = waiting(maker(background=True))
    assert (json.loads(queued)["status"], json.loads(queued)["background"]) == ("queued", True)
    begun = waiting(maker(background=True), has_begun=True)
    broken = failed(maker(background=True), Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "it broke"))
    given_up = cancelled(queued)
    for each, status in ((queued, "queued"), (begun, "in_progress"), (broken, "failed"), (given_up, "cancelled")):
        assert Response.model_validate_json(each).status == status
    assert given_up.replace(b'"cancelled"', b'"queued"') == queued
    assert json.loads(broken)["error"] == {"code": "server_error", "message": "it broke"}


def test_what_is_deleted_says_so() -> None:
    """By its id."""
    assert json.loads(deleted("resp_a")) == {"id": "resp_a", "object": "response", "deleted": True}


def test_a_record_is_data() -> None:
    """It can be kept as text and read again."""
    assert msgspec.json.decode(msgspec.json.encode(SECOND), type=Record) == SECOND
