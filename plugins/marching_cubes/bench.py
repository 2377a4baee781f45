"""A smooth field and a noisy one on a 96^3 grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from etendue.plugins.marching_cubes import kernels, model

CELLS = 96


def cases() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Every implementation that runs on a processor, on few triangles and on many."""
    smooth = model.example({"nx": CELLS, "ny": CELLS, "nz": CELLS}, 0)
    noise = np.random.default_rng(0).random((CELLS // 2,) * 3, np.float32)
    noisy = {"values": noise, "level": np.asarray(0.5, np.float32)}
    for kind, inputs in (("smooth 96^3", smooth), ("noise 48^3", noisy)):
        yield f"skimage, {kind}", model.by_skimage, inputs
        yield f"torch, {kind}", kernels.by_torch, inputs
