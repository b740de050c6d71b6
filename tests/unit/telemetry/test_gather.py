"""What exchanges have in common is looked up once, and nothing of any of them is lost."""

from __future__ import annotations

import pytest

from tests.records import line, settled
from tokenway.metering.ledger import Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.usage import Usage
from tokenway.telemetry.gather import gather


def test_exchanges_are_put_together_by_their_labels() -> None:
    """The same model, endpoint, dialect, status and settlement are one group; keys and runs do not matter."""
    records = [
        settled(1),
        settled(2, model="other"),
        settled(3, key="key_b", run="r"),
        settled(4, endpoint="b/m"),
        settled(5, dialect="anthropic"),
        settled(6, status=206),
        settled(7, settlement=Settlement.UPSTREAM_BILLED),
        settled(8, slow=True),
    ]
    groups = gather(iter(records))

    assert {group.labels: group.requests for group in groups} == {
        ("mock", "lab/mock", "openai_chat", 200, Settlement.DELIVERED): 3,
        ("other", "lab/mock", "openai_chat", 200, Settlement.DELIVERED): 1,
        ("mock", "b/m", "openai_chat", 200, Settlement.DELIVERED): 1,
        ("mock", "lab/mock", "anthropic", 200, Settlement.DELIVERED): 1,
        ("mock", "lab/mock", "openai_chat", 206, Settlement.DELIVERED): 1,
        ("mock", "lab/mock", "openai_chat", 200, Settlement.UPSTREAM_BILLED): 1,
    }
    assert groups[0].slow == 1
    assert gather([]) == []


def test_streams_are_measured_once() -> None:
    """The TTFT and the speed of each; what did not stream or was not counted has none."""
    whole = settled(2, stamps=Stamps(received=1.0, end=2.0))
    unmetered = settled(3, lines=(line(usage=None, cost=None),))
    absurd = settled(4, lines=(line(absurd=True, usage=Usage(output_text=10**12), cost=None),))
    (group,) = gather([settled(1), whole, unmetered, absurd])

    assert [first for first, _ in group.streams] == [0.25, 0.25, 0.25]
    assert [speed for _, speed in group.streams] == [pytest.approx(60.0), None, None]


def test_pauses_stand_with_the_time_they_are_of() -> None:
    """Only streams with counted pauses add to the time."""
    (group,) = gather([settled(1), settled(2, gaps=(0, 3)), settled(3, gaps=(1,))])

    assert group.gaps == [(0, 3), (1,)]
    assert group.gap_seconds == pytest.approx(2.0)


def test_an_attempt_that_did_not_end_as_its_exchange_stands_apart() -> None:
    """So does every attempt of an exchange that had several; speed is of the one that answered."""
    failed = line(attempt=1, settlement=Settlement.ABSORBED, usage=Usage(5))
    answered = line(attempt=2)
    late = line(attempt=3, endpoint="slow/mock", usage=Usage(output_text=9_000))
    (group,) = gather([settled(1), settled(2, lines=(failed, answered, late)), settled(3, lines=(failed,))])

    assert group.lines == [line()]
    assert group.apart == [failed, answered, late, failed]
    assert [speed for _, speed in group.streams] == [pytest.approx(60.0), pytest.approx(60.0), None]


def test_an_overhead_that_was_not_measured_is_not_zero() -> None:
    """An exchange that came to no attempt has no time before it."""
    (group,) = gather([settled(1), settled(2, overhead=0.0)])

    assert group.overheads == [0.0004]
