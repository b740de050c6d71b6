"""Every count of every vendor's usage: in exactly one bucket, and the buckets' sum is the vendor's own total.

By hand from the references; the members are counted against the vendors' types, so that a new count is missed here
before it is missed on a bill.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest

from tests.property.answer_streams import STREAMS
from tests.property.answer_types import PLAIN, leaves
from tests.property.crossing import asked, read, told
from tests.replay import said
from tokenway.dialects.registry import FORMATS
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.usage import Usage

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
TYPES: Final = {
    CHAT: ("ChatCompletion", "usage"),
    RESPONSES: ("Response", "usage"),
    ANTHROPIC: ("BetaMessage", "usage"),
    GEMINI: ("GenerateContentResponse", "usageMetadata"),
    BEDROCK: ("ConverseResponse", "usage"),
}


def chat(prompt: int, completion: int, **more: Any) -> Any:
    """OpenAI's counts."""
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}


def responses(into: int, out: int, *, cached: int = 0, written: int = 0, reasoning: int = 0, **kept: int) -> Any:
    """The same in the Responses API; `kept` is how long what was written is."""
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    return {
        "input_tokens": into,
        "input_tokens_details": details | ({"cache_write_tokens_details": kept} if kept else {}),
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": into + out,
    }


def anthropic(**more: Any) -> Any:
    """Anthropic's counts, which leave the cache out of the input."""
    return {"input_tokens": 10, "output_tokens": 5, **more}


def gemini(prompt: int = 10, candidates: int = 5, **more: Any) -> Any:
    """Google's counts; `thoughts` and `tools` come on top."""
    extra = sum(more.get(name, 0) for name in ("thoughtsTokenCount", "toolUsePromptTokenCount"))
    total = prompt + candidates + extra
    return {"promptTokenCount": prompt, "candidatesTokenCount": candidates, "totalTokenCount": total, **more}


def modalities(**counts: int) -> Any:
    """Google's details of a count."""
    return [{"modality": name, "tokenCount": count} for name, count in counts.items()]


