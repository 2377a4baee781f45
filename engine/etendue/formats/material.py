"""A baked material's tensors as plain floats, whatever formats they are stored in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.formats import latents, weights

MAX_RESOLUTION = 16384


def latent_format(header: Mapping[str, Any]) -> str:
    """Name of the latents' format; files older than the entry hold f16."""
    entry = header.get("latent")
    return str(entry.get("format", "f16")) if isinstance(entry, Mapping) else "f16"


def weight_format(header: Mapping[str, Any]) -> str:
    """Name of the weights' format; files older than the entry hold f32."""
    entry = header.get("weights")
    return str(entry.get("format", "f32")) if isinstance(entry, Mapping) else "f32"


def resolution(source: object, header: Mapping[str, Any]) -> int:
    """Texels per side of the finest level, a power of two; `InputError` naming `source`."""
    try:
        side = int(header["lod"]["resolution"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InputError(source, "its header has no lod.resolution", fix="Bake it again") from None
    if not 0 < side <= MAX_RESOLUTION or side & (side - 1):
        raise InputError(
            source, "lod.resolution is not usable", got=side, expected="a power of two"
        )
    return side


def texel_count(side: int) -> int:
    """Texels of all levels from `side` x `side` down to one."""
    return (4 * side * side - 1) // 3


def plain(
    header: Mapping[str, Any], tensors: Mapping[str, np.ndarray], source: object = "artifact"
) -> dict[str, np.ndarray]:
    """Tensors with `latents` (texels, 8) and all weights decoded to float32."""
    out = weights.decode(source, tensors)
    texels = texel_count(resolution(source, header))
    values = latents.decode(source, latent_format(header), tensors, texels)
    kept = {n: a for n, a in out.items() if n.partition(".")[0] != "latents"}
    return kept | {"latents": values}


def part_bytes(tensors: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Bytes by part: `latents`, `evaluator`, `sampler`, `frames`, `energy`, `albedo`, ..."""
    parts: dict[str, int] = {}
    for name, array in tensors.items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, 0) + array.nbytes
    return parts
