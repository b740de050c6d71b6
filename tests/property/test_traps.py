"""The traps of speaking five dialects at once, one test each, and what users of such gateways complain of.

Most are tested in more depth where the code is; here each has a name, so that none is forgotten.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

import msgspec
import pytest
from anthropic.types import RawMessageStreamEvent
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from tests.property.crossing import asked, crossed, events_of, parsed, read, told
from tests.replay import said
from tokenway.dialects.anthropic.schema import meter as anthropic_meter
from tokenway.dialects.bedrock.schema import meter as bedrock_meter
from tokenway.dialects.gemini.embedding import read_gemini_answer as read_vectors
from tokenway.dialects.gemini.embedding import read_openai_request, write_openai_answer
from tokenway.dialects.gemini.usage import meter as gemini_meter
from tokenway.dialects.openai_chat.schema import meter as chat_meter
from tokenway.dialects.openai_responses.schema import meter as responses_meter
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.seal import ANTHROPIC as CLAUDES
from tokenway.dialects.seal import GEMINI as GEMINIS
from tokenway.edge.listing import pricing
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.machine import Exchange
from tokenway.exchange.problems import problem_of
from tokenway.metering.price import cost
from tokenway.metering.stamps import Stamps, delivered_speed, output_speed, time_per_output_token, ttft
from tokenway.model.catalog import Dialect, Endpoint, Price, Timeouts
from tokenway.model.errors import Refusal
from tokenway.model.event import Added, Answer, Choice, Closed, Finished, FinishReason, Opened, PartKind, Started, fold
from tokenway.model.faults import Fault
from tokenway.model.money import format_usd, parse_rate
from tokenway.model.request import Reasoning, Text, ToolCall
from tokenway.model.usage import Metered, Usage

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
EACH: Final = [pytest.param(dialect, id=str(dialect)) for dialect in Dialect]
PAIRS: Final = [
    pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect if one is not other
]
COUNTED: Final = Metered(given=True, usage=Usage(input_uncached=60, cache_read=40, output_text=20, reasoning=10))
ROUNDS: Final = (False, True)


def sse(*events: dict[str, Any], named: bool = False) -> bytes:
    """Server-sent events, with names where the dialect has them."""
    return b"".join(
        (b"event: %b\n" % event["type"].encode() if named else b"") + b"data: %b\n\n" % json.dumps(event).encode()
        for event in events
    )


def answer(*parts: Any, reason: FinishReason = FinishReason.STOP, native: str = "stop") -> Answer:
    """A whole answer in the neutral form."""
    return Answer("a", "m", 1, (Choice(parts, Finished(reason, native)),), COUNTED)


# -- 1: what a total includes ------------------------------------------------------------------------------

SAME_CALL: Final = {
    CHAT: (
        chat_meter,
        {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 40},
            "completion_tokens_details": {"reasoning_tokens": 10},
        },
    ),
    RESPONSES: (
        responses_meter,
        {
            "input_tokens": 100,
            "output_tokens": 30,
            "input_tokens_details": {"cached_tokens": 40},
            "output_tokens_details": {"reasoning_tokens": 10},
        },
    ),
    ANTHROPIC: (
        anthropic_meter,
        {
            "input_tokens": 60,
            "cache_read_input_tokens": 40,
            "output_tokens": 30,
            "output_tokens_details": {"thinking_tokens": 10},
        },
    ),
    GEMINI: (
        gemini_meter,
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 40,
            "candidatesTokenCount": 20,
            "thoughtsTokenCount": 10,
            "totalTokenCount": 130,
        },
    ),
}
"""One call, as each vendor counts it."""


@pytest.mark.parametrize("dialect", [pytest.param(dialect, id=str(dialect)) for dialect in SAME_CALL])
def test_trap_1_input_with_or_without_the_cache_output_with_or_without_reasoning(dialect: Dialect) -> None:
    """The same call is the same buckets, whether a vendor's totals include the cache and the reasoning or not."""
    meter, usage = SAME_CALL[dialect]
    assert meter(msgspec.Raw(json.dumps(usage).encode())) == COUNTED


