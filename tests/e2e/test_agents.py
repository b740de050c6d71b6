"""Claude Code and Codex as scripted sessions: the headers and bodies they send, at their own dialect and others."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.e2e.callers import dial, events
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway, configuration
from tests.e2e.sdk_matrix import model
from tests.fake_provider import REPLIES, FakeProvider, Script
from tests.fake_provider.cases import CALL_SIGNATURE, SEAL, SIGNATURE
from tests.fake_provider.reply import Called, Finish, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")

# -- Claude Code ---------------------------------------------------------------------------------------------

CLAUDE_HEADERS = {
    "authorization": f"Bearer {KEY}",
    "user-agent": "claude-cli/2.1.300 (external, cli)",
    "x-app": "cli",
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,of-tomorrow",
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-something-new": "kept",
    "x-claude-code-session-id": "3f0e7c1a-0000-4000-8000-000000000001",
    "x-stainless-retry-count": "0",
    "content-type": "application/json",
}
ATTRIBUTION = "x-anthropic-billing-header: cc_version=2.1.300.abc; cc_entrypoint=cli; cch=00000;"
CACHED = {"type": "ephemeral", "ttl": "1h"}


def claude_body(name: str, messages: list[dict[str, Any]], **more: Any) -> bytes:
    """A request as Claude Code writes it."""
    body = {
        "model": name,
        "messages": messages,
        "system": [
            {"type": "text", "text": ATTRIBUTION},
            {"type": "text", "text": "You are Claude Code.", "cache_control": CACHED},
            {"type": "text", "text": "Environment: Linux — “quotes” and ünïcode.", "cache_control": CACHED},
        ],
        "tools": [
            {
                "name": "get_weather",
                "description": "Looks.",
                "input_schema": {
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "additionalProperties": False,
                },
                "eager_input_streaming": True,
            }
        ],
        "metadata": {"user_id": "user_aa_account_bb_session_cc"},
        "max_tokens": 32000,
        "thinking": {"type": "enabled", "budget_tokens": 31999},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "stream": True,
    }
    return json.dumps(body | more, ensure_ascii=False).encode()


FIRST: dict[str, Any] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "<system-reminder>\nContext.\n</system-reminder>"},
        {"type": "text", "text": "What is the weather?", "cache_control": CACHED},
    ],
}
THOUGHT = {"type": "thinking", "thinking": "The weather decides, so I ask for it.", "signature": SIGNATURE}
USE = {"type": "tool_use", "id": "call_fake_1", "name": "get_weather", "input": {"city": "Zürich"}}
RESULT = {
    "type": "tool_result",
    "tool_use_id": "call_fake_1",
    "content": [{"type": "text", "text": "It is sunny."}],
    "cache_control": CACHED,
}
SECOND = [FIRST, {"role": "assistant", "content": [THOUGHT, USE]}, {"role": "user", "content": [RESULT]}]


async def claude(http: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    """One call of Claude Code's."""
    return await http.post("/v1/messages?beta=true", content=body, headers=CLAUDE_HEADERS)


async def direct(provider: FakeProvider, path: str, body: bytes) -> bytes:
    """What the provider says without a gateway."""
    async with httpx2.AsyncClient(base_url=provider.origin) as http:
        return (await http.post(path, content=body, headers={"content-type": "application/json"})).content


def renamed(body: bytes, name: str) -> bytes:
    """The body with another model, and every other byte as it was."""
    _, marker, rest = body.partition(b'", "messages"') if b'", "messages"' in body else body.partition(b'", "inst')
    return b'{"model": "' + name.encode() + marker + rest


