"""`tokenway ask`, as a person and as a script use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from tests.unit.cli.conftest import Run, StubGateway, Terminal, delta, event

USAGE = {"choices": [], "usage": {"completion_tokens": 3, "prompt_tokens": 2, "total_tokens": 5, "cost": 0.0000125}}


def test_in_a_pipe_only_the_answer_is_printed(stub: StubGateway, process: Run) -> None:
    """Standard output is the text and a line end, standard error is empty."""
    stub.streams(delta("Hel"), delta("lo"), USAGE)
    done = process("ask", "local", "Say hello", "--base-url", stub.base_url, "--key", "tw-x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello\n", "")
    assert stub.requests[0][2]["authorization"] == "Bearer tw-x"


def test_the_environment_gives_address_and_key(stub: StubGateway, process: Run) -> None:
    """TOKENWAY_BASE_URL and TOKENWAY_API_KEY stand in for the options."""
    stub.streams(delta("x"))
    done = process("ask", "local", "hi", TOKENWAY_BASE_URL=f"{stub.base_url}/v1", TOKENWAY_API_KEY="tw-env")
    assert done.returncode == 0
    assert stub.requests[0][2]["authorization"] == "Bearer tw-env"


def test_json_has_the_answer_and_every_figure(stub: StubGateway, tokenway: Run) -> None:
    """One object with the text, the usage as the provider counted it and the cost as an exact string."""
    stub.streams(delta("Hello"), USAGE)
    done = tokenway("ask", "local", "hi", "--json", "--base-url", stub.base_url)
    found = json.loads(done.stdout)
    assert found["answer"] == "Hello"
    assert found["usage"]["completion_tokens"] == 3
    assert found["cost_usd"] == "0.0000125"
    assert found["stopped"] is False


def test_a_dash_reads_the_prompt_from_standard_input(stub: StubGateway, tokenway: Run) -> None:
    """`-` takes the whole input as the question; --system goes before it."""
    stub.streams(delta("ok"))
    tokenway(
        "ask", "m", "-", "--system", "Be brief", "--max-tokens", "7", "--base-url", stub.base_url, stdin="two\nlines"
    )
    body = json.loads(stub.requests[0][3])
    assert body["messages"] == [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "two\nlines"}]
    assert body["max_tokens"] == 7
    assert "temperature" not in body


def test_an_empty_prompt_is_bad_usage(tokenway: Run) -> None:
    """Nothing is sent for an empty question, and the exit status is 2."""
    done = tokenway("ask", "local", "-", stdin=" \n")
    assert done.returncode == 2
    assert "prompt is empty" in done.stderr


def test_a_misspelled_option_is_not_a_prompt(tokenway: Run) -> None:
    """Nothing is sent, and paid for, when the last word looks like an option."""
    done = tokenway("ask", "local", "--jsno")
    assert (done.returncode, done.stderr) == (2, "tokenway: There is no option --jsno. Try `tokenway ask --help`.\n")


def test_the_gateways_sentence_is_the_failure(stub: StubGateway, tokenway: Run) -> None:
    """An unknown model gives exit status 1 and the gateway's own words, with no traceback."""
    stub.status, stub.events = 404, [b'{"error":{"message":"No model \'loca\'; nearest: local."}}']
    done = tokenway("ask", "loca", "hi", "--base-url", stub.base_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "tokenway: No model 'loca'; nearest: local.\n"


def test_on_a_terminal_the_meter_follows_the_answer(stub: StubGateway, terminal: Callable[..., Terminal]) -> None:
    """A person sees the text, then time to first token, speed, tokens and cost."""
    stub.streams(delta("Hello"), delta(" you"), USAGE)
    screen = terminal("ask", "local", "hi", "--base-url", stub.base_url)
    screen.sees("waiting for the first token")
    screen.sees("Hello")
    screen.sees("TTFT ")
    screen.sees("tokens/s")
    screen.sees("3 tokens · $0.0000125")
    assert screen.ends() == 0


def test_ctrl_c_stops_the_answer(stub: StubGateway, terminal: Callable[..., Terminal]) -> None:
    """Ctrl-C ends the wait at once with status 130 and keeps what was said."""
    go_on = threading.Event()
    stub.before_event = lambda index: None if index == 0 else wait(go_on)
    stub.events = [event(delta("Hello")), event(delta("never"))]
    screen = terminal("ask", "local", "hi", "--base-url", stub.base_url)
    screen.sees("Hello")
    screen.types("\x03")
    screen.sees("stopped")
    assert screen.ends() == 130
    go_on.set()


def wait(flag: threading.Event) -> None:
    """Holds the stub until the test lets go."""
    assert flag.wait(30)
