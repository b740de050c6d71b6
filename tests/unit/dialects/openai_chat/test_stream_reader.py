"""Streams and whole answers, read as neutral events."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.openai_chat.passing import NO_FINISH
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
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
    Started,
    fold,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import ABSURD, Metered, Usage
from tokenway.wire.sse import DataFrames

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"[DONE]"


def chunk(delta: dict[str, Any] | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """A chunk that adds to one choice."""
    return {"id": "c", "created": 7, "model": "m", "choices": [{"index": index, "delta": delta or {}} | more]}


def read(chunks: Iterable[dict[str, Any] | bytes]) -> list[Event]:
    """The events of these chunks and of the end of the body."""
    reader = Reader()
    events: list[Event] = []
    for each in chunks:
        events += reader.read(each if isinstance(each, bytes) else json.dumps(each).encode())
    return [*events, *reader.end()]


def parts(*deltas: dict[str, Any]) -> tuple[Any, ...]:
    """The parts that these deltas amount to."""
    return fold(read([*map(chunk, deltas), STOP, DONE])).choices[0].parts


def whole(message: dict[str, Any], **more: Any) -> Answer:
    """A whole answer with one message."""
    return read_answer(json.dumps({"id": "c", "choices": [{"message": message} | more]}).encode())


def test_a_plain_stream() -> None:
    """Role, text, finish, usage, end: the events in their order."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = read(
        [
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "a"}),
            chunk({"content": "b"}),
            STOP,
            usage,
            DONE,
        ]
    )
    assert events == [
        Started("c", "m", 7),
        Opened(0, PartKind.TEXT),
        Added(0, "a"),
        Added(0, "b"),
        Closed(0),
        Finished(FinishReason.STOP, "stop"),
        Counted(Metered(given=True, usage=Usage(3, output_text=2))),
        Ended(),
    ]


def test_azures_first_chunk_has_no_choices() -> None:
    """The answer begins with the first chunk that says whose it is."""
    first = {"id": "", "model": "", "created": 0, "object": "", "choices": [], "prompt_filter_results": []}
    events = read([first, chunk({"content": "a"}), STOP, DONE])
    assert events[0] == Started("c", "m", 7)


def test_what_opens_and_closes() -> None:
    """A part ends where something else begins, and the choice's last at its finish."""
    assert parts({"reasoning_content": "r"}, {"content": "a"}, {"refusal": "n"}, {"content": "b"}) == (
        Reasoning("r"),
        Text("a"),
        Refusal("n"),
        Text("b"),
    )


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_has_two_names(name: str) -> None:
    """DeepSeek's and Groq's."""
    assert parts({name: "a"}, {name: "b"}) == (Reasoning("ab"),)


def test_reasoning_in_both_fields_counts_once() -> None:
    """Gateways send the same text in two fields; the one with a format counts."""
    detail = {"type": "reasoning.text", "text": "a", "format": ANTHROPIC, "index": 0}
    seal = {"type": "reasoning.text", "signature": "s", "index": 0}
    assert parts({"reasoning": "a", "reasoning_details": [detail]}, {"reasoning_details": [seal]}) == (
        Reasoning("a", "s", format=ANTHROPIC),
    )


def test_a_signature_seals_plain_reasoning() -> None:
    """Where the text came in the plain field alone."""
    seal = {"type": "reasoning.text", "signature": "s", "format": ANTHROPIC, "index": 0}
    assert parts({"reasoning": "a"}, {"reasoning_details": [seal]}) == (Reasoning("a", "s", format=ANTHROPIC),)


def test_items_of_reasoning_stay_apart() -> None:
    """By their index; sealed ones stand alone, but with the text of the same id they are one."""
    texts = [{"type": "reasoning.text", "text": text, "index": index} for index, text in enumerate("ab")]
    sealed = {"type": "reasoning.encrypted", "data": "d", "format": ANTHROPIC, "index": 2}
    summary = {"type": "reasoning.summary", "summary": "s", "format": OPENAI, "id": "rs", "index": 3}
    seal = {"type": "reasoning.encrypted", "data": "e", "format": OPENAI, "id": "rs", "index": 4}
    assert parts({"reasoning_details": [*texts, sealed, summary, seal]}) == (
        Reasoning("a"),
        Reasoning("b"),
        Reasoning(sealed="d", format=ANTHROPIC),
        Reasoning("s", sealed="e", format=OPENAI, summary=True, id="rs"),
    )


