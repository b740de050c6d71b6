"""Neutral answers for the tests of both writers, and who asks for them."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.request import parse
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.catalog import Operation
from tokenway.model.event import Answer, Choice, Cited, Finished, FinishReason, Logprobs
from tokenway.model.request import Media, MediaKind, Reasoning, Refusal, Text, ToolCall
from tokenway.model.usage import Metered, Usage

USAGE: Final = Usage(1, 2, 3, 0, 5, 6, 7, 8, 9, 10)
TOKENS: Final = b'[{"token":"h","logprob":-1,"bytes":null,"top_logprobs":[]}]'

FULL: Final = Choice(
    (
        Reasoning("think", "sig", format=ANTHROPIC),
        Reasoning(sealed="SEALED", format=ANTHROPIC),
        Reasoning("sum", sealed="ENC", format=OPENAI, summary=True, id="rs_1"),
        Reasoning("more"),
        Text("hello wörld"),
        Media(MediaKind.IMAGE, "image/png", "iVBORw0KGgo="),
        ToolCall("c1", "f", '{"a":1}', signature="gsig", format=GEMINI),
        ToolCall("c2", "g", "ls", custom=True),
    ),
    Finished(FinishReason.TOOL_CALLS, "tool_use"),
    (Cited(4, "http://u", "t", "body", 0, 5), Cited(4, "http://v", "w")),
    (Logprobs(4, msgspec.Raw(TOKENS)),),
)
"""A choice with everything that the dialect has a place for."""
REFUSED: Final = Choice((Refusal("no"),), Finished(FinishReason.CONTENT_FILTER, "refusal", choice=1))
ANSWER: Final = Answer("msg", "claude", 3, (FULL, REFUSED), Metered(given=True, usage=USAGE))
SAID: Final = Choice((Text("a"),), Finished(FinishReason.STOP, "stop"))
PLAIN: Final = Answer("msg", "claude", 3, (SAID,), Metered(given=True, usage=USAGE))


def maker(operation: Operation = Operation.CHAT, *, usage: bool = True, choices: int = 1) -> Maker:
    """Who asks."""
    body: dict[str, Any] = {"model": "m", "messages": [], "prompt": "p", "stream": True, "n": choices}
    body["stream_options"] = {"include_usage": usage}
    return Maker("gen-1", "m", 5, parse(operation, json.dumps(body).encode()))


def apart(answer: Answer) -> Answer:
    """The answer without what the writer says of itself: id, model and time."""
    return msgspec.structs.replace(answer, id="", model="", created=0)
