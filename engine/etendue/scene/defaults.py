"""What a scene gets when its file names no light: a soft studio, made of arithmetic."""

from __future__ import annotations

import numpy as np

_WARM, _COOL, _WHITE = (1.0, 0.93, 0.84), (0.86, 0.93, 1.0), (1.0, 1.0, 1.0)
# direction to the centre, half width and height (tangents), radiance, tint
_SOFTBOXES = (
    ((-0.75, 0.85, 0.75), (0.42, 0.42), 6.5, _WARM),  # key
    ((1.0, 0.45, 0.35), (0.30, 0.55), 1.6, _COOL),  # fill
    ((0.35, 0.55, -1.0), (0.75, 0.16), 5.0, _WHITE),  # rim
    ((0.0, 1.0, 0.05), (0.6, 0.25), 1.0, _WHITE),  # overhead strip
)


def directions(width: int, height: int) -> np.ndarray:
    """Unit vectors (height, width, 3) of a latitude-longitude map's texel centres, +y at the top.

    With u, v in [0, 1]: x = sin(2 pi u) sin(pi v), y = cos(pi v), z = -cos(2 pi u) sin(pi v).
    """
    phi = 2 * np.pi * (np.arange(width) + 0.5) / width
    theta = np.pi * (np.arange(height) + 0.5) / height
    sin_theta = np.sin(theta)[:, None]
    y = np.broadcast_to(np.cos(theta)[:, None], (height, width))
    return np.stack([np.sin(phi) * sin_theta, y, -np.cos(phi) * sin_theta], -1)


def studio(width: int = 512, height: int = 256) -> np.ndarray:
    """Radiance (height, width, 3) of the default studio: sky gradient, floor glow, softboxes."""
    d = directions(width, height)
    up = d[..., 1:2]
    sky = 0.26 + 0.22 * np.clip(up, 0, 1) ** 0.7
    floor = 0.10 + 0.16 * np.exp(3.0 * np.minimum(up, 0))
    tone = np.where(up > 0, sky * np.array([0.93, 0.97, 1.0]), floor * np.array([1.0, 0.97, 0.93]))
    image = tone.copy()
    for centre, half, radiance, tint in _SOFTBOXES:
        image += radiance * _softbox(d, np.array(centre), half)[..., None] * np.array(tint)
    return image.astype(np.float32)


def _softbox(d: np.ndarray, centre: np.ndarray, half: tuple[float, float]) -> np.ndarray:
    """Smooth-edged rectangle in the tangent plane at `centre`."""
    n = centre / np.linalg.norm(centre)
    side = np.cross([0.0, 1.0, 0.0] if abs(n[1]) < 0.99 else [0.0, 0.0, 1.0], n)
    side /= np.linalg.norm(side)
    depth = d @ n
    safe = np.where(depth > 1e-3, depth, 1.0)
    x, y = np.abs(d @ side) / safe, np.abs(d @ np.cross(n, side)) / safe
    edge = 0.06
    inside = _ramp((half[0] + edge - x) / edge) * _ramp((half[1] + edge - y) / edge)
    return np.where(depth > 1e-3, inside, 0.0)


def _ramp(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)