def test_trap_1_bedrocks_input_is_without_the_cache() -> None:
    """It does not tell reasoning apart, and its total has the cache in it."""
    usage = {"inputTokens": 60, "cacheReadInputTokens": 40, "outputTokens": 30, "totalTokens": 130}
    assert bedrock_meter(msgspec.Raw(json.dumps(usage).encode())).usage == Usage(60, cache_read=40, output_text=30)


# -- 2: usage in streams -----------------------------------------------------------------------------------


def test_trap_2_anthropics_counts_are_totals_so_far() -> None:
    """What the last event says replaces what the first said: nothing is added up."""
    stream = sse(
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}, "content": []}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 8}},
        {"type": "message_stop"},
        named=True,
    )
    assert read(ANTHROPIC, stream, stream=True).metered.usage == Usage(input_uncached=9, output_text=8)


def test_trap_2_geminis_counts_are_repeated() -> None:
    """Every event has them; the last ones hold."""
    counts = [(9, 1), (9, 4), (9, 7)]
    stream = sse(
        *(
            {
                "candidates": [
                    {"content": {"parts": [{"text": "x"}]}} | ({"finishReason": "STOP"} if out == 7 else {})
                ],
                "usageMetadata": {"promptTokenCount": into, "candidatesTokenCount": out, "totalTokenCount": into + out},
            }
            for into, out in counts
        )
    )
    assert read(GEMINI, stream, stream=True).metered.usage == Usage(input_uncached=9, output_text=7)


