"""Text of files that a command is given."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tokenway.cli.errors import BadUsage

INPUT: Final = Path("-")
"""Stands for the standard input."""


def text_of(path: Path, *, most: int | None = None) -> str:
    """A file's text in UTF-8 without its mark, or the standard input's for `-`.

    Raises BadUsage where it cannot be read, and where it has more than `most` bytes.
    """
    try:
        raw = sys.stdin.buffer.read() if path == INPUT else path.read_bytes()
        if most is not None and len(raw) > most:
            raise BadUsage(f"{path} has more than {most:,} bytes; give a part of it.")
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise BadUsage(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise BadUsage(f"{path} cannot be read: it is not UTF-8 text.") from None
