"""A picture of a frame: power over the floor, and speeds over ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from etendue.core.files import atomic_path
from etendue.render.radar.process import Processing, tensor
from etendue.render.radar.sensor import Radar

DEPTH = 60.0  # dB below the strongest that are shown
BINS = (128, 16)


def maps(radar: Radar, adc: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Power in dB of `floor` (range, u) and `speed` (speed, range), and the axes."""
    made = tensor(radar, adc, BINS, Processing())
    power = np.square(np.abs(made.values))
    found = {"floor": power.max((0, 3)), "speed": power.max((2, 3))}
    axes = {"range": made.ranges, "u": made.u, "speed": made.speeds}
    return {k: 10 * np.log10(np.maximum(v, 1e-30)) for k, v in found.items()}, axes


def draw(path: Path, radar: Radar, adc: np.ndarray) -> None:
    """Write both as a .png."""
    from matplotlib.figure import Figure

    found, axes = maps(radar, adc)
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    r, u = np.meshgrid(axes["range"], axes["u"], indexing="ij")
    inside = np.abs(u) < 1
    shown = np.where(inside, found["floor"], np.nan)
    y, x = r * u, r * np.sqrt(np.where(inside, 1 - u**2, 0))
    top = float(np.nanmax(shown))
    left.pcolormesh(y, x, shown, vmin=top - DEPTH, vmax=top, shading="auto", cmap="magma")
    left.invert_xaxis()
    left.set(xlabel="left (m)", ylabel="ahead (m)", aspect="equal", title="strongest, dB")
    span = axes["speed"][0], axes["speed"][-1], axes["range"][0], axes["range"][-1]
    top = float(found["speed"].max())
    picture = right.imshow(found["speed"].T, vmin=top - DEPTH, vmax=top, origin="lower",
                           extent=span, aspect="auto", cmap="magma")  # fmt: skip
    right.set(xlabel="speed (m/s)", ylabel="range (m)", title="strongest, dB")
    figure.colorbar(picture, ax=right)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)
