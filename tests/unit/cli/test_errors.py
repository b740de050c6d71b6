"""`tokenway.cli.errors`: which failure leaves with which status."""

from __future__ import annotations

from tokenway.cli.errors import BadUsage, CommandError
from tokenway.model.errors import TokenwayError


def test_bad_usage_is_told_apart_from_failure() -> None:
    """A failure is status 1, a wrong command line 2, and whoever catches the package's errors catches both."""
    assert (CommandError.exit_status, BadUsage.exit_status) == (1, 2)
    assert issubclass(BadUsage, CommandError)
    assert issubclass(CommandError, TokenwayError)
