"""Recorded exchanges with providers, replayed behind a gateway: what a caller of each dialect gets, and a provider.

Skipped where no file of recordings is at hand (see `tests.replay.exchanges`). What answers and requests say is read by
`tests.replay`, which shares no code with the gateway.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.e2e.gateway import KEY, Gateway, until
from tests.e2e.raw import Answer
from tests.e2e.replay import IN_PATH, PROVIDER, Caller, Replay, Reply, configuration, path, recorded, renamed
from tests.property.crossing import HELLO
from tests.replay import said, shapes
from tests.replay.exchanges import Exchange, answered, asked, exchanges, find
from tests.replay.said import Counts, Said
from tokenway.model.catalog import Dialect

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        find() is None, reason="no file of recorded exchanges is at hand; TOKENWAY_RECORDINGS names one"
    ),
]
DIALECTS = tuple(Dialect)
OPENAI = frozenset({Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES})
PAIRS = [pytest.param(*pair, id=f"{pair[0]}--{pair[1]}") for pair in permutations(DIALECTS, 2)]
EACH = [pytest.param(dialect, id=str(dialect)) for dialect in DIALECTS]
OWN_CREDENTIAL = frozenset({401, 402, 403})
"""Statuses that are about the gateway's own key: told by the gateway in its own words."""


class Scene(NamedTuple):
    """A provider that replays, the gateway before it, and a caller."""

    provider: Replay
    gateway: Gateway
    caller: Caller


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """One for all: exchanges do not mind each other."""
    async with Replay() as provider:
        gateway = await Gateway(tmp_path_factory.mktemp("gateway"), configuration(provider)).start()
        async with Caller(gateway.port) as caller:
            yield Scene(provider, gateway, caller)
        assert await gateway.stop() == 0
        assert "Traceback" not in gateway.complaints, gateway.complaints
        assert provider.errors == []


def report(faults: list[str]) -> None:
    """Fails with all that is wrong, each once, and not with the first of it only."""
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(dict.fromkeys(faults[:40]))


def hello(dialect: Dialect, model: str, *, stream: bool) -> bytes:
    """The shortest request; where a stream must be asked for its usage, it is."""
    body = dict(HELLO[dialect])
    if dialect not in IN_PATH:
        body |= {"model": model, "stream": stream}
    if dialect is Dialect.OPENAI_CHAT and stream:
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


# -- the same dialect on both sides ------------------------------------------------------------------------


def wants(body: bytes) -> dict[str, Any]:
    """What a recorded request asks for; nothing where none was recorded."""
    return json.loads(body) if body else {}


def is_for_here(each: Exchange) -> bool:
    """Whether the gateway asks a provider for this at all, and only the ones that it has."""
    wanted = wants(each.body)
    return bool(each.status) and not wanted.get("background") and "models" not in wanted and "provider" not in wanted


def is_expected(each: Exchange, sent: bytes) -> bool:
    """Whether a provider got the caller's bytes; a stream of chat's is asked for its usage behind them."""
    wanted = wants(each.body)
    options = wanted.get("stream_options") or {}
    if each.dialect is not Dialect.OPENAI_CHAT or not wanted.get("stream") or options.get("include_usage"):
        return sent == each.body
    asked_for = wanted | {"stream_options": options | {"include_usage": True}}
    return json.loads(sent) == asked_for and (bool(options) or sent.startswith(each.body.rstrip()[:-1]))


def blocks(body: bytes) -> list[bytes]:
    """A stream's events as bytes, without comments that stand alone."""
    found = re.split(rb"\r?\n\r?\n", body)
    return [each.strip() for each in found if each.strip() and not each.strip().startswith(b":")]


def unpriced(text: bytes) -> Any:
    """An object without what the gateway adds to usage."""
    value = json.loads(text)
    inner = value.get("response") if isinstance(value.get("response"), dict) else value
    for each in (value, inner):
        each.pop("tokenway", None)
        for name in ("cost", "cost_details"):
            if isinstance(each.get("usage"), dict):
                each["usage"].pop(name, None)
    return value


def data_of(block: bytes) -> bytes:
    """The data of one event."""
    return b"".join(line[5:].strip() for line in block.splitlines() if line.startswith(b"data:"))


