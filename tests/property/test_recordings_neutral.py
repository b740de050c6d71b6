"""Recorded exchanges through the neutral form: read, cut in every way, written in every dialect and read again.

Skipped where no file of recordings is at hand (see `tests.replay.exchanges`).
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from tests.fake_provider.aws import split
from tests.property.crossing import IN_PATH, UPSTREAM, events_of, parsed, read, told
from tests.replay.exchanges import Exchange, answered, asked, exchanges, find
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect
from tokenway.model.errors import Refusal
from tokenway.model.event import Answer, Ended, Failed, Finished, FinishReason, Started, fold, unfold
from tokenway.model.request import Media, Reasoning, Request, Text, ToolCall, ToolMode, ToolResult
from tokenway.model.request import Refusal as RefusalPart

pytestmark = pytest.mark.skipif(
    find() is None, reason="no file of recorded exchanges is at hand; TOKENWAY_RECORDINGS names one"
)
EACH = [pytest.param(dialect, id=str(dialect)) for dialect in Dialect]
PAIRS = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect]
IS_TIMELESS = frozenset({Dialect.GEMINI, Dialect.BEDROCK})
SERVER_STATE = {"previous_response_id", "conversation", "background"}
"""Members that stand for what only the provider has, or that ask for no answer now."""


def is_made(each: Exchange) -> bool:
    """Whether an answer is there, and not only promised."""
    return b'"status":"queued"' not in each.answer.replace(b" ", b"")


def of(dialect: Dialect, *, stream: bool | None = None) -> list[Exchange]:
    """The answered exchanges of a dialect."""
    every = [each for each in answered() if each.dialect is dialect and is_made(each)]
    return [each for each in every if stream is None or each.stream is stream]


def neutral(each: Exchange) -> Request:
    """A recorded request in the neutral form."""
    return parsed(each.dialect, each.body, model=each.model, stream=each.stream).neutral()


# -- reading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", EACH)
def test_every_answer_is_read(dialect: Dialect) -> None:
    """Each has a choice with an end, and says something, calls something or says why it does not."""
    seen = of(dialect)
    assert len(seen) > 50
    for each in seen:
        answer = read(dialect, each.answer, stream=each.stream)
        for choice in answer.choices:
            assert isinstance(choice.finish.reason, FinishReason), each.id
        assert answer.choices, each.id


@pytest.mark.parametrize("dialect", EACH)
def test_every_request_is_read(dialect: Dialect) -> None:
    """Requests that a provider took are taken, but for what only that provider has in store."""
    seen = 0
    refused: set[str] = set()
    for each in asked():
        if each.dialect is not dialect:
            continue
        try:
            request = neutral(each)
        except Refusal as refusal:
            refused.add(refusal.problem.param or each.id)
            continue
        assert request.messages, each.id
        assert request.stream is (each.stream if dialect in IN_PATH else b'"stream": true' in spaced(each.body)), (
            each.id
        )
        seen += 1
    assert refused <= SERVER_STATE
    assert seen > 50


def spaced(body: bytes) -> bytes:
    """A body in one spelling."""
    return json.dumps(json.loads(body)).encode()


def test_errors_of_providers_are_understood() -> None:
    """Each that is an error of its dialect is told to be, with its message."""
    seen = 0
    for each in exchanges():
        if each.status < 400:
            continue
        said = FORMATS[each.dialect].read_error(each.status, each.answer)
        assert said.message, each.id
        seen += 1
    assert seen > 15


@pytest.mark.parametrize("dialect", EACH)
def test_events_come_in_their_order(dialect: Dialect) -> None:
    """A beginning first and once, one finish a choice, and nothing after the end."""
    for each in of(dialect, stream=True):
        events = events_of(dialect, [each.answer])
        assert isinstance(events[0], Started), each.id
        assert not any(isinstance(event, Started | Failed) for event in events[1:]), each.id
        assert not any(isinstance(event, Ended) for event in events[:-1]), each.id
        finished = [event.choice for event in events if isinstance(event, Finished)]
        assert len(finished) == len(set(finished)), each.id


def test_a_responses_stream_and_its_last_event_say_the_same() -> None:
    """The last event of such a stream has the whole answer: what was folded from the deltas must be that."""
    seen = 0
    for each in of(Dialect.OPENAI_RESPONSES, stream=True):
        last = re.findall(rb'^data: (\{.*"type": ?"response\.(?:completed|incomplete)".*)$', each.answer, re.MULTILINE)
        whole = json.loads(last[-1])["response"]
        if not whole["output"]:
            continue  # a few servers leave it empty
        streamed = read(each.dialect, each.answer, stream=True)
        assert gist(streamed) == gist(read(each.dialect, json.dumps(whole).encode())), each.id
        seen += 1
    assert seen > 4


@pytest.mark.parametrize("dialect", EACH)
def test_a_whole_answer_and_its_stream_are_one(dialect: Dialect) -> None:
    """What is taken apart into events and put together again is what it was."""
    for each in of(dialect, stream=False):
        answer = read(dialect, each.answer)
        assert fold(unfold(answer)) == answer, each.id


# -- cutting -----------------------------------------------------------------------------------------------


def cut(body: bytes, at: list[int]) -> list[bytes]:
    """A body in pieces."""
    return [body[start:end] for start, end in pairwise(sorted({0, len(body), *at}))]


@pytest.mark.parametrize("dialect", EACH)
def test_any_pieces_give_the_same(dialect: Dialect) -> None:
    """Byte by byte, at random, and in the middle of every character that takes several bytes."""
    seen = 0
    for each in of(dialect, stream=True):
        chance = Random(each.id)
        body = each.answer
        whole = events_of(dialect, [body])
        inside = [at for at, byte in enumerate(body) if byte & 0xC0 == 0x80]
        ways = [list(range(len(body))), inside]
        ways += [[chance.randrange(len(body)) for _ in range(9)] for _ in range(4)]
        for at in ways:
            assert fold(events_of(dialect, cut(body, at))) == fold(whole), each.id
        seen += 1
    assert seen > 3


@pytest.mark.parametrize(
    "dialect", [pytest.param(each, id=str(each)) for each in Dialect if each is not Dialect.BEDROCK]
)
def test_other_line_ends_and_comments_give_the_same(dialect: Dialect) -> None:
    """Server-sent events may end their lines with CRLF, and comments may stand between them."""
    for each in of(dialect, stream=True):
        lines = re.split(rb"\r?\n", each.answer)
        expected = fold(events_of(dialect, [each.answer]))
        assert fold(events_of(dialect, [b"\r\n".join(lines)])) == expected, each.id
        commented = re.sub(rb"\r?\n\r?\n", b"\n\n: comment\n\n", each.answer)
        assert fold(events_of(dialect, cut(commented, list(range(0, len(commented), 7))))) == expected, each.id


def test_bedrocks_messages_are_the_recorded_ones() -> None:
    """The reader of AWS's encoding finds what a reader by hand finds."""
    for each in of(Dialect.BEDROCK, stream=True):
        by_hand = [json.loads(payload) for _, payload in split(each.answer)]
        assert len(FORMATS[Dialect.BEDROCK].framing().feed(each.answer)) == len(by_hand) > 3, each.id


