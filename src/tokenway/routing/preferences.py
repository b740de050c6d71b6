"""A caller's preferences, validated: from the `provider` object as it was sent to the wishes that a plan is made by.

A wish is *hard* or *soft*. A hard one excludes endpoints (`routing.exclude`), and where it excludes all of them the
call is refused (503) with the reason for each. A soft one only says which endpoint is tried first, and never refuses.

    hard   only, ignore, quantizations, max_price, max_cost, data_collection, zdr, enforce_distillable_text,
           require_parameters, and order together with allow_fallbacks: false
    soft   order, sort, preferred_min_throughput, preferred_max_latency, min_tps, hedge, rescue, stream, timeouts

What is wrong is refused (400) at its exact place, before anybody is asked. Thresholds cannot contradict one another:
each is a bound on one side, and where a stricter one makes another needless, both hold.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Final, TypeVar

import msgspec

from tokenway.model.catalog import Timeouts
from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.money import NanoUsd, Rate, parse_usd
from tokenway.model.preferences import Partition, Preferences, Rescue, SortOrder
from tokenway.model.quantization import QUANTIZATIONS

LIST_MAX: Final = 128
"""Names in one list of a caller."""
_SHOWN: Final = 64
"""Characters of what a caller wrote that are told back."""
_LEGIBLE: Final = 1e15
_PERCENTILES: Final = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99}
_MEDIAN: Final = 0.5
_POLICIES: Final = ("allow", "deny")
_SPEEDS: Final = "tokens per second"
_SECONDS: Final = "seconds"
UNBOUNDED: Final = Timeouts(inf, inf, inf, inf)
"""The deadlines of a caller that names none."""
_Choice = TypeVar("_Choice", SortOrder, Partition, Rescue)


class Floor(msgspec.Struct, frozen=True):
    """A preferred threshold: the share `share` of recent calls has to be as good as `bound`, or better.

    So OpenRouter reads its percentiles, for both figures: `p90` is what nine of ten calls reach. Of times it is the
    0.9 quantile that counts, of speeds the 0.1 quantile, which nine of ten are above.
    """

    share: float
    bound: float


class MaxPrice(msgspec.Struct, frozen=True):
    """The dearest endpoint that may serve; None is no bound. The first three are per million tokens."""

    prompt: Rate | None = None
    completion: Rate | None = None
    audio: Rate | None = None
    request: NanoUsd | None = None
    image: NanoUsd | None = None


class Wishes(msgspec.Struct, frozen=True):
    """What a caller prefers, validated; two that are equal have the same hash.

    Names of providers and endpoints are folded to small letters. Speeds are in tokens per second, times in seconds. A
    deadline that the caller does not name is infinite: `shortened` puts them against those that hold anyway.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    no_training: bool = False
    """Only providers that do not train on what they are sent (`data_collection: deny`)."""
    zdr: bool = False
    distillable: bool = False
    quantizations: tuple[str, ...] = ()
    max_price: MaxPrice | None = None
    is_free: bool = False
    """Only endpoints that cost nothing, as the suffix `:free` says."""
    max_cost: NanoUsd | None = None
    """The most that the call may cost; endpoints without a price are excluded, for no bound on those can be kept."""
    sort: SortOrder | None = None
    partition: Partition = Partition.MODEL
    min_throughput: tuple[Floor, ...] = ()
    max_latency: tuple[Floor, ...] = ()
    min_tps: float | None = None
    hedge: bool | None = None
    rescue: Rescue | None = None
    stream: bool | None = None
    """Whether an answer that is wanted whole is asked for as a stream."""
    timeouts: Timeouts = UNBOUNDED
    allowed: tuple[str, ...] | None = None
    """Not the caller's own: the endpoints, or their providers, that its key may use; None for all."""


NO_WISHES: Final = Wishes()


