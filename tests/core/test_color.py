"""Colour transforms: known values, round trip, luminance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.core.color import (
    ACESCG,
    REC709,
    convert_primaries,
    linear_to_srgb,
    luminance,
    primaries_matrix,
    rgb_to_xyz,
    srgb_to_linear,
)


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


def test_rec709_to_xyz_is_the_standard_matrix() -> None:
    """IEC 61966-2-1, annex F, to its four places."""
    standard = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    np.testing.assert_allclose(rgb_to_xyz(REC709), standard, atol=1e-4)


def test_rec709_to_acescg_is_the_published_matrix() -> None:
    """As the ACES configurations of OpenColorIO have it (Bradford, D65 to D60)."""
    published = [
        [0.61309732, 0.33952285, 0.04737928],
        [0.07019422, 0.91635557, 0.01345259],
        [0.02061560, 0.10956983, 0.86981512],
    ]
    np.testing.assert_allclose(primaries_matrix(REC709, ACESCG), published, atol=2e-5)


@given(st.tuples(*[st.floats(-1.0, 50.0)] * 3))
def test_primaries_there_and_back(values: tuple[float, float, float]) -> None:
    rgb = np.array(values)
    there = convert_primaries(rgb, REC709, ACESCG)
    np.testing.assert_allclose(convert_primaries(there, ACESCG, REC709), rgb, atol=1e-11)


def test_grey_and_alpha_stay() -> None:
    pixels = np.full((2, 3, 4), 0.25, np.float32)
    turned = convert_primaries(pixels, REC709, ACESCG)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned, pixels, rtol=1e-6)
    pixels[..., 0] = 1.0
    np.testing.assert_array_equal(convert_primaries(pixels, REC709, ACESCG)[..., 3], 0.25)
