"""Neural materials with one decoder, evaluated by one copy of its networks in the kernel.

Which member a lane shows decides only where its latents and its energy table lie; oracle: the
members themselves, one `NeuralBSDF` each. Latents and tables are in memory once more, side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.bsdf.latent_store import FloatStore
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.neural_numpy import ENERGY_KNOTS
from etendue.bsdf.pyramid import LatentPyramid


class NeuralFamily:
    """Materials of one decoder."""

    def __init__(self, members: Sequence[NeuralBSDF]) -> None:
        import drjit as dr
        import mitsuba as mi

        self._mi, self._first = mi, members[0]
        stores = [m.pyramid.store for m in members]
        self._store = FloatStore.joined(mi, stores)
        starts = np.cumsum([0, *(store.texels for store in stores)])[:-1]
        self._starts = mi.UInt(starts.astype(np.uint32))
        self._sides = mi.UInt(np.array([m.pyramid.resolution for m in members], np.uint32))
        self._energy = dr.concat([m.energy for m in members])
        dr.eval(self._starts, self._sides, self._energy)

    def at(self, member: Any, active: Any) -> NeuralBSDF:
        """The material whose lanes each show their own `member` (UInt)."""
        import drjit as dr

        mi = self._mi
        start = dr.gather(mi.UInt, self._starts, member, active)
        side = dr.gather(mi.UInt, self._sides, member, active)
        pyramid = FamilyPyramid(mi, self._store, start, side)
        return self._first.member(pyramid, self._energy, member * ENERGY_KNOTS)


class FamilyPyramid(LatentPyramid):
    """The pyramid of each lane's material, which begins at its texel `start`."""

    def __init__(self, mi: Any, store: Any, start: Any, side: Any) -> None:
        self._mi, self.store, self._start, self._side = mi, store, start, side
        self.resolution = 0  # differs by lane

    def lod(self, footprint: Any) -> Any:
        """`LatentPyramid.lod`."""
        import drjit as dr

        side = self._mi.Float(self._side)
        return dr.minimum(dr.log2(dr.maximum(footprint * side, 1.0)), dr.log2(side))

    def _place(self, level: Any, active: Any) -> tuple[Any, Any]:
        """The levels before one of side s, down from side r, have 4 (r^2 - s^2) / 3 texels."""
        size = self._side >> level
        before = 4 * (self._side * self._side - size * size) // 3
        return self._start + before, size


def families(materials: Sequence[Any]) -> list[list[int]]:
    """Places of `materials` in groups that can share networks, in order of their first member.

    Others than neural materials with latents in single precision stay alone.
    """
    groups: dict[Any, list[int]] = {}
    for k, material in enumerate(materials):
        key: Any = k
        if isinstance(material, NeuralBSDF) and isinstance(material.pyramid.store, FloatStore):
            key = material.decoder
        groups.setdefault(key, []).append(k)
    return list(groups.values())
