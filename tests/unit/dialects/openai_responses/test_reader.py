"""An upstream's stream to neutral events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.unit.dialects.openai_responses.made import (
    USAGE,
    event,
    frames,
    message,
    read_all,
    response,
    said,
    stream,
    text_events,
)
from tokenway.dialects.openai_responses.reader import Reader, State
from tokenway.dialects.seal import OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
    fold,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import Metered, Usage

STARTED = Started("resp_1", "up", 1700000001)
COUNTED = Counted(Metered(given=True, usage=Usage(3, 4, 2, 0, 2, 5)))
END: list[Event] = [COUNTED, Finished(FinishReason.STOP, "completed"), Ended()]
CALLED: list[Event] = [COUNTED, Finished(FinishReason.TOOL_CALLS, "completed"), Ended()]

Events = list[tuple[str, dict[str, Any]]]


def whole(output: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The parts of a whole answer with this output."""
    return fold(Reader().whole(json.dumps(response("completed", *output)).encode())).choices[0].parts


def added(item: dict[str, Any], index: int = 0) -> tuple[str, dict[str, Any]]:
    """An item begins."""
    return "response.output_item.added", {"output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> tuple[str, dict[str, Any]]:
    """An item is complete."""
    return "response.output_item.done", {"output_index": index, "item": item}


def test_a_text() -> None:
    """In its pieces, between the beginning and the end."""
    assert read_all(stream(*text_events("Hel", "lo"))) == [
        STARTED,
        Opened(0, PartKind.TEXT),
        Added(0, "Hel"),
        Added(0, "lo"),
        Closed(0),
        *END,
    ]


def test_the_response_is_started_once() -> None:
    """`queued` and `in_progress` tell the same response again."""
    again = {"response": response("in_progress")}
    found = read_all(stream(("response.queued", again), ("response.in_progress", again), *text_events("x")))
    assert found.count(STARTED) == 1


def test_calls() -> None:
    """A function's and a custom tool's, with the id that a result must name."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""}
    custom = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "patch", "input": ""}
    found = read_all(
        stream(
            added(call),
            ("response.function_call_arguments.delta", {"output_index": 0, "delta": '{"a"'}),
            ("response.function_call_arguments.delta", {"output_index": 0, "delta": ":1}"}),
            ("response.function_call_arguments.done", {"output_index": 0, "arguments": '{"a":1}'}),
            done({**call, "arguments": '{"a":1}'}),
            added(custom, 1),
            ("response.custom_tool_call_input.delta", {"output_index": 1, "delta": "***"}),
            ("response.custom_tool_call_input.done", {"output_index": 1, "input": "***"}),
            done({**custom, "input": "***"}, 1),
        )
    )
    assert found == [
        STARTED,
        Opened(0, PartKind.TOOL_CALL, "c1", "f"),
        Added(0, '{"a"'),
        Added(0, ":1}"),
        Closed(0),
        Opened(1, PartKind.TOOL_CALL, "c2", "patch", custom=True),
        Added(1, "***"),
        Closed(1),
        *CALLED,
    ]


def test_a_summary_of_reasoning_with_its_sealed_form() -> None:
    """Its pieces are joined by a blank line; the sealed form comes with the end."""
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    pieces = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    found = read_all(
        stream(
            added(item),
            ("response.reasoning_summary_part.added", {"output_index": 0, "summary_index": 0, "part": pieces[0]}),
            ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 0, "delta": "o"}),
            ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 0, "delta": "ne"}),
            ("response.reasoning_summary_text.delta", {"output_index": 0, "summary_index": 1, "delta": "two"}),
            done({**item, "summary": pieces, "encrypted_content": "gAAA"}),
        )
    )
    assert found == [
        STARTED,
        Opened(0, PartKind.REASONING, "rs_1", summary=True),
        Added(0, "o"),
        Added(0, "ne"),
        Added(0, "\n\n"),
        Added(0, "two"),
        Closed(0, sealed="gAAA", format=OPENAI),
        *END,
    ]
    assert whole([{**item, "summary": pieces, "encrypted_content": "gAAA"}]) == fold(found).choices[0].parts


def test_reasoning_as_it_is() -> None:
    """Open models' servers send the text itself."""
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": []}
    place = {"output_index": 0, "content_index": 0}
    found = read_all(
        stream(
            added(item),
            ("response.content_part.added", {**place, "part": {"type": "reasoning_text", "text": ""}}),
            ("response.reasoning_text.delta", {**place, "delta": "hm"}),
            ("response.reasoning_text.done", {**place, "text": "hm"}),
            ("response.content_part.done", {**place, "part": {"type": "reasoning_text", "text": "hm"}}),
            done({**item, "content": [{"type": "reasoning_text", "text": "hm"}]}),
        )
    )
    assert found == [STARTED, Opened(0, PartKind.REASONING, "rs_1"), Added(0, "hm"), Closed(0), *END]


def test_reasoning_that_is_only_sealed() -> None:
    """One event; an item with nothing in it is none."""
    found = read_all(
        stream(
            done({"type": "reasoning", "id": "rs_0", "summary": []}),
            done({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}, 1),
        )
    )
    assert found == [STARTED, Whole(0, Reasoning(sealed="gAAA", format=OPENAI, id="rs_1")), *END]


def test_a_summary_and_reasoning_in_one_item_are_two_parts() -> None:
    """The sealed form belongs to the last."""
    item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
        "encrypted_content": "gAAA",
    }
    assert whole([item]) == (
        Reasoning("short", summary=True, id="rs_1"),
        Reasoning("long", sealed="gAAA", format=OPENAI, id="rs_1"),
    )


