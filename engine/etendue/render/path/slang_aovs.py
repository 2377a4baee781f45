"""Auxiliary images from the shaders (`render/aov.slang`), laid out as `render.aov` gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.render.aov import CHANNELS, IDS
from etendue.render.path.camera_rays import Block, Window
from etendue.render.path.slang_scene import ALPHA
from etendue.render.path.slang_stage import Kernel
from etendue.render.path.slang_watch import Kernels
from etendue.render.path.slang_wave import Wave

AOV_AT = {"depth": 0, "position": 1, "normal": 4, "uv": 7, "albedo": 9}
AOV_AT |= {"shape_id": 12, "material_id": 13, "motion": 14, "alpha": 16}
AOV_CHANNELS = 17


def run_block(
    kernel: Kernel | Wave, fixed: Mapping[str, Any], block: Block, channels: int
) -> np.ndarray:
    """Results of one pass (pixels, groups, channels)."""
    groups = block.samples // block.group
    settings = {
        **fixed,
        "first": block.first,
        "pixels": block.pixels,
        "sample": block.sample,
        "groups": groups,
        "group": block.group,
    }
    found = kernel.run(block.pixels * groups, settings, channels)
    return found.reshape(block.pixels, groups, channels)


def auxiliary(
    kernels: Kernels,
    tracer: str,
    fixed: Mapping[str, Any],
    blocks: list[Block],
    window: Window,
    names: tuple[str, ...],
    spp: int,
    extra: int,
) -> dict[str, np.ndarray]:
    """Images as `render.aov.render_aovs` gives them; for `motion`, `fixed` has the lenses."""
    if not names:
        return {}
    extra |= ALPHA if "alpha" in names else 0
    kernel = kernels(tracer, "aov_main", features=extra)
    sums = np.zeros((window.height * window.width, AOV_CHANNELS))
    numbered = slice(AOV_AT["shape_id"], AOV_AT["material_id"] + 1)
    ids = np.zeros((len(sums), 2))
    for block in blocks:
        values = run_block(kernel, fixed, block, AOV_CHANNELS)
        where = slice(block.first, block.first + block.pixels)
        for group in range(values.shape[1]):
            sums[where] += values[:, group]
        if block.sample == 0:
            ids[where] = values[:, 0, numbered]
    means = (sums / spp).astype(np.float32)
    means[:, numbered] = ids
    means = means.reshape(window.height, window.width, AOV_CHANNELS)
    result = {}
    for name in names:
        at, count = AOV_AT[name], CHANNELS.get(name, 1)
        plain = name in IDS or count == 1
        result[name] = means[..., at] if plain else means[..., at : at + count]
    return result
