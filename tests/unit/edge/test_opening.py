"""What goes to an endpoint: the caller's bytes in its own dialect, a converted request in another."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.contract.upstreams import until
from tests.unit.edge.bench import Bench, Client, answer, bench, request, snapshot
from tokenway.dialects.seal import ANTHROPIC, GEMINI, seal
from tokenway.model.catalog import AwsKeys, Dialect, Endpoint, Model, Provider
from tokenway.model.secret import Secret

MESSAGES = b"/v1/messages"
HELLO = b'{ "model":"m", "max_tokens":5, "messages":[{"role":"user","content":"hi"}], "top_k": 1.0e0 }'
CHAT = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"seed":7,"logit_bias":{"1":2}}'


def provider(dialect: Dialect, **more: Any) -> Provider:
    """A provider of this dialect."""
    return Provider(
        "p",
        "http://upstream/v1",
        dialect,
        **({"api_keys": (Secret("sk-up"),), "credential_header": "x-api-key"} | more),
    )


async def sent(
    made: Bench, body: bytes, path: bytes, *count: int, **headers: str
) -> tuple[Client, dict[str, str], bytes]:
    """A caller's request, and the head and body of what went upstream for it."""
    client = made.connect()
    client.send(request(body, path, **headers))
    await until(lambda: bool(made.network.requests) or bool(client.statuses))
    head, _, payload = made.network.requests[-1].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs), "a header twice"
    return client, {"": first} | dict(pairs), payload


async def test_the_callers_bytes_go_to_its_own_dialect() -> None:
    """Unchanged but for the model's name."""
    async with bench([[]], what=snapshot(providers={"p": provider(Dialect.ANTHROPIC)})) as made:
        client, head, body = await sent(made, HELLO, MESSAGES)
        assert body == HELLO.replace(b'"m"', b'"up"')
        assert head[""] == "POST /v1/messages HTTP/1.1"
        assert (head["x-api-key"], head["content-length"]) == ("sk-up", str(len(body)))
        client.lose()


async def test_headers_of_a_dialect_go_along_in_it() -> None:
    """The caller's own in place of the usual ones; its key does not."""
    async with bench([[]], what=snapshot(providers={"p": provider(Dialect.ANTHROPIC)})) as made:
        client, head, _ = await sent(made, HELLO, MESSAGES, anthropic_beta="a,b", anthropic_version="2024-01-01")
        assert (head["anthropic-beta"], head["anthropic-version"]) == ("a,b", "2024-01-01")
        assert "sk-alice" not in str(head)
        client.lose()
    async with bench([[]], what=snapshot(providers={"p": provider(Dialect.ANTHROPIC)})) as made:
        client, head, _ = await sent(made, HELLO, MESSAGES, x_own="1", cookie="c")
        assert head["anthropic-version"] == "2023-06-01"
        assert head.keys().isdisjoint({"x-own", "cookie", "anthropic-beta"})
        client.lose()


async def test_a_request_in_another_dialect_is_converted() -> None:
    """What could not be said is told in a header of the answer; the caller's headers mean nothing there."""
    async with bench([[]], what=snapshot(providers={"p": provider(Dialect.ANTHROPIC)})) as made:
        client, head, body = await sent(made, CHAT, b"/v1/chat/completions", anthropic_beta="a")
        assert msgspec.json.decode(body)["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
        assert head[""] == "POST /v1/messages HTTP/1.1"
        assert (head["content-type"], head["anthropic-version"]) == ("application/json", "2023-06-01")
        assert "anthropic-beta" not in head
        made.network.transports[0].feed([answer(b"{}", b"400 Bad Request")])
        await until(lambda: bool(client.statuses))
        assert b"\r\nx-tokenway-dropped: seed,logit_bias\r\n" in client.written


async def test_nothing_is_said_of_what_was_not_dropped() -> None:
    """In the caller's own dialect there is nothing to drop."""
    async with bench([[answer(b"{}", b"400 Bad Request")]]) as made:
        client, _, _ = await sent(made, CHAT, b"/v1/chat/completions")
        await until(lambda: bool(client.statuses))
        assert b"x-tokenway-dropped" not in client.written


def conversation(signature: str) -> bytes:
    """A conversation whose reasoning has this signature."""
    thought = {"type": "thinking", "thinking": "hm", "signature": signature}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "hello"}]},
        {"role": "user", "content": "more"},
    ]
    return msgspec.json.encode({"model": "m", "max_tokens": 5, "messages": turns})


