"""From a name to endpoints in order."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.model.catalog import (
    Capabilities,
    DataPolicy,
    Endpoint,
    EndpointLimits,
    Listing,
    Model,
    Operation,
    Price,
    Provider,
    Quirks,
)
from tokenway.model.errors import Problem, Refusal
from tokenway.model.match import Begins, Equals
from tokenway.model.money import NanoUsd, Rate
from tokenway.model.preferences import Partition, SortOrder
from tokenway.model.snapshot import ProviderHint, Snapshot
from tokenway.routing.plan import ALIASES_MAX, MODELS_MAX, nearest, plan, resolve, split_suffix
from tokenway.routing.preferences import NO_WISHES, Wishes

A, B, C = Endpoint("a", "m"), Endpoint("b", "m"), Endpoint("c", "m")
EMBED = Endpoint("a", "embed", operations=(Operation.EMBEDDING,))
SNAPSHOT = Snapshot(
    1,
    {"a": Provider("a", "http://a"), "b": Provider("b", "http://b", serves_any_model=False)},
    {
        "big": Model("big", (A, B), fallbacks=("small",)),
        "small": Model("small", (C, A)),
        "embed": Model("embed", (EMBED,)),
    },
    {
        "alias": "big",
        "twice": "alias",
        "direct": "a/other",
        "round": "circle",
        "circle": "round",
        "lost": "nowhere",
        "own": "local",
    },
    {},
    families=(("gpt-", "a"),),
    hints=(
        ProviderHint("openai", "OpenAI", ("o3",), "set OPENAI_API_KEY"),
        ProviderHint("local", "the local engine", (), "run `tokenway local install`", ("local", "local-embed")),
    ),
)


def refusal(name: str, operation: Operation = Operation.CHAT, more: tuple[str, ...] = (), **wishes: object) -> Problem:
    """The problem that planning this ends in."""
    with pytest.raises(Refusal) as raised:
        plan(SNAPSHOT, name, operation, more, Wishes(**wishes))  # type: ignore[arg-type]
    return raised.value.problem


@pytest.mark.parametrize(
    ("name", "endpoints"),
    [
        ("small", (C, A)),
        ("alias", (A, B)),
        ("twice", (A, B)),
        ("direct", (Endpoint("a", "other"),)),
        ("a/any/thing", (Endpoint("a", "any/thing"),)),
        ("gpt-4o", (Endpoint("a", "gpt-4o"),)),
    ],
)
def test_names_resolve(name: str, endpoints: tuple[Endpoint, ...]) -> None:
    """Models, aliases of aliases, `provider/model`, and the families that a provider is known for."""
    model = resolve(SNAPSHOT, name)
    assert model is not None
    assert model.endpoints == endpoints


@pytest.mark.parametrize("name", ["", "unknown", "b/any", "c/any", "a/", "/m", "round", "lost"])
def test_other_names_do_not(name: str) -> None:
    """Neither circles of aliases, nor providers that are not there or serve only what is configured."""
    assert resolve(SNAPSHOT, name) is None


def test_names_of_the_price_book_have_its_price() -> None:
    """By `provider/model` and by family; what the configuration describes keeps what it says; unknown is None."""
    listed = Listing("gpt-x", Begins("gpt-x"), "X", Price(Rate(1), Rate(2)), Capabilities(context=9))
    embeds = Listing("embed-x", Equals("embed-x"), embeds=True)
    described = Endpoint("a", "gpt-x-own", price=Price(Rate(5), Rate(5)))
    snapshot = msgspec.structs.replace(
        SNAPSHOT, listings={"a": (listed, embeds)}, models={"own": Model("own", (described,))}
    )
    expected = Endpoint("a", "gpt-x-2", price=Price(Rate(1), Rate(2)), capabilities=Capabilities(context=9))
    for name in ("a/gpt-x-2", "gpt-x-2"):
        model = resolve(snapshot, name)
        assert model is not None
        assert (model.endpoints, model.title) == ((expected,), "X")
    assert resolve(snapshot, "a/gpt-x-own") == Model("a/gpt-x-own", (described,), owner="a")
    assert resolve(snapshot, "a/other") == Model("a/other", (Endpoint("a", "other"),), owner="a")
    embedding = resolve(snapshot, "a/embed-x")
    assert embedding is not None
    assert embedding.endpoints[0].operations == (Operation.EMBEDDING, Operation.EMBED_CONTENT)


def test_a_provider_that_only_embeds_is_not_chatted_with() -> None:
    """What the book does not know of is done as its provider does."""
    provider = Provider("a", "http://a", operations=(Operation.EMBEDDING,))
    snapshot = msgspec.structs.replace(SNAPSHOT, providers={"a": provider})
    with pytest.raises(Refusal):
        plan(snapshot, "a/unknown", Operation.CHAT)
    assert plan(snapshot, "a/unknown", Operation.EMBEDDING).endpoints[0].id == "a/unknown"


def test_a_long_chain_of_aliases_ends() -> None:
    """As many aliases as allowed lead on, one more does not."""
    chain = {f"n{n}": f"n{n + 1}" for n in range(ALIASES_MAX)}
    snapshot = Snapshot(1, {}, {f"n{ALIASES_MAX}": Model("end", (A,))}, chain, {})
    assert resolve(snapshot, "n1") is not None
    assert resolve(snapshot, "n0") is None


def test_fallbacks_come_behind() -> None:
    """The model's own endpoints, its fallbacks', then those the caller names, each once."""
    assert plan(SNAPSHOT, "big", Operation.CHAT).endpoints == (A, B, C)
    more = plan(SNAPSHOT, "big", Operation.CHAT, ("a/x", "small"))
    assert more.endpoints == (A, B, C, Endpoint("a", "x"))
    assert more.model.name == "big"


def test_an_endpoint_of_several_models_is_asked_as_the_first_has_it() -> None:
    """Another price or limit makes no other endpoint of it: the limits that are left out would not hold."""
    limited = msgspec.structs.replace(B, limits=EndpointLimits(rpm=1))
    models = {"big": Model("big", (limited,), fallbacks=("small",)), "small": Model("small", (B, A))}
    planned = plan(msgspec.structs.replace(SNAPSHOT, models=models), "big", Operation.CHAT)
    assert planned.groups == ((limited,), (A,))


def test_a_callers_list_is_bounded() -> None:
    """Only so many fallbacks of one request are looked at."""
    names = tuple(f"a/{n}" for n in range(MODELS_MAX + 5))
    assert len(plan(SNAPSHOT, "small", Operation.CHAT, names).endpoints) == 2 + MODELS_MAX


def test_an_unknown_fallback_is_told() -> None:
    """A caller's slip in its list is not passed over."""
    assert refusal("small", Operation.CHAT, ("smal",)).status == 404


