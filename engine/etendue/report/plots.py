"""Plots of a report as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
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
        2, (len(curves) + 1) // 2, figsize=(9.0, 5.6), subplot_kw={"projection": "polar"}
    )
    for axis, (degrees, angles, reference, neural) in zip(axes.flat, curves, strict=False):
        for c, color in enumerate(COLORS):
            axis.plot(angles, np.cbrt(np.maximum(reference[:, c], 0)), color=color, lw=2.4)
            axis.plot(angles, np.cbrt(np.maximum(neural[:, c], 0)), color="k", lw=0.9, ls="--")
        axis.set(theta_zero_location="N", theta_direction=-1, thetamin=-90, thetamax=90)
        axis.set_yticklabels([])
        axis.set_title(f"incidence {degrees:.0f}°", fontsize=10, y=0.86)
        tail = (np.radians(-degrees), axis.get_rmax())
        axis.annotate("", (tail[0], 0), tail, arrowprops={"arrowstyle": "->", "color": "0.5"})
    figure.suptitle(title, fontsize=10)
    figure.subplots_adjust(left=0.02, right=0.98, bottom=-0.04, top=0.92, hspace=-0.12, wspace=0.06)
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


def energy(albedo: Mapping[str, Any], reciprocity: Mapping[str, Any]) -> bytes:
    """Directional albedo over cos theta_i beside the reciprocity error over its difference."""
    plt = _pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 2.6))
    for name, color in (("largest", COLORS[0]), ("mean", COLORS[2])):
        left.plot(albedo["cosines"], albedo[f"{name}_by_cosine"], color=color, label=name)
    left.axhline(1, color="0.6", lw=0.8)
    left.set(xlabel="cos θi", ylabel="directional albedo", ylim=(0, 1.1))
    left.legend(fontsize=8)
    curve = reciprocity["by_difference_of_cosines"]
    right.bar(np.arange(len(curve)) * 0.15 + 0.075, curve, 0.13, color=COLORS[1])
    right.set(xlabel="|cos θi – cos θo|", ylabel="reciprocity error")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.tight_layout()
    return _png(figure)


def transmission(sides: Sequence[Mapping[str, Any]]) -> bytes:
    """Reflected and transmitted light over |cos theta_i|, a panel per side."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, len(sides), figsize=(4.5 * len(sides), 2.8), squeeze=False)
    for axis, side in zip(axes.flat, sides, strict=True):
        for what, color in (("reflected", COLORS[0]), ("transmitted", COLORS[2])):
            axis.plot(side["cosines"], side[f"reference_{what}"], color=color, lw=2.4, label=what)
            axis.plot(side["cosines"], side[f"neural_{what}"], color="k", lw=0.9, ls="--")
        axis.set(xlabel="|cos θi|", ylim=(0, 1.05))
        axis.set_title("seen from outside" if side["above"] else "seen from inside", fontsize=10)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    return _png(figure)


def front(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Mean FLIP over bytes and over render time; the best of each are joined."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.2), sharey=True)
    for axis, cost, best, label in (
        (axes[0], "bytes", "best_by_size", "bytes"),
        (axes[1], "render_ms", "best_by_time", "render time, ms"),
    ):
        for row in rows:
            color = COLORS[1] if row[best] else "0.5"
            axis.plot(row[cost], row["mean_flip"], "o", color=color)
            place = {"textcoords": "offset points", "xytext": (5, 4), "fontsize": 9}
            axis.annotate(row["label"], (row[cost], row["mean_flip"]), **place)
        chain = sorted((row[cost], row["mean_flip"]) for row in rows if row[best])
        axis.plot(*zip(*chain, strict=True), color=COLORS[1], lw=1, alpha=0.6)
        axis.set(xlabel=label, ylim=(0, None))
        axis.margins(x=0.2)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean FLIP")
    figure.tight_layout()
    return _png(figure)
