"""The runtime's chunks as OpenAI's answers, streamed and whole."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.local.answers import Answer
from tokenway.local.generation import Chunk, Refused

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}


def delta(text: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> Chunk:
    """A chunk of a conversation as the runtime makes it."""
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish} | more]}


def usage(**fields: int) -> Chunk:
    """The runtime's last chunk of a choice."""
    return {"choices": [], "usage": USAGE | fields}


def chat(*, unwrap: bool = False) -> Answer:
    """An answer with predictable identifiers."""
    return Answer("chat.completion", "m", lambda prefix: f"{prefix}1", unwrap=unwrap)


def test_a_conversation_becomes_one_message() -> None:
    """Text is joined, the end and the counts are kept."""
    answer = chat()
    chunks = [delta(), delta("Hel"), delta("lo"), delta(finish="stop"), usage()]
    body = answer.whole([step for chunk in chunks for step in answer.steps(chunk)])
    assert body["id"] == "chatcmpl-1"
    assert body["object"] == "chat.completion"
    (choice,) = body["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert body["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


def test_a_stream_begins_with_the_role_and_keeps_its_identity() -> None:
    """The first delta names the role; all chunks share id and time."""
    answer = chat()
    steps = [step for chunk in [delta("Hi"), delta(finish="length")] for step in answer.steps(chunk)]
    chunks = [answer.chunk(step, usage_follows=False) for step in steps]
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "Hi"},
        {},
    ]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert {(chunk["id"], chunk["created"], chunk["object"]) for chunk in chunks} == {
        ("chatcmpl-1", chunks[0]["created"], "chat.completion.chunk")
    }
    assert all("usage" not in chunk for chunk in chunks)


def test_usage_in_a_stream_is_null_until_the_last_chunk() -> None:
    """When it was asked for, every chunk has the field."""
    answer = chat()
    (first, *_) = answer.steps(delta("Hi"))
    assert answer.chunk(first, usage_follows=True)["usage"] is None
    assert list(answer.steps(usage())) == []
    last = answer.usage_chunk()
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 12)


def test_progress_with_the_prompt_is_no_content() -> None:
    """Chunks that only report progress add nothing."""
    assert list(chat().steps(delta() | {"prompt_progress": {"processed": 1}})) == []


def test_several_choices_read_their_prompt_once() -> None:
    """Written tokens add up, the prompt does not."""
    answer = chat()
    chunks = [delta("b", "stop", 1), usage(), delta("a", "stop", 0), usage()]
    body = answer.whole([step for chunk in chunks for step in answer.steps(chunk)])
    assert [choice["message"]["content"] for choice in body["choices"]] == ["a", "b"]
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (9, 6)


def test_several_prompts_add_up() -> None:
    """Each prompt of a text completion is read and counted."""
    answer = Answer("text_completion", "m", lambda prefix: f"{prefix}1", unwrap=False, sums_prompts=True)
    chunks: list[Chunk] = [
        {"choices": [{"index": index, "text": "x", "finish_reason": "length"}], "usage": USAGE} for index in range(2)
    ]
    body = answer.whole([step for chunk in chunks for step in answer.steps(chunk)])
    assert body["object"] == "text_completion"
    assert [choice["text"] for choice in body["choices"]] == ["x", "x"]
    assert body["usage"]["prompt_tokens"] == 18
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 8


def test_a_text_completion_streams_text() -> None:
    """Its chunks have the same kind as the whole answer."""
    answer = Answer("text_completion", "m", lambda prefix: f"{prefix}1", unwrap=False)
    (step,) = answer.steps({"choices": [{"index": 0, "text": "x", "finish_reason": None}]})
    chunk = answer.chunk(step, usage_follows=False)
    assert (chunk["id"], chunk["object"], chunk["choices"][0]["text"]) == ("cmpl-1", "text_completion", "x")
    assert list(answer.steps({"choices": [{"index": 0, "text": "", "finish_reason": None}]})) == []


@pytest.mark.parametrize(("finish", "told"), [("stop", "tool_calls"), ("length", "length")])
def test_a_forced_call_becomes_tool_calls(finish: str, told: str) -> None:
    """The message has no content, and a finished call says that it is one."""
    answer = chat(unwrap=True)
    chunks = [delta('{"name": "f", "argu'), delta('ments": {"a": 1}}'), delta(finish=finish), usage()]
    body = answer.whole([step for chunk in chunks for step in answer.steps(chunk)])
    (choice,) = body["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    ]
    assert choice["finish_reason"] == told


def test_log_probabilities_lose_the_runtimes_numbers() -> None:
    """Only the fields of the dialect remain, in a stream and in the whole."""
    entry = {"id": 5, "token": "a", "logprob": -0.5, "bytes": [97]}
    native = {"content": [entry | {"top_logprobs": [entry]}]}
    answer = chat()
    steps = list(answer.steps(delta("a", "stop", logprobs=native)))
    kept = {"token": "a", "logprob": -0.5, "bytes": [97]}
    expected = {"content": [kept | {"top_logprobs": [kept]}], "refusal": None}
    assert [step.logprobs for step in steps if step.logprobs] == [expected]
    assert answer.whole(steps)["choices"][0]["logprobs"] == expected


def test_alternatives_that_nobody_asked_for_are_left_out() -> None:
    """The runtime gives one with each token; the token's own log-probability stays."""
    entry = {"id": 5, "token": "a", "logprob": -0.5, "bytes": [97]}
    native = {"content": [entry | {"top_logprobs": [entry]}]}
    answer = Answer("chat.completion", "m", lambda prefix: f"{prefix}1", unwrap=False, has_alternatives=False)
    (step,) = [step for step in answer.steps(delta("a", "stop", logprobs=native)) if step.logprobs]
    assert step.logprobs is not None
    assert step.logprobs["content"] == [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]


def test_an_error_of_the_runtime_is_raised_with_its_status() -> None:
    """It is never taken for content."""
    with pytest.raises(Refused, match="too long") as caught:
        list(chat().steps({"error": {"code": 400, "message": "too long"}}))
    assert caught.value.status == 400
    with pytest.raises(Refused) as caught:
        list(chat().steps({"error": {}}))
    assert caught.value.status == 500