def read_wishes(said: Preferences) -> Wishes:
    """The wishes that a `provider` object means.

    Raises Refusal (400) with the exact place for what is no value of its field, and for what contradicts itself.
    """
    order, only, ignore = (_names(name, getattr(said, name)) for name in ("order", "only", "ignore"))
    _agree(order, only, ignore)
    by, partition = _sorting(said.sort)
    return Wishes(
        order=order,
        only=only,
        ignore=ignore,
        allow_fallbacks=said.allow_fallbacks is not False,
        require_parameters=said.require_parameters is True,
        no_training=_policy(said.data_collection),
        zdr=said.zdr is True,
        distillable=said.enforce_distillable_text is True,
        quantizations=_quantizations(said.quantizations),
        max_price=_max_price(said.max_price),
        max_cost=_amount("provider.max_cost", said.max_cost),
        sort=by,
        partition=partition or Partition.MODEL,
        min_throughput=_bounds("provider.preferred_min_throughput", said.preferred_min_throughput, _SPEEDS),
        max_latency=_bounds("provider.preferred_max_latency", said.preferred_max_latency, _SECONDS),
        min_tps=None if said.min_tps is None else _number("provider.min_tps", said.min_tps, _SPEEDS),
        hedge=said.hedge,
        rescue=_choice("provider.rescue", said.rescue, Rescue),
        stream=said.stream,
        timeouts=_timeouts(said.timeouts),
    )


def nearest_of(text: str, known: Iterable[str]) -> str:
    """The end of a sentence: the values that look most like a text, or nothing."""
    found = difflib.get_close_matches(text[:_SHOWN].casefold(), sorted(set(known)), n=3, cutoff=0.5)
    return f" The nearest: {', '.join(found)}." if found else ""


def _wrong(place: str, expected: str, value: object, known: Sequence[str] = ()) -> Refusal:
    """400: what stands at a place is not what belongs there."""
    near = nearest_of(value, known) if isinstance(value, str) else ""
    message = f"'{place}' must be {expected}, not {_shown(value)}.{near}"
    return invalid_request(message, param=place, code="invalid_value")


def _shown(value: object) -> str:
    """A value for a sentence, whatever its size."""
    match value:
        case str():
            return f"'{value[:_SHOWN]}'"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:g}" if abs(value) < _LEGIBLE else "so large a number"
        case _:
            return ("an empty list" if not value else "a list") if isinstance(value, list) else "an object"


def _names(field: str, names: list[str] | None) -> tuple[str, ...]:
    """Names of providers or endpoints, in small letters."""
    if names is None:
        return ()
    place = f"provider.{field}"
    _counted(place, names)
    for index, name in enumerate(names):
        if not name.strip():
            raise _wrong(f"{place}[{index}]", "the name of a provider or an endpoint", name)
    return tuple(name.strip().casefold() for name in names)


def _counted(place: str, values: list[str]) -> None:
    """Raises Refusal for a list without an end, and for one that is empty: it could mean everything or nothing."""
    if not values:
        raise _wrong(place, "a list of at least one, or left out", values)
    if len(values) > LIST_MAX:
        raise invalid_request(f"'{place}' may hold {LIST_MAX} names at most.", param=place, code="invalid_value")


def _agree(order: tuple[str, ...], only: tuple[str, ...], ignore: tuple[str, ...]) -> None:
    """Raises Refusal for lists of which nothing can follow."""
    for name in only:
        if _covered(name, ignore):
            raise _contradiction(
                "ignore", f"'provider.only' allows '{name[:_SHOWN]}' and 'provider.ignore' excludes it"
            )
    if order and only and not any(_meet(first, second) for first in order for second in only):
        raise _contradiction("order", "'provider.only' excludes all that 'provider.order' names")
    if order and all(_covered(name, ignore) for name in order):
        raise _contradiction("order", "'provider.ignore' excludes all that 'provider.order' names")


def _contradiction(field: str, sentence: str) -> Refusal:
    return invalid_request(f"{sentence}.", param=f"provider.{field}", code="contradiction")


def _covered(name: str, names: tuple[str, ...]) -> bool:
    """Whether all that a name means is among what the names mean."""
    return name in names or name.partition("/")[0] in names


def _meet(one: str, other: str) -> bool:
    """Whether two names have an endpoint in common: they are the same, or one is the other's provider."""
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _choice(place: str, value: Any, kind: type[_Choice]) -> _Choice | None:
    if value is None:
        return None
    values = [str(member.value) for member in kind]
    if value not in values:
        raise _wrong(place, "one of " + ", ".join(values), value, values)
    return kind(value)


