"""Numbers of eight bits and fewer, to the bit: how a float32 is rounded to each, and what each of its codes means.

Rounding is to the nearest, ties to even, as the formats ask for. What is too large becomes the largest number
(saturation), which is what scaled formats are made with; E4M3 and E5M2 also have the other way, in which it becomes
NaN or infinity.

Sources: OCP 8-bit Floating Point Specification 1.0 (E4M3, E5M2; table 4 has both ways); OCP Microscaling Formats 1.0,
§5.3 (E3M2, E2M3, E2M1, which have neither infinity nor NaN).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

_EXPONENT_BITS: Final = 23
"""Where the exponent of a float32 begins."""
_BIAS: Final = 127
_SLICE: Final = 1 << 15
"""Numbers that are rounded at once: few enough for a processor's cache."""


class Element(NamedTuple):
    """A format with sign, exponent and mantissa.

    `top` is the code of the largest number. `nan` and `infinity` are codes without a sign; None where there is none.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    top: int
    nan: int | None = None
    infinity: int | None = None

    @property
    def bits(self) -> int:
        """Bits of a number, its sign included."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def sign(self) -> int:
        """The code's bit that says minus."""
        return 1 << (self.bits - 1)

    @property
    def lowest_exponent(self) -> int:
        """The exponent of the smallest normal number and of all that are smaller."""
        return 1 - self.bias

    @property
    def highest_exponent(self) -> int:
        """The exponent of the largest number, `emax` in the specifications."""
        return (self.top >> self.mantissa_bits) - self.bias

    @property
    def largest(self) -> float:
        """The largest number."""
        return float(decode(np.array([self.top], np.uint8), self)[0])


E4M3: Final = Element("e4m3", 4, 3, 7, top=0x7E, nan=0x7F)
E5M2: Final = Element("e5m2", 5, 2, 15, top=0x7B, nan=0x7E, infinity=0x7C)
E3M2: Final = Element("e3m2", 3, 2, 3, top=0x1F)
E2M3: Final = Element("e2m3", 2, 3, 1, top=0x1F)
E2M1: Final = Element("e2m1", 2, 1, 1, top=0x07)


def exponents(magnitudes: Floats) -> npt.NDArray[np.int32]:
    """floor(log2) of positive normal numbers; -127 of zero and of what is smaller than normal."""
    raised = magnitudes.view(np.int32) >> _EXPONENT_BITS
    return raised - np.int32(_BIAS)


def powers_of_two(exponent: npt.NDArray[np.int32]) -> Floats:
    """2^exponent, for exponents of normal float32 numbers."""
    return ((exponent + np.int32(_BIAS)) << np.int32(_EXPONENT_BITS)).view(np.float32)


def _steps(magnitudes: Floats, element: Element) -> tuple[npt.NDArray[np.int32], Floats]:
    """(the exponent, how many steps of the mantissa there), the latter rounded: a power of two is taken exactly."""
    exponent = np.maximum(exponents(magnitudes), np.int32(element.lowest_exponent))
    return exponent, np.rint(magnitudes * powers_of_two(np.int32(element.mantissa_bits) - exponent))


def round_to(values: Floats, element: Element) -> Floats:
    """The nearest numbers of a format, as float32; NaN stays NaN also where the format has none."""
    flat = values.reshape(-1)
    rounded = np.empty_like(flat)
    largest = np.float32(element.largest)
    with np.errstate(invalid="ignore"):
        for at in range(0, flat.size, _SLICE):
            part = flat[at : at + _SLICE]
            exponent, steps = _steps(np.minimum(np.abs(part), largest), element)
            steps *= powers_of_two(exponent - np.int32(element.mantissa_bits))
            np.copysign(steps, part, out=rounded[at : at + _SLICE])
    return rounded.reshape(values.shape)


def encode(values: Floats, element: Element, *, saturate: bool = True) -> Codes:
    """The codes of the nearest numbers. NaN is a zero of the other sign where a format has none, as in `ml_dtypes`."""
    # Twice the largest is still too large; `fmin` takes it for NaN as well, which is dealt with below.
    bounded = np.fmin(np.abs(values), np.float32(2 * element.largest))
    exponent, steps = _steps(bounded, element)
    lowest = np.int32(element.lowest_exponent)
    code = ((exponent - lowest) << np.int32(element.mantissa_bits)) + steps.astype(np.int32)
    beyond = np.int32(element.top)
    if not saturate and element.nan is not None:
        beyond = np.int32(element.nan if element.infinity is None else element.infinity)
    code = np.where(code > element.top, beyond, code)
    no_number, negative = np.isnan(values), np.signbit(values)
    if element.nan is None:
        code, negative = np.where(no_number, np.int32(0), code), negative ^ no_number
    else:
        code = np.where(no_number, np.int32(element.nan), code)
    return (code | np.where(negative, np.int32(element.sign), np.int32(0))).astype(np.uint8)


def decode(codes: Codes, element: Element) -> Floats:
    """What codes mean; bits above the format's are not looked at."""
    meaning: Floats = _table(element)[codes & np.uint8((1 << element.bits) - 1)]
    return meaning


def _table(element: Element) -> Floats:
    """What each code means."""
    code = np.arange(1 << element.bits, dtype=np.int32)
    body = code & (element.sign - 1)
    field = body >> element.mantissa_bits
    fraction = (body & ((1 << element.mantissa_bits) - 1)).astype(np.float64)
    normal = field > 0
    significand = np.where(normal, fraction + (1 << element.mantissa_bits), fraction)
    exponent = np.maximum(field, 1) - element.bias - element.mantissa_bits
    meaning = np.ldexp(significand, exponent)
    if element.nan is not None:
        meaning = np.where(body > element.top, np.nan, meaning)
    if element.infinity is not None:
        meaning = np.where(body == element.infinity, np.inf, meaning)
    signed: Floats = np.copysign(meaning, np.where(code & element.sign, -1.0, 1.0)).astype(np.float32)
    return signed


def round_to_bfloat16(values: Floats) -> Floats:
    """The nearest numbers of eight exponent and seven mantissa bits, as float32."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    kept = (rounded & np.uint32(0xFFFF0000)).view(np.float32)
    return np.where(np.isnan(values), values, kept)
