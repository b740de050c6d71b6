"""`tokenway chat`: the conversation, its commands, and how it is stopped and left."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest

from tests.unit.cli.conftest import Run, StubGateway, Terminal, delta, event


@pytest.fixture
def talker(stub: StubGateway) -> StubGateway:
    """A gateway with two models that answers `Hello`."""
    stub.serves("/v1/models", {"data": [{"id": "other"}, {"id": "local"}]})
    stub.streams(delta("Hel"), delta("lo"))
    return stub


def bodies(stub: StubGateway) -> list[dict[str, object]]:
    """What the chat requests asked, in order."""
    return [json.loads(body) for method, _, _, body in stub.requests if method == "POST"]


def test_the_conversation_is_sent_along(talker: StubGateway, process: Run) -> None:
    """The second question carries the first and its answer; the model `local` is chosen when it is there."""
    done = process("chat", "--base-url", talker.base_url, "--system", "Brief", stdin="one\n\ntwo\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\nHello\n", "")
    assert [body["model"] for body in bodies(talker)] == ["local", "local"]
    assert bodies(talker)[1]["messages"] == [
        {"role": "system", "content": "Brief"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "two"},
    ]


def test_clear_forgets_and_model_changes(talker: StubGateway, tokenway: Run) -> None:
    """After /clear a question stands alone, after /model it goes to the other model."""
    tokenway("chat", "local", "--base-url", talker.base_url, stdin="one\n/clear\n/model other\ntwo\n")
    assert bodies(talker)[1]["model"] == "other"
    assert bodies(talker)[1]["messages"] == [{"role": "user", "content": "two"}]


def test_commands_tell_what_there_is(talker: StubGateway, tokenway: Run) -> None:
    """/help, /model and an unknown command answer without asking the model."""
    done = tokenway("chat", "--base-url", talker.base_url, stdin="/help\n/model\n/nonsense\n")
    assert "Ctrl-D leaves" in done.stdout
    assert "In use: local. There are: other, local." in done.stdout
    assert "no command /nonsense" in done.stdout
    assert not bodies(talker)


def test_without_a_terminal_a_failure_ends_it(talker: StubGateway, tokenway: Run) -> None:
    """A script learns of a failed answer by exit status 1."""
    talker.status, talker.events = 503, [b'{"error":{"message":"Draining."}}']
    done = tokenway("chat", "--base-url", talker.base_url, stdin="one\n")
    assert (done.returncode, done.stderr) == (1, "tokenway: Draining.\n")


def test_a_gateway_without_models_says_so(stub: StubGateway, tokenway: Run) -> None:
    """With nothing to talk to the command fails before it prompts."""
    stub.serves("/v1/models", {"data": []})
    done = tokenway("chat", "--base-url", stub.base_url)
    assert done.returncode == 1
    assert "offers no model" in done.stderr


def test_a_person_sees_prompt_answer_and_meter_and_leaves_with_ctrl_d(
    talker: StubGateway, terminal: Callable[..., Terminal]
) -> None:
    """The terminal shows a greeting, the answer, the meter, and Ctrl-D ends with status 0."""
    screen = terminal("chat", "--base-url", talker.base_url)
    screen.sees("local at http://127.0.0.1")
    screen.sees("> ")
    screen.types("hi\r")
    screen.sees("Hello")
    screen.sees("TTFT")
    screen.sees("> ")
    screen.types("\x04")
    assert screen.ends() == 0


def test_a_failed_answer_does_not_end_a_persons_conversation(
    talker: StubGateway, terminal: Callable[..., Terminal]
) -> None:
    """The failure is told, the prompt comes back, and the question is not kept in the conversation."""
    good = talker.events
    talker.status, talker.events = 503, [b'{"error":{"message":"Draining."}}']
    screen = terminal("chat", "--base-url", talker.base_url)
    screen.sees("> ")
    screen.types("one\r")
    screen.sees("tokenway: Draining.")
    screen.sees("> ")
    talker.status, talker.events = 200, good
    screen.types("two\r")
    screen.sees("Hello")
    screen.sees("> ")
    screen.types("\x04")
    assert screen.ends() == 0
    assert bodies(talker)[1]["messages"] == [{"role": "user", "content": "two"}]


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(
    talker: StubGateway, terminal: Callable[..., Terminal]
) -> None:
    """After Ctrl-C the prompt is back, and what had been said is part of the conversation."""
    go_on = threading.Event()
    talker.before_event = lambda index: None if index == 0 or go_on.is_set() else hold(go_on)
    talker.events = [event(delta("half")), *talker.events]
    screen = terminal("chat", "--base-url", talker.base_url)
    screen.sees("> ")
    screen.types("one\r")
    screen.sees("half")
    screen.types("\x03")
    screen.sees("stopped")
    screen.sees("> ")
    go_on.set()
    screen.types("two\r")
    screen.sees("Hello")
    screen.sees("> ")
    screen.sees("Ctrl-D leaves.", pressing="\x03")
    screen.sees("> ")
    screen.types("\x04")
    assert screen.ends() == 0
    assert bodies(talker)[1]["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "half"},
        {"role": "user", "content": "two"},
    ]


def hold(flag: threading.Event) -> None:
    """Holds the stub until the test lets go."""
    assert flag.wait(30)