def test_a_refusal() -> None:
    """A part of its own kind, in its pieces."""
    place = {"output_index": 0, "content_index": 0}
    found = read_all(
        stream(
            added(message()),
            ("response.refusal.delta", {**place, "delta": "I can"}),
            ("response.refusal.delta", {**place, "delta": "not."}),
            ("response.refusal.done", {**place, "refusal": "I cannot."}),
            done(message({"type": "refusal", "refusal": "I cannot."})),
        )
    )
    assert found == [
        STARTED,
        Opened(0, PartKind.REFUSAL),
        Added(0, "I can"),
        Added(0, "not."),
        Closed(0),
        *END,
    ]


def test_sources_come_once() -> None:
    """As an event while the text is open; the done ones repeat them. A file of the vendor's is none."""
    url = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 1, "end_index": 3}
    file = {"type": "file_citation", "file_id": "file-1", "filename": "a", "index": 0}
    late = {**url, "url": "https://y", "start_index": None}
    place = {"output_index": 0, "content_index": 0}
    full = said("abc", annotations=[url, file, late])
    begin, part, delta, *_ = text_events("abc")
    found = read_all(
        stream(
            begin,
            part,
            delta,
            ("response.output_text.annotation.added", {**place, "annotation_index": 0, "annotation": url}),
            ("response.output_text.annotation.added", {**place, "annotation_index": 1, "annotation": file}),
            ("response.content_part.done", {**place, "part": full}),
            done(message(full)),
        )
    )
    cited = [each for each in found if isinstance(each, Cited)]
    assert cited == [Cited(0, "https://x", "X", start=1, end=3), Cited(0, "https://y", "X", end=3)]


def test_log_probabilities_come_with_their_text() -> None:
    """Before it, so that a writer can put both into one event; not again with the end."""
    token = {"token": "a", "logprob": -0.1, "top_logprobs": []}
    place = {"output_index": 0, "content_index": 0}
    begin, part, _, *ends = text_events("a")
    ends[1] = ("response.content_part.done", {**place, "part": said("a", logprobs=[token])})
    found = read_all(
        stream(begin, part, ("response.output_text.delta", {**place, "delta": "a", "logprobs": [token]}), *ends)
    )
    raw = msgspec.Raw(json.dumps([token], separators=(",", ":")).encode())
    assert found[2:4] == [Logprobs(0, raw), Added(0, "a")]
    assert sum(isinstance(each, Logprobs) for each in found) == 1
    entire = fold(Reader().whole(json.dumps(response("completed", message(said("a", logprobs=[token])))).encode()))
    assert entire.choices[0].logprobs == (Logprobs(0, raw),)


