"""The stream of a response: told as it is made, or made anew of the object."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tokenway.dialects.openai_responses.reader import Reader
from tokenway.dialects.openai_responses.replay import Story, beginning, broken, replay
from tokenway.model.errors import WireError
from tokenway.model.event import fold
from tokenway.wire.sse import event_data, split_events

TEXT: dict[str, Any] = {
    "type": "output_text",
    "text": "Hello.",
    "annotations": [{"type": "url_citation", "url": "http://a", "title": "A", "start_index": 0, "end_index": 5}],
    "logprobs": [],
}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [TEXT, {"type": "refusal", "refusal": "No more."}],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "f",
    "arguments": '{"a":1}',
    "status": "completed",
}
CUSTOM: dict[str, Any] = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "g", "input": "x"}
THOUGHT: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "content": [{"type": "reasoning_text", "text": "Well."}],
    "encrypted_content": "sealed",
}
SEARCH: dict[str, Any] = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}


def response(status: str = "completed", *output: Any, **members: Any) -> bytes:
    """A response object."""
    usual: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "previous_response_id": "resp_0",
        "background": True,
        "usage": {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 3,
        },
        "error": None,
        "incomplete_details": None,
    }
    return msgspec.json.encode({**usual, "status": status, "output": list(output), **members})


def told(events: list[bytes]) -> list[Any]:
    """Events, each decoded; fails unless each has one event whose name is its type."""
    decoded = []
    for event in events:
        assert split_events(event) == [event]
        data = event_data(event)
        assert data is not None
        value = json.loads(data)
        assert event.startswith(f"event: {value['type']}\n".encode())
        decoded.append(value)
    return decoded


def kinds(events: list[bytes]) -> list[str]:
    """The types of events, without the beginning that all have in common."""
    return [each["type"].removeprefix("response.") for each in told(events)]


# -- made anew ---------------------------------------------------------------------------------------------

EVERY = response("completed", THOUGHT, MESSAGE, CALL, CUSTOM, SEARCH)


def test_the_events_of_a_response_that_has_ended() -> None:
    """Item by item and part by part; each text is one delta."""
    assert kinds(replay(EVERY)) == [
        "created",
        "in_progress",
        "output_item.added",
        *("reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done"),
        *("content_part.added", "reasoning_text.delta", "reasoning_text.done", "content_part.done"),
        "output_item.done",
        "output_item.added",
        *("content_part.added", "output_text.delta", "output_text.annotation.added", "output_text.done"),
        *("content_part.done", "content_part.added", "refusal.delta", "refusal.done", "content_part.done"),
        "output_item.done",
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done", "output_item.done"),
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done"),
        *("output_item.added", "output_item.done"),
        "completed",
    ]


def test_they_are_numbered_and_begin_with_nothing() -> None:
    """From 0; the response at the beginning has no output, and an item none of its text."""
    events = told(replay(EVERY))
    assert [each["sequence_number"] for each in events] == list(range(len(events)))
    first = events[0]["response"]
    assert (first["status"], first["output"], first["usage"], first["id"]) == ("in_progress", [], None, "resp_1")
    added = [each["item"] for each in events if each["type"] == "response.output_item.added"]
    assert "encrypted_content" not in added[0]
    assert [added[0]["summary"], added[1]["content"], added[2]["arguments"], added[3]["input"]] == [[], [], "", ""]
    assert added[1]["status"] == "in_progress"
    assert events[-1]["response"] == json.loads(EVERY)
    done = [each["item"] for each in events if each["type"] == "response.output_item.done"]
    assert done == json.loads(EVERY)["output"]


def test_the_sdk_understands_them() -> None:
    """Each is of a type that it knows, and its accumulation gives the response."""
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    state: Any = ResponseStreamState(input_tools=[], text_format=omit)
    for event in told(replay(response("completed", MESSAGE, CALL))):
        for fired in state.handle_event(adapter.validate_python(event)):
            assert fired.type == event["type"]
    assert state._completed_response.output_text == "Hello."


def test_our_own_reader_makes_the_same_answer_of_them() -> None:
    """As of the whole response."""
    reader = Reader()
    events = [found for each in replay(EVERY) for found in reader.read(event_data(each) or b"")]
    assert fold(events) == fold(Reader().whole(EVERY))


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_the_last_event_says_how_it_ended(status: str) -> None:
    """By its name, and in its response."""
    last = told(replay(response(status)))[-1]
    assert (last["type"], last["response"]["status"]) == (f"response.{status}", status)


def test_only_what_comes_behind_a_number() -> None:
    """A caller that was cut off goes on; behind the end there is nothing."""
    every = replay(EVERY)
    assert replay(EVERY, 4) == every[5:]
    assert replay(EVERY, len(every) - 1) == []
    assert replay(EVERY, 10**6) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_that_was_given_up_is_always_told_so(status: str) -> None:
    """How far its own stream had come, nobody knows any more."""
    [last] = told(replay(response(status), 17))
    assert (last["type"], last["sequence_number"]) == (f"response.{status}", 18)


@pytest.mark.parametrize("output", [None, "x", [7, "x"], [{"type": "message", "content": "x"}, {"type": "message"}]])
def test_what_is_no_output_is_no_item(output: Any) -> None:
    """A provider may send anything: what is kept of it is replayed all the same."""
    events = told(replay(response("completed", output=output)))
    assert events[-1]["response"]["output"] == output


@pytest.mark.parametrize("text", [b"", b"[]", b"7", b"{", b"\xff"])
def test_what_is_no_response(text: bytes) -> None:
    """Raises our one error."""
    for work in (replay, beginning, Story):
        with pytest.raises(WireError):
            work(text)


def test_the_beginning_alone() -> None:
    """It is what the stream of the whole begins with."""
    assert beginning(response("in_progress")) == replay(response("completed"))[:2]


def test_a_stream_that_breaks() -> None:
    """The SDKs raise it."""
    assert told([broken(5, "x", "Gone.")]) == [
        {"type": "error", "code": "x", "message": "Gone.", "param": None, "sequence_number": 5}
    ]


# -- told as it is made ------------------------------------------------------------------------------------


def event(kind: str, **members: Any) -> bytes:
    """An event of a provider."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def story() -> Story:
    """A response that has begun."""
    return Story(response("in_progress", usage=None))


