"""A way through decoded JSON that says where it is."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.walk import Node, is_base64, walk
from tokenway.model.errors import Problem, Refusal

BODY = b'{"messages":[{"role":"user","content":[{"text":"hi","n":2,"f":1.5,"ok":true,"none":null}]}]}'


def refused(step: Any, *arguments: Any) -> Problem:
    """Why a step is refused."""
    with pytest.raises(Refusal) as caught:
        step(*arguments)
    assert caught.value.problem.status == 400
    return caught.value.problem


def part() -> Node:
    """The one part of the one message."""
    return walk(BODY).need("messages").items()[0].need("content").items()[0]


# -- steps -------------------------------------------------------------------------------------------------


def test_a_node_knows_its_place() -> None:
    """Members by a point, elements by their number."""
    assert walk(BODY).path == ""
    assert part().path == "messages[0].content[0]"
    assert part().need("text").path == "messages[0].content[0].text"


def test_an_absent_member_is_none() -> None:
    """As is one that is null."""
    assert part().at("missing") is None
    assert part().at("none") is None


@pytest.mark.parametrize("key", ["missing", "none"])
def test_a_member_that_is_needed_is_missed_at_its_place(key: str) -> None:
    """With the code that OpenAI's API has for it."""
    problem = refused(part().need, key)
    assert (problem.param, problem.code) == (f"messages[0].content[0].{key}", "missing_required_parameter")
    assert refused(walk(b"{}").need, "model").param == "model"


def test_the_members_that_are_there() -> None:
    """Nulls are left out; each knows its place."""
    members = dict(part().members())
    assert list(members) == ["text", "n", "f", "ok"]
    assert members["n"].path == "messages[0].content[0].n"


@pytest.mark.parametrize(
    ("step", "names"),
    [
        (lambda node: node.at("x"), "an object"),
        (lambda node: node.need("x"), "an object"),
        (lambda node: list(node.members()), "an object"),
        (lambda node: node.items(), "a list"),
        (lambda node: node.flag(), "true or false"),
        (lambda node: node.whole(), "a whole number"),
        (lambda node: node.number(), "a number"),
    ],
)
def test_a_step_of_another_type_is_refused_at_its_place(step: Any, names: str) -> None:
    """With what it must be, and what it is."""
    problem = refused(step, part().need("text"))
    assert (problem.param, problem.code) == ("messages[0].content[0].text", "invalid_type")
    assert problem.message == f"'messages[0].content[0].text': it must be {names}, not a text."


# -- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "true or false"),
        (1, "a whole number"),
        (1.5, "a number"),
        ([], "a list"),
        ({}, "an object"),
        (None, "null"),
    ],
)
def test_what_is_no_text_is_named(value: object, name: str) -> None:
    """In words that are not Python's."""
    assert refused(Node(value, "x").text).message == f"'x': it must be a text, not {name}."


def test_values_of_their_types() -> None:
    """Each as it was given."""
    assert part().need("text").text() == "hi"
    assert part().need("ok").flag() is True
    assert part().need("n").whole() == 2
    assert part().need("n").number() == 2
    assert part().need("f").number() == 1.5


@pytest.mark.parametrize(
    ("value", "kinds"), [("a", (True, False, False)), ([], (False, True, False)), ({}, (False, False, True))]
)
def test_a_node_can_be_asked_for_its_type(value: object, kinds: tuple[bool, bool, bool]) -> None:
    """Where a field may be one of several."""
    node = Node(value)
    assert (node.is_text, node.is_list, node.is_object) == kinds


@pytest.mark.parametrize(("value", "number"), [(0, 0), (-3, -3), (2.0, 2), (1e3, 1000)])
def test_a_whole_number_may_be_written_with_a_point(value: float, number: int) -> None:
    """JSON does not tell the two apart."""
    whole = Node(value, "x").whole()
    assert (whole, type(whole)) == (number, int)


@pytest.mark.parametrize("value", [True, False, 1.5, float("inf"), "1", None, [1]])
def test_what_is_no_whole_number(value: object) -> None:
    """A truth value is none either, though it is one in Python."""
    assert refused(Node(value, "x").whole).code == "invalid_type"


@pytest.mark.parametrize("value", [True, False, "1.5", None])
def test_what_is_no_number(value: object) -> None:
    """A truth value is none either."""
    assert refused(Node(value, "x").number).code == "invalid_type"


def test_a_number_has_a_least_value() -> None:
    """It may be that, and no less."""
    assert Node(1, "x").whole(1) == 1
    problem = refused(Node(0, "x").whole, 1)
    assert (problem.message, problem.code) == ("'x': it must be at least 1.", "invalid_value")


def test_a_word_of_a_list() -> None:
    """What the list has for it; for another word the refusal names them all, and no more of it than fits."""
    known = {"low": 1, "high": 2}
    assert Node("high", "x").one_of(known) == 2
    problem = refused(Node("m" * 100, "x").one_of, known)
    assert problem.message == f"'x': '{'m' * 40}' is not known here; it must be one of low, high."
    assert refused(Node(1, "x").one_of, known).code == "invalid_type"


def test_a_value_as_json() -> None:
    """Text that says the same."""
    assert Node({"a": [1, None, "ü"]}).raw() == msgspec.Raw('{"a":[1,null,"ü"]}'.encode())


@pytest.mark.parametrize("text", ["AA==", "AA", "aGk=", "aGk", "-_8", "+/8=", "AAAA"])
def test_base64_in_either_alphabet(text: str) -> None:
    """With or without its padding, as it was given."""
    assert is_base64(text)
    assert Node(text, "x").base64() == text


@pytest.mark.parametrize("text", ["", "A", "AAAAA", "a b=", "aGk=\n", "=AAA", "ä===", "data:image/png;base64,AA=="])
def test_what_is_no_base64(text: str) -> None:
    """Nothing, too few letters, or others."""
    assert not is_base64(text)
    problem = refused(Node(text, "x").base64)
    assert (problem.param, problem.code) == ("x", "invalid_base64")


# -- bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":"\xff"}', "not valid UTF-8"),
        (b"[]", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[" * 100_000, "not valid JSON"),
    ],
)
def test_a_body_that_is_no_object_is_refused(body: bytes, words: str) -> None:
    """With status 400 and no place."""
    problem = refused(walk, body)
    assert words in problem.message
    assert problem.param is None


def test_the_body_itself_is_named_so() -> None:
    """It has no place."""
    problem = refused(walk(b"{}").items)
    assert (problem.message, problem.param) == ("The body: it must be a list, not an object.", None)


# -- the law of places -------------------------------------------------------------------------------------

KEYS = st.from_regex("[a-z_][a-zA-Z0-9_]{0,6}", fullmatch=True)
VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def nodes(node: Node) -> list[Node]:
    """The node and all below it."""
    if node.is_list:
        return [node, *(found for item in node.items() for found in nodes(item))]
    if node.is_object:
        return [node, *(found for _, value in node.members() for found in nodes(value))]
    return [node]


def follow(value: Any, path: str) -> Any:
    """What stands at a place."""
    for name, index in re.findall(r"([a-zA-Z0-9_]+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_place_leads_back_to_its_value(body: dict[str, Any]) -> None:
    """And no two nodes have the same one."""
    found = nodes(walk(msgspec.json.encode(body)))
    assert [follow(body, node.path) for node in found] == [node.value for node in found]
    assert len({node.path for node in found}) == len(found)
    assert all(node.wrong("no").problem.param == (node.path or None) for node in found)
