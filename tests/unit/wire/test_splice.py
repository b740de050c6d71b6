"""Changes to a JSON object's text: the one change, and every other byte as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.wire.splice import (
    append_member,
    find_value,
    keys_pattern,
    layout,
    may_repeat,
    replace,
    set_members,
    without_members,
)

SPACE = st.text(" \t\r\n", max_size=2)
KEYS = st.sampled_from(
    ["model", "usage", "x", "é", 'quo"te', "back\\slash", "", "\u2028", "a:b", "}", "{", ","]
) | st.text(max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def spelled_key(draw: st.DrawFn, key: str) -> str:
    """A key in quotes, plainly or with each character as an escape."""
    how = draw(st.sampled_from(["plain", "ascii", "escaped"]))
    if how == "escaped" and all(ord(char) < 0x10000 for char in key):
        return '"' + "".join(f"\\u{ord(char):04x}" for char in key) + '"'
    return json.dumps(key, ensure_ascii=how == "ascii")


@st.composite
def objects(draw: st.DrawFn, with_key: str = "", least: int = 0) -> tuple[dict[str, Any], bytes]:
    """An object, and a text of it with free spacing and escapes."""
    members = draw(st.dictionaries(KEYS, VALUES, min_size=least, max_size=5))
    if with_key:
        members[with_key] = draw(VALUES)
        members = dict(draw(st.permutations(list(members.items()))))
    parts = []
    for key, value in members.items():
        indent = draw(st.sampled_from([None, 0, 2]))
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=indent)
        space = [draw(SPACE) for _ in range(4)]
        parts.append(f"{space[0]}{draw(spelled_key(key))}{space[1]}:{space[2]}{text}{space[3]}")
    text = draw(SPACE) + "{" + ",".join(parts) + ("" if parts else draw(SPACE)) + "}" + draw(SPACE)
    return members, text.encode()


@given(objects())
def test_the_layout_names_each_member(spelled: tuple[dict[str, Any], bytes]) -> None:
    """For every key the spans hold the key and its value, in the order of the text."""
    members, text = spelled
    places = layout(text)
    assert list(places) == list(members)
    for key, (key_span, value_span) in places.items():
        assert json.loads(text[slice(*key_span)]) == key
        assert json.loads(text[slice(*value_span)]) == members[key]


@given(objects(least=1), VALUES, st.data())
def test_a_value_is_replaced_and_nothing_else(
    spelled: tuple[dict[str, Any], bytes], value: Any, data: st.DataObject
) -> None:
    """Replacing by span means what decoding, changing and encoding means, and touches no other byte."""
    members, text = spelled
    key = data.draw(st.sampled_from(list(members)))
    span = layout(text)[key][1]
    changed = replace(text, span, json.dumps(value).encode())
    assert json.loads(changed) == {**members, key: value}
    assert changed.startswith(text[: span[0]])
    assert changed.endswith(text[span[1] :])


@given(objects(with_key="model"))
def test_a_value_is_found(spelled: tuple[dict[str, Any], bytes]) -> None:
    """The quick way finds the place that the walk finds, wherever else the same strings stand."""
    members, text = spelled
    place = layout(text)["model"][1]
    assert find_value(text, "model", text[slice(*place)]) == place
    assert find_value(text, "model", json.dumps(members["model"]).encode()) == place


@given(objects(), VALUES)
def test_a_member_is_appended(spelled: tuple[dict[str, Any], bytes], value: Any) -> None:
    """The new member comes last; the bytes before it stay."""
    members, text = spelled
    member = b'"added here":' + json.dumps(value).encode()
    changed = append_member(text, member)
    assert json.loads(changed) == {**members, "added here": value}
    assert changed.startswith(text[: text.rindex(b"}")])


@given(objects() | objects(with_key="model"), VALUES)
def test_a_member_is_set(spelled: tuple[dict[str, Any], bytes], value: Any) -> None:
    """The member is there once, with the new value, and the others keep theirs."""
    members, text = spelled
    changed = set_members(text, b'"model":' + json.dumps(value).encode(), ("model",))
    if b'"model"' in text:  # a key in escapes is not looked for: nobody writes one
        assert layout(changed)
        assert json.loads(changed) == {**members, "model": value}


@given(objects(), st.lists(KEYS, max_size=4))
def test_members_are_dropped(spelled: tuple[dict[str, Any], bytes], keys: list[str]) -> None:
    """What stays keeps its own bytes, spaces between key and value included."""
    members, text = spelled
    places = layout(text)
    changed = without_members(text, keys)
    assert json.loads(changed) == {key: value for key, value in members.items() if key not in keys}
    for key in members.keys() - set(keys):
        (start, _), (_, end) = places[key]
        assert text[start:end] in changed


@given(objects(least=1), st.data())
def test_a_key_twice_is_refused(spelled: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    """Two readers could disagree on which of the two values counts."""
    members, text = spelled
    key = data.draw(st.sampled_from(list(members)))
    again = data.draw(spelled_key(key)).encode() + b":" + json.dumps(data.draw(VALUES | st.just(members[key]))).encode()
    with pytest.raises(WireError, match="twice"):
        layout(append_member(text, again))


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b'{"a":}', b"{'a':1}", b"\xff", b'{"\xff":1}', b'{"a":1}x'])
def test_other_text_is_no_object(text: bytes) -> None:
    """Garbage ends in WireError and in nothing else."""
    with pytest.raises(WireError):
        layout(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b'{"model":"a"}', 9),
        (b'{"model" : "a"}', 11),
        (b'{"x":"model","model":"a"}', 21),
        (b'{"x":{"model":"a"},"model":"a"}', 27),
        (b'{"x":{"model":"a"},"mod\\u0065l":"a"}', 32),
        (b'{"x":"model","y":"a","\\u006dodel":"a"}', 34),
        (b'{"model":"\\u0061","x":"a"}', 9),
    ],
)
def test_the_top_levels_own_value_is_found(text: bytes, place: int) -> None:
    """Neither a string nor a key inside another value is taken for the key, even where the key itself is escaped."""
    start, end = find_value(text, "model", b'"a"')
    assert start == place
    assert json.loads(text[start:end]) == "a"


@given(st.lists(st.tuples(st.sampled_from(["model", "n", "x"]), VALUES), max_size=5), st.data())
def test_a_key_that_comes_twice_is_never_overlooked(members: list[tuple[str, Any]], data: st.DataObject) -> None:
    """However it is spelled and spaced; a false alarm is only a walk through the text."""
    parts = [
        f"{data.draw(spelled_key(key))}{data.draw(SPACE)}:{data.draw(SPACE)}{json.dumps(value)}"
        for key, value in members
    ]
    text = ("{" + ",".join(parts) + "}").encode()
    keys = [key for key, _ in members if key != "x"]
    if len(keys) != len(set(keys)):
        assert may_repeat(text, keys_pattern("model", "n"))


def test_a_plain_object_repeats_nothing() -> None:
    """Keys inside of values, and escapes that are no letters, are seen too, and most texts have neither."""
    keys = keys_pattern("model", "n")
    assert not may_repeat(b'{"model":"n","n":1,"x":"\\u00e9 model","y":["model"]}', keys)
    assert may_repeat(b'{"model":"m","x":{"model":1}}', keys)
    assert may_repeat(b'{"mod\\u0065l":"m"}', keys)
