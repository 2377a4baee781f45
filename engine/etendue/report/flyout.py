"""A camera that flies out: the same picture in ever fewer pixels, neural and reference.

A picture of half the size sees every texel under a footprint of twice the side, and its
box-filtered pixels are the means of four of the larger one. Light must therefore neither fade nor
grow while the levels of the pyramid take over from each other, and between neighbouring sizes
nothing may jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.bsdf.base import InlineBSDF
from etendue.report.views import VIEWS, Stage, View

SAMPLES = 1 << 22  # of each picture, so that all have about the same noise in their mean
STEPS = 2.0 ** (-0.5 * np.arange(9))  # sizes from whole to a sixteenth, two per level


@dataclass(frozen=True)
class Stop:
    """One size of the flight; pictures are (H, W, 3) in linear units."""

    size: tuple[int, int]
    reference: np.ndarray
    neural: np.ndarray
    ratio: float  # of the means over the material's pixels, neural over reference
    error: float  # standard error of `ratio`


def fly_out(
    artifact: Path,
    reference: InlineBSDF,
    neural: InlineBSDF,
    *,
    size: tuple[int, int],
    view: View = VIEWS[2],
    samples: int = SAMPLES,
    seed: int = 31,
    advance: Callable[[str], None] = lambda what: None,
) -> list[Stop]:
    """Both materials at every size of `STEPS` times `size`."""
    stops = []
    for number, factor in enumerate(STEPS):
        width, height = (max(4, round(side * factor)) for side in size)
        advance(f"fly-out {number + 1}/{len(STEPS)}")
        stage = Stage(view, artifact, (width, height))
        spp = max(1, samples // (width * height))
        films = [
            stage.shoot(material, spp, seed, aovs=("shape_id",)) for material in (reference, neural)
        ]
        shape = np.asarray(films[1].aovs["shape_id"]).reshape(height, width)
        mask = np.isin(shape, stage.carriers)
        means = [float(film.rgb[mask].mean()) for film in films]
        noise = [np.sqrt(film.variance()[mask].sum()) / film.rgb[mask].sum() for film in films]
        ratio = means[1] / means[0]
        stops.append(
            Stop(
                (width, height), films[0].rgb, films[1].rgb, ratio, ratio * float(np.hypot(*noise))
            )
        )
    return stops


def summary(stops: list[Stop]) -> dict[str, Any]:
    """Plain JSON values: ratio by size, the drift from the largest picture, the largest step."""
    ratios = np.array([stop.ratio for stop in stops])
    return {
        "sizes": [f"{w}x{h}" for w, h in (stop.size for stop in stops)],
        "ratios": ratios.tolist(),
        "errors": [stop.error for stop in stops],
        "drift": float(np.abs(ratios / ratios[0] - 1).max()),
        "largest_step": float(np.abs(ratios[1:] / ratios[:-1] - 1).max()),
    }


def strip(stops: list[Stop], height: int = 90) -> np.ndarray:
    """Every second stop side by side, reference above neural, pixels enlarged (H, W, 3)."""
    columns = []
    for stop in stops[::2]:
        pair = [_enlarged(picture, height) for picture in (stop.reference, stop.neural)]
        columns.append(np.concatenate(pair))
    return np.concatenate(columns, axis=1)


def _enlarged(picture: np.ndarray, height: int) -> np.ndarray:
    """`picture` at another height, nearest pixels."""
    h, w = picture.shape[:2]
    width = round(w * height / h)
    rows = (np.arange(height) * h) // height
    columns = (np.arange(width) * w) // width
    return picture[rows][:, columns]
