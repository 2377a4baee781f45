"""Are two noisy pictures of the same scene compatible? A z-test per pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError

ALPHA = 0.01  # chance that a picture without error has any pixel rejected
PASS_FRACTION = 0.9975


@dataclass(frozen=True)
class ZTest:
    """Result of `z_test`."""

    p_values: np.ndarray  # (H, W), two-sided, of each pixel's luminance difference
    threshold: float  # p values below it reject their pixel
    fraction: float  # of pixels that are not rejected
    mean_z: float  # z of the difference of the picture means
    passed: bool


def z_test(
    a: np.ndarray,
    b: np.ndarray,
    variance_a: np.ndarray,
    variance_b: np.ndarray | float = 0.0,
    *,
    alpha: float = ALPHA,
    pass_fraction: float = PASS_FRACTION,
) -> ZTest:
    """Compare pictures whose pixel means have the given variances (per channel).

    z = (a - b) / sqrt(var_a + var_b) of the mean of the channels, whose variance is bounded by
    the mean of their standard deviations squared; a pixel is rejected when its p value is below
    1 - (1 - alpha)^(1 / pixels) (Sidak 1967), and the test passes when at least `pass_fraction`
    of the pixels are not.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim not in (2, 3):
        raise InputError("z-test", "pictures of different sizes", got=f"{a.shape} and {b.shape}")
    total = np.broadcast_to(variance_a, a.shape) + np.broadcast_to(variance_b, a.shape)
    for name, array in (("first", a), ("second", b), ("variance", total)):
        if not np.isfinite(array).all():
            raise InputError("z-test", f"NaN or infinite values in the {name} picture")
    difference, deviation = a - b, np.sqrt(total)
    if a.ndim == 3:
        difference, deviation = difference.mean(-1), deviation.mean(-1)
    # pixels without variance must agree up to the rounding of float32
    floor = 1e-6 * (1.0 + np.abs(a).max(-1) if a.ndim == 3 else 1.0 + np.abs(a))
    p = _two_sided(difference / np.maximum(deviation, floor))
    threshold = 1.0 - (1.0 - alpha) ** (1.0 / p.size)
    fraction = float((p >= threshold).mean())
    spread = math.sqrt(float((np.maximum(deviation, floor) ** 2).sum()))
    mean_z = float(difference.sum()) / spread
    return ZTest(p, threshold, fraction, mean_z, fraction >= pass_fraction)


def _two_sided(z: np.ndarray) -> np.ndarray:
    """P(|Z| >= |z|) of a standard normal variable, erfc(|z| / sqrt 2)."""
    from scipy.special import erfc

    return erfc(np.abs(z) / math.sqrt(2.0))
