"""Runs of real agents through the gateway: their trees and figures are exactly what the provider billed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import openai
import pytest
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from tests.e2e.callers import dial
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway, configuration, until
from tests.e2e.sdk_matrix import RATES, model
from tests.e2e.test_agents import CLAUDE_HEADERS, CODEX_HEADERS, FIRST, SECOND, claude_body, codex_body
from tests.fake_provider import FakeProvider, Script
from tests.fake_provider.reply import Called, Counts, Finish, Reply, Said, Thought
from tokenway.model.money import format_usd

pytestmark = pytest.mark.asyncio(loop_scope="module")


def calls(name: str, counts: Counts, **arguments: Any) -> Script:
    """The model calls a tool."""
    return Script(reply=Reply((Said("I look."), Called(f"call_{name}", name, arguments)), Finish.TOOLS, counts))


def says(text: str, counts: Counts) -> Script:
    """The model answers; what it thought before that is not for its user."""
    thought = (Thought("Hm."),) if counts.reasoning else ()
    return Script(reply=Reply((*thought, Said(text)), counts=counts))


async def tree_of(http: httpx2.AsyncClient, run: str, count: int) -> dict[str, Any]:
    """A run as its caller sees it, once it has so many calls."""
    found: dict[str, Any] = {}

    async def look() -> bool:
        answer = await http.get(f"/v1/runs/{quote(run, safe='')}")
        found.update(answer.json().get("data", {}))
        return bool(found.get("calls") == count)

    await until(look)
    return found


def shape(agents: list[dict[str, Any]]) -> list[Any]:
    """Each agent's name, whether its calls were seen by the user, and what is below it."""
    return [(each["agent"], [call["shown"] for call in each["calls"]], shape(each["agents"])) for each in agents]


