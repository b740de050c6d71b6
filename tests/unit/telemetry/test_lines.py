"""The line per exchange on a terminal."""

from __future__ import annotations

import re

import pytest

from tests.records import line, settled
from tokenway.metering.ledger import Settlement
from tokenway.metering.stamps import Stamps
from tokenway.telemetry.lines import exchange_line


def test_a_streamed_answer_has_all_its_figures() -> None:
    """Time, model, endpoint, first token, speed, tokens, cost and status, in this order."""
    text = exchange_line(settled())

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d  mock  lab/mock  TTFT 250 ms  60\.0 tok/s  120 in  61 out  \$0\.00000123  200", text
    )


def test_a_stream_under_the_floor_is_marked() -> None:
    """Slow by its own figure or because the exchange was marked."""
    assert "60.0 tok/s slow" in exchange_line(settled(), floor=61.0)
    assert "60.0 tok/s slow" in exchange_line(settled(slow=True))
    assert "slow" not in exchange_line(settled(), floor=60.0)


def test_an_answer_that_did_not_stream_has_its_duration() -> None:
    """There is no first token to speak of, and no speed."""
    text = exchange_line(settled(stream=False, stamps=Stamps(received=1.0, end=3.5)))

    assert "2.50 s" in text
    assert "TTFT" not in text
    assert "tok/s" not in text


def test_an_error_shows_its_type_and_costs_nothing() -> None:
    """No dollars, no tokens, but what went wrong."""
    failed = line(settlement=Settlement.ABSORBED, usage=None, cost=None, status=503)
    text = exchange_line(
        settled(status=502, error_type="provider_unavailable", endpoint="", charged=0, lines=(failed, failed))
    )

    assert text.endswith("2 attempts  502 provider_unavailable")
    assert "$" not in text
    assert " in  " not in text


@pytest.mark.parametrize(
    ("charged", "shown"),
    [
        (12_500, "$0.0000125"),
        (1, "$0.000000001"),
        (1_234_567_890, "$1.23"),
        (2_000_000_000, "$2.00"),
        (100_000_000, "$0.10"),
        (123_456_789, "$0.123"),
    ],
)
def test_dollars_are_shown_to_three_figures(charged: int, shown: str) -> None:
    """Small amounts keep their first figures, large ones their cents."""
    assert f"  {shown}  " in exchange_line(settled(charged=charged))


def test_what_is_not_known_is_said() -> None:
    """An answer without usage is unmetered, one without a price unpriced."""
    assert "unmetered" in exchange_line(settled(charged=0, lines=(line(usage=None, cost=None),)))
    assert "unpriced" in exchange_line(settled(charged=0, lines=(line(cost=None),)))
    assert "unpriced" not in exchange_line(settled(charged=0, lines=(line(cost=0),)))


def test_colour_is_only_added_when_asked_for() -> None:
    """Without it there is no escape sequence; with it each one is ended."""
    assert "\x1b" not in exchange_line(settled())
    coloured = exchange_line(settled(slow=True), color=True)
    assert coloured.count("\x1b[0m") * 2 == coloured.count("\x1b[")


def test_a_callers_text_cannot_write_to_the_terminal() -> None:
    """Control characters are replaced and long names cut."""
    text = exchange_line(settled(model="evil\x1b[2J\r\nfake", error_type="\x07"))

    assert "evil?[2J??fake" in text
    assert text.isprintable()
    assert "x" * 60 + "…" in exchange_line(settled(model="x" * 500))
