"""What goes upstream reads as the caller's object with the model's name, the usage flag and our own members changed.

Garbage ends in a Refusal with status 400, never in anything else.
"""

from __future__ import annotations

from random import Random

import msgspec

from tokenway.dialects.base import GATEWAY_FIELDS
from tokenway.dialects.openai_chat.request import parse
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal

SEEDS = {
    b'{"model":"a","messages":[{"role":"user","content":"hi"}],"stream":true}': Operation.CHAT,
    b'{"messages":[{"content":"model","y":"a"}],"mod\\u0065l":"a","n":2}': Operation.CHAT,
    b'{"model":"a","messages":[],"stream":true,"stream_options":{"include_usage":false,"x":1}}': Operation.CHAT,
    b'{"model":"a","messages":[],"provider":{"sort":"price"},"models":["b"],"session_id":"s","n":5}': Operation.CHAT,
    b'{"prompt":"p","model":"\xf0\x9f\x98\x80","best_of":3}': Operation.COMPLETION,
    b'{"input":["x","y"],"model":"a/b","encoding_format":"base64"}': Operation.EMBEDDING,
}
"""Well-formed bodies, each with the one operation that takes it."""


def members_of(data: bytes) -> dict[str, bytes]:
    """The top level of an object, each value as its text: what it says may be beyond any reader's numbers."""
    return {name: bytes(raw) for name, raw in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items()}


def harness(data: bytes, chance: Random) -> None:
    """Reads the data as a request and writes it for an upstream."""
    name = chance.choice(("a", "other", 'quo"ted', "\u00e9"))
    operation = chance.choice((Operation.CHAT, Operation.COMPLETION, Operation.EMBEDDING))
    try:
        request = parse(operation, data)
        body = request.upstream_body(name)
        again = request.upstream_body(name)
    except Refusal as refusal:
        if refusal.problem.status != 400 or SEEDS.get(data) is operation:
            raise
        return
    assert body == again
    assert request.body == data
    sent = members_of(body)
    given = members_of(data)
    assert msgspec.json.decode(sent["model"]) == name
    if request.stream:
        assert members_of(sent["stream_options"])["include_usage"] == b"true"
    ours = {"model", "stream_options", *GATEWAY_FIELDS}
    assert {key: sent[key] for key in sent if key not in ours} == {key: given[key] for key in given if key not in ours}
