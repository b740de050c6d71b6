"""Where the command line begins: `serve` with plain options starts at once, everything else goes to the parser.

To import the parser takes longer than all else that `serve` does before its processes begin, and what is imported then
stays in the supervisor's memory. Whatever is not surely right, and every question for help, is the parser's to answer.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report a command that Ctrl-C ended."""
_PATHS: Final = ("--config", "--data-dir")
_NUMBERS: Final = ("--port", "--control-port", "--workers")
_OPTIONS: Final = frozenset({*_PATHS, *_NUMBERS, "--host"})


class Plain(NamedTuple):
    """What `serve` was asked for, as `compose.serve` takes it."""

    config: Path | None
    overrides: dict[str, str]
    data_dir: Path | None


def plain(words: Sequence[str]) -> Plain | None:
    """The options of `serve`, where each word is a name or its value; None where it takes a parser to tell."""
    names, values = words[::2], words[1::2]
    given = dict(zip(names, values, strict=False))
    if len(names) != len(values) or len(given) != len(names) or not given.keys() <= _OPTIONS:
        return None
    if not all(value and value[0] != "-" for value in values):
        return None
    if not all(given[name].isascii() and given[name].isdecimal() for name in _NUMBERS if name in given):
        return None
    config, data_dir = (Path(given.pop(name)) if name in given else None for name in _PATHS)
    overrides = {
        f"server.{name[2:].replace('-', '_')}": str(int(value)) if name in _NUMBERS else value
        for name, value in given.items()
    }
    return Plain(config, overrides, data_dir)


def main() -> NoReturn:
    """The console script `tokenway`."""
    try:
        sys.exit(_begin(sys.argv[1:]))
    except KeyboardInterrupt:
        # Also while the parser is imported.
        sys.exit(INTERRUPTED)


def _begin(words: Sequence[str]) -> int:
    asked = plain(words[1:]) if words[:1] == ["serve"] else None
    if asked is None:
        from tokenway.cli.main import run  # noqa: PLC0415 - the parser, see above

        return run(list(words))
    from tokenway.compose.serve import serve  # noqa: PLC0415 - nothing of it is needed to ask

    return serve(**asked._asdict())
