"""What the exchanges of a batch come to in the summed tables: spending, roll-ups, balances and runs.

Many exchanges of a batch are of one kind and one minute, so they are first counted by these, and what has to be written
for it is made once for each. A sum belongs to the minute in which its exchange was admitted; hours, days and all time
are made of minutes.

A call stands with the endpoint that answered it, tokens and cost with the endpoint of the attempt that made them, and
what is charged with the attempt that is paid for. What is spent counts calls that were settled, with the tokens of the
attempts that the caller pays for; an expired reservation is a call of the roll-ups alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from operator import add
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import astuple

from tokenway.metering.ledger import Line, Reserved, Settled, Settlement
from tokenway.metering.runs import is_shown, shown_tokens
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.calls import NO_TIMES, Calls, Times, is_error
from tokenway.store.schema import KIND_FIELDS, SUMS, balances, rollups, run_agents, runs, spend
from tokenway.store.writing import Row

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
ALL_TIME: Final = 0
GRAINS: Final = (MINUTE, HOUR, DAY)
PAYABLE: Final = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)
"""How attempts are settled that the caller may be charged for."""

WALLET: Final = "wallet:"
SALES: Final = "sales"
COST: Final = "cost"
ABSORBED: Final = "absorbed"
PROVIDER: Final = "provider:"

_SUM_MAX: Final = 2**56
"""What no batch can come to: beyond it a number is damaged, and would overflow the columns that it is added to."""
_AT: Final = {name: place for place, name in enumerate(KIND_FIELDS)}
_KEY, _PROJECT, _MODEL, _ENDPOINT = (_AT[name] for name in ("key", "project", "model", "endpoint"))
_SETTLEMENT, _STATUS, _ATTEMPTS, _SLOW = (_AT[name] for name in ("settlement", "status", "attempts", "slow"))
_ERROR, _INLINE, _USER = (_AT[name] for name in ("error_type", "inline_attempt", "user_id"))
_NO_BUCKETS: Final = (0,) * len(BUCKETS)
_EXPIRED: Final = SUMS.index("expired")

Facet = tuple[str, str, str, str, str]
"""Key, project, user, model, endpoint."""
Table = tuple[sa.Table, Iterable[Row]]


def provider_of(endpoint: str) -> str:
    """The account of whoever runs an endpoint."""
    return PROVIDER + endpoint.partition("/")[0]


def digest_of(values: Sequence[Any]) -> int:
    """63 bits of a digest of the values, the same on every machine; never 0."""
    digest = hashlib.sha256(msgspec.json.encode(values)).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1


class _Attempts:
    """The attempts with rows of their own, of one kind of exchange and minute, at one endpoint, with one settlement."""

    __slots__ = ("charged", "cost", "kind", "many", "unmetered", "unpriced", "usage")

    def __init__(self, kind: Sequence[Any]) -> None:
        self.kind = kind
        self.many = self.unmetered = self.unpriced = self.charged = self.cost = 0
        self.usage: tuple[int, ...] = _NO_BUCKETS


class _Part:
    """What an agent's calls in a run came to."""

    __slots__ = ("agent_type", "ended", "parent", "project", "started", "sums")

    def __init__(self, project: str, started: float) -> None:
        self.project = project
        self.started = self.ended = started
        self.parent: str | None = None
        self.agent_type: str | None = None
        self.sums: list[int] = []


