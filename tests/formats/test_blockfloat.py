"""Block floating point: the bound on any finite tensor, MX values, ragged blocks, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.formats.blockfloat import BlockFloat, Blocks

from .strategies import LARGEST, tensors


@settings(max_examples=300, deadline=None)
@given(
    x=tensors(), bits=st.integers(2, 16), block=st.integers(1, 40), axis=st.sampled_from([0, 1, -1])
)
def test_error_stays_within_the_bound(x: np.ndarray, bits: int, block: int, axis: int) -> None:
    form = BlockFloat(bits, block, axis)
    blocks = form.encode(x)
    back = form.decode(blocks)
    assert back.dtype == np.float32 and back.shape == x.shape and np.isfinite(back).all()
    error = np.abs(x.astype(np.float64) - back)
    assert (error <= form.bound(x)).all()
    assert np.abs(blocks.mantissa).max() <= form.largest and blocks.exponent.max() < 255


@settings(max_examples=100, deadline=None)
@given(x=tensors(), bits=st.integers(2, 16), block=st.integers(1, 40))
def test_bound_is_no_excuse(x: np.ndarray, bits: int, block: int) -> None:
    """It is at most 2^(2 - bits) of the block's largest value, or of 2^-126."""
    bound = BlockFloat(bits, block, 0).bound(x)
    for k in range(0, len(x), block):
        peak = np.maximum(np.abs(x[k : k + block].astype(np.float64)).max(0), 2.0**-126)
        assert (bound[k : k + block] <= peak * 2.0 ** (2 - bits)).all()


@settings(max_examples=100, deadline=None)
@given(x=tensors(dims=1), bits=st.integers(2, 16), block=st.integers(1, 40))
def test_encoding_again_changes_nothing(x: np.ndarray, bits: int, block: int) -> None:
    form = BlockFloat(bits, block)
    once = form.decode(form.encode(x))
    again = form.decode(form.encode(once))
    # unless the largest value was rounded to zero relative to its denormal step, all is kept
    np.testing.assert_array_equal(again, once)


@settings(max_examples=100, deadline=None)
@given(x=tensors(dims=1))
def test_nearest_of_all_mantissas(x: np.ndarray) -> None:
    """No other mantissa is nearer: tried one by one."""
    form = BlockFloat(4, 8)
    blocks = form.encode(x)
    for k in range(0, len(x), 8):
        step = 2.0 ** (int(blocks.exponent[k // 8]) - 127 - 2)
        every = np.arange(-7, 8) * step
        part = x[k : k + 8].astype(np.float64)
        best = np.abs(part[:, None] - every).min(1)
        np.testing.assert_array_equal(np.abs(part - blocks.mantissa[k : k + 8] * step), best)


def test_mx_int8_by_hand() -> None:
    """OCP MX: scale 2^E with E = floor(log2 max), elements are multiples of 2^-6 in ±127/64."""
    x = np.array([1.0, -1.984375, 0.0078125, 0.0234375, 1.999, 0.015625], np.float32)
    blocks = BlockFloat(8, 32).encode(x)
    assert blocks.exponent.tolist() == [127]
    # 0.5 and 1.5 steps go to even, 127.9 is clipped
    assert blocks.mantissa.tolist() == [64, -127, 0, 2, 127, 1]


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_special_blocks(bits: int) -> None:
    x = np.array(
        [[0.0] * 4, [1e-45] * 4, [LARGEST, -LARGEST, 1, 0], [1e-30, 1e30, 0, 0]], np.float32
    )
    form = BlockFloat(bits, 4)
    blocks = form.encode(x)
    back = form.decode(blocks)
    assert (back[0] == 0).all() and blocks.exponent[0, 0] == 0
    assert back[2, 0] == -back[2, 1] and back[2, 0] > 0.49 * LARGEST
    assert back[3, 1] > 0.5e30 and back[3, 0] == 0
    assert (np.abs(back - x.astype(np.float64)) <= form.bound(x)).all()


def test_bits_are_those_of_the_paper() -> None:
    assert BlockFloat(4, 32).bits_per_value() == 4.25
    assert BlockFloat(8, 32).bits_per_value() == 8.25


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(value: float) -> None:
    x = np.zeros((3, 5), np.float32)
    x[2, 1] = value
    with pytest.raises(InputError, match=rf"w\.0\[2, 1\]: cannot be encoded; got {value}"):
        BlockFloat().encode(x, "w.0")


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match=r"x\[0\]: cannot be encoded; got 1e\+200"):
        BlockFloat().encode(np.array([1e200]), "x")
    with pytest.raises(InputError, match="wrong kind of numbers; got int64, expected floats"):
        BlockFloat().encode(np.array([1]), "x")
    with pytest.raises(InputError, match="no axis"):
        BlockFloat().encode(np.array(1.0), "x")
    for bits in (1, 17):
        with pytest.raises(InputError, match=r"expected 2\.\.16"):
            BlockFloat(bits)
    with pytest.raises(InputError, match="block"):
        BlockFloat(8, 0)


def test_empty() -> None:
    blocks = BlockFloat(8, 32).encode(np.zeros((4, 0), np.float32))
    assert isinstance(blocks, Blocks) and BlockFloat(8, 32).decode(blocks).shape == (4, 0)
