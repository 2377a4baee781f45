"""Colour transforms: known values, round trip, luminance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.core.color import linear_to_srgb, luminance, srgb_to_linear


@pytest.mark.parametrize(
    ("encoded", "linear"), [(0.0, 0.0), (0.5, 0.2140411), (1.0, 1.0), (0.04, 0.04 / 12.92)]
)
def test_known_values(encoded: float, linear: float) -> None:
    assert srgb_to_linear(np.array(encoded)) == pytest.approx(linear, abs=1e-7)
    assert linear_to_srgb(np.array(linear)) == pytest.approx(encoded, abs=1e-6)


@given(st.floats(-0.5, 8.0))
def test_round_trip_and_monotone(value: float) -> None:
    assert linear_to_srgb(srgb_to_linear(np.array(value))) == pytest.approx(value, abs=2e-6)
    assert srgb_to_linear(np.array(value + 1e-3)) > srgb_to_linear(np.array(value))


def test_dtype_is_kept() -> None:
    assert srgb_to_linear(np.zeros(3, np.float32)).dtype == np.float32
    assert linear_to_srgb(np.zeros(3, np.float64)).dtype == np.float64


def test_luminance_of_white_and_primaries() -> None:
    assert luminance(np.ones((2, 2, 3))) == pytest.approx(1.0)
    assert luminance(np.array([0.0, 1.0, 0.0])) == pytest.approx(0.7152)
