"""Boxes and cylinders with a material: what rooms and furniture are put together from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from etendue.scene.mesh import Mesh

# corners are numbered x + 2 y + 4 z; each side counter-clockwise seen from outside
_SIDES = ((0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5))
AROUND = 16


@dataclass(frozen=True)
class Solid:
    """An upright box, or the upright cylinder inside of it."""

    name: str
    material: str  # of `surfaces.MATERIALS`
    low: tuple[float, float, float]  # m
    high: tuple[float, float, float]
    round: bool = False

    def mesh(self) -> Mesh:
        """Triangles, flat-shaded."""
        low, high = np.array(self.low), np.array(self.high)
        points, faces = _CYLINDER if self.round else _BOX
        return Mesh((low + points * (high - low)).astype(np.float32), faces)

    def turned(self, quarters: int) -> Solid:
        """After turns by 90 degrees about z, from x to y."""
        low, high = np.array(self.low), np.array(self.high)
        for _ in range(quarters % 4):
            low, high = (
                np.array([-high[1], low[0], low[2]]),
                np.array([-low[1], high[0], high[2]]),
            )
        return replace(self, low=_three(low), high=_three(high))

    def moved(self, x: float, y: float, z: float = 0.0) -> Solid:
        """Somewhere else."""
        offset = np.array([x, y, z])
        return replace(
            self, low=_three(np.array(self.low) + offset), high=_three(np.array(self.high) + offset)
        )


def bounds(solids: tuple[Solid, ...] | list[Solid]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (3,), (3,) of the box around several solids."""
    return (
        np.min([solid.low for solid in solids], 0),
        np.max([solid.high for solid in solids], 0),
    )


def _three(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])


def _box() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], np.float64)
    quads = np.array(_SIDES, np.uint32)
    return corners, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _cylinder() -> tuple[np.ndarray, np.ndarray]:
    angle = 2 * np.pi * np.arange(AROUND) / AROUND
    ring = 0.5 + 0.5 * np.stack([np.cos(angle), np.sin(angle)], -1)
    low = np.concatenate([ring, np.zeros((AROUND, 1))], -1)
    high = np.concatenate([ring, np.ones((AROUND, 1))], -1)
    points = np.concatenate([low, high, [[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]]])
    i = np.arange(AROUND)
    j, n = (i + 1) % AROUND, AROUND
    faces = np.concatenate(
        [
            np.stack([i, j, j + n], -1),
            np.stack([i, j + n, i + n], -1),
            np.stack([0 * i + 2 * n, j, i], -1),
            np.stack([0 * i + 2 * n + 1, i + n, j + n], -1),
        ]
    )
    return points, faces.astype(np.uint32)


_BOX, _CYLINDER = _box(), _cylinder()
