"""One answer, streamed to the screen with the meter running; shared by `ask` and `chat`."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tokenway.cli.meter import BottomLine, Meter
from tokenway.cli.output import wants_colour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tokenway.cli.client import Gateway, Json

CHAT_PATH: Final = "/v1/chat/completions"
_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"


@dataclass(slots=True)
class Answer:
    """What came back. `stopped` is True when Ctrl-C ended it; the text is then what had arrived."""

    meter: Meter
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str = ""
    stopped: bool = False

    @property
    def content(self) -> str:
        """The text as one string."""
        return "".join(self.text)

    def take(self, chunk: Json, now: float) -> tuple[str, str]:
        """Reads one chunk; returns its reasoning and its text, either of which may be empty."""
        if isinstance(usage := chunk.get("usage"), dict):
            self.meter.usage = usage
        if isinstance(report := chunk.get("tokenway"), dict):
            self.meter.report = report
        reasoning = text = ""
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict):
                reasoning += _first_text(delta, "reasoning_content", "reasoning")
                text += _first_text(delta, "content", "refusal")
                self.finish_reason = _first_text(choice, "finish_reason") or self.finish_reason
        if reasoning or text:
            self.meter.piece(now)
        if reasoning:
            self.reasoning.append(reasoning)
        if text:
            self.text.append(text)
        return reasoning, text


def _first_text(fields: Mapping[str, object], *names: str) -> str:
    """The first of these fields that holds text; what a provider puts there instead of text is passed over."""
    return next((value for name in names if isinstance(value := fields.get(name), str) and value), "")


def stream_answer(
    gateway: Gateway,
    model: str,
    messages: Sequence[Mapping[str, str]],
    options: Mapping[str, Any],
    *,
    show: bool = True,
) -> Answer:
    """Asks and waits for the whole answer; with `show` its text goes to standard output as it comes.

    Reasoning is shown dimmed, and on a terminal only. Ctrl-C closes the connection, which stops the
    answer at its provider, and returns what there is. Raises CommandError when the gateway or the
    connection fails.
    """
    terminal = sys.stdout.isatty()
    answer = Answer(Meter(model, time.monotonic()))
    body = {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}, **options}
    screen = _Screen(colour=wants_colour(stream_is_terminal=terminal)) if show else None
    try:
        with (
            closing(gateway.stream(CHAT_PATH, body)) as chunks,
            BottomLine(sys.stdout, enabled=show and terminal) as bottom,
        ):
            bottom.draw(answer.meter, time.monotonic(), colour=wants_colour(stream_is_terminal=terminal))
            for chunk in chunks:
                now = time.monotonic()
                reasoning, text = answer.take(chunk, now)
                if screen is not None:
                    screen.show(reasoning if terminal else "", text)
                bottom.draw(answer.meter, now, colour=wants_colour(stream_is_terminal=terminal))
    except KeyboardInterrupt:
        answer.stopped = True
    finally:
        answer.meter.finish(time.monotonic())
        if screen is not None:
            screen.end()
    return answer


class _Screen:
    """Writes the pieces, and ends the last line if the answer did not."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._thinking = False
        self._column = 0

    def show(self, reasoning: str, text: str) -> None:
        if reasoning:
            self._write(f"{_DIM}{reasoning}{_PLAIN}" if self._colour else reasoning, reasoning)
            self._thinking = True
        if text:
            if self._thinking:
                self._write("\n\n", "\n")
                self._thinking = False
            self._write(text, text)

    def end(self) -> None:
        if self._column:
            self._write("\n", "\n")

    def _write(self, raw: str, visible: str) -> None:
        sys.stdout.write(raw)
        sys.stdout.flush()
        self._column = 0 if visible.endswith("\n") else 1


def print_meter(answer: Answer) -> None:
    """The finished meter below the answer: on standard error, and only for a person."""
    if sys.stderr.isatty():
        line = answer.meter.line(colour=wants_colour(stream_is_terminal=True))
        print(f"{line} · stopped" if answer.stopped else line, file=sys.stderr)
