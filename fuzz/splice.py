"""A spliced object reads as the same object with the one change, and every other byte stays as it was.

Garbage ends in WireError, never in anything else.
"""

from __future__ import annotations

from random import Random

import msgspec

from tokenway.model.errors import WireError
from tokenway.wire.splice import append_member, layout, replace, without_members

SEEDS = (
    b'{"model":"a","messages":[{"role":"user","content":"hi"}],"stream":true}',
    b' { "mod\\u0065l" : "a" , "n" : 1e3 , "x" : { "model" : [ ] } } ',
    b'{"a":1,"a":2}',
    b'{"\\"":"}","}":"{\\"model\\":1}","\xf0\x9f\x98\x80":null}',
    b"{}",
)


def harness(data: bytes, chance: Random) -> None:
    """Replaces, drops and appends members of whatever object the data is."""
    try:
        places = layout(data)
    except WireError:
        return
    members = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    assert list(places) == list(members)
    for name, (_, value) in places.items():
        assert data[value[0] : value[1]] == bytes(members[name])
    added = msgspec.json.decode(append_member(data, b'"added here":7'))
    assert added.pop("added here") == 7
    assert added == msgspec.json.decode(data)
    if not places:
        return
    name = chance.choice(list(places))
    span = places[name][1]
    changed = replace(data, span, b'"other"')
    assert changed[: span[0]] == data[: span[0]]
    assert changed.endswith(data[span[1] :])
    assert msgspec.json.decode(changed) == {**msgspec.json.decode(data), name: "other"}
    kept = msgspec.json.decode(without_members(data, {name}))
    assert kept == {key: item for key, item in msgspec.json.decode(data).items() if key != name}
