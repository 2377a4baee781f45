"""The Slang path tracer against `drjit`: pictures by z-test, auxiliary images directly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.artifact import write_artifact
from etendue.core.errors import DeviceError, InputError
from etendue.device.slang import NEEDS, SlangDevice
from etendue.render.path import slang_kernels
from etendue.render.path.slang_camera import camera as pinhole
from etendue.render.path.slang_camera import cone
from etendue.render.path.slang_emitters import EMITTER
from etendue.render.path.slang_layered import layered_constants
from etendue.render.path.slang_materials import MATERIAL
from etendue.render.path.slang_scene import SHAPE, VERTEX, extract

from .slang_support import AOVS, GGX, ROOT, agree, checkerboard, needs, render

pytest.importorskip("slangpy", reason="slangpy is not installed: the extra `slang`")


@pytest.mark.parametrize("tracer", ["bvh", "rq", "rt"])
def test_pictures_agree_whichever_way_rays_are_traced(
    mi: Any, room: Any, vulkan: SlangDevice, tracer: str
) -> None:
    needs(vulkan, tracer)
    metal = {"type": "roughconductor", "alpha": 0.2, "material": "Cu", **GGX}
    scene = room(metal, checkerboard(mi))
    film = render(vulkan, scene, spp=32, seed=1, tracer=tracer)
    assert film.metadata["tracer"] == tracer and film.complete
    agree(film, scene, 128)


def test_auxiliary_images_are_equal(mi: Any, room: Any, vulkan: SlangDevice) -> None:
    from etendue.render.path.drjit import render as twin

    scene = room({"type": "diffuse"}, checkerboard(mi))
    options = {"spp": 4, "seed": 9, "max_depth": 1, "aovs": AOVS, "crop": (4, 6, 40, 36)}
    ours = render(vulkan, scene, tracer="bvh", **options)
    theirs = twin(scene, **options)
    for name in AOVS:
        a, b = ours.aovs[name], theirs.aovs[name]
        assert a.shape == b.shape
        limit = TEXTURE_UNIT if name == "albedo" and mi.variant().startswith("cuda") else 1e-4
        far = np.abs(a - b) > limit * (1 + np.abs(b).max())
        assert far.mean() < 2e-3, name  # a ray that grazes an edge may fall on either side


@pytest.mark.parametrize("tracer", ["bvh", "rq", "rt"])
def test_motion_and_alpha_are_equal(mi: Any, vulkan: SlangDevice, tracer: str) -> None:
    """A moving camera before a panel, a lamp that hides half of it, and a sky."""
    from etendue.render.path.drjit import render as twin

    needs(vulkan, tracer)
    t = mi.ScalarTransform4f
    film = {"type": "hdrfilm", "width": 40, "height": 30, "rfilter": {"type": "box"}}
    eyes = [([0, 0, 5], [0, 0, 0]), ([1.0, 0.5, 4], [0.2, 0, 0])]
    cameras = {
        f"sensor{k}": {
            "type": "perspective",
            "fov": 50,
            "to_world": t().look_at(origin, target, [0, 1, 0]),
            "film": film,
        }
        for k, (origin, target) in enumerate(eyes)
    }
    place = t().translate([-1, 0, 1]).scale([1, 2, 1])
    scene = mi.load_dict(
        {
            "type": "scene",
            **cameras,
            "panel": {"type": "rectangle"},
            "lamp": {"type": "rectangle", "to_world": place, "emitter": {"type": "area"}},
            "sky": {"type": "constant"},
        }
    )
    options = {"spp": 4, "seed": 2, "max_depth": 1, "aovs": ("motion", "alpha")}
    ours, theirs = render(vulkan, scene, tracer=tracer, **options).aovs, twin(scene, **options).aovs
    assert 0.1 < theirs["alpha"].mean() < 0.5 and np.abs(theirs["motion"]).min(-1).max() > 1
    far = np.abs(ours["motion"] - theirs["motion"]) > 1e-4 * np.abs(theirs["motion"]).max()
    assert far.mean() < 2e-3
    assert (ours["alpha"] != theirs["alpha"]).mean() < 2e-3


def test_materials_and_lights_of_mitsuba(mi: Any, room: Any, vulkan: SlangDevice) -> None:
    def ball(x: float, z: float, bsdf: dict[str, Any]) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, z], "radius": 0.4, "bsdf": bsdf}

    scene = room(
        {"type": "plastic", "nonlinear": True, "diffuse_reflectance": 0.6},
        {"type": "diffuse", "reflectance": {"type": "checkerboard"}},
        glass=ball(-1.3, 1.2, {"type": "dielectric"}),
        frosted=ball(0, 1.6, {"type": "roughdielectric", "alpha": 0.2, **GGX}),
        mirror=ball(1.3, 1.2, {"type": "conductor", "material": "Al"}),
        bulb={"type": "point", "position": [2, 3, 2], "intensity": 4.0},
        sun={"type": "directional", "direction": [0.3, -1, -0.2], "irradiance": 0.5},
    )
    agree(render(vulkan, scene, spp=48, seed=1, tracer="bvh"), scene, 192)


def test_a_neural_material_and_an_environment_map(
    tmp_path: Path, vulkan: SlangDevice, artifact: Any
) -> None:
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    write_artifact(tmp_path / "m.eta", artifact(5))
    source = load_scene(
        ROOT / "assets/scenes/sphere.xml", assignments={"Sphere": tmp_path / "m.eta"}
    )
    built = build(source, size=(48, 36))
    assert built.baked == {"Sphere": (tmp_path / "m.eta").resolve()}
    film = render(vulkan, built.mi_scene, built.baked, spp=32, seed=1, tracer="bvh")
    assert film.metadata["kernel"] in slang_kernels.KERNELS[1:]
    agree(film, built.mi_scene, 128)


def test_forcing_a_kernel_that_the_device_lacks_is_an_error(room: Any, vulkan: SlangDevice) -> None:
    if "cooperative_matrix" in vulkan.features:
        pytest.skip(f"{vulkan.name} has cooperative matrices")
    scene = room({"type": "diffuse"}, {"type": "diffuse"})
    with pytest.raises(DeviceError, match="cooperative_matrix"):
        render(vulkan, scene, spp=1, kernel="coherent")


TEXTURE_UNIT = 1 / 256  # weights of CUDA's own texture filter have eight bits

# what a kernel needs, and the tracers it goes with
TENSORS = {
    "coherent": ("cooperative_matrix", ("rq", "bvh")),
    "divergent": ("cooperative_vector", ("rt",)),
    "wavefront": ("cooperative_matrix", ("rq", "rt")),
}


@pytest.mark.coop
@pytest.mark.parametrize("kernel", TENSORS)
def test_tensor_operations_inside_a_ray_tracing_kernel(
    tmp_path: Path, vulkan: SlangDevice, artifact: Any, kernel: str
) -> None:
    """Same random numbers, float16 networks: the pictures differ by rounding only."""
    from etendue.render.build import build
    from etendue.scene.scene import load_scene

    feature, tracers = TENSORS[kernel]
    if feature not in vulkan.features:
        pytest.skip(f"{vulkan.name} has no {feature}: `tools/dev test --coop`")
    tracer = next(t for t in tracers if set(NEEDS.get(f"render/path.{t}", ())) <= vulkan.features)
    write_artifact(tmp_path / "m.eta", artifact(5))
    assigned = {"Sphere": tmp_path / "m.eta"}
    source = load_scene(ROOT / "assets/scenes/sphere.xml", assignments=assigned)
    built = build(source, size=(32, 24))
    half, scalar = (
        render(vulkan, built.mi_scene, built.baked, spp=16, seed=1, tracer=tracer, kernel=name)
        for name in (kernel, "scalar")
    )
    assert half.metadata["kernel"] == kernel
    assert abs(half.rgb.mean() / scalar.rgb.mean() - 1) < 5e-3
    close = np.abs(half.rgb - scalar.rgb) < 0.02 * (0.05 + scalar.rgb)
    assert close.mean() > 0.97  # a roulette may fall otherwise


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"type": "cylinder"}, "shape bad.*of a kind that shaders lack.*Cylinder"),
        ({"type": "sphere", "bsdf": {"type": "roughplastic"}}, "shape bad.*lacks.*RoughPlastic"),
        (
            {"type": "sphere", "bsdf": {"type": "principled", "sheen": 0.5}},
            "shape bad.*sheen that the Slang",
        ),
        (
            {"type": "sphere", "bsdf": {"type": "roughconductor"}},
            "shape bad.*microfacet.*expected ggx",
        ),
    ],
)
def test_what_shaders_lack_is_named(room: Any, shape: dict[str, Any], message: str) -> None:
    scene = room({"type": "diffuse"}, {"type": "diffuse"}, bad=shape)
    with pytest.raises(InputError, match=message):
        extract(scene)


def test_the_cone_of_a_pixel(room: Any) -> None:
    from etendue.render.path.camera_rays import full_film, pixel_cone

    scene = room({"type": "diffuse"}, {"type": "diffuse"})
    sensor = scene.sensors()[0]
    with full_film(sensor, None) as window:
        twin = pixel_cone(sensor, window)
        width, spread = cone(pinhole(sensor), (window.full_width, window.full_height))
    # the twin takes differences of float32 numbers
    np.testing.assert_allclose(width, twin.width[0], rtol=1e-2)
    np.testing.assert_allclose(spread, twin.spread[0], rtol=1e-2)


def test_layouts_are_those_of_the_shaders(vulkan: SlangDevice) -> None:
    from etendue.device.slang import load

    constants = {"CAPACITY": 32, "LAYERS": 1, "KINDS": 1, "LIGHTS": 1, "FEATURES": 0}
    constants |= layered_constants([])
    program = load(
        vulkan,
        "render/path.bvh",
        ["path_main"],
        with_modules=["neural/linear_scalar"],
        constants=constants,
    )
    found = {p.name: p.type_layout for p in program.layout.parameters}
    for name, dtype in (
        ("g_vertices", VERTEX),
        ("g_shapes", SHAPE),
        ("g_materials", MATERIAL),
        ("g_emitters", EMITTER),
    ):
        element = found[name].element_type_layout
        assert element.stride == dtype.itemsize, name
        offsets = {field.name: field.offset for field in element.fields}
        assert dtype.fields is not None
        assert offsets == {key: value[1] for key, value in dtype.fields.items()}, name
