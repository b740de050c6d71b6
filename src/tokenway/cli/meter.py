"""The live meter: how fast the answer arrives, in one line at the bottom of the terminal.

While text flows only its pieces are known, and pieces are not tokens, so the running figures carry a
`≈`. The last line counts with the provider's own usage and names what the gateway measured.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Self

from tokenway.cli.output import money, number
from tokenway.metering.stamps import Stamps, output_speed, ttft
from tokenway.model.money import parse_usd

if TYPE_CHECKING:
    from typing import TextIO

SLOW_TPS: Final = 20.0
"""Tokens per second under which a reader waits for the text."""
REDRAW_SECONDS: Final = 0.1
"""Between two drawings: faster than anyone reads, slower than a fast model's pieces."""
ROWS_MIN: Final = 4
"""A terminal with fewer rows has no room for a line of its own."""

_YELLOW: Final = "\x1b[33m"
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"


class Meter:
    """Counts one answer. Times are monotonic seconds given by the caller."""

    def __init__(self, model: str, started: float) -> None:
        self.model = model
        self.stamps = Stamps(received=started)
        self.pieces = 0
        self.usage: dict[str, Any] | None = None
        self.report: dict[str, Any] = {}
        """The gateway's `tokenway` object of the last chunk: endpoint, attempts, its own figures."""

    def piece(self, now: float) -> None:
        """A piece of text arrived."""
        self.pieces += 1
        if not self.stamps.first_delta:
            self.stamps.first_delta = now
        self.stamps.last_delta = now

    def finish(self, now: float) -> None:
        """The answer is over."""
        self.stamps.end = now

    @property
    def tokens(self) -> int | None:
        """Output tokens by the provider's count; None while unknown."""
        counted = self.usage.get("completion_tokens") if self.usage else None
        return counted if isinstance(counted, int) else None

    @property
    def cost(self) -> int | None:
        """Nano-dollars; None when the answer carries no cost."""
        cost = self.usage.get("cost") if self.usage else None
        return parse_usd(cost) if isinstance(cost, int | float | str) else None

    @property
    def ttft_seconds(self) -> float | None:
        """Seconds until the first piece of text, as seen here."""
        return ttft(self.stamps)

    @property
    def tokens_per_second(self) -> float | None:
        """Output speed: exact when the tokens are counted, else by pieces."""
        return output_speed(self.stamps, self.pieces if self.tokens is None else self.tokens)

    @property
    def is_slow(self) -> bool:
        """Whether the output speed is under the reader's floor, by this clock or by the gateway's."""
        speed = self.tokens_per_second
        return (speed is not None and speed < SLOW_TPS) or self.report.get("slow") is True

    def line(self, *, colour: bool = False) -> str:
        """All figures in one line."""
        if not self.stamps.first_delta:
            return f"{self.model} · waiting for the first token" if not self.stamps.end else f"{self.model} · no text"
        about = "≈" if self.tokens is None else ""
        speed = f"{about}{number(self.tokens_per_second)} tokens/s"
        if self.is_slow:
            speed = f"{_YELLOW}{speed} slow{_PLAIN}" if colour else f"{speed} slow"
        parts = [str(self.report.get("endpoint") or self.model), f"TTFT {number(self.ttft_seconds, 2)} s"]
        if self.tokens_per_second is not None:
            parts.append(speed)
        parts.append(f"{about}{self.pieces if self.tokens is None else self.tokens} tokens")
        if self.usage is not None:
            parts.append("no price" if self.cost is None else money(self.cost))
        return " · ".join(parts)

    def figures(self) -> dict[str, object]:
        """The same as data: seconds, tokens per second, tokens, dollars as a decimal string."""
        return {
            "model": self.model,
            "endpoint": self.report.get("endpoint"),
            "ttft_seconds": self.ttft_seconds,
            "output_tps": self.tokens_per_second,
            "slow": self.is_slow,
            "usage": self.usage,
            "cost_usd": None if self.cost is None else money(self.cost).removeprefix("$"),
        }


class BottomLine:
    """Keeps the last row of a terminal for one line while text scrolls above it.

    The row is set apart with the terminal's scrolling region (DECSTBM), which leaves wrapping and
    scrolling of the text to the terminal. Does nothing when the stream is no terminal or too small.
    """

    def __init__(self, stream: TextIO, *, enabled: bool) -> None:
        self._stream = stream
        self._enabled = enabled
        self._rows = 0
        self._columns = 0
        self._drawn = 0.0

    def __enter__(self) -> Self:
        if self._enabled:
            size = _size(self._stream)
            if size.lines >= ROWS_MIN:
                self._rows, self._columns = size.lines, size.columns
                # The empty line makes room when the cursor stands on the row that is set apart.
                self._write(f"\n\x1b7\x1b[1;{self._rows - 1}r\x1b8\x1b[1A")
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows:
            self._write(f"\x1b7\x1b[r\x1b[{self._rows};1H\x1b[2K\x1b8")
            self._rows = 0

    def draw(self, meter: Meter, now: float, *, colour: bool) -> None:
        """Draws the meter's line unless it was drawn a moment ago."""
        if not self._rows or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        size = _size(self._stream)
        if size != (self._columns, self._rows) and size.lines >= ROWS_MIN:
            self._rows, self._columns = size.lines, size.columns
            self._write(f"\x1b7\x1b[1;{self._rows - 1}r\x1b8")
        text = meter.line()[: self._columns - 1]
        shade = _DIM if colour else ""
        self._write(f"\x1b7\x1b[{self._rows};1H\x1b[2K{shade}{text}{_PLAIN if colour else ''}\x1b8")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _size(stream: TextIO) -> os.terminal_size:
    try:
        return os.get_terminal_size(stream.fileno())
    except OSError:
        return os.terminal_size((0, 0))
