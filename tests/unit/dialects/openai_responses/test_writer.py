"""Neutral events as a stream of this API, checked by the SDK and by reading it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from tests.unit.dialects.openai_responses.made import client, decoded, kinds, maker, read_all, written
from tokenway.dialects.openai_responses.writer import State, Writer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
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

_parse_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

COUNTED = Counted(Metered(given=True, usage=Usage(3, 4, 2, 0, 2, 5)))
STOP = Finished(FinishReason.STOP)
TEXT: list[Event] = [Opened(0, PartKind.TEXT), Added(0, "Hel"), Added(0, "lo \u2713"), Closed(0)]
TOKEN = {"token": "a", "logprob": -0.1, "top_logprobs": [{"token": "b", "logprob": -2.0}]}


def flow(*events: Event, finish: Finished = STOP) -> list[Event]:
    """These events between the beginning and the end."""
    return [Started("up-1", "up", 3), *events, COUNTED, finish, Ended()]


EVERYTHING = flow(
    Opened(0, PartKind.REASONING, "r1", summary=True),
    Added(0, "short"),
    Closed(0),
    Opened(1, PartKind.REASONING, "r2"),
    Added(1, "long"),
    Closed(1, signature="c2ln", format=ANTHROPIC),
    Whole(2, Reasoning(sealed="gAAA", format=OPENAI)),
    Opened(3, PartKind.TEXT),
    Logprobs(3, msgspec.Raw(json.dumps([TOKEN]).encode())),
    Added(3, "a"),
    Cited(3, "https://x", "X", start=0, end=1),
    Closed(3),
    Opened(4, PartKind.REFUSAL),
    Added(4, "no"),
    Closed(4),
    Opened(5, PartKind.TOOL_CALL, "c1", "f"),
    Added(5, '{"a"'),
    Opened(6, PartKind.TOOL_CALL, "c2", "patch", custom=True),
    Added(6, "***"),
    Added(5, ":1}"),
    Closed(5),
    Closed(6),
    Whole(7, Media(MediaKind.IMAGE, "image/png", "aGk=")),
    Opened(8, PartKind.TEXT),
    Added(8, "end"),
    Closed(8),
    finish=Finished(FinishReason.TOOL_CALLS),
)


def test_the_happy_path_of_a_text() -> None:
    """Every event of OpenAI's order, and the whole text in those that end something."""
    out = decoded(written(flow(*TEXT)))
    assert [each["type"] for each in out] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [each["sequence_number"] for each in out] == list(range(10))
    place = {"item_id": "msg_7_0", "output_index": 0, "content_index": 0}
    content = {"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello \u2713"}
    item = {"id": "msg_7_0", "type": "message", "status": "completed", "role": "assistant", "content": [content]}
    assert out[2]["item"] == {**item, "status": "in_progress", "content": []}
    assert out[3] == {
        "type": "response.content_part.added",
        **place,
        "part": {**content, "text": ""},
        "sequence_number": 3,
    }
    assert out[4] == {
        "type": "response.output_text.delta",
        **place,
        "delta": "Hel",
        "logprobs": [],
        "sequence_number": 4,
    }
    assert (out[6]["text"], out[7]["part"], out[8]["item"]) == ("Hello \u2713", content, item)
    assert out[9]["response"]["output"] == [item]


def test_events_are_named() -> None:
    """Each as its data says, in one line."""
    for raw in written(EVERYTHING).split(b"\n\n")[:-1]:
        name, data = raw.split(b"\n")
        assert name == b"event: " + json.loads(data.removeprefix(b"data: "))["type"].encode()


def test_the_sdk_takes_every_event() -> None:
    """Its own types, strictly: each member that they require is there."""
    for each in decoded(written(EVERYTHING)):
        parsed = _parse_event.validate_python(each)
        assert isinstance(parsed, BaseModel)
        assert type(parsed).model_validate(each).model_dump()["type"] == each["type"]


