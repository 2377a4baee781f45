"""A perspective camera as data, and the one that frames a bounding box."""

from __future__ import annotations

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


def framing(low: np.ndarray, high: np.ndarray, size: tuple[int, int] = DEFAULT_SIZE) -> Camera:
    """Three-quarter view in which the whole box [low, high] is visible.

    With the box's corners (x, y, z) in camera axes around its centre, the distance is
    max(|x| / tan_x - z, |y| / tan_y - z) times a margin.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    centre = (low + high) / 2
    extent = high - low
    if not np.all(np.isfinite(extent)) or float(np.max(extent)) <= 0:
        low, high, centre = centre * 0 - 1, centre * 0 + 1, np.nan_to_num(centre) * 0
    back = _THREE_QUARTER / np.linalg.norm(_THREE_QUARTER)
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(back, right), back])
    grid = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    corners = (low + grid * (high - low) - centre) @ axes.T
    tan_y = np.tan(np.radians(DEFAULT_FOV_DEG) / 2)
    tan_x = tan_y * size[0] / size[1]
    needed = np.maximum(np.abs(corners[:, 0]) / tan_x, np.abs(corners[:, 1]) / tan_y)
    distance = float(np.max(needed * _MARGIN + corners[:, 2]))
    radius = float(np.linalg.norm(high - low) / 2)
    return Camera(
        origin=_tuple(centre + back * distance),
        target=_tuple(centre),
        near=max((distance - radius) * 0.1, distance * 1e-3),
        far=(distance + radius) * 100.0,
    )


def _tuple(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