@pytest.mark.parametrize(
    ("wishes", "endpoints"),
    [
        ({"order": ("c", "b")}, (B, A, C)),
        ({"order": ("c", "b"), "partition": Partition.NONE}, (C, B, A)),
        ({"order": ("b/m",)}, (B, A, C)),
        ({"only": ("c", "a/m")}, (A, C)),
        ({"ignore": ("a",)}, (B, C)),
        ({"order": ("b",), "allow_fallbacks": False}, (B,)),
        ({"order": ("b", "a"), "allow_fallbacks": False}, (B, A)),
        ({"allow_fallbacks": False}, (A, B)),
    ],
)
def test_wishes(wishes: dict[str, object], endpoints: tuple[Endpoint, ...]) -> None:
    """Order, selection and exclusion by provider or by endpoint; without fallbacks no other model's, and none unnamed.

    A fallback model's endpoints come behind the model's own, unless the models make no difference.
    """
    assert plan(SNAPSHOT, "big", Operation.CHAT, (), Wishes(**wishes)).endpoints == endpoints  # type: ignore[arg-type]


def test_wishes_that_exclude_all_are_told_endpoint_by_endpoint() -> None:
    """503, and for each endpoint which wish excluded it."""
    problem = refusal("big", only=("b",), ignore=("b",))
    assert (problem.status, problem.code) == (503, "no_endpoints")
    availability = problem.details["availability"]
    assert isinstance(availability, dict)
    assert availability["excluded_by"] == {
        "a/m": "allowed_providers",
        "b/m": "ignored_providers",
        "c/m": "allowed_providers",
    }


