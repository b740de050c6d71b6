"""What goes to endpoints of other dialects: written once each, and refused before it costs anything."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.edge.bench import snapshot
from tokenway.aio.tasks import Tasks
from tokenway.dialects.base import CallerRequest
from tokenway.dialects.registry import FORMATS
from tokenway.edge.crossing import Crossings, media_of, spelled
from tokenway.edge.doors import Door
from tokenway.edge.routes import Route, Routes
from tokenway.model.catalog import Capabilities, Dialect, Endpoint, Model, Operation, Provider
from tokenway.model.errors import Problem, Refusal
from tokenway.model.request import Media, MediaKind, Message, Request, Role, Text, ToolResult
from tokenway.upstream.pool import Pools

PROVIDERS = {
    "chat": Provider("chat", "http://chat/v1"),
    "claude": Provider("claude", "http://claude/v1", Dialect.ANTHROPIC),
    "gemini": Provider("gemini", "http://gemini/v1beta", Dialect.GEMINI),
    "fetching": Provider("fetching", "http://fetching/v1", Dialect.GEMINI, fetch_urls=True),
}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
URL = {"type": "image_url", "image_url": {"url": "https://pics.example/a.png"}}
TOOL = {"type": "function", "function": {"name": "f"}}


def route(*endpoints: str | Endpoint, operation: Operation = Operation.CHAT) -> Route:
    """A route of callers of OpenAI's dialect to the model `x` at these providers."""
    offers = tuple(Endpoint(each, "x") if isinstance(each, str) else each for each in endpoints)
    what = snapshot(providers=PROVIDERS, models={"m": Model("m", offers)})
    table = Routes(what, Pools(msgspec.UNSET, Tasks(lambda *_: None)))  # type: ignore[arg-type]
    return table.find("m", Door(Dialect.OPENAI_CHAT, operation))


def asked(*content: Any, operation: Operation = Operation.CHAT, **more: Any) -> CallerRequest:
    """A request of OpenAI's dialect."""
    said: dict[str, Any] = {"messages": [{"role": "user", "content": content or "hi"}]}
    body = {"model": "m"} | (said if operation is Operation.CHAT else {"input": "a"})
    return FORMATS[Dialect.OPENAI_CHAT].parse(operation, msgspec.json.encode(body | more), "", False)


def able(crossings: Crossings, *, whole: bool = False) -> list[str]:
    """The providers that can be asked."""
    return [endpoint.provider for endpoint in crossings.able(whole=whole)]


def refused(crossings: Crossings, *, whole: bool = False) -> Problem:
    """Why nobody can be asked."""
    with pytest.raises(Refusal) as caught:
        crossings.able(whole=whole)
    return caught.value.problem


def at(provider: str, **able_to: bool) -> Endpoint:
    """An endpoint that can do so."""
    return Endpoint(provider, "x", capabilities=Capabilities(**able_to))


# -- writing -----------------------------------------------------------------------------------------------


def test_a_request_is_written_in_an_endpoints_dialect() -> None:
    """With its own name of the model; what it cannot say is named."""
    way = route("claude", "gemini")
    crossings = Crossings(asked(seed=7, max_tokens=5), way)
    claude, gemini = (crossings.written(endpoint) for endpoint in way.endpoints)
    assert msgspec.json.decode(claude.body)["model"] == "x"
    assert claude.dropped == ("seed",)
    assert msgspec.json.decode(gemini.body)["generationConfig"] == {"seed": 7, "maxOutputTokens": 5}
    assert gemini.dropped == ()


def test_it_is_written_once_for_each() -> None:
    """A retry finds what was written."""
    way = route("claude")
    crossings = Crossings(asked(), way)
    assert crossings.written(way.endpoints[0]) is crossings.written(way.endpoints[0])


def test_it_is_written_anew_once_it_is_complete() -> None:
    """With what was fetched for it."""
    way = route("claude")
    crossings = Crossings(asked(), way)
    crossings.written(way.endpoints[0])
    crossings.complete(Request("m", (Message(Role.USER, (Text("completed"),)),)))
    assert b"completed" in crossings.written(way.endpoints[0]).body


def test_several_answers_are_asked_for_where_one_call_makes_them() -> None:
    """Elsewhere each call asks for one, and nothing is declared as dropped."""
    way = route("claude", "gemini")
    crossings = Crossings(asked(n=2), way)
    claude, gemini = (crossings.written(endpoint) for endpoint in way.endpoints)
    assert b'"candidateCount":2' in gemini.body
    assert (claude.dropped, gemini.dropped) == ((), ())


def test_embeddings_are_written_by_their_own_conversion() -> None:
    """They have no messages."""
    way = route(Endpoint("gemini", "x", operations=(Operation.EMBEDDING,)), operation=Operation.EMBEDDING)
    written = Crossings(asked(operation=Operation.EMBEDDING), way).written(way.endpoints[0])
    assert b'"requests":[' in written.body


