"""Log lines: one per event, with its values, and no key in any of them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tokenway.model.secret import Secret
from tokenway.telemetry.logs import ROOT, fields, mask_keys, set_up


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leaves the package's logger as it was."""
    logger = logging.getLogger(ROOT)
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.level, logger.propagate = before


def test_an_event_is_one_line_with_its_values() -> None:
    """Time in UTC, level, logger, event, and the values in order; a value with spaces is quoted."""
    stream = io.StringIO()
    set_up(stream=stream)
    logging.getLogger("tokenway.control").info("worker started", extra=fields(worker=0, why="it was asked to"))

    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == 'INFO tokenway.control worker started worker=0 why="it was asked to"\n'


def test_values_may_be_passed_as_attributes_too() -> None:
    """A plain `extra` is shown like `fields`, and nothing that every record has is."""
    stream = io.StringIO()
    set_up(stream=stream)
    logging.getLogger("tokenway.edge").info("attempt %s failed", 2, extra={"exchange": "gen-1", "fault": "cut"})

    assert stream.getvalue().endswith("INFO tokenway.edge attempt 2 failed exchange=gen-1 fault=cut\n")


def test_json_lines_keep_the_types_of_values() -> None:
    """Numbers stay numbers, and a value named like a field of ours does not replace it."""
    stream = io.StringIO()
    set_up(stream=stream, json=True)
    logging.getLogger("tokenway.edge").warning("slow", extra=fields(lag=0.25, ok=False, level="high", nothing=None))
    entry = json.loads(stream.getvalue())

    assert (entry["level"], entry["logger"], entry["event"]) == ("WARNING", "tokenway.edge", "slow")
    assert (entry["lag"], entry["ok"], entry["level_"], entry["nothing"]) == (0.25, False, "high", None)


def test_an_event_cannot_break_its_line() -> None:
    """Line breaks and escapes in a message or a value are written out."""
    stream = io.StringIO()
    set_up(stream=stream)
    logging.getLogger("tokenway.x").error("two\nlines", extra=fields(name="a\nb\x1b[2J"))

    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().strip().isprintable()


@pytest.mark.parametrize("as_json", [False, True])
def test_a_failure_brings_its_traceback_without_keys(as_json: bool) -> None:
    """What an exception's text holds is masked as well."""
    stream = io.StringIO()
    logger = set_up(stream=stream, json=as_json)
    key = "sk-abcdefghijklmnopqrstuvwxyz0123456789"
    try:
        raise ValueError(f"bad header: Bearer {key}")
    except ValueError:
        logger.exception("request failed", extra=fields(key=key, secret=Secret(key)))

    assert "Traceback" in stream.getvalue()
    assert key not in stream.getvalue()


@pytest.mark.parametrize(
    "key",
    [
        "tw-" + "A1b2_-" * 7 + "x",
        "sk-ant-api03-abcdefghijklmnop",
        "sk-proj-abcdefghijklmnopqrst",
        "gsk_abcdefghijklmnopqrstuvwx",
        "AIzaSyA1234567890abcdefghijklmnop",
        "Bearer abcdefgh.ijkl",
    ],
)
def test_what_looks_like_a_key_is_masked(key: str) -> None:
    """The usual shapes of keys are taken out, and the text around them stays."""
    assert mask_keys(f"before {key} after") == "before •••• after"


@pytest.mark.parametrize(
    "text", ["skip-the-line", "gen-0123456789abcdef0123", "two-way", "task-force", "key_0011223344556677"]
)
def test_other_text_is_left_alone(text: str) -> None:
    """Ids and words that begin like a key are not taken for one."""
    assert mask_keys(text) == text


def test_setting_up_again_replaces_the_first() -> None:
    """No line is written twice, and levels below the chosen one are not written."""
    first, second = io.StringIO(), io.StringIO()
    set_up(stream=first)
    logger = set_up(stream=second, level="WARNING")
    logger.warning("once")
    logger.info("not at all")

    assert first.getvalue() == ""
    assert second.getvalue().count("\n") == 1


def test_another_packages_log_can_be_taken_in() -> None:
    """Keys are masked there too; the empty name takes in every package."""
    stream = io.StringIO()
    logger = set_up(stream=stream, name="some.library", level=logging.WARNING)
    logging.getLogger("some.library.part").warning("sent %s", "sk-0123456789abcdef0123456789")
    logger.handlers.clear()

    assert stream.getvalue().endswith(" WARNING some.library.part sent ••••\n")