def differs(each: Exchange, answer: bytes) -> str:
    """How an answer is not the provider's; empty where it is, but for money and what was not asked for."""
    if each.dialect is Dialect.BEDROCK or each.status != 200:
        return "" if answer == each.answer else f"the bytes differ: {answer[:300]!r}"
    if not each.stream:
        if each.dialect in {Dialect.ANTHROPIC, Dialect.GEMINI}:
            return "" if answer == each.answer else "the bytes differ"
        return "" if unpriced(answer) == unpriced(each.answer) else "the objects differ"
    there, here = blocks(each.answer), blocks(answer)
    if each.dialect is Dialect.OPENAI_RESPONSES:
        there = [block for block in there if data_of(block) != b"[DONE]"]  # a few servers add it
    options = wants(each.body).get("stream_options") or {}
    if each.dialect is Dialect.OPENAI_CHAT and each.body and not options.get("include_usage"):
        there = [block for block in there if b'"choices":[]' not in block or b'"usage"' not in block]
    if len(here) == len(there) + 1:  # usage stood in a choice's chunk, and the last chunk tells what the gateway knows
        here = [block for block in here if b'"choices":[]' not in block or b'"tokenway"' not in block]
    if len(there) != len(here):
        return f"{len(here)} events instead of {len(there)}"
    for one, other in zip(there, here, strict=True):
        is_end = data_of(one).startswith(b"[DONE]") or not data_of(one)
        if one != other and (is_end or unpriced(data_of(one)) != unpriced(data_of(other))):
            return f"{other!r} instead of {one!r}"
    return ""


@pytest.mark.parametrize("dialect", EACH)
async def test_a_dialect_passes_unchanged(scene: Scene, dialect: Dialect) -> None:
    """The provider gets the caller's bytes, the caller the provider's, streams in random pieces; errors as they are."""
    faults = []
    for each in exchanges():
        if each.dialect is not dialect or not is_for_here(each):
            continue
        model = f"{PROVIDER.format(dialect)}/{each.model}"
        body = each.body or hello(dialect, model, stream=each.stream)
        if each.body and dialect not in IN_PATH:
            body = renamed(each.body, model, each.model)
        scene.provider.got.clear()
        scene.provider.next = recorded(each, Random(each.id) if each.stream else None)
        answer = await scene.caller.ask(path(dialect, model, stream=each.stream), body)
        if not scene.provider.got:
            if not 400 <= each.status < 500 or answer.status != each.status:
                faults.append(f"{each.id}: the provider was not asked: {answer.status} {answer.body[:200]!r}")
            continue
        sent = scene.provider.got[-1].body
        if each.body and not is_expected(each, sent):
            faults.append(f"{each.id}: the request differs: {sent[:300]!r}")
        faults += [f"{each.id}: {fault}" for fault in unlike(each, answer)]
    report(faults)


def unlike(each: Exchange, answer: Answer) -> Iterator[str]:
    """How an answer is not the one that was recorded, as far as it should be."""
    is_told_anew = each.status in OWN_CREDENTIAL or is_foreign_error(each)
    if each.status == 200 and not each.has_answer:
        if answer.status != 502:
            yield f"what is no answer came through with {answer.status}"
    elif answer.status != each.status:
        yield f"{answer.status} {answer.body[:200]!r}"
    elif not is_told_anew and (how := differs(each, answer.body)):
        yield how


def is_foreign_error(each: Exchange) -> bool:
    """Whether an error has another shape than its dialect's: the gateway tells it in the dialect's own then."""
    return (
        each.dialect is Dialect.OPENAI_CHAT
        and each.status != 200
        and '"message"' not in json.dumps(json.loads(each.answer).get("error"))
    )


