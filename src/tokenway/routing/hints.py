"""What an answer's header fields say of retries and of what is left of the provider's limits.

`read_hints` looks at each field's name once. Names are lower-case bytes, and all of them stand in one table:

| names | who sends them | `reset` is |
|---|---|---|
| `x-ratelimit-*-{requests,tokens}` | OpenAI, Azure, Groq, xAI, others | `6m0s`, or a number |
| `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*` | Anthropic | RFC 3339 |
| `x-ratelimit-*-{requests,tokens}-{minute,hour,day}` | Cerebras | seconds |
| `x-ratelimit-*-req-minute`, `ratelimitbysize-*`, `x-ratelimitbysize-*-minute` | Mistral | seconds, or none |
| `x-ratelimit-*-tokens-{prompt,generated}` | Fireworks | none |
| `x-ratelimit-*` | Together; OpenRouter | seconds; Unix milliseconds |
| `ratelimit-*`, `ratelimit`, `ratelimit-policy` | IETF drafts to 6, 7, 8 to 10 | seconds |
| `retry-after`, `retry-after-ms`, `x-should-retry` | all; Azure; OpenAI and Anthropic | |

with `limit`, `remaining` and `reset` for each asterisk.

A number is told apart by its size: below 10^8 (three years) it is seconds from now on, below 10^11 Unix seconds, and
above Unix milliseconds. A limit of 0 or less is not told, and then neither is what is left of it: Azure sends -1 and
0 with its Responses calls. Mistral's `x-ratelimit-limit-req-minute: 0`, for a model outside the plan, is left to its
429. Anthropic's `-unified-` fields belong to subscriptions and are not read.

Buckets of OpenAI, Groq, Anthropic and Cerebras fill continuously, and `reset` is when they are full again; the drafts
and the plain `x-ratelimit-reset` speak of a window that ends. `Quota.refills` says which.

Sources: OpenAI, Azure OpenAI, Groq, Anthropic, Cerebras and Together, "Rate limits"; OpenRouter, "Limits"; Mistral's
and Fireworks' fields as public clients of theirs read them; draft-ietf-httpapi-ratelimit-headers-06, -07 and -10;
RFC 9110 §10.2.3; what the SDKs of OpenAI and Anthropic obey; learn.microsoft.com question 5625878 for Azure's -1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import IntEnum
from typing import Final

import msgspec

from tokenway.model.units import seconds_of

WAIT_MAX: Final = 1e6
"""The longest pause in seconds (11 days) that is believed; beyond it none was told."""
_COUNT_MAX: Final = 1e15


class Unit(IntEnum):
    """What a limit counts."""

    REQUESTS = 0
    TOKENS = 1
    """Of input, or of input and output together."""
    OUTPUT = 2
    """Tokens of output alone: how many a call will take is not known when it is sent."""


class Limit(IntEnum):
    """One limit of a provider; several of a unit can hold at once."""

    REQUESTS = 0
    TOKENS = 1
    INPUT = 2
    OUTPUT = 3
    REQUESTS_MINUTE = 4
    REQUESTS_HOUR = 5
    REQUESTS_DAY = 6
    TOKENS_MINUTE = 7
    TOKENS_HOUR = 8
    TOKENS_DAY = 9
    WINDOW = 10
    """The drafts' and the plain `x-ratelimit-…`: requests until a window ends."""


UNITS: Final[dict[Limit, Unit]] = {
    Limit.REQUESTS: Unit.REQUESTS,
    Limit.TOKENS: Unit.TOKENS,
    Limit.INPUT: Unit.TOKENS,
    Limit.OUTPUT: Unit.OUTPUT,
    Limit.REQUESTS_MINUTE: Unit.REQUESTS,
    Limit.REQUESTS_HOUR: Unit.REQUESTS,
    Limit.REQUESTS_DAY: Unit.REQUESTS,
    Limit.TOKENS_MINUTE: Unit.TOKENS,
    Limit.TOKENS_HOUR: Unit.TOKENS,
    Limit.TOKENS_DAY: Unit.TOKENS,
    Limit.WINDOW: Unit.REQUESTS,
}


