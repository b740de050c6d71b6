"""What a chat stream is read as is the same however it was cut, and a caller's stream of it is read as the same again.

The events follow the grammar of `model.event`: parts open before they grow, close once, and none is open when its
choice finishes. Garbage ends in WireError, never in anything else.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.dialects.base import Maker
from tokenway.dialects.openai_chat.answer import write_answer
from tokenway.dialects.openai_chat.request import parse
from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.dialects.openai_chat.stream_writer import make_writer
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Answer, Closed, Event, Failed, Finished, Opened, Started, Whole, fold
from tokenway.model.request import Text
from tokenway.wire.sse import DataFrames

HEAD = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
TEXT = HEAD + b'{"content":"x"}}]}\n\n'
THOUGHT = HEAD + b'{"reasoning_details":[{"type":"reasoning.text","text":"t","index":0,"format":"f"}]}}]}\n\n'
SEAL = HEAD + b'{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]}}]}\n\n'
CALL = HEAD + b'{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":"{"}}]}}]}\n\n'
MORE = HEAD + b'{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}}]}\n\n'
CITED = HEAD + b'{"annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"t"}}]}}]}\n\n'
LAST = HEAD + b'{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
END = b"data: [DONE]\n\n"

SEEDS = (
    THOUGHT * 2 + SEAL + TEXT * 3 + CITED + LAST + USAGE + END,
    b": ping\n\n" + TEXT + CALL + MORE + MORE + CALL.replace(b'"x"', b'"y"') + LAST + END,
    (TEXT + THOUGHT + TEXT).replace(b'"index":0,"delta"', b'"index":1,"delta"') + TEXT + LAST + END,
    TEXT + b'data: {"error":{"message":"overloaded","code":529}}\n\n',
    HEAD + b'{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]}],"images":[]}}]}\n\n' + LAST,
)

REQUEST = parse(
    Operation.CHAT, b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true},"n":1}'
)


def read(parts: list[bytes]) -> list[Event]:
    """The events of a stream in these pieces."""
    frames, reader = DataFrames(), Reader()
    events: list[Event] = []
    for part in parts:
        for frame in frames.feed(part):
            events += reader.read(frame) if frame else ()
    for frame in frames.rest():
        events += reader.read(frame)
    return [*events, *reader.end()]


def check(events: list[Event]) -> None:
    """The grammar of a stream of events."""
    opened: set[tuple[int, int]] = set()
    seen: set[tuple[int, int]] = set()
    finished: set[int] = set()
    for number, event in enumerate(events):
        assert isinstance(event, Started) is (number == 0) or isinstance(event, Failed)
        if isinstance(event, Opened | Whole):
            place = (event.choice, event.part)
            assert place not in seen
            assert event.choice not in finished
            seen.add(place)
            opened |= {place} if isinstance(event, Opened) else set()
        elif isinstance(event, Added):
            assert event.text
            assert (event.choice, event.part) in opened
        elif isinstance(event, Closed):
            opened.remove((event.choice, event.part))
        elif isinstance(event, Finished):
            assert all(choice != event.choice for choice, _ in opened)
            finished.add(event.choice)


def said(answer: Answer) -> list[str]:
    """The text of each choice that has any."""
    texts = ["".join(part.text for part in choice.parts if isinstance(part, Text)) for choice in answer.choices]
    return [text for text in texts if text]


def harness(data: bytes, chance: Random) -> None:
    """Reads the data whole and in pieces, and what is written of it."""
    try:
        whole = read([data])
        cut = read(pieces(data, chance))
    except WireError:
        return
    assert cut == whole
    check(whole)
    answer = fold(whole)
    maker = Maker("gen", "m", 1, REQUEST)
    writer = make_writer(maker)
    written = b"".join([writer.write(event) for event in whole]) + writer.tail(b"", b"")
    assert said(fold(read([written]))) == said(answer)
    assert said(read_answer(write_answer(answer, maker))) == said(answer)
