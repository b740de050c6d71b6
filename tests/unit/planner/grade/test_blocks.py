"""Blocks against ones computed by hand, against the definition in plain Python, and the bits that they take."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.blocks import SCHEMES, TILE, microscaled, nvfp4, scheme_of
from tokenway.planner.grade.casts import E2M1, E4M3, Floats, encode

every = pytest.mark.parametrize("name", SCHEMES)


def row(*values: float, width: int = 32) -> Floats:
    """One row, filled up with zeros."""
    return np.array([[*values, *[0.0] * (width - len(values))]], np.float32)


def noise(*shape: int, seed: int = 7) -> Floats:
    """Normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_block_of_mxfp4_by_hand() -> None:
    """The largest is 10, its power of two 8, that of E2M1's largest 4: scale 2. Then 10 / 2 = 5 ties to the even 4."""
    found = microscaled(row(10, -7, 2.4, 0.5, 0.4, 1, 3), E2M1)
    assert found.scales.reshape(-1).tolist() == [2.0]
    assert found.elements.reshape(-1)[:7].tolist() == [4, -4, 1, 0, 0, 0.5, 1.5]
    assert found.values().reshape(-1)[:7].tolist() == [8, -8, 2, 0, 0, 1, 3]
    assert encode(found.elements, E2M1).reshape(-1)[:7].tolist() == [6, 14, 2, 0, 0, 1, 3]


def test_what_a_scale_of_mx_cannot_reach_saturates() -> None:
    """15.9 has the power of two 8 as well: 15.9 / 2 is above 6, E2M1's largest."""
    assert microscaled(row(15.9), E2M1).values().reshape(-1)[0] == 12


def test_a_block_of_nvfp4_by_hand() -> None:
    """Tensor scale 2688 / (448 x 6) = 1; the blocks' largest are 2688 and 13, so their scales are 448 and 2.25."""
    found = nvfp4(np.concatenate([row(2688, 448, width=16), row(13, 6.75, -1, width=16)], axis=1))
    assert found.tensor_scale == 1
    assert found.scales.reshape(-1).tolist() == [448, 2.25]  # 13 / 6 = 2.1667 lies between 2 and 2.25, nearer to 2.25
    assert found.elements[0, 0, :2].tolist() == [6, 1]
    assert found.elements[0, 1, :3].tolist() == [6, 3, -0.5]
    assert found.values()[0, 1, :3].tolist() == [13.5, 6.75, -1.125]


def test_nvfp4_is_the_definition_with_the_casts_of_ml_dtypes() -> None:
    """Block by block in plain Python, for numbers of very different sizes."""
    values = noise(4, 64) * np.float32(10) ** noise(4, 1, seed=8)
    scale = np.float32(np.abs(values).max() / np.float32(2688))
    expected = np.zeros_like(values)
    for line, numbers in enumerate(values):
        for at in range(0, 64, 16):
            block = numbers[at : at + 16]
            stored = (np.abs(block).max() / np.float32(6) / scale).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
            divisor = stored * scale
            expected[line, at : at + 16] = (block / divisor).astype(ml_dtypes.float4_e2m1fn).astype(
                np.float32
            ) * divisor
    np.testing.assert_array_equal(SCHEMES["nvfp4"].restored(values), expected)


@pytest.mark.parametrize(
    ("name", "kind", "top"),
    [
        ("mxfp8", ml_dtypes.float8_e4m3fn, 8),
        ("mxfp8-e5m2", ml_dtypes.float8_e5m2, 15),
        ("mxfp6-e3m2", ml_dtypes.float6_e3m2fn, 4),
        ("mxfp6-e2m3", ml_dtypes.float6_e2m3fn, 2),
        ("mxfp4", ml_dtypes.float4_e2m1fn, 2),
    ],
)
def test_mx_is_the_definition_with_the_casts_of_ml_dtypes(name: str, kind: type, top: int) -> None:
    """§6.3 of the specification for each of its formats, with what is too large cut off before the cast."""
    values = noise(8, 96) * np.float32(10) ** noise(8, 1, seed=8)
    largest = {8: 448.0, 15: 57344.0, 4: 28.0, 2: 6.0}[top] if name != "mxfp6-e2m3" else 7.5
    expected = np.zeros_like(values)
    for line, numbers in enumerate(values):
        for at in range(0, 96, 32):
            block = numbers[at : at + 32]
            scale = np.float32(2.0 ** (np.floor(np.log2(np.abs(block).max())) - top))
            expected[line, at : at + 32] = (
                np.clip(block / scale, -largest, largest).astype(kind).astype(np.float32) * scale
            )
    np.testing.assert_array_equal(SCHEMES[name].restored(values), expected)


def test_scales_are_numbers_of_their_formats() -> None:
    """E8M0 and E4M3 hold them without loss."""
    values = noise(16, 64) * np.float32(1e-4)
    powers, fractions = microscaled(values, E2M1).scales, nvfp4(values).scales
    np.testing.assert_array_equal(powers.astype(ml_dtypes.float8_e8m0fnu).astype(np.float32), powers)
    np.testing.assert_array_equal(fractions.astype(ml_dtypes.float8_e4m3fn).astype(np.float32), fractions)
    assert fractions.max() == E4M3.largest
    assert (fractions >= 0).all()


