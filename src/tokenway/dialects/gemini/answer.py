"""Whole answers of the Gemini dialect.

A whole answer is the one frame of a stream, so it is read by the stream's reader: the two cannot say different things.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.gemini.citations import write_citations
from tokenway.dialects.gemini.logprobs import write_logprobs
from tokenway.dialects.gemini.pieces import call_piece, foreign_piece, media_piece, seal_piece, thought_piece
from tokenway.dialects.gemini.reader import Reader
from tokenway.dialects.gemini.schema import finish_word
from tokenway.dialects.gemini.usage import usage_object
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, AnswerPart, Choice, Failed, fold
from tokenway.model.request import Foreign, Media, Reasoning, Text, ToolCall

_encode: Final = msgspec.json.encode


def read_answer(body: bytes) -> Answer:
    """A whole answer with status 200; raises WireError when it is none, or has no candidate and no reason why."""
    reader = Reader()
    events = [*reader.read(body)]
    for event in events:
        if isinstance(event, Failed):
            raise WireError(f"an error came with status 200: {event.message}")
    events += reader.end(is_complete=True)
    answer = fold(events)
    if not answer.choices:
        raise WireError("the answer has no candidates")
    return answer


def write_answer(answer: Answer, maker: Maker) -> bytes:
    """A whole answer for a caller of Gemini."""
    body: dict[str, object] = {"candidates": [_candidate(choice, at) for at, choice in enumerate(answer.choices)]}
    if answer.metered.usage is not None:
        body["usageMetadata"] = usage_object(answer.metered.usage)
    body["modelVersion"] = maker.model
    body["responseId"] = maker.exchange
    return _encode(body)


def _candidate(choice: Choice, number: int) -> dict[str, object]:
    pieces: list[object] = []
    texts: dict[int, str] = {}
    indices: dict[int, int] = {}
    for place, part in enumerate(choice.parts):
        piece = _piece(part)
        if piece is not None:
            indices[place] = len(pieces)
            pieces.append(piece)
        if isinstance(part, Text):
            texts[place] = part.text
    finish = choice.finish
    found: dict[str, object] = {
        "content": {"parts": pieces, "role": "model"},
        "finishReason": finish_word(finish.reason, finish.native),
    }
    if finish.detail:
        found["finishMessage"] = finish.detail
    found["index"] = number
    if choice.citations:
        found["groundingMetadata"] = write_citations(choice.citations, texts, indices)
    logprobs = write_logprobs([each.tokens for each in choice.logprobs])
    if logprobs is not None:
        found["logprobsResult"] = logprobs
    return found


def _piece(part: AnswerPart) -> object:
    """A neutral part as Gemini has it; None for one of another vendor's own."""
    match part:
        case ToolCall():
            return call_piece(part)
        case Media():
            return media_piece(part)
        case Foreign():
            return foreign_piece(part)
        case Reasoning():
            return thought_piece(part) if part.text else seal_piece(part)
        case _:
            return {"text": part.text}
