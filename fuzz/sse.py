"""However a stream of events is cut, the whole events come out in order and no byte is lost, added or changed.

Their data, taken all at once, are those of the events one by one.

Garbage is either passed on or ends in WireError, never in anything else.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.model.errors import WireError
from tokenway.wire.sse import DataFrames, EventSplitter, event_data, is_blank, split_events

SEEDS = (
    b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n',
    b": comment\r\n\r\nevent: x\r\ndata: 1\r\ndata: 2\r\n\r\n",
    b"id: 7\rdata:no space\r\rdata\r\r",
    b"\xef\xbb\xbfdata: \xf0\x9f\x98\x80\n\n\n\nretry: 10\n\ndata: unfinished",
)
LIMIT = 512


def harness(data: bytes, chance: Random) -> None:
    """Feeds the splitter piece by piece."""
    splitter, frames = EventSplitter(LIMIT), DataFrames(LIMIT)
    out = b""
    try:
        for piece in pieces(data, chance):
            whole = splitter.feed(piece)
            assert b"".join(split_events(whole)) == whole
            found = [event_data(event) or b"" for event in split_events(whole) if not is_blank(event)]
            assert frames.feed(piece) == found
            out += whole
    except WireError:
        assert splitter.pending > LIMIT
        return
    assert out == b"" or out.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
    pending = splitter.pending
    rest = bytes(splitter.take_rest())
    assert len(rest) == pending
    assert out + rest == data
