"""Plots are pictures that change with their data and are equal for equal data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.image import read_image
from etendue.report import plots

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _curves(count: int, scale: float) -> list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]:
    angles = np.radians(np.linspace(-89, 89, 91))
    reference = np.cos(angles)[:, None] * [0.3, 0.2, 0.1]
    return [(20.0 * k, angles, reference, scale * reference) for k in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 4])
def test_polar(tmp_path: Path, count: int) -> None:
    one = plots.polar(_curves(count, 0.5), "title")
    assert one.startswith(SIGNATURE)
    assert one == plots.polar(_curves(count, 0.5), "title")
    assert one != plots.polar(_curves(count, 0.9), "title")
    (tmp_path / "polar.png").write_bytes(one)
    image = read_image(tmp_path / "polar.png")
    assert image.std() > 0.01


def test_polar_takes_noise_below_zero() -> None:
    degrees, angles, reference, neural = _curves(1, 1.0)[0]
    assert plots.polar([(degrees, angles, reference - 0.05, neural)], "x").startswith(SIGNATURE)


def test_training(tmp_path: Path) -> None:
    history = [[k, 1 / k] for k in range(1, 40)]
    png = plots.training(history)
    assert png.startswith(SIGNATURE) and png == plots.training(history)
    assert png != plots.training(history[:10])


def test_no_figure_stays_open() -> None:
    import matplotlib.pyplot as plt

    plots.training([[1, 0.5], [2, 0.3]])
    plots.polar(_curves(2, 1.0), "x")
    assert plt.get_fignums() == []