def test_googles_signature_at_a_message() -> None:
    """It is a reasoning that has nothing but its signature."""
    assert parts({"extra_content": {"google": {"thought_signature": "g"}}}) == (Reasoning("", "g", format=GEMINI),)


def call(index: int | None, identity: str = "", name: str = "", arguments: Any = "") -> dict[str, Any]:
    """A delta with a piece of a tool call."""
    piece: dict[str, Any] = {"index": index, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [piece | ({"id": identity} if identity else {})]}


def test_tool_calls_are_put_together() -> None:
    """Id and name come once, arguments in pieces."""
    pieces = [call(0, "x", "f"), call(0, arguments='{"a"'), call(0, arguments=":1}"), call(1, "y", "g", "{}")]
    assert parts(*pieces) == (ToolCall("x", "f", '{"a":1}'), ToolCall("y", "g", "{}"))


def test_whole_calls_with_one_index() -> None:
    """Some servers count no calls: another id, or a name again, is another call."""
    assert parts(call(0, "x", "f", "{}"), call(0, "y", "g", "{}")) == (
        ToolCall("x", "f", "{}"),
        ToolCall("y", "g", "{}"),
    )
    assert [part.name for part in parts(call(0, "", "f", "{}"), call(0, "", "f", "{}"))] == ["f", "f"]


def test_id_and_name_that_come_again() -> None:
    """Some servers repeat both with every piece."""
    assert parts(call(0, "x", "f", '{"a"'), call(0, "x", "f", ":1}")) == (ToolCall("x", "f", '{"a":1}'),)


def test_calls_without_an_index() -> None:
    """By their id, else it is the last one."""
    pieces = [call(None, "x", "f", "{"), call(None, "", "", "}"), call(None, "y", "g", "{}"), call(None, "y", "g", "")]
    assert parts(*pieces) == (ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}"))


def test_a_name_that_comes_later() -> None:
    """A call is a part once it has a name; what came before it is kept."""
    assert parts(call(0, "x", "", "{"), call(0, "", "f", "}")) == (ToolCall("x", "f", "{}"),)


def test_arguments_are_always_an_object() -> None:
    """Null is no arguments, and a server that sends the object itself is understood."""
    assert parts(call(0, "x", "f", None)) == (ToolCall("x", "f", "{}"),)
    assert parts(call(0, "x", "f", {"a": 1})) == (ToolCall("x", "f", '{"a":1}'),)


