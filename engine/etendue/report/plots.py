"""Plots of a report as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

COLORS = ("#c0392b", "#27863a", "#2c5fa8")


def _png(figure: Any) -> bytes:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return buffer.getvalue()


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def polar(curves: Sequence[tuple[float, np.ndarray, np.ndarray, np.ndarray]], title: str) -> bytes:
    """Polar plots, one per (incidence, angles, reference, neural); radius = cube root of f cos."""
    plt = _pyplot()
    figure, axes = plt.subplots(
        1, len(curves), figsize=(3.4 * len(curves), 2.6), subplot_kw={"projection": "polar"}
    )
    for axis, (degrees, angles, reference, neural) in zip(np.atleast_1d(axes), curves, strict=True):
        for c, color in enumerate(COLORS):
            axis.plot(angles, np.cbrt(np.maximum(reference[:, c], 0)), color=color, lw=1.6)
            axis.plot(angles, np.cbrt(np.maximum(neural[:, c], 0)), color=color, lw=1.0, ls="--")
        axis.set_theta_zero_location("N")
        axis.set_theta_direction(-1)
        axis.set_thetamin(-90)
        axis.set_thetamax(90)
        axis.set_yticklabels([])
        axis.set_title(f"incidence {degrees:.0f}°", fontsize=9)
        axis.annotate(
            "",
            xy=(np.radians(-degrees), 0),
            xytext=(np.radians(-degrees), axis.get_rmax()),
            arrowprops={"arrowstyle": "->", "color": "0.4"},
        )
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return _png(figure)


def training(history: Sequence[Sequence[float]]) -> bytes:
    """Loss over steps."""
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(6.0, 2.4))
    steps, losses = np.array(history, dtype=float).reshape(-1, 2).T
    axis.semilogy(steps, losses, color="#444")
    axis.set_xlabel("step")
    axis.set_ylabel("loss")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    return _png(figure)
