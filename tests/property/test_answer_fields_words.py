"""Every word by which a vendor says how an answer ended, in every other dialect; and words, blocks and events to come.

The words are counted against the vendors' own types, so that a new one is missed here before it is missed by a caller.
"""

from __future__ import annotations

import json
import typing
from typing import Any, Final

import pytest
from anthropic.types.beta import BetaStopReason
from google.genai.types import BlockedReason
from google.genai.types import FinishReason as GoogleReason
from openai.types.chat.chat_completion import Choice
from openai.types.responses import Response
from openai.types.responses.response import IncompleteDetails

from tests.fake_provider import aws
from tests.property.answer_sdks import STREAM, WHOLE
from tests.property.answer_streams import STREAMS, message, sse
from tests.property.answer_types import PLAIN, of_converse
from tests.property.crossing import maker
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
EACH = [pytest.param(dialect, id=str(dialect)) for dialect in Dialect]
PAIRS = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect if one is not other]
NEW: Final = "of_tomorrow"
"""A word that no version of this gateway knows."""

MEANINGS: Final[dict[Dialect, dict[str, str]]] = {
    CHAT: {
        "plain": f"stop {NEW} eos",
        "calls": "tool_calls function_call tool_use",
        "limit": "length",
        "filter": "content_filter",
        "error": "error insufficient_system_resource network_error abort",
    },
    RESPONSES: {
        "plain": "completed complete",
        "limit": f"incomplete max_output_tokens max_messages steered {NEW}",
        "filter": "content_filter",
    },
    ANTHROPIC: {
        "plain": f"end_turn stop_sequence pause_turn compaction {NEW}",
        "calls": "tool_use",
        "limit": "max_tokens model_context_window_exceeded",
        "filter": "refusal",
    },
    GEMINI: {
        "plain": f"STOP {NEW} FINISH_REASON_UNSPECIFIED",
        "limit": "MAX_TOKENS CONTINUATION",
        "filter": "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT "
        "IMAGE_RECITATION IMAGE_OTHER MODEL_ARMOR ESCALATION PUP_LIMITED_DISABLED",
        "error": "OTHER NO_IMAGE MALFORMED_FUNCTION_CALL MALFORMED_RESPONSE "
        "UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE",
    },
    BEDROCK: {
        "plain": f"end_turn stop_sequence {NEW}",
        "calls": "tool_use",
        "limit": "max_tokens model_context_window_exceeded",
        "filter": "guardrail_intervened content_filtered",
        "error": "malformed_model_output malformed_tool_use",
    },
}
"""What each word of a vendor's means, by hand from its reference."""
TOLD: Final[dict[Dialect, dict[str, str]]] = {
    CHAT: {"plain": "stop", "calls": "tool_calls", "limit": "length", "filter": "content_filter", "error": "error"},
    RESPONSES: {
        "plain": "completed",
        "calls": "completed",
        "limit": "max_output_tokens",
        "filter": "content_filter",
        "error": "failed",
    },
    ANTHROPIC: {
        "plain": "end_turn",
        "calls": "tool_use",
        "limit": "max_tokens",
        "filter": "refusal",
        "error": "end_turn",
    },
    GEMINI: {"plain": "STOP", "calls": "STOP", "limit": "MAX_TOKENS", "filter": "SAFETY", "error": "OTHER"},
    BEDROCK: {
        "plain": "end_turn",
        "calls": "tool_use",
        "limit": "max_tokens",
        "filter": "content_filtered",
        "error": "malformed_model_output",
    },
}
"""The nearest word of a caller's dialect for each meaning."""
SHARED: Final = frozenset({"stop_sequence", "model_context_window_exceeded"})
"""Words that Anthropic and Bedrock both have, for the same."""
CASES = [
    pytest.param(upstream, word, meaning, id=f"{upstream}-{word}")
    for upstream, words in MEANINGS.items()
    for meaning, listed in words.items()
    for word in listed.split()
]


def ended(upstream: Dialect, word: str) -> Any:
    """A small answer that ends with this word."""
    answer = json.loads(json.dumps(PLAIN[TYPES[upstream]]))
    if upstream is CHAT:
        answer["choices"][0]["finish_reason"] = word
    elif upstream is RESPONSES and word not in {"completed", "complete", "incomplete"}:
        answer |= {"status": "incomplete", "incomplete_details": {"reason": word}}
    elif upstream is RESPONSES:
        answer["status"] = word
    elif upstream is ANTHROPIC:
        answer["stop_reason"] = word
    elif upstream is GEMINI:
        answer["candidates"][0]["finishReason"] = word
    else:
        answer["stopReason"] = word
    return answer


TYPES: Final = {
    CHAT: "ChatCompletion",
    RESPONSES: "Response",
    ANTHROPIC: "BetaMessage",
    GEMINI: "GenerateContentResponse",
    BEDROCK: "ConverseResponse",
}