def walk(agents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every agent."""
    for each in agents:
        yield each
        yield from walk(each["agents"])


def check(tree: dict[str, Any], scripts: list[Script], shown: list[Script]) -> None:
    """The figures are those of the replies that were played: of all, and of those that the user saw."""
    counts = [script.reply.counts for script in scripts if script.reply is not None]
    seen = [script.reply.counts for script in shown if script.reply is not None]
    total = sum(each.input + each.output for each in counts if each is not None)
    text = sum(each.text for each in seen if each is not None)
    cached = sum(each.cache_read for each in counts if each is not None)
    given = sum(each.input for each in counts if each is not None)
    assert (tree["calls"], tree["shown_calls"]) == (len(counts), len(seen))
    assert (tree["tokens"], tree["shown_tokens"]) == (total, text)
    assert tree["amplification"] == round(total / text, 2)
    assert tree["hidden_calls_per_request"] == round((len(counts) - len(seen)) / len(seen), 2)
    assert tree["cache_hit_share"] == round(cached / given, 4)
    agents = list(walk(tree["agents"]))
    assert sum(each["figures"]["tokens"] for each in agents if each["figures"]) == total
    assert sum(len(each["calls"]) for each in agents) == len(counts)


async def test_an_agent_with_tools_that_delegates(five: Gateway, provider: FakeProvider) -> None:
    """pydantic-ai: two questions of a user, a tool, and another agent that has a tool of its own."""
    run = "user 7/chat 1"

    def asking(agent: str = "", turn: str = "1") -> ModelSettings:
        who = {"x-tokenway-agent": agent, "x-tokenway-parent": run} if agent else {}
        return ModelSettings(extra_headers={"x-tokenway-run": run, "x-tokenway-turn": turn} | who)

    client = openai.AsyncOpenAI(base_url=five.base_url, api_key=KEY, max_retries=0)
    chat = OpenAIChatModel(model("openai_chat", "text"), provider=OpenAIProvider(openai_client=client))
    editor, researcher = Agent(chat), Agent(chat)

    @researcher.tool_plain
    def look_up(topic: str) -> str:
        return f"{topic}: 42"

    @editor.tool_plain
    async def research(topic: str) -> str:
        return (await researcher.run(topic, model_settings=asking("researcher"))).output

    played = [
        calls("research", Counts(uncached=100, text=20), topic="tides"),
        calls("look_up", Counts(uncached=50, text=10), topic="moon"),
        says("The moon does it.", Counts(uncached=60, text=30)),
        says("Tides come of the moon.", Counts(uncached=80, cache_read=64, text=40, reasoning=15)),
        says("You are welcome.", Counts(uncached=30, cache_read=128, text=5)),
    ]
    provider.queue(*played)
    first = await editor.run("What makes tides?", model_settings=asking())
    assert first.output == "Tides come of the moon."
    async with editor.run_stream("Thanks", message_history=first.all_messages(), model_settings=asking(turn="2")) as s:
        assert await s.get_output() == "You are welcome."
    await client.close()

    async with dial(five) as http:
        tree = await tree_of(http, run, 5)
    assert shape(tree["agents"]) == [(None, [False, True, True], [("researcher", [False, False], [])])]
    check(tree, played, [played[3], played[4]])
    own = tree["agents"][0]
    assert [(call["turn"], call["turn_id"], call["finish_reason"]) for call in own["calls"]] == [
        (1, "1", "tool_calls"),
        (1, "1", "stop"),
        (2, "2", "stop"),
    ]
    assert own["figures"]["shown_tokens"] == 45
    billed = provider.requests[-5:]
    assert tree["tokens"] == sum(each.bill.prompt + each.bill.completion for each in billed)
    uncached, cached, out = 320, 192, 120
    cost = uncached * RATES.input + cached * RATES.cache_read + out * RATES.output
    assert tree["cost"] == format_usd(cost)


async def test_the_same_on_a_terminal(five: Gateway) -> None:
    """The command line has the tree, its keys' names and the operator's figures."""
    listed = json.loads(await five.run("runs", "--json"))["data"]
    assert "user 7/chat 1" in [each["id"] for each in listed]
    found = json.loads(await five.run("runs", "show", "user 7/chat 1", "--of-key", "ci", "--json"))
    assert (found["calls"], found["provider_cost"]) == (5, found["cost"])
    text = await five.run("runs", "show", "user 7/chat 1")
    assert "user 7/chat 1  ci, " in text
    assert "└─ researcher, 2 calls" in text
    assert "answer: lab-openai_chat/text" in text


async def test_claude_code_with_its_agents(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """As it asks by default, where only agents are told from the conversation: three levels, two questions."""
    session = "3f0e7c1a-0000-4000-8000-00000000000a"
    base = CLAUDE_HEADERS | {"x-claude-code-session-id": session}
    explorer = {"x-claude-code-agent-id": "a1"}
    nested = {"x-claude-code-agent-id": "a2", "x-claude-code-parent-agent-id": "a1"}
    rounds: list[tuple[dict[str, str], Script]] = [
        ({}, calls("Task", Counts(uncached=500, cache_write=300, text=20))),
        (explorer, calls("Task", Counts(uncached=200, text=15))),
        (nested, calls("Grep", Counts(uncached=90, text=9))),
        (nested, says("Found.", Counts(uncached=95, text=8))),
        (explorer, says("It is in a.py.", Counts(uncached=240, text=30))),
        ({}, says("Look at a.py.", Counts(uncached=20, cache_read=800, text=50))),
        ({}, says("Done.", Counts(uncached=25, cache_read=850, text=10))),
    ]
    for headers, script in rounds:
        provider.queue(script)
        answer = await http.post(
            "/v1/messages?beta=true",
            content=claude_body(model("anthropic", "text"), SECOND if headers else [FIRST]),
            headers=base | headers,
        )
        assert answer.status_code == 200
    tree = await tree_of(http, session, len(rounds))
    assert shape(tree["agents"]) == [
        (None, [False, True, True], [("a1", [False, False], [("a2", [False, False], [])])]),
    ]
    assert [call["turn"] for call in tree["agents"][0]["calls"]] == [1, 1, 2]
    played = [script for _, script in rounds]
    check(tree, played, played[5:])


async def test_claude_code_that_tells_more(http: httpx2.AsyncClient, provider: FakeProvider) -> None:
    """With its hints for gateways: what it asks beside the conversation, and its summaries, nobody sees."""
    session = "3f0e7c1a-0000-4000-8000-00000000000b"
    kinds = ("main", "auxiliary", "compaction", "main")
    prompts = ("p1", "p1", "p2", "p2")
    played = []
    for kind, prompt in zip(kinds, prompts, strict=True):
        played.append(says("Text.", Counts(uncached=40, text=4)))
        provider.queue(played[-1])
        headers = {
            "x-claude-code-session-id": session,
            "x-claude-code-request-class": kind,
            "x-claude-code-prompt-id": prompt,
        }
        body = claude_body(model("anthropic", "text"), [FIRST])
        await http.post("/v1/messages", content=body, headers=CLAUDE_HEADERS | headers)
    tree = await tree_of(http, session, 4)
    (own,) = tree["agents"]
    assert [(call["request_class"], call["turn"], call["shown"]) for call in own["calls"]] == [
        ("main", 1, True),
        ("auxiliary", 1, False),
        ("compaction", 2, False),
        ("main", 2, True),
    ]
    check(tree, played, [played[0], played[3]])


@pytest.mark.parametrize("upstream", ["openai_responses", "openai_chat", "anthropic", "gemini"])
async def test_codex_with_its_agents(http: httpx2.AsyncClient, provider: FakeProvider, upstream: str) -> None:
    """Threads of a session; a summary; answers that call tools, of which this API has no word."""
    session = f"0199-session-{upstream}"
    told = {"turn_id": "n1", "root_turn_id": "n1", "request_kind": "turn"}
    own = {"thread-id": session, "x-codex-turn-metadata": json.dumps(told)}
    child = {
        "thread-id": "0199-child",
        "x-codex-parent-thread-id": session,
        "x-openai-subagent": "collab_spawn",
        "x-codex-turn-metadata": json.dumps(told | {"turn_id": "n2"}),
    }
    compact = {"thread-id": session, "x-codex-turn-metadata": json.dumps(told | {"request_kind": "compaction"})}
    rounds: list[tuple[dict[str, str], Script]] = [
        (own, calls("get_weather", Counts(uncached=300, text=12), city="Zürich")),
        (child, calls("get_weather", Counts(uncached=100, text=11), city="Bern")),
        (child, says("It rains.", Counts(uncached=120, text=14))),
        (compact, says("Summary.", Counts(uncached=400, text=60))),
        (own, says("Take a coat.", Counts(uncached=320, text=20))),
    ]
    said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]}]
    for headers, script in rounds:
        provider.queue(script)
        body = codex_body(model(upstream, "text"), said, prompt_cache_key=session)
        traced = {"session-id": session, "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
        answer = await http.post("/v1/responses", content=body, headers=CODEX_HEADERS | traced | headers)
        assert answer.status_code == 200, answer.text
    tree = await tree_of(http, session, len(rounds))
    assert shape(tree["agents"]) == [(None, [False, False, True], [("0199-child", [False, False], [])])]
    assert {call["turn_id"] for each in walk(tree["agents"]) for call in each["calls"]} == {"n1"}
    assert tree["agents"][0]["agents"][0]["agent_type"] == "collab_spawn"
    played = [script for _, script in rounds]
    check(tree, played, [played[4]])


async def test_two_keys_with_the_same_run(launch: Launch, provider: FakeProvider) -> None:
    """OpenAI's own client; each key sees its own, and nobody another's."""
    other = "sk-tokenway-e2e-other-0123456789abc"
    keys = [{"name": "ci", "key": KEY}, {"name": "other", "key": other}]
    gateway = await launch(configuration(provider.base_url, auth={"keys": keys}))
    run = {"x-tokenway-run": "same"}
    for key, times in ((KEY, 1), (other, 2)):
        async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
            for _ in range(times):
                await client.chat.completions.create(
                    model="mock", messages=[{"role": "user", "content": "hi"}], extra_headers=run
                )
    async with dial(gateway) as mine, dial(gateway, other) as theirs:
        assert (await tree_of(mine, "same", 1))["shown_calls"] == 1
        assert (await tree_of(theirs, "same", 2))["shown_calls"] == 2
        page = (await theirs.get("/v1/runs")).json()
        assert [(each["id"], each["calls"]) for each in page["data"]] == [("same", 2)]
        missing = await mine.get("/v1/runs/none")
        assert (missing.status_code, missing.json()["error"]["message"]) == (404, "There is no such run of this key.")
        assert (await mine.get("/v1/runs?limit=0")).status_code == 400
        assert (await mine.get("/v1/runs?cursor=x")).status_code == 400
        assert (await mine.post("/v1/runs/same")).status_code == 405
    async with dial(gateway, "sk-wrong") as nobody:
        assert (await nobody.get("/v1/runs/same")).status_code == 401


async def test_runs_come_by_pages(launch: Launch, provider: FakeProvider) -> None:
    """The latest first."""
    gateway = await launch(configuration(provider.base_url))
    async with dial(gateway) as http:
        for number in range(5):
            body = {"model": "mock", "messages": [{"role": "user", "content": "hi"}], "session_id": f"run {number}"}
            assert (await http.post("/v1/chat/completions", json=body)).status_code == 200
            assert "session_id" not in provider.requests[-1].json
            await tree_of(http, f"run {number}", 1)
        seen: list[list[str]] = []
        more: dict[str, str] = {}
        while len(seen) < 3:
            page = (await http.get("/v1/runs", params={"limit": "2"} | more)).json()
            seen.append([each["id"] for each in page["data"]])
            more = {"cursor": page["next_cursor"]}
            assert page["has_more"] is (page["next_cursor"] is not None) is (len(seen) < 3)
    assert seen == [["run 4", "run 3"], ["run 2", "run 1"], ["run 0"]]


async def test_a_chain_of_responses_is_a_run_from_its_second_on(http: httpx2.AsyncClient) -> None:
    """By the id of its first, whichever it goes on from."""
    name = model("openai_chat", "text")
    first = (await http.post("/v1/responses", json={"model": name, "input": "hi"})).json()["id"]
    previous = first
    for _ in range(2):
        body = {"model": name, "input": "and?", "previous_response_id": previous}

        async def goes_on(body: dict[str, Any] = body) -> bool:
            answer = await http.post("/v1/responses", json=body)
            nonlocal previous
            if answer.status_code == 200:
                previous = answer.json()["id"]
            return answer.status_code == 200

        await until(goes_on)
    tree = await tree_of(http, first, 2)
    assert tree["shown_calls"] == 2


async def test_guesses_are_made_where_they_are_wanted(launch: Launch, provider: FakeProvider) -> None:
    """A conversation is a run by how it begins."""
    gateway = await launch(configuration(provider.base_url, runs={"guess": True}))
    said: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
    async with dial(gateway) as http:
        for _ in range(3):
            answer = await http.post("/v1/chat/completions", json={"model": "mock", "messages": said})
            said += [answer.json()["choices"][0]["message"], {"role": "user", "content": "and?"}]
        await gateway.entries(3)
        (run,) = (await http.get("/v1/runs")).json()["data"]
    assert (run["calls"], run["shown_calls"], run["guessed"]) == (3, 3, True)
    assert run["id"].startswith("~")
