"""What may happen to a ledger, as hypothesis draws it: records in any order, twice or late, and crashes."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from tests.records import line, reserved, settled
from tokenway.metering.ledger import Line, Record, Reserved, Settled, Settlement, Trace
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.schema import INLINE_BUCKETS

MONTH_END = 1_769_903_999.0
"""Saturday, 31 January 2026, 23:59:59 UTC."""
OWNERS = ("one", "two")


class Batch(NamedTuple):
    """Records that one transaction takes; with `crashes` it first fails after so many tables."""

    owner: str
    records: tuple[Record, ...]
    crashes: int | None


class Expiry(NamedTuple):
    """A worker is gone for good, or so it seems."""

    owner: str


class Restart(NamedTuple):
    """The control process starts anew and remembers nothing."""


Play = list[Batch | Expiry | Restart]

_moments = st.integers(-4_000, 4_000).map(lambda seconds: MONTH_END + seconds / 2)
_counts = st.integers(0, 2_000)
_inline = st.fixed_dictionaries(dict.fromkeys(INLINE_BUCKETS, _counts))
_any = st.dictionaries(st.sampled_from(BUCKETS), _counts)
_usages = st.none() | (_inline | _any).map(lambda counts: Usage(**counts))
_endpoints = st.sampled_from(("lab/mock", "lab/other", "far/mock"))


@st.composite
def _lines(draw: st.DrawFn, ending: Settlement) -> tuple[Line, ...]:
    lines = []
    for attempt in range(1, draw(st.integers(0, 3)) + 1):
        usage = draw(_usages)
        cost = None if usage is None else draw(st.none() | st.integers(0, 10_000))
        settlement = draw(st.sampled_from((ending, Settlement.ABSORBED, Settlement.RELEASED)))
        absurd = draw(st.booleans()) and draw(st.booleans())
        status = draw(st.sampled_from((200, 500)))
        is_absurd = absurd and usage is not None
        made = line(attempt=attempt, endpoint=draw(_endpoints), settlement=settlement, usage=usage, status=status)
        lines.append(replace(made, cost=None if is_absurd else cost, absurd=is_absurd))
    return tuple(lines)


@st.composite
def _stamps(draw: st.DrawFn) -> Stamps:
    received = draw(st.integers(1, 1_000)) / 7
    end = received + draw(st.integers(0, 90_000)) / 1_000
    if draw(st.booleans()):
        return Stamps(received=received, end=end if draw(st.booleans()) else 0.0)
    first = received + draw(st.integers(1, 30_000)) / 999
    return Stamps(received=received, first_delta=first, last_delta=first + draw(st.integers(0, 9_000)) / 997, end=end)


@st.composite
def exchanges(draw: st.DrawFn, number: int) -> tuple[Reserved, Settled]:
    """The records of one exchange."""
    admitted = draw(_moments)
    project, key = draw(st.sampled_from((("default", "key_a"), ("default", "key_b"), ("other", "key_c"))))
    ending = draw(st.sampled_from((Settlement.DELIVERED, Settlement.UPSTREAM_BILLED, Settlement.ABSORBED)))
    agents = (
        None,
        None,
        Trace(),
        Trace("a"),
        Trace("b", "a", "Explore", "", "subagent"),
        Trace("a", "", "", "t", "main"),
    )
    record = settled(
        number,
        at=admitted + draw(st.integers(0, 4_000)),
        # A clock that steps back may settle before it admits; old journals have no such moment.
        admitted=draw(st.sampled_from((admitted, admitted, admitted + 3_000, 0.0))),
        key=key,
        project=project,
        user=draw(st.sampled_from(("", "usr_a"))),
        model=draw(st.sampled_from(("mock", "big"))),
        endpoint=draw(_endpoints),
        settlement=ending,
        charged=draw(st.integers(0, 50_000)),
        withheld=draw(st.sampled_from((0, 0, 777))),
        status=draw(st.sampled_from((200, 200, 499, 500))),
        error_type=draw(st.sampled_from(("", "", "upstream"))),
        finish_reason=draw(st.sampled_from(("stop", "tool_calls"))),
        slow=draw(st.booleans()),
        lines=draw(_lines(ending)),
        stamps=draw(_stamps()),
        run=draw(st.sampled_from(("", "run-1", "run-1", "run-2"))),
        trace=draw(st.sampled_from(agents)),
    )
    return reserved(number, at=admitted, key=key, project=project), record


STORIES = ("RS", "RS", "RxS", "RxSS", "Rx", "R", "S", "RRSS", "SR", "RSxS", "RxRS", "SS")
"""What happens to an exchange: its reservation, its settlement, the end of its worker; some of it twice or too late."""


@st.composite
def plays(draw: st.DrawFn) -> Play:
    """The stories of some exchanges, one step of each after the other's, cut into batches."""
    known = [draw(exchanges(number)) for number in range(draw(st.integers(1, 5)))]
    stories = [list(draw(st.sampled_from(STORIES))) for _ in known]
    order = draw(st.permutations([place for place, story in enumerate(stories) for _ in story]))
    play: Play = []
    waiting: list[Record] = []
    writing = OWNERS[0]

    def write() -> None:
        if waiting:
            play.append(Batch(writing, tuple(waiting), draw(st.sampled_from((None, None, None, 0, 2, 4, 6)))))
            waiting.clear()

    for place in order:
        owner, word = OWNERS[place % 2], stories[place].pop(0)
        if owner != writing or word == "x" or draw(st.integers(0, 3)) == 0:
            write()
            writing = owner
        if word == "x":
            play.append(Expiry(owner))
        else:
            waiting.append(known[place]["RS".index(word)])
        if draw(st.integers(0, 9)) == 0:
            write()
            play.append(Restart())
    write()
    return play


def outcome(play: Play) -> list[Settled | Reserved]:
    """What the ledger must have after it: each exchange that was settled, and each reservation that expired."""
    opened: dict[str, tuple[str, Reserved]] = {}
    over: dict[str, Settled | Reserved] = {}
    for step in play:
        if isinstance(step, Expiry):
            for identity in [identity for identity, (owner, _) in opened.items() if owner == step.owner]:
                over[identity] = opened.pop(identity)[1]
        elif isinstance(step, Batch):
            for record in step.records:
                if isinstance(record, Settled):
                    opened.pop(record.id, None)
                    if not isinstance(over.get(record.id), Settled):
                        over[record.id] = record
                elif isinstance(record, Reserved) and record.id not in over:
                    opened.setdefault(record.id, (step.owner, record))
    return list(over.values())