RELEVANT_HEADERS = {
    Dialect.OPENAI_CHAT: ("openai-processing-ms",),
    Dialect.OPENAI_RESPONSES: ("openai-processing-ms",),
    Dialect.ANTHROPIC: ("request-id", "anthropic-ratelimit-tokens-reset", "anthropic-organization-id"),
    Dialect.BEDROCK: ("x-amzn-requestid",),
    Dialect.GEMINI: ("server-timing",),
}
SENT_HEADERS = {
    Dialect.OPENAI_CHAT: {"openai-beta": "assistants=v2"},
    Dialect.OPENAI_RESPONSES: {"openai-beta": "responses=v1", "session_id": "s-1"},
    Dialect.ANTHROPIC: {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"},
    Dialect.BEDROCK: {"x-amzn-bedrock-trace": "ENABLED"},
    Dialect.GEMINI: {"x-goog-api-client": "genai-sdk/1.0"},
}


@pytest.mark.parametrize("dialect", EACH)
async def test_headers_of_a_dialect_pass_both_ways(scene: Scene, dialect: Dialect) -> None:
    """Those that mean something to the vendor and its clients; the caller's own key goes no further."""
    each = next(each for each in answered() if each.dialect is dialect and not each.stream)
    told = {name: f"value of {name}" for name in RELEVANT_HEADERS[dialect]}
    model = f"{PROVIDER.format(dialect)}/{each.model}"
    scene.provider.next = Reply(200, {"content-type": "application/json"} | told, [each.answer])
    where = path(dialect, model, stream=False)
    answer = await scene.caller.ask(where, hello(dialect, model, stream=False), SENT_HEADERS[dialect])
    assert answer.status == 200
    assert {name: answer.headers.get(name) for name in told} == told
    got = scene.provider.got[-1].headers
    assert {name: got.get(name) for name in SENT_HEADERS[dialect]} == SENT_HEADERS[dialect]
    assert KEY not in json.dumps(got)
    assert f"sk-{dialect}" in json.dumps(got)


# -- what is metered ---------------------------------------------------------------------------------------


async def test_the_ledger_has_the_providers_totals(scene: Scene) -> None:
    """Every recorded answer is booked with the tokens that its provider told, and priced by them."""
    expected: dict[str, Counts] = {}
    names: dict[str, str] = {}
    for each in answered():
        told = said.read(each.dialect, each.answer, stream=each.stream).counts
        if told is None or is_background(each):
            continue
        scene.provider.next = recorded(each)
        model = f"to-{each.dialect}"
        body = hello(each.dialect, model, stream=each.stream)
        answer = await scene.caller.ask(path(each.dialect, model, stream=each.stream), body)
        assert answer.status == 200, (each.id, answer.body[:300])
        expected[answer.headers["x-generation-id"]] = told
        names[answer.headers["x-generation-id"]] = each.id
    await until(lambda: expected.keys() <= booked(scene.gateway).keys())
    found = booked(scene.gateway)
    report(
        [
            f"{names[key]}: {found[key]} instead of {told}"
            for key, told in expected.items()
            if found[key] != (told.input, told.output, told.cached)
        ]
    )


def is_background(each: Exchange) -> bool:
    """Whether an answer only says that there will be one."""
    return b'"status":"queued"' in each.answer.replace(b" ", b"")


def booked(gateway: Gateway) -> dict[str, tuple[int, int, int]]:
    """Input, output and cached tokens of every exchange in the ledger."""
    connection = sqlite3.connect(gateway.data_dir / "tokenway.db", timeout=60)
    try:
        rows = connection.execute(
            "SELECT exchange, sum(input_uncached + cache_read + cache_write_5m + cache_write_1h + audio_in + image_in),"
            " sum(output_text + reasoning + audio_out + image_out), sum(cache_read) FROM entries GROUP BY exchange"
        ).fetchall()
    finally:
        connection.close()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


# -- answers across dialects -------------------------------------------------------------------------------

SDK_TYPES: dict[tuple[Dialect, bool], Any] = {
    (Dialect.OPENAI_CHAT, False): TypeAdapter(ChatCompletion),
    (Dialect.OPENAI_CHAT, True): TypeAdapter(ChatCompletionChunk),
    (Dialect.OPENAI_RESPONSES, False): TypeAdapter(Response),
    (Dialect.OPENAI_RESPONSES, True): TypeAdapter(ResponseStreamEvent),
    (Dialect.ANTHROPIC, False): TypeAdapter(Message),
    (Dialect.ANTHROPIC, True): TypeAdapter(RawMessageStreamEvent),
}
"""What the vendors' SDKs make of an answer, or of one event; strict about what their own types want."""


def sdk_check(dialect: Dialect, body: bytes, *, stream: bool) -> None:
    """Fails where the vendor's SDK does not understand an answer."""
    kind = SDK_TYPES.get((dialect, stream))
    if kind is not None:
        for each in said.events(body) if stream else [json.loads(body)]:
            if each.get("type") != "ping" and not is_beyond_types(each):
                kind.validate_python(each)


def is_beyond_types(answer: dict[str, Any]) -> bool:
    """Whether an answer has what OpenAI's API and OpenRouter's send and the SDK's types do not know.

    That is a custom tool's call in a chunk, and a choice that ended with an error.
    """
    choices = answer.get("choices") or [{}]
    calls = (choices[0].get("delta") or {}).get("tool_calls") or ()
    return choices[0].get("finish_reason") == "error" or any(call.get("type") == "custom" for call in calls)


PICTURE = re.compile(r"!\[[^\]]*\]\(data:[^)]*\)")
UNSPOKEN_REASONING = frozenset({Dialect.BEDROCK})
"""Dialects whose usage has no place for the tokens of reasoning."""


def canonical(told: Said, caller: Dialect) -> Said:
    """What must be the same in every dialect: a caller's dialect may have no word for the rest."""
    counts = told.counts
    if counts is not None:
        reasoning = None if caller in UNSPOKEN_REASONING else counts.reasoning or 0
        counts = replace(counts, reasoning=reasoning)
        counts = counts if counts.input or counts.output else None
    finish = told.finish or "stop"
    if finish in {"error", "stop"} and caller in {Dialect.ANTHROPIC, Dialect.GEMINI, Dialect.OPENAI_RESPONSES}:
        finish = "stop"
    if told.refused and caller not in OPENAI:
        finish = "content_filter"
    calls = tuple((name, unwrapped(arguments)) for name, arguments in told.calls if name)
    if calls and finish == "stop":
        finish = "tool_calls"
    return Said(
        text=shapes.bare(PICTURE.sub("", told.text)),
        reasoning=shapes.bare(told.reasoning),
        calls=calls,
        finish=finish,
        counts=counts,
    )


WRAPPERS = frozenset({"input", "arguments", "_raw"})
"""The one member of an object that stands for arguments which are none: a custom tool's text, a call that was cut."""


def unwrapped(arguments: str) -> str:
    """Arguments in one spelling; the free text of a custom tool is an object's one member where there are no such."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return arguments
    if isinstance(value, dict) and value.keys() <= WRAPPERS:
        texts = [text for text in value.values() if isinstance(text, str)]
        return said.spelled(texts[0]) if texts else arguments
    return arguments


def differences(wanted: Said, got: Said) -> Iterator[str]:
    """The members that differ."""
    for name in Said.__dataclass_fields__:
        if getattr(wanted, name) != getattr(got, name):
            yield f"{name}: {str(getattr(got, name))[:300]} instead of {str(getattr(wanted, name))[:300]}"


@pytest.mark.parametrize(("caller", "upstream"), PAIRS)
async def test_an_answer_crosses(scene: Scene, caller: Dialect, upstream: Dialect) -> None:
    """Text, reasoning, calls, finish and totals are those that the provider told, and the SDK understands them."""
    faults = []
    for each in answered():
        if each.dialect is not upstream or is_background(each):
            continue
        scene.provider.next = recorded(each, Random(each.id) if each.stream else None)
        model = f"to-{upstream}"
        where = path(caller, model, stream=each.stream)
        answer = await scene.caller.ask(where, hello(caller, model, stream=each.stream))
        if answer.status != 200:
            faults.append(f"{each.id}: {answer.status} {answer.body[:300]!r}")
            continue
        wanted = canonical(said.read(upstream, each.answer, stream=each.stream), caller)
        try:
            sdk_check(caller, answer.body, stream=each.stream)
            got = canonical(said.read(caller, answer.body, stream=each.stream), caller)
        except (ValueError, KeyError, TypeError) as error:
            faults.append(f"{each.id}: it cannot be read: {error!r}"[:600])
            continue
        faults += [f"{each.id}: {difference}" for difference in differences(wanted, got)]
    report(faults)


# -- requests across dialects ------------------------------------------------------------------------------


def sample(dialect: Dialect, *, stream: bool) -> Exchange:
    """Some answer of a dialect."""
    return next(each for each in answered() if each.dialect is dialect and each.stream is stream)


def strings(value: Any) -> Iterator[str]:
    """Every text in an object, and in JSON that stands in a text."""
    if isinstance(value, str):
        yield value
        if value[:1] in {"{", "["}:
            try:
                yield from strings(json.loads(value))
            except ValueError:
                return
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def lost(each: Exchange, sent: bytes) -> list[str]:
    """The words of a request that its provider did not get."""
    there = shapes.bare(" ".join(strings(json.loads(sent))))
    return [piece for piece in shapes.words(each.dialect, json.loads(each.body)) if shapes.bare(piece) not in there]


STREAM_TYPES = ("text/event-stream", "application/vnd.amazon.eventstream")
UNSAYABLE = {
    "top_k": OPENAI,
    "container": frozenset(DIALECTS) - {Dialect.ANTHROPIC},
    "seed": frozenset({Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.OPENAI_RESPONSES}),
    "presence_penalty": frozenset({Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.OPENAI_RESPONSES}),
    "frequency_penalty": frozenset({Dialect.ANTHROPIC, Dialect.BEDROCK, Dialect.OPENAI_RESPONSES}),
    "safetySettings": frozenset(DIALECTS) - {Dialect.GEMINI},
    "cachedContent": frozenset(DIALECTS) - {Dialect.GEMINI},
    "context_management": frozenset(DIALECTS) - {Dialect.OPENAI_RESPONSES, Dialect.ANTHROPIC},
}
"""Members at the top of a request that upstreams have no word for."""


def unsayable(each: Exchange, upstream: Dialect) -> Iterator[str]:
    """The members of a request that this upstream cannot be told, and those that nobody knows."""
    for name, value in wants(each.body).items():
        if value in (None, [], {}):
            continue
        if upstream in UNSAYABLE.get(name, ()) or name.startswith("someNew"):
            yield name


def judged(each: Exchange, answer: Answer, got: list[bytes], upstream: Dialect) -> Iterator[str]:
    """What is wrong with how a request crossed."""
    if answer.status == 400:
        if not re.search(rb'"param"|"field"|\'[a-zA-Z_]+[\[\].\w]*\'', answer.body):
            yield f"refused without a place: {answer.body[:300]!r}"
        return
    if answer.status != 200:
        yield f"{answer.status} {answer.body[:300]!r}"
        return
    stream = answer.headers["content-type"].startswith(STREAM_TYPES)
    try:
        said.read(each.dialect, answer.body, stream=stream)
    except (KeyError, TypeError, ValueError) as error:
        yield f"the answer cannot be read: {error!r}"[:300]
    told = answer.headers.get("x-tokenway-dropped", "").split(",")
    for name in unsayable(each, upstream):
        if name not in told:
            yield f"'{name}' is lost and not declared: {told}"
    try:
        shapes.check(upstream, got[-1])
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        yield f"the upstream's request is not valid: {error!r}"[:300]
    if missing := lost(each, got[-1]):
        yield f"lost: {missing[:3]}"[:300]


@pytest.mark.parametrize(("caller", "upstream"), PAIRS)
async def test_a_request_crosses(scene: Scene, caller: Dialect, upstream: Dialect) -> None:
    """The upstream gets a valid request with every word of the caller's, or the caller is told what cannot be said."""
    faults = []
    refused = crossed = 0
    for each in asked():
        wanted = wants(each.body)
        if each.dialect is not caller or wanted.get("background") or "provider" in wanted:
            continue
        model = f"to-{upstream}"
        body = each.body if caller in IN_PATH or not wanted.get("model") else renamed(each.body, model, each.model)
        if caller not in IN_PATH and not wanted.get("model"):
            body = json.dumps(wanted | {"model": model}).encode()
        stream = each.stream if caller in IN_PATH else wanted.get("stream") is True
        scene.provider.got.clear()
        scene.provider.next = recorded(sample(upstream, stream=stream))
        answer = await scene.caller.ask(path(caller, model, stream=stream), body)
        faults += [
            f"{each.id}: {fault}" for fault in judged(each, answer, [got.body for got in scene.provider.got], upstream)
        ]
        refused += answer.status == 400
        crossed += answer.status == 200
    report(faults)
    assert crossed > 2 * refused
