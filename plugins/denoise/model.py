"""Open Image Denoise on pictures of the host.

Render with a box filter: others spread one sample over several pixels, and the network takes
correlated noise for detail. The parts of `etendue render --aov albedo,normal` keep textures and
edges.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.core.image import require_finite
from etendue.plugins.slots import Caps, Tensor, Tensors, to_numpy


def high(seed: int) -> Callable[..., Tensors]:
    """The best quality; the filter is not random, so `seed` changes nothing."""
    import mitsuba_oidn

    def run(color: Tensor, albedo: Tensor | None = None, normal: Tensor | None = None) -> Tensors:
        picture = require_finite("denoise: color", to_numpy(color))
        if picture.min() < 0:
            raise InputError("denoise: color", "is negative", got=float(picture.min()))
        guides: dict[str, Any] = {
            name: require_finite(f"denoise: {name}", to_numpy(guide))
            for name, guide in (("albedo", albedo), ("normal", normal))
            if guide is not None
        }
        result = mitsuba_oidn.denoise(
            picture, hdr=True, quality=mitsuba_oidn.Quality.High, **guides
        )
        return {"color": np.array(result)}  # the library keeps its own buffer

    return run


def needs_color_for_guides(inputs: Mapping[str, Tensor], caps: Caps) -> list[str]:
    """Open Image Denoise takes normals only together with albedo."""
    if "normal" in inputs and "albedo" not in inputs:
        return ["takes normal only together with albedo"]
    return []


def example(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """A checkered floor in a light that falls off, with the noise of few samples."""
    h, w = sizes["h"], sizes["w"]
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    check = ((x // 8 + y // 8) % 2).astype(np.float32)[..., None]
    albedo = 0.2 + 0.6 * check * np.array([1.0, 0.7, 0.4], np.float32)
    light = 2.0 * np.exp(-((x / w - 0.5) ** 2 + (y / h - 0.5) ** 2) * 4.0)[..., None]
    noise = rng.gamma(2.0, 0.5, (h, w, 1)).astype(np.float32)
    normal = np.broadcast_to(np.array([0.0, 0.0, 1.0], np.float32), (h, w, 3))
    return {
        "color": (albedo * light * noise).astype(np.float32),
        "albedo": albedo.astype(np.float32),
        "normal": np.ascontiguousarray(normal),
    }
