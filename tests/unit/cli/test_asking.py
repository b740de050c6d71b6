"""Two endpoints asked the same, over real sockets: what is sent, what is read, and what failures become."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from tests.unit.cli.endpoint import ScriptedEndpoint
from tokenway.cli import asking
from tokenway.cli.asking import Endpoint, Pair, answer_of, ask_both, body_of
from tokenway.cli.client import Gateway
from tokenway.cli.errors import CommandError
from tokenway.model.secret import Secret
from tokenway.planner.grade.answers import Call, Token
from tokenway.planner.grade.prompts import PromptSet, chosen, shipped_prompts

SHIPPED = shipped_prompts()
PLAIN, TOOLS = SHIPPED.prompts[0], SHIPPED.prompts[-1]


@pytest.fixture
def scripted() -> ScriptedEndpoint:
    """Its record of what was asked."""
    return ScriptedEndpoint()


@pytest.fixture
def address(scripted: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where it is; pauses are short."""
    monkeypatch.setattr(asking, "_PAUSES", (0.01, 0.02))
    with scripted.served() as base_url:
        yield base_url


def endpoint(address: str, model: str) -> Endpoint:
    """A model of the scripted endpoint."""
    return Endpoint(Gateway(address, Secret("sk-x")), model)


def test_the_request_is_greedy_short_and_asks_for_log_probabilities() -> None:
    """With tools where the prompt offers some."""
    assert body_of(PLAIN, SHIPPED.tools, "m", logprobs=True) == {
        "model": "m",
        "messages": [{"role": "user", "content": PLAIN.ask}],
        "max_tokens": 32,
        "temperature": 0,
        "logprobs": True,
    }
    body = body_of(TOOLS, SHIPPED.tools, "m", logprobs=False)
    assert "logprobs" not in body
    assert body["tool_choice"] == "auto"
    assert body["tools"][0]["function"]["name"] == "convert_currency"
    assert body["tools"][0]["function"]["parameters"]["type"] == "object"


def test_answers_are_read_whole() -> None:
    """Words, calls and log-probabilities; arguments as they came."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": '}}
    message = {"content": None, "tool_calls": [call]}
    logprobs = {"content": [{"token": "a", "logprob": -0.5}]}
    found = answer_of({"choices": [{"message": message, "logprobs": logprobs}]})
    assert (found.text, found.calls, found.tokens) == ("", (Call("f", '{"a": '),), (Token("a", -0.5),))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": " \n", "tool_calls": []}}]},
        {"choices": [{"message": {"content": 3, "tool_calls": "no"}}]},
    ],
)
def test_what_says_nothing_is_a_problem(data: dict[str, object]) -> None:
    """Whatever its shape."""
    assert answer_of(data).problem == "The answer says nothing."


@pytest.mark.parametrize("logprobs", [None, 3, {}, {"content": None}, {"content": [{"token": "a"}]}, {"content": []}])
def test_log_probabilities_of_another_shape_are_none(logprobs: object) -> None:
    """The words count."""
    found = answer_of({"choices": [{"message": {"content": "x"}, "logprobs": logprobs}]})
    assert (found.text, found.tokens) == ("x", None)


def test_log_probabilities_that_are_refused_are_not_asked_for_again(scripted: ScriptedEndpoint, address: str) -> None:
    """One more request, once."""
    plain = endpoint(address, "plain")
    assert plain.ask(PLAIN, SHIPPED.tools).tokens is None
    assert plain.ask(TOOLS, SHIPPED.tools).calls
    assert [body.get("logprobs") for body, _ in scripted.requests] == [True, None, None]


def test_who_is_busy_is_asked_again(scripted: ScriptedEndpoint, address: str) -> None:
    """Who stays broken is asked three times; its sentence is the problem."""
    assert endpoint(address, "busy").ask(PLAIN, SHIPPED.tools).text
    assert endpoint(address, "down").ask(PLAIN, SHIPPED.tools).problem == "The model down is down."
    assert Counter(body["model"] for body, _ in scripted.requests) == {"busy": 2, "down": 3}
    assert scripted.requests[0][1] == "Bearer sk-x"


def test_nobody_there_is_a_problem() -> None:
    """Refused connections are not tried again."""
    with socket.socket() as bound:  # bound, so that nobody else gets the port, and nobody listens
        bound.bind(("127.0.0.1", 0))
        found = endpoint(f"http://127.0.0.1:{bound.getsockname()[1]}", "m").ask(PLAIN, SHIPPED.tools)
    assert "No gateway answers" in found.problem


def test_both_are_asked_everything_as_often_as_said(scripted: ScriptedEndpoint, address: str) -> None:
    """Each prompt in each round, not more at once than allowed, in no fixed order; answers stand by their prompts."""
    prompts = chosen(SHIPPED, 6)
    told: list[tuple[int, int]] = []
    pair = Pair(endpoint(address, "good"), endpoint(address, "twin"))
    found = ask_both(pair, prompts, 3, 2, np.random.default_rng(1), lambda done, of: told.append((done, of)))
    assert [each.prompt for each in found] == list(prompts.prompts)
    assert all(len(each.a) == len(each.b) == 3 for each in found)
    assert all(answer.text for each in found for answer in each.answers)
    asked = Counter((body["model"], body["messages"][0]["content"]) for body, _ in scripted.requests[2:])
    assert set(asked.values()) == {3}
    assert len(asked) == 12
    assert scripted.most_at_once <= 2
    assert told[-1] == (36, 36)
    order = [body["model"] for body, _ in scripted.requests[2:]]
    assert order != sorted(order)
    assert order != sorted(order, reverse=True)


@pytest.mark.parametrize(("a", "b", "name"), [("mute", "good", "A"), ("good", "odd", "B")])
def test_who_does_not_answer_at_all_is_named_at_once(
    scripted: ScriptedEndpoint, address: str, a: str, b: str, name: str
) -> None:
    """After one request, not after all of them."""
    prompts = PromptSet(SHIPPED.tools, SHIPPED.prompts[:5])
    pair = Pair(endpoint(address, a), endpoint(address, b))
    with pytest.raises(CommandError, match=f"^{name} .*cannot be compared: The answer says nothing"):
        ask_both(pair, prompts, 2, 2, np.random.default_rng(1), lambda *_: None)
    assert len(scripted.requests) <= 2


def test_which_key_is_wrong(scripted: ScriptedEndpoint, address: str) -> None:
    """The one of the endpoint that refused it has an option of its own."""
    pair = Pair(endpoint(address, "good"), endpoint(address, "shut"))
    with pytest.raises(CommandError, match=r"^B .*No such key; .* Its own key is given with --key-b\.$"):
        ask_both(pair, PromptSet(SHIPPED.tools, SHIPPED.prompts[:5]), 2, 2, np.random.default_rng(1), lambda *_: None)
    assert len(scripted.requests) == 2
