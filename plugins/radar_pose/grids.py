"""Where the voxels of a radar's tensor are: indices (z, y, x) and metres (x, y, z).

The grids are those of RT-Pose (Ho et al. 2024): x ahead of the radar, y to its left, z up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError


@dataclass(frozen=True)
class Grid:
    """Voxels in the radar's frame, as (z, y, x); index k is the middle of voxel k.

    metres = minimum + (k + 1/2) voxel.
    """

    minimum: tuple[float, float, float]  # m, outer corner of voxel 0
    voxel: tuple[float, float, float]  # m
    shape: tuple[int, int, int]

    def check(self, subject: object = "grid") -> Grid:
        """`InputError` about `subject` for what cannot be."""
        sides = np.array([*self.minimum, *self.voxel], float)
        if not np.isfinite(sides).all() or min(self.voxel) <= 0 or min(self.shape) < 1:
            raise InputError(subject, "has no voxels", got=self)
        return self

    def to_voxels(self, points: np.ndarray) -> np.ndarray:
        """Fractional indices (..., 3) as z, y, x of points (..., 3) as x, y, z in metres."""
        turned = np.asarray(points, float)[..., ::-1]
        return (turned - np.array(self.minimum)) / np.array(self.voxel) - 0.5

    def to_metres(self, indices: np.ndarray) -> np.ndarray:
        """Points (..., 3) as x, y, z in metres of fractional indices (..., 3) as z, y, x."""
        middles = np.array(self.minimum) + (np.asarray(indices, float) + 0.5) * self.voxel
        return middles[..., ::-1]

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Whether points (..., 3) as x, y, z in metres lie in some voxel: bool (...)."""
        at = self.to_voxels(points) + 0.5
        return np.asarray(((at >= 0) & (at < np.array(self.shape))).all(-1))

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Middles of the voxels along z, y and x, in metres."""
        parts = zip(self.minimum, self.voxel, self.shape, strict=True)
        z, y, x = (low + side * (np.arange(n) + 0.5) for low, side, n in parts)
        return z, y, x


# What the published tensors cover, and what their networks see of it.
RT_POSE = Grid((-5.8, -10.05, 0.0), (11.6 / 32, 20.1 / 128, 11.6 / 256), (32, 128, 256))
REGION = Grid((-1.0875, -5.025, 0.770), (5.8 / 16, 10.05 / 64, 7.25 / 160), (16, 64, 160))
