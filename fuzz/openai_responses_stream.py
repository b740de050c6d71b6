"""Whatever an upstream of the Responses API sends, how it is cut changes neither what passes nor what is read of it.

What passes is made of the upstream's own bytes. Garbage is passed on, set down as a fault, ignored, or ends in
WireError, never in anything else; and what was read of a whole answer can be written and read again.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.dialects.base import Maker
from tokenway.dialects.openai_responses.passing import PassingResponses
from tokenway.dialects.openai_responses.reader import Reader
from tokenway.dialects.openai_responses.request import parse
from tokenway.dialects.openai_responses.writer import Writer
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Ended, Event, fold
from tokenway.wire.sse import DataFrames, split_events

HEAD = b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","model":"m"}}\n\n'
ITEM = (
    b'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}\n\n'
    b'data: {"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text"}}\n\n'
)
DELTA = b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"x","logprobs":[]}\n\n'
CALL = (
    b'data: {"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"c"}}\n\n'
    b'data: {"type":"response.function_call_arguments.delta","output_index":1,"delta":"{}"}\n\n'
    b'data: {"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","arguments":"{}"}}\n\n'
)
THOUGHT = (
    b'data: {"type":"response.reasoning_summary_text.delta","output_index":2,"summary_index":1,"delta":"hm"}\n\n'
    b'data: {"type":"response.output_item.done","output_index":2,"item":{"type":"reasoning",'
    b'"encrypted_content":"g"}}\n\n'
)
END = (
    b'event: response.completed\ndata: {"type":"response.completed","response":{"status":"completed","output":[],'
    b'"usage":{"input_tokens":3,"output_tokens":2,"total_tokens":5}}}\n\n'
)

SEEDS = (
    HEAD + ITEM + DELTA * 3 + CALL + THOUGHT + END,
    HEAD + b": ping\n\n" + ITEM + DELTA + b'data: {"type":"error","message":"overloaded"}\n\n' + END,
    (HEAD + DELTA + END).replace(b"\n\n", b"\r\n\r\n") + b"data: [DONE]\n\n" + DELTA,
    HEAD + THOUGHT + DELTA + END.removesuffix(b"\n\n"),
    b'data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"oh"}}}\n\n',
    b"<html>502 Bad Gateway</html>",
)
COST, EXTRA = b'"cost":1', b'"tokenway":{}'
MAKER = Maker("gen-1", "m", 1, parse(Operation.CHAT, b'{"model":"m","input":"hi"}', "", False))


def passed(parts: list[bytes]) -> tuple[bytes, PassingResponses]:
    """What is forwarded of these pieces, and the reader."""
    reader = PassingResponses()
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    return out + reader.finish(), reader


def events(out: bytes) -> list[bytes]:
    """The events in there; blank lines between two of them mean nothing."""
    return [event for event in (event.strip(b"\r\n") for event in split_events(out)) if event]


def read(parts: list[bytes]) -> list[Event]:
    """The neutral events of these pieces."""
    framing, reader = DataFrames(), Reader()
    frames = [frame for part in parts for frame in framing.feed(part)] + framing.rest()
    return [event for frame in frames if frame for event in reader.read(frame)]


def check_passing(data: bytes, cut: list[bytes]) -> None:
    """Forwards the data whole and in pieces, and compares."""
    try:
        whole, one = passed([data])
        part, other = passed(cut)
    except WireError:
        return
    if one.fault or other.fault:
        assert one.fault == other.fault
        return  # what comes after a fault is nobody's answer
    assert events(part) == events(whole)
    assert (one.phase, one.is_whole, one.finish_reason) == (other.phase, other.is_whole, other.finish_reason)
    assert one.metered.usage == other.metered.usage
    assert events(one.tail(COST, EXTRA)) == events(other.tail(COST, EXTRA))


def check_reading(data: bytes, cut: list[bytes]) -> None:
    """Reads the data whole and in pieces, and writes what came of it."""
    try:
        found = read([data])
    except WireError:
        found = []
    try:
        assert read(cut) == found
    except WireError:
        assert not found
    if not found or not isinstance(found[-1], Ended):
        return
    writer = Writer(MAKER)
    out = b"".join([writer.write(event) for event in found]) + writer.tail(b"", b"")
    again = fold(read([out]))
    assert again.metered.usage == fold(found).metered.usage
    assert len(again.choices) == 1


def harness(data: bytes, chance: Random) -> None:
    """Both ways of a stream."""
    cut = pieces(data, chance)
    check_passing(data, cut)
    check_reading(data, cut)
