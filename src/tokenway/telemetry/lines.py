"""One line per exchange for the person who watches `tokenway serve` on a terminal.

    12:03:44  gpt-4o  openai/gpt-4o  TTFT 312 ms  87.1 tok/s  1,024 in  256 out  $0.00123  200

Names come from callers, so what could move the cursor or change colours is taken out of them.
"""

from __future__ import annotations

import time
from typing import Final

from tokenway.metering.ledger import Line, Settled, Settlement
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.money import format_usd

FLOOR: Final = 20.0
"""Tokens per second that a reader keeps up with; slower is marked."""
_NAME_CHARACTERS: Final = 60
_DIM, _RED, _YELLOW, _GREEN, _PLAIN = "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"


def exchange_line(record: Settled, *, color: bool = False, floor: float = FLOOR) -> str:
    """The line, without a line break. `color` adds ANSI colours; times are local."""
    paint = _paint if color else _leave
    answer = _answer(record)
    usage = answer.usage if answer is not None else None
    parts = [paint(time.strftime("%H:%M:%S", time.localtime(record.at)), _DIM), _clean(record.model) or "-"]
    if record.endpoint and record.endpoint != record.model:
        parts.append(paint(_clean(record.endpoint), _DIM))
    first = ttft(record.stamps)
    if first is not None:
        parts.append(f"TTFT {_duration(first)}")
    elif record.stamps.end:
        parts.append(_duration(record.stamps.end - record.stamps.received))
    speed = output_speed(record.stamps, usage.output_tokens) if usage is not None else None
    if record.slow or (speed is not None and speed < floor):
        parts.append(paint("slow" if speed is None else f"{speed:.1f} tok/s slow", _YELLOW))
    elif speed is not None:
        parts.append(f"{speed:.1f} tok/s")
    if usage is not None:
        parts.append(f"{usage.input_tokens:,} in  {usage.output_tokens:,} out")
    elif record.settlement is Settlement.DELIVERED:
        parts.append(paint("unmetered", _YELLOW))
    parts.append(_price(record, answer))
    if len(record.lines) > 1:
        parts.append(f"{len(record.lines)} attempts")
    status = f"{record.status} {_clean(record.error_type)}".rstrip()
    parts.append(paint(status, _GREEN if record.status < 400 else _RED))
    return "  ".join(part for part in parts if part)


def _answer(record: Settled) -> Line | None:
    """The attempt the caller pays for."""
    for line in record.lines:
        if line.settlement in {Settlement.DELIVERED, Settlement.UPSTREAM_BILLED}:
            return line
    return None


def _price(record: Settled, answer: Line | None) -> str:
    """Dollars with three significant figures or more; nothing when nobody pays, `unpriced` without a price."""
    if record.charged:
        whole, _, fraction = format_usd(record.charged).partition(".")
        shown = 2 if whole not in {"0", "-0"} else len(fraction) - len(fraction.lstrip("0")) + 3
        return f"${whole}.{fraction[: max(2, shown)]:0<2}"
    return "unpriced" if answer is not None and answer.usage is not None and answer.cost is None else ""


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _clean(text: str) -> str:
    shown = "".join(character if character.isprintable() else "?" for character in text[:_NAME_CHARACTERS])
    return shown if len(text) <= _NAME_CHARACTERS else f"{shown}…"


def _paint(text: str, style: str) -> str:
    return f"{style}{text}{_PLAIN}"


def _leave(text: str, _style: str) -> str:
    return text