class Sums:
    """The sums of a batch of exchanges."""

    def __init__(self) -> None:
        self.minutes: dict[int, dict[int, Calls]] = {}
        """By minute and kind."""
        self.draws: dict[tuple[str, int], int] = {}
        """What was taken of leases, by limit and period."""
        self._attempts: dict[tuple[int, int, str, Settlement], _Attempts] = {}
        self._parts: dict[tuple[str, str, str], _Part] = {}
        self._expired: dict[tuple[int, Facet], int] = {}

    def attempt(self, line: Line, charged: int, minute: int, number: int, kind: Sequence[Any]) -> None:
        """Counts an attempt that has a row of its own."""
        place = (minute, number, line.endpoint, line.settlement)
        sums = self._attempts.get(place)
        if sums is None:
            sums = self._attempts[place] = _Attempts(kind)
        usage, cost = line.usage, line.cost
        sums.many += 1
        sums.charged += charged
        if cost is not None:
            sums.cost += cost
        if usage is None:
            sums.unmetered += line.settlement in PAYABLE
        elif not line.absurd:
            sums.unpriced += cost is None
            sums.usage = tuple(map(add, sums.usage, astuple(usage)))

    def run(self, record: Settled, times: Times, duration: float | None) -> None:
        """Counts an exchange in its run."""
        trace, at = record.trace, record.belongs
        place = (record.key, record.run, trace.agent if trace is not None else "")
        part = self._parts.get(place)
        if part is None:
            part = self._parts[place] = _Part(record.project, at)
        if trace is not None:
            part.parent = part.parent or trace.parent or None
            part.agent_type = part.agent_type or trace.agent_type or None
        part.started = min(part.started, at)
        part.ended = max(part.ended, at + (duration or 0.0))
        usages = [astuple(line.usage) for line in record.lines if line.usage is not None and not line.absurd]
        values = (
            1,
            int(is_shown(record)),
            shown_tokens(record),
            int(is_error(record.status, record.error_type)),
            int(record.slow),
            record.charged,
            record.withheld,
            sum(line.cost for line in record.lines if line.cost is not None),
            *(usages[0] if len(usages) == 1 else map(sum, zip(_NO_BUCKETS, *usages, strict=True))),
            *times,
        )
        part.sums = list(map(add, part.sums, values)) if part.sums else list(values)

    def draw(self, record: Settled) -> None:
        """Counts what an exchange took of leases."""
        for draw in record.draws:
            place = (draw.limit, draw.period)
            self.draws[place] = self.draws.get(place, 0) + draw.amount

    def expire(self, reservation: Reserved, times: int = 1) -> None:
        """Counts a reservation that expired; with `times` -1 no longer, because its settlement was found."""
        place = (int(reservation.at // MINUTE), (reservation.key, reservation.project, "", "", ""))
        self._expired[place] = self._expired.get(place, 0) + times

    def settle(self, kind: Sequence[Any], at: float, *, charged: int, withheld: int, paid: str | None) -> None:
        """Counts money of a call that was counted before, admitted at `at`; `withheld` is less than nothing.

        `paid` is the endpoint of the attempt that is charged, where that has a row of its own.
        """
        minute = int(at // MINUTE)
        calls = self.minutes.setdefault(minute, {})[0] = Calls(kind)
        calls.charged, calls.withheld, calls.last = charged, withheld, at
        if paid is not None:
            attempts = self._attempts[minute, 0, paid, Settlement.UPSTREAM_BILLED] = _Attempts(kind)
            attempts.charged = charged

    def tables(self, node: str) -> tuple[list[Facet], list[Table]]:
        """The facets that the sums speak of, and the rows to add to each table, made by this machine.

        Raises OverflowError when a sum is beyond reason.
        """
        by_minute = self._by_minute()
        _check((0, *self.draws.values()))
        names = {facet: digest_of(facet) for _, facet in by_minute}
        found: list[Table] = [
            (rollups, list(_rollups(by_minute, names, node))),
            (spend, list(self._spend(node))),
            (balances, [(account, node, *sums) for account, sums in self._balances().items()]),
        ]
        if self._parts:
            found += self._runs()
        return list(names), found

    def _by_minute(self) -> dict[tuple[int, Facet], list[int]]:
        """The columns of `rollups` by minute and facet."""
        found: dict[tuple[int, Facet], list[int]] = {}
        for minute, kinds in self.minutes.items():
            for calls in kinds.values():
                _merge(found, (minute, _facet(calls.kind, calls.kind[_ENDPOINT])), _of_calls(calls))
        for (minute, _, endpoint, settlement), attempts in self._attempts.items():
            _merge(found, (minute, _facet(attempts.kind, endpoint)), _of_attempts(attempts, settlement))
        for place, times in self._expired.items():
            values = [0] * len(SUMS)
            values[0] = values[_EXPIRED] = times
            _merge(found, place, values)
        for values in found.values():
            _check(values)
        return found

    def _spend(self, node: str) -> Iterator[Row]:
        hours: dict[tuple[str, str, int], list[Any]] = {}
        for minute, kinds in self.minutes.items():
            for calls in kinds.values():
                tokens = _tokens(calls.usage) if calls.kind[_SETTLEMENT] in PAYABLE else (0, 0)
                counts = (calls.calls, calls.charged, calls.withheld, *tokens, calls.last)
                _spread(hours, calls.kind, minute * MINUTE // HOUR, counts)
        for (minute, _, _, settlement), attempts in self._attempts.items():
            if settlement in PAYABLE:
                counts = (0, 0, 0, *_tokens(attempts.usage), 0.0)
                _spread(hours, attempts.kind, minute * MINUTE // HOUR, counts)
        days: dict[tuple[str, str, int], list[Any]] = {}
        ever: dict[tuple[str, str, int], list[Any]] = {}
        for (scope, subject, hour), values in hours.items():
            _accrue(days, (scope, subject, hour * HOUR // DAY), values)
            _accrue(ever, (scope, subject, 0), values)
        for grain, buckets in ((HOUR, hours), (DAY, days), (ALL_TIME, ever)):
            for (scope, subject, bucket), values in buckets.items():
                yield (scope, subject, grain, bucket, node, *values)

    def _balances(self) -> dict[str, list[int]]:
        """Debits and credits by account."""
        found: dict[str, list[int]] = {}
        for kinds in self.minutes.values():
            for calls in kinds.values():
                kind = calls.kind
                _post(found, WALLET + kind[_PROJECT], SALES, calls.charged)
                _post(found, _payer(kind[_SETTLEMENT]), provider_of(kind[_ENDPOINT]), calls.cost)
        for (_, _, endpoint, settlement), attempts in self._attempts.items():
            _post(found, _payer(settlement), provider_of(endpoint), attempts.cost)
        return found

    def _runs(self) -> list[Table]:
        whole: dict[tuple[str, str], _Part] = {}
        for (key, run, _), part in self._parts.items():
            _check(part.sums)
            known = whole.get((key, run))
            if known is None:
                known = whole[key, run] = _Part(part.project, part.started)
                known.ended, known.sums = part.ended, part.sums
                continue
            known.started = min(known.started, part.started)
            known.ended = max(known.ended, part.ended)
            known.sums = list(map(add, known.sums, part.sums))
        agents = [
            (*place, part.parent, part.agent_type, part.started, part.ended, *part.sums)
            for place, part in self._parts.items()
        ]
        return [
            (runs, [(*place, part.project, part.started, part.ended, *part.sums) for place, part in whole.items()]),
            (run_agents, agents),
        ]


def _facet(kind: Sequence[Any], endpoint: str) -> Facet:
    return (kind[_KEY], kind[_PROJECT], kind[_USER], kind[_MODEL], endpoint)


def _of_calls(calls: Calls) -> list[int]:
    """The columns of `rollups` for calls, with their attempts where these stand in the same row."""
    kind, many = calls.kind, calls.calls
    is_inline = kind[_INLINE] is not None
    return [
        many,
        many if is_inline else 0,
        many if is_error(kind[_STATUS], kind[_ERROR]) else 0,
        many if kind[_SLOW] else 0,
        0,
        many - calls.priced if is_inline else 0,
        0,
        calls.charged if is_inline or not kind[_ATTEMPTS] else 0,
        calls.withheld,
        calls.cost,
        calls.cost if kind[_SETTLEMENT] is Settlement.ABSORBED else 0,
        *calls.usage,
        *calls.times,
    ]


def _of_attempts(attempts: _Attempts, settlement: Settlement) -> list[int]:
    absorbed = attempts.cost if settlement is Settlement.ABSORBED else 0
    counts = (0, attempts.many, 0, 0, attempts.unmetered, attempts.unpriced, 0)
    return [*counts, attempts.charged, 0, attempts.cost, absorbed, *attempts.usage, *NO_TIMES]


def _rollups(by_minute: dict[tuple[int, Facet], list[int]], names: dict[Facet, int], node: str) -> Iterator[Row]:
    finer = by_minute
    for grain, finer_grain in zip(GRAINS, (MINUTE, *GRAINS), strict=False):
        buckets: dict[tuple[int, Facet], list[int]] = {}
        for (bucket, facet), values in finer.items():
            _merge(buckets, (bucket * finer_grain // grain, facet), values)
        for (bucket, facet), values in buckets.items():
            yield (grain, bucket, names[facet], node, *values)
        finer = buckets


def _merge(into: dict[tuple[int, Facet], list[int]], place: tuple[int, Facet], values: list[int]) -> None:
    known = into.get(place)
    into[place] = values if known is None else list(map(add, known, values))


def _tokens(usage: Sequence[int]) -> tuple[int, int]:
    """Input and output tokens."""
    counts = Usage(*usage)
    return counts.input_tokens, counts.output_tokens


def _spread(into: dict[tuple[str, str, int], list[Any]], kind: Sequence[Any], hour: int, values: Sequence[Any]) -> None:
    """Adds to everybody whose limits the calls count for."""
    scopes = (("key", kind[_KEY]), ("project", kind[_PROJECT]), ("user", kind[_USER]), ("model", kind[_MODEL]))
    for scope, subject in scopes:
        if subject:
            _accrue(into, (scope, subject, hour), values)


def _accrue(into: dict[tuple[str, str, int], list[Any]], place: tuple[str, str, int], values: Sequence[Any]) -> None:
    known = into.get(place)
    into[place] = [*values] if known is None else [*map(add, known[:-1], values[:-1]), max(known[-1], values[-1])]


def _payer(settlement: Settlement) -> str:
    return ABSORBED if settlement is Settlement.ABSORBED else COST


def _post(into: dict[str, list[int]], debit: str, credit: str, amount: int) -> None:
    if amount:
        into.setdefault(debit, [0, 0])[0] += amount
        into.setdefault(credit, [0, 0])[1] += amount


def _check(sums: Iterable[int]) -> None:
    if max(sums) >= _SUM_MAX or min(sums) <= -_SUM_MAX:
        raise OverflowError("a sum is beyond reason")


def facet_rows(found: Iterable[Facet]) -> list[Row]:
    """The rows of `facets`."""
    return [(digest_of(facet), *facet) for facet in found]