def test_an_endpoint_must_be_able_to() -> None:
    """A model of embeddings does not chat: 400, and the operation is named."""
    problem = refusal("embed")
    assert (problem.status, problem.code) == (400, "wrong_endpoint")
    assert "chat" in problem.message
    assert plan(SNAPSHOT, "embed", Operation.EMBEDDING).endpoints == (EMBED,)


def test_a_model_whose_providers_are_gone_is_not_unknown() -> None:
    """It is configured and nobody is there to serve it: 503, not 404."""
    snapshot = Snapshot(1, {}, {"empty": Model("empty", ())}, {}, {})
    with pytest.raises(Refusal) as raised:
        plan(snapshot, "empty", Operation.CHAT)
    assert raised.value.problem.status == 503


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    """404 with names that exist and look alike, whatever their case."""
    problem = refusal("BIGG")
    assert (problem.status, problem.code, problem.param) == (404, "model_not_found", "model")
    assert "big" in problem.message
    assert nearest(SNAPSHOT, "SMALLL")[0] == "small"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Llama-3.3", ["a/llama-3.3", "b/meta/llama-3.3"]),
        ("meta/llama-3.3", ["b/meta/llama-3.3", "a/llama-3.3"]),
        ("llama-3.2", ["a/llama-3.3"]),
        ("sonnet-45", ["b/vendor/sonnet-4-5"]),
        ("qwerty", []),
        ("hidden", []),
    ],
)
def test_what_a_provider_is_known_to_serve_is_near(name: str, expected: list[str]) -> None:
    """Under the name that callers have to send; rows that no list shows are nobody's."""
    rows = {
        "a": (Listing("llama-3.3", Equals("llama-3.3")), Listing("hidden", Equals("hidden"), is_listed=False)),
        "b": (Listing("meta/llama-3.3", Equals("x")), Listing("vendor/sonnet-4-5", Equals("y"))),
    }
    assert nearest(msgspec.structs.replace(SNAPSHOT, listings=rows), name) == expected


@pytest.mark.parametrize("name", ["lost", "losst", "round", "circl"])
def test_an_alias_that_leads_nowhere_is_nobodys_nearest(name: str) -> None:
    """Neither to itself nor to what looks like it: who follows the advice must not get the same answer."""
    assert {"lost", "round", "circle"}.isdisjoint(nearest(SNAPSHOT, name))


def test_a_strange_name_is_met_with_what_there_is() -> None:
    """Where nothing looks alike, some names are given, and where to find all."""
    message = refusal("qqqqqqqqqqqq").message
    assert "GET /v1/models" in message


@pytest.mark.parametrize("name", ["o3-mini", "openai/whatever"])
def test_a_known_providers_model_says_what_to_set(name: str) -> None:
    """A name of a provider that is not enabled names the variable."""
    assert "OPENAI_API_KEY" in refusal(name).message


@pytest.mark.parametrize("name", ["local", "local-embed", "own"])
def test_a_local_model_that_is_not_there_says_what_to_install(name: str) -> None:
    """Also by an alias; a name that only begins like it is another one."""
    assert "It is a model of the local engine: run `tokenway local install` and start again" in refusal(name).message
    assert "install" not in refusal("local-model").message


def test_a_long_name_is_not_repeated_whole() -> None:
    """What a caller sends does not come back without bound."""
    assert len(refusal("x" * 10_000).message) < 500


def test_a_bound_on_the_cost_excludes_endpoints_without_a_price() -> None:
    """What they cost is not known, so no bound on it can be kept."""
    priced = Endpoint("a", "m", Price(Rate(1), Rate(2)))
    snapshot = msgspec.structs.replace(SNAPSHOT, models={"big": Model("big", (B, priced))})
    assert plan(snapshot, "big", Operation.CHAT, wishes=Wishes(max_cost=NanoUsd(1))).endpoints == (priced,)
    problem = refusal("big", max_cost=NanoUsd(1))
    assert problem.details["availability"] == {
        "code": "constraint_filtered",
        "excluded_by": {"a/m": "unknown_price", "b/m": "unknown_price", "c/m": "unknown_price"},
    }


