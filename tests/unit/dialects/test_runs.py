"""Which run a request belongs to: client by client, in their order, and whatever they write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.base import CallerRequest
from tokenway.dialects.carriers import ID_MAX
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.runs import KNOWN, NOBODY, Named, name_run
from tokenway.dialects.side.request import FormRequest
from tokenway.model.catalog import Dialect, Operation

UUID = "3f0e7c1a-0000-4000-8000-000000000001"
HELLO = {"role": "user", "content": "Hello"}
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def chat(**members: Any) -> CallerRequest:
    """A chat request with these members besides."""
    body = json.dumps({"model": "m", "messages": [HELLO]} | members).encode()
    return FORMATS[Dialect.OPENAI_CHAT].parse(Operation.CHAT, body, "", False)


def message(**members: Any) -> CallerRequest:
    """The same for Anthropic's dialect."""
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [HELLO]} | members).encode()
    return FORMATS[Dialect.ANTHROPIC].parse(Operation.CHAT, body, "", False)


def response(**members: Any) -> CallerRequest:
    """The same for the Responses API."""
    body = json.dumps({"model": "m", "input": "Hello"} | members).encode()
    return FORMATS[Dialect.OPENAI_RESPONSES].parse(Operation.CHAT, body, "", False)


def named(headers: dict[str, str] | None = None, request: CallerRequest | None = None) -> Named:
    """Where a request with these headers belongs."""
    return name_run({name.encode(): value.encode() for name, value in (headers or {}).items()}, request or chat())


