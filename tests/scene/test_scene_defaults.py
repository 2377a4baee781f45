"""The default camera frames what it is given; the default studio is a sane environment."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.scene.camera import Camera, framing
from etendue.scene.defaults import directions, studio


def project(camera: Camera, points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Image coordinates in [-1, 1]; x to the right, y up."""
    origin, target = np.array(camera.origin), np.array(camera.target)
    forward = (target - origin) / np.linalg.norm(target - origin)
    right = np.cross(forward, camera.up)
    right /= np.linalg.norm(right)
    local = (points - origin) @ np.stack([right, np.cross(right, forward), forward]).T
    tangent = np.tan(np.radians(camera.fov_deg) / 2)
    assert (local[:, 2] > camera.near).all() and (local[:, 2] < camera.far).all()
    return local[:, :2] / local[:, 2:] / tangent / np.array([size[0] / size[1], 1.0])


@pytest.mark.parametrize("size", [(640, 480), (100, 300), (900, 90)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_the_box_fills_the_picture_and_stays_inside(size: tuple[int, int], scale: float) -> None:
    rng = np.random.default_rng(11)
    points = (rng.random((200, 3)) * (3, 1, 2) + (5, -2, 0)) * scale
    low, high = points.min(0), points.max(0)
    for given in (None, points):
        camera = framing(low.tolist(), high.tolist(), size, given)
        corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
        shown = points if given is not None else low + corners * (high - low)
        extent = np.abs(project(camera, shown, size)).max()
        assert 0.85 < extent < 1.0


def test_nothing_to_frame_still_gives_a_camera() -> None:
    for corners in (([0, 0, 0], [0, 0, 0]), ([np.inf] * 3, [-np.inf] * 3)):
        camera = framing(*corners)
        assert np.isfinite(camera.origin).all() and camera.target == (0, 0, 0)


def test_the_studio_lights_from_above_and_the_left() -> None:
    image, d = studio(), directions(512, 256)
    assert image.shape == (256, 512, 3) and image.dtype == np.float32
    assert image.min() > 0 and np.isfinite(image).all()
    np.testing.assert_allclose(np.linalg.norm(d, axis=-1), 1.0, atol=1e-12)
    theta = np.pi * (np.arange(256) + 0.5) / 256
    solid_angle = (np.sin(theta) * (np.pi / 256) * (2 * np.pi / 512))[:, None]
    assert solid_angle.sum() * 512 == pytest.approx(4 * np.pi, rel=1e-4)

    def irradiance(normal: tuple[float, float, float]) -> float:
        cosine = np.clip(d @ (np.array(normal) / np.linalg.norm(normal)), 0, None)
        return float((image.mean(-1) * cosine * solid_angle).sum() / np.pi)

    top, bottom = irradiance((0, 1, 0)), irradiance((0, -1, 0))
    left, right = irradiance((-0.6, 0.5, 0.8)), irradiance((0.8, 0.5, 0.6))
    assert 0.8 < top < 2.0 and bottom < 0.3 * top and left > 1.2 * right