def test_an_id_is_made_where_none_came() -> None:
    """In a stream as in a whole answer the same one."""
    made = parts(call(0, "", "f", "{}"))
    message = {"tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
    body = {"id": "c", "created": 7, "model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    assert made[0].id.startswith("call_")
    assert read_answer(json.dumps(body).encode()).choices[0].parts == made


def test_a_call_cannot_go_on_behind_another_part() -> None:
    """Its part is closed, and half a call must not look whole."""
    with pytest.raises(WireError, match="goes on"):
        read([chunk(call(0, "x", "f", "{")), chunk(call(1, "y", "g", "{}")), chunk(call(0, arguments="}"))])


def test_a_custom_call_is_text() -> None:
    """Its input is free, and nothing is put in place of none."""
    piece = {"index": 0, "id": "x", "type": "custom", "custom": {"name": "f", "input": "ls"}}
    assert parts({"tool_calls": [piece]}) == (ToolCall("x", "f", "ls", custom=True),)
    assert parts({"tool_calls": [{"index": 0, "id": "x", "custom": {"name": "f"}}]}) == (
        ToolCall("x", "f", "", custom=True),
    )


def test_googles_signature_at_a_call() -> None:
    """It belongs to the call, and is Google's; our own mark of another's is taken off."""
    piece = {"index": 0, "id": "x", "function": {"name": "f", "arguments": "{}"}}
    extra = {"extra_content": {"google": {"thought_signature": "g"}}}
    assert parts({"tool_calls": [piece | extra]}) == (ToolCall("x", "f", "{}", signature="g", format=GEMINI),)


def test_an_older_function_call() -> None:
    """It has no id, and its finish reason is another."""
    events = read(
        [
            chunk({"function_call": {"name": "f", "arguments": "{"}}),
            chunk({"function_call": {"arguments": "}"}}, finish_reason="function_call"),
            DONE,
        ]
    )
    choice = fold(events).choices[0]
    assert [(part.name, part.arguments) for part in choice.parts if isinstance(part, ToolCall)] == [("f", "{}")]
    assert choice.finish == Finished(FinishReason.TOOL_CALLS, "function_call")


def test_empty_members_are_nothing() -> None:
    """A server sends every field empty; none of them opens a part."""
    empty = {
        "content": "a",
        "refusal": "",
        "tool_calls": None,
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0},
        "annotations": None,
    }
    assert parts(empty) == (Text("a"),)


def test_mistrals_content_is_a_list() -> None:
    """Thinking and text chunks; what only Mistral knows is a vendor's own part."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}
    text = {"type": "text", "text": "a"}
    reference = {"type": "reference", "reference_ids": [1]}
    found = parts({"content": [thinking]}, {"content": [text, reference]})
    assert found == (
        Reasoning("t"),
        Text("a"),
        Foreign("reference", msgspec.Raw(json.dumps(reference).replace(" ", "").encode())),
    )


def test_images_come_whole() -> None:
    """OpenRouter's, by their data or by a URL."""
    images = [{"type": "image_url", "image_url": {"url": url}} for url in ("data:image/png;base64,AAAA", "https://i")]
    assert parts({"images": images}) == (
        Media(MediaKind.IMAGE, "image/png", "AAAA"),
        Media(MediaKind.IMAGE, url="https://i"),
    )


def test_sound_is_gathered() -> None:
    """Pieces of its data and its transcript make one part at the end."""
    found = parts({"audio": {"id": "s", "data": "AA", "transcript": "h"}}, {"audio": {"data": "BB", "transcript": "i"}})
    assert [json.loads(bytes(part.raw)) for part in found] == [{"id": "s", "data": "AABB", "transcript": "hi"}]


def test_citations_belong_to_the_text() -> None:
    """Also behind the finish, where search engines send them; an empty range is no place."""
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    unplaced = {"type": "url_citation", "url_citation": {"url": "v", "start_index": 0, "end_index": 0}}
    events = read([chunk({"content": "a"}), STOP, chunk({"annotations": [cited, unplaced, {"type": "other"}]}), DONE])
    assert fold(events).choices[0].citations == (Cited(0, "u", "t", start=0, end=1), Cited(0, "v"))


def test_logprobs_belong_to_the_text() -> None:
    """Of several chunks they are one list."""
    token = {"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    chunks = [chunk({"content": "a"}, logprobs={"content": [token], "refusal": None}) for _ in range(2)]
    found = fold(read([*chunks, STOP, DONE])).choices[0].logprobs
    assert [(each.part, json.loads(bytes(each.tokens))) for each in found] == [(0, [token, token])]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("error", FinishReason.ERROR),
        ("eos_token", FinishReason.STOP),
        ("STOP", FinishReason.STOP),
        ("content_filter: RECITATION", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),
        ("insufficient_system_resource", FinishReason.ERROR),
        ("of_tomorrow", FinishReason.STOP),
    ],
)
def test_finish_reasons(word: str, reason: FinishReason) -> None:
    """A word that is not known is no plain end; the word itself stays."""
    events = read([chunk({"content": "a"}, finish_reason=word), DONE])
    assert fold(events).choices[0].finish == Finished(reason, word)


def test_the_upstreams_own_word_stays() -> None:
    """OpenRouter's `native_finish_reason`, and the stop sequence that vLLM tells."""
    events = read([chunk({"content": "a"}, finish_reason="stop", native_finish_reason="end", stop_reason="###"), DONE])
    assert fold(events).choices[0].finish == Finished(FinishReason.STOP, "end", "###")


def test_why_a_choice_failed_is_told() -> None:
    """OpenRouter's error of one choice; beside a success it says nothing."""
    error = {"code": 502, "message": "the provider went away"}
    failed = fold(read([chunk({"content": "a"}, finish_reason="error", error=error), DONE]))
    assert failed.choices[0].finish == Finished(FinishReason.ERROR, "error", detail="the provider went away")
    whole = fold(read([chunk({"content": "a"}, finish_reason="stop", error=error), DONE]))
    assert whole.choices[0].finish == Finished(FinishReason.STOP, "stop")