def test_a_name_of_ones_own_does_not_lose_the_price() -> None:
    """`provider/model`, and a family's own name, mean the endpoint that the configuration describes."""
    priced = Endpoint("p", "gpt-x", Price(Rate(1), Rate(2)))
    snapshot = Snapshot(
        version=1,
        providers={"p": Provider("p", "http://p")},
        models={"dear": Model("dear", (Endpoint("p", "y"), priced))},
        aliases={"mine": "p/gpt-x"},
        keys={},
        families=(("gpt-", "p"),),
    )
    for name in ("p/gpt-x", "gpt-x", "mine"):
        model = resolve(snapshot, name)
        assert model is not None
        assert model.endpoints == (priced,)
    other = resolve(snapshot, "p/gpt-z")
    assert other is not None
    assert other.endpoints == (Endpoint("p", "gpt-z"),)


def test_a_plan_has_a_group_for_each_model() -> None:
    """The model's own endpoints, its fallbacks', the caller's: each endpoint once, and no group empty."""
    planned = plan(SNAPSHOT, "big", Operation.CHAT, ("a/x", "big"))
    assert planned.groups == ((A, B), (C,), (Endpoint("a", "x"),))
    assert planned.endpoints == (A, B, C, Endpoint("a", "x"))
    left = planned.among((C, A))
    assert (left.groups, left.endpoints, left.wishes) == (((A,), (C,)), (A, C), planned.wishes)
    whole = plan(SNAPSHOT, "big", Operation.CHAT, (), Wishes(partition=Partition.NONE))
    assert whole.groups == ((A, B, C),)
    filtered = plan(SNAPSHOT, "big", Operation.CHAT, (), Wishes(ignore=("a", "b")))
    assert filtered.groups == ((C,),)


def test_a_name_that_is_no_provider_is_refused() -> None:
    """400 with the nearest; an endpoint of the plan is a name, even where its provider is not configured."""
    problem = refusal("big", only=("bb",))
    assert (problem.status, problem.param) == (400, "provider.only[0]")
    assert problem.message.endswith("The nearest: b.")
    assert plan(SNAPSHOT, "a/new", Operation.CHAT, (), Wishes(only=("a/new",))).endpoints == (Endpoint("a", "new"),)


def test_what_excluded_each_endpoint_is_said_in_words() -> None:
    """Also that of a fallback model."""
    message = refusal("big", only=("b",), quantizations=("fp8",)).message
    assert message == (
        "No endpoint of the model 'big' is left: a/m is not in 'provider.only'; "
        "b/m has the quantization unknown, which is not in 'provider.quantizations'; c/m is not in 'provider.only'."
    )


def test_a_providers_promise_counts() -> None:
    """What the configuration says of its data."""
    clean = Provider("b", "http://b", data=DataPolicy(training=False, zdr=True))
    snapshot = msgspec.structs.replace(SNAPSHOT, providers={**SNAPSHOT.providers, "b": clean})
    assert plan(snapshot, "big", Operation.CHAT, (), Wishes(zdr=True, no_training=True)).endpoints == (B,)


# -- suffixes ----------------------------------------------------------------------------------------------------

GRATIS, PAID = Price(Rate(0), Rate(0)), Price(Rate(1), Rate(1))
FREE_A, PAID_B = Endpoint("a", "m", GRATIS), Endpoint("b", "m", PAID)
SUFFIXED = msgspec.structs.replace(
    SNAPSHOT,
    providers={
        **SNAPSHOT.providers,
        "openrouter": Provider("openrouter", "http://o", quirks=Quirks(variants=True)),
        "ollama": Provider("ollama", "http://l"),
        "a": Provider("a", "http://a"),
    },
    models={
        "mixed": Model("mixed", (PAID_B, FREE_A), fallbacks=("paid",)),
        "paid": Model("paid", (PAID_B,)),
        "spare": Model("spare", (Endpoint("c", "spare", PAID),)),
        "own:free": Model("own:free", (PAID_B,)),
        "openrouter/listed": Model("openrouter/listed", (PAID_B,)),
    },
    aliases={"nick": "mixed", "nack:nitro": "paid"},
    listings={"a": (Listing("gpt-4o", Equals("gpt-4o"), price=PAID), Listing("odd:floor", Equals("odd:floor")))},
)


