"""Whole answers of the Responses dialect: read and written by the same code as its streams, so they cannot differ."""

from __future__ import annotations

from tokenway.dialects.base import Maker
from tokenway.dialects.openai_responses.reader import Reader
from tokenway.dialects.openai_responses.writer import Writer
from tokenway.model.event import Answer, fold, unfold


def read_answer(body: bytes) -> Answer:
    """A response object with status 200; raises WireError when it is none, or when it has failed."""
    return fold(Reader().whole(body))


def write_answer(answer: Answer, maker: Maker) -> bytes:
    """The response object for an answer; of several choices only the first has a place."""
    writer = Writer(maker)
    for event in unfold(answer):
        writer.write(event)
    return writer.response()