def test_sources_may_come_before_the_text() -> None:
    """Who searches first knows them first: they wait for the text they belong to."""
    source = {"type": "url_citation", "url_citation": {"url": "https://a.test", "title": "A"}}
    early = chunk({"annotations": [source]})
    found = fold(read([early, chunk({"content": "a"}), STOP, DONE]))
    assert found.choices[0].citations == (Cited(0, "https://a.test", "A"),)
    assert fold(read([early, STOP, DONE])).choices[0].citations == ()


@pytest.mark.parametrize(
    ("found", "cited"),
    [
        (
            {"search_results": [{"url": "https://a.test", "title": "A", "snippet": "s"}, {"title": "B"}, 1]},
            (Cited(0, "https://a.test", "A", "s"),),
        ),
        ({"citations": ["https://a.test", "https://b.test"]}, (Cited(0, "https://a.test"), Cited(0, "https://b.test"))),
        ({"citations": "https://a.test"}, ()),
    ],
)
def test_what_a_search_found_are_the_texts_sources(found: dict[str, Any], cited: tuple[Cited, ...]) -> None:
    """Perplexity and xAI tell it beside the choices, Perplexity with every chunk: it is told once."""
    chunks = [chunk({"content": text}) | found for text in "ab"]
    answer = fold(read([*chunks, chunk({}, finish_reason="stop") | found, DONE]))
    assert answer.choices[0].citations == cited
    source = {"type": "url_citation", "url_citation": {"url": "https://own.test"}}
    own = fold(read([chunk({"content": "a", "annotations": [source]}), STOP | found, DONE]))
    assert own.choices[0].citations == (Cited(0, "https://own.test"),)


def test_what_belongs_to_a_text_comes_before_what_ends_it() -> None:
    """A server that sends all at once has text, its sources, its tokens' weights and a call in one chunk."""
    source = {"type": "url_citation", "url_citation": {"url": "https://a.test"}}
    delta = {"content": "a", "annotations": [source], **call(0, "x", "f", "{}")}
    token = {"token": "a", "logprob": -1.0}
    kinds = [type(event) for event in read([chunk(delta, logprobs={"content": [token]}), STOP, DONE])]
    assert kinds.index(Cited) < kinds.index(Closed)
    assert kinds.index(Logprobs) < kinds.index(Closed)


def test_a_forced_call_ends_as_a_call() -> None:
    """OpenAI says `stop` there; who made the call must know."""
    events = read([chunk(call(0, "x", "f", "{}")), STOP, DONE])
    assert fold(events).choices[0].finish == Finished(FinishReason.TOOL_CALLS, "stop")