async def test_another_vendors_seal_is_not_shown() -> None:
    """The request is written anew without it, which is told; its own goes as it came."""
    own, foreign = conversation("c2ln"), conversation(seal("c2ln", GEMINI, ANTHROPIC))
    what = snapshot(providers={"p": provider(Dialect.ANTHROPIC)})
    async with bench([[]], what=what) as made:
        client, _, body = await sent(made, own, MESSAGES)
        assert body == own.replace(b'"m"', b'"up"')
        client.lose()
    async with bench([[answer(b"{}", b"400 Bad Request")]], what=what) as made:
        client, _, body = await sent(made, foreign, MESSAGES)
        assert b"tw1." not in body
        assert b"c2ln" not in body
        assert b"hello" in body
        await until(lambda: bool(client.statuses))
        assert b"\r\nx-tokenway-dropped: messages.thinking\r\n" in client.written


async def test_each_endpoint_is_asked_in_its_own_dialect() -> None:
    """The second attempt begins from the caller's request again."""
    providers = {
        "p": provider(Dialect.ANTHROPIC),
        "q": Provider("q", "http://other/v1", Dialect.OPENAI_CHAT, api_keys=(Secret("sk-q"),)),
    }
    models = {"m": Model("m", (Endpoint("p", "claude"), Endpoint("q", "gpt")))}
    broken = answer(b"{}", b"500 Internal Server Error")
    async with bench([[broken]], [[]], what=snapshot(providers=providers, models=models, max_retries=2)) as made:
        client = made.connect()
        client.send(request(CHAT))
        await until(lambda: len(made.network.requests) == 2)
        bodies = [msgspec.json.decode(each.partition(b"\r\n\r\n")[2]) for each in made.network.requests]
        assert [each["model"] for each in bodies] == ["claude", "gpt"]
        assert ["seed" in each for each in bodies] == [False, True]
        client.lose()


async def test_a_request_is_signed_where_keys_sign() -> None:
    """Over the body that is sent, with no key in it."""
    keys = AwsKeys("AKID", Secret("secret"), "eu-west-1")
    amazon = provider(Dialect.BEDROCK, api_keys=(), aws=keys)
    async with bench([[]], what=snapshot(providers={"p": amazon})) as made:
        client, head, body = await sent(made, CHAT, b"/v1/chat/completions")
        assert head[""] == "POST /v1/model/up/converse HTTP/1.1"
        assert head["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
        assert (head["content-type"], head["content-length"]) == ("application/json", str(len(body)))
        assert "secret" not in str(head)
        client.lose()


@pytest.mark.parametrize("stream", [False, True])
async def test_an_endpoint_that_cannot_be_asked_is_an_attempt_that_failed(stream: bool) -> None:
    """The next one is; when there is none its reason is told in the caller's dialect."""
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": [sound]}], "stream": stream})
    providers = {"p": provider(Dialect.OPENAI_CHAT), "q": Provider("q", "http://other/v1", Dialect.ANTHROPIC)}
    models = {"m": Model("m", (Endpoint("q", "claude"), Endpoint("p", "gpt")))}
    async with bench([[]], what=snapshot(providers=providers, models=models, max_retries=2)) as made:
        client, head, _ = await sent(made, body, b"/v1/chat/completions")
        assert head["host"] == "upstream"
        client.lose()
        [settled] = made.books.settled
        assert [line.endpoint for line in settled.lines] == ["q/claude", "p/gpt"]


@pytest.mark.parametrize(
    ("query", "path"), [(b"?beta=true&key=sk-alice", b"/v1/messages?beta=true"), (b"?x=1", b"/v1/messages")]
)
async def test_what_is_not_settled_is_said_to_anthropic(query: bytes, path: bytes) -> None:
    """`?beta=true` stands behind the path of its own dialect; nothing else of a caller's query goes on."""
    async with bench([[]], what=snapshot(providers={"p": provider(Dialect.ANTHROPIC)})) as made:
        client = made.connect()
        client.send(request(HELLO, MESSAGES + query))
        await until(lambda: len(made.network.requests) == 1)
        assert made.network.requests[0].startswith(b"POST %b HTTP/1.1\r\n" % path)
        client.lose()
