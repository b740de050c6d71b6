"""A conversation that must begin with the user."""

from __future__ import annotations

from tokenway.dialects.opening import no_opening, opened
from tokenway.model.request import Message, Role, Text


def turn(role: Role, text: str) -> Message:
    """One turn of text."""
    return Message(role, (Text(text),))


def test_the_users_turn_stays_first() -> None:
    """Instructions before a turn of the user's stay instructions."""
    messages = (turn(Role.SYSTEM, "Be brief."), turn(Role.USER, "Hello"), turn(Role.ASSISTANT, "Hi"))
    assert opened(messages) == messages


def test_instructions_alone_become_the_users() -> None:
    """There is nothing else to answer."""
    assert opened((turn(Role.SYSTEM, "Be brief."), turn(Role.DEVELOPER, "Say hello."))) == (
        turn(Role.USER, "Be brief."),
        turn(Role.USER, "Say hello."),
    )


def test_instructions_open_what_the_model_would_begin() -> None:
    """Those before the first turn only: later ones stay instructions."""
    messages = (turn(Role.SYSTEM, "Be brief."), turn(Role.ASSISTANT, "Hi"), turn(Role.SYSTEM, "Now in French."))
    assert opened(messages) == (turn(Role.USER, "Be brief."), *messages[1:])


def test_without_instructions_nothing_is_made_up() -> None:
    """The writer says that it cannot be, and where."""
    assert opened((turn(Role.ASSISTANT, "Hi"),)) == (turn(Role.ASSISTANT, "Hi"),)
    problem = no_opening("of Anthropic's").problem
    assert (problem.status, problem.param) == (400, "messages")
    assert problem.message == "A conversation with a model of Anthropic's begins with a message of the user's."
