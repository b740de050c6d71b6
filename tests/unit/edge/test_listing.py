"""Models in the shapes that clients look for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.e2e.raw import Answer
from tests.unit.edge.bench import snapshot
from tests.unit.edge.inside import PRICE, Inside
from tokenway.edge.listing import (
    PAGE_MAX,
    anthropic_page,
    describe,
    describe_endpoint,
    gemini_page,
    number,
    openai_list,
    per_token,
    pricing,
)
from tokenway.model.catalog import Capabilities, Endpoint, Grade, Hours, Model, Operation, Price, Tier
from tokenway.model.errors import Refusal
from tokenway.model.money import NanoUsd, Rate

MODEL = Model(
    "m", (Endpoint("p", "up", PRICE, Grade("fp8"), capabilities=Capabilities(context=1000, max_output=10)),), created=7
)


async def fetch(inside: Inside, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with inside.client() as raw:
        await raw.send(request)
        return await raw.answer()


@pytest.mark.parametrize(
    ("rate", "dollars"),
    [(500_000_000, "0.0000005"), (1_000_000_000, "0.000001"), (0, "0"), (10**15, "1"), (3, "0.000000000000003")],
)
def test_a_rate_becomes_dollars_per_token_exactly(rate: int, dollars: str) -> None:
    """Nano-dollars per million tokens in, a decimal without an exponent out."""
    assert per_token(rate) == dollars


def test_only_known_rates_are_shown() -> None:
    """A rate that an endpoint does not have is absent, not zero."""
    assert pricing(Price(Rate(10**9), Rate(2 * 10**9))) == {
        "prompt": "0.000001",
        "completion": "0.000002",
        "request": "0",
    }
    full = pricing(Price(Rate(1), Rate(2), Rate(3), Rate(4), Rate(5), Rate(6), NanoUsd(7)))
    assert len(full) == 7
    assert full["request"] == "0.000000007"
    pieces = Price(
        Rate(0), Rate(0), image=NanoUsd(40_000_000), sound_hour=NanoUsd(360_000_000), characters=Rate(15_000_000_000)
    )
    assert pricing(pieces) == {
        "prompt": "0",
        "completion": "0",
        "request": "0",
        "image_output": "0.04",
        "sound_hour": "0.36",
        "character": "0.000015",
    }


def test_a_model_and_its_endpoint_are_described() -> None:
    """In OpenAI's and OpenRouter's shapes; a model without any endpoint is described as well."""
    shape = describe(MODEL)
    assert (shape["id"], shape["object"], shape["created"], shape["context_length"]) == ("m", "model", 7, 1000)
    offer = describe_endpoint(MODEL, MODEL.endpoints[0])
    assert (offer["tag"], offer["quantization"], offer["max_completion_tokens"]) == ("p/up", "fp8", 10)
    finer = msgspec.structs.replace(MODEL.endpoints[0], grade=Grade(weights="awq"))
    awq = {"weights": "awq", "activations": "unknown", "kv_cache": "unknown"}
    assert (describe_endpoint(MODEL, finer)["quantization"], describe_endpoint(MODEL, finer)["grade"]) == ("int4", awq)
    bare = describe(Model("none", ()))
    assert bare["endpoints"] == []
    assert (bare["pricing"], bare["unpriced"]) == ({"prompt": "-1", "completion": "-1"}, True)
    assert "unpriced" not in shape


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({}, ["m", "bare", "known"]),
        ({"q": "KNOW"}, ["known"]),
        ({"q": "a", "limit": "1"}, ["bare"]),
        ({"offset": "1", "limit": "1"}, ["bare"]),
        ({"supported_parameters": "tools,seed"}, ["m", "bare", "known"]),
        ({"supported_parameters": "tools,logit_bias"}, []),
        ({"input_modalities": "image"}, []),
        ({"output_modalities": "all"}, ["m", "bare", "known"]),
    ],
)
def test_the_list_is_filtered_as_openrouters(query: dict[str, str], names: list[str]) -> None:
    """By parts of names, by parameters and by kinds of content; the count is of all that fit."""
    page: Any = openai_list(THREE, query)
    assert [each["id"] for each in page["data"]] == names
    assert page["total_count"] >= len(names)


def test_openrouters_client_reads_the_list() -> None:
    """And an endpoint, priced or not."""
    components = pytest.importorskip("openrouter.components")
    read = components.ModelsListResponse.model_validate(msgspec.to_builtins(openai_list(THREE, {})))
    assert [each.id for each in read.data] == ["m", "bare", "known"]
    for endpoint in (MODEL.endpoints[0], Endpoint("p", "unpriced")):
        components.PublicEndpoint.model_validate(msgspec.to_builtins(describe_endpoint(MODEL, endpoint)))


def test_conditions_of_a_price_are_shown_as_overrides() -> None:
    """In OpenRouter's words: from how many tokens on, and between which times of the day, UTC."""
    price = Price(
        Rate(10**9),
        Rate(2 * 10**9),
        search=NanoUsd(10**7),
        tiers=(Tier(above=200_000, input=Rate(2 * 10**9)),),
        hours=(Hours(begin=30, end=990, output=Rate(10**9)),),
    )
    shown = pricing(price)
    assert shown["web_search"] == "0.01"
    assert shown["overrides"] == [
        {"min_prompt_tokens": 200_001, "prompt": "0.000002"},
        {"utc_start": "0030", "utc_end": "1630", "completion": "0.000001"},
    ]


