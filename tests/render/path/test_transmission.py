"""Glass in the path tracer against Mitsuba's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.ztest import z_test
from etendue.scene.material import Interior, Layer, LayeredMaterial, LayerKind, Stack

GREY = (1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def default_variant() -> None:
    """Other files of the same worker may have left `scalar_rgb` active."""
    from etendue.device.drjit import activate

    activate()


def carrier(mi: Any, *layers: Layer, interior: Interior | None = None) -> Any:
    """A Mitsuba BSDF that carries one open stack."""
    from etendue.bsdf.plugin import plugin
    from etendue.bsdf.transmission import reference

    stack = Stack(GREY, tuple(range(len(layers) + 1)))
    material = LayeredMaterial("g", (*layers, Layer(LayerKind.OPEN)), (stack,), interior=interior)
    return plugin("Carrier", lambda props: reference(material))(mi.Properties("carrier"))


def interface(eta: float, **more: Any) -> Layer:
    return Layer(LayerKind.DIELECTRIC, eta=eta, **more)


def blocks(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over 4 x 4 pixels and their variances: closer to normal than single pixels."""
    shape = (mean.shape[0] // 4, 4, mean.shape[1] // 4, 4, 3)
    mean = mean.astype(np.float64).reshape(shape).mean((1, 3))
    return mean, variance.reshape(shape).sum((1, 3)) / 256


def scene(room: Any, ball: Any, **more: Any) -> Any:
    lamp = {"type": "sphere", "center": [-3, 4, 1], "radius": 1.8, "light": {"type": "area"}}
    floor = {"type": "twosided", "b": {"type": "diffuse"}}
    return room(ball, floor, lamp=lamp, **more)


def agree(film: Any, theirs: tuple[np.ndarray, np.ndarray]) -> None:
    assert film.invalid == 0
    mean, variance = blocks(film.rgb, film.variance())
    other, spread = blocks(*theirs)
    result = z_test(mean, other, variance, spread)
    assert result.passed, result.fraction
    assert abs(result.mean_z) < 4


def test_ball_of_glass(mi: Any, room: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    ball = carrier(mi, interface(1.5, smooth=True), interior=Interior())
    theirs = {"type": "dielectric", "int_ior": 1.5, "ext_ior": 1.0}
    agree(render(scene(room, ball), spp=256, seed=1), mitsuba_path(scene(room, theirs), 256))


def test_thin_ball(mi: Any, room: Any, mitsuba_path: Any) -> None:
    from etendue.render.path.drjit import render

    ball = carrier(mi, interface(1.5, smooth=True), interface(1 / 1.5, smooth=True))
    theirs = {"type": "thindielectric", "int_ior": 1.5, "ext_ior": 1.0}
    agree(render(scene(room, ball), spp=256, seed=1), mitsuba_path(scene(room, theirs), 256))


def test_rough_ball(mi: Any, room: Any, mitsuba_path: Any) -> None:
    """Where masking hardly matters the picture is that of `roughdielectric`."""
    from etendue.render.path.drjit import render

    ball = carrier(mi, interface(1.5, alpha=(0.05, 0.05)), interior=Interior())
    theirs = {
        "type": "roughdielectric", "distribution": "ggx", "alpha": 0.05, "int_ior": 1.5,
        "ext_ior": 1.0,
    }  # fmt: skip
    agree(render(scene(room, ball), spp=256, seed=1), mitsuba_path(scene(room, theirs), 256))


def test_absorption_follows_beer(mi: Any, camera: Any) -> None:
    """A matched slab of thickness 1 in front of a constant sky is exp(-absorption), tinted."""
    from etendue.render.path.drjit import render

    absorption = (0.2, 0.7, 1.5)
    slab = carrier(mi, interface(1.0, smooth=True), interior=Interior(absorption))
    scene = mi.load_dict(
        {
            "type": "scene",
            "sensor": camera((0, 0, 60), (0, 0, 0), size=64),
            "slab": {
                "type": "cube",
                "to_world": mi.ScalarTransform4f().scale([100, 100, 0.5]),
                "bsdf": slab,
            },
            "sky": {"type": "constant"},
        }
    )
    found = render(scene, spp=64, seed=0, max_depth=4).rgb[30:34, 30:34].mean((0, 1))
    assert found == pytest.approx(np.exp(-np.array(absorption)), rel=2e-3)


def test_lamp_inside_tinted_solid(mi: Any, camera: Any) -> None:
    """Light sampling and BSDF sampling agree where the lamp lies inside the absorbing solid."""
    from etendue.render.path.drjit import render

    ball = carrier(
        mi, interface(1.5, alpha=(0.3, 0.3)), interior=Interior((0.3, 0.6, 1.2))
    )  # fmt: skip
    scene = mi.load_dict(
        {
            "type": "scene",
            "sensor": camera((0, 0, 5), (0, 0, 0), size=24),
            "ball": {"type": "sphere", "bsdf": ball},
            "lamp": {"type": "sphere", "radius": 0.4, "light": {"type": "area"}},
        }
    )
    both = render(scene, spp=1024, seed=1, max_depth=3)
    mean, variance = blocks(both.rgb, both.variance())
    for strategy in ("light", "bsdf"):
        film = render(scene, spp=2048, seed=2, max_depth=3, strategy=strategy)
        one, other = blocks(film.rgb, film.variance())
        result = z_test(one, mean, other, variance)
        assert result.passed, (strategy, result.fraction)
        assert abs(result.mean_z) < 4


@pytest.mark.parametrize("kind", ["solid", "wall"])
def test_strategies_agree(mi: Any, room: Any, kind: str) -> None:
    """Light-only and BSDF-only sampling give the picture of both, lights on either side."""
    from etendue.render.path.drjit import render

    if kind == "solid":
        ball = carrier(mi, interface(1.5, alpha=(0.3, 0.3)), interior=Interior((0.1, 0.2, 0.3)))
    else:
        ball = carrier(mi, interface(1.5, alpha=(0.3, 0.3)), interface(1 / 1.5, alpha=(0.3, 0.3)))
    side = {"type": "sphere", "center": [0, 1, -3], "radius": 0.8, "light": {"type": "area"}}
    both = render(scene(room, ball, sky=side), spp=512, seed=1, max_depth=3)
    mean, variance = blocks(both.rgb, both.variance())
    for strategy in ("light", "bsdf"):
        film = render(scene(room, ball, sky=side), spp=1024, seed=2, max_depth=3, strategy=strategy)
        one, other = blocks(film.rgb, film.variance())
        result = z_test(one, mean, other, variance)
        assert result.passed, (strategy, result.fraction)
        assert abs(result.mean_z) < 4


def test_virtual_calls_agree(mi: Any, room: Any, mitsuba_path: Any) -> None:
    """Mitsuba's own path tracer, through the plugin, gives the same picture."""
    from etendue.render.path.drjit import render

    ball = carrier(mi, interface(1.5, alpha=(0.1, 0.1)), interior=Interior())
    built = scene(room, ball)
    agree(render(built, spp=256, seed=1), mitsuba_path(built, 256))
