"""A perspective camera as data, and the one that frames a bounding box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DEFAULT_FOV_DEG = 35.0
DEFAULT_SIZE = (640, 480)
_THREE_QUARTER = np.array([0.62, 0.42, 1.0])  # from the target to the camera, y up
_MARGIN = 1.08  # free space around the framed box


@dataclass(frozen=True)
class Camera:
    """Pinhole camera looking from `origin` to `target`."""

    origin: tuple[float, float, float]
    target: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fov_deg: float = DEFAULT_FOV_DEG  # full angle of the image's height
    near: float = 1e-2
    far: float = 1e4
    aspect: float | None = None  # width / height, None = whatever the film has
    name: str = "camera"


def framing(
    low: Sequence[float],
    high: Sequence[float],
    size: tuple[int, int] = DEFAULT_SIZE,
    points: np.ndarray | None = None,
) -> Camera:
    """Three-quarter view in which the whole box [low, high], or all of `points`, is visible.

    With the points (x, y, z) in camera axes around the box's centre, z towards the camera, the
    distance is the largest of |x| / tan_x + z and |y| / tan_y + z.
    """
    corner, other = np.asarray(low, float), np.asarray(high, float)
    if not np.all(np.isfinite(other - corner)) or float(np.max(other - corner)) <= 0:
        corner, other, points = -np.ones(3), np.ones(3), None
    centre = (corner + other) / 2
    back = _THREE_QUARTER / np.linalg.norm(_THREE_QUARTER)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    if points is None:
        grid = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        points = corner + grid * (other - corner)
    local = (points.astype(np.float64) - centre) @ axes.T
    tan_y = np.tan(np.radians(DEFAULT_FOV_DEG) / 2)
    tan_x = tan_y * size[0] / size[1]
    needed = np.maximum(np.abs(local[:, 0]) / tan_x, np.abs(local[:, 1]) / tan_y)
    distance = float(np.max(needed * _MARGIN + local[:, 2]))
    radius = float(np.linalg.norm(other - corner) / 2)
    return Camera(
        origin=_tuple(centre + back * distance),
        target=_tuple(centre),
        near=max((distance - radius) * 0.1, distance * 1e-3),
        far=(distance + radius) * 100.0,
    )


def _tuple(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
