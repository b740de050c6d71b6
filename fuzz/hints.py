"""Whatever an answer's header fields hold, reading hints raises nothing and gives no negative or infinite number.

Two fields in place of one, and fields that tell nothing, change nothing.
"""

from __future__ import annotations

from random import Random

from tokenway.routing.hints import WAIT_MAX, Hints, read_hints

SEEDS = (
    b"x-ratelimit-limit-requests:5000\nx-ratelimit-remaining-requests:4999\nx-ratelimit-reset-requests:6m0s",
    b"anthropic-ratelimit-tokens-remaining:0\nanthropic-ratelimit-tokens-reset:2026-11-26T10:00:01Z",
    b"retry-after:Thu, 26 Nov 2026 10:01:00 GMT\ndate:Thu, 26 Nov 2026 10:00:00 GMT\nretry-after-ms:1500",
    b'ratelimit:"a";r=50;t=30, "b";r=3;t=60\nratelimit-policy:"a";q=100;w=60\nx-should-retry:true',
    b"ratelimit:limit=100, remaining=50, reset=5\nx-ratelimit-remaining:0\nx-ratelimit-reset:1795687260000",
)


def harness(data: bytes, chance: Random) -> None:
    """Each line is a field."""
    pairs = [(name, value) for name, _, value in (line.partition(b":") for line in data.split(b"\n"))]
    now = chance.choice((0.0, 1_795_687_200.0, 1e10))
    found = read_hints(pairs, now)
    assert_sound(found)
    more = [(b"content-type", b"application/json"), *pairs, *pairs]
    assert read_hints(more, now) == found


def assert_sound(found: Hints) -> None:
    """Every number is within its bounds."""
    for seconds in (found.retry_after, *(quota.reset for quota in found.quotas)):
        assert seconds is None or 0.0 <= seconds < WAIT_MAX
    for quota in found.quotas:
        assert 0.0 <= quota.remaining < 1e15
        assert quota.most is None or 0.0 < quota.most < 1e15
