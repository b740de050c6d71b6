"""Casts to the bit: against `ml_dtypes` for every exponent, tie and special, and against the specifications."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tokenway.planner.grade.casts import (
    E2M1,
    E2M3,
    E3M2,
    E4M3,
    E5M2,
    Element,
    Floats,
    decode,
    encode,
    exponents,
    powers_of_two,
    round_to,
    round_to_bfloat16,
)

REFERENCE: dict[Element, Any] = {
    E4M3: ml_dtypes.float8_e4m3fn,
    E5M2: ml_dtypes.float8_e5m2,
    E3M2: ml_dtypes.float6_e3m2fn,
    E2M3: ml_dtypes.float6_e2m3fn,
    E2M1: ml_dtypes.float4_e2m1fn,
}
by_name = pytest.mark.parametrize("element", REFERENCE, ids=lambda element: element.name)


def every_pattern() -> Floats:
    """All upper halves of a float32 with lower halves that are nought, just above, around a tie, and just below one."""
    upper = np.arange(1 << 16, dtype=np.uint32) << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF], np.uint32)
    return (upper[:, None] | lower).reshape(-1).view(np.float32)


def reference(values: Floats, kind: Any) -> np.ndarray[Any, Any]:
    """The codes that `ml_dtypes` gives."""
    with np.errstate(all="ignore"):
        found: np.ndarray[Any, Any] = values.astype(kind).view(np.uint8)
    return found


@by_name
def test_codes_are_those_of_ml_dtypes(element: Element) -> None:
    """393,216 float32 numbers, among them every tie of every format, both zeros, infinities and all kinds of NaN."""
    values = every_pattern()
    np.testing.assert_array_equal(encode(values, element, saturate=False), reference(values, REFERENCE[element]))


@by_name
def test_numbers_between_any_two_neighbours_go_to_the_nearer_one(element: Element) -> None:
    """The exact middle, and the float32 numbers beside it, for every two neighbours of the format."""
    grid = np.unique(decode(np.arange(element.top + 1, dtype=np.uint8), element))
    middle = ((grid[1:].astype(np.float64) + grid[:-1]) / 2).astype(np.float32)
    values = np.concatenate([middle, np.nextafter(middle, np.float32(0)), np.nextafter(middle, np.float32(np.inf))])
    np.testing.assert_array_equal(encode(values, element), reference(values, REFERENCE[element]))
    np.testing.assert_array_equal(round_to(np.nextafter(middle, np.float32(0)), element), grid[:-1])
    np.testing.assert_array_equal(round_to(np.nextafter(middle, np.float32(np.inf)), element), grid[1:])


@by_name
def test_codes_mean_what_they_mean_in_ml_dtypes(element: Element) -> None:
    """Every code, with the sign of its zeros."""
    codes = np.arange(1 << element.bits, dtype=np.uint8)
    expected = codes.view(REFERENCE[element]).astype(np.float32)
    np.testing.assert_array_equal(decode(codes, element), expected)
    np.testing.assert_array_equal(np.signbit(decode(codes, element)), np.signbit(expected))


@by_name
def test_what_is_too_large_becomes_the_largest(element: Element) -> None:
    """Saturation, which scaled formats are made with; infinity as well."""
    values = np.array([element.largest * 1.5, -1e30, np.inf, -np.inf], np.float32)
    np.testing.assert_array_equal(round_to(values, element), element.largest * np.array([1, -1, 1, -1], np.float32))
    np.testing.assert_array_equal(encode(values, element), [element.top, element.top | element.sign] * 2)


def test_the_other_way_is_nan_for_e4m3_and_infinity_for_e5m2() -> None:
    """Table 4 of the OCP specification: 464 is the tie that still rounds down, to the even 448."""
    values = np.array([464, 464.1, np.inf], np.float32)
    assert encode(values, E4M3, saturate=False).tolist() == [0x7E, 0x7F, 0x7F]
    assert encode(np.array([61439, 61440, np.inf], np.float32), E5M2, saturate=False).tolist() == [0x7B, 0x7C, 0x7C]


@by_name
def test_rounding_is_encoding_and_decoding(element: Element) -> None:
    """Values and codes cannot disagree; the sign of a zero is kept, NaN stays NaN, arrays keep their shape."""
    values = every_pattern().reshape(64, -1)
    rounded = round_to(values, element)
    numbers = ~np.isnan(values)
    assert rounded.shape == values.shape
    np.testing.assert_array_equal(rounded[numbers], decode(encode(values, element), element)[numbers])
    np.testing.assert_array_equal(np.signbit(rounded)[numbers], np.signbit(values)[numbers])
    assert np.isnan(rounded[~numbers]).all()


def test_the_largest_numbers_are_those_of_the_specifications() -> None:
    """And so are the exponents that scales are made with."""
    assert [(each.largest, each.highest_exponent, each.bits) for each in REFERENCE] == [
        (448.0, 8, 8),
        (57344.0, 15, 8),
        (28.0, 4, 6),
        (7.5, 2, 6),
        (6.0, 2, 4),
    ]
    assert decode(np.arange(8, dtype=np.uint8), E2M1).tolist() == [0, 0.5, 1, 1.5, 2, 3, 4, 6]


def test_bfloat16_is_that_of_ml_dtypes() -> None:
    """Every pattern; NaN stays NaN."""
    values = every_pattern()
    with np.errstate(all="ignore"):
        expected = values.astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(round_to_bfloat16(values), expected)


def test_exponents_and_powers_of_two_are_inverse() -> None:
    """For every exponent of normal numbers."""
    every = np.arange(-126, 128, dtype=np.int32)
    np.testing.assert_array_equal(exponents(powers_of_two(every) * np.float32(1.5)), every)
