"""Where a conversation's prompt is probably cached, so that its next turn goes there.

A provider reads from its cache what begins like a prompt that it saw some minutes ago. Which that may be is told by
*keys*: one for the session that a caller names, and one for each beginning of the request's body, at lengths that
double. The more of a body an endpoint has seen, the more of its prompt it is likely to hold; how much that is in truth
is learnt from the counts that come back. What affinity is worth is no bonus: a cached prompt is prefilled faster and
costs less, and the choice counts both.

Keys are checksums. Two that collide make a guess wrong, and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final
from zlib import crc32

FIRST: Final = 2048
"""Bytes of the shortest beginning that is recognised: no provider caches prompts of less than 1024 tokens."""
LENGTHS: Final = 12
"""How many beginnings a body can have: up to 4 MiB."""
KEEPS: Final = 600.0
"""Seconds for which a provider is taken to hold a prompt: Anthropic's and OpenAI's caches keep five to ten minutes."""
KEYS_MAX: Final = 20_000
"""Keys that are remembered."""
_SESSION: Final = 1 << 48


def keys_of(body: bytes, scope: str, session: str) -> tuple[int, ...]:
    """What a request is recognised by, the session first, then ever longer beginnings of its body.

    `scope` is whose session ids these are: callers choose them, so that two may choose the same.
    """
    seed = crc32(scope.encode())
    keys = [_SESSION | crc32(session.encode(), seed)] if session else []
    at, size = 0, FIRST
    sum_so_far = seed
    view = memoryview(body)
    for number in range(LENGTHS):
        if size > len(body):
            break
        sum_so_far = crc32(view[at:size], sum_so_far)
        keys.append(number << 32 | sum_so_far)
        at, size = size, size * 2
    return tuple(keys)


class Affinity:
    """Which endpoint saw which keys, and when. Times are Unix seconds."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, dict[str, tuple[float, int]]] = OrderedDict()

    def note(self, keys: tuple[int, ...], endpoint: str, at: float, size: int) -> None:
        """An endpoint has answered a request of `size` bytes with these keys."""
        for key in keys:
            places = self._seen.get(key)
            if places is None:
                places = self._seen[key] = {}
                if len(self._seen) > KEYS_MAX:
                    self._seen.popitem(last=False)
            else:
                self._seen.move_to_end(key)
            places[endpoint] = at, size

    def share(self, keys: tuple[int, ...], endpoint: str, now: float, size: int) -> float:
        """The share of a request of `size` bytes that an endpoint has seen before, from 0.0 to 1.0."""
        for key in reversed(keys):
            found = self._seen.get(key, {}).get(endpoint)
            if found is not None and now - found[0] <= KEEPS:
                seen = found[1] if key & _SESSION else FIRST << (key >> 32)
                return min(1.0, seen / size) if size else 0.0
        return 0.0