class Quota(msgspec.Struct, frozen=True, gc=False):
    """What is left of one limit. `reset` is in seconds from the answer on."""

    limit: Limit
    remaining: float
    most: float | None = None
    """The limit itself, above 0; None where it is not told."""
    reset: float | None = None
    """When it is whole again; None where it is not told."""

    @property
    def refills(self) -> bool:
        """Whether it fills continuously, not all at once at its reset."""
        return self.limit is not Limit.WINDOW


class Hints(msgspec.Struct, frozen=True, gc=False):
    """What one answer's header fields say. Times are seconds from the answer on, never negative nor infinite."""

    retry_after: float | None = None
    should_retry: bool | None = None
    quotas: tuple[Quota, ...] = ()


NONE: Final = Hints()
"""Nothing was told."""


_MOST, _REMAINING, _RESET = range(3)
_LIMITS: Final = tuple(Limit)
_WORDS: Final = (b"retry-after", b"retry-after-ms", b"x-should-retry", b"ratelimit", b"ratelimit-policy", b"date")
_RETRY_AFTER, _RETRY_AFTER_MS, _SHOULD_RETRY, _RATELIMIT, _POLICY, _DATE = range(
    3 * len(_LIMITS), 3 * len(_LIMITS) + len(_WORDS)
)


def _slots() -> dict[bytes, int]:
    """Every name, and the slot that its value goes into: three for each limit, then the words."""
    found = {name: 3 * len(_LIMITS) + place for place, name in enumerate(_WORDS)}
    plain = {
        b"requests": Limit.REQUESTS,
        b"tokens": Limit.TOKENS,
        b"tokens-prompt": Limit.INPUT,
        b"tokens-generated": Limit.OUTPUT,
        b"req-minute": Limit.REQUESTS_MINUTE,
        b"requests-minute": Limit.REQUESTS_MINUTE,
        b"requests-hour": Limit.REQUESTS_HOUR,
        b"requests-day": Limit.REQUESTS_DAY,
        b"tokens-minute": Limit.TOKENS_MINUTE,
        b"tokens-hour": Limit.TOKENS_HOUR,
        b"tokens-day": Limit.TOKENS_DAY,
    }
    anthropic = {
        b"requests": Limit.REQUESTS,
        b"tokens": Limit.TOKENS,
        b"input-tokens": Limit.INPUT,
        b"output-tokens": Limit.OUTPUT,
    }
    for word, part in ((b"limit", _MOST), (b"remaining", _REMAINING), (b"reset", _RESET)):
        for name, limit in plain.items():
            found[b"x-ratelimit-%b-%b" % (word, name)] = 3 * limit + part
        for name, limit in anthropic.items():
            found[b"anthropic-ratelimit-%b-%b" % (name, word)] = 3 * limit + part
        found[b"ratelimitbysize-%b" % word] = 3 * Limit.TOKENS_MINUTE + part
        found[b"x-ratelimitbysize-%b-minute" % word] = 3 * Limit.TOKENS_MINUTE + part
        found[b"x-ratelimit-%b" % word] = 3 * Limit.WINDOW + part
        found[b"ratelimit-%b" % word] = 3 * Limit.WINDOW + part
    return found


_SLOTS: Final = _slots()
_EMPTY: Final[list[bytes | None]] = [None] * (3 * len(_LIMITS) + len(_WORDS))
NAMES: Final = frozenset(_SLOTS) - {b"date"}
"""Every name that tells something: with none of them among an answer's, `read_hints` need not be asked."""

_ADVICE: Final = {b"true": True, b"false": False}
_ITEM: Final = re.compile(rb'\s*"?([^";,]*)"?\s*;?([^,]*)')
_PARAMETER: Final = re.compile(rb"(?:^|[;,\s])(r|t|q|w|limit|remaining|reset)\s*=\s*(\d{1,15})(?![^;,\s])")