@pytest.mark.parametrize(
    ("name", "base", "suffix"),
    [
        ("mixed", "mixed", ""),
        ("mixed:nitro", "mixed", "nitro"),
        ("nick:floor", "nick", "floor"),
        ("gpt-9:nitro", "gpt-9", "nitro"),
        ("a/gpt-4o:free", "a/gpt-4o", "free"),
        ("nobody/x:free", "nobody/x", "free"),
        ("mixed:exacto", "mixed:exacto", ""),
        ("mixed:NITRO", "mixed:NITRO", ""),
        (":free", ":free", ""),
        ("own:free", "own:free", ""),
        ("nack:nitro", "nack:nitro", ""),
        ("a/odd:floor", "a/odd:floor", ""),
        ("a/other:free", "a/other:free", ""),
        ("ollama/llama3:8b", "ollama/llama3:8b", ""),
        ("ollama/llama3:free", "ollama/llama3:free", ""),
        ("openrouter/vendor/x:free", "openrouter/vendor/x:free", ""),
        ("openrouter/listed:nitro", "openrouter/listed:nitro", ""),
    ],
)
def test_a_suffix_is_one_where_the_whole_name_means_nothing_else(name: str, base: str, suffix: str) -> None:
    """Neither a model or an alias of that name, nor what a provider may call so itself."""
    assert split_suffix(SUFFIXED, name) == (base, suffix)


def test_a_suffix_sorts() -> None:
    """By throughput or price, unless the caller says by what; all endpoints may serve."""
    for name, sort in (("mixed:nitro", SortOrder.THROUGHPUT), ("nick:floor", SortOrder.PRICE)):
        planned = plan(SUFFIXED, name, Operation.CHAT)
        assert (planned.endpoints, planned.wishes) == ((PAID_B, FREE_A), Wishes(sort=sort))
        said = Wishes(sort=SortOrder.LATENCY)
        assert plan(SUFFIXED, name, Operation.CHAT, (), said).wishes == said
    assert plan(SUFFIXED, "mixed", Operation.CHAT).wishes == NO_WISHES


def test_free_admits_what_costs_nothing() -> None:
    """Of the model and its fallbacks; a fallback of the caller is free where its own name says so."""
    assert plan(SUFFIXED, "mixed:free", Operation.CHAT).endpoints == (FREE_A,)
    assert plan(SUFFIXED, "mixed:free", Operation.CHAT, ("paid",)).groups == ((FREE_A,), (PAID_B,))
    assert plan(SUFFIXED, "spare", Operation.CHAT, ("mixed:free", "paid")).groups[1:] == ((FREE_A,), (PAID_B,))
    with pytest.raises(Refusal) as raised:
        plan(SUFFIXED, "paid:free", Operation.CHAT)
    problem = raised.value.problem
    assert (problem.status, problem.code) == (503, "no_endpoints")
    assert "b/m is not free, as ':free' asks" in problem.message


@pytest.mark.parametrize("name", ["mixt:nitro", "mixedd:free", "openrouter2/listed:free"])
def test_an_unknown_name_with_a_suffix_is_met_with_the_nearest(name: str) -> None:
    """Whether the suffix makes it unlike or not."""
    with pytest.raises(Refusal) as raised:
        plan(SUFFIXED, name, Operation.CHAT)
    problem = raised.value.problem
    assert problem.status == 404
    assert "The nearest names are: " in problem.message


def test_endpoints_without_a_price_can_be_refused() -> None:
    """To all calls but those that count tokens, which cost nothing; a price of nothing is one."""
    free = msgspec.structs.replace(B, price=Price(Rate(0), Rate(0)))
    models = {"m": Model("m", (A, free), fallbacks=("n",)), "n": Model("n", (C,))}
    snapshot = msgspec.structs.replace(SNAPSHOT, models=models)
    assert plan(snapshot, "m", Operation.CHAT).endpoints == (A, free, C)
    strict = msgspec.structs.replace(snapshot, refuses_unpriced=True)
    planned = plan(strict, "m", Operation.CHAT)
    assert planned.endpoints == (free,)
    assert {name: why.code for name, why in planned.excluded.items()} == dict.fromkeys(("a/m", "c/m"), "unknown_price")
    for name in ("n", "a/anything"):
        with pytest.raises(Refusal) as raised:
            plan(strict, name, Operation.CHAT)
        problem = raised.value.problem
        assert (problem.status, problem.code) == (503, "no_endpoints")
        assert "has no price, and 'limits.unpriced' refuses those" in problem.message
    assert plan(strict, "n", Operation.COUNT).endpoints == (C,)
