"""Laws of a caller's preferences, over `provider` objects of any shape: read, refused, or planned by."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from tokenway.model.catalog import DataPolicy, Endpoint, Grade, Model, Operation, Price, Provider
from tokenway.model.errors import Problem, Refusal
from tokenway.model.money import Rate
from tokenway.model.preferences import Partition, Preferences, Rescue, SortOrder
from tokenway.model.quantization import QUANTIZATIONS
from tokenway.model.snapshot import Snapshot
from tokenway.routing.exclude import FILTERS, exclusion
from tokenway.routing.plan import Plan, plan
from tokenway.routing.preferences import Wishes, read_wishes

ENDPOINTS = (
    Endpoint("alpha", "m", Price(Rate(0), Rate(0)), Grade("bf16")),
    Endpoint("beta", "m", Price(Rate(10**9), Rate(2 * 10**9)), Grade("mxfp4")),
    Endpoint("gamma", "m", grade=Grade("q4_k_m")),
    Endpoint("delta", "m", Price(Rate(10**8), Rate(10**9)), Grade("fp8_block")),
    Endpoint("alpha", "spare", Price(Rate(1), Rate(1))),
)
SNAPSHOT = Snapshot(
    1,
    {
        "alpha": Provider("alpha", "http://a", data=DataPolicy(training=False, zdr=True)),
        "beta": Provider("beta", "http://b", data=DataPolicy(training=False)),
        "gamma": Provider("gamma", "http://c"),
        "delta": Provider("delta", "http://d"),
    },
    {"m": Model("m", ENDPOINTS[:3], fallbacks=("n",)), "n": Model("n", ENDPOINTS[3:])},
    {},
    {},
    known=("alpha", "deepinfra"),
)
CODES = {code for code, _ in FILTERS}

names = st.sampled_from(
    ["alpha", "Beta", "gamma/m", "alpha/spare", "deepinfra", "deepinfra/turbo", "nobody", "delta", ""]
)
lists = st.lists(names, max_size=4)
numbers = st.one_of(
    st.integers(-1, 10), st.floats(), st.sampled_from([0, 0.5, 10**400, "1", "0.25", "-1", "x", True, None])
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


def members(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these members, or others."""
    return st.dictionaries(st.sampled_from([*keys, "other"]), numbers, max_size=3)


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("order", "only", "ignore"), lists),
    **dict.fromkeys(
        ("allow_fallbacks", "require_parameters", "zdr", "enforce_distillable_text", "hedge", "stream"), st.booleans()
    ),
    "data_collection": st.sampled_from(["allow", "deny", "perhaps", None]),
    "quantizations": st.lists(st.sampled_from([*QUANTIZATIONS, "fp5"]), max_size=3),
    "sort": st.one_of(
        st.sampled_from([*SortOrder, "exacto", "random"]),
        st.fixed_dictionaries(
            {}, optional={"by": st.sampled_from([*SortOrder, None]), "partition": st.sampled_from([*Partition])}
        ),
    ),
    "preferred_min_throughput": st.one_of(numbers, members("p50", "p75", "p90", "p99")),
    "preferred_max_latency": st.one_of(numbers, members("p50", "p75", "p90", "p99")),
    "max_price": members("prompt", "completion", "request", "image", "audio"),
    "max_cost": numbers,
    "min_tps": numbers,
    "rescue": st.sampled_from([*Rescue, "always"]),
    "timeouts": members("connect", "first_token", "between_tokens", "total"),
}


def any_of(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with any few of these members, most of them as they should be."""
    return st.lists(st.sampled_from(sorted(fields)), max_size=5, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen})
    )


def read(said: dict[str, Any]) -> Wishes | Problem | str:
    """The wishes that an object in a body means, why it is refused, or what the decoder says of it."""
    try:
        return read_wishes(msgspec.convert(said, Preferences))
    except Refusal as refusal:
        return refusal.problem
    except msgspec.ValidationError as error:
        return str(error)


def planned_by(wishes: Wishes) -> Plan | Problem:
    """The plan of a call with one fallback, or why there is none."""
    try:
        return plan(SNAPSHOT, "m", Operation.CHAT, ("n",), wishes)
    except Refusal as refusal:
        return refusal.problem


def check(said: dict[str, Any]) -> None:
    """Reads, and plans by, an object as it comes in a body."""
    wishes = read(said)
    if isinstance(wishes, str):
        event("no object of its kind")
        assert "`$." in wishes
        return
    if isinstance(wishes, Problem):
        event("not read")
        assert wishes.status == 400
        assert (wishes.param or "").startswith("provider.")
        return
    assert hash(wishes) == hash(msgspec.structs.replace(wishes))
    offered = set(ENDPOINTS) if wishes.allow_fallbacks else set(ENDPOINTS[:3])
    planned = planned_by(wishes)
    if isinstance(planned, Plan):
        event("planned")
        fitting = {each for each in offered if exclusion(each, SNAPSHOT.providers[each.provider], wishes) is None}
        assert set(planned.endpoints) == fitting
        assert planned.endpoints == tuple(each for group in planned.groups for each in group)
        assert len(planned.groups) == 1 or wishes.partition is Partition.MODEL
        assert planned_by(planned.wishes) == planned
        return
    event(f"refused with {planned.status}")
    if planned.status == 400:
        assert planned.code == "unknown_provider"
        return
    availability: Any = planned.details["availability"]
    assert planned.status == 503
    assert availability["excluded_by"].keys() == {each.id for each in offered}
    assert set(availability["excluded_by"].values()) <= CODES
    assert all(f"{each.id} " in planned.message for each in offered)


@given(any_of(FIELDS))
def test_an_object_of_the_known_members_is_planned_by_or_refused(said: dict[str, Any]) -> None:
    """Nothing else happens; what is refused has its place, and an endpoint that is excluded its reason."""
    check(said)


@given(st.dictionaries(st.sampled_from([*Preferences.__struct_fields__, "options", "new"]), anything, max_size=4))
def test_an_object_of_anything_is_planned_by_or_refused(said: dict[str, Any]) -> None:
    """Whatever stands in its members."""
    check(json.loads(json.dumps(said)))


@given(
    any_of({name: FIELDS[name] for name in ("only", "ignore", "quantizations", "zdr", "data_collection", "max_cost")})
)
def test_filters_make_no_difference_to_one_another(said: dict[str, Any]) -> None:
    """In whatever order they are applied, and however often, the same endpoints are left."""
    wishes = read(said)
    if not isinstance(wishes, Wishes):
        return
    expected = left(wishes, range(len(FILTERS)))
    assert left(wishes, [*range(len(FILTERS))] * 2) == expected
    strict = [number for number in range(len(FILTERS)) if left(wishes, [number]) != set(ENDPOINTS)]
    for order in permutations(strict):
        assert left(wishes, order) == expected


def left(wishes: Wishes, order: Any) -> set[Endpoint]:
    """The endpoints that these filters leave, one after the other."""
    kept = set(ENDPOINTS)
    for number in order:
        kept -= {each for each in kept if FILTERS[number][1](each, SNAPSHOT.providers[each.provider].data, wishes)}
    return kept