CASES: list[tuple[dict[str, str], CallerRequest, Named]] = [
    ({}, chat(), NOBODY),
    ({"user-agent": "x", "x-request-id": "1", "x-client-request-id": "2", "originator": "y"}, chat(), NOBODY),
    # Tokenway
    ({"x-tokenway-run": "r"}, chat(), Named("r")),
    (
        {"x-tokenway-run": "r", "x-tokenway-agent": "a", "x-tokenway-parent": "p", "x-tokenway-turn": "t"},
        chat(),
        Named("r", "a", "p", turn="t", request_class="subagent"),
    ),
    ({"x-tokenway-run": "r", "x-tokenway-class": "Auxiliary"}, chat(), Named("r", request_class="auxiliary")),
    (
        {"x-tokenway-run": "r", "x-tokenway-agent": "a", "x-tokenway-parent": "p", "x-tokenway-class": "main"},
        chat(),
        Named("r", "a", "p", request_class="subagent"),
    ),
    ({"x-tokenway-run": "r", "x-tokenway-class": "urgent"}, chat(), Named("r")),
    ({"x-tokenway-run": "r", "x-tokenway-final": "true"}, chat(), Named("r", final=True)),
    ({"x-tokenway-agent": "a", "x-tokenway-parent": "p"}, chat(), NOBODY),
    ({"x-tokenway-run": "r", "x-tokenway-agent": "r"}, chat(), Named("r")),
    ({"x-tokenway-run": "r", "x-tokenway-agent": "a", "x-tokenway-parent": "a"}, chat(), Named("r", "a")),
    ({"x-tokenway-run": "r", "x-tokenway-parent": "p"}, chat(), Named("r")),
    # OpenRouter
    ({}, chat(session_id="s"), Named("s")),
    ({"x-session-id": "s"}, chat(), Named("s")),
    ({"x-session-id": "header's"}, chat(session_id="body's"), Named("body's")),
    ({}, chat(session_id=7), NOBODY),
    ({}, chat(session_id=None), NOBODY),
    ({}, message(session_id="s"), Named("s")),
    # Dynamo: a session for each chain of reasoning
    ({"x-dynamo-session-id": "s"}, chat(), Named("s")),
    (
        {"x-dynamo-session-id": "s", "x-dynamo-parent-session-id": "p"},
        chat(),
        Named("p", "s", "p", request_class="subagent"),
    ),
    ({"x-dynamo-session-id": "s", "x-dynamo-session-final": "true"}, chat(), Named("s", final=True)),
    # Claude Code
    ({"x-claude-code-session-id": UUID}, message(), Named(UUID)),
    (
        {"x-claude-code-session-id": UUID, "x-claude-code-prompt-id": "p1", "x-claude-code-request-class": "main"},
        message(),
        Named(UUID, turn="p1", request_class="main"),
    ),
    (
        {"x-claude-code-session-id": UUID, "x-claude-code-agent-id": "a1"},
        message(),
        Named(UUID, "a1", UUID, request_class="subagent"),
    ),
    (
        {
            "x-claude-code-session-id": UUID,
            "x-claude-code-agent-id": "a2",
            "x-claude-code-parent-agent-id": "a1",
            "x-claude-code-agent-type": "Explore",
            "x-claude-code-request-class": "workflow",
        },
        message(),
        Named(UUID, "a2", "a1", "Explore", request_class="workflow"),
    ),
    (
        {"x-claude-code-session-id": UUID, "x-claude-code-compaction": "auto"},
        message(),
        Named(UUID, request_class="compaction"),
    ),
    ({}, message(metadata={"user_id": f"user_ab_account_cd_session_{UUID}"}), Named(UUID)),
    ({}, message(metadata={"user_id": json.dumps({"device_id": "d", "session_id": UUID})}), Named(UUID)),
    ({}, message(metadata={"user_id": "user_ab"}), NOBODY),
    ({}, message(metadata={"user_id": '{"device_id":"d"}'}), NOBODY),
    # Codex
    ({"session-id": "s", "thread-id": "s"}, response(), Named("s")),
    ({"session_id": "s", "conversation_id": "s"}, response(), Named("s")),
    ({"thread-id": "t"}, response(), Named("t")),
    ({"x-codex-window-id": "t:3"}, response(), Named("t")),
    (
        {
            "session-id": "s",
            "thread-id": "t",
            "x-codex-parent-thread-id": "s",
            "x-openai-subagent": "collab_spawn",
            "x-codex-turn-metadata": '{"turn_id":"n2","root_turn_id":"n1","request_kind":"turn"}',
            "traceparent": TRACEPARENT.decode(),
        },
        response(prompt_cache_key="s"),
        Named("s", "t", "s", "collab_spawn", "n1", "subagent"),
    ),
    (
        {"thread-id": "t", "x-codex-parent-thread-id": "p", "x-openai-subagent": "review"},
        response(),
        Named("p", "t", "p", "review", request_class="subagent"),
    ),
    (
        {"session-id": "s", "thread-id": "s", "x-codex-turn-metadata": '{"turn_id":"n","request_kind":"turn"}'},
        response(),
        Named("s", turn="n", request_class="main"),
    ),
    (
        {"session-id": "s", "x-codex-turn-metadata": '{"request_kind":"compaction"}'},
        response(),
        Named("s", request_class="compaction"),
    ),
    (
        {"session-id": "s", "x-openai-subagent": "compact"},
        response(),
        Named("s", "", "", "compact", request_class="compaction"),
    ),
    (
        {"session-id": "s", "x-openai-subagent": "memory_consolidation"},
        response(),
        Named("s", "", "", "memory_consolidation", request_class="auxiliary"),
    ),
    ({"session-id": "s", "x-codex-turn-metadata": "{broken"}, response(), Named("s")),
    (
        {},
        response(
            client_metadata={
                "session_id": "s",
                "thread_id": "t",
                "x-codex-parent-thread-id": "s",
                "x-openai-subagent": "review",
                "x-codex-turn-metadata": '{"turn_id":"n"}',
            }
        ),
        Named("s", "t", "s", "review", "n", "subagent"),
    ),
    # OpenCode
    ({"x-session-id": "s", "x-parent-session-id": "p"}, chat(), Named("p", "s", "p", request_class="subagent")),
    ({"x-session-affinity": "s", "x-parent-session-id": "p"}, chat(), Named("p", "s", "p", request_class="subagent")),
    ({"x-opencode-session": "s", "x-opencode-request": "msg_1"}, chat(), Named("s", turn="msg_1")),
    # LiteLLM
    ({}, chat(litellm_session_id="s"), Named("s")),
    ({}, chat(litellm_trace_id="t"), Named("t")),
    ({"x-litellm-session-id": "s"}, chat(), Named("s")),
    ({"x-litellm-trace-id": "t"}, chat(), Named("t")),
    # Helicone
    ({"helicone-session-id": "s"}, chat(), Named("s")),
    ({"helicone-session-id": "s", "helicone-session-path": "/"}, chat(), Named("s")),
    ({"helicone-session-id": "s", "helicone-session-path": "/plan"}, chat(), Named("s", "/plan")),
    (
        {"helicone-session-id": "s", "helicone-session-path": "plan//step/"},
        chat(),
        Named("s", "/plan/step", "/plan", request_class="subagent"),
    ),
    # others
    ({"baggage": "a=1, langfuse_session_id=s%201;x=y"}, chat(), Named("s 1")),
    ({"x-portkey-trace-id": "t"}, chat(), Named("t")),
    ({"x-grok-conv-id": "c"}, chat(), Named("c")),
    ({"x-qwen-code-session-id": "q"}, chat(), Named("q")),
    ({}, chat(metadata={"session_id": "s"}), Named("s")),
    ({}, chat(metadata={"session_id": ["s"]}), NOBODY),
    ({}, chat(metadata="s"), NOBODY),
    # W3C
    ({"baggage": "session.id=s,gen_ai.agent.id=a"}, chat(), Named("s", "a")),
    ({"baggage": "gen_ai.conversation.id=c"}, chat(), Named("c")),
    ({"traceparent": TRACEPARENT.decode()}, chat(), Named(TRACE, turn=TRACE)),
    ({"traceparent": TRACEPARENT.decode(), "x-tokenway-run": "r"}, chat(), Named("r", turn=TRACE)),
    ({"traceparent": TRACEPARENT.decode(), "originator": "codex_cli_rs"}, response(), NOBODY),
    ({"traceparent": TRACEPARENT.decode(), "session-id": "s"}, response(), Named("s")),
    ({"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"}, chat(), NOBODY),
    ({"traceparent": "00-short-01"}, chat(), NOBODY),
    # The last resorts
    ({}, chat(prompt_cache_key="k"), Named("~k")),
    ({}, response(prompt_cache_key="k"), Named("~k")),
    ({}, response(conversation="conv_1"), Named("conv_1")),
    ({}, response(conversation={"id": "conv_1"}), Named("conv_1")),
    ({}, response(conversation=[1]), NOBODY),
]


