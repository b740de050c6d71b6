"""What the control process and the engine's child tell each other: one JSON line in, one JSON line out.

In on standard input, so that the key is in no argument list and no environment; the pipe then stays open, and its
end tells the child that its parent is gone. Out on standard output, when everything is loaded or cannot be.
"""

from __future__ import annotations

import msgspec

from tokenway.local.models import LocalModel

EXIT_UNUSABLE = 3
"""The child's exit status when no model can be served and trying again would not help."""
LINE_MAX = 1 << 20


class Settings(msgspec.Struct, frozen=True):
    """What the child serves. Paths are absolute; `extra` maps names to GGUF files."""

    key: str
    data_dir: str
    chat: str | None = None
    embed: str | None = None
    extra: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True):
    """The models that are served, and a sentence for each that cannot be."""

    models: tuple[LocalModel, ...]
    problems: tuple[str, ...] = ()