def test_integers_by_hand() -> None:
    """Eight bits: 127 steps; four: 7.5 steps to either side, or fifteen from the smallest to the largest."""
    assert SCHEMES["int8"].restored(row(127, -3.4, 2.6))[0, :3].tolist() == [127, -3, 3]
    assert SCHEMES["int4-32"].restored(row(7.5, -7.5, 3.2, 0.4))[0, :4].tolist() == [7, -8, 3, 0]
    assert SCHEMES["int4-32-asym"].restored(row(12, -3, 4.4))[0, :3].tolist() == [12, -3, 4]


def test_a_shifted_group_has_no_loss_where_sixteen_steps_suffice() -> None:
    """Any sixteen numbers at equal distances that include zero, which a symmetric group cannot hold."""
    values = row(*np.arange(-5, 11) * 0.5)
    np.testing.assert_array_equal(SCHEMES["int4-32-asym"].restored(values), values)
    assert not np.array_equal(SCHEMES["int4-32"].restored(values), values)


def test_fp8_fills_the_format_by_tensor_row_and_tile() -> None:
    """The largest of each part is kept exactly, and a row of small numbers is better off with a scale of its own."""
    values = np.concatenate([noise(128, 256), noise(128, 256, seed=9) * np.float32(1e-6)])
    found = {name: SCHEMES[name].restored(values) for name in ("fp8-tensor", "fp8-row", "fp8-128x128")}
    peak = np.unravel_index(np.abs(values).argmax(), values.shape)
    assert all(abs(each[peak] / values[peak] - 1) < 1e-6 for each in found.values())
    small = {name: np.abs(each[128:] - values[128:]).max() for name, each in found.items()}
    assert small["fp8-tensor"] > 10 * small["fp8-row"]
    assert small["fp8-128x128"] < 2 * small["fp8-row"]


def test_a_tile_is_128_by_128() -> None:
    """A number changes what becomes of its own tile and of no other, also where tiles are cut off."""
    values = noise(200, 300)
    louder = values.copy()
    louder[130, 140] = 1e4
    changed = np.argwhere(SCHEMES["fp8-128x128"].restored(values) != SCHEMES["fp8-128x128"].restored(louder))
    assert changed.min(axis=0).tolist() == [TILE, TILE]
    assert (changed.max(axis=0) < [200, 2 * TILE]).all()


@every
def test_zeros_ragged_rows_and_stacks(name: str) -> None:
    """Nothing but zeros stays so; rows need not fill their last block; each matrix of a stack is by itself."""
    scheme = SCHEMES[name]
    assert not scheme.restored(np.zeros((3, 40), np.float32)).any()
    values = noise(5, 45)
    assert np.abs(scheme.restored(values) - values).max() < 0.9
    stack = np.stack([values, values * np.float32(1000)])
    np.testing.assert_array_equal(scheme.restored(stack)[0], scheme.restored(values))
    np.testing.assert_array_equal(scheme.restored(stack)[1], scheme.restored(values * np.float32(1000)))


@every
def test_restoring_twice_changes_nothing_more_where_scales_are_powers_of_two(name: str) -> None:
    """What is on the grid of a format stays there."""
    if not name.startswith(("mx", "bf", "fp16")):
        return
    once = SCHEMES[name].restored(noise(4, 64))
    np.testing.assert_array_equal(SCHEMES[name].restored(once), once)


def test_what_is_no_number_spoils_its_block_only() -> None:
    """Microscaling: NaN or infinity makes the scale NaN."""
    values = noise(1, 64)
    values[0, 3] = np.inf
    found = SCHEMES["mxfp4"].restored(values)
    assert np.isnan(found[0, :32]).all()
    assert np.isfinite(found[0, 32:]).all()


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("mxfp4", 4.25),
        ("nvfp4", 4.5),
        ("mxfp6", 6.25),
        ("mxfp8", 8.25),
        ("int4-32", 4.5),
        ("int4", 4.125),
        ("bf16", 16),
    ],
)
def test_bits_include_scales(name: str, bits: float) -> None:
    """Of a large matrix, but for a number or two that a tensor or row has."""
    assert scheme_of(name).stored_bits((4096, 4096)) / 4096**2 == pytest.approx(bits, abs=1e-4)


def test_bits_count_every_part() -> None:
    """Cut-off blocks have whole scales, and each matrix of a stack its own."""
    assert SCHEMES["nvfp4"].stored_bits((2, 3, 17)) == 2 * (3 * 17 * 4 + 3 * 2 * 8 + 32)
    assert SCHEMES["fp8-128x128"].stored_bits((129, 128)) == 129 * 128 * 8 + 2 * 32
    assert SCHEMES["fp8-tensor"].stored_bits((129, 128)) == 129 * 128 * 8 + 32


def test_names() -> None:
    """A format's name alone means its usual variant; unknown ones are told what comes nearest."""
    assert scheme_of(" FP8 ").name == "fp8-row"
    assert scheme_of("int4_128").name == "int4-128"
    assert scheme_of("awq").name == "int4-128"
    with pytest.raises(PlanError, match="did you mean nvfp4"):
        scheme_of("nvfp5")


def test_more_bits_and_smaller_blocks_lose_less() -> None:
    """On normal numbers, which is what weights nearly are."""
    values = noise(256, 512)
    lost = {name: float(np.linalg.norm(scheme.restored(values) - values)) for name, scheme in SCHEMES.items()}
    assert lost["bf16"] < lost["int8"] < lost["fp8-row"] < lost["mxfp8"] < lost["nvfp4"] < lost["mxfp4"]
    assert lost["int4-32-asym"] < lost["int4-32"] < lost["int4-128"]
    assert lost["mxfp6-e2m3"] < lost["mxfp6-e3m2"]
