"""Money: integers, and one place that rounds."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.money import (
    cost_ceiling,
    cost_of,
    format_percent,
    format_share,
    format_usd,
    hourly,
    parse_amount,
    parse_percent,
    parse_rate,
    parse_share,
    parse_usd,
)


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1", 10**9),
        ("0.0375", 37_500_000),
        ("1e-9", 1),
        ("0.0000000005", 1),
        ("0.00000000049", 0),
        (5, 5 * 10**9),
        (0.1, 10**8),
        (Decimal("2.5"), 2_500_000_000),
        ("-0.0000000005", -1),
        ("1e3", 10**12),
    ],
)
def test_dollars_are_read_exactly(text: str | float | Decimal, nano: int) -> None:
    """What a person writes is what is meant: a float as it prints, and half a nano-dollar goes up."""
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text", ["", "free", "1,5", "nan", "inf", "-inf", "$1", "1e", "1e18", "-1e5000", "1e999000", "1e9999999"]
)
def test_other_text_is_no_amount(text: str) -> None:
    """Neither words nor what is not finite, nor what would take minutes to write down as an integer."""
    with pytest.raises(ValueError, match="not an amount of dollars"):
        parse_usd(text)


@given(st.decimals(places=9, min_value=-(10**9) + 1, max_value=10**9 - 1, allow_nan=False))
def test_an_amount_that_is_asked_for_is_exact(amount: Decimal) -> None:
    """To the nano-dollar."""
    assert parse_amount(f"{amount:f}") == int(amount * 10**9)


@pytest.mark.parametrize("text", ["", "1e3", "+1", "1.", ".5", "01", " 1", "1\n", "0.0000000001", "1000000000", "--1"])
def test_what_would_be_rounded_is_not_asked_for(text: str) -> None:
    """Nor is what can be written in another way."""
    with pytest.raises(ValueError, match="not an amount of dollars"):
        parse_amount(text)


def test_a_rate_is_not_negative() -> None:
    """Dollars per million units are nano-dollars per million units; nobody pays callers."""
    assert parse_rate("0.50") == 500_000_000
    with pytest.raises(ValueError, match="cannot be negative"):
        parse_rate("-0.01")


@given(st.integers(-(10**18), 10**18))
def test_an_amount_survives_being_shown(nano: int) -> None:
    """What `format_usd` writes, `parse_usd` reads as the same amount, without exponent or needless zeros."""
    text = format_usd(nano)
    assert parse_usd(text) == nano
    assert "e" not in text
    assert "." not in text or not text.endswith(("0", "."))


@pytest.mark.parametrize(("nano", "text"), [(12_500, "0.0000125"), (0, "0"), (10**9, "1"), (-1, "-0.000000001")])
def test_amounts_are_shown_plainly(nano: int, text: str) -> None:
    """A few that were written by hand."""
    assert format_usd(nano) == text


@given(st.integers(0, 10**20))
def test_costs_round_half_up_and_reservations_up(weighted: int) -> None:
    """A cost is the nearest integer, a reservation is never below it."""
    exact = Fraction(weighted, 10**6)
    assert cost_of(weighted) == (exact + Fraction(1, 2)).__floor__()
    assert cost_ceiling(weighted) == exact.__ceil__()
    assert cost_ceiling(weighted) >= cost_of(weighted)


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_hours_are_charged_by_the_millisecond_and_rounded_once(milliseconds: int, per_hour: int, more: int) -> None:
    """The exact fraction, together with whatever else is charged, rounded half up."""
    exact = Fraction(milliseconds * per_hour, 3_600_000) + Fraction(more, 10**6)
    assert cost_of(hourly(milliseconds, per_hour) + more) == (exact + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize(
    ("text", "millionths", "shown"),
    [
        ("10%", 100_000, "10"),
        ("-2.5%", -25_000, "-2.5"),
        ("0.0001 %", 1, "0.0001"),
        ("12.50%", 125_000, "12.5"),
        ("0%", 0, "0"),
    ],
)
def test_a_percentage_is_exact(text: str, millionths: int, shown: str) -> None:
    """To the millionth, both ways."""
    assert parse_percent(text) == millionths
    assert format_percent(millionths) == shown


@pytest.mark.parametrize("text", ["", "ten", "10", "0.00001%", "NaN%", "inf%", "1e2%", "%", "10%%"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    """Nothing is rounded."""
    with pytest.raises(ValueError, match="percentage"):
        parse_percent(text)


@given(st.integers(-(10**6), 10**9))
def test_a_share_survives_being_shown(millionths: int) -> None:
    """As a decimal number and as a percentage: what is shown is read as the same."""
    assert parse_share(format_share(millionths)) == millionths
    assert parse_percent(f"{format_percent(millionths)} %") == millionths


@pytest.mark.parametrize(
    ("text", "millionths"),
    [("0.125", 125_000), ("-.5", -500_000), ("+2", 2_000_000), ("0.1250000", 125_000), ("0.000001", 1), ("-0", 0)],
)
def test_a_share_is_exact(text: str, millionths: int) -> None:
    """Naughts at its end are no decimals."""
    assert parse_share(text) == millionths


@pytest.mark.parametrize("text", ["", ".", "x", "0.0000001", "0.1234567", "1e-1", "12%", "nan", "0,1", "1" * 16])
def test_what_is_no_share_is_refused(text: str) -> None:
    """Nothing is rounded."""
    with pytest.raises(ValueError, match="not a share"):
        parse_share(text)
