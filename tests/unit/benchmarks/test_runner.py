"""The upstream of the benchmarks answers as its head says."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from shutil import which
from typing import Any

import pytest

from benchmarks import machine
from benchmarks.load.clients import PATH, IdleStreams, body
from benchmarks.runner import upstream

pytestmark = pytest.mark.skipif(
    not (which("cc") and which("taskset")) or (os.cpu_count() or 1) < 2, reason="needs cc, taskset and two cores"
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A running upstream, built from its source."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "CACHE", tmp_path_factory.mktemp("cache"))
        with upstream() as model:
            yield model.port


def call(port: int, content: bytes, headers: dict[str, str] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", PATH, content, headers or {})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def events(content: bytes) -> list[Any]:
    """The decoded events of a stream, the end mark left out."""
    pieces = content.decode().split("\n\n")
    assert pieces.pop() == ""
    assert pieces.pop() == "data: [DONE]"
    return [json.loads(piece.removeprefix("data: ")) for piece in pieces]


def test_plain_answer_is_a_completion_with_usage(port: int) -> None:
    """Without `stream` the answer is one chat.completion, and the connection serves the next request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        connection.request("POST", PATH, body("bench", is_stream=False))
        answer = json.loads(connection.getresponse().read())
        assert answer["object"] == "chat.completion"
        assert answer["usage"]["total_tokens"] == 36
    connection.close()


@pytest.mark.parametrize("model", ["bench-c5-g0", "bench-c5-burst", "bench-c5-g1000", "up-bench-c5"])
def test_model_name_says_how_many_events(port: int, model: str) -> None:
    """Five content events, then the finish, then usage without choices, whatever the pace."""
    answer, content = call(port, body(model, is_stream=True))
    found = events(content)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [len(event["choices"]) for event in found] == [1, 1, 1, 1, 1, 1, 0]
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("model", ["bench-c5-g0-anthropic", "up-bench-c5-burst-anthropic"])
def test_a_model_can_speak_anthropics_dialect(port: int, model: str) -> None:
    """The same five content events, in a message of Anthropic's."""
    _, content = call(port, body(model, is_stream=True))
    found = [piece.split("\n") for piece in content.decode().split("\n\n")[:-1]]
    kinds = [json.loads(data.removeprefix("data: "))["type"] for _, data in found]
    assert [name for name, _ in found] == [f"event: {kind}" for kind in kinds]
    assert kinds == [
        *("message_start", "content_block_start"),
        *["content_block_delta"] * 5,
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert json.loads(found[-2][1].removeprefix("data: "))["usage"] == {"output_tokens": 5}


def test_headers_say_it_too(port: int) -> None:
    """`x-chunks` counts as the name does."""
    _, content = call(port, body("any", is_stream=True), {"x-chunks": "2"})
    assert len(events(content)) == 4


def test_events_are_stamped_with_the_clock_of_this_machine(port: int) -> None:
    """Every content event carries CLOCK_MONOTONIC, so stamps lie between request and answer and never go back."""
    before = time.monotonic_ns()
    _, content = call(port, body("bench-c9-g500", is_stream=True))
    stamps = [int(event["obfuscation"]) for event in events(content) if "obfuscation" in event]
    assert len(stamps) == 9
    assert before <= stamps[0]
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] >= 8 * 500_000 * 0.5
    assert stamps[-1] <= time.monotonic_ns()


def test_what_steers_the_answer_is_found_behind_a_long_body(port: int) -> None:
    """A body of megabytes is dropped piece by piece, and its last key still counts."""
    long = json.dumps({"messages": "x" * 3_000_000, "model": "bench-c3", "stream": True}).encode()
    _, content = call(port, long)
    assert len(events(content)) == 5


def test_chunked_request_is_understood(port: int) -> None:
    """A gateway may send its body in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", PATH, iter([b'{"model":"bench-c3",', b'"stream": true}']), encode_chunked=True)
    assert len(events(connection.getresponse().read())) == 5
    connection.close()


def test_idle_streams_have_one_event_and_stay_open(port: int) -> None:
    """Inside the context all streams run; the upstream is not troubled when they go."""
    with IdleStreams(port, body("bench-idle", is_stream=True), 60):
        pass
    _, content = call(port, body("bench-c1", is_stream=True))
    assert len(events(content)) == 3
