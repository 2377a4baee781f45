"""Rays of pinhole cameras, and the cube that a field fills."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.core.errors import InputError


@dataclass(frozen=True)
class Cube:
    """Where the unit cube of a field lies in the world: centre and side."""

    centre: tuple[float, float, float]
    side: float

    @classmethod
    def around(cls, low: Any, high: Any, margin: float = 1.02) -> Cube:
        """The smallest cube about the box from `low` to `high`, and a little more."""
        a, b = np.asarray(low, float), np.asarray(high, float)
        side = float((b - a).max()) * margin
        if not (np.isfinite(a).all() and np.isfinite(b).all() and side > 0):
            raise InputError("box", "has no size", got=f"{a.tolist()} to {b.tolist()}")
        x, y, z = ((a + b) / 2).tolist()
        return cls((x, y, z), side)

    def record(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"centre": list(self.centre), "side": self.side}


@dataclass(frozen=True)
class Rays:
    """n rays in the unit cube's coordinates."""

    origin: Tensor  # (n, 3)
    direction: Tensor  # (n, 3) unit

    def __len__(self) -> int:
        return len(self.origin)

    def rows(self, index: Any) -> Rays:
        """The chosen rays."""
        return Rays(self.origin[index], self.direction[index])


@dataclass(frozen=True)
class View:
    """A pinhole camera: pose (4, 4) from camera to world, OpenGL axes (right, up, backward)."""

    pose: np.ndarray
    width: int
    height: int
    focal: tuple[float, float]  # px
    principal: tuple[float, float]  # px, from the upper left corner

    def rays(self, cube: Cube, pixels: Tensor | None = None) -> Rays:
        """Rays through the middle of `pixels` (m,), counted by rows; all of them by default."""
        if pixels is None:
            pixels = torch.arange(self.width * self.height)
        return self._through(cube, pixels % self.width, pixels // self.width)

    def _through(self, cube: Cube, column: Tensor, row: Tensor) -> Rays:
        pose = torch.from_numpy(self.pose.astype(np.float32))
        x = (column + 0.5 - self.principal[0]) / self.focal[0]
        y = (row + 0.5 - self.principal[1]) / self.focal[1]
        local = torch.stack([x, -y, -torch.ones_like(x)], -1)
        d = torch.nn.functional.normalize(local @ pose[:3, :3].T, dim=-1)
        origin = (pose[:3, 3] - torch.tensor(cube.centre)) / cube.side + 0.5
        return Rays(origin.expand(len(d), 3), d)


def look_at(origin: Any, target: Any, up: Any = (0.0, 1.0, 0.0)) -> np.ndarray:
    """Pose (4, 4) of a camera at `origin` that looks at `target`."""
    o, t = np.asarray(origin, float), np.asarray(target, float)
    back = o - t
    back /= np.linalg.norm(back)
    right = np.cross(np.asarray(up, float), back)
    if np.linalg.norm(right) < 1e-6:  # straight up or down
        right = np.cross([0.0, 0.0, 1.0], back)
        if np.linalg.norm(right) < 1e-6:
            right = np.cross([1.0, 0.0, 0.0], back)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = right, np.cross(back, right), back, o
    return pose


def sphere(count: int, lowest: float = -1.0) -> np.ndarray:
    """`count` unit vectors (count, 3), y up, evenly on the sphere above y = `lowest`.

    A Fibonacci lattice: neighbours in number are far apart, so any run of them is spread out.
    """
    k = np.arange(count) + 0.5
    y = 1 - (1 - lowest) * k / count
    phi = k * math.pi * (3 - math.sqrt(5))
    r = np.sqrt(np.maximum(1 - y * y, 0))
    return np.stack([r * np.cos(phi), y, r * np.sin(phi)], -1)
