"""What the chunks of a chat stream add to one choice: its parts, and how they end."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.dialects.openai_chat.chunks import DONE, STOP, call, chunk, parts, read
from tokenway.dialects.openai_chat.stream_reader import read_answer
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Cited,
    Closed,
    Finished,
    FinishReason,
    Logprobs,
    fold,
)
from tokenway.model.request import Foreign, Media, MediaKind, Reasoning, Refusal, Text, ToolCall


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
