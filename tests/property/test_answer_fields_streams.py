"""Every field of every vendor's answer in a stream: the caller's SDK puts together what it would have got whole."""

from __future__ import annotations

import json
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import pytest
from openai.types.responses import ResponseStreamEvent

from tests.property.answer_places import sample
from tests.property.answer_sdks import STREAM, WHOLE, join
from tests.property.answer_streams import STREAMS, responses_events, sse
from tests.property.answer_types import PLAIN, Shape, least, of_model
from tests.property.crossing import maker
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation, translate_answer
from tokenway.model.catalog import Dialect
from tokenway.model.errors import WireError

CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK = Dialect
PAIRS = [pytest.param(one, other, id=f"{one}--{other}") for one in Dialect for other in Dialect if one is not other]
ONLY_WHOLE: Final = tuple(f"output.message.content[].{kind}" for kind in ("document", "video", "audio"))
"""Blocks that no stream of Bedrock's can have, by its service model."""

_maker = cache(maker)


def streamed(upstream: Dialect, caller: Dialect, stream: bytes) -> bytes:
    """A stream as the caller gets it."""
    found = Translation(FORMATS[upstream], FORMATS[caller], maker(caller, stream=True))
    out = found.feed(stream, 1.0) + found.finish()
    assert found.is_whole, found.fault
    return out + found.tail(b"", b"")


@pytest.mark.parametrize(("upstream", "caller"), PAIRS)
def test_a_stream_amounts_to_the_whole_answer(upstream: Dialect, caller: Dialect) -> None:
    """What the SDK makes of the events is what it reads of the whole, but for what `ALIKE` has a reason for."""
    alike = ALIKE[caller]
    for leaf in sample(upstream):
        if upstream is BEDROCK and leaf.path.startswith(ONLY_WHOLE):
            continue
        for value in leaf.values[:2]:
            answer = leaf.make(value)
            body = json.dumps(answer, separators=(",", ":")).encode()
            try:
                whole = translate_answer(FORMATS[upstream], FORMATS[caller], body, _maker(caller))[1]
            except WireError:
                continue  # no answer: `test_answer_fields_words` has what a stream does then
            stream = streamed(upstream, caller, STREAMS[upstream](answer))
            assert given(alike(STREAM[caller](stream))) == given(alike(WHOLE[caller](whole))), leaf.path


def given(value: Any) -> Any:
    """Without what is null: SDKs fill it in."""
    if isinstance(value, dict):
        return {key: given(each) for key, each in value.items() if each is not None}
    return [given(each) for each in value] if isinstance(value, list) else value


def _chat(answer: Any) -> Any:
    """OpenAI's SDK keeps nothing of a choice but what it knows, and an index of every item of a list.

    A summary's `format` is known with its seal, which a stream brings at its end. No content is an empty one.
    """
    for choice in answer["choices"]:
        for name in ("native_finish_reason", "error"):
            choice.pop(name, None)
        message = choice["message"]
        message["content"] = message.get("content") or None
        for item in [*(message.get("annotations") or ()), *(message.get("tool_calls") or ())]:
            item.pop("index", None)
        for detail in message.get("reasoning_details") or ():
            if detail["type"] == "reasoning.summary":
                detail.pop("format", None)
    return answer


def _anthropic(answer: Any) -> Any:
    """The last event of a stream has no place for the split of what was written to the cache."""
    answer["usage"].pop("cache_creation", None)
    return answer


def _gemini(answer: Any) -> Any:
    """Texts that follow each other are one."""
    for candidate in answer["candidates"]:
        parts: list[Any] = []
        for part in candidate["content"]["parts"]:
            join(parts, part)
        candidate["content"]["parts"] = parts
    return answer


def _bedrock(answer: Any) -> Any:
    """Whole, the sources of a text are a block behind it."""
    blocks: list[Any] = []
    for block in answer["output"]["message"]["content"]:
        if block.keys() == {"citationsContent"}:
            blocks[-1] = blocks[-1] | {"citations": block["citationsContent"]["citations"]}
        else:
            blocks.append(block)
    answer["output"]["message"]["content"] = blocks
    return answer


ALIKE: Final[dict[Dialect, Callable[[Any], Any]]] = {
    CHAT: _chat,
    RESPONSES: lambda answer: answer,
    ANTHROPIC: _anthropic,
    GEMINI: _gemini,
    BEDROCK: _bedrock,
}
"""By the caller's dialect, what a stream and a whole answer differ in."""


# -- the events of Responses -------------------------------------------------------------------------------

LIFE: Final = ("response.created", "response.in_progress", "response.queued", "error")
ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


def events_of_tools() -> Iterator[Any]:
    """The smallest event of each of the SDK's types that is about something only OpenAI has."""
    for kind in typing.get_args(typing.get_args(ResponseStreamEvent)[0]):
        shape: Shape = of_model(kind)
        name = shape.tag
        if name not in {*LIFE, *ENDS} and not name.startswith(("response.output_", "response.content_part")):
            yield least(shape) | {"type": name, "output_index": 7}


@pytest.mark.parametrize("caller", [each for each in Dialect if each is not RESPONSES])
def test_events_of_hosted_tools_change_nothing(caller: Dialect) -> None:
    """What a tool of OpenAI's tells of itself is passed over, wherever it comes."""
    whole = PLAIN["Response"]
    plain = list(responses_events(whole))
    expected = streamed(RESPONSES, caller, STREAMS[RESPONSES](whole))
    seen = 0
    for event in events_of_tools():
        if event["type"].startswith(("response.reasoning", "response.refusal", "response.function", "response.custom")):
            continue
        for place in range(1, len(plain)):
            events = [*plain[:place], event, *plain[place:]]
            assert streamed(RESPONSES, caller, sse(*events, named=True)) == expected, (event, place)
        seen += 1
    assert seen > 25
