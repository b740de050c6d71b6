"""What the log is told of a mistake of ours, and what it is not."""

from __future__ import annotations

import logging

import pytest

from tokenway.edge.mistakes import MISTAKES, log_mistake, where


def caught() -> Exception:
    """An error whose text holds what a caller wrote."""
    try:
        raise KeyError("a secret of the caller's")
    except KeyError as error:
        return error


def test_a_mistake_is_told_by_its_place() -> None:
    """By the line that raised it, however deep; its text stays out."""
    told = where(caught())
    assert told.startswith("KeyError at ")
    assert told.rpartition(":")[0].endswith("test_mistakes.py")
    assert "secret" not in told


def test_the_log_has_the_exchange_and_the_place(caplog: pytest.LogCaptureFixture) -> None:
    """And nothing of what was said."""
    with caplog.at_level(logging.ERROR, "tokenway.edge"):
        log_mistake("an exchange could not go on", "gen-1", caught())
    [record] = caplog.records
    assert (record.message, record.__dict__["exchange"]) == ("an exchange could not go on", "gen-1")
    assert record.__dict__["mistake"] == where(caught())
    assert "secret" not in caplog.text


def test_what_a_caller_did_is_no_mistake_of_ours() -> None:
    """A refusal, or a connection that breaks, is not passed over."""
    assert not any(issubclass(each, MISTAKES) for each in (OSError, RuntimeError, MemoryError))
