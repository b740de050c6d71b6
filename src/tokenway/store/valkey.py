"""Rates that many machines share, in Valkey or Redis.

Every step is a script, which the server runs as one; its clock decides which minute it is. Each limit has one key:

    tokenway:rate:LIMIT    minute, and how much of it was lent; gone after two minutes
    tokenway:slots:LIMIT   by machine: how many slots its holders have, and until when that is believed
    tokenway:depth:RUN     agent to parent
    tokenway:loops:RUN     digest of a request to how often it was made

A machine says every few seconds which slots it has, so those of one that is dead come back by themselves, and those
that the server has forgotten are known again. Runs are forgotten when they were quiet for long. What is lent is
computed as in `metering.terms.chunk`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import valkey.asyncio
from valkey.exceptions import NoScriptError, ValkeyError

from tokenway.metering.terms import CHUNK_SHARE, CHUNKS_LEFT, MINUTE
from tokenway.model.limits import Measure
from tokenway.model.secret import Secret
from tokenway.store.base import StoreError
from tokenway.store.granting import Ask, Given, Lent, Unavailable
from tokenway.store.rates import RUN_ENTRIES_MAX, verdict, waiting

PREFIX: Final = "tokenway:"
ANSWER_SECONDS: Final = 0.25
"""How long the server has to answer, or to take a connection."""
WINDOW_MS: Final = 2 * MINUTE * 1000
SLOTS_MS: Final = 6_000
"""How long a machine's slots are believed after it has last said that it has them."""
RUN_MS: Final = 6 * 3_600_000
"""How long a run may be quiet before its agents and requests are forgotten."""
_LARGEST: Final = 2**53 - 1
"""Scripts count in floating point, which is exact up to here."""

_CHUNK: Final = f"""
local function chunk(amount, remaining, least, holders)
  local share = math.floor(math.min(remaining / ({CHUNKS_LEFT} * holders), amount / ({CHUNK_SHARE} * holders)))
  return math.max(0, math.min(remaining, math.max(least, share)))
end
"""


class Script(msgspec.Struct, frozen=True):
    """A script's text, and the name under which the server keeps it."""

    text: str
    digest: str


def script(text: str) -> Script:
    """A script as the server names it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


WINDOW: Final = script(
    _CHUNK
    + f"""
-- KEYS: the limit. ARGV: amount, least, holders; what comes back; what was lent without asking; of which minute.
-- Returns: lent, remaining, minute, microseconds of it that have passed.
local amount, least, holders = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local back, owed, of = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local second = tonumber(time[1])
local minute = math.floor(second / {MINUTE})
local kept = redis.call('HMGET', KEYS[1], 'minute', 'lent')
local lent = 0
if kept[1] and tonumber(kept[1]) == minute then lent = tonumber(kept[2]) end
local before = lent
if of == minute then lent = math.max(0, lent - back) + owed end
local more = chunk(amount, amount - lent, least, holders)
lent = lent + more
if lent ~= before then
  redis.call('HSET', KEYS[1], 'minute', minute, 'lent', lent)
  redis.call('PEXPIRE', KEYS[1], {WINDOW_MS})
end
return {{more, math.max(0, amount - lent), minute, (second % {MINUTE}) * 1000000 + tonumber(time[2])}}
"""
)
SLOTS: Final = script(
    _CHUNK
    + f"""
-- KEYS: the limit. ARGV: machine; amount, least, holders; what comes back; how many it has in all, or -1.
-- Returns: lent, remaining.
local amount, least, holders = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local back, has = tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local mine, others = 0, 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local count, ends = string.match(all[i + 1], '^(%d+) (%d+)$')
  if all[i] == ARGV[1] then
    mine = tonumber(count)
  elseif tonumber(ends) < now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    others = others + tonumber(count)
  end
end
if has >= 0 then mine = has end
mine = math.max(0, mine - back)
local more = chunk(amount, amount - mine - others, least, holders)
mine = mine + more
if mine > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %d', mine, now + {SLOTS_MS}))
  redis.call('PEXPIRE', KEYS[1], {SLOTS_MS})
else
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return {{more, math.max(0, amount - mine - others)}}
"""
)
DEPTH: Final = script(
    f"""
-- KEYS: the run. ARGV: agent, parent, how deep it may be. Returns: how deep the agent stands, counted to one more.
if redis.call('HLEN', KEYS[1]) > {RUN_ENTRIES_MAX} then redis.call('DEL', KEYS[1]) end
local agent, most = ARGV[1], tonumber(ARGV[3])
if agent ~= '' and ARGV[2] ~= '' then redis.call('HSET', KEYS[1], agent, ARGV[2]) end
redis.call('PEXPIRE', KEYS[1], {RUN_MS})
local depth, seen = 1, {{[agent] = true}}
while depth <= most do
  agent = redis.call('HGET', KEYS[1], agent)
  if not agent or seen[agent] then break end
  seen[agent] = true
  depth = depth + 1
end
return depth
"""
)
LOOPS: Final = script(
    f"""
