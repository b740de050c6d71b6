"""One observation of an endpoint: what every worker tells the others about an attempt that is over."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from tokenway.model.probe import is_asked_as


class Outcome(IntEnum):
    """How an attempt ended, as far as it says something about its endpoint."""

    ANSWERED = 0
    """A whole answer came."""
    LIMITED = 1
    """It was turned away for sending too much (429)."""
    FAILED = 2
    """The endpoint's own fault: no connection, a 5xx, silence, a cut."""
    LEFT = 3
    """It was given up before it was over, by a caller or for a faster one: no fault of the endpoint's."""


class Sample(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An attempt that is over. Zero is what is not known.

    `at` is Unix time in seconds, `took` seconds from the request to the end of the attempt. `ttft` is seconds from the
    request to the first non-empty delta, `span` seconds between the first and the last delta; both only for streams.
    `prompt` and `cached` are tokens of the input that no cache held, and that one did; `tokens` those of the output,
    of a whole answer; `size` bytes of the caller's request and `sent` bytes of the stream since its first delta. `load`
    is how many other attempts were in flight at the endpoint, `gaps` pauses between deltas by powers of two
    milliseconds, `keys` what the request is recognised by when its conversation goes on (`routing.affinity`). `weight`
    is how many attempts it stands for.
    """

    endpoint: str
    model: str
    at: float
    outcome: Outcome
    took: float = 0.0
    ttft: float = 0.0
    span: float = 0.0
    prompt: int = 0
    cached: int = 0
    tokens: int = 0
    size: int = 0
    sent: int = 0
    load: int = 0
    gaps: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    weight: float = 1.0

    @property
    def is_probe(self) -> bool:
        """Whether the gateway asked of its own accord."""
        return is_asked_as(self.model)

    @property
    def speed(self) -> float:
        """Output tokens per second between the first and the last delta; 0.0 when there is no such span."""
        return (self.tokens - 1) / self.span if self.tokens > 1 and self.span > 0.0 else 0.0