def test_the_end_mark_finishes_what_has_no_finish() -> None:
    """A few servers give no finish reason at all, but tell what they counted."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = read([chunk({"content": "a"}), usage, DONE])
    assert events[-2:] == [Finished(FinishReason.STOP), Ended()]


def test_an_end_mark_behind_half_an_answer() -> None:
    """With neither a finish reason nor usage the answer was cut, whatever whoever relayed it wrote behind it."""
    assert read([chunk({"content": "a"}), DONE])[-1] == Failed(NO_FINISH)


def test_a_stream_without_the_end_mark() -> None:
    """It is whole if its choices have finished, else it was cut."""
    assert read([chunk({"content": "a"}), STOP])[-1] == Ended()
    assert read([chunk({"content": "a"})])[-1] == Added(0, "a")
    assert read([]) == []


def test_several_choices() -> None:
    """Each has parts of its own, however they are mixed."""
    events = read(
        [
            chunk({"content": "a"}),
            chunk({"content": "x"}, 1),
            chunk({"content": "b"}),
            chunk({"content": "y"}, 1, finish_reason="length"),
            STOP,
            DONE,
        ]
    )
    assert [choice.parts for choice in fold(events).choices] == [(Text("ab"),), (Text("xy"),)]
    assert [choice.finish.choice for choice in fold(events).choices] == [0, 1]


def test_an_error_ends_the_stream() -> None:
    """With its code and the status that it stands for; nothing comes after it."""
    error = {"error": {"message": "busy", "code": 529}, "choices": [{"index": 0, "finish_reason": "error"}]}
    assert read([chunk({"content": "a"}), error, chunk({"content": "b"}), DONE])[-1] == Failed("busy", "529", 529)
    assert read([{"error": "text"}]) == [Failed("text")]


def test_what_comes_after_the_end_is_dropped() -> None:
    """Providers have been seen to repeat themselves."""
    assert read([chunk({"content": "a"}), STOP, DONE, chunk({"content": "b"}), DONE])[-1] == Ended()


def test_text_behind_the_finish_is_dropped() -> None:
    """A choice that has finished says no more."""
    assert fold(read([chunk({"content": "a"}), STOP, chunk({"content": "b"}), DONE])).choices[0].parts == (Text("a"),)


def test_usage_that_cannot_be() -> None:
    """It is told as absurd; where it comes with a choice, it is found as well."""
    events = read([chunk({"content": "a"}), STOP | {"usage": {"prompt_tokens": -1}}, DONE])
    assert Counted(ABSURD) in events


@pytest.mark.parametrize("frame", [b"{}", b"[DONE]", b"<html>", b"[1]", b'{"choices":1}', b"\xff"])
def test_what_is_no_stream_is_refused(frame: bytes) -> None:
    """The first event must be a chunk."""
    with pytest.raises(WireError):
        Reader().read(frame)


def test_garbage_in_a_stream_is_refused() -> None:
    """A chunk that cannot be read may have held anything."""
    with pytest.raises(WireError):
        read([chunk({"content": "a"}), b"{"])


def test_a_whole_answer() -> None:
    """Its message is read by the same steps as a stream."""
    answer = whole({"content": "a", "reasoning": "r"}, finish_reason="stop")
    assert answer.choices[0].parts == (Reasoning("r"), Text("a"))
    assert answer.choices[0].finish == Finished(FinishReason.STOP, "stop")


def test_a_whole_answer_without_a_finish_reason() -> None:
    """An empty one is none; the answer is there all the same."""
    assert whole({"content": "a"}, finish_reason="").choices[0].finish == Finished(FinishReason.STOP)


def test_calls_of_a_whole_answer_are_apart() -> None:
    """Each item is one, whatever its index."""
    calls = [{"id": name, "index": 0, "function": {"name": "f", "arguments": "{}"}} for name in "xy"]
    assert [part.id for part in whole({"tool_calls": calls}).choices[0].parts if isinstance(part, ToolCall)] == [
        "x",
        "y",
    ]


def test_choices_without_an_index_are_counted() -> None:
    """In a whole answer by their order."""
    body = {"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}
    assert [choice.parts for choice in read_answer(json.dumps(body).encode()).choices] == [(Text("a"),), (Text("b"),)]


def test_a_legacy_completion() -> None:
    """Its text is the answer's."""
    answer = read_answer(b'{"id":"c","choices":[{"text":"a","index":0,"logprobs":null,"finish_reason":"length"}]}')
    assert answer.choices[0].parts == (Text("a"),)


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"error":{"message":"m"}}', b'{"choices":null}', b"[]"])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    """A page, another object, or an error with status 200."""
    with pytest.raises(WireError):
        read_answer(body)


STREAM = b"".join(
    b"data: " + json.dumps(each).encode() + b"\n\n"
    for each in (
        chunk({"reasoning_details": [{"type": "reasoning.text", "text": "r\u00e9", "index": 0}]}),
        chunk({"content": "a\U0001f600"}),
        chunk(call(0, "x", "f", '{"a":')),
        chunk(call(0, arguments='"\u00e9"}'), finish_reason="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}},
    )
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_how_a_stream_is_cut_does_not_matter(cuts: list[int]) -> None:
    """Any pieces give the same answer, which is the whole one's."""
    frames, reader = DataFrames(), Reader()
    body = STREAM + b"data: [DONE]\n\n"
    edges = sorted({0, len(body), *cuts})
    events: list[Event] = []
    for a, b in pairwise(edges):
        for frame in frames.feed(body[a:b]):
            events += reader.read(frame)
    message = {
        "reasoning_details": [{"type": "reasoning.text", "text": "r\u00e9", "index": 0}],
        "content": "a\U0001f600",
        "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":"\u00e9"}'}}],
    }
    answer = {
        "id": "c",
        "created": 7,
        "model": "m",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    assert fold(events) == read_answer(json.dumps(answer).encode())