@pytest.mark.parametrize("odd", [[-1], {"content": []}, "x"])
def test_log_probabilities_of_another_shape_are_left_out(odd: object) -> None:
    """A server that sends something else there still gives its text."""
    body = stream(("response.output_text.delta", {"output_index": 0, "delta": "a", "logprobs": odd}))
    assert fold(read_all(body)).choices[0].parts == (Text("a"),)
    assert not any(isinstance(each, Logprobs) for each in read_all(body))


def test_items_that_only_this_vendor_knows() -> None:
    """A made picture is media, all others are whole and foreign, and stand where they came."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    picture = {"type": "image_generation_call", "id": "ig_1", "result": "aGk=", "output_format": "webp"}
    found = read_all(
        stream(
            added({**search, "status": "in_progress"}),
            ("response.web_search_call.searching", {"output_index": 0, "item_id": "ws_1"}),
            done(search),
            done(picture, 1),
            *text_events("x", index=2),
        )
    )
    raw = msgspec.Raw(json.dumps(search, separators=(",", ":")).encode())
    assert found[1:4] == [
        Whole(0, Foreign("web_search_call", raw, OPENAI)),
        Whole(1, Media(MediaKind.IMAGE, "image/webp", "aGk=")),
        Opened(2, PartKind.TEXT),
    ]


@pytest.mark.parametrize(
    ("end", "finished"),
    [
        (response("completed"), Finished(FinishReason.STOP, "completed")),
        (
            response("incomplete", incomplete_details={"reason": "max_output_tokens"}),
            Finished(FinishReason.LENGTH, "max_output_tokens"),
        ),
        (response("incomplete"), Finished(FinishReason.LENGTH, "incomplete")),
        (
            response("incomplete", incomplete_details={"reason": "content_filter", "message": "why"}),
            Finished(FinishReason.CONTENT_FILTER, "content_filter", detail="why"),
        ),
        (
            response("incomplete", incomplete_details={"reason": "interrupted"}),
            Finished(FinishReason.LENGTH, "interrupted"),
        ),
    ],
)
def test_how_it_finished(end: dict[str, Any], finished: Finished) -> None:
    """By the status, and by the reason why it is incomplete, which is kept as it was."""
    assert read_all(stream(*text_events("x"), end=end))[-2:] == [finished, Ended()]


@pytest.mark.parametrize(
    ("bad", "failed"),
    [
        (
            event("response.failed", response=response("failed", error={"code": "server_error", "message": "oh"})),
            Failed("oh", "server_error", 500),
        ),
        (
            event("error", code="rate_limit_exceeded", message="slow", param=None, sequence_number=3),
            Failed("slow", "rate_limit_exceeded", 429),
        ),
        (event("error", error={"type": "overloaded", "message": "busy"}), Failed("busy", "overloaded")),
        (b'data: {"error":{"message":"busy","code":429}}\n\n', Failed("busy", "429")),
    ],
)
def test_an_error_in_the_stream(bad: bytes, failed: Failed) -> None:
    """In a response, flat, nested, or without a type; nothing counts after it."""
    assert read_all(bad + stream(*text_events("x"))) == [failed]
    begun = stream(*text_events("x")).partition(b"event: response.completed")[0]
    assert read_all(begun + bad)[-1] == failed


def test_pings_unknown_events_and_end_marks() -> None:
    """A keep-alive is a ping; the others are nothing, wherever they come."""
    body = stream(("keepalive", {}), ("response.novelty.delta", {"delta": "x"}), *text_events("x"))
    mark = b"data: [DONE]\n\n"
    assert read_all(mark + body + mark + event("error", message="late")) == [
        STARTED,
        Ping(),
        Opened(0, PartKind.TEXT),
        Added(0, "x"),
        Closed(0),
        *END,
    ]


@pytest.mark.parametrize(
    "leave_out",
    [
        lambda kind: kind.endswith(".delta"),
        lambda kind: kind == "response.content_part.added",
        lambda kind: kind in {"response.output_item.added", "response.content_part.added"},
        lambda kind: kind.endswith(".done") and kind != "response.output_item.done",
        lambda kind: kind == "response.output_item.done",
        lambda kind: kind != "response.output_text.delta",
        lambda _: True,
    ],
)
def test_servers_that_leave_events_out(leave_out: Callable[[str], bool]) -> None:
    """Whatever is missing, the answer is the same: each event that repeats another stands in for it."""
    kept = [each for each in text_events("Hel", "lo") if not leave_out(each[0])]
    found = fold(read_all(stream(*kept, end=response("completed", message(said("Hello"))))))
    assert found.choices[0].parts == (Text("Hello"),)


def test_calls_that_come_whole() -> None:
    """With the end of the item only, or only in the last response."""
    call = {"type": "function_call", "id": "", "call_id": "c", "name": "f", "arguments": "{}"}
    for body in (stream(done(call)), stream(end=response("completed", call))):
        found = fold(read_all(body)).choices[0]
        assert found.parts == (ToolCall("c", "f", "{}"),)
        assert found.finish.reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    "frame",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"response.output_text.delta","delta":"x"}',
        b'{"type":"response.created"}',
        b'{"type":"response.created","response":[]}',
        b'{"type":"response.created","response":{"output":{}}}',
    ],
)
def test_what_cannot_begin_a_stream(frame: bytes) -> None:
    """A page, no object, no type, an event without a response before it."""
    with pytest.raises(WireError):
        Reader().read(frame)


def test_arguments_need_a_call() -> None:
    """Nobody could say whose they are."""
    reader = Reader()
    reader.read(frames(stream())[0])
    with pytest.raises(WireError):
        reader.read(b'{"type":"response.function_call_arguments.delta","output_index":3,"delta":"x"}')
    with pytest.raises(WireError):
        reader.read(b'{"type":"response.output_item.done","output_index":3,"item":[]}')


def test_a_stream_without_its_last_event_is_not_whole() -> None:
    """The end of the body is no end of the answer."""
    reader = Reader()
    for frame in frames(stream(*text_events("x")))[:-1]:
        reader.read(frame)
    assert reader.end() == ()
    assert reader.state is State.FLOWING


def test_a_whole_answer_is_read_like_its_stream() -> None:
    """Text, refusal, calls and reasoning of both."""
    output = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
        message(said("a"), {"type": "refusal", "refusal": "b"}),
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    assert whole(output) == (
        Reasoning("hm", summary=True, id="rs_1"),
        Text("a"),
        Refusal("b"),
        ToolCall("c", "f", "{}"),
    )
    parts = fold(read_all(stream(end=response("completed", *output)))).choices[0].parts
    assert parts == whole(output)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"{}",
        json.dumps(response("queued")).encode(),
        json.dumps(response("cancelled")).encode(),
        json.dumps(response("failed", error={"code": "server_error", "message": "oh"})).encode(),
        b'{"object":"chat.completion","choices":[],"usage":%b}' % json.dumps(USAGE).encode(),
    ],
)
def test_what_is_no_whole_answer(body: bytes) -> None:
    """A page, another object, an error, or a response that is still being made."""
    with pytest.raises(WireError):
        Reader().whole(body)


@pytest.mark.parametrize("wrong", [{"status": "cancelled"}, {"status": "failed"}, {"error": {"message": "m"}}])
def test_a_last_event_that_is_no_success_by_its_response(wrong: dict[str, Any]) -> None:
    """Whatever the event is called."""
    last = "response.completed", {"response": response("completed") | wrong}
    found = read_all(stream(*text_events("x"), last))
    assert isinstance(found[-1], Failed)
    assert found[-1].message in {"the response has failed", "m"}


@pytest.mark.parametrize("status", ["cancelled", "queued", "of_tomorrow", [], {}, 1])
def test_a_whole_response_that_is_not_made(status: object) -> None:
    """A status that is not known is none of an answer."""
    with pytest.raises(WireError):
        Reader().whole(json.dumps(response("completed") | {"status": status}).encode())


def test_a_content_without_a_readable_type_is_passed_over() -> None:
    """A type is a text."""
    odd = "response.content_part.added", {"output_index": 0, "content_index": 0, "part": {"type": [1]}}
    assert read_all(stream(odd, *text_events("x")))[1:3] == [Opened(0, PartKind.TEXT), Added(0, "x")]