def test_trap_2_openais_counts_come_once_at_the_end() -> None:
    """In a chunk without a choice; the nulls before it count nothing."""
    stream = sse(
        {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": None},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 7}},
    )
    assert read(CHAT, stream + b"data: [DONE]\n\n", stream=True).metered.usage == Usage(9, output_text=7)


# -- 3: the SDK's stream helper ----------------------------------------------------------------------------


def test_trap_3_usage_is_in_the_last_chunk_before_the_end() -> None:
    """OpenAI's helper takes every chunk's usage, null as well: what it holds at the end must be the counts."""
    stream = told(answer(Text("hello")), CHAT, stream=True)
    assert stream.endswith(b"data: [DONE]\n\n")
    held: Any = "none yet"
    for chunk in said.events(stream):
        held = ChatCompletionChunk.model_validate(chunk).usage
    assert (held.prompt_tokens, held.completion_tokens) == (100, 30)


# -- 4: retries of retries ---------------------------------------------------------------------------------

A: Final = Endpoint("a", "m")


def test_trap_4_attempts_are_bounded_over_all_endpoints() -> None:
    """However many endpoints there are, a call makes no more attempts than its limit, since SDKs try again as well."""
    machine = Exchange()
    endpoints = tuple(Endpoint(name, "m") for name in "abcdef")
    order = e.Order(endpoints, stream=True, amount=50, timeouts=Timeouts(), max_retries=2)
    machine.feed(e.ClientRequest(1.0, order))
    out = machine.feed(e.Admitted(1.0))
    attempts = 0
    while isinstance(out[-1], c.Open):
        attempts += 1
        machine.feed(e.UpstreamOpen(2.0, attempts))
        out = machine.feed(e.UpstreamFailed(2.0, attempts, Fault.STATUS, status=503))
    assert attempts == 3


def test_trap_4_the_sdk_is_told_whether_and_when_to_try_again() -> None:
    """`x-should-retry` and `retry-after` come of these two."""
    limited = problem_of(e.UpstreamFailed(1.0, 1, Fault.STATUS, "slow down", 429, retry_after=7.0), A, 2)
    wrong = problem_of(e.UpstreamFailed(1.0, 1, Fault.STATUS, "no such field", 400), A, 1)
    assert (limited.should_retry, limited.retry_after) == (True, 7.0)
    assert wrong.should_retry is False


# -- 5, 6, 7: words and units ------------------------------------------------------------------------------


def test_trap_5_three_speeds_have_three_formulas() -> None:
    """101 tokens: 2 s until the first, 5 s from it to the last, 8 s in all."""
    stamps = Stamps(received=10.0, first_delta=12.0, last_delta=17.0, end=18.0)
    assert ttft(stamps) == 2.0
    assert output_speed(stamps, 101) == 20.0  # without the wait, as Artificial Analysis
    assert delivered_speed(stamps, 101) == 101 / 8.0  # with it, as OpenRouter's throughput
    assert time_per_output_token(stamps, 101) == 0.06  # without it, as vLLM's TPOT


def test_trap_6_prices_are_shown_per_token_and_set_per_million() -> None:
    """2.50 USD a million is 0.0000025 a token, as a text without an exponent."""
    shown = pricing(Price(parse_rate("2.50"), parse_rate("10"), cache_read=parse_rate("0.0375")))
    assert (shown["prompt"], shown["completion"], shown["input_cache_read"]) == (
        "0.0000025",
        "0.00001",
        "0.0000000375",
    )


def test_trap_7_limits_of_one_vendor_are_not_told_to_callers_of_another() -> None:
    """Anthropic's resets are times and OpenAI's are spans: Anthropic's go to its own callers under their own names."""
    assert b"anthropic-ratelimit-tokens-reset".startswith(FORMATS[ANTHROPIC].returned)
    for dialect in (CHAT, RESPONSES, GEMINI, BEDROCK):
        assert not b"anthropic-ratelimit-tokens-reset".startswith(FORMATS[dialect].returned)
        assert not b"x-ratelimit-reset-tokens".startswith(FORMATS[dialect].returned)


# -- 8: failover -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("has_begun", [False, True])
def test_trap_8_nothing_is_tried_again_once_the_caller_has_a_byte(*, has_begun: bool) -> None:
    """A stream that breaks before its first event goes to the next endpoint, one that breaks later is told broken."""
    machine = Exchange()
    order = e.Order((A, Endpoint("b", "m")), stream=True, amount=50, timeouts=Timeouts(), max_retries=2)
    machine.feed(e.ClientRequest(1.0, order))
    machine.feed(e.Admitted(1.0))
    machine.feed(e.UpstreamOpen(2.0, 1))
    head = machine.feed(e.UpstreamHead(3.0, 1, 200))
    assert not any(isinstance(command, c.SendHead) for command in head)  # the 200 waits for the first event
    if has_begun:
        machine.feed(e.UpstreamBytes(3.0, 1, b"x"))
    out = machine.feed(e.UpstreamFailed(4.0, 1, Fault.RESET))
    assert isinstance(out[-1], c.SendError if has_begun else c.Open)


# -- 9: embeddings -----------------------------------------------------------------------------------------


def test_trap_9_embeddings_are_base64_where_the_sdk_asks_for_it() -> None:
    """OpenAI's SDK does so unless it is told otherwise: little-endian float32, also from a model of Google's."""
    asked_for = read_openai_request(b'{"model":"m","input":"a","encoding_format":"base64"}')
    vectors = read_vectors(b'{"embeddings":[{"values":[0.5,-2.0]}]}')
    body = json.loads(write_openai_answer(vectors, "m", as_base64=asked_for.as_base64))
    data = base64.b64decode(body["data"][0]["embedding"])
    assert struct.unpack("<2f", data) == (0.5, -2.0)
    plain = json.loads(write_openai_answer(vectors, "m", as_base64=False))
    assert plain["data"][0]["embedding"] == [0.5, -2.0]


# -- 10: the bytes of a request ----------------------------------------------------------------------------

ODD: Final = {
    CHAT: b'{ "messages" : [{"role":"user","content":"\\u00e9\xc3\xa9 <1.0>"}],"model": "m" ,\n "temperature":1.0e0}',
    RESPONSES: b'{ "input" : [{"role":"user","content":"\\u00e9\xc3\xa9"}],"model": "m" ,\n "temperature":1.0e0}',
    ANTHROPIC: b'{ "messages" : [{"role":"user","content":"\\u00e9\xc3\xa9"}],"model": "m" ,\n"max_tokens":9,"x":1e0}',
    GEMINI: b'{ "contents" : [{"role":"user","parts":[{"text":"\\u00e9\xc3\xa9"}]}] ,\n "x":1.0e0}',
    BEDROCK: b'{ "messages" : [{"role":"user","content":[{"text":"\\u00e9\xc3\xa9"}]}] ,\n "x":1.0e0}',
}


@pytest.mark.parametrize("dialect", EACH)
def test_trap_10_no_byte_but_the_models_name_is_rewritten(dialect: Dialect) -> None:
    """A prompt cache and signed thinking break with every byte that changes: spaces, escapes, spellings of numbers."""
    body = parsed(dialect, ODD[dialect]).upstream_body("another")
    sent = body if isinstance(body, bytes) else b"".join(body)
    assert sent == ODD[dialect].replace(b'"m"', b'"another"')


# -- 11: places of tool calls ------------------------------------------------------------------------------


def test_trap_11_calls_are_numbered_densely_in_chat() -> None:
    """Anthropic counts every block, Gemini none: OpenAI's SDK wants 0, 1, 2 among the calls."""
    claude = sse(
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so"}},
        {"type": "content_block_stop", "index": 0},
        *(
            event
            for index in (1, 2)
            for event in (
                {
                    "type": "content_block_start",
                    "index": index,
                    "content_block": {"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}},
                },
                {"type": "content_block_stop", "index": index},
            )
        ),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
        named=True,
    )
    calls = [{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {}}}]
    google = sse({"candidates": [{"content": {"parts": [{"text": "so"}, *calls]}, "finishReason": "STOP"}]})
    for dialect, stream in ((ANTHROPIC, claude), (GEMINI, google)):
        chunks = list(said.events(told(read(dialect, stream, stream=True), CHAT, stream=True)))
        deltas = [
            call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", ())
        ]
        assert list(dict.fromkeys(call["index"] for call in deltas)) == [0, 1], dialect
        assert len({call["id"] for call in deltas if "id" in call}) == 2, dialect


# -- 12: chunks without a choice ---------------------------------------------------------------------------


def test_trap_12_a_first_chunk_may_have_no_choice() -> None:
    """Azure begins with what its filter says of the prompt; both readers of the dialect go on."""
    stream = sse(
        {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]},
        {"id": "x", "choices": [{"index": 0, "delta": {"content": "hello"}}]},
        {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    )
    assert read(CHAT, stream + b"data: [DONE]\n\n", stream=True).choices[0].parts == (Text("hello"),)
    passing = FORMATS[CHAT].passing(asked(CHAT, stream=True))
    forwarded = passing.feed(stream + b"data: [DONE]\n\n", 1.0)
    assert passing.is_whole
    assert b"prompt_filter_results" in forwarded


# -- pains: tool arguments lost ----------------------------------------------------------------------------

ARGUMENTS: Final = {
    "nested": '{"a":{"b":[1,{"c":null}]},"d":""}',
    "unicode": '{"city":"M\u00fcnchen \U0001f600","quote":"\\"\\\\"}',
    "lines": '{\n  "a": [1,\r\n 2],\n "code": "x\\n\\ty"\n}',
    "numbers": '{"big":12345678901234567890,"small":1e-07,"whole":1.0}',
    "empty": "{}",
}


@pytest.mark.parametrize("stream", ROUNDS, ids=["whole", "stream"])
@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("dialect", EACH)
def test_pain_tool_arguments_are_not_lost(dialect: Dialect, arguments: str, *, stream: bool) -> None:
    """Whatever a model calls a tool with arrives in every dialect, read by hand and number by number."""
    text = ARGUMENTS[arguments]
    calls = ToolCall("call_1", "f", text), ToolCall("call_2", "g", '{"second":true}')
    body = told(answer(*calls, reason=FinishReason.TOOL_CALLS, native="tool_calls"), dialect, stream=stream)
    assert said.read(dialect, body, stream=stream).calls == (
        ("f", said.spelled(text)),
        ("g", '{"second": true}'),
    )


@pytest.mark.parametrize("dialect", EACH)
def test_pain_arguments_in_pieces_are_joined(dialect: Dialect) -> None:
    """Two calls that grow by turns: each keeps its own pieces, one character at a time."""
    texts = {0: '{"a": "x"}', 1: '{"b": [1, 2]}'}
    events: list[Any] = [Started("a", "m", 1)]
    events += [Opened(part, PartKind.TOOL_CALL, f"c{part}", f"f{part}") for part in texts]
    for at in range(max(map(len, texts.values()))):
        events += [Added(part, text[at]) for part, text in texts.items() if at < len(text)]
    events += [*map(Closed, texts), Finished(FinishReason.TOOL_CALLS, "tool_calls")]
    assert [call.arguments for call in fold(events).choices[0].parts if isinstance(call, ToolCall)] == [*texts.values()]
    body = told(fold(events), dialect, stream=True)
    assert said.read(dialect, body, stream=True).calls == (("f0", '{"a": "x"}'), ("f1", '{"b": [1, 2]}'))


# -- pains: reasoning dropped ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", ROUNDS, ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", EACH)
def test_pain_reasoning_is_not_dropped(dialect: Dialect, *, stream: bool) -> None:
    """A caller of every dialect reads what the model thought, apart from what it answered."""
    body = told(answer(Reasoning("let me see", "c2ln", format=CLAUDES), Text("42")), dialect, stream=stream)
    read_by_hand = said.read(dialect, body, stream=stream)
    assert (read_by_hand.reasoning, read_by_hand.text) == ("let me see", "42")


@pytest.mark.parametrize("stream", ROUNDS, ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", EACH)
def test_pain_signatures_survive_the_way_there_and_back(dialect: Dialect, *, stream: bool) -> None:
    """Claude's signature of its thinking comes back out of what a caller was told, as Claude's."""
    body = told(answer(Reasoning("let me see", "c2ln", format=CLAUDES), Text("42")), dialect, stream=stream)
    assert b"c2ln" in body or base64.b64encode(b"c2ln") in body
    if dialect is ANTHROPIC and stream:
        check = TypeAdapter(RawMessageStreamEvent)
        kinds = [check.validate_python(event).type for event in said.events(body)]
        assert kinds[0] == "message_start"


def test_pain_geminis_signature_stays_at_its_call() -> None:
    """Gemini 3 refuses a call that comes back without it: it goes to a caller of chat and returns to Gemini."""
    call = ToolCall("call_1", "f", "{}", signature="c2ln", format=GEMINIS)
    message = json.loads(told(answer(call, reason=FinishReason.TOOL_CALLS), CHAT))["choices"][0]["message"]
    history = [
        {"role": "user", "content": "go"},
        message,
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    tools = [{"type": "function", "function": {"name": "f"}}]
    sent = json.loads(crossed(CHAT, {"messages": history, "tools": tools}, GEMINI).body)
    assert sent["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


# -- pains: cached tokens billed twice ---------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [pytest.param(dialect, id=str(dialect)) for dialect in SAME_CALL])
def test_pain_cached_tokens_are_billed_once(dialect: Dialect) -> None:
    """60 new at 10, 40 cached at 1, 30 out at 100 USD a million, whichever vendor counts: 3.64 thousandths."""
    meter, usage = SAME_CALL[dialect]
    metered = meter(msgspec.Raw(json.dumps(usage).encode()))
    assert metered.usage is not None
    bill = cost(metered.usage, Price(parse_rate(10), parse_rate(100), cache_read=parse_rate(1)))
    assert bill is not None
    assert format_usd(bill) == "0.00364"


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_pain_cached_tokens_are_told_once(one: Dialect, other: Dialect) -> None:
    """From one dialect to another and back: the caller's totals and the cached part of them stay what they were."""
    usage = read(other, told(read(one, told(answer(Text("x")), one)), other)).metered.usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read, usage.output_tokens) == (100, 40, 30)


# -- pains: finish reasons guessed -------------------------------------------------------------------------

NATIVE: Final = {
    CHAT: {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"},
    ANTHROPIC: {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "pause_turn": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "content_filter",
    },
    GEMINI: {
        "STOP": "stop",
        "MAX_TOKENS": "length",
        "SAFETY": "content_filter",
        "RECITATION": "content_filter",
        "PROHIBITED_CONTENT": "content_filter",
        "SPII": "content_filter",
        "BLOCKLIST": "content_filter",
        "MALFORMED_FUNCTION_CALL": "error",
    },
    BEDROCK: {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "tool_use": "tool_calls",
        "guardrail_intervened": "content_filter",
        "content_filtered": "content_filter",
        "malformed_tool_use": "error",
    },
}
REASONS: Final = [
    pytest.param(dialect, native, reason, id=f"{dialect}-{native}")
    for dialect, reasons in NATIVE.items()
    for native, reason in reasons.items()
]


def ended(dialect: Dialect, native: str) -> bytes:
    """A whole answer that ended so."""
    shapes: dict[Dialect, Any] = {
        CHAT: {"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": native}]},
        ANTHROPIC: {
            "type": "message",
            "content": [{"type": "text", "text": "x"}],
            "stop_reason": native,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
        GEMINI: {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": native}]},
        BEDROCK: {"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": native},
    }
    return json.dumps(shapes[dialect]).encode()


@pytest.mark.parametrize(("dialect", "native", "reason"), REASONS)
def test_pain_finish_reasons_are_not_guessed(dialect: Dialect, native: str, reason: str) -> None:
    """Each word of each vendor means what its reference says, and stays known beside it."""
    finish = read(dialect, ended(dialect, native)).choices[0].finish
    assert (finish.reason.value, finish.native) == (reason, native)


@pytest.mark.parametrize("stream", ROUNDS, ids=["whole", "stream"])
@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
@pytest.mark.parametrize("dialect", EACH)
def test_pain_finish_reasons_arrive(dialect: Dialect, reason: str, *, stream: bool) -> None:
    """Four ways to end are four ways for callers of every dialect."""
    parts = (ToolCall("c", "f", "{}"),) if reason == "tool_calls" else (Text("x"),)
    body = told(answer(*parts, reason=FinishReason(reason), native=reason), dialect, stream=stream)
    assert said.read(dialect, body, stream=stream).finish == reason


# -- pains: parameters silently ignored --------------------------------------------------------------------

PARAMETERS: Final[dict[str, Any]] = {
    "temperature": 0.5,
    "top_p": 0.25,
    "max_completion_tokens": 77,
    "stop": ["END"],
    "seed": 7,
    "frequency_penalty": 0.125,
    "presence_penalty": 0.375,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_k": 41,
    "min_p": 0.0625,
    "repetition_penalty": 1.1875,
    "user": "user-9",
    "verbosity": "low",
    "reasoning_effort": "high",
    "parallel_tool_calls": False,
    "tool_choice": "required",
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"title": "isEmpty"}}},
    "metadata": {"k": "v"},
    "service_tier": "flex",
    "prompt_cache_key": "key-1",
    "prediction": {"type": "content", "content": "guess"},
    "modalities": ["text", "audio"],
    "a_member_of_tomorrow": 1,
}
TRACES: Final = {
    "max_completion_tokens": "77",
    "stop": "END",
    "logit_bias": "50256",
    "response_format": "isEmpty",
    "metadata": '"k":"v"',
    "a_member_of_tomorrow": "a_member_of_tomorrow",
}
"""How a parameter is recognised in an upstream's request, where it is not by its value."""
TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PLAIN_BODY: Final = {"messages": [{"role": "user", "content": "hi"}], "tools": [TOOL]}


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("upstream", [RESPONSES, ANTHROPIC, GEMINI, BEDROCK])
def test_pain_no_parameter_is_ignored_in_silence(upstream: Dialect, parameter: str) -> None:
    """It changes the upstream's request, or it is named as dropped, or the call is refused with its name."""
    without = crossed(CHAT, PLAIN_BODY, upstream)
    try:
        written = crossed(CHAT, PLAIN_BODY | {parameter: PARAMETERS[parameter]}, upstream)
    except Refusal as refusal:
        named = refusal.problem.param or ""
        assert named.startswith(parameter.partition("_")[0])
        return
    is_said = written.body != without.body
    is_declared = bool(set(written.dropped) - set(without.dropped))
    assert is_said or is_declared, written.body
    if is_said and parameter in TRACES and not is_declared:
        assert TRACES[parameter].encode() in written.body.replace(b" ", b"")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_pain_a_member_of_tomorrow_is_declared(one: Dialect, other: Dialect) -> None:
    """What no version of this gateway knows goes to no other vendor, and its loss is told by the caller's own name."""
    name = "aMemberOfTomorrow" if one is GEMINI else "a_member_of_tomorrow"
    body = json.loads(ODD[one]) | {name: {"x": 1}}
    body.pop("x", None)
    written = crossed(one, body, other)
    assert name in written.dropped
    assert name.encode() not in written.body


def test_streams_of_every_dialect_are_read_in_one_piece_or_many() -> None:
    """What the tests above read at once is the same byte by byte."""
    whole = answer(Reasoning("so", "c2ln", format=CLAUDES), Text("x"), ToolCall("c", "f", '{"a":1}'))
    for dialect in Dialect:
        stream = told(whole, dialect, stream=True)
        assert fold(events_of(dialect, [bytes([byte]) for byte in stream])) == read(dialect, stream, stream=True)
