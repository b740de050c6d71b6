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


def members_of(data: bytes) -> dict[str, bytes]:
    """The top level of an object, each value as its text: what it says may be beyond any reader's numbers."""
    return {name: bytes(raw) for name, raw in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items()}


def harness(data: bytes, chance: Random) -> None:
    """Replaces, drops and appends members of whatever object the data is."""
    try:
        places = layout(data)
    except WireError:
        return
    members = members_of(data)
    assert list(places) == list(members)
    for name, (_, value) in places.items():
        assert data[value[0] : value[1]] == members[name]
    assert members_of(append_member(data, b'"added here":7')) == {**members, "added here": b"7"}
    if not places:
        return
    name = chance.choice(list(places))
    span = places[name][1]
    changed = replace(data, span, b'"other"')
    assert changed[: span[0]] == data[: span[0]]
    assert changed.endswith(data[span[1] :])
    assert members_of(changed) == {**members, name: b'"other"'}
    assert members_of(without_members(data, {name})) == {key: text for key, text in members.items() if key != name}
