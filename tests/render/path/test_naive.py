"""The readable path tracer against the fast one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.core.ztest import z_test

SIZE = 24
RED = (0.7, 0.3, 0.2)


class LambertTwin:
    """Diffuse reflection, `eval` with noise."""

    def eval(self, uv: Any, wi: Any, wo: Any, footprint: float, rng: Any) -> np.ndarray:
        return np.array(RED) / np.pi * max(wo[2], 0.0) * (0.5 + rng.random())

    def pdf(self, uv: Any, wi: Any, wo: Any, footprint: float) -> float:
        return max(float(wo[2]), 0.0) / np.pi

    def sample(self, uv: Any, wi: Any, u: Any, footprint: float) -> tuple[np.ndarray, float]:
        r, phi = np.sqrt(u[1]), 2 * np.pi * u[2]
        wo = np.array([r * np.cos(phi), r * np.sin(phi), np.sqrt(1 - u[1])])
        return wo, float(wo[2] / np.pi)


def description(mi: Any, ball: Any) -> dict[str, Any]:
    """A ball and a glass ball on a floor, under a lamp, a point light and the sky."""
    t = mi.ScalarTransform4f
    floor = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.5, 0.6, 0.4]}}
    return {
        "type": "scene",
        "camera": {
            "type": "perspective",
            "fov": 35,
            "to_world": t().look_at([0, 2, 6], [0, 0.8, 0], [0, 1, 0]),
            "film": {
                "type": "hdrfilm",
                "width": SIZE,
                "height": SIZE,
                "rfilter": {"type": "box"},
            },
        },
        "ball": {"type": "sphere", "center": [-0.7, 1, 0], "bsdf": ball},
        "glass": {
            "type": "sphere",
            "center": [1.1, 0.6, 0.5],
            "radius": 0.6,
            "b": {"type": "dielectric"},
        },
        "floor": {
            "type": "rectangle",
            "to_world": t().rotate([1, 0, 0], -90).scale(5),
            "bsdf": floor,
        },
        "lamp": {
            "type": "sphere",
            "center": [-3, 4, 2],
            "radius": 1.8,
            "light": {"type": "area", "radiance": 1.5},
        },
        "point": {"type": "point", "position": [2, 3, 3], "intensity": 6.0},
        "sky": {"type": "constant", "radiance": 0.3},
    }


def blocks(picture: np.ndarray) -> np.ndarray:
    """Means over 2 x 2 pixels."""
    return picture.reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean((1, 3))


@pytest.fixture
def scalar() -> Iterator[Any]:
    """Mitsuba with the scalar variant; the default variant comes back afterwards."""
    from etendue.device.drjit import activate

    yield activate("scalar_rgb")
    activate()


@pytest.fixture(scope="module")
def fast(mi: Any) -> dict[str, Any]:
    """Films of the fast path tracer."""
    from etendue.bsdf.plugin import plugin
    from etendue.device.drjit import activate
    from etendue.render.path.drjit import render

    from .conftest import lambert_class

    activate()
    lambert = lambert_class(mi)
    inline = plugin("InlineTwin", lambda props: lambert(RED))(mi.Properties("inline-twin"))
    metal = {"type": "roughconductor", "alpha": 0.3}
    return {
        name: render(mi.load_dict(description(mi, ball)), spp=1024, seed=1, max_depth=6)
        for name, ball in (("inline", inline), ("mitsuba", metal))
    }


@pytest.mark.parametrize("name", ["inline", "mitsuba"])
def test_equals_the_fast_one(fast: dict[str, Any], scalar: Any, name: str) -> None:
    from etendue.render.path.naive import render

    ball = {"type": "roughconductor", "alpha": 0.3}
    scene = scalar.load_dict(description(scalar, ball))
    twins = {"ball": LambertTwin()} if name == "inline" else {}
    film = render(scene, twins, spp=32, seed=8, max_depth=6)
    other = fast[name]
    # 32 samples are far from normal and do not know their variance: take 2 x 2 pixels together,
    # and the variance of a sample from the other film
    variance = blocks(other.variance()) / 4
    result = z_test(blocks(film.rgb), blocks(other.rgb), variance * other.spp / film.spp, variance)
    assert result.passed and abs(result.mean_z) < 4, (result.fraction, result.mean_z)
    assert film.complete and film.invalid == 0


@pytest.mark.parametrize("strategy", ["light", "bsdf"])
def test_strategies(fast: dict[str, Any], scalar: Any, strategy: str) -> None:
    from etendue.render.path.naive import render

    scene = scalar.load_dict(description(scalar, {"type": "diffuse"}))
    film = render(scene, {"ball": LambertTwin()}, spp=24, seed=4, max_depth=6, strategy=strategy)
    result = z_test(film.rgb, fast["inline"].rgb, film.variance(), fast["inline"].variance())
    assert abs(result.mean_z) < 4, result.mean_z


def test_repeats_itself(scalar: Any) -> None:
    from etendue.render.path.naive import render

    scene = scalar.load_dict(description(scalar, {"type": "diffuse"}))
    films = [render(scene, spp=1, seed=9, max_depth=3) for _ in range(2)]
    np.testing.assert_array_equal(films[0].rgb, films[1].rgb)


def test_cancel_keeps_finished_pixels(scalar: Any) -> None:
    from etendue.render.path.naive import render

    seen: list[int] = []
    scene = scalar.load_dict(description(scalar, {"type": "diffuse"}))
    film = render(
        scene,
        spp=2,
        progress=lambda done, total: seen.append(done),
        cancel=lambda: len(seen) >= 5,
    )
    assert film.interrupted and film.counts.sum() == 10


def test_bad_options(scalar: Any, mi: Any) -> None:
    from etendue.render.path.naive import render

    scene = scalar.load_dict(description(scalar, {"type": "diffuse"}))
    with pytest.raises(InputError, match="spp"):
        render(scene, spp=0)
    with pytest.raises(InputError, match="aov"):
        render(scene, spp=1, aovs=("depth",))