def test_the_sdk_puts_the_answer_together() -> None:
    """Text, calls, and the last response by the helper that checks every id and index."""
    with client(written(EVERYTHING), is_stream=True).responses.stream(model="m", input="hi") as stream:
        deltas = [each.delta for each in stream if each.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas == ["a", "end"]
    assert final.output_text == "aend"
    assert [item.type for item in final.output] == [
        "reasoning",
        "reasoning",
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
        "image_generation_call",
        "message",
    ]
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens, final.usage.total_tokens) == (9, 7, 16)


def test_a_call_of_a_tool_in_a_namespace_names_both() -> None:
    """A function's and a custom tool's, in every event; a call of any other tool has no namespace."""
    inner: list[dict[str, Any]] = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]
    space = {"type": "namespace", "name": "n", "description": "", "tools": inner}
    calls: list[Event] = [
        Opened(0, PartKind.TOOL_CALL, "c1", "n__f"),
        Closed(0),
        Opened(1, PartKind.TOOL_CALL, "c2", "n__g", custom=True),
        Closed(1),
        Opened(2, PartKind.TOOL_CALL, "c3", "n__h"),
        Closed(2),
    ]
    events = decoded(written(flow(*calls), tools=[space]))
    named = [(item["name"], item.get("namespace")) for item in events[-1]["response"]["output"]]
    assert named == [("f", "n"), ("g", "n"), ("n__h", None)]
    items = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["name"], item.get("namespace")) for item in items] == named
    done = [event["name"] for event in events if event["type"] == "response.function_call_arguments.done"]
    assert done == ["f", "n__h"]
    for event in events:
        _parse_event.validate_python(event)


def test_what_was_written_reads_back() -> None:
    """The same parts, sources, probabilities, usage and finish; another vendor's signature is opaque here."""
    sent, back = fold(EVERYTHING), fold(read_all(written(EVERYTHING)))
    assert back.metered == sent.metered
    choice = back.choices[0]
    assert choice.finish == Finished(FinishReason.TOOL_CALLS, "completed")
    assert choice.parts == (
        Reasoning("short", summary=True, id="rs_7_0"),
        Reasoning("long", sealed="tw1.anthropic-claude-v1.c2ln", format=OPENAI, id="rs_7_1"),
        Reasoning(sealed="gAAA", format=OPENAI, id="rs_7_2"),
        Text("a"),
        Refusal("no"),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "patch", "***", custom=True),
        Media(MediaKind.IMAGE, "image/png", "aGk="),
        Text("end"),
    )
    assert choice.citations == (Cited(3, "https://x", "X", start=0, end=1),)
    assert [json.loads(bytes(each.tokens)) for each in choice.logprobs] == [
        [{**TOKEN, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -2.0, "bytes": [98]}]}]
    ]


def test_texts_that_follow_each_other_are_one_message() -> None:
    """It ends when another item begins, or with the answer."""
    two: Sequence[Event] = [
        *TEXT,
        Opened(1, PartKind.REFUSAL),
        Added(1, "no"),
        Closed(1),
        Opened(2, PartKind.TOOL_CALL, "c", "f"),
        Closed(2),
    ]
    out = decoded(written(flow(*two)))
    assert [each["item"]["type"] for each in out if each["type"].endswith("item.done")] == ["message", "function_call"]
    assert [each["type"] for each in out[-1]["response"]["output"][0]["content"]] == ["output_text", "refusal"]


def test_a_message_waits_for_its_last_text() -> None:
    """A call may begin while a text is open."""
    out = written(flow(*TEXT[:2], Opened(1, PartKind.TOOL_CALL, "c", "f"), Added(0, "lo"), Closed(0), Closed(1)))
    done = [each["item"]["type"] for each in decoded(out) if each["type"].endswith("item.done")]
    assert done == ["message", "function_call"]
    assert fold(read_all(out)).choices[0].parts == (Text("Hello"), ToolCall("c", "f", "{}"))


def test_a_call_without_arguments_has_an_empty_object() -> None:
    """Its deltas say the same; a custom tool's text may be empty."""
    events = flow(
        Opened(0, PartKind.TOOL_CALL, "c", "f"),
        Closed(0),
        Opened(1, PartKind.TOOL_CALL, "d", "g", custom=True),
        Closed(1),
    )
    out = decoded(written(events))
    assert [each["delta"] for each in out if each["type"].endswith(".delta")] == ["{}"]
    ends = [each for each in out if each["type"].endswith(("arguments.done", "input.done"))]
    assert [(each.get("arguments"), each.get("input"), each.get("name")) for each in ends] == [
        ("{}", None, "f"),
        (None, "", None),
    ]