@pytest.mark.parametrize(("case", "messages"), [("reasoning-tools", [FIRST]), ("text", SECOND)])
async def test_claude_code_at_its_own_dialect(
    http: httpx2.AsyncClient, provider: FakeProvider, case: str, messages: list[dict[str, Any]]
) -> None:
    """The bytes of the request but for the model's name, the headers as an open list, the bytes of the stream."""
    body = claude_body(model("anthropic", case), messages)
    answer = await claude(http, body)
    received = provider.requests[-1]
    assert received.body == renamed(body, case)
    assert received.path == "/v1/messages?beta=true"
    for name, value in CLAUDE_HEADERS.items():
        if name.startswith("anthropic-"):
            assert received.header(name) == value
    assert received.header("x-api-key") == "sk-anthropic"
    assert KEY not in str(received.headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == await direct(provider, "/v1/messages", renamed(body, case))


async def test_claude_codes_default_version(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Who sends no version gets the usual one."""
    body = claude_body(model("anthropic", "text"), [FIRST], stream=False)
    await http.post("/v1/messages", content=body)
    assert provider.requests[-1].header("anthropic-version") == "2023-06-01"


async def test_pings_are_forwarded(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Those of the upstream arrive where they stood, byte for byte, and unknown events too."""
    start = {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "text",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    }
    events_of: list[dict[str, Any]] = [
        start,
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "of_tomorrow", "x": 1},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "ping"},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    pieces = [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events_of]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    provider.queue(Script(pieces=(head, *pieces), close=True))
    answer = await claude(http, claude_body(model("anthropic", "text"), [FIRST]))
    assert answer.content == b"".join(pieces)


async def test_an_error_of_the_upstream_is_not_touched(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """Claude Code matches on its words, and reads when to try again and how much is left."""
    error = b'{"type":"error","error":{"type":"rate_limit_error","message":"Number of request tokens has exceeded"}}'
    lines = {
        "retry-after": "45",
        "x-should-retry": "false",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": "1760000000",
        "request-id": "req_011",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    raw = b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n%b"
    provider.queue(Script(raw=raw % (head.encode(), len(error), error)))
    answer = await claude(http, claude_body(model("anthropic", "text"), [FIRST]))
    assert answer.status_code == 429
    assert answer.content == error
    assert {name: answer.headers[name] for name in lines} == lines


async def test_claude_code_at_a_chat_provider(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """System blocks in order, tools, the stream in Anthropic's events with pings; then the round of the tool."""
    provider.queue(Script(reply=REPLIES["reasoning-tools"], comments=True))
    answer = await claude(http, claude_body(model("openai_chat", "reasoning-tools"), [FIRST]))
    sent = provider.requests[-1].json
    system = [message for message in sent["messages"] if message["role"] in {"system", "developer"}]
    text = json.dumps(system, ensure_ascii=False)
    assert text.index(ATTRIBUTION) < text.index("You are Claude Code.") < text.index("Environment: Linux")
    assert sent["tools"][0]["function"]["name"] == "get_weather"
    assert sent["stream"] is True
    assert "context_management" in answer.headers["x-tokenway-dropped"]
    found = list(events(answer.content))
    kinds = [name for name, _ in found if name != "ping"]
    assert "ping" in [name for name, _ in found]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks = [data["content_block"]["type"] for name, data in found if name == "content_block_start"]
    assert blocks[:2] == ["thinking", "tool_use"]
    starts = [data["index"] for name, data in found if name == "content_block_start"]
    assert starts == list(range(len(starts)))
    (delta,) = [data for name, data in found if name == "message_delta"]
    assert delta["delta"]["stop_reason"] == "tool_use"
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (55, 24)
    told = assembled(found)
    assert told[1] == USE | {"id": told[1]["id"]}
    back = [FIRST, {"role": "assistant", "content": told}, {"role": "user", "content": [RESULT]}]
    answer = await claude(http, claude_body(model("openai_chat", "text"), back))
    assert answer.status_code == 200
    messages = provider.requests[-1].json["messages"]
    assert messages[-1] == {"role": "tool", "tool_call_id": "call_fake_1", "content": "It is sunny."}
    assert messages[-2]["tool_calls"][0]["function"]["name"] == "get_weather"
    # An unknown provider of this dialect may refuse reasoning that is given back: it is left out, and said so.
    assert "messages.thinking" in answer.headers["x-tokenway-dropped"].split(",")


async def test_claude_code_loads_a_tool(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """It holds tools back until the model has searched for them; the model of another vendor reads which it found."""
    use = {"type": "tool_use", "id": "call_s", "name": "ToolSearch", "input": {"query": "select:WebFetch"}}
    found = {"type": "tool_result", "tool_use_id": "call_s", "content": [LOADED]}
    body = claude_body(
        model("openai_chat", "text"),
        [FIRST, {"role": "assistant", "content": [use]}, {"role": "user", "content": [found]}],
        tools=[{"name": "WebFetch", "input_schema": {"type": "object"}, "defer_loading": True}],
    )
    answer = await claude(http, body)
    assert answer.status_code == 200, answer.text
    sent = provider.requests[-1].json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["WebFetch"]
    assert sent["messages"][-1] == {"role": "tool", "tool_call_id": "call_s", "content": "WebFetch"}
    assert "tool_reference" not in answer.headers["x-tokenway-dropped"].split(",")


LOADED = {"type": "tool_reference", "tool_name": "WebFetch"}


def assembled(found: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The content of a stream as Claude Code keeps it for the next turn."""
    blocks: list[dict[str, Any]] = []
    for name, data in found:
        if name == "content_block_start":
            blocks.append(dict(data["content_block"]) | {"json": ""})
        elif name == "content_block_delta":
            block, delta = blocks[data["index"]], data["delta"]
            for kind, field in (
                ("text_delta", "text"),
                ("thinking_delta", "thinking"),
                ("signature_delta", "signature"),
            ):
                if delta["type"] == kind:
                    block[field] = block.get(field, "") + delta[field]
            if delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
    for block in blocks:
        text = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
    return blocks


SIGNED = {"openai_responses": SIGNATURE, "gemini": CALL_SIGNATURE, "bedrock": SIGNATURE}
"""What each upstream signs of the reply `reasoning-tools`: Gemini the call, the others the reasoning."""


@pytest.mark.parametrize("upstream", SIGNED)
async def test_signed_reasoning_goes_round(http: httpx2.AsyncClient, provider: FakeProvider, upstream: str) -> None:
    """What another vendor signed comes back to it as it was; Anthropic itself is shown its own only."""
    answer = await claude(http, claude_body(model(upstream, "reasoning-tools"), [FIRST]))
    told = assembled(list(events(answer.content)))
    back = [FIRST, {"role": "assistant", "content": told}, {"role": "user", "content": [RESULT]}]
    answer = await claude(http, claude_body(model(upstream, "text"), back))
    assert answer.status_code == 200, answer.text
    assert SIGNED[upstream] in provider.requests[-1].body.decode()
    answer = await claude(http, claude_body(model("anthropic", "text"), back))
    assert answer.status_code == 200, answer.text
    sent = provider.requests[-1].body.decode()
    assert (SIGNED[upstream] in sent) == (upstream == "bedrock")  # which serves Anthropic's models
    assert "tw1." not in sent
    assert "It is sunny." in sent


async def test_signed_reasoning_goes_round_in_chat(launch: Launch, provider: FakeProvider) -> None:
    """A provider that takes `reasoning_details` gets them back as they were."""
    lab = {"quirks": {"reasoning_field": "reasoning_details"}, "base_url": provider.base_url, "api_key": "x"}
    gateway = await launch(configuration(provider.base_url, providers={"lab": lab}))
    provider.queue(Script(reply=REPLIES["reasoning-tools"]))
    async with dial(gateway) as http:
        answer = await claude(http, claude_body("mock", [FIRST]))
        told = assembled(list(events(answer.content)))
        assert told[0] == THOUGHT
        back = [FIRST, {"role": "assistant", "content": told}, {"role": "user", "content": [RESULT]}]
        await claude(http, claude_body("mock", back))
    detail, of_call = provider.requests[-1].json["messages"][-2]["reasoning_details"]
    assert (detail["text"], detail["signature"]) == (THOUGHT["thinking"], SIGNATURE)
    assert CALL_SIGNATURE in of_call.values()


async def test_claude_codes_runs(http: httpx2.AsyncClient, five: Gateway) -> None:
    """Its calls are settled like any other; a run of its own name is kept with them."""
    body = claude_body(model("anthropic", "text"), [FIRST])
    headers = CLAUDE_HEADERS | {"x-tokenway-run": "run-1"}
    answer = await http.post("/v1/messages?beta=true", content=body, headers=headers)
    entry = await five.entry(answer.headers["x-generation-id"])
    assert (entry.settlement, entry.run, entry.prompt, entry.completion) == ("delivered", "run-1", 11, 7)


# -- Codex ---------------------------------------------------------------------------------------------------

CODEX_HEADERS = {
    "authorization": f"Bearer {KEY}",
    "accept": "text/event-stream",
    "originator": "codex_cli_rs",
    "user-agent": "codex_cli_rs/0.120.0 (Linux; x86_64) unknown",
    "session-id": "0199-session",
    "thread-id": "0199-thread",
    "x-client-request-id": "0199-thread",
    "x-codex-window-id": "0199-thread:0",
    "x-codex-turn-metadata": '{"turn_id":"t1","sandbox":"none"}',
    "content-type": "application/json",
}
CODEX_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Looks.",
        "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
    {
        "type": "custom",
        "name": "apply_patch",
        "description": "Edits files.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: begin"},
    },
    {"type": "local_shell"},
    {"type": "web_search", "external_web_access": False},
]
ASKED: list[dict[str, Any]] = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather? — “ü”"}]},
]
SHELL: list[dict[str, Any]] = [
    {
        "type": "local_shell_call",
        "call_id": "call_s",
        "status": "completed",
        "action": {"type": "exec", "command": ["ls"], "env": {}},
    },
    {"type": "local_shell_call_output", "call_id": "call_s", "output": "a.py"},
]
PATCH: list[dict[str, Any]] = [
    {"type": "custom_tool_call", "call_id": "call_p", "name": "apply_patch", "input": "*** Begin Patch\n"},
    {"type": "custom_tool_call_output", "call_id": "call_p", "output": "Done."},
]


def codex_body(name: str, said: list[dict[str, Any]], **more: Any) -> bytes:
    """A request as Codex writes it."""
    body = {
        "model": name,
        "instructions": "You are Codex, based on GPT-5.",
        "input": said,
        "tools": CODEX_TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0199-thread",
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "i"},
    }
    return json.dumps(body | more, ensure_ascii=False).encode()


async def codex(http: httpx2.AsyncClient, body: bytes) -> httpx2.Response:
    """One call of Codex's."""
    return await http.post("/v1/responses", content=body, headers=CODEX_HEADERS)


def output(found: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """The items that a stream brought, as Codex keeps them: from their ends."""
    return [data["item"] for name, data in found if name == "response.output_item.done"]


@pytest.mark.parametrize("case", ["reasoning-tools", "sealed", "text"])
async def test_codex_at_its_own_dialect(http: httpx2.AsyncClient, provider: FakeProvider, case: str) -> None:
    """The bytes of the request but for the model's name, its turn's headers, and the bytes of the stream's events."""
    sealed: dict[str, Any] = {"type": "reasoning", "summary": [], "encrypted_content": SEAL}
    body = codex_body(model("openai_responses", case), [*ASKED, sealed, *SHELL, *PATCH])
    answer = await codex(http, body)
    received = provider.requests[-1]
    assert received.body == renamed(body, case)
    for name in ("originator", "session-id", "thread-id", "x-codex-window-id", "x-codex-turn-metadata"):
        assert received.header(name) == CODEX_HEADERS[name]
    assert received.header("authorization") == "Bearer sk-openai_responses"
    wanted = list(events(await direct(provider, "/v1/responses", renamed(body, case))))
    found = list(events(answer.content))
    assert found[:-1] == wanted[:-1]
    told = found[-1][1]["response"]
    cost = {name: told["usage"].pop(name) for name in ("cost", "cost_details")}
    told.pop("tokenway", None)
    assert found[-1] == wanted[-1]
    assert cost["cost"] > 0


MCP: dict[str, Any] = {
    "type": "namespace",
    "name": "mcp__lab",
    "description": "Tools in the mcp__lab namespace.",
    "tools": [CODEX_TOOLS[0]],
}


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic", "gemini", "bedrock"])
async def test_codex_reaches_the_tools_of_its_servers(
    http: httpx2.AsyncClient, provider: FakeProvider, upstream: str
) -> None:
    """Codex has the tools of an MCP server in a namespace: other dialects get one name, the answer has both again."""
    calls = Reply((Called("call_n", "mcp__lab__get_weather", {"city": "Zürich"}),), Finish.TOOLS)
    provider.queue(Script(reply=calls))
    answer = await codex(http, codex_body(model(upstream, "text"), ASKED, tools=[MCP]))
    assert answer.status_code == 200, answer.text
    assert '"mcp__lab__get_weather"' in provider.requests[-1].body.decode()
    dropped = answer.headers["x-tokenway-dropped"].split(",")
    assert "namespace.description" in dropped
    assert "tools.namespace" not in dropped
    (call,) = output(list(events(answer.content)))
    assert (call["name"], call["namespace"]) == ("get_weather", "mcp__lab")
    assert json.loads(call["arguments"]) == {"city": "Zürich"}
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is sunny."}
    answer = await codex(http, codex_body(model(upstream, "text"), [*ASKED, call, result], tools=[MCP]))
    assert answer.status_code == 200, answer.text
    sent = provider.requests[-1].body.decode()
    assert sent.count('"mcp__lab__get_weather"') >= 2
    assert '"get_weather"' not in sent


async def test_codex_keeps_its_turn_on_one_server(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """What the upstream wants to be told again comes back."""
    body = codex_body(model("openai_responses", "text"), ASKED)
    stream = await direct(provider, "/v1/responses", renamed(body, "text"))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-codex-turn-state: abc\r\nconnection: close\r\n\r\n"
    provider.queue(Script(raw=head + stream, close=True))
    answer = await codex(http, body)
    assert answer.headers["x-codex-turn-state"] == "abc"


async def test_codex_stores_nothing(http: httpx2.AsyncClient) -> None:
    """`store: false` holds at other dialects too."""
    answer = await codex(http, codex_body(model("openai_chat", "text"), ASKED))
    (first, *_), found = list(events(answer.content)), list(events(answer.content))
    assert first[0] == "response.created"
    assert found[-1][0] == "response.completed"
    kept = await http.get(f"/v1/responses/{found[-1][1]['response']['id']}")
    assert kept.status_code == 404


@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic", "gemini", "bedrock"])
async def test_codex_at_other_dialects(http: httpx2.AsyncClient, provider: FakeProvider, upstream: str) -> None:
    """A call, its output, an answer; what has no place is declared; numbers of events without a gap."""
    answer = await codex(http, codex_body(model(upstream, "reasoning-tools"), ASKED))
    assert answer.status_code == 200, answer.text
    # Codex searches what is stored (`external_web_access: false`), and no other vendor has a search that keeps to it.
    assert {"tools.web_search", "client_metadata"} <= set(answer.headers["x-tokenway-dropped"].split(","))
    found = list(events(answer.content))
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    assert [name for name, _ in found][:2] == ["response.created", "response.in_progress"]
    assert found[-1][0] == "response.completed"
    items = output(found)
    (call,) = [item for item in items if item["type"] == "function_call"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Zürich"})
    assert found[-1][1]["response"]["output"] == items
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "It is sunny."}
    answer = await codex(http, codex_body(model(upstream, "text"), [*ASKED, *items, result]))
    assert answer.status_code == 200, answer.text
    body = provider.requests[-1].body.decode()
    assert "It is sunny." in body
    if upstream != "openai_chat":
        assert (CALL_SIGNATURE if upstream == "gemini" else SIGNATURE) in body
    assert list(events(answer.content))[-1][0] == "response.completed"
    # And on to OpenAI: it is not shown what others have sealed.
    answer = await codex(http, codex_body(model("openai_responses", "text"), [*ASKED, *items, result]))
    assert answer.status_code == 200
    assert "tw1." not in provider.requests[-1].body.decode()
    assert "It is sunny." in provider.requests[-1].body.decode()


NEWEST: dict[str, Any] = {
    "type": "additional_tools",
    "role": "developer",
    "tools": [
        {
            "type": "namespace",
            "name": "functions",
            "description": "Everything.",
            "tools": [{"type": "custom", "name": "exec", "description": "Runs a program.", "format": {"type": "text"}}],
        }
    ],
}
"""How Codex gives its tools to OpenAI's newest models."""


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("upstream", ["openai_chat", "anthropic", "gemini", "bedrock"])
async def test_codexs_free_text_is_a_function_elsewhere(
    http: httpx2.AsyncClient, provider: FakeProvider, upstream: str, *, stream: bool
) -> None:
    """The model is offered it, calls it, and Codex gets the text, with both names; what it gave goes back."""
    program = 'print("ü")\n'
    provider.queue(Script(reply=Reply((Called("call_x", "functions__exec", {"input": program}),), Finish.TOOLS)))
    answer = await codex(http, codex_body(model(upstream, "text"), [NEWEST, *ASKED], tools=[], stream=stream))
    assert answer.status_code == 200, answer.text
    assert '"functions__exec"' in provider.requests[-1].body.decode()
    assert not {"additional_tools", "tools.custom"} & set(answer.headers["x-tokenway-dropped"].split(","))
    (call,) = output(list(events(answer.content))) if stream else answer.json()["output"]
    assert (call["type"], call["namespace"], call["name"]) == ("custom_tool_call", "functions", "exec")
    assert call["input"] == program
    result = {"type": "custom_tool_call_output", "call_id": call["call_id"], "output": "ü"}
    said = [NEWEST, *ASKED, call, result]
    answer = await codex(http, codex_body(model(upstream, "text"), said, tools=[]))
    assert answer.status_code == 200, answer.text
    assert provider.requests[-1].body.decode().count('"functions__exec"') >= 2


async def test_a_custom_tool_at_a_chat_provider(launch: Launch, provider: FakeProvider) -> None:
    """Where the server has them, its definition, calls and outputs are what chat calls custom."""
    lab = {"base_url": provider.base_url, "api_key": "sk-lab", "quirks": {"custom_tools": True}}
    gateway = await launch(configuration(provider.base_url, providers={"lab": lab}))
    async with dial(gateway) as http:
        answer = await codex(http, codex_body("mock", [*ASKED, *PATCH]))
    assert answer.status_code == 200
    sent = provider.requests[-1].json
    assert [tool["type"] for tool in sent["tools"]] == ["function", "custom"]
    assert sent["messages"][-2]["tool_calls"][0]["custom"] == {"name": "apply_patch", "input": "*** Begin Patch\n"}
    assert sent["messages"][-1] == {"role": "tool", "tool_call_id": "call_p", "content": "Done."}


async def test_a_second_endpoint_that_cannot_be_told(launch: Launch, provider: FakeProvider) -> None:
    """Only OpenAI can judge tools that are no tools: when its server is broken, the other dialect's refusal is told."""
    own, other = ({"api_key": "sk", "base_url": base} for base in (provider.base_url, provider.origin))
    providers = {"own": own | {"dialect": "openai_responses"}, "other": other | {"dialect": "anthropic"}}
    endpoints = [{"provider": name, "model": "fake", "price": {"input": 1, "output": 2}} for name in providers]
    gateway = await launch(
        configuration(provider.base_url, providers=providers, models={"mock": {"endpoints": endpoints}})
    )
    async with dial(gateway) as http:
        for tools in ([{"type": "custom"}], [{"type": "namespace", "tools": [{"type": "custom"}]}]):
            for stream in (True, False):
                provider.queue(Script(status=500))
                answer = await codex(http, codex_body("mock", ASKED, tools=tools, stream=stream, store=False))
                assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].name"), answer.text
