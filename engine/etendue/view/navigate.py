"""Moving a camera: orbit, pan, zoom, focus, fly. Pure functions of `scene.camera.Camera`.

Pixels count from the upper left corner; the picture is `height` pixels high. Every function keeps
what it does not move: orbiting keeps the target and the distance, panning the direction.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from etendue.scene.camera import Camera

Vector = tuple[float, float, float]
POLE = math.radians(1.0)  # nearest that orbiting comes to the axis
FULL_TURN = 2 * math.pi  # radians of orbit per height of the picture
ZOOM_STEP = 1.15  # of distance, per notch of a wheel


def visible_height(camera: Camera, width: float, height: float) -> float:
    """Pixels that the camera's field of view spans vertically in a picture of that size.

    One narrower than the camera's own aspect shows all of its width, and more above and below.
    """
    return height if camera.aspect is None else min(height, width / camera.aspect)


def axes(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors to the right, up, and forward."""
    forward = np.subtract(camera.target, camera.origin)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, camera.up)
    right = right / np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def distance(camera: Camera) -> float:
    """From the camera to its target."""
    return math.dist(camera.origin, camera.target)


def orbit(camera: Camera, dx: float, dy: float, height: float) -> Camera:
    """Turn around the target; a drag over the height of the picture is a full turn."""
    up = np.array(camera.up) / np.linalg.norm(camera.up)
    offset = np.subtract(camera.origin, camera.target)
    offset = _rotate(offset, up, -FULL_TURN * dx / height)
    polar = math.acos(float(np.clip(offset @ up / np.linalg.norm(offset), -1.0, 1.0)))
    wanted = min(max(polar - FULL_TURN * dy / height, POLE), math.pi - POLE)
    side = np.cross(up, offset)
    if np.linalg.norm(side) < 1e-9 * np.linalg.norm(offset):
        side = axes(camera)[0]
    offset = _rotate(offset, side / np.linalg.norm(side), wanted - polar)
    return replace(camera, origin=_tuple(np.add(camera.target, offset)))


def pan(camera: Camera, dx: float, dy: float, height: float) -> Camera:
    """Move sideways so that what lies at the target follows the pointer."""
    right, above, _ = axes(camera)
    per_pixel = 2 * distance(camera) * math.tan(math.radians(camera.fov_deg) / 2) / height
    return _moved(camera, per_pixel * (dy * above - dx * right))


def zoom(camera: Camera, notches: float) -> Camera:
    """Come nearer to the target (positive), never through it."""
    offset = np.subtract(camera.origin, camera.target) * ZOOM_STEP**-notches
    return replace(camera, origin=_tuple(np.add(camera.target, offset)))


def focus(camera: Camera, point: Vector) -> Camera:
    """Look at `point` from where the camera would be had it been the target all along."""
    return _moved(camera, np.subtract(point, camera.target))


def frame(camera: Camera, low: Vector, high: Vector, aspect: float) -> Camera:
    """Back off along the line of view until the sphere around the box [low, high] is seen."""
    centre = (np.array(low) + np.array(high)) / 2
    radius = max(float(np.linalg.norm(np.subtract(high, low))) / 2, 1e-6)
    half = math.radians(camera.fov_deg) / 2
    half = min(half, math.atan(math.tan(half) * aspect))
    _, _, forward = axes(camera)
    away = centre - forward * radius / math.sin(half)
    return replace(camera, origin=_tuple(away), target=_tuple(centre))


def fly(camera: Camera, right: float, up: float, forward: float) -> Camera:
    """Move camera and target together along the camera's own axes, in world units."""
    x, y, z = axes(camera)
    return _moved(camera, right * x + up * y + forward * z)


def turn(camera: Camera, dx: float, dy: float, height: float) -> Camera:
    """Look elsewhere from the same place; a drag over the height turns by the field of view."""
    up = np.array(camera.up) / np.linalg.norm(camera.up)
    per_pixel = math.radians(camera.fov_deg) / height
    line = _rotate(np.subtract(camera.target, camera.origin), up, -per_pixel * dx)
    polar = math.acos(float(np.clip(line @ up / np.linalg.norm(line), -1.0, 1.0)))
    wanted = min(max(polar + per_pixel * dy, POLE), math.pi - POLE)
    side = np.cross(up, line)
    line = _rotate(line, side / np.linalg.norm(side), wanted - polar)
    return replace(camera, target=_tuple(np.add(camera.origin, line)))


def _moved(camera: Camera, by: np.ndarray) -> Camera:
    origin, target = np.add(camera.origin, by), np.add(camera.target, by)
    return replace(camera, origin=_tuple(origin), target=_tuple(target))


def _rotate(v: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues: v cos a + (k x v) sin a + k (k . v) (1 - cos a)."""
    c, s = math.cos(angle), math.sin(angle)
    return v * c + np.cross(axis, v) * s + axis * (axis @ v) * (1 - c)


def _tuple(v: np.ndarray) -> Vector:
    return float(v[0]), float(v[1]), float(v[2])
