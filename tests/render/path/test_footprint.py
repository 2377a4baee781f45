"""Sections of cones with surfaces: areas, directions, an independent twin, and what they filter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from etendue.device.drjit import activate
from etendue.render.path.footprint import LONGEST, Cone, footprint
from etendue.render.path.naive import uv_footprint

WIDTH = 0.02


@pytest.fixture(scope="module")
def mi() -> Any:
    return activate()


def _looked_at(mi: Any, shape: Any, origin: np.ndarray, target: np.ndarray) -> Any:
    """Interaction of a ray through `target`."""
    import drjit as dr

    scene = mi.load_dict({"type": "scene", "shape": shape})
    way = (target - origin) / np.linalg.norm(target - origin)
    ray = mi.Ray3f(mi.Point3f(*origin.tolist()), mi.Vector3f(*way.tolist()))
    si = scene.ray_intersect(ray)
    dr.eval(si)  # before the scene is gone
    return si


def _plane(mi: Any, theta: float, phi: float, scale: tuple[float, float] = (1.0, 1.0)) -> Any:
    plane = {"type": "rectangle", "to_world": mi.ScalarTransform4f().scale([*scale, 1.0])}
    away = np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    return _looked_at(mi, plane, 3.0 * away, np.zeros(3))


def _both(mi: Any, si: Any) -> tuple[float, np.ndarray]:
    seen = footprint(si, Cone(mi.Float(WIDTH), mi.Float(0.0)))
    return float(seen.side[0]), seen.axis.numpy().ravel()


def test_straight_on_it_is_a_square(mi: Any) -> None:
    side, axis = _both(mi, _plane(mi, 0.0, 0.0))
    assert side == pytest.approx(WIDTH / 2, rel=1e-4), "a rectangle is two units wide"
    assert np.abs(axis).max() < 1e-3 * side


@pytest.mark.parametrize("theta", [0.5, 1.0, 1.4])
@pytest.mark.parametrize("phi", [0.0, 0.7, 2.4, 4.0])
def test_at_a_slant_it_has_the_area_and_the_direction(mi: Any, theta: float, phi: float) -> None:
    side, axis = _both(mi, _plane(mi, theta, phi))
    length = np.linalg.norm(axis) + side
    assert side * length == pytest.approx(WIDTH**2 / np.cos(theta) / 4, rel=1e-3)
    assert length / side == pytest.approx(1 / np.cos(theta), rel=1e-3)
    way = axis / np.linalg.norm(axis) @ [np.cos(phi), np.sin(phi)]
    assert abs(way) == pytest.approx(1, abs=1e-4)


def test_the_longest_is_filtered_wider(mi: Any) -> None:
    side, axis = _both(mi, _plane(mi, np.arccos(0.01), 0.3))
    length = np.linalg.norm(axis) + side
    assert length / side == pytest.approx(LONGEST, rel=1e-3)
    assert length == pytest.approx(WIDTH / 0.01 / 2, rel=1e-2)


def test_stretched_texture_is_longer_across_its_stretch(mi: Any) -> None:
    """On a plane four times as wide in u, a round section is four times as long in v."""
    side, axis = _both(mi, _plane(mi, 0.0, 0.0, (4.0, 1.0)))
    assert side == pytest.approx(WIDTH / 8, rel=1e-3)
    assert abs(axis[0]) < 1e-3 * abs(axis[1])
    assert abs(axis[1]) + side == pytest.approx(WIDTH / 2, rel=1e-3)


def test_equals_its_twin_on_a_sphere(mi: Any) -> None:
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(40):
        origin = rng.normal(size=3)
        origin *= 3 / np.linalg.norm(origin)
        si = _looked_at(mi, {"type": "sphere"}, origin, rng.uniform(-0.55, 0.55, 3))
        if not si.is_valid()[0]:
            continue
        side, axis = _both(mi, si)
        other = SimpleNamespace(
            wi=si.wi.numpy().ravel(),
            sh_frame=SimpleNamespace(
                s=si.sh_frame.s.numpy().ravel(), t=si.sh_frame.t.numpy().ravel()
            ),
            dp_du=si.dp_du.numpy().ravel(),
            dp_dv=si.dp_dv.numpy().ravel(),
        )
        expected, way = uv_footprint(other, WIDTH)
        assert side == pytest.approx(expected, rel=2e-3)
        assert np.abs(np.abs(axis) - np.abs(way)).max() < 4e-3 * (expected + np.abs(way).max())
        seen += 1
    assert seen > 20


def test_nothing_without_uv_or_cone(mi: Any) -> None:
    si = _plane(mi, 0.3, 0.1)
    assert float(footprint(si, None).side[0]) == 0.0
    si.dp_dv = mi.Vector3f(0.0)
    side, axis = _both(mi, si)
    assert side == 0.0 and not axis.any()


def test_filters_less_of_what_the_pixel_resolves(mi: Any) -> None:
    """Stripes along the view stay sharp where an equal square would blur them away.

    The mean over the section (an ellipse) of a cosine of uv against the mean over square and line.
    """
    theta = np.arccos(0.1)
    si = _plane(mi, theta, 0.0)
    side, axis = _both(mi, si)
    rng = np.random.default_rng(5)
    disc = rng.normal(size=(1 << 16, 2))
    disc *= (rng.random(1 << 16) ** 0.5 / np.linalg.norm(disc, axis=1))[:, None]
    ellipse = disc * [WIDTH / np.cos(theta) / 4, WIDTH / 4]  # half diameters in uv
    square = (rng.random((1 << 16, 2)) - 0.5) * side + (rng.random((1 << 16, 1)) - 0.5) * axis
    equal = (rng.random((1 << 16, 2)) - 0.5) * np.sqrt(side * (side + np.linalg.norm(axis)))
    waves = 2 * np.pi * np.array([[0.0, 0.5 / side], [0.3 / side, 0.0], [0.03 / side, 0.4 / side]])
    truth, ours, isotropic = (np.cos(x @ waves.T).mean(0) for x in (ellipse, square, equal))
    assert np.abs(ours - truth).max() < 0.12
    assert np.abs(isotropic - truth).max() > 3 * np.abs(ours - truth).max()