-- KEYS: the run. ARGV: digest, how often it may be. Returns: the how-manieth time this is; refused ones do not count.
if redis.call('HLEN', KEYS[1]) > {RUN_ENTRIES_MAX} then redis.call('DEL', KEYS[1]) end
local times = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0) + 1
if times <= tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], times) end
redis.call('PEXPIRE', KEYS[1], {RUN_MS})
return times
"""
)
SCRIPTS: Final = (WINDOW, SLOTS, DEPTH, LOOPS)

Step = tuple[Script, str, tuple[Any, ...]]
"""A script, its key and its arguments."""


class ValkeyRates:
    """The rates in one server, as the machine `node` sees them; `clock` is the wall's, which its holders look at.

    When the server cannot be asked, `Unavailable` is raised soon, and the next call tries a new connection. Raises
    StoreError for a URL that says something of a connection that there is not.
    """

    def __init__(self, url: Secret, node: str, clock: Callable[[], float]) -> None:
        self._node = node
        self._clock = clock
        try:
            self._client = valkey.asyncio.Valkey.from_url(
                url.reveal(),
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                socket_keepalive=True,
                client_name=f"tokenway-{node}",
            )
            self._client.connection_pool.make_connection()  # it connects when it is used
        except (TypeError, ValueError, ValkeyError, OSError):
            expected = "expected valkey://user:password@host:6379/0"
            raise StoreError(f"the URL of `shared` cannot be read; {expected}") from None
        self._lock = asyncio.Lock()

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks."""
        # A window that began so long before this moment has begun no later than that; so it does not end too late.
        now = self._clock()
        answers = await self._run([self._step(ask) for ask in asks])
        return [_lent(ask, answer, now) for ask, answer in zip(asks, answers, strict=True)]

    async def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders of this machine give."""
        await self._run([self._back(each) for each in given])

    async def beat(self, slots: Mapping[str, int], owed: Mapping[str, tuple[int, int]]) -> None:
        """Says how many slots this machine has by limit, and which part of which minute it lent by itself."""
        steps: list[Step] = [
            (SLOTS, _key("slots", limit), (self._node, 0, 0, 1, 0, has)) for limit, has in slots.items()
        ]
        for limit, (minute, amount) in owed.items():
            steps.append((WINDOW, _key("rate", limit), (0, 0, 1, 0, amount, minute)))
        await (self._run(steps) if steps else self._ask([]))

    async def close(self) -> None:
        """Ends the connection."""
        await self._client.aclose()

    def _step(self, ask: Ask) -> Step:
        amount, least = min(_LARGEST, ask.limit.amount), min(_LARGEST, ask.least)
        holders = max(1, ask.holders)
        match ask.limit.measure:
            case Measure.DEPTH:
                return DEPTH, _key("depth", ask.id), (*(*ask.detail, "", "")[:2], amount)
            case Measure.LOOPS:
                return LOOPS, _key("loops", ask.id), ("".join(ask.detail), amount)
            case Measure.CONCURRENCY:
                return SLOTS, _key("slots", ask.id), (self._node, amount, least, holders, 0, -1)
            case _:
                return WINDOW, _key("rate", ask.id), (amount, least, holders, 0, 0, 0)

    def _back(self, given: Given) -> Step:
        amount = max(0, min(_LARGEST, given.amount))
        if given.period:
            return WINDOW, _key("rate", given.id), (0, 0, 1, amount, 0, given.period)
        return SLOTS, _key("slots", given.id), (self._node, 0, 0, 1, amount, -1)

    async def _run(self, steps: Sequence[Step]) -> list[Any]:
        """All steps at once, in order; those whose script the server does not know again, once it does."""
        if not steps:
            return []
        async with self._lock:
            answers = await self._ask(steps)
            missing = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if missing:
                again = await self._ask([steps[place] for place in missing], load=True)
                for place, answer in zip(missing, again, strict=True):
                    answers[place] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise Unavailable(_reason(answer))
        return answers

    async def _ask(self, steps: Sequence[Step], *, load: bool = False) -> list[Any]:
        pipeline = self._client.pipeline(transaction=False)
        loaded = SCRIPTS if load else ()
        for each in loaded:
            pipeline.script_load(each.text)
        if not steps:
            pipeline.ping()
        for each, key, arguments in steps:
            pipeline.evalsha(each.digest, 1, key, *arguments)
        try:
            async with asyncio.timeout(2 * ANSWER_SECONDS):
                answers: list[Any] = await pipeline.execute(raise_on_error=False)
        except (ValkeyError, OSError, TimeoutError) as error:
            # What is still to come on this connection would be taken for the answer to something else.
            with contextlib.suppress(ValkeyError, OSError, TimeoutError):
                await self._client.connection_pool.disconnect()
            raise Unavailable(_reason(error)) from None
        return answers[len(loaded) :]


def _key(kind: str, limit: str) -> str:
    return f"{PREFIX}{kind}:{limit}"


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _lent(ask: Ask, answer: Any, now: float) -> Lent:
    """What a script's answer means; `now` is when it was asked."""
    match ask.limit.measure:
        case Measure.DEPTH | Measure.LOOPS:
            return verdict(ask, answer)
        case Measure.CONCURRENCY:
            return waiting(Lent(answer[0], remains=answer[1]), ask, now, 0)
        case _:
            begins = now - answer[3] / 1e6
            window = Lent(answer[0], answer[1], answer[2], begins, begins + MINUTE)
            return waiting(window, ask, now, 0)
