"""What records come to in the tables: pure, so that the ledger is left with transactions.

Every exchange of the gateway passes through `Batch.take`, so it is written for speed: a record is taken apart
once, and the values of the rows go into one flat list, as a statement that writes many rows wants them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import asdict, astuple, replace

from tokenway.metering.ledger import Expired, Line, Record, Reserved, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.calls import Calls, times_of
from tokenway.store.schema import EXPIRED_ATTEMPT, INLINE_BUCKETS, KIND_FIELDS
from tokenway.store.sums import MINUTE, PAYABLE, Sums, digest_of
from tokenway.store.writing import Row

_INTEGER_MAX: Final = 2**63 - 1
_NUMBER_MAX: Final = 2**43
"""Nearly nine thousand dollars in nano-dollars, or as many tokens: no call comes to more, and sums have room."""
_NO_BUCKETS: Final = (None,) * len(BUCKETS)
_NO_TRACE: Final = (None, None, None)
_NO_FIGURES: Final = (None,) * len(INLINE_BUCKETS)

Kind = tuple[Any, ...]
"""The values of `schema.KIND_FIELDS`, in their order."""


class Batch:
    """The rows of some records, as if all of them were new; `numbers` has the kinds that are known."""

    def __init__(self, numbers: dict[Kind, int]) -> None:
        self.exchanges: list[Any] = []
        """The values of all rows, one row after the other."""
        self.attempts: list[Any] = []
        """The same."""
        self.kinds: dict[Kind, int] = {}
        """Those that were not known, with their numbers."""
        self.opened: dict[str, Reserved] = {}
        """Reservations that the batch leaves open: one that is settled in it needs no row."""
        self.closed: list[str] = []
        """Reservations that have a row and are settled."""
        self.settled: list[Settled] = []
        self.sums = Sums()
        self.unreserved = 0
        self._numbers = numbers

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
        self.settled += settled
        self._settle(settled)

    def expire(self, record: Reserved) -> None:
        """Adds a reservation that is given up."""
        kind = _expired_kind(record)
        exchange, entry = _expired_rows(record, self._numbers.get(kind) or self._learn(kind))
        self.exchanges += exchange
        self.attempts += entry
        self.sums.expire(record)

    def _learn(self, kind: Kind) -> int:
        """The number of a kind that is not known."""
        number = self.kinds.get(kind)
        if number is None:
            number = self.kinds[kind] = digest_of(kind)
        return number

    def _settle(self, records: Iterable[Settled]) -> None:
        """The rows of exchanges. This is the hot function of the control process."""
        number_of, extend, sums = self._numbers.get, self.exchanges.extend, self.sums
        kinds: dict[int, Calls] = {}
        minute = 0
        begins = ends = 0.0
        for record in records:
            lines, stamps = record.lines, record.stamps
            attempt: int | None = None
            cost: int | None = None
            if len(lines) == 1 and (figures := _inline_figures(lines[0], record)) is not None:
                attempt, cost = lines[0].attempt, lines[0].cost
                tokens = figures[2] + figures[3] if record.settlement in PAYABLE else 0
            else:
                figures, tokens = _NO_FIGURES, _answer_tokens(record)
            kind = _kind(record, attempt)
            number = number_of(kind) or self._learn(kind)
            at, charged, withheld = record.admitted or record.at, record.charged, record.withheld
            first, speed = ttft(stamps), output_speed(stamps, tokens)
            duration = stamps.end - stamps.received if stamps.end else None
            trace = record.trace
            extend(
                (
                    record.id,
                    at,
                    number,
                    record.run or None,
                    charged,
                    cost,
                    first,
                    duration,
                    speed,
                    record.overhead,
                    *figures,
                    withheld or None,
                    *(_NO_TRACE if trace is None else (trace.agent, trace.turn, trace.request_class)),
                )
            )
            if not begins <= at < ends:
                minute = int(at // MINUTE)
                begins, ends = minute * MINUTE, (minute + 1) * MINUTE
                kinds = sums.minutes.setdefault(minute, {})
            calls = kinds.get(number)
            if calls is None:
                calls = kinds[number] = Calls(kind)
            times = times_of(first, duration, speed, tokens)
            calls.add(at, charged, withheld, times)
            if attempt is None:
                self._settle_apart(record, minute, number, kind)
            else:
                calls.add_attempt(cost, figures)
            if record.run:
                sums.run(record, times, duration)
            if record.draws:
                sums.draw(record)

    def _settle_apart(self, record: Settled, minute: int, number: int, kind: Kind) -> None:
        """A row for each attempt. What the key pays stands with the attempt that answered, else with the last."""
        payer = _answer(record) or (record.lines[-1] if record.lines else None)
        for line in record.lines:
            usage, charged = line.usage, record.charged if line is payer else 0
            self.sums.attempt(line, charged, minute, number, kind)
            self.attempts += (
                record.id,
                line.attempt,
                line.endpoint,
                line.settlement.value,
                charged,
                line.cost,
                line.status,
                line.fault,
                1 if line.absurd else 0,
                *(_NO_BUCKETS if usage is None else astuple(usage)),
                line.service,
            )


def _kind(record: Settled, attempt: int | None) -> Kind:
    """The kind of an exchange, whose only attempt stands in its row when `attempt` is its number."""
    return (
        record.key,
        record.project,
        record.model,
        record.endpoint,
        record.operation,
        record.dialect,
        record.stream,
        record.settlement,
        record.status,
        len(record.lines),
        record.slow,
        record.finish_reason,
        record.error_type,
        attempt,
        record.user,
    )


def kind_row(kind: Kind, number: int) -> Row:
    """The row of a kind."""
    values = dict(zip(KIND_FIELDS, kind, strict=True))
    values.update(stream=int(values["stream"]), slow=int(values["slow"]), settlement=values["settlement"].value)
    return (number, *values.values())


def _expired_kind(record: Reserved) -> Kind:
    """The kind of an exchange that was given up."""
    return (record.key, record.project, "", "", "", "", False, Settlement.EXPIRED, 0, 0, False, "", "", None, "")


def _expired_rows(record: Reserved, number: int) -> tuple[Row, Row]:
    """The exchange of that kind, and the entry that says that its reservation expired."""
    exchange = (record.id, record.at, number, None, 0, None, None, None, None, 0.0, *_NO_FIGURES, None, *_NO_TRACE)
    entry = (record.id, EXPIRED_ATTEMPT, "", Settlement.EXPIRED.value, 0, None, 0, "", 0, *_NO_BUCKETS, "")
    return exchange, entry


def bounded(record: Record) -> Record:
    """The record with every number cut to what a column holds, and texts without the character that PostgreSQL's lack.

    What is beyond reason is absurd and costs nothing.
    """
    if isinstance(record, Reserved):
        return replace(record, amount=_cut(record.amount))
    if isinstance(record, Expired):
        return record
    lines = []
    for line in record.lines:
        usage = line.usage and Usage(*map(_cut, astuple(line.usage)))
        is_beyond = any(abs(value) > _NUMBER_MAX for value in (*astuple(line.usage or Usage()), line.cost or 0))
        lines.append(replace(line, usage=usage, cost=None, absurd=True) if is_beyond else line)
    draws = tuple(replace(draw, amount=min(draw.amount, _NUMBER_MAX)) for draw in record.draws)
    charged, withheld = min(record.charged, _NUMBER_MAX), min(record.withheld, _NUMBER_MAX)
    changes = {"charged": charged, "withheld": withheld, "lines": tuple(lines), "draws": draws}
    return _clean(replace(record, **changes))


def _clean(record: Settled) -> Settled:
    """The record without zero bytes in its texts, those of its trace included."""
    texts = {
        name: value.replace("\0", "")
        for name in record.__struct_fields__
        if type(value := getattr(record, name)) is str
    }
    trace = record.trace and replace(
        record.trace,
        **{name: value.replace("\0", "") for name, value in asdict(record.trace).items() if isinstance(value, str)},
    )
    return replace(record, **texts, trace=trace)


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
        if line.settlement in PAYABLE:
            return line
    return None


def _answer_tokens(record: Settled) -> int:
    line = _answer(record)
    return line.usage.output_tokens if line is not None and line.usage is not None and not line.absurd else 0
