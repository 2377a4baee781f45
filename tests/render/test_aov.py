"""Auxiliary images against Mitsuba's `aov` integrator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

SIZE = 24
NAMES = ("depth", "position", "normal", "uv", "albedo", "material_id", "shape_id")


@pytest.fixture(scope="module")
def mi() -> Any:
    """Mitsuba with the default variant."""
    from etendue.device.drjit import activate

    return activate()


@pytest.fixture(scope="module")
def scene(mi: Any) -> Any:
    """Two flat, differently coloured panels in front of nothing."""
    t = mi.ScalarTransform4f

    def panel(x: float, bsdf: dict[str, Any], angle: float) -> dict[str, Any]:
        to_world = t().translate([x, 0, 0]).rotate([0, 1, 0], angle)
        return {"type": "rectangle", "to_world": to_world, "bsdf": bsdf}

    red = {"type": "diffuse", "reflectance": {"type": "rgb", "value": [0.8, 0.2, 0.1]}}
    checks = {"type": "checkerboard", "color0": 0.1, "color1": 0.9}
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}
    return mi.load_dict(
        {
            "type": "scene",
            "sensor": {
                "type": "perspective",
                "fov": 50,
                "to_world": t().look_at([0, 0.3, 5], [0, 0, 0], [0, 1, 0]),
                "film": film,
            },
            "left": panel(-1.2, red, 15),
            "right": panel(1.2, {"type": "diffuse", "reflectance": checks}, -25),
            "sky": {"type": "constant"},
        }
    )


@pytest.fixture(scope="module")
def film(scene: Any) -> Any:
    """Our film with everything."""
    from etendue.render.path.drjit import render

    return render(scene, spp=64, seed=1, aovs=NAMES)


def mitsuba_aovs(mi: Any, scene: Any) -> dict[str, np.ndarray]:
    """Mitsuba's first hits, averaged over many samples."""
    kinds = {
        "depth": "depth",
        "position": "position",
        "normal": "sh_normal",
        "uv": "uv",
        "albedo": "albedo",
    }
    integrator = mi.load_dict(
        {"type": "aov", "aovs": ",".join(f"{k}:{v}" for k, v in kinds.items())}
    )
    image = np.array(mi.render(scene, spp=512, seed=3, integrator=integrator))
    names = integrator.aov_names()
    return {
        kind: np.stack([image[..., -len(names) + i] for i in _columns(names, kind)], -1)
        for kind in kinds
    }


def _columns(names: list[str], kind: str) -> list[int]:
    return [i for i, name in enumerate(names) if name.split(".")[0] == kind]


def inside(ids: np.ndarray, wanted: float) -> np.ndarray:
    """Pixels that lie with their neighbours on one shape."""
    same = ids == wanted
    for axis in (0, 1):
        same &= np.roll(same, 1, axis) & np.roll(same, -1, axis)
    return same


def test_equal_to_mitsuba(mi: Any, scene: Any, film: Any) -> None:
    expected = mitsuba_aovs(mi, scene)
    ids = film.aovs["shape_id"]
    flat = inside(ids, 0) | inside(ids, 1)
    assert flat.sum() > 60
    for name in ("depth", "position", "normal", "uv"):
        ours = film.aovs[name]
        ours = ours[..., None] if ours.ndim == 2 else ours
        error = np.abs(ours - expected[name])[flat]
        # flat shapes: only the jitter inside the pixel differs, and not at all for the normal
        assert error.max() < (1e-5 if name == "normal" else 0.05), name
        assert np.abs(error.mean()) < 0.01, name
    left = inside(ids, ids[SIZE // 2, 6])
    assert left.sum() > 20
    np.testing.assert_allclose(film.aovs["albedo"][left], expected["albedo"][left], atol=1e-4)


def test_same_rays_give_the_same_numbers(mi: Any, scene: Any) -> None:
    from etendue.render.path.drjit import render

    film = render(scene, spp=4096, seed=1, aovs=("depth", "position"), crop=(6, 12, 1, 1))
    origin = np.array([0, 0.3, 5])
    position = film.aovs["position"][0, 0]
    distance = np.linalg.norm(position - origin)
    near = 0.01
    assert film.aovs["depth"][0, 0] == pytest.approx(distance - near, abs=2e-3)


def test_background_and_ids(film: Any) -> None:
    empty = film.aovs["shape_id"] == -1
    assert empty[0, 0] and not empty.all()
    assert film.aovs["depth"][0, 0] == 0 and (film.aovs["normal"][0, 0] == 0).all()
    ids = film.aovs["material_id"]
    assert set(np.unique(ids)) == {-1.0, 0.0, 1.0}
    np.testing.assert_array_equal(ids, film.aovs["shape_id"])  # each has its own material


def test_shapes_and_dtypes(film: Any) -> None:
    for name, channels in {"depth": 1, "position": 3, "normal": 3, "uv": 2, "albedo": 3}.items():
        image = film.aovs[name]
        assert image.dtype == np.float32
        assert image.shape == ((SIZE, SIZE) if channels == 1 else (SIZE, SIZE, channels))


def test_albedo_of_inline_materials(mi: Any, scene: Any) -> None:
    from etendue.bsdf.plugin import plugin
    from etendue.render.path.dispatch import Nothing
    from etendue.render.path.drjit import render

    class Flat(Nothing):
        def albedo(self, p: Any, active: Any) -> Any:
            return mi.Color3f(0.25, 0.5, 0.75)

    ball = {
        "type": "scene",
        "sensor": scene.sensors()[0],
        "ball": {
            "type": "sphere",
            "bsdf": plugin("FlatTest", lambda props: Flat("flat"))(mi.Properties("flat")),
        },
    }
    film = render(mi.load_dict(ball), spp=1, max_depth=1, aovs=("albedo",))
    np.testing.assert_allclose(film.aovs["albedo"][12, 12], [0.25, 0.5, 0.75])
    assert film.rgb.max() == 0  # no light at all


def test_alpha_is_what_covers_a_pixel_and_is_no_light(mi: Any) -> None:
    """A lamp before the left half of a panel and beyond it: the panel counts, the lamp does not."""
    from etendue.render.path.drjit import render

    t = mi.ScalarTransform4f
    place = t().translate([-1, 0, 1]).scale([1, 2, 1])
    film = {"type": "hdrfilm", "width": SIZE, "height": SIZE, "rfilter": {"type": "box"}}
    scene = mi.load_dict(
        {
            "type": "scene",
            "sensor": {
                "type": "orthographic",
                "to_world": t().look_at([0, 0, 5], [0, 0, 0], [0, 1, 0]).scale([2, 2, 1]),
                "film": film,
            },
            "panel": {"type": "rectangle", "bsdf": {"type": "diffuse"}},
            "lamp": {"type": "rectangle", "to_world": place, "emitter": {"type": "area"}},
        }
    )
    got = render(scene, spp=16, seed=1, aovs=("alpha", "depth")).aovs
    x = (np.arange(SIZE) + 0.5) / SIZE * 4 - 2
    inside = (np.abs(x)[:, None] < 1) & (np.abs(x)[None] < 1)
    np.testing.assert_array_equal(got["alpha"], inside)
    assert (got["depth"] > 0).mean() > inside.mean() + 0.2, "lamps are surfaces all the same"
