"""The filter: exact for what it assumes, less noise, and no look ahead."""

from __future__ import annotations

import numpy as np

from etendue.plugins.radar_pose.smooth import FRAME, Motion, smooth, smooth_sequences

RNG = np.random.default_rng(0)
STEADY = RNG.standard_normal((15, 3)) + np.arange(200)[:, None, None] * FRAME * RNG.uniform(
    -1, 1, (15, 3)
)


def test_steady_motion_is_followed_exactly() -> None:
    np.testing.assert_allclose(smooth(STEADY)[100:], STEADY[100:], atol=1e-9)


def test_noise_becomes_less() -> None:
    motion = Motion(acceleration=1.0, detection=0.1)
    noisy = STEADY + RNG.normal(0, 0.1, STEADY.shape)
    error = (smooth(noisy, motion) - STEADY)[20:]
    assert error.std() < 0.65 * 0.1


def test_it_is_the_least_squares_line_without_acceleration() -> None:
    noisy = STEADY[:40] + RNG.normal(0, 0.1, (40, 15, 3))
    found = smooth(noisy, Motion(acceleration=0.0, detection=0.1, velocity=1e4))
    times = np.arange(40) * FRAME
    line = np.polynomial.polynomial.polyfit(times, noisy.reshape(40, -1), 1)
    last = (line[0] + line[1] * times[-1]).reshape(15, 3)
    np.testing.assert_allclose(found[-1], last, atol=1e-6)


def test_later_frames_change_nothing() -> None:
    noisy = STEADY + RNG.normal(0, 0.1, STEADY.shape)
    other = noisy.copy()
    other[60:] += 5
    other[70] = np.nan
    np.testing.assert_array_equal(smooth(noisy)[:60], smooth(other)[:60])


def test_missing_detections_are_predicted() -> None:
    holes = STEADY.copy()
    holes[:3] = np.nan
    holes[150:155] = np.nan
    before = holes.copy()
    found = smooth(holes)
    assert np.isnan(found[:3]).all() and np.isfinite(found[3:]).all()
    np.testing.assert_allclose(found[150:155], STEADY[150:155], atol=1e-8)
    np.testing.assert_array_equal(holes, before)


def test_sequences_do_not_see_each_other() -> None:
    names = ("a",) * 100 + ("b",) * 100
    found = smooth_sequences(STEADY, names)
    np.testing.assert_array_equal(found[100:], smooth(STEADY[100:]))
    assert np.isnan(smooth(np.full((4, 15, 3), np.nan))).all()
    assert smooth(np.zeros((0, 15, 3))).shape == (0, 15, 3)