@pytest.mark.parametrize(("headers", "request_", "expected"), CASES)
def test_what_clients_say(headers: dict[str, str], request_: CallerRequest, expected: Named) -> None:
    """Run, agent, parent, type, turn, class and whether that was the last call."""
    assert named(headers, request_) == expected


def test_the_first_of_the_table_names_the_run() -> None:
    """Each is named by what is left of a request that says everything, once those before it are taken away."""
    order: list[tuple[str, str]] = [
        ("x-tokenway-run", "tokenway"),
        ("session_id", "body's"),
        ("x-session-id", "openrouter"),
        ("x-dynamo-session-id", "dynamo"),
        ("x-claude-code-session-id", "claude"),
        ("session-id", "codex"),
        ("session_id ", "older codex"),
        ("thread-id", "thread"),
        ("x-opencode-session", "opencode"),
        ("litellm_session_id", "litellm"),
        ("x-litellm-session-id", "litellm's"),
        ("helicone-session-id", "helicone"),
        ("baggage", "langfuse"),
        ("x-grok-conv-id", "xai"),
        ("x-qwen-code-session-id", "qwen"),
        ("metadata", "in metadata"),
        ("metadata ", "in user_id"),
        ("traceparent", TRACE),
        ("prompt_cache_key", "~key"),
        ("conversation", "conv"),
    ]
    values: dict[str, Any] = dict(order) | {
        "baggage": "langfuse_session_id=langfuse",
        "metadata": {"session_id": "in metadata"},
        "metadata ": {"user_id": "user_a_session_in user_id"},
        "traceparent": TRACEPARENT.decode(),
        "prompt_cache_key": "key",
    }
    members = {"session_id", "litellm_session_id", "metadata", "metadata ", "prompt_cache_key", "conversation"}
    for at, (_, expected) in enumerate(order):
        left = [name for name, _ in order[at:]]
        body = {name.strip(): values[name] for name in reversed(left) if name in members}
        headers = {name.strip(): values[name] for name in left if name not in members}
        assert named(headers, response(**body)).run == expected


