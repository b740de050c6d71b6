"""Simulated providers: they play scripts to whoever reads them, and keep their own books."""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from typing import Final

from tests.simulation.clock import Clock
from tests.simulation.oracle import Reading, read
from tests.simulation.scripts import Script
from tests.simulation.voices.base import Voice
from tokenway.model.catalog import Endpoint, Price
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage
from tokenway.upstream.base import Headers, Reader

NEVER: Final = -1.0
PIECE: Final = 64
"""Bytes that are a sign of life if they come at once, whatever they are."""


class Sign(IntEnum):
    """Whether a piece of an answer says that it goes on: it does with the end of a line, or with much at once."""

    NONE = 0
    PERHAPS = 1
    """The end of a message may be in it."""
    SURE = 2


class Call:
    """One attempt as the provider lives it; also the handle that the gateway holds (`upstream.call.Call`)."""

    __slots__ = (
        "_clock",
        "_held",
        "_is_taken_whole",
        "_next",
        "_reader",
        "_reading",
        "arrivals",
        "begun_at",
        "choices",
        "endpoint",
        "first_text_at",
        "head",
        "how",
        "opened_at",
        "over_at",
        "paused",
        "prefix",
        "request",
        "resumes",
        "script",
        "signs",
        "size",
        "sizes",
        "slack",
        "started_at",
        "status_at",
        "voice",
    )

    def __init__(
        self,
        clock: Clock,
        endpoint: Endpoint,
        script: Script,
        request: list[bytes],
        reader: Reader,
        choices: int,
        voice: Voice | None = None,
        prefix: str = "",
    ) -> None:
        """`request` is head and body; `voice` is the provider's dialect, None for chat as it is played alone.

        `prefix` is the text that it is asked to go on with.
        """
        self._clock = clock
        self._reader = reader
        self._reading: Reading | None = None
        self._next = 0
        self._held = False
        self.endpoint = endpoint
        self.script = script
        self.head, self.request = request[0], b"".join(request[1:])
        self.voice = voice
        self.choices = choices
        self.prefix = prefix
        self.resumes = False
        """Whether it is to go on with an answer, perhaps with one of which nothing was seen."""
        self._is_taken_whole = False
        self.started_at = clock.now
        self.opened_at = NEVER
        self.status_at = NEVER
        self.first_text_at = NEVER
        self.over_at = NEVER
        self.how = ""
        """How it ended: `end`, `fail`, `cancelled`, `finished early`; empty while it lives."""
        self.size = 0
        """Bytes of the body that were handed over."""
        self.arrivals: list[float] = []
        self.signs: list[Sign] = []
        """Whether each of them was one of life."""
        self.begun_at = NEVER
        """When the body began, but for white space."""
        self.sizes: list[int] = []
        """How many bytes had been handed over with each arrival."""
        self.paused = False
        self.slack = 0
        """How many steps still come through when the gateway stops reading: they were on their way."""

    # -- the gateway's side ------------------------------------------------------------------------------

    def cancel(self) -> None:
        """The gateway closes the connection."""
        self._over("cancelled")

    def finish_early(self) -> None:
        """The gateway has read the logical end."""
        self._over("finished early")

    def pause(self) -> None:
        """The gateway stops reading."""
        self.paused = True
        self.slack = len(self.script.steps) % 3

    def resume(self) -> None:
        """The gateway reads on."""
        self.paused = False
        if self._held:
            self._held = False
            self._clock.after(0.0, self._play)

    def take_whole(self) -> None:
        """The gateway takes what was said for a whole answer."""
        self._is_taken_whole = True
        self._reading = None

    # -- the provider's side -----------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self.over_at != NEVER

    def is_over_by(self, at: float) -> bool:
        """Whether nothing more was heard of it from a time on."""
        return self.over_at != NEVER and self.over_at < at

    def start(self) -> None:
        """Begins to play; with a pooled connection the request is handed over at once."""
        steps = self.script.steps
        if steps and steps[0][1] == "open" and steps[0][2]:
            self._play()
        else:
            self._wait()

    def _wait(self) -> None:
        if self._next < len(self.script.steps):
            self._clock.after(self.script.steps[self._next][0], self._play)

    def _play(self) -> None:
        """One step, and the next one is put on the queue."""
        if self.is_over:
            return
        if self.paused:
            if not self.slack:
                self._held = True
                return
            self.slack -= 1
        _, kind, what = self.script.steps[self._next]
        self._next += 1
        reader = self._reader
        if kind == "body":
            self.size += len(what)
            self.arrivals.append(self._clock.now)
            self.sizes.append(self.size)
            self.signs.append(self._sign(what))
            if self.begun_at == NEVER and what.strip():
                self.begun_at = self._clock.now
            self._note_text()
            reader.upstream_body(what)
        elif kind == "open":
            self.opened_at = self._clock.now
            reader.upstream_opened()
        elif kind == "head":
            self.status_at = self._clock.now
            reader.upstream_head(what[0], Headers(what[1]))
        elif kind == "end":
            self._over("end")
            reader.upstream_end()
        else:
            self._over("fail")
            reader.upstream_failed(*what)
        if not self.is_over:
            self._wait()

    def _sign(self, piece: bytes) -> Sign:
        if len(piece) >= PIECE or b"\n" in piece or b"\r" in piece:
            return Sign.SURE
        return Sign.PERHAPS if self.voice is not None and self.voice.is_binary else Sign.NONE

    def _note_text(self) -> None:
        if self.first_text_at == NEVER and self.script.items and self.reading.has_text:
            self.first_text_at = self._clock.now

    def _over(self, how: str) -> None:
        if not self.is_over:
            self.over_at = self._clock.now
            self.how = how

    # -- the books ---------------------------------------------------------------------------------------

    @property
    def reading(self) -> Reading:
        """What the bytes handed over say; a body that ended, or says no more, may lack its last blank line."""
        if self._reading is not None:
            return self._reading
        reading = self._read()
        if self.is_over:
            self._reading = reading
        return reading

    def reading_at(self, at: float) -> Reading:
        """What the bytes say that were handed over by then, of a stream that had not ended."""
        size = max((size for when, size in zip(self.arrivals, self.sizes, strict=True) if when <= at), default=0)
        return read(self.script.items, size, self.choices, ended=False)

    def _read(self) -> Reading:
        script, voice = self.script, self.voice
        whole_before = read(script.items, self.size, self.choices, ended=False)
        if voice is not None and voice.is_binary:
            return whole_before
        if voice is not None and voice.ends_with_body and self.how != "end":
            whole_before.is_whole = False
        steps = script.steps
        failed_whole = self.how == "fail" and whole_before.is_whole and steps[-1][2][0] in {Fault.RESET, Fault.FRAMING}
        fell_silent = self.how == "cancelled" and whole_before.is_whole and self._is_taken_whole
        if self.how == "end" or failed_whole or fell_silent:
            return read(script.items, self.size, self.choices, ended=True)
        return whole_before

    @property
    def told(self) -> tuple[bool, Usage | None]:
        """Whether it told a count of this attempt that reached the gateway, and the count if it can be believed."""
        if self.script.items:
            reading = self.reading
            return reading.told, reading.usage
        if self.script.answer and self.how == "end":
            return self.script.told, self.script.usage
        return False, None

    def told_at(self, at: float | None) -> tuple[bool, Usage | None]:
        """What it had told by a time; in the end where that is None."""
        if at is None:
            return self.told
        reading = self.reading_at(at)
        return reading.told, reading.usage

    def bill_at(self, at: float | None) -> int | None:
        """What it charges by what it told until then; None when it told nothing believable or has no price."""
        usage = self.told_at(at)[1]
        if usage is None or self.endpoint.price is None:
            return None
        return charge(usage, self.endpoint.price)

    @property
    def did_work(self) -> bool:
        """Whether the request reached it and it did not turn it away with an error status."""
        return self.opened_at != NEVER and not (self.status_at != NEVER and self.script.status >= 400)


def charge(usage: Usage, price: Price) -> int:
    """The price list by hand: exact fractions, rounded half up once."""
    read_rate = price.input if price.cache_read is None else price.cache_read
    reasoning_rate = price.output if price.reasoning is None else price.reasoning
    exact = (
        Fraction(usage.input_uncached * price.input, 10**6)
        + Fraction(usage.cache_read * read_rate, 10**6)
        + Fraction(usage.output_text * price.output, 10**6)
        + Fraction(usage.reasoning * reasoning_rate, 10**6)
    )
    return int(exact + Fraction(1, 2)) + price.request