def word_of(caller: Dialect, answer: Any) -> str:
    """How an answer says that it ended."""
    if caller is RESPONSES:
        return str((answer["incomplete_details"] or {}).get("reason") or answer["status"])
    holder, name = {
        CHAT: (answer.get("choices", [{}])[0], "finish_reason"),
        ANTHROPIC: (answer, "stop_reason"),
        GEMINI: (answer.get("candidates", [{}])[0], "finishReason"),
        BEDROCK: (answer, "stopReason"),
    }[caller]
    return str(holder[name])


def whole(upstream: Dialect, caller: Dialect, answer: Any) -> Any:
    """An answer as the caller's SDK reads it; raises WireError where it is none."""
    body = json.dumps(answer).encode()
    return WHOLE[caller](translate_answer(FORMATS[upstream], FORMATS[caller], body, maker(caller))[1])


def translated(upstream: Dialect, caller: Dialect, stream: bytes) -> tuple[Translation, bytes]:
    """A stream as the caller gets it, up to its end."""
    found = Translation(FORMATS[upstream], FORMATS[caller], maker(caller, stream=True))
    out = found.feed(stream, 1.0)
    return found, out + found.finish()


def streamed(upstream: Dialect, caller: Dialect, stream: bytes) -> Any:
    """A stream that is whole, as the caller's SDK puts it together."""
    found, out = translated(upstream, caller, stream)
    assert (found.fault, found.is_whole) == ("", True)
    return STREAM[caller](out + found.tail(b"", b""))


def test_every_word_of_the_vendors_has_a_meaning() -> None:
    """By their own types."""
    stop_reasons = of_converse().members["stopReason"].values
    reasons = typing.get_args(typing.get_args(IncompleteDetails.model_fields["reason"].annotation)[0])
    known = {
        CHAT: typing.get_args(Choice.model_fields["finish_reason"].annotation),
        RESPONSES: ("completed", "incomplete", *reasons),
        ANTHROPIC: typing.get_args(BetaStopReason),
        GEMINI: tuple(each.value for each in GoogleReason),
        BEDROCK: stop_reasons,
    }
    for dialect, words in known.items():
        assert set(words) <= set(" ".join(MEANINGS[dialect].values()).split()), dialect


@pytest.mark.parametrize(("upstream", "word", "meaning"), CASES)
def test_every_word_is_told_in_the_callers_nearest(upstream: Dialect, word: str, meaning: str) -> None:
    """Whole and streamed; what is not known is a plain end."""
    answer = ended(upstream, word)
    for caller in Dialect:
        if caller is upstream:
            continue
        expected = TOLD[caller][meaning]
        if word in SHARED and caller in {ANTHROPIC, BEDROCK}:
            expected = word
        assert word_of(caller, whole(upstream, caller, answer)) == expected, caller
        assert word_of(caller, streamed(upstream, caller, STREAMS[upstream](answer))) == expected, caller


@pytest.mark.parametrize("caller", [each for each in Dialect if each is not GEMINI])
@pytest.mark.parametrize("word", [*(each.value for each in BlockedReason), NEW])
def test_every_blocked_prompt_is_a_filter(word: str, caller: Dialect) -> None:
    """There is no candidate then, but an answer: it says that it was blocked."""
    answer = {"promptFeedback": {"blockReason": word, "blockReasonMessage": "why"}, "usageMetadata": {}}
    assert word_of(caller, whole(GEMINI, caller, answer)) == TOLD[caller]["filter"]
    assert word_of(caller, streamed(GEMINI, caller, sse(answer))) == TOLD[caller]["filter"]


@pytest.mark.parametrize("upstream", [CHAT, GEMINI, BEDROCK])
def test_what_failed_is_said(upstream: Dialect) -> None:
    """The word stands where the caller's dialect explains a failure."""
    word = MEANINGS[upstream]["error"].split()[-1]
    answer = ended(upstream, word)
    for caller in {CHAT, RESPONSES} - {upstream}:
        assert word in json.dumps(whole(upstream, caller, answer))


# -- what is no answer -------------------------------------------------------------------------------------

STATUSES = typing.get_args(typing.get_args(Response.model_fields["status"].annotation)[0])


@pytest.mark.parametrize("status", [each for each in [*STATUSES, NEW] if each not in {"completed", "incomplete"}])
def test_a_response_that_is_not_made_is_no_answer(status: str) -> None:
    """Whatever the other members say."""
    answer = PLAIN["Response"] | {"status": status}
    with pytest.raises(WireError):
        whole(RESPONSES, CHAT, answer)


@pytest.mark.parametrize("wrong", [{"status": "failed"}, {"status": "cancelled"}, {"error": {"code": "x"}}])
def test_a_failed_response_does_not_end_as_completed(wrong: Any) -> None:
    """Its last event may be called so."""
    last = {"type": "response.completed", "response": PLAIN["Response"] | wrong}
    stream = sse({"type": "response.created", "response": PLAIN["Response"]}, last, named=True)
    found, _ = translated(RESPONSES, CHAT, stream)
    assert found.fault
    assert not found.is_whole


