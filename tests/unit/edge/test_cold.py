"""What is not relayed: lists, health, records and figures, asked for over a real connection."""

from __future__ import annotations

from tests.e2e.raw import Answer, get
from tests.fake_provider import FakeProvider
from tests.unit.edge.inside import PRICE, Inside
from tokenway.model.catalog import Capabilities, Endpoint, Grade, Listing, Model
from tokenway.model.match import Begins, Equals

MODEL = Model(
    "m", (Endpoint("p", "up", PRICE, Grade("fp8"), capabilities=Capabilities(context=1000, max_output=10)),), created=7
)


async def fetch(inside: Inside, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with inside.client() as raw:
        await raw.send(request)
        return await raw.answer()


async def test_the_providers_known_models_are_listed(provider: FakeProvider) -> None:
    """By `provider/model` with their price, unless the configuration has that name; names of rules are not."""
    listings = (
        Listing("big", Equals("big"), "Big", PRICE, Capabilities(context=5)),
        Listing("fake", Equals("fake")),
        Listing("rule", Begins("x"), is_listed=False),
    )
    async with Inside(provider, listings={"lab": listings}, aliases={"lab/fake": "mock"}) as inside:
        listed = {each["id"]: each for each in (await fetch(inside, get(b"/v1/models"))).json["data"]}
        assert list(listed) == ["mock", "lab/fake", "lab/big"]
        assert listed["lab/big"]["pricing"]["prompt"] == "0.000001"
        assert (listed["lab/big"]["name"], listed["lab/big"]["owned_by"]) == ("Big", "lab")
        data = (await fetch(inside, get(b"/v1/models/lab/big/endpoints"))).json["data"]
        assert (data["id"], data["name"], data["endpoints"][0]["context_length"]) == ("lab/big", "Big", 5)
        again = (await fetch(inside, get(b"/v1/models"))).json["data"]
        assert len(again) == 3


async def test_aliases_are_listed_as_what_they_stand_for(provider: FakeProvider) -> None:
    """With their own name, and the model's as its slug; an alias that leads nowhere is not listed."""
    async with Inside(provider, aliases={"short": "mock", "lost": "nowhere"}) as inside:
        listed = {each["id"]: each for each in (await fetch(inside, get(b"/v1/models"))).json["data"]}
        assert set(listed) == {"mock", "short"}
        assert listed["short"]["canonical_slug"] == "mock"
        assert (await fetch(inside, get(b"/api/v1/models/short"))).json["id"] == "short"
        assert (await fetch(inside, get(b"/v1/models/lost"))).status == 404


async def test_a_name_with_slashes_is_one_name(inside: Inside) -> None:
    """`provider/model` in the path, encoded or not, with or without `endpoints` behind it."""
    for path in (b"/v1/models/lab/some/thing", b"/v1/models/lab%2Fsome%2Fthing"):
        assert (await fetch(inside, get(path))).json["id"] == "lab/some/thing"
    data = (await fetch(inside, get(b"/v1/models/lab/some/thing/endpoints"))).json["data"]
    assert [each["tag"] for each in data["endpoints"]] == ["lab/some/thing"]


async def test_an_endpoint_is_listed_with_what_control_knows_of_it(provider: FakeProvider) -> None:
    """One question for all of a model's endpoints; one that control knows nothing of has nulls."""
    model = Model("mock", (Endpoint("lab", "fake", PRICE), Endpoint("lab", "other")))
    async with Inside(provider, models={"mock": model}) as inside:
        inside.answers["velocity"] = b'{"lab/other":{"status":-1,"latency_last_30m":{"p50":1.5},"tokenway":{"x":1}}}'
        one, other = (await fetch(inside, get(b"/v1/models/mock/endpoints"))).json["data"]["endpoints"]
        assert inside.asked == [("velocity", "k1", '["lab/fake","lab/other"]')]
    assert (one["tag"], one["status"], one["latency_last_30m"]) == ("lab/fake", 0, None)
    assert (other["status"], other["latency_last_30m"], other["tokenway"]) == (-1, {"p50": 1.5}, {"x": 1})
    assert other["uptime_last_1d"] is None


async def test_a_record_is_asked_of_control_for_the_callers_key(inside: Inside) -> None:
    """Its text is passed on as it is; none is a 404, no id a 400, and a long id is cut."""
    inside.answers["generation"] = b'{"id":"gen-1","total_cost":0.10}'
    answer = await fetch(inside, get(b"/v1/generation?id=gen-1"))
    assert answer.body == b'{"data":{"id":"gen-1","total_cost":0.10}}'
    inside.answers.clear()
    assert (await fetch(inside, get(b"/v1/generation?id=" + b"x" * 500))).status == 404
    assert (await fetch(inside, get(b"/v1/generation?id="))).error["param"] == "id"
    assert inside.asked == [("generation", "k1", "gen-1"), ("generation", "k1", "x" * 100)]


async def test_a_keys_figures_come_from_control(inside: Inside) -> None:
    """Or are null when it has none."""
    inside.answers["key"] = b'{"usage":1.5}'
    assert (await fetch(inside, get(b"/v1/key"))).json == {"data": {"usage": 1.5}}
    inside.answers.clear()
    assert (await fetch(inside, get(b"/v1/key"))).json == {"data": None}


async def test_the_credits_are_those_of_the_keys_project(inside: Inside) -> None:
    """Also below the path that OpenRouter has."""
    inside.answers["credits"] = b'{"total_credits":5.0}'
    for path in (b"/v1/credits", b"/api/v1/credits"):
        assert (await fetch(inside, get(path))).json == {"data": {"total_credits": 5.0}}
    assert {what for what, _, _ in inside.asked} == {"credits"}
    inside.answers.clear()
    assert (await fetch(inside, get(b"/v1/credits"))).json == {"data": None}


async def test_readiness_tells_its_reasons(provider: FakeProvider) -> None:
    """503 while something is missing or the end is near; liveness is another question."""
    async with Inside(provider, not_ready="the local engine is starting") as inside:
        answer = await fetch(inside, get(b"/health/ready"))
        assert (answer.status, answer.json["reasons"]) == (503, ["the local engine is starting"])
        inside.state.draining = True
        answer = await fetch(inside, get(b"/health/ready"))
        assert answer.json["reasons"] == ["the gateway is stopping", "the local engine is starting"]
        assert (await fetch(inside, get(b"/health/live"))).status == 200


async def test_a_relayed_path_in_other_letters_is_not_there(inside: Inside) -> None:
    """What the relay does not know by its bytes is not relayed by another door."""
    for path in (b"/v1/%63hat/completions", b"/v1/chat%2Fcompletions", b"/v1/chat/completions/"):
        answer = await fetch(inside, get(path, b"POST"))
        assert (answer.status, answer.error["code"]) == (404, "unknown_url")
    answer = await fetch(inside, get(b"/v1/%63hat/completions"))
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_every_answer_has_an_id_of_its_own(inside: Inside) -> None:
    """Errors included."""
    answers = [await fetch(inside, get(path)) for path in (b"/v1/models", b"/nothing", b"/v1/models/mokc")]
    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert all(answer.headers["x-generation-id"] == answer.headers["x-request-id"] for answer in answers)


async def test_the_list_has_the_shape_that_its_caller_reads(inside: Inside) -> None:
    """OpenAI's, Anthropic's or Google's, by the headers and the path."""
    openai = (await fetch(inside, get(b"/v1/models"))).json
    anthropic = (await fetch(inside, _with(b"/v1/models?limit=1", b"anthropic-version: 2023-06-01"))).json
    google = (await fetch(inside, get(b"/v1beta/models?pageSize=1"))).json
    keyed = (await fetch(inside, _with(b"/v1/models", b"x-goog-api-key: k"))).json
    assert (openai["object"], anthropic["first_id"], google["models"][0]["name"]) == ("list", "mock", "models/mock")
    assert keyed["models"][0]["name"] == "models/mock"


async def test_a_model_has_the_shape_that_its_caller_reads(inside: Inside) -> None:
    """The same for one of them."""
    anthropic = (await fetch(inside, _with(b"/v1/models/mock", b"anthropic-version: 2023-06-01"))).json
    google = (await fetch(inside, get(b"/v1beta/models/mock"))).json
    keyed = (await fetch(inside, _with(b"/v1/models/mock", b"x-goog-api-key: k"))).json
    assert (anthropic["type"], google["name"], keyed["name"]) == ("model", "models/mock", "models/mock")


async def test_an_error_has_the_shape_that_its_caller_reads(inside: Inside) -> None:
    """Of a path that is not there, and of a page that is too large."""
    openai = (await fetch(inside, get(b"/v1/nothing"))).json
    anthropic = (await fetch(inside, get(b"/v1/messages/nothing"))).json
    google = (await fetch(inside, get(b"/v1beta/nothing"))).json
    page = await fetch(inside, _with(b"/v1/models?limit=0", b"anthropic-version: 2023-06-01"))
    assert openai["error"]["code"] == "unknown_url"
    assert (anthropic["type"], anthropic["error"]["type"]) == ("error", "not_found_error")
    assert google["error"]["status"] == "NOT_FOUND"
    assert (page.status, page.json["error"]["type"]) == (400, "invalid_request_error")


async def test_somebody_is_there(inside: Inside) -> None:
    """Claude Code asks before it begins."""
    async with inside.client() as raw:
        await raw.send(get(b"/api/hello", b"HEAD"))
        assert (await raw.answer(bodyless=True)).status == 200


def _with(path: bytes, line: bytes) -> bytes:
    """A request with one more header line."""
    return get(path).replace(b"\r\n", b"\r\n" + line + b"\r\n", 1)