def test_reasoning_streams_as_summary_or_as_it_is() -> None:
    """Each with the events of its kind."""
    summary = kinds(written(flow(Opened(0, PartKind.REASONING, summary=True), Added(0, "x"), Closed(0))))
    assert summary[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    plain = kinds(written(flow(Opened(0, PartKind.REASONING), Added(0, "x"), Closed(0))))
    assert plain[2:-1] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
    ]


@pytest.mark.parametrize(
    ("closed", "content", "sealed"),
    [
        (
            Closed(0, signature="c2ln", format=ANTHROPIC),
            [{"type": "reasoning_text", "text": ""}],
            "tw1.anthropic-claude-v1.c2ln",
        ),
        (Closed(0, sealed="ZGF0YQ", format=ANTHROPIC), None, "tw1.anthropic-claude-v1.ZGF0YQ"),
        (Closed(0, sealed="gAAA", format=OPENAI), None, "gAAA"),
        (Closed(0), None, None),
    ],
)
def test_a_signature_without_text_is_told_from_a_sealed_form(
    closed: Closed, content: list[dict[str, str]] | None, sealed: str | None
) -> None:
    """By an empty text, so that it goes back to its vendor as what it was."""
    out = decoded(written(flow(Opened(0, PartKind.REASONING), closed)))
    item = out[-1]["response"]["output"][0]
    assert (item.get("content"), item.get("encrypted_content"), item["summary"]) == (content, sealed, [])


def test_a_calls_signature_follows_it() -> None:
    """In a reasoning item that names the call."""
    out = decoded(written(flow(Opened(0, PartKind.TOOL_CALL, "c", "f"), Closed(0, signature="c2ln", format=GEMINI))))
    assert out[-1]["response"]["output"][1] == {
        "id": "rs_7_1",
        "type": "reasoning",
        "summary": [],
        "encrypted_content": "tw1.google-gemini-v1@c.c2ln",
    }


def test_what_this_api_has_no_item_for_is_left_out() -> None:
    """Sound, probabilities in an odd shape, and other vendors' own parts; its own come back."""
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    out = decoded(
        written(
            flow(
                Whole(0, Media(MediaKind.AUDIO, "audio/wav", "aGk=")),
                Opened(3, PartKind.TEXT),
                Logprobs(3, msgspec.Raw(b"[1]")),
                Closed(3),
                Whole(1, Foreign("compaction", msgspec.Raw(b'{"type":"compaction"}'), ANTHROPIC)),
                Whole(2, Foreign("web_search_call", msgspec.Raw(json.dumps(search).encode()))),
            )
        )
    )
    nothing, found = out[-1]["response"]["output"]
    assert nothing["content"] == [{"type": "output_text", "annotations": [], "logprobs": [], "text": ""}]
    assert found == search


def test_media_by_address_are_links() -> None:
    """In Markdown, because this API has no item for them."""
    picture = Whole(0, Media(MediaKind.IMAGE, url="https://x/y.png"))
    film = Whole(1, Media(MediaKind.VIDEO, url="https://x/y.mp4", title="cats"))
    assert fold(read_all(written(flow(picture, film)))).choices[0].parts == (
        Text("![image](https://x/y.png)"),
        Text("[cats](https://x/y.mp4)"),
    )


@pytest.mark.parametrize(
    ("finish", "kind", "incomplete", "status"),
    [
        (Finished(FinishReason.STOP), "completed", None, "completed"),
        (Finished(FinishReason.TOOL_CALLS), "completed", None, "completed"),
        (Finished(FinishReason.LENGTH), "incomplete", {"reason": "max_output_tokens"}, "incomplete"),
        (
            Finished(FinishReason.CONTENT_FILTER, "refusal", detail="why"),
            "incomplete",
            {"reason": "content_filter", "message": "why"},
            "incomplete",
        ),
        (Finished(FinishReason.ERROR, "MALFORMED"), "failed", None, "completed"),
    ],
)
def test_how_it_finished(finish: Finished, kind: str, incomplete: dict[str, str] | None, status: str) -> None:
    """The last event's name, the response's status, why, and the status of the message that was cut."""
    last = decoded(written(flow(*TEXT, finish=finish)))[-1]
    answer = last["response"]
    assert last["type"] == f"response.{kind}"
    assert (answer["status"], answer["incomplete_details"]) == (kind, incomplete)
    assert answer["output"][0]["status"] == status
    assert (answer["error"] is None) == (kind != "failed")
    assert answer["usage"]["total_tokens"] == 16