def bedrock(*, read: int = 0, written: int = 0, **more: Any) -> Any:
    """Amazon's counts: the total has the cache in it, the input has not."""
    cache = {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
    return {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15 + read + written, **cache, **more}


_ONE_HOUR: Final = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
_COMPACTION: Final = {"type": "compaction", "input_tokens": 100, "output_tokens": 20}
_CACHED: Final = {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 3, "cache_creation": _ONE_HOUR}
CASES: Final[dict[Dialect, list[tuple[Any, Usage]]]] = {
    CHAT: [
        (chat(10, 5), Usage(10, output_text=5)),
        (chat(10, 5, prompt_tokens_details={"cached_tokens": 4}), Usage(6, 4, output_text=5)),
        (chat(10, 5, prompt_tokens_details={"cache_write_tokens": 4}), Usage(6, 0, 4, output_text=5)),
        (chat(10, 5, prompt_tokens_details={"audio_tokens": 4}), Usage(6, audio_in=4, output_text=5)),
        (chat(10, 5, prompt_tokens_details={"image_tokens": 4}), Usage(6, image_in=4, output_text=5)),
        (chat(10, 5, prompt_tokens_details={"text_tokens": 10}), Usage(10, output_text=5)),
        (chat(10, 5, completion_tokens_details={"reasoning_tokens": 2}), Usage(10, output_text=3, reasoning=2)),
        (chat(10, 5, completion_tokens_details={"audio_tokens": 2}), Usage(10, output_text=3, audio_out=2)),
        (chat(10, 5, completion_tokens_details={"text_tokens": 5}), Usage(10, output_text=5)),
        (chat(10, 5, completion_tokens_details={"accepted_prediction_tokens": 2}), Usage(10, output_text=5)),
        (chat(10, 5, completion_tokens_details={"rejected_prediction_tokens": 2}), Usage(10, output_text=5)),
    ],
    RESPONSES: [
        (responses(10, 5), Usage(10, output_text=5)),
        (responses(10, 5, cached=4), Usage(6, 4, output_text=5)),
        (responses(10, 5, written=4), Usage(6, 0, 4, output_text=5)),
        (responses(10, 5, written=4, ttl_12h_tokens=3, ttl_30m_tokens=1), Usage(6, 0, 1, 3, output_text=5)),
        (responses(10, 5, reasoning=2), Usage(10, output_text=3, reasoning=2)),
    ],
    ANTHROPIC: [
        (anthropic(), Usage(10, output_text=5)),
        (anthropic(cache_read_input_tokens=7), Usage(10, 7, output_text=5)),
        (anthropic(cache_creation_input_tokens=3), Usage(10, 0, 3, output_text=5)),
        (anthropic(cache_creation_input_tokens=3, cache_creation=_ONE_HOUR), Usage(10, 0, 1, 2, output_text=5)),
        (anthropic(output_tokens_details={"thinking_tokens": 2}), Usage(10, output_text=3, reasoning=2)),
        (
            anthropic(server_tool_use={"web_search_requests": 2, "web_fetch_requests": 9}),
            Usage(10, output_text=5, searches=2),
        ),
        (anthropic(iterations=[_COMPACTION]), Usage(110, output_text=25)),
        (anthropic(iterations=[_COMPACTION | _CACHED]), Usage(110, 7, 1, 2, output_text=25)),
        (anthropic(iterations=[_COMPACTION | _CACHED | {"type": "message"}]), Usage(10, output_text=5)),
        (anthropic(iterations=[_COMPACTION | _CACHED | {"type": "advisor_message"}]), Usage(10, output_text=5)),
        (anthropic(iterations=[_COMPACTION | _CACHED | {"type": "fallback_message"}]), Usage(10, output_text=5)),
    ],
    GEMINI: [
        (gemini(), Usage(10, output_text=5)),
        (gemini(cachedContentTokenCount=4), Usage(6, 4, output_text=5)),
        (gemini(thoughtsTokenCount=3), Usage(10, output_text=5, reasoning=3)),
        (gemini(toolUsePromptTokenCount=3), Usage(13, output_text=5)),
        (gemini(promptTokensDetails=modalities(TEXT=4, AUDIO=6)), Usage(4, audio_in=6, output_text=5)),
        (gemini(promptTokensDetails=modalities(TEXT=4, IMAGE=6)), Usage(4, image_in=6, output_text=5)),
        (gemini(promptTokensDetails=modalities(VIDEO=4, DOCUMENT=6)), Usage(10, output_text=5)),
        (gemini(candidatesTokensDetails=modalities(TEXT=1, IMAGE=4)), Usage(10, output_text=1, image_out=4)),
        (gemini(candidatesTokensDetails=modalities(TEXT=1, AUDIO=4)), Usage(10, output_text=1, audio_out=4)),
        (
            gemini(
                cachedContentTokenCount=6,
                promptTokensDetails=modalities(TEXT=3, AUDIO=7),
                cacheTokensDetails=modalities(AUDIO=6),
            ),
            Usage(3, 6, audio_in=1, output_text=5),
        ),
        (
            gemini(toolUsePromptTokenCount=3, toolUsePromptTokensDetails=modalities(IMAGE=3)),
            Usage(10, image_in=3, output_text=5),
        ),
        (gemini(trafficType="ON_DEMAND"), Usage(10, output_text=5)),
    ],
    BEDROCK: [
        (bedrock(), Usage(10, output_text=5)),
        (bedrock(read=7), Usage(10, 7, output_text=5)),
        (bedrock(written=3), Usage(10, 0, 3, output_text=5)),
        (bedrock(written=3, cacheDetails=[{"ttl": "1h", "inputTokens": 2}]), Usage(10, 0, 1, 2, output_text=5)),
        (bedrock(written=3, cacheDetails=[{"ttl": "5m", "inputTokens": 3}]), Usage(10, 0, 3, output_text=5)),
    ],
}
"""A usage, and its buckets."""
NO_COUNTS: Final = frozenset(
    {
        *("usage.fallback_credit", "usage.inference_geo", "usage.service_tier", "usage.speed"),
        *(f"usage.iterations[]:{kind}.model" for kind in ("message", "advisor_message", "fallback_message")),
    }
)
"""Members of a usage that say something else than how much."""
EACH = [
    pytest.param(dialect, usage, buckets, id=f"{dialect}-{number}")
    for dialect, cases in CASES.items()
    for number, (usage, buckets) in enumerate(cases)
]


def paths(value: Any, path: str) -> set[str]:
    """The leaves of a usage, as `answer_types` names them."""
    if isinstance(value, list):
        found: set[str] = set()
        for each in value:
            tag = f":{each['type']}" if "type" in each else ""
            found |= paths(each, f"{path}[]{tag}")
        return found
    if isinstance(value, dict):
        return {inner for name, each in value.items() for inner in paths(each, f"{path}.{name}")}
    return {path}


@pytest.mark.parametrize("dialect", Dialect)
def test_every_count_is_in_a_case(dialect: Dialect) -> None:
    """By the vendor's own type; a count that is in no case would be in no bucket."""
    name = TYPES[dialect][1]
    known = {leaf.path for leaf in leaves(dialect) if leaf.path.startswith(f"{name}.")}
    known = {path for path in known if not path.startswith(tuple(NO_COUNTS))}
    cased = {path for usage, _ in CASES[dialect] for path in paths(usage, name)}
    assert known - cased == set()


def answer(dialect: Dialect, usage: Any) -> Any:
    """A small answer with these counts."""
    kind, name = TYPES[dialect]
    return PLAIN[kind] | {name: usage}


@pytest.mark.parametrize(("dialect", "usage", "buckets"), EACH)
def test_each_count_is_in_one_bucket(dialect: Dialect, usage: Any, buckets: Usage) -> None:
    """Whole and streamed, as it passes and as it is translated."""
    given = answer(dialect, usage)
    body, stream = json.dumps(given).encode(), STREAMS[dialect](given)
    form = FORMATS[dialect]
    passing = form.passing(asked(dialect, stream=True))
    passing.feed(stream, 1.0)
    passing.finish()
    metered = (
        form.read_whole(Operation.CHAT, body).metered,
        read(dialect, body).metered,
        passing.metered,
        read(dialect, stream, stream=True).metered,
    )
    assert [each.usage for each in metered] == [buckets] * 4


@pytest.mark.parametrize(("dialect", "usage", "buckets"), EACH)
def test_every_caller_is_told_the_same_totals(dialect: Dialect, usage: Any, buckets: Usage) -> None:
    """In each dialect, read by hand: what went in, what came out, what the cache gave."""
    neutral = read(dialect, json.dumps(answer(dialect, usage)).encode())
    for caller in Dialect:
        for stream in (False, True):
            counts = said.read(caller, told(neutral, caller, stream=stream), stream=stream).counts
            assert counts is not None
            assert (counts.input, counts.output) == (buckets.input_tokens, buckets.output_tokens), caller
            assert counts.cached == buckets.cache_read, caller


def test_searches_of_responses_are_counted() -> None:
    """They stand beside the usage; what is no count is none."""
    name = TYPES[RESPONSES][0]
    for count, expected in ((2, 2), (-1, 0), ("2", 0), (None, 0), (True, 0)):
        given = PLAIN[name] | {"tool_usage": {"web_search": {"num_requests": count}}}
        body = json.dumps(given).encode()
        usage = read(RESPONSES, body).metered.usage
        assert usage == msgspec.structs.replace(Usage(3, output_text=5), searches=expected)
        assert FORMATS[RESPONSES].read_whole(Operation.CHAT, body).metered.usage == usage
