"""The words of this package, and what a caller of it implements.

* **origin**: where a connection leads: scheme, host and port, or a Unix socket.
* **pool**: the connections to one origin. It opens calls.
* **call**: one request and the answer to it; the handle with which its owner pauses or cancels it.
* **reader**: the owner's side: it is told what arrives, by plain method calls without a task between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tokenway.model.faults import Fault


class Headers:
    """The header fields of one answer. Names are lower-case bytes; of a repeated field the first counts."""

    __slots__ = ("_fields", "_repeated")

    def __init__(self, fields: dict[bytes, bytes], repeated: list[tuple[bytes, bytes]] | None = None) -> None:
        """`fields` by lower-case name; `repeated` holds what came again under a name already there."""
        self._fields = fields
        self._repeated = repeated

    def get(self, name: bytes) -> bytes | None:
        """The first value of `name` (lower-case) without the spaces around it, or None."""
        value = self._fields.get(name)
        return None if value is None else value.rstrip()

    def has_any(self, names: frozenset[bytes]) -> bool:
        """Whether a field has one of these names (lower-case): a quarter of a microsecond."""
        return not names.isdisjoint(self._fields)

    def beginning(self, beginnings: tuple[bytes, ...]) -> list[tuple[bytes, bytes]]:
        """The (name, value) pairs whose names begin with one of these; repeated ones last."""
        found = [(name, value) for name, value in self._fields.items() if name.startswith(beginnings)]
        if self._repeated:
            found += [(name, value) for name, value in self._repeated if name.startswith(beginnings)]
        return found

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All (name, value) pairs; repeated ones last."""
        yield from self._fields.items()
        if self._repeated:
            yield from self._repeated

    def __len__(self) -> int:
        return len(self._fields) + len(self._repeated or ())

    def __repr__(self) -> str:
        return f"Headers({sorted(self._fields)})"


class Reader(Protocol):
    """Who reads one answer.

    The calls arrive in this order: `upstream_opened`, `upstream_head`, `upstream_body` any number of
    times, then exactly one of `upstream_end` and `upstream_failed`. A failure can come at any point,
    also first. An answer that one socket read brought whole comes in one call, `upstream_answer`, in place
    of `upstream_head` and all that follows. After `Call.cancel` or `Call.finish_early` none arrives. Each
    runs in the event loop, mostly inside a socket's read callback: it must not block, and may call the
    call's methods.
    """

    def upstream_opened(self) -> None:
        """The request's bytes were handed to a connection; with a pooled one before `Pool.open` returns."""

    def upstream_head(self, status: int, headers: Headers) -> None:
        """The final answer's head; interim ones (1xx) are skipped."""

    def upstream_body(self, data: bytes) -> None:
        """Payload without transfer coding; what one socket read brought comes in one call."""

    def upstream_end(self) -> None:
        """The answer is complete, and nothing came after it."""

    def upstream_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Head, payload and end in one, from one socket read with nothing after it."""

    def upstream_failed(self, fault: Fault, detail: str) -> None:
        """There will be no (more) answer. `detail` is a sentence fit for a client: no secret, no payload."""