def test_it_begins_before_anything_came() -> None:
    """With what the caller was given."""
    assert kinds(story().events) == ["created", "in_progress"]


def test_what_comes_is_numbered_anew() -> None:
    """The provider's own beginning is left out, and so is what keeps it alive."""
    made = story()
    made.take(event("response.created", response={"id": "x"}, sequence_number=0) + b": ping\n\n")
    made.take(event("keepalive", sequence_number=1) + event("response.queued", response={}, sequence_number=2))
    made.take(event("response.output_text.delta", delta="a", sequence_number=900) + event("response.unknown.thing"))
    later = told(made.events)[2:]
    assert later == [
        {"type": "response.output_text.delta", "delta": "a", "sequence_number": 2},
        {"type": "response.unknown.thing", "sequence_number": 3},
    ]
    assert (made.final, made.fault) == (b"", "")


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_the_providers_end_is_under_our_id(status: str) -> None:
    """In the background, behind the response that was named; nothing is taken after it."""
    made = story()
    own = json.loads(response(status, MESSAGE)) | {"id": "resp_own", "background": False, "previous_response_id": None}
    made.take(event(f"response.{status}", response=own, sequence_number=44) + event("response.late"))
    last = told(made.events)[-1]
    assert (last["type"], last["sequence_number"]) == (f"response.{status}", 2)
    assert last["response"] == json.loads(made.final) == json.loads(response(status, MESSAGE))


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (event("error", message="Too much.", code="x"), "Too much."),
        (event("error", code="x"), "x"),
        (b'data: {"error":{"message":"Too much."}}\n\n', "Too much."),
        (event("response.failed"), "the response has failed"),
    ],
)
def test_an_error_without_a_response_is_a_fault(data: bytes, fault: str) -> None:
    """Whoever makes the response ends it."""
    made = story()
    made.take(data + event("response.late"))
    assert (made.fault, made.final) == (fault, b"")
    assert len(made.events) == 2
    made.end(response("failed"))
    assert kinds(made.events)[-1] == "failed"
    assert made.final == response("failed")


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n",
        b"data: [DONE]\n\n",
        b'data: {"type":"a","type":"b"}\n\n',
        b"x\n\n",
        b'data: {"type":"\xff"}\n\n',
        b'data: {"type":"response.failed","response":2}\n\n',
    ],
)
def test_what_is_no_event_is_left_out(data: bytes) -> None:
    """It cannot be numbered."""
    made = story()
    made.take(data + event("response.a"))
    assert kinds(made.events) == ["created", "in_progress", "a"]
