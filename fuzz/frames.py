"""However a stream of frames is cut, the same payloads come out, each as it was put in.

Garbage gives payloads or WireError, never anything else.
"""

from __future__ import annotations

import contextlib
from random import Random

from fuzz.run import pieces
from tokenway.model.errors import WireError
from tokenway.wire.frames import FrameSplitter, frame

SEEDS = (
    frame(b"") + frame(b"one") + frame(b"two" * 100),
    frame(b"\x00\x00\x00\x01") * 3,
    frame(b"x")[:-1],
)


def harness(data: bytes, chance: Random) -> None:
    """Feeds one splitter whole and another in pieces, and then well-formed frames by the data."""
    whole: list[bytes] = []
    with contextlib.suppress(WireError):
        whole.extend(FrameSplitter().feed(data))
    splitter = FrameSplitter()
    cut: list[bytes] = []
    refused = False
    try:
        for piece in pieces(data, chance):
            cut.extend(splitter.feed(piece))
    except WireError:
        refused = True
    assert refused or cut == whole
    assert b"".join(map(frame, cut)) == data[: sum(len(frame(payload)) for payload in cut)]

    payloads = pieces(data, chance)
    splitter = FrameSplitter()
    stream = b"".join(map(frame, payloads))
    assert [payload for piece in pieces(stream, chance) for payload in splitter.feed(piece)] == payloads
