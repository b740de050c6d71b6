"""What records come to in the tables: pure, so that the ledger is left with transactions.

Every exchange of the gateway passes through `Batch.take`, so it is written for speed: a record is taken apart
once, and the values of the rows go into one flat list, as a statement that writes many rows wants them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec.structs import astuple, replace

from tokenway.metering.ledger import Expired, Line, Record, Reserved, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.schema import EXPIRED_ATTEMPT, INLINE_BUCKETS

SECONDS_PER_DAY: Final = 86_400
_PAYABLE: Final = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)
_INTEGER_MAX: Final = 2**63 - 1
_NO_BUCKETS: Final = (None,) * len(BUCKETS)
_NO_TRACE: Final = (None, None, None)
_NO_FIGURES: Final = (None,) * len(INLINE_BUCKETS)

Row = tuple[Any, ...]
Kind = tuple[Any, ...]
"""The values of `schema.KIND_FIELDS`, in their order."""


class Batch:
    """The rows of some records, as if all of them were new.

    `numbers` has the numbers of kinds that are known, and `learn` gives the number of another one.
    """

    def __init__(self, numbers: dict[Kind, int], learn: Callable[[Kind], int]) -> None:
        self.exchanges: list[Any] = []
        """The values of all rows, one row after the other."""
        self.attempts: list[Row] = []
        self.opened: dict[str, Reserved] = {}
        """Reservations that the batch leaves open: one that is settled in it needs no row."""
        self.closed: list[str] = []
        """Reservations that have a row and are settled."""
        self.settled: list[Settled] = []
        self.unreserved = 0
        self._numbers = numbers
        self._learn = learn
        self._days: dict[int, dict[str, list[Any]]] = {}

    def take(self, records: Iterable[Record], known: set[str]) -> None:
        """Adds the records; `known` are the open reservations that have a row."""
        opened = self.opened
        settled: list[Settled] = []
        for record in records:
            if type(record) is Settled:
                is_opened_here = opened.pop(record.id, None) is not None
                if record.id in known:
                    # Also when it is opened here: after a replay a reservation can have a row and come again.
                    self.closed.append(record.id)
                elif not is_opened_here:
                    # Its reservation may have been damaged in the journal. The money is real all the same.
                    self.unreserved += 1
                settled.append(record)
            elif type(record) is Reserved:
                opened[record.id] = record
        self._add(settled)
        self.settled += settled

    def spend(self) -> list[Row]:
        """Key, day, how many exchanges, what was charged for them, and when the last one ended."""
        return [(key, day, *sums) for day, keys in self._days.items() for key, sums in keys.items()]

    def _add(self, records: Iterable[Settled]) -> None:
        """The rows of exchanges. This is the hot function of the control process."""
        number_of, extend = self._numbers.get, self.exchanges.extend
        spent: dict[str, list[Any]] = {}
        day_start = day_end = 0.0
        for record in records:
            lines, stamps = record.lines, record.stamps
            attempt: int | None = None
            cost: int | None = None
            if len(lines) == 1 and (figures := _inline_figures(lines[0], record)) is not None:
                attempt, cost, tokens = lines[0].attempt, lines[0].cost, figures[2] + figures[3]
            else:
                figures, tokens = _NO_FIGURES, _answer_tokens(record)
                self.attempts.extend(_attempt_rows(record))
            key, at, charged = record.key, record.admitted or record.at, record.charged
            kind = (
                key,
                record.project,
                record.model,
                record.endpoint,
                record.operation,
                record.dialect,
                record.stream,
                record.settlement,
                record.status,
                len(lines),
                record.slow,
                record.finish_reason,
                record.error_type,
                attempt,
                record.user,
            )
            trace = record.trace
            extend(
                (
                    record.id,
                    at,
                    number_of(kind) or self._learn(kind),
                    record.run or None,
                    charged,
                    cost,
                    ttft(stamps),
                    stamps.end - stamps.received if stamps.end else None,
                    output_speed(stamps, tokens),
                    record.overhead,
                    *figures,
                    record.withheld or None,
                    *(_NO_TRACE if trace is None else (trace.agent, trace.turn, trace.request_class)),
                )
            )
            if not day_start <= at < day_end:
                day = int(at // SECONDS_PER_DAY)
                day_start, day_end = day * SECONDS_PER_DAY, (day + 1) * SECONDS_PER_DAY
                spent = self._days.setdefault(day, {})
            sums = spent.get(key)
            if sums is None:
                spent[key] = [1, charged, at]
            else:
                sums[0] += 1
                sums[1] += charged
                if at > sums[2]:  # noqa: PLR1730 - a call of `max` costs as much as the three lines above
                    sums[2] = at


def expired_kind(record: Reserved) -> Kind:
    """The kind of an exchange that was given up."""
    return (record.key, record.project, "", "", "", "", False, Settlement.EXPIRED, 0, 0, False, "", "", None, "")


def expired_rows(record: Reserved, number: int) -> tuple[Row, Row]:
    """The exchange of that kind, and the entry that says that its reservation expired."""
    exchange = (record.id, record.at, number, None, 0, None, None, None, None, 0.0, *_NO_FIGURES, None, *_NO_TRACE)
    entry = (record.id, EXPIRED_ATTEMPT, "", Settlement.EXPIRED.value, 0, None, 0, "", 0, *_NO_BUCKETS, "")
    return exchange, entry


def bounded(record: Record) -> Record:
    """The record with every number cut to what a column holds; what had to be cut is absurd and costs nothing."""
    if isinstance(record, Reserved):
        return replace(record, amount=_cut(record.amount))
    if isinstance(record, Expired):
        return record
    lines = []
    for line in record.lines:
        usage = line.usage and Usage(*map(_cut, astuple(line.usage)))
        cost = line.cost if line.cost is None or line.cost == _cut(line.cost) else None
        is_cut = usage != line.usage or cost != line.cost
        lines.append(replace(line, usage=usage, cost=None, absurd=True) if is_cut else line)
    return replace(record, charged=_cut(record.charged), lines=tuple(lines))


def _cut(number: int) -> int:
    return max(-_INTEGER_MAX, min(_INTEGER_MAX, number))


def _inline_figures(line: Line, record: Settled) -> Row | None:
    """INLINE_BUCKETS when the exchange's own row says all there is to say about its only attempt, else None."""
    usage = line.usage
    if (
        usage is None
        or line.settlement is not record.settlement
        or line.status != record.status
        or line.endpoint != record.endpoint
        or line.fault
        or line.absurd
        or line.service
    ):
        return None
    if usage.cache_write_5m or usage.cache_write_1h or usage.searches:
        return None
    if usage.audio_in or usage.audio_out or usage.image_in or usage.image_out:
        return None
    if usage.images or usage.sound_ms or usage.characters:
        return None
    return (usage.input_uncached, usage.cache_read, usage.output_text, usage.reasoning, usage.requests)


def _answer(record: Settled) -> Line | None:
    """The attempt that the caller pays for: the one that answered."""
    for line in record.lines:
        if line.settlement in _PAYABLE:
            return line
    return None


def _answer_tokens(record: Settled) -> int:
    line = _answer(record)
    return line.usage.output_tokens if line is not None and line.usage is not None and not line.absurd else 0


def _attempt_rows(record: Settled) -> Iterable[Row]:
    """One row per line. What the key pays stands with the attempt that answered, else with the last."""
    payer = _answer(record) or (record.lines[-1] if record.lines else None)
    for line in record.lines:
        usage = line.usage
        yield (
            record.id,
            line.attempt,
            line.endpoint,
            line.settlement.value,
            record.charged if line is payer else 0,
            line.cost,
            line.status,
            line.fault,
            1 if line.absurd else 0,
            *(_NO_BUCKETS if usage is None else (getattr(usage, name) for name in BUCKETS)),
            line.service,
        )
