"""How noisy a picture looks: the standard error of what a display of gamma 2 shows.

A pixel's mean x with standard error s is shown as sqrt(x), whose standard error is s / (2 sqrt x);
0.01 is two and a half of 255 steps. Dark pixels are held at `DARK`, where a display shows nothing.
"""

from __future__ import annotations

import numpy as np

DARK = 0.01  # radiance added to the pixel's own, so that black does not ask for infinite work


def squared_noise(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Squared noise of each pixel (...) from means and variances of means (..., 3)."""
    return (variance / (4.0 * (np.maximum(mean, 0.0) + DARK))).mean(-1)


def noise(mean: np.ndarray, variance: np.ndarray) -> float:
    """Root mean square over a picture; infinite where a pixel has a single sample."""
    return float(np.sqrt(squared_noise(mean.astype(np.float64), variance).mean()))


def sample_variance(sums: np.ndarray, samples: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and unbiased variance of a sample (..., 3) from sums of values and squares (..., 6)."""
    mean = sums[..., :3] / samples
    spread = np.maximum(sums[..., 3:] / samples - mean * mean, 0.0)
    return mean, spread * (samples / (samples - 1.0))
