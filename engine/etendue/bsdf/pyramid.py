"""Mip pyramid of latent vectors in one flat buffer, stored in any of the formats of latents."""

from __future__ import annotations

from typing import Any

import numpy as np

LATENTS = 8


def level_sizes(resolution: int) -> tuple[int, ...]:
    """Side of every level from `resolution` (a power of two) down to 1."""
    return tuple(resolution >> k for k in range(resolution.bit_length()))


def level_offsets(resolution: int) -> tuple[int, ...]:
    """First texel of every level in the flat buffer, and the total as last entry."""
    sizes = level_sizes(resolution)
    return (0, *np.cumsum([s * s for s in sizes]).tolist())


class LatentPyramid:
    """Bilinear, wrapping lookup of 8 latents at one integer level per lane."""

    def __init__(self, mi: Any, store: Any, resolution: int) -> None:
        import drjit as dr

        self._mi, self.store, self.resolution = mi, store, resolution
        self._offsets = mi.UInt(np.array(level_offsets(resolution)[:-1], np.uint32))
        self.levels = len(level_sizes(resolution))
        self._size = dr.opaque(mi.UInt, resolution)  # kernels do not depend on the number
        dr.eval(self._offsets)

    def lod(self, footprint: Any) -> Any:
        """Fractional level whose texel has the side `footprint` (uv units), clamped."""
        import drjit as dr

        texels = dr.maximum(footprint * float(self.resolution), 1.0)
        return dr.minimum(dr.log2(texels), float(self.levels - 1))

    def lookup(self, uv: Any, level: Any, active: Any) -> list[Any]:
        """Eight latents at `uv` on the integer `level` (UInt), as a list of Float."""
        import drjit as dr

        mi = self._mi
        if self.resolution == 1:
            return self.store.gather(dr.zeros(mi.UInt, dr.width(uv)), active)
        base, size = self._place(level, active)
        mask = mi.Int(size) - 1
        p = (uv - dr.floor(uv)) * mi.Float(size) - 0.5
        corner = dr.floor(p)
        t = p - corner
        x0, y0 = mi.Int(corner.x) & mask, mi.Int(corner.y) & mask
        x1, y1 = (x0 + 1) & mask, (y0 + 1) & mask
        rows = [base + mi.UInt(y) * size for y in (y0, y1)]
        taps = [self.store.gather(row + mi.UInt(x), active) for row in rows for x in (x0, x1)]
        return [
            dr.lerp(dr.lerp(taps[0][c], taps[1][c], t.x), dr.lerp(taps[2][c], taps[3][c], t.x), t.y)
            for c in range(LATENTS)
        ]

    def _place(self, level: Any, active: Any) -> tuple[Any, Any]:
        """First texel and side (UInt) of `level`."""
        import drjit as dr

        base = dr.gather(self._mi.UInt, self._offsets, level, active)
        return base, self._size >> level

    def texel(self, index: Any, active: Any) -> list[Any]:
        """Eight latents of the texel with the flat `index` (UInt)."""
        return self.store.gather(index, active)
