"""One line at a time for the person who started the gateway."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def say(line: str) -> None:
    """One line on standard output."""
    _write(sys.stdout, line)


def complain(line: str) -> None:
    """One line on standard error, which says who it comes from."""
    _write(sys.stderr, f"tokenway: {line}")


def is_terminal() -> bool:
    """Whether standard output is read by a person."""
    return os.isatty(1)


def _write(stream: TextIO, line: str) -> None:
    """A pipe or a terminal that was closed does not stop the gateway."""
    try:
        stream.write(line + "\n")
        stream.flush()
    except OSError:
        # What is left in the stream must not fail again when Python flushes it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