# -- writing and reading again -----------------------------------------------------------------------------


def gist(answer: Answer) -> dict[str, Any]:
    """What must survive in every dialect: texts, calls with their arguments, reasoning, counts, and how it ended."""
    choice = answer.choices[0]
    usage = answer.metered.usage
    return {
        "text": bare("".join(part.text for part in choice.parts if isinstance(part, Text | RefusalPart))),
        "reasoning": bare("".join(part.text for part in choice.parts if isinstance(part, Reasoning))),
        "calls": [(part.name, arguments(part)) for part in choice.parts if isinstance(part, ToolCall)],
        "counts": None if usage is None else (usage.input_tokens, usage.output_tokens, usage.cache_read),
        "reason": choice.finish.reason,
    }


def bare(text: str) -> str:
    """Text without white space and without pictures, which are text where there is no other place for them."""
    return re.sub(r"\s+", "", re.sub(r"!\[[^\]]*\]\(data:[^)]*\)", "", text))


def has_no_picture(answer: Answer) -> bool:
    """Whether the data of a picture was cut out of a recording: it is no base64 any more."""
    media = [part for part in answer.choices[0].parts if isinstance(part, Media)]
    return any(len(part.data) % 4 for part in media)


def arguments(call: ToolCall) -> Any:
    """Arguments as JSON; free text, and what is no JSON, as the text that some dialects wrap into an object."""
    try:
        value = json.loads(call.arguments or "{}")
    except ValueError:
        return call.arguments
    if isinstance(value, dict) and value.keys() <= {"input", "arguments", "_raw"} and value:
        (text,) = value.values()
        try:
            return json.loads(text)
        except ValueError:
            return text
    return value


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_was_written_is_read_again(one: Dialect, other: Dialect, *, stream: bool) -> None:
    """From the provider's dialect into a caller's and back into the neutral form: nothing of the answer is lost."""
    for each in of(one):
        answer = read(one, each.answer, stream=each.stream)
        if answer.choices[0].finish.reason is FinishReason.ERROR or has_no_picture(answer):
            continue
        again = gist(read(other, told(answer, other, stream=stream), stream=stream))
        expected = gist(answer)
        if expected["counts"] is None and again["counts"] == (0, 0, 0):
            again["counts"] = None  # Anthropic's answers always have counts
        assert again == expected, each.id


def words(request: Request) -> dict[str, Any]:
    """What a request says in its turns, without what only one vendor understands."""
    parts = [part for message in request.messages for part in message.parts]
    results = [
        item.text for part in parts if isinstance(part, ToolResult) for item in part.content if isinstance(item, Text)
    ]
    return {
        "text": [bare(part.text) for part in parts if isinstance(part, Text)],
        "calls": [(part.name, arguments(part)) for part in parts if isinstance(part, ToolCall)],
        "results": sorted(bare(text) for text in results if bare(text)),
        "tools": [tool.name for tool in request.tools if not tool.hosted],
        "stops": request.stop,
    }


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_request_that_was_written_is_read_again(one: Dialect, other: Dialect) -> None:
    """Its texts, calls, results and tools arrive, or what is missing is declared, or it is refused with a place."""
    seen = 0
    unplaced: list[str] = []
    for each in asked():
        if each.dialect is not one:
            continue
        try:
            request = neutral(each)
            written = FORMATS[other].write_request(request, UPSTREAM)
        except Refusal as refusal:
            unplaced += [each.id] * (refusal.problem.param is None)
            continue
        again = parsed(other, written.body).neutral()
        there = "".join(words(again)["text"])
        assert [text for text in words(request)["text"] if text not in there] == [], each.id
        assert words(again)["calls"] == words(request)["calls"], each.id
        choice = request.tool_choice
        is_free = choice is None or (choice.mode is not ToolMode.NONE and not choice.names)
        if is_free and not {"tools", "custom"} & set(written.dropped):
            assert set(words(again)["tools"]) >= set(words(request)["tools"]), each.id
        if "stop" not in written.dropped:
            assert again.stop == request.stop, each.id
        assert msgspec.json.decode(written.body), each.id
        seen += 1
    assert unplaced == []
    assert seen > 40
