"""Distances of answers and what is a right one."""

from __future__ import annotations

import pytest

from tokenway.planner.grade.answers import Answer, Call, Json, Prompt, Token, apart, drift, is_right, is_same
from tokenway.planner.grade.prompts import shipped_prompts

TOOLS: dict[str, Json] = shipped_prompts().tools


def said(text: str) -> Answer:
    """An answer of words."""
    return Answer(text=text)


def called(name: str, arguments: str) -> Answer:
    """An answer that calls a tool."""
    return Answer(calls=(Call(name, arguments),))


def logged(*tokens: tuple[str, float]) -> Answer:
    """An answer with log-probabilities."""
    return Answer(text="".join(text for text, _ in tokens), tokens=tuple(Token(*token) for token in tokens))


def asking(**more: object) -> Prompt:
    """A prompt."""
    given: dict[str, object] = {"id": "p", "kind": "fact", "ask": "?", "max_tokens": 8}
    return Prompt(**given | more)  # type: ignore[arg-type]


def test_space_and_the_order_of_members_are_no_difference() -> None:
    """Words, names and values are."""
    assert is_same(said(" Lisbon.\n"), said("Lisbon."))
    assert is_same(called("f", '{"a": 1, "b": 2}'), called("f", '{"b":2,"a":1}'))
    assert not is_same(called("f", '{"a": 1}'), called("f", '{"a": 2}'))
    assert not is_same(called("f", "{"), called("f", "{}"))
    assert not is_same(said("Lisbon."), said("Porto."))


def test_answers_part_where_the_first_word_differs() -> None:
    """Nought for the same, one for nothing in common, in between by the longer answer."""
    assert apart(said("a b c d"), said("a b c d ")) == 0
    assert apart(said("a b c d"), said("a b x d")) == 0.5
    assert apart(said("a b"), said("a b c d")) == 0.5
    assert apart(said("a"), said("b")) == 1
    assert apart(called("f", "{}"), said("words")) == 1


def test_drift_is_of_the_tokens_before_the_answers_part() -> None:
    """And of none where there are none, or no log-probabilities; -9999 is as good as -20."""
    one = logged(("a", -0.1), ("b", -0.5), ("c", -9999.0))
    found = drift(one, logged(("a", -0.2), ("b", -0.2), ("x", -1.0)))
    assert found is not None
    assert found[0] == pytest.approx(0.2)
    assert found[1] == 2
    assert drift(one, logged(("a", -0.1), ("b", -0.5), ("c", -25.0))) == (0, 3)
    assert drift(one, logged(("x", -0.1))) is None
    assert drift(one, said("a")) is None


@pytest.mark.parametrize(
    ("arguments", "right"),
    [
        ('{"city": "Paris", "unit": "celsius"}', True),
        ('{"city": "Paris", "unit": "kelvin"}', False),
        ('{"city": "Paris"}', False),
        ('{"city": 3, "unit": "celsius"}', False),
        ('{"city": "Paris", "unit": "celsius", "day": "now"}', False),
        ('{"city": "Paris"', False),
        ("[]", False),
    ],
)
def test_a_call_has_the_form_of_its_tool(arguments: str, *, right: bool) -> None:
    """Names, types, choices, what is required, and JSON at all."""
    prompt = asking(kind="tools", tools=("get_weather",))
    assert is_right(prompt, called("get_weather", arguments), TOOLS) is right


def test_a_call_of_another_tool_or_none_is_not_right() -> None:
    """Nor is an answer in words."""
    prompt = asking(kind="tools", tools=("get_weather",))
    assert is_right(prompt, called("create_reminder", "{}"), TOOLS) is False
    assert is_right(prompt, said("It is sunny."), TOOLS) is False


def test_numbers_and_truths_are_told_apart() -> None:
    """`true` is no number, 3.5 no whole one."""
    money = asking(kind="tools", tools=("convert_currency",))
    search = asking(kind="tools", tools=("search_articles",))
    assert is_right(money, called("convert_currency", '{"amount": 2.5, "from": "USD", "to": "EUR"}'), TOOLS)
    assert not is_right(money, called("convert_currency", '{"amount": true, "from": "USD", "to": "EUR"}'), TOOLS)
    assert not is_right(search, called("search_articles", '{"query": "sun", "limit": 3.5}'), TOOLS)


def test_objects_and_words_are_looked_for() -> None:
    """JSON with the members asked for, also in a fence; words by their pattern; nothing where there is none."""
    assert is_right(asking(kind="json", keys=("a",)), said('```json\n{"a": 1}\n```'), TOOLS) is True
    assert is_right(asking(kind="json", keys=("a",)), said('{"b": 1}'), TOOLS) is False
    assert is_right(asking(kind="json"), said("Here you are: {}"), TOOLS) is False
    assert is_right(asking(expect="lisbon"), said("It is LISBON."), TOOLS) is True
    assert is_right(asking(expect="lisbon"), said("Porto"), TOOLS) is False
    assert is_right(asking(kind="prose"), said("Once upon a time"), TOOLS) is None
