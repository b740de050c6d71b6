"""Routes and targets: made once, and the bytes that go to a provider."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.edge.bench import ENDPOINT, snapshot
from tokenway import __version__
from tokenway.aio.tasks import Tasks
from tokenway.dialects.registry import FORMATS
from tokenway.edge import routes as module
from tokenway.edge.doors import Door
from tokenway.edge.routes import Routes, Target, spoken_by
from tokenway.metering.estimate import bounds_of
from tokenway.model.catalog import AwsKeys, Dialect, Endpoint, Operation, Provider, Quirks
from tokenway.model.errors import Refusal
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.routing.preferences import NO_WISHES, Wishes
from tokenway.upstream.pool import Pools

DOORS = CHAT, COMPLETION, EMBEDDING = [Door(Dialect.OPENAI_CHAT, operation) for operation in list(Operation)[:3]]
FORM = FORMATS[Dialect.OPENAI_CHAT]
USER_AGENT = b"user-agent: tokenway/" + __version__.encode()


def routes(what: Snapshot) -> Routes:
    """The routes of a snapshot."""
    loop = asyncio.new_event_loop()
    loop.close()
    return Routes(what, Pools(loop, Tasks(lambda *_: None)))


def sent_to(provider: Provider, *bodies: bytes, door: Door = CHAT) -> list[bytes]:
    """What goes to a provider for these bodies."""
    return [b"".join(target_of(provider, door).request(body)) for body in bodies]


def target_of(provider: Provider, door: Door = CHAT) -> Target:
    """An endpoint there, ready to be asked."""
    table = routes(snapshot(providers={provider.name: provider}))
    return table.target(Endpoint(provider.name, "up"), door.operation, FORM, stream=False)


def test_a_request_has_exactly_these_bytes() -> None:
    """The line, the gateway's own headers, the credential, and the length right before the body."""
    provider = Provider("p", "http://host:8000/v1/", api_keys=(Secret("sk-up"),), headers=(("x-team", "maps"),))
    assert sent_to(provider, b"{}") == [
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: host:8000\r\n" + USER_AGENT + b"\r\n"
        b"accept-encoding: identity\r\nx-team: maps\r\nauthorization: Bearer sk-up\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    ]


def test_each_operation_has_its_path() -> None:
    """Behind the prefix of the base URL, which may be none."""
    lines = [sent_to(Provider("p", "http://host"), b"", door=each)[0].split(b" HTTP")[0] for each in DOORS]
    assert lines == [b"POST /chat/completions", b"POST /completions", b"POST /embeddings"]


def test_each_key_has_its_head() -> None:
    """Asked for by its number; the bodies stay their own."""
    provider = Provider("p", "http://host", api_keys=(Secret("one"), Secret("two")))
    target = target_of(provider)
    requests = [b"".join(target.request(body, credential=number)) for number, body in ((0, b"a"), (1, b"bb"), (0, b""))]
    assert [request.split(b"Bearer ")[1] for request in requests] == [
        b"one\r\ncontent-type: application/json\r\ncontent-length: 1\r\n\r\na",
        b"two\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\nbb",
        b"one\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n",
    ]


def test_another_header_carries_the_key_as_it_is() -> None:
    """Only `authorization` has a scheme; without a key there is no such header at all."""
    [azure] = sent_to(Provider("p", "http://host", api_keys=(Secret("k"),), credential_header="api-key"), b"")
    assert b"\r\napi-key: k\r\n" in azure
    assert b"Bearer" not in azure
    [open_to_all] = sent_to(Provider("p", "http://host"), b"")
    assert b"authorization" not in open_to_all


def test_a_provider_of_another_dialect_is_called_where_it_understands_chat() -> None:
    """At that address and with that header, not its own."""
    provider = Provider(
        "p",
        "http://host/v1beta",
        dialect=Dialect.GEMINI,
        credential_header="x-goog-api-key",
        api_keys=(Secret("k"),),
        speaks=((Dialect.OPENAI_CHAT, "http://host/v1beta/openai"),),
    )
    [request] = sent_to(provider, b"")
    assert request.startswith(b"POST /v1beta/openai/chat/completions ")
    assert b"\r\nauthorization: Bearer k\r\n" in request


def test_nothing_configured_can_add_a_line() -> None:
    """Line ends in a key, a header or an endpoint's name become question marks."""
    evil = "x\r\ny: z"
    provider = Provider("p", "http://host", api_keys=(Secret(evil),), headers=((evil, evil),))
    [request] = sent_to(provider, b"")
    assert request.count(b"\r\n") == 9
    assert b"\r\ny:" not in request
    target = routes(snapshot()).target(Endpoint("p", "é\r\n"), CHAT.operation, FORM, stream=False)
    assert target.label == b"x-tokenway-endpoint: p/???\r\n"


def test_a_unix_socket_is_reached_by_its_path() -> None:
    """The host is `localhost`, and the prefix stands behind the socket's path."""
    table = routes(snapshot(providers={"p": Provider("p", "unix:/run/model.sock:/v1")}))
    target = table.target(ENDPOINT, EMBEDDING.operation, FORM, stream=False)
    assert (target.pool.origin.scheme, target.pool.origin.path) == ("unix", "/run/model.sock")
    assert bytes(target.request(b"")[0]).startswith(b"POST /v1/embeddings HTTP/1.1\r\nhost: localhost\r\n")


def test_an_operation_may_be_at_another_address() -> None:
    """As reranking at Cohere; the rest stays where it was."""
    provider = Provider("p", "http://host/v1", elsewhere=((Operation.RERANK, "http://other/v2"),))
    table = routes(snapshot(providers={"p": provider}))
    rerank = table.target(ENDPOINT, Operation.RERANK, FORM, stream=False)
    assert rerank.pool.origin.host == "other"
    assert bytes(rerank.request(b"")[0]).startswith(b"POST /v2/rerank HTTP/1.1\r\nhost: other\r\n")
    assert table.target(ENDPOINT, Operation.CHAT, FORM, stream=False).pool.origin.host == "host"


@pytest.mark.parametrize(
    ("operation", "line"),
    [
        (Operation.CHAT, b"POST /v1/publishers/anthropic/models/claude@1:rawPredict HTTP/1.1"),
        (Operation.COUNT, b"POST /v1/publishers/anthropic/models/count-tokens:rawPredict HTTP/1.1"),
    ],
)
def test_a_host_of_claude_may_want_the_model_in_the_path(operation: Operation, line: bytes) -> None:
    """And bodies of its own form, where Anthropic's dialect is spoken; a query of Anthropic's does not go there."""
    quirks = Quirks(hosted_version="v")
    both = Provider("p", "http://host/v1/publishers/anthropic", Dialect.ANTHROPIC, quirks=quirks)
    table = routes(snapshot(providers={"p": both}))
    form = FORMATS[Dialect.ANTHROPIC]
    target = table.target(Endpoint("p", "claude@1"), operation, form, stream=False, query="?beta=true")
    assert bytes(target.request(b"")[0]).startswith(line)
    assert target.shape is not None
    assert b'"anthropic_version":"v"' in target.shape(b"{}")
    assert table.target(ENDPOINT, Operation.CHAT, FORM, stream=False).shape is None


def test_a_route_is_made_once_unless_the_caller_wishes() -> None:
    """By name and operation; fallbacks and wishes make one of their own and leave the other as it was."""
    table = routes(snapshot())
    route = table.find("m", CHAT)
    assert table.find("m", CHAT) is route
    assert table.find("m", COMPLETION) is not route
    assert table.plan("m", CHAT, (), Wishes(only=("p",))) is not route
    assert table.plan("m", CHAT, ("p/other",), NO_WISHES).endpoints == (ENDPOINT, Endpoint("p", "other"))
    assert table.find("m", CHAT) is route
    assert (route.label, route.endpoints, route.bounds) == (
        b"x-tokenway-model: m\r\n",
        (ENDPOINT,),
        bounds_of([ENDPOINT]),
    )


def test_no_group_of_endpoints_is_empty() -> None:
    """A model none of whose endpoints is left gives way to the next one."""
    other = Endpoint("p", "other")
    route = routes(snapshot()).plan("m", CHAT, ("p/other",), NO_WISHES)
    assert route.grouped((ENDPOINT, other)) == [(ENDPOINT,), (other,)]
    assert route.grouped((other,)) == [(other,)]


def test_an_unknown_name_is_not_remembered() -> None:
    """404 each time, and no room is taken by it."""
    table = routes(snapshot())
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            table.find("nobody", CHAT)
        assert refused.value.problem.status == 404
    assert table._routes == {}


def test_invented_names_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the caches begin anew, and everything is still found."""
    monkeypatch.setattr(module, "ROUTES_MAX", 3)
    table = routes(snapshot())
    for number in range(10):
        route = table.find(f"p/{number}", CHAT)
        assert (
            table.target(route.endpoints[0], CHAT.operation, FORM, stream=False).label
            == b"x-tokenway-endpoint: p/%d\r\n" % number
        )
        assert len(table._routes) <= 3
        assert len(table._targets) <= 3


def test_a_provider_that_is_gone_is_unavailable() -> None:
    """503: an exchange that began with an older snapshot can still name it."""
    with pytest.raises(Refusal) as refused:
        routes(snapshot()).target(Endpoint("gone", "up"), CHAT.operation, FORM, stream=False)
    assert refused.value.problem.status == 503


@pytest.mark.parametrize(
    ("speaks", "operation", "caller", "dialect"),
    [
        (Dialect.OPENAI_CHAT, Operation.CHAT, Dialect.OPENAI_CHAT, Dialect.OPENAI_CHAT),
        (Dialect.ANTHROPIC, Operation.CHAT, Dialect.OPENAI_CHAT, Dialect.ANTHROPIC),
        (Dialect.OPENAI_RESPONSES, Operation.CHAT, Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES),
        (Dialect.OPENAI_RESPONSES, Operation.MODERATION, Dialect.OPENAI_CHAT, Dialect.OPENAI_CHAT),
        (Dialect.OPENAI_RESPONSES, Operation.EMBEDDING, Dialect.GEMINI, Dialect.OPENAI_CHAT),
    ],
)
def test_a_provider_is_asked_in_a_dialect_of_its_own(
    speaks: Dialect, operation: Operation, caller: Dialect, dialect: Dialect
) -> None:
    """The caller's, if it speaks that; who has the Responses API has OpenAI's other operations too."""
    assert spoken_by(Provider("p", "http://host/v1", speaks), Door(caller, operation)) is dialect


def test_a_provider_that_speaks_the_callers_dialect_too_is_asked_in_it() -> None:
    """And one that is not there is asked in the caller's, which leads nowhere."""
    both = Provider("p", "http://host/v1", speaks=((Dialect.ANTHROPIC, "http://host/anthropic"),))
    assert spoken_by(both, Door(Dialect.ANTHROPIC, Operation.CHAT)) is Dialect.ANTHROPIC
    assert spoken_by(None, Door(Dialect.GEMINI, Operation.CHAT)) is Dialect.GEMINI


@pytest.mark.parametrize("operation", [Operation.MODERATION, Operation.IMAGE, Operation.RERANK])
def test_what_only_passes_is_refused_where_nobody_has_it(operation: Operation) -> None:
    """No other dialect has it."""
    table = routes(snapshot(providers={"p": Provider("p", "http://host", Dialect.ANTHROPIC)}))
    with pytest.raises(Refusal) as caught:
        table.find("m", Door(Dialect.OPENAI_CHAT, operation))
    assert caught.value.problem.status == 400


def test_a_body_in_pieces_is_signed_as_a_whole() -> None:
    """The signature of the same body is the same however it is held; without keys nothing signs."""
    keys = AwsKeys("AKID", Secret("secret"), "eu-west-1")
    amazon = Provider("p", "http://host", Dialect.BEDROCK, aws=keys)
    target = routes(snapshot(providers={"p": amazon})).target(
        ENDPOINT, Operation.CHAT, FORMATS[Dialect.BEDROCK], stream=False
    )
    one = b"".join(target.signed(b'{"a":1}', b"", 1.5e9))
    assert target.is_signed
    assert one == b"".join(target.signed([b'{"a"', memoryview(b":1}")], b"", 1.5e9))
    assert one != b"".join(target.signed(b'{"a":2}', b"", 1.5e9))
    assert b"authorization: AWS4-HMAC-SHA256 Credential=AKID/20170714/eu-west-1/bedrock/" in one
    plain = routes(snapshot()).target(ENDPOINT, Operation.CHAT, FORM, stream=False)
    assert not plain.is_signed
    with pytest.raises(RuntimeError):
        plain.signed(b"", b"", 0.0)
