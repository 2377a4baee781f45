"""What scenes may hold beside Mitsuba's plain shapes, in Slang against `drjit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.artifact import write_artifact
from etendue.core.errors import InputError
from etendue.device.slang import SlangDevice
from etendue.render.path.slang_scene import extract

from .slang_support import AOVS, DATA, GGX, ROOT, agree, checkerboard, needs, render

pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")


def flock(mi: Any, **more: Any) -> dict[str, Any]:
    """A group of a box, a rectangle and a ball, shown three times; one of them mirrored."""
    t = mi.ScalarTransform4f
    metal = {"type": "roughconductor", "alpha": 0.3, "material": "Cu", **GGX}
    group = {
        "type": "shapegroup",
        "box": {"type": "cube", "to_world": t().scale(0.25), "bsdf": metal},
        "flag": {
            "type": "rectangle",
            "to_world": t().translate([0, 0.6, 0]).scale(0.3),
            "bsdf": checkerboard(mi),
        },
        "knob": {"type": "sphere", "center": [0, 1.0, 0], "radius": 0.12, "bsdf": more["knob"]},
    }
    places = (
        t().translate([-1.4, 0.3, 0.8]).rotate([0, 1, 0], 30),
        t().translate([1.5, 0.3, 0.5]).rotate([0, 0, 1], 20).scale(1.3),
        t().translate([0.2, 0.3, 1.8]).scale([-0.7, 0.7, 0.7]),
    )
    shown = {
        f"place{k}": {"type": "instance", "to_world": place, "g": {"type": "ref", "id": "flock"}}
        for k, place in enumerate(places)
    }
    return {"flock": group, **shown}


@pytest.mark.parametrize("tracer", ["bvh", "rq", "rt"])
def test_instances(mi: Any, room: Any, vulkan: SlangDevice, tracer: str) -> None:
    from etendue.render.path.drjit import render as twin

    needs(vulkan, tracer)
    diffuse = {"type": "diffuse"}
    scene = room(diffuse, checkerboard(mi), **flock(mi, knob=diffuse))
    options = {"spp": 4, "seed": 9, "max_depth": 1, "aovs": AOVS}
    ours, theirs = render(vulkan, scene, tracer=tracer, **options), twin(scene, **options)
    knobs = ours.aovs["shape_id"] >= 6  # a copy for each instance
    assert 3 < len(np.unique(ours.aovs["shape_id"])) and knobs.any()
    for name in set(AOVS) - {"albedo"}:  # an estimate for metal
        a, b = ours.aovs[name], theirs.aovs[name]
        far = np.abs(a - b) > 1e-4 * (1 + np.abs(b).max())
        if name == "shape_id":
            far &= ~knobs
        assert far.mean() < 3e-3, name
    agree(render(vulkan, scene, spp=32, seed=1, tracer=tracer), scene, 96)


def test_inline_materials_of_instances(mi: Any, room: Any, vulkan: SlangDevice) -> None:
    """The Dr.Jit tracer finds them too, with the footprint of the pixel."""
    from etendue.bsdf.layered import Layered
    from etendue.bsdf.plugin import plugin
    from etendue.render.path.dispatch import InlineTable
    from etendue.scene.materialx import load_material

    wood = load_material(ROOT / "assets/materials/varnished_wood.mtlx", resolution=32)
    knob = plugin("Knob", lambda _: Layered(wood))(mi.Properties())
    scene = room({"type": "diffuse"}, {"type": "diffuse"}, **flock(mi, knob=knob))
    assert len(InlineTable.from_scene(scene).materials) == 1
    agree(render(vulkan, scene, spp=32, seed=1), scene, 96)


def test_a_sphere_that_an_instance_stretches_is_an_error(mi: Any, room: Any) -> None:
    more = flock(mi, knob={"type": "diffuse"})
    more["place1"]["to_world"] = mi.ScalarTransform4f().scale([1, 2, 1])
    with pytest.raises(InputError, match=r"knob.*no sphere"):
        extract(room({"type": "diffuse"}, {"type": "diffuse"}, **more))


def test_a_thin_lens(mi: Any, room: Any, camera: Any, vulkan: SlangDevice) -> None:
    from etendue.render.path.drjit import render as twin

    lens = {"type": "thinlens", "aperture_radius": 0.25, "focus_distance": 4.0}
    scene = room(
        {"type": "diffuse"},
        checkerboard(mi),
        sensor={**camera((0, 2, 5), (0, 0.6, 0)), **lens},
    )
    options = {"spp": 4, "seed": 9, "max_depth": 1, "aovs": ("depth", "position")}
    ours, theirs = render(vulkan, scene, tracer="bvh", **options), twin(scene, **options)
    for name in options["aovs"]:
        far = np.abs(ours.aovs[name] - theirs.aovs[name]) > 1e-3
        assert far.mean() < 5e-3, name
    agree(render(vulkan, scene, spp=32, seed=1, tracer="bvh"), scene, 96)


def test_principled_materials_masks_and_slides(mi: Any, room: Any, vulkan: SlangDevice) -> None:
    def ball(x: float, z: float, bsdf: dict[str, Any]) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, z], "radius": 0.4, "bsdf": bsdf}

    rng = np.random.default_rng(5)
    holes = {"type": "bitmap", "data": mi.TensorXf(rng.random((5, 8, 1))), "raw": True}
    color = {"type": "rgb", "value": [0.7, 0.3, 0.2]}
    plain = {"type": "principled", "base_color": color, "roughness": 0.4}
    coated = {**plain, "clearcoat": 0.8, "clearcoat_gloss": 0.4, "specular": 0.7}
    brushed = {**plain, "metallic": 0.9, "anisotropic": 0.6}
    torn = {"type": "mask", "opacity": holes, "b": {"type": "twosided", "b": plain}}
    spot = mi.ScalarTransform4f().look_at([2, 3, 2], [0, 0.5, 0], [0, 1, 0])
    scene = room(
        coated,
        {"type": "twosided", "b": plain},
        brushed=ball(-1.3, 1.2, brushed),
        torn=ball(0, 1.6, torn),
        veil=ball(1.3, 1.2, {"type": "mask", "opacity": 0.4, "b": coated}),
        beamer={
            "type": "spot",
            "to_world": spot,
            "intensity": 30.0,
            "cutoff_angle": 25,
            "texture": {"type": "checkerboard"},
        },
    )
    agree(render(vulkan, scene, spp=64, seed=1, tracer="bvh"), scene, 256)


@pytest.mark.parametrize("name", ["car_paint", "varnished_wood", "lacquered_brushed_metal"])
def test_layered_materials(vulkan: SlangDevice, name: str) -> None:
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    assigned = {"Sphere": ROOT / f"assets/materials/{name}.mtlx"}
    source = load_scene(ROOT / "assets/scenes/sphere.xml", assignments=assigned)
    built = build(source, size=(64, 64))
    agree(render(vulkan, built.mi_scene, spp=48, seed=1), built.mi_scene, 96)


def test_a_file_of_gltf(vulkan: SlangDevice) -> None:
    """The layers of its surfaces, the built-in studio and camera."""
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    file = DATA / "materialx/resources/Geometry/shaderball.glb"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    built = build(load_scene(file), size=(64, 64))
    agree(render(vulkan, built.mi_scene, spp=48, seed=1), built.mi_scene, 96)


def test_layered_and_neural_materials_together(
    tmp_path: Path, mi: Any, room: Any, vulkan: SlangDevice, artifact: Any
) -> None:
    from etendue.bsdf.plugin import register

    register(mi)
    write_artifact(tmp_path / "m.eta", artifact(5))
    wood = {"filename": str(ROOT / "assets/materials/varnished_wood.mtlx"), "resolution": 32}
    scene = room(
        {"type": "neural", "filename": str(tmp_path / "m.eta")}, {"type": "layered", **wood}
    )
    baked = {shape.id(): tmp_path / "m.eta" for shape in scene.shapes() if "ball" in shape.id()}
    assert baked
    options = {"spp": 4, "seed": 2, "aovs": ("albedo",)}
    from etendue.render.path.drjit import render as twin

    film = render(vulkan, scene, baked, **options)
    far = np.abs(film.aovs["albedo"] - twin(scene, **options).aovs["albedo"]) > 1e-3
    assert far.mean() < 2e-3
    agree(render(vulkan, scene, baked, spp=48, seed=1), scene, 96)
