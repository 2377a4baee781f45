"""Which level of a baked material's pyramid each pixel sees."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.render.path.camera_rays import Block, Window, pixel_cone, primary_rays, start_paths
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.footprint import footprint

NO_LEVEL = -1.0  # where the material has no pyramid


def render_levels(scene: Any, table: InlineTable, camera: Any, window: Window) -> np.ndarray:
    """Level (H, W) float32 at the first surface, fractional, `NO_LEVEL` elsewhere."""
    block = Block(0, window.width * window.height, 0, 1, 1)
    x, y, rng = start_paths(window, block, 0)
    ray, _ = primary_rays(camera, window, x, y, rng)
    si = scene.ray_intersect(ray, mi.RayFlags.All, True, True)
    side = footprint(si, pixel_cone(camera, window)).side
    level = mi.Float(NO_LEVEL)
    if table:
        number = table.lookup(si.bsdf(), si.is_valid())
        for index, inline in enumerate(table.materials):
            pyramid = getattr(inline, "pyramid", None)
            if pyramid is not None:
                level = dr.select(number == index, pyramid.lod(side), level)
    level = level + dr.zeros(mi.Float, block.pixels)
    return level.numpy().astype(np.float32).reshape(window.height, window.width)
