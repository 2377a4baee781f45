"""Moving the camera: what each motion keeps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.scene.camera import Camera
from etendue.view import navigate

HEIGHT = 400.0
number = st.floats(-5, 5)
pixels = st.floats(-300, 300)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    target = draw(st.tuples(number, number, number))
    azimuth, polar = draw(st.floats(0, 6.2)), draw(st.floats(0.1, 3.0))
    distance = draw(st.floats(0.5, 20))
    line = (
        math.sin(polar) * math.cos(azimuth), math.cos(polar), math.sin(polar) * math.sin(azimuth),
    )  # fmt: skip
    origin = tuple(t + distance * d for t, d in zip(target, line, strict=True))
    return Camera((origin[0], origin[1], origin[2]), target, fov_deg=draw(st.floats(10, 100)))


def project(camera: Camera, point: tuple[float, float, float]) -> np.ndarray:
    """Pixel offset (right, down) from the middle of a picture HEIGHT pixels high."""
    right, up, forward = navigate.axes(camera)
    p = np.subtract(point, camera.origin)
    scale = HEIGHT / 2 / math.tan(math.radians(camera.fov_deg) / 2) / (p @ forward)
    return scale * np.array([p @ right, -(p @ up)])


@given(cameras(), pixels, pixels)
def test_orbit_keeps_target_and_distance(camera: Camera, dx: float, dy: float) -> None:
    after = navigate.orbit(camera, dx, dy, HEIGHT)
    assert after.target == camera.target
    assert navigate.distance(after) == pytest.approx(navigate.distance(camera), rel=1e-9)
    sine = np.linalg.norm(np.cross(navigate.axes(after)[2], after.up))
    assert sine > 0.9 * math.sin(navigate.POLE)  # never over the pole


@given(cameras(), pixels)
def test_orbit_sideways_can_be_undone(camera: Camera, dx: float) -> None:
    back = navigate.orbit(navigate.orbit(camera, dx, 0, HEIGHT), -dx, 0, HEIGHT)
    assert back.origin == pytest.approx(camera.origin, abs=1e-8)


def test_a_drag_over_the_height_is_a_full_turn() -> None:
    camera = Camera((0, 1, 5), (0, 0, 0))
    after = navigate.orbit(camera, HEIGHT, 0, HEIGHT)
    assert after.origin == pytest.approx(camera.origin, abs=1e-9)
    assert navigate.orbit(camera, HEIGHT / 4, 0, HEIGHT).origin == pytest.approx((-5, 1, 0))


def test_dragging_down_lifts_the_camera() -> None:
    assert navigate.orbit(Camera((0, 1, 5), (0, 0, 0)), 0, 20, HEIGHT).origin[1] > 1


@given(cameras(), pixels, pixels)
def test_pan_lets_the_target_follow_the_pointer(camera: Camera, dx: float, dy: float) -> None:
    after = navigate.pan(camera, dx, dy, HEIGHT)
    assert project(after, camera.target) == pytest.approx([dx, dy], abs=1e-6)
    assert navigate.axes(after)[2] == pytest.approx(navigate.axes(camera)[2], abs=1e-9)


@given(cameras(), st.floats(-20, 20), st.floats(-20, 20))
def test_zoom_adds_up_and_never_passes_the_target(camera: Camera, a: float, b: float) -> None:
    twice = navigate.zoom(navigate.zoom(camera, a), b)
    assert twice.origin == pytest.approx(navigate.zoom(camera, a + b).origin, rel=1e-6, abs=1e-6)
    along = navigate.axes(navigate.zoom(camera, 5))[2] @ navigate.axes(camera)[2]
    assert along == pytest.approx(1)


@given(cameras(), st.tuples(number, number, number))
def test_focus_moves_the_target_and_keeps_the_view(
    camera: Camera, point: tuple[float, float, float]
) -> None:
    after = navigate.focus(camera, point)
    assert after.target == pytest.approx(point)
    offset = np.subtract(after.origin, after.target)
    assert offset == pytest.approx(np.subtract(camera.origin, camera.target), abs=1e-9)


@given(cameras(), st.floats(0.3, 3))
def test_frame_sees_the_whole_box(camera: Camera, aspect: float) -> None:
    low, high = (-1.0, -0.5, -2.0), (1.5, 0.5, 0.25)
    after = navigate.frame(camera, low, high, aspect)
    for x in (low[0], high[0]):
        for y in (low[1], high[1]):
            for z in (low[2], high[2]):
                right, down = project(after, (x, y, z))
                assert abs(down) <= HEIGHT / 2 + 1e-6
                assert abs(right) <= HEIGHT * aspect / 2 + 1e-6


@given(cameras(), number, number, number)
def test_fly_moves_origin_and_target_alike(camera: Camera, x: float, y: float, z: float) -> None:
    after = navigate.fly(camera, x, y, z)
    moved = np.subtract(after.origin, camera.origin)
    assert np.linalg.norm(moved) == pytest.approx(math.sqrt(x * x + y * y + z * z), abs=1e-9)
    assert moved == pytest.approx(np.subtract(after.target, camera.target), abs=1e-9)
    back = navigate.fly(after, -x, -y, -z)
    assert back.origin == pytest.approx(camera.origin, abs=1e-9)


@given(cameras(), pixels, pixels)
def test_turn_keeps_place_and_distance(camera: Camera, dx: float, dy: float) -> None:
    after = navigate.turn(camera, dx, dy, HEIGHT)
    assert after.origin == camera.origin
    assert navigate.distance(after) == pytest.approx(navigate.distance(camera), rel=1e-9)


def test_a_narrow_picture_shows_the_cameras_width() -> None:
    camera = Camera((0, 0, 5), (0, 0, 0), aspect=2.0)
    assert navigate.visible_height(camera, 800, 300) == 300
    assert navigate.visible_height(camera, 400, 300) == 200
    assert navigate.visible_height(replace(camera, aspect=None), 400, 300) == 300
