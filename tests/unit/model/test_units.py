"""Durations and sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.units import format_duration, format_size, parse_duration, parse_size, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("5s", 5.0), ("15m", 900.0), ("1h", 3600.0), ("2d", 172800.0), ("30", 30.0), ("1.5 s", 1.5)],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    """Each unit means what it says, and a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1s", "1x", "1e3s", "1 s s", "inf", "nan", "5\n5", "٣s", "9" * 16])
def test_other_text_is_no_duration(text: str) -> None:
    """Signs, exponents, foreign digits and unknown units are refused."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("32MiB", 33554432),
        ("10MB", 10_000_000),
        ("1.5KiB", 1536),
        ("0.0015KiB", 1),
        ("512", 512),
        ("7b", 7),
        ("999999999999999", 10**15 - 1),
    ],
)
def test_sizes_are_read_in_bytes(text: str, size: int) -> None:
    """MiB counts in powers of 1024, MB in powers of 1000, and a whole number is exact."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1TiB", "1 M", "0x10"])
def test_other_text_is_no_size(text: str) -> None:
    """Units that are not known are refused instead of guessed."""
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_size_survives_being_shown(size: int) -> None:
    """What `format_size` writes, `parse_size` reads as the same number of bytes."""
    assert parse_size(format_size(size)) == size


@given(st.integers(min_value=0, max_value=10**8))
def test_a_duration_survives_being_shown(milliseconds: int) -> None:
    """What `format_duration` writes, `parse_duration` reads as the same time, to the six digits it shows."""
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02),
        ("7.66s", 7.66),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("2d", 172_800.0),
        ("1m5ms", 60.005),
        ("", None),
        ("5", None),
        ("5 s", None),
        ("1s2m", None),
        ("-5s", None),
        ("1.5m", None),
        ("\u0661s", None),
        ("9" * 20 + "s", None),
    ],
)
def test_durations_as_programs_write_them(text: str, seconds: float | None) -> None:
    """Amounts with units, the largest first; anything else is none."""
    assert seconds_of(text) == pytest.approx(seconds)
