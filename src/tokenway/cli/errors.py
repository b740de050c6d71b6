"""How a command fails on purpose.

    CommandError        what was asked could not be done: exit status 1
    └── BadUsage        the command line itself is wrong: exit status 2

The text is one sentence for a person and says what to do next; `main` prints it without a traceback.
"""

from __future__ import annotations

from typing import ClassVar

from tokenway.model.errors import TokenwayError


class CommandError(TokenwayError):
    """What was asked could not be done."""

    exit_status: ClassVar[int] = 1


class BadUsage(CommandError):
    """The command line is wrong in a way that the parser cannot know."""

    exit_status: ClassVar[int] = 2
