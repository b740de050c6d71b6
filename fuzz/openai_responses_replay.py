"""Whatever a provider sends, the stream of a response in the background is one: numbered without a gap, under our id.

What is kept at its end can be told again, and says how it ended; what is no response is a WireError.
"""

from __future__ import annotations

import json
from random import Random

from fuzz.openai_responses_stream import SEEDS as STREAMS
from fuzz.run import pieces
from tokenway.dialects.openai_responses.replay import Story, replay
from tokenway.model.errors import WireError
from tokenway.wire.sse import EventSplitter, event_data, split_events

OURS = b'{"id":"resp_ours","object":"response","status":"in_progress","background":true,"output":[]}'
FAILED = OURS.replace(b"in_progress", b"failed")
OUTPUT = (
    b'[{"type":"message","id":"m","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[{}],'
    b'"logprobs":[]},{"type":"refusal","refusal":"no"}]},{"type":"reasoning","summary":[{"text":"hm"}],"content":[{}]},'
    b'{"type":"function_call","arguments":"{}","name":"f"},{"type":"custom_tool_call","input":"x"},{"type":"mcp_call"}]'
)
ENDED = b'{"id":"resp_1","status":"completed","output":' + OUTPUT + b"}"
END = b'event: response.completed\ndata: {"type":"response.completed","response":' + ENDED + b"}\n\n"
SEEDS = (*STREAMS, END, END.replace(b"completed", b"failed"), ENDED)


def told(events: list[bytes], first: int = 0) -> list[str]:
    """The types of events; fails unless each entry is one event with the number that its place has."""
    types = []
    for number, event in enumerate(events, start=first):
        assert split_events(event) == [event]
        said = json.loads(event_data(event) or b"")
        assert said["sequence_number"] == number
        types.append(said["type"])
    return types


def retell(response: bytes) -> None:
    """Tells the stream of what may be a response."""
    try:
        events = replay(response)
    except WireError:
        return
    types = told(events)
    assert types[:2] == ["response.created", "response.in_progress"]
    assert json.loads(event_data(events[-1]) or b"")["response"] == json.loads(response)
    assert told(replay(response, 1), 2) == types[2:]


def harness(data: bytes, chance: Random) -> None:
    """A stream that arrives event by event, as a relay gives them; and the data as a response."""
    story, splitter = Story(OURS), EventSplitter()
    for piece in pieces(data, chance):
        story.take(splitter.feed(piece))
    if not story.final:
        story.end(FAILED)
    types = told(story.events)
    assert types[:2] == ["response.created", "response.in_progress"]
    final = json.loads(story.final)
    assert (final["id"], final["background"]) == ("resp_ours", True)
    assert types[-1] in {"response.completed", "response.incomplete", "response.failed"}
    assert types[-1] == f"response.{final['status']}"
    retell(story.final)
    retell(data)