def test_agents_may_be_named_by_another_header_than_their_run() -> None:
    """Claude Code's agents within a run that its user has named: those it names none for work for the run's own."""
    headers = {"x-tokenway-run": "nightly", "x-claude-code-session-id": UUID, "x-claude-code-agent-id": "a1"}
    assert named(headers, message()) == Named("nightly", "a1", "nightly", request_class="subagent")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"  padded ", "padded"),
        (b"   ", ""),
        ("größe".encode(), "größe"),
        (b"r" * ID_MAX, "r" * ID_MAX),
    ],
)
def test_an_id_is_kept_as_it_is(value: bytes, expected: str) -> None:
    """If it is printable and not too long."""
    assert name_run({b"x-tokenway-run": value}, chat()).run == expected


@pytest.mark.parametrize("value", [b"r" * (ID_MAX + 1), b"\xff\xfe", b"a\x07b", "a\u202eb".encode(), b"~k"])
def test_an_id_that_is_not_kept_is_a_digest(value: bytes) -> None:
    """The same for the same id, and another one for another."""
    first, again = (name_run({b"x-tokenway-run": value}, chat()).run for _ in range(2))
    assert first == again
    assert first.startswith("sha256-")
    assert len(first) == len("sha256-") + 32
    assert name_run({b"x-tokenway-run": value + b"x"}, chat()).run != first


def test_a_long_key_of_the_cache_is_a_digest_behind_the_mark() -> None:
    """The bound holds with the mark."""
    run = named({}, chat(prompt_cache_key="k" * ID_MAX)).run
    assert run.startswith("~sha256-")
    assert named({}, chat(prompt_cache_key="k" * (ID_MAX - 1))).run == "~" + "k" * (ID_MAX - 1)


def test_a_chain_of_responses_is_one_run() -> None:
    """By its first response, which who looks up chains has found."""
    request = response(previous_response_id="resp_2")
    request.chain = "resp_1"  # type: ignore[misc]  # what the Responses API's own requests have
    assert named({}, request).run == "resp_1"


def test_a_guess_is_made_of_how_a_conversation_begins() -> None:
    """Of the model's instructions and what its user says first, whatever comes behind, in every dialect."""
    later = [HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"}]
    system = {"role": "system", "content": "Be kind"}

    def guessed(request: CallerRequest) -> str:
        return name_run({}, request, guesses=True).run

    assert guessed(chat()).startswith("~")
    assert guessed(chat()) == guessed(chat(messages=later))
    assert guessed(chat()) != guessed(chat(messages=[system, HELLO]))
    assert guessed(chat(messages=[system, HELLO])) == guessed(chat(messages=[system, *later]))
    assert guessed(message()) == guessed(message(messages=later))
    assert guessed(response()) == guessed(response(input=[HELLO, {"role": "assistant", "content": "Hi"}]))
    assert guessed(chat(messages=[system])) == ""
    assert guessed(chat(messages="none")) == ""
    assert name_run({b"x-tokenway-run": b"r"}, chat(), guesses=True).run == "r"
    assert name_run({b"traceparent": b"none"}, chat(), guesses=True).run == guessed(chat())


def test_a_form_is_named_by_its_headers() -> None:
    """Its members are not looked at."""
    body = (
        b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n'
        b'--x\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nabc\r\n--x--\r\n'
    )
    form = FormRequest(Operation.TRANSCRIPTION, body, b"multipart/form-data; boundary=x")
    assert named({}, form) == NOBODY
    assert named({"x-tokenway-run": "r"}, form).run == "r"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ("session_id", "prompt_cache_key", "metadata", "client_metadata", "conversation", "litellm_session_id")


@given(
    st.dictionaries(
        st.sampled_from(sorted(KNOWN)), st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode())
    ),
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
)
def test_nothing_that_a_client_writes_does_any_harm(headers: dict[bytes, bytes], members: dict[str, Any]) -> None:
    """It never raises, and what it tells is printable and bounded."""
    for request in (chat(**members), response(**members)):
        told = name_run(headers, request, guesses=True)
        for text in told[:6]:
            assert isinstance(text, str)
            assert len(text) <= ID_MAX
            assert text.isprintable()
        assert told.run or told == NOBODY
        assert not told.run or told.agent != told.run
        assert not told.parent or told.agent