def test_the_response_tells_the_request_back() -> None:
    """The settings that the caller gave, and defaults for the others."""
    tools = [{"type": "function", "name": "f", "parameters": {}, "strict": True}]
    settings = {
        "instructions": "be kind",
        "tools": tools,
        "tool_choice": "required",
        "temperature": 0.5,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "text": {"format": {"type": "json_object"}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 10,
        "previous_response_id": "resp_0",
        "store": False,
        "truncation": "auto",
        "prompt_cache_key": "k",
    }
    out = decoded(written(flow(*TEXT), **settings))
    for answer in (out[0]["response"], out[1]["response"], out[-1]["response"]):
        assert {name: answer[name] for name in settings} == settings
        assert (answer["id"], answer["model"], answer["created_at"]) == ("resp_7", "m", 1700000000)
        assert answer["top_p"] is None
    assert (out[0]["response"]["status"], out[0]["response"]["usage"]) == ("in_progress", None)


def test_the_tail_carries_cost_and_more() -> None:
    """Cost in the usage, the extra member in the response; what came before has neither end nor usage."""
    writer = Writer(maker())
    before = b"".join(writer.write(each) for each in flow(*TEXT))
    assert b"completed" not in before.rpartition(b"event:")[2].partition(b"\n")[0]
    tail = decoded(writer.tail(b'"cost":0.5,"cost_details":{}', b'"tokenway":{"attempts":1}'))
    assert len(tail) == 1
    answer = tail[0]["response"]
    assert (answer["usage"]["cost"], answer["usage"]["input_tokens"]) == (0.5, 9)
    assert answer["tokenway"] == {"attempts": 1}


def test_without_a_count_there_is_no_usage() -> None:
    """And so no place for a cost; an absurd count is no count either."""
    for counted in ([], [Counted(Metered(given=True, usage=None))]):
        writer = Writer(maker())
        for each in (Started(), *TEXT, *counted, STOP):
            writer.write(each)
        assert decoded(writer.tail(b'"cost":1', b""))[0]["response"]["usage"] is None


def test_what_is_still_open_ends_with_the_answer() -> None:
    """Parts that were never closed, also where no finish came."""
    for ending in ([STOP], []):
        events: list[Event] = [Started(), *TEXT[:2], Opened(1, PartKind.TOOL_CALL, "c", "f"), Added(1, "{}"), *ending]
        out = written(events)
        assert fold(read_all(out)).choices[0].parts == (Text("Hel"), ToolCall("c", "f", "{}"))
        assert kinds(out)[-1] == "completed"


def test_log_probabilities_without_a_later_text_still_come() -> None:
    """With an empty delta before the end of their text."""
    raw = msgspec.Raw(json.dumps([TOKEN]).encode())
    out = decoded(written(flow(Opened(0, PartKind.TEXT), Added(0, "a"), Logprobs(0, raw), Closed(0))))
    deltas = [each for each in out if each["type"] == "response.output_text.delta"]
    assert [(each["delta"], len(each["logprobs"])) for each in deltas] == [("a", 0), ("", 1)]
    assert len(out[-1]["response"]["output"][0]["content"][0]["logprobs"]) == 1


def test_pings_and_other_choices() -> None:
    """A comment keeps the connection alive; a response has one answer."""
    writer = Writer(maker())
    assert writer.write(Ping()) == b": ping\n\n"
    writer.write(Started())
    others: list[Event] = [
        Opened(0, PartKind.TEXT, choice=1),
        Added(0, "x", choice=1),
        Closed(0, choice=1),
        Finished(FinishReason.STOP, choice=1),
    ]
    assert b"".join(writer.write(each) for each in (*others, Failed("x"), Cited(9, "https://x"))) == b""
    assert writer.state is State.FLOWING


@pytest.mark.parametrize(
    "events",
    [
        [Added(0, "x")],
        [Opened(0, PartKind.TEXT)],
        [Started(), Started()],
        [Started(), Added(0, "x")],
        [Started(), Closed(0)],
        [Started(), Opened(0, PartKind.TEXT), Opened(0, PartKind.TEXT)],
        [Started(), STOP, Opened(0, PartKind.TEXT)],
        [Started(), Opened(0, PartKind.TEXT), STOP, Added(0, "x")],
    ],
)
def test_what_cannot_come_now(events: list[Event]) -> None:
    """A part before the beginning, text without a part, anything behind the end."""
    writer = Writer(maker())
    *before, last = events
    for each in before:
        writer.write(each)
    with pytest.raises(WireError):
        writer.write(last)


def test_the_sdk_raises_for_a_stream_without_its_end() -> None:
    """A cut answer never looks whole to the helper."""
    cut = b"".join(map(Writer(maker()).write, (Started(), *TEXT)))
    with (
        client(cut, is_stream=True).responses.stream(model="m", input="hi") as stream,
        pytest.raises((RuntimeError, openai.OpenAIError)),
    ):
        stream.get_final_response()


def test_a_plain_document_is_its_text() -> None:
    """There is no item for one."""
    (item,) = decoded(written(flow(Whole(0, Media(MediaKind.DOCUMENT, text="words")))))[-1]["response"]["output"]
    assert item["content"][0]["text"] == "words"


def test_likely_tokens_that_are_no_list_are_none() -> None:
    """Some provider's own shape of them."""
    token = {"token": "a", "logprob": -0.1, "top_logprobs": 1}
    out = flow(
        Opened(0, PartKind.TEXT), Logprobs(0, msgspec.Raw(json.dumps([token]).encode())), Added(0, "a"), Closed(0)
    )
    content = decoded(written(out))[-1]["response"]["output"][0]["content"][0]
    assert content["logprobs"][0]["top_logprobs"] == []


TOLD = (
    (b'{"type":"response.created","response":{"id":"resp_up","created_at":7},"sequence_number":4}', (Started("up"),)),
    (b'{"type":"response.output_item.added","item":{"id":"msg_up","type":"message"},"sequence_number":5}', ()),
    (b'{"type":"response.content_part.added","part":{},"sequence_number":6}', (Opened(0, PartKind.TEXT),)),
    (b'{"type":"response.output_text.delta","delta":"Hel","sequence_number":9}', (Added(0, "Hel"),)),
)
"""What another has written, with the numbers of who leaves some out."""


@pytest.mark.parametrize("count", range(1, len(TOLD) + 1))
def test_a_response_that_another_has_begun_goes_on(count: int) -> None:
    """Nothing is begun twice, numbers are counted on, and the end has the whole text under the ids that were told."""
    writer = Writer(maker())
    for frame, told in TOLD[:count]:
        writer.follow(frame, told)
    before = "Hel" if count == len(TOLD) else ""
    is_open = any(told and isinstance(told[0], Opened) for _, told in TOLD[:count])
    events: tuple[Event, ...] = (Added(0, "lo"), Closed(0), COUNTED, STOP)
    out = b"".join(map(writer.write, events if is_open else (Opened(0, PartKind.TEXT), *events)))
    found = decoded(out + writer.tail(b"", b""))
    numbers = [event["sequence_number"] for event in found]
    first = json.loads(TOLD[count - 1][0])["sequence_number"] + 1
    assert numbers == list(range(first, first + len(found)))
    assert [event["type"] for event in found].count("response.output_item.added") == (count < 2)
    assert [event["type"] for event in found].count("response.content_part.added") == (count < 3)
    response = found[-1]["response"]
    (message,) = response["output"]
    assert (response["id"], response["created_at"]) == ("resp_up", 7)
    assert message["content"][0]["text"] == f"{before}lo"
    assert (message["id"] == "msg_up") == (count > 1)
    assert {event["item_id"] for event in found if "item_id" in event} == {message["id"]}