class Broken:
    """A request that meets a mistake of ours."""

    operation = Operation.CHAT

    def neutral(self) -> Request:
        """Raises what code raises that did not think of something."""
        raise KeyError("what a caller wrote")


def test_a_mistake_of_ours_is_no_crash(caplog: pytest.LogCaptureFixture) -> None:
    """The caller is told, and the log has the place and not the text."""
    crossings = Crossings(Broken(), route("claude"))  # type: ignore[arg-type]
    problem = refused(crossings)
    assert (problem.status, problem.code) == (500, "internal_error")
    [record] = caplog.records
    assert record.__dict__["mistake"].startswith("KeyError at ")
    assert "what a caller wrote" not in str(record.__dict__["mistake"])


# -- who can be asked --------------------------------------------------------------------------------------


def test_who_can_be_asked_keeps_its_order() -> None:
    """Of endpoints of every dialect."""
    assert able(Crossings(asked(), route("gemini", "chat", "claude"))) == ["gemini", "chat", "claude"]


def test_a_wrong_request_is_refused_before_anything_is_asked() -> None:
    """Where no endpoint would take the caller's bytes as they are."""
    wrong = asked(messages=[{"role": "nobody", "content": "x"}])
    problem = refused(Crossings(wrong, route("claude", "gemini")))
    assert (problem.status, problem.param) == (400, "messages[0].role")
    assert able(Crossings(wrong, route("chat", "claude"))) == ["chat", "claude"]


def test_who_cannot_say_it_is_left_out() -> None:
    """The next one may; when nobody can, the first one's reason is told."""
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert able(Crossings(asked(sound), route("claude", "gemini"))) == ["gemini"]
    problem = refused(Crossings(asked(sound), route("claude")))
    assert (problem.status, problem.code) == (400, "unsupported_media")


def test_only_what_is_certain_to_be_asked_is_written_beforehand() -> None:
    """Most exchanges ask one endpoint; the others are written when they are needed."""
    way = route("gemini", "claude")
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert able(Crossings(asked(sound), way)) == ["gemini", "claude"]


def test_who_would_drop_something_is_left_out_where_all_is_required() -> None:
    """`provider.require_parameters`."""
    assert able(Crossings(asked(seed=7), route("claude", "gemini")), whole=True) == ["gemini"]
    assert able(Crossings(asked(seed=7), route("claude", "gemini"))) == ["claude", "gemini"]


@pytest.mark.parametrize(
    ("request_", "lacking", "left"),
    [
        (asked(tools=[TOOL]), {"tools": False, "vision": True}, ["gemini"]),
        (asked(IMAGE), {"vision": False}, ["gemini"]),
        (asked(), {"tools": False, "vision": False}, ["chat", "gemini"]),
    ],
    ids=["tools", "images", "neither"],
)
def test_an_endpoint_that_cannot_is_left_out(
    request_: CallerRequest, lacking: dict[str, bool], left: list[str]
) -> None:
    """Where all is required, also in the caller's own dialect."""
    way = route(at("chat", **lacking), at("gemini", tools=True, vision=True))
    assert able(Crossings(request_, way), whole=True) == left


def test_when_nobody_can_say_all_of_it_the_caller_is_told_what() -> None:
    """By endpoint, and by the caller's names."""
    way = route("claude", at("chat", tools=False))
    problem = refused(Crossings(asked(seed=7, tools=[TOOL]), way), whole=True)
    assert (problem.status, problem.code, problem.param) == (503, "no_endpoints", "provider.require_parameters")
    assert "(seed, tools)" in problem.message
    assert problem.details["availability"] == {
        "code": "constraint_filtered",
        "excluded_by": {"claude/x": "require_parameters", "chat/x": "require_parameters"},
        "unsupported": {"claude/x": "seed", "chat/x": "tools"},
    }


def test_an_endpoint_whose_images_are_fetched_is_kept_until_they_are_there() -> None:
    """Without them it could not be written."""
    crossings = Crossings(asked(URL), route("fetching"))
    assert crossings.has_urls
    assert able(crossings) == ["fetching"]
    assert not Crossings(asked(IMAGE), route("fetching")).has_urls


# -- small things ------------------------------------------------------------------------------------------


def test_names_are_told_in_the_callers_spelling() -> None:
    """Each once."""
    assert spelled(("thinking", "seed", "seed"), FORMATS[Dialect.OPENAI_CHAT]) == "reasoning_effort,seed"
    assert spelled(("top_k",), FORMATS[Dialect.GEMINI]) == "topK"
    assert spelled((), FORMATS[Dialect.GEMINI]) == ""


def test_media_are_found_in_the_results_of_tools_too() -> None:
    """In their order."""
    one, two = (Media(MediaKind.IMAGE, url=url) for url in ("http://a", "http://b"))
    parts = (Text("x"), one, ToolResult("c", (Text("y"), two)))
    assert media_of(Request("m", (Message(Role.USER, parts), Message(Role.ASSISTANT, (one,))))) == [one, two, one]
