"""The requests of a simulated day."""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from benchmarks.routing.workload import CONTEXT, LONGEST, Request, requests

HOUR_S = 3600.0


def by_conversation(asked: list[Request]) -> dict[int, list[Request]]:
    """Each conversation's requests in their order."""
    found: dict[int, list[Request]] = {}
    for request in asked:
        found.setdefault(request.ask.conversation, []).append(request)
    return found


def test_a_seed_is_a_day() -> None:
    """The same seed gives the same requests, another one others."""
    assert requests(1, 500, HOUR_S) == requests(1, 500, HOUR_S)
    assert requests(1, 500, HOUR_S) != requests(2, 500, HOUR_S)


def test_requests_come_in_order_and_within_the_time() -> None:
    """As many as asked for, numbered by time, within the bounds of a context and an answer."""
    asked = requests(3, 2000, HOUR_S)
    assert [request.ask.number for request in asked] == list(range(2000))
    assert all(a.ask.at <= b.ask.at for a, b in pairwise(asked))
    assert all(0 <= request.ask.at < HOUR_S for request in asked)
    assert all(1 <= request.ask.prompt <= CONTEXT and 1 <= request.answer <= LONGEST for request in asked)


def test_a_conversation_grows_by_its_answers() -> None:
    """Each turn's prompt holds the prompt and the answer before it, and something new."""
    conversations = by_conversation(requests(4, 5000, 24 * HOUR_S)).values()
    pairs = [pair for turns in conversations for pair in pairwise(turns)]
    assert len(pairs) > 1000
    assert all(after.ask.prompt > before.ask.prompt + before.answer for before, after in pairs)


def test_lengths_are_those_of_the_traces() -> None:
    """Single requests have prompts and answers as in the Azure traces: about 1,000 and 1,500, 129 and 13 tokens."""
    single = [turns[0] for turns in by_conversation(requests(5, 40_000, 24 * HOUR_S)).values() if len(turns) == 1]
    assert 900 < median(request.ask.prompt for request in single) < 1600
    assert 13 < median(request.answer for request in single) < 129


def test_requests_come_in_bursts() -> None:
    """Counts by the minute vary more than a Poisson process would have it, whose variance is its mean."""
    counts = [0] * 1440
    for request in requests(6, 50_000, 24 * HOUR_S):
        counts[int(request.ask.at // 60)] += 1
    mean = sum(counts) / len(counts)
    assert sum((count - mean) ** 2 for count in counts) / len(counts) > 3 * mean