def _policy(value: Any) -> bool:
    if value is not None and value not in _POLICIES:
        raise _wrong("provider.data_collection", "allow or deny", value, _POLICIES)
    return bool(value == "deny")


def _sorting(value: Any) -> tuple[SortOrder | None, Partition | None]:
    """OpenRouter's `sort`: what to sort by, or that and across what."""
    if not isinstance(value, dict):
        return _order("provider.sort", value), None
    members = _members("provider.sort", value, ("by", "partition"))
    by = _order("provider.sort.by", members.get("by"))
    return by, _choice("provider.sort.partition", members.get("partition"), Partition)


def _order(place: str, value: Any) -> SortOrder | None:
    if value == "exacto":
        raise invalid_request(
            f"'{place}' cannot be 'exacto': how well tools are called is OpenRouter's own figure, and not measured "
            "here. There are finish, throughput, latency, price and weight.",
            param=place,
            code="invalid_value",
        )
    return _choice(place, value, SortOrder)


def _quantizations(values: list[str] | None) -> tuple[str, ...]:
    if values is None:
        return ()
    _counted("provider.quantizations", values)
    for index, value in enumerate(values):
        if value not in QUANTIZATIONS:
            raise _wrong(f"provider.quantizations[{index}]", "a quantization", value, QUANTIZATIONS)
    return tuple(values)


def _members(place: str, value: Any, names: Iterable[str]) -> dict[str, Any]:
    """The members of an object that are there; raises Refusal for one that nobody knows."""
    known = tuple(names)
    if not isinstance(value, dict):
        raise _wrong(place, "an object with " + ", ".join(known), value)
    for name in value:
        if name not in known:
            shown = str(name)[:_SHOWN]
            raise invalid_request(
                f"'{place}' has no member '{shown}', but {', '.join(known)}.{nearest_of(shown, known)}",
                param=f"{place}.{shown}",
                code="unknown_parameter",
            )
    return {name: each for name, each in value.items() if each is not None}


def _number(place: str, value: Any, unit: str, *, may_be_zero: bool = True) -> float:
    """A number that is not negative; raises Refusal for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = inf
        if 0.0 < number < inf or (may_be_zero and number == 0.0):
            return number
    raise _wrong(place, f"a number of {unit}, {'zero or more' if may_be_zero else 'above zero'}", value)


def _bounds(place: str, value: Any, unit: str) -> tuple[Floor, ...]:
    """A threshold, or one for each of OpenRouter's percentiles; a number alone is the median's."""
    if value is None:
        return ()
    if not isinstance(value, dict):
        return (Floor(_MEDIAN, _number(place, value, unit)),)
    members = _members(place, value, _PERCENTILES)
    return tuple(
        Floor(share, _number(f"{place}.{name}", members[name], unit))
        for name, share in _PERCENTILES.items()
        if name in members
    )


def _max_price(value: Any) -> MaxPrice | None:
    if value is None:
        return None
    place = "provider.max_price"
    members = _members(place, value, MaxPrice.__struct_fields__)
    if not members:
        return None
    amounts: dict[str, Any] = {name: _amount(f"{place}.{name}", each) for name, each in members.items()}
    return MaxPrice(**amounts)


def _amount(place: str, value: Any) -> NanoUsd | None:
    """USD as a number or a text, exact to a nano-dollar; also USD per million, of which a rate is as many."""
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > _SHOWN:
            raise _wrong(place, "an amount of USD", value)
        amount = parse_usd(value)
    except ValueError:
        raise _wrong(place, "an amount of USD", value) from None
    if amount < 0:
        raise _wrong(place, "an amount of USD from 0", value)
    return amount


def _timeouts(value: Any) -> Timeouts:
    if value is None:
        return UNBOUNDED
    place = "provider.timeouts"
    members = _members(place, value, Timeouts.__struct_fields__)
    seconds = {name: _number(f"{place}.{name}", each, _SECONDS, may_be_zero=False) for name, each in members.items()}
    return msgspec.structs.replace(UNBOUNDED, **seconds) if seconds else UNBOUNDED
