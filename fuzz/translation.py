"""However a stream is cut, its translation is the same, for every dialect of an upstream and of a caller.

Garbage is set down as a fault or ends in WireError, never in anything else: what a reader makes of it, every writer can
take. A translation that says it is whole has an end.
"""

from __future__ import annotations

from random import Random
from typing import Final

from fuzz import anthropic_stream, bedrock_stream, chat_events, gemini_stream, openai_responses_stream
from fuzz.run import pieces
from tokenway.dialects.base import Maker
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.translate import Translation
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError

SEEDS: Final = (
    *anthropic_stream.SEEDS,
    *bedrock_stream.SEEDS,
    *chat_events.SEEDS,
    *gemini_stream.SEEDS,
    *openai_responses_stream.SEEDS,
)
_TRACES: Final = (
    (b":event-type", Dialect.BEDROCK),
    (b"candidates", Dialect.GEMINI),
    (b"response.", Dialect.OPENAI_RESPONSES),
    (b"message_", Dialect.ANTHROPIC),
)
"""What tells a dialect, in the seeds and in what has become of them; all else is read as chat."""
REQUESTS: Final = {
    Dialect.OPENAI_CHAT: b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,'
    b'"stream_options":{"include_usage":true}}',
    Dialect.OPENAI_RESPONSES: b'{"model":"m","input":"hi","stream":true}',
    Dialect.ANTHROPIC: b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}],"stream":true}',
    Dialect.GEMINI: b'{"contents":[{"parts":[{"text":"hi"}]}]}',
    Dialect.BEDROCK: b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}',
}


def dialect_of(data: bytes) -> Dialect:
    """The dialect that a stream is most likely of."""
    return next((dialect for trace, dialect in _TRACES if trace in data), Dialect.OPENAI_CHAT)


def translated(upstream: Dialect, caller: Dialect, parts: list[bytes]) -> tuple[bytes, Translation]:
    """What the caller gets of these pieces, and the translation."""
    form = FORMATS[caller]
    request = form.parse(Operation.CHAT, REQUESTS[caller], "m", True)
    translation = Translation(FORMATS[upstream], form, Maker("gen-1", "m", 1_700_000_000, request))
    out = []
    for time, part in enumerate(parts, start=1):
        if translation.is_calm:
            out.append(translation.feed(part, float(time)))
    if translation.is_calm:
        out.append(translation.finish())
    if translation.is_whole and not translation.fault:
        end = translation.tail(b'"cost":0.5', b'"tokenway":{}')
        assert end, "a whole answer without an end"
        out.append(end)
    return b"".join(out), translation


def harness(data: bytes, chance: Random) -> None:
    """Translates the data whole and in pieces, for one of the callers, and compares."""
    upstream = dialect_of(data)
    caller = chance.choice([dialect for dialect in REQUESTS if dialect is not upstream])
    cut = pieces(data, chance)
    try:
        whole, one = translated(upstream, caller, [data])
        again, other = translated(upstream, caller, cut)
    except WireError:
        return
    assert again == whole
    assert (one.fault, one.is_whole, one.finish_reason) == (other.fault, other.is_whole, other.finish_reason)
    assert one.metered == other.metered