EXCEPTIONS = [
    *("internalServerException", "modelStreamErrorException", "validationException"),
    *("throttlingException", "serviceUnavailableException", NEW),
]
FAULTS: Final[dict[Dialect, list[bytes]]] = {
    CHAT: [sse({"error": {"message": "m", "code": 500}}), sse({"choices": [], "error": "m"})],
    RESPONSES: [
        sse({"type": "error", "message": "m"}),
        sse({"type": "response.failed", "response": PLAIN["Response"] | {"status": "failed"}}),
        sse({"error": {"message": "m"}}),
    ],
    ANTHROPIC: [sse({"type": "error", "error": {"type": kind, "message": "m"}}) for kind in ("overloaded_error", NEW)],
    GEMINI: [sse({"error": {"code": 500, "message": "m", "status": kind}}) for kind in ("INTERNAL", NEW)],
    BEDROCK: [
        aws.message({":exception-type": each, ":message-type": "exception"}, b'{"message":"m"}') for each in EXCEPTIONS
    ],
}


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_an_error_in_a_stream_is_never_its_end(upstream: Dialect, caller: Dialect) -> None:
    """Before the first event and behind any other, of a kind that is known or not."""
    plain = STREAMS[upstream](PLAIN[TYPES[upstream]])
    frames = list(FORMATS[upstream].framing().feed(plain))
    wrapped = frames if upstream is BEDROCK else [b"data: %b\n\n" % frame for frame in frames]
    for fault in FAULTS[upstream]:
        for place in range(len(wrapped) - 1):
            found, _ = translated(upstream, caller, b"".join([*wrapped[:place], fault]))
            assert found.fault, place
            assert not found._is_done


# -- what is new -------------------------------------------------------------------------------------------


def with_news(dialect: Dialect) -> Any:
    """A small answer with a block, an item or a part of a kind to come before its text."""
    answer = json.loads(json.dumps(PLAIN[TYPES[dialect]]))
    if dialect is CHAT:
        news = {"type": NEW, NEW: {"a": [1]}}
        answer["choices"][0]["message"] |= {"content": [news, {"type": "text", "text": "text"}], NEW: news}
    elif dialect is RESPONSES:
        content = [{"type": NEW, NEW: "x"}, *answer["output"][0]["content"]]
        content[1]["annotations"] = [{"type": NEW, NEW: 1}]
        answer["output"] = [{"type": NEW, "id": "i", NEW: 1}, answer["output"][0] | {"content": content, NEW: 1}]
    elif dialect is ANTHROPIC:
        block = answer["content"][0] | {"citations": [{"type": NEW, NEW: 1}], NEW: 1}
        answer["content"] = [{"type": NEW, NEW: {"a": 1}}, block]
    elif dialect is GEMINI:
        answer["candidates"][0]["content"]["parts"].insert(0, {NEW: {"a": 1}})
        answer["candidates"][0][NEW] = 1
    else:
        answer["output"]["message"]["content"].insert(0, {NEW: {"a": 1}})
    return answer | {NEW: {"a": 1}}


def events_of_tomorrow(dialect: Dialect) -> list[bytes]:
    """Events of a stream that are not known yet."""
    if dialect is BEDROCK:
        news = {"contentBlockIndex": 9, "delta": {NEW: 1}}
        return [
            message("ofTomorrow", {"a": 1}),
            message("contentBlockStart", {"contentBlockIndex": 9, "start": {NEW: {}}}),
            message("contentBlockDelta", news),
        ]
    if dialect is ANTHROPIC:
        return [sse({"type": NEW, "index": 0})]
    if dialect is RESPONSES:
        return [sse({"type": f"response.{NEW}", "output_index": 0, "delta": "x"})]
    if dialect is CHAT:
        return [sse({"object": NEW, "choices": []}), sse({"choices": [{"index": 0, "delta": {NEW: 1}}]})]
    return [sse({NEW: 1}), sse({"candidates": [{NEW: 1}]})]


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_what_is_new_breaks_nothing(upstream: Dialect, caller: Dialect) -> None:
    """The text and the end are told, whatever else there is; an event may come anywhere behind the first."""
    plain = PLAIN[TYPES[upstream]]
    for answer in (whole(upstream, caller, with_news(upstream)), whole(upstream, caller, plain)):
        assert word_of(caller, answer) == TOLD[caller]["plain"]
        assert '"text": "text"' in json.dumps(answer) or '"content": "text"' in json.dumps(answer)
    news = streamed(upstream, caller, STREAMS[upstream](with_news(upstream)))
    assert word_of(caller, news) == TOLD[caller]["plain"]
    frames = list(FORMATS[upstream].framing().feed(STREAMS[upstream](plain)))
    wrapped = frames if upstream is BEDROCK else [b"data: %b\n\n" % frame for frame in frames]
    expected = streamed(upstream, caller, b"".join(wrapped))
    for event in events_of_tomorrow(upstream):
        for place in range(1, len(wrapped) - 1):
            assert streamed(upstream, caller, b"".join([*wrapped[:place], event, *wrapped[place:]])) == expected, place