def test_what_goes_in_and_comes_out_is_described() -> None:
    """From what is known of the first endpoint."""
    sees = Endpoint("p", "m", capabilities=Capabilities(vision=True))
    shape = describe(Model("m", (sees,), title="M"))
    assert shape["architecture"] == {
        "modality": "text+image->text",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
        "tokenizer": "Other",
        "instruct_type": None,
    }
    assert shape["name"] == "M"
    assert "tools" in shape["supported_parameters"]  # type: ignore[operator]
    without = describe(Model("m", (Endpoint("p", "m", capabilities=Capabilities(tools=False)),)))
    assert "tools" not in without["supported_parameters"]  # type: ignore[operator]
    embeds = describe(Model("m", (Endpoint("p", "m", operations=(Operation.EMBEDDING,)),)))
    assert embeds["architecture"]["output_modalities"] == ["embeddings"]  # type: ignore[index]
    assert embeds["supported_parameters"] == []


BARE = Model("bare", ())
KNOWN = Model("known", MODEL.endpoints, title="Known", description="A model.", created=86400)
THREE = snapshot(models={"m": MODEL, "bare": BARE, "known": KNOWN})


def test_a_page_in_anthropics_shape() -> None:
    """Sizes and descriptions where they are known; times as text."""
    assert anthropic_page(THREE, 20) == {
        "data": [
            {
                "type": "model",
                "id": "m",
                "display_name": "m",
                "created_at": "1970-01-01T00:00:07Z",
                "max_input_tokens": 1000,
                "max_tokens": 10,
            },
            {"type": "model", "id": "bare", "display_name": "bare", "created_at": "1970-01-01T00:00:00Z"},
            {
                "type": "model",
                "id": "known",
                "display_name": "Known",
                "created_at": "1970-01-02T00:00:00Z",
                "description": "A model.",
                "max_input_tokens": 1000,
                "max_tokens": 10,
            },
        ],
        "has_more": False,
        "first_id": "m",
        "last_id": "known",
    }


@pytest.mark.parametrize(
    ("limit", "after", "ids", "has_more"),
    [
        (2, "", ["m", "bare"], True),
        (2, "m", ["bare", "known"], False),
        (2, "bare", ["known"], False),
        (2, "known", [], False),
    ],
)
def test_anthropics_pages_begin_behind_a_model(limit: int, after: str, ids: list[str], has_more: bool) -> None:
    """The list knows its last page."""
    page: Any = anthropic_page(THREE, limit, after=after)
    assert ([each["id"] for each in page["data"]], page["has_more"]) == (ids, has_more)
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


def test_a_page_in_googles_shape() -> None:
    """Names with their folder; limits where they are known."""
    page: Any = gemini_page(THREE, 50, "")
    methods = ["generateContent", "countTokens", "embedContent"]
    assert page["models"][0] == {
        "name": "models/m",
        "baseModelId": "m",
        "version": "",
        "displayName": "m",
        "description": "",
        "supportedGenerationMethods": methods,
        "inputTokenLimit": 1000,
        "outputTokenLimit": 10,
    }
    assert page["models"][1].keys().isdisjoint({"inputTokenLimit", "outputTokenLimit"})
    assert (page["models"][2]["displayName"], page["models"][2]["description"]) == ("Known", "A model.")
    assert "nextPageToken" not in page


@pytest.mark.parametrize(
    ("size", "token", "names", "following"),
    [
        (2, "", ["models/m", "models/bare"], "2"),
        (2, "2", ["models/known"], None),
        (1, "1", ["models/bare"], "2"),
        (2, "3", [], None),
    ],
)
def test_googles_pages_begin_at_a_token(size: int, token: str, names: list[str], following: str | None) -> None:
    """The one that the page before told."""
    page: Any = gemini_page(THREE, size, token)
    assert ([each["name"] for each in page["models"]], page.get("nextPageToken")) == (names, following)


@pytest.mark.parametrize("token", ["x", "-1", "9" * 5000])
def test_a_token_that_no_page_told_is_refused(token: str) -> None:
    """With its name, and so is a model that is not listed any more."""
    with pytest.raises(Refusal) as caught:
        gemini_page(THREE, 2, token)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "pageToken")
    with pytest.raises(Refusal) as caught:
        anthropic_page(THREE, 2, after="gone")
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "after_id")


@pytest.mark.parametrize(("text", "count"), [(None, 20), ("1", 1), (str(PAGE_MAX), PAGE_MAX)])
def test_a_query_may_say_how_many(text: str | None, count: int) -> None:
    """Or leave it to us."""
    assert number(text, 20, "limit", PAGE_MAX) == count


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", str(PAGE_MAX + 1), "9" * 5000])
def test_what_is_no_count_is_refused(text: str) -> None:
    """With the parameter's name."""
    with pytest.raises(Refusal) as caught:
        number(text, 20, "limit", PAGE_MAX)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "limit")
