"""The z-test accepts noise, and finds bias in few pixels or a little in all."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.ztest import z_test

SHAPE = (64, 64, 3)


def noisy(seed: int, deviation: float) -> np.ndarray:
    """Constant pictures with normal noise."""
    return 0.5 + deviation * np.random.default_rng(seed).normal(size=SHAPE)


@pytest.mark.parametrize("seed", range(5))
def test_noise_passes(seed: int) -> None:
    result = z_test(noisy(seed, 0.1), noisy(seed + 100, 0.2), np.full(SHAPE, 0.01), 0.04)
    assert result.passed and result.fraction == 1 and abs(result.mean_z) < 4


def test_p_values_are_uniform_for_grey_noise() -> None:
    a = noisy(1, 0.1)[..., 0]
    p = z_test(a, np.full(a.shape, 0.5), np.full(a.shape, 0.01)).p_values
    counts, _ = np.histogram(p, bins=8, range=(0, 1))
    assert (abs(counts - p.size / 8) < 4 * np.sqrt(p.size / 8)).all()


def test_threshold_is_corrected_for_the_number_of_pixels() -> None:
    result = z_test(noisy(1, 0.1), noisy(2, 0.1), np.full(SHAPE, 0.01), 0.01)
    assert result.threshold == pytest.approx(1 - 0.99 ** (1 / 4096))


def test_a_wrong_patch_fails() -> None:
    a, b = noisy(1, 0.1), noisy(2, 0.1)
    b[10:20, 10:20] += 1.5
    result = z_test(a, b, 0.01 * np.ones(SHAPE), 0.01)
    assert not result.passed and 0.95 < result.fraction < 0.98


def test_a_small_bias_everywhere_shows_in_the_mean() -> None:
    result = z_test(noisy(1, 0.1), noisy(2, 0.1) * 1.03, np.full(SHAPE, 0.01), 0.01)
    assert result.passed and result.mean_z < -4


def test_pixels_without_variance_must_agree() -> None:
    a = np.full(SHAPE, 0.5)
    assert z_test(a, a + 1e-7, np.zeros(SHAPE)).fraction == 1
    assert z_test(a, a + 1e-3, np.zeros(SHAPE)).fraction == 0


def test_bad_input() -> None:
    a = noisy(1, 0.1)
    with pytest.raises(InputError, match="different sizes"):
        z_test(a, a[:32], np.ones(SHAPE))
    with pytest.raises(InputError, match="variance"):
        z_test(a, a, np.full(SHAPE, np.inf))