def read_hints(pairs: Iterable[tuple[bytes, bytes]], unix_now: float) -> Hints:
    """What the (name, value) pairs of an answer say; names are lower-case, and of a repeated one the first counts.

    `unix_now` is when the answer came, in Unix seconds. Nonsense counts as not told; nothing is raised.
    """
    values: list[bytes | None] | None = None
    for name, value in pairs:
        slot = _SLOTS.get(name)
        if slot is not None:
            if values is None:
                values = _EMPTY.copy()
            if values[slot] is None:
                values[slot] = value
    if values is None:
        return NONE
    quotas: list[Quota] = []
    for limit in range(len(_LIMITS)):
        remaining = values[3 * limit + _REMAINING]
        if remaining is not None:
            most, reset = values[3 * limit + _MOST], values[3 * limit + _RESET]
            quota = _quota(_LIMITS[limit], most, remaining, reset, unix_now)
            if quota is not None:
                quotas.append(quota)
    drafted = values[_RATELIMIT]
    if drafted is not None and values[3 * Limit.WINDOW + _REMAINING] is None:
        quotas += _drafted(drafted, values[_POLICY] or b"")
    advice = values[_SHOULD_RETRY]
    should_retry = None if advice is None else _ADVICE.get(advice.strip().lower())
    return Hints(_retry_after(values, unix_now), should_retry, tuple(quotas))


def _quota(limit: Limit, most: bytes | None, remaining: bytes, reset: bytes | None, unix_now: float) -> Quota | None:
    """One limit's three values; None where they tell nothing."""
    left = _number(remaining)
    whole = None if most is None else _number(most)
    if left is None or left < 0.0 or (most is not None and (whole is None or whole <= 0.0)):
        return None
    after = None if reset is None else _reset(reset, unix_now)
    if whole is None and not after:
        return None
    return Quota(limit, left, whole, after)


def _number(value: bytes) -> float | None:
    """A count; of a list, its first (`100, 100;w=60` in the early drafts)."""
    try:
        number = float(value)
    except ValueError:
        try:
            number = float(re.split(rb"[,;]", value, maxsplit=1)[0])
        except ValueError:
            return None
    return number if -_COUNT_MAX < number < _COUNT_MAX else None


def _reset(value: bytes, unix_now: float) -> float | None:
    """Seconds until a reset: from a number, a duration with units, or a time in RFC 3339."""
    value = value.strip()
    if not value[-1:].isdigit() or value[10:11] == b"T":
        text = value.decode("latin-1")
        seconds = seconds_of(text)
        if seconds is None:
            seconds = _until(text, unix_now)
        return seconds if seconds is not None and seconds < WAIT_MAX else None
    try:
        number = float(value)
    except ValueError:
        return None
    if number >= 1e11:
        number = number / 1000.0 - unix_now
    elif number >= 1e8:
        number -= unix_now
    elif number < 0.0:
        return None
    return max(0.0, number) if number < WAIT_MAX else None


def _until(text: str, unix_now: float) -> float | None:
    """Seconds until a time in RFC 3339; one without a zone is UTC."""
    try:
        time = datetime.fromisoformat(text)
        seconds = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() - unix_now
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds)


def _retry_after(values: list[bytes | None], unix_now: float) -> float | None:
    """Seconds from `retry-after-ms`, else `retry-after`: a number, or a date as the answer's own clock counts."""
    for slot, unit in ((_RETRY_AFTER_MS, 0.001), (_RETRY_AFTER, 1.0)):
        value = values[slot]
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            until = _date(value) if slot == _RETRY_AFTER else None
            if until is None:
                continue
            since = _date(values[_DATE] or b"")
            seconds = max(0.0, until - (unix_now if since is None else since))
        if 0.0 <= seconds < WAIT_MAX:
            return seconds
    return None


def _date(value: bytes) -> float | None:
    """A date of HTTP in any of its three forms (RFC 9110 §5.6.7), in Unix seconds."""
    try:
        time = parsedate_to_datetime(value.decode("latin-1"))
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _drafted(value: bytes, policy: bytes) -> list[Quota]:
    """The most restrictive item of `ratelimit`: `"a";r=50;t=30`, or in draft 7 `limit=100, remaining=50, reset=5`."""
    if b"remaining" in value:
        found = dict(_PARAMETER.findall(value))
        items = [(found.get(b"remaining"), found.get(b"limit"), found.get(b"reset"))]
    else:
        most = {name: dict(_PARAMETER.findall(rest)).get(b"q") for name, rest in _ITEM.findall(policy) if name}
        items = []
        for name, rest in _ITEM.findall(value):
            found = dict(_PARAMETER.findall(rest))
            items.append((found.get(b"r"), most.get(name), found.get(b"t")))
    quotas = [
        quota
        for left, whole, reset in items
        if left is not None and (quota := _quota(Limit.WINDOW, whole, left, reset, 0.0)) is not None
    ]
    return sorted(quotas, key=lambda quota: quota.remaining)[:1]
