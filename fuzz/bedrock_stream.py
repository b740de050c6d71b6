"""What passes of a ConverseStream is the same however it was cut, and its reader sees the same finish, usage or fault.

Garbage ends in WireError, never in anything else, and what the reader sees can be written and read again.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from fuzz.run import pieces
from tokenway.dialects.base import Maker
from tokenway.dialects.bedrock.frames import EVENTS, event
from tokenway.dialects.bedrock.passing import PassingMessages
from tokenway.dialects.bedrock.request import parse
from tokenway.dialects.bedrock.stream import Reader
from tokenway.dialects.bedrock.writer import Writer
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Answer, Event, Failed, fold
from tokenway.wire.event_stream import MessageFrames, frame_message, make_headers, make_message

MAKER = Maker("gen-1", "m", 0, parse(Operation.CHAT, b"{}", "m", stream=True))
EXCEPTION = make_headers({":message-type": "exception", ":exception-type": "throttlingException"})
UNKNOWN = make_headers({":message-type": "event", ":event-type": "somethingNew"})

PLAIN = (
    b'messageStart{"role":"assistant"}\n'
    b'contentBlockDelta{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}\n'
    b'contentBlockDelta{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"c2ln"}}}\n'
    b'contentBlockStop{"contentBlockIndex":0}\n'
    b'contentBlockDelta{"contentBlockIndex":1,"delta":{"text":"a"}}\n'
    b'contentBlockDelta{"contentBlockIndex":1,"delta":{"text":"b"}}\n'
    b'contentBlockStop{"contentBlockIndex":1}\n'
    b'contentBlockStart{"contentBlockIndex":2,"start":{"toolUse":{"toolUseId":"t","name":"f"}}}\n'
    b'contentBlockDelta{"contentBlockIndex":2,"delta":{"toolUse":{"input":"{}"}}}\n'
    b'contentBlockStop{"contentBlockIndex":2}\n'
    b'messageStop{"stopReason":"tool_use"}\n'
    b'metadata{"usage":{"inputTokens":3,"outputTokens":2,"totalTokens":5},"metrics":{"latencyMs":9}}\n'
)
SEALED = (
    b'messageStart{"role":"assistant"}\n'
    b'contentBlockDelta{"contentBlockIndex":0,"delta":{"reasoningContent":{"redactedContent":"c2ln"}}}\n'
    b'metadata{"usage":{"inputTokens":1,"outputTokens":0,"totalTokens":1}}\n'
    b'messageStop{"stopReason":"end_turn"}\n'
)

SEEDS = (
    PLAIN,
    SEALED,
    PLAIN[:200] + b'!{"message":"slow down"}\n' + PLAIN[200:],
    PLAIN.replace(b"contentBlockStop", b"?"),
)
"""Scripts: a line is an event's name and its payload; `!` is an exception and `?` an unknown event."""


def messages(script: bytes) -> bytes:
    """A script as the bytes of a stream, its checksums right; what names no event stays as it is."""
    out = []
    for line in filter(None, script.split(b"\n")):
        name, brace, payload = line.partition(b"{")
        body = brace + payload
        if name.decode("latin-1") in EVENTS:
            out.append(event(name.decode(), body))
        elif name in {b"!", b"?"}:
            out.append(frame_message(EXCEPTION if name == b"!" else UNKNOWN, body))
        elif name.startswith(b"\xff"):
            out.append(line)
        else:
            out.append(make_message({":message-type": "event"}, body))
    return b"".join(out)


def passed(parts: list[bytes]) -> tuple[bytes, PassingMessages]:
    """What passes of these pieces, and who looked at it."""
    reader = PassingMessages()
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    return out + reader.finish(), reader


def read(data: bytes) -> list[Event]:
    """The neutral events of a stream."""
    reader = Reader()
    found = [each for frame in MessageFrames().feed(data) for each in reader.read(frame)]
    return [*found, *reader.end()]


def written(events: list[Event]) -> Answer:
    """What these events amount to after they were written and read once more."""
    writer = Writer(MAKER)
    out = b"".join([writer.write(each) for each in events])
    return fold(read(out + writer.tail(b"", b"")))


def passes(stream: bytes, chance: Random) -> PassingMessages | None:
    """Passes a stream whole and in pieces and compares; who looked at it, or None where it is broken."""
    try:
        (whole, one), (cut, other) = passed([stream]), passed(pieces(stream, chance))
    except WireError:
        return None
    assert cut == whole
    assert Counter(MessageFrames().feed(whole + one.tail(b"", b""))) <= Counter(MessageFrames().feed(stream))
    for name in ("fault", "phase", "is_whole", "is_calm", "finish_reason", "metered"):
        assert getattr(one, name) == getattr(other, name), name
    return one


def harness(data: bytes, chance: Random) -> None:
    """Passes a stream and reads it; both see the same. Reads again what is written of it."""
    stream = messages(data)
    seen = passes(stream, chance)
    try:
        events = read(stream)
    except WireError:
        return
    answer = fold(events)
    if seen is not None:
        assert bool(seen.fault) == any(isinstance(each, Failed) for each in events)
        if seen.is_whole:
            assert seen.metered.usage == answer.metered.usage
            assert seen.finish_reason == answer.choices[0].finish.native
    if answer.choices and not isinstance(events[-1], Failed):
        again = written(events)
        assert again.metered.usage == answer.metered.usage
        assert Counter(map(type, answer.choices[0].parts)) <= Counter(map(type, again.choices[0].parts))
