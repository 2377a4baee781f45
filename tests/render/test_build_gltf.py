"""glTF scenes as Mitsuba objects: orientation, emission, holes, albedo, replaced materials."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.errors import DeviceError, InputError
from etendue.core.image import write_png
from etendue.render.build import BuiltScene, build
from etendue.scene.scene import load_scene


def render(built: BuiltScene, spp: int = 4) -> np.ndarray:
    from etendue.render.path.drjit import render

    return render(built.mi_scene, spp=spp, seed=1, max_depth=built.max_depth).rgb


def gltf(tmp_path: Path, material: dict[str, Any], **extra: Any) -> Path:
    """A square facing +z with uv, one material."""
    p = np.float32([[-1, 1, 0], [-1, -1, 0], [1, -1, 0], [1, 1, 0]])
    uv = np.float32([[0, 0], [0, 1], [1, 1], [1, 0]])
    i = np.uint16([0, 1, 2, 0, 2, 3])
    data = p.tobytes() + uv.tobytes() + i.tobytes()
    document = {
        "asset": {"version": "2.0"},
        "buffers": [
            {
                "uri": "data:;base64," + base64.b64encode(data).decode(),
                "byteLength": len(data),
            }
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 48},
            {"buffer": 0, "byteOffset": 48, "byteLength": 32},
            {"buffer": 0, "byteOffset": 80, "byteLength": 12},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5126, "count": 4, "type": "VEC2"},
            {"bufferView": 2, "componentType": 5123, "count": 6, "type": "SCALAR"},
        ],
        "meshes": [
            {
                "primitives": [
                    {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}
                ]
            }
        ],
        "materials": [material],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.927295, "aspectRatio": 1.0}}],
        "nodes": [{"mesh": 0, "name": "Square.001"}, {"camera": 0, "translation": [0, 0, 2]}],
        **extra,
    }
    path = tmp_path / "scene.gltf"
    path.write_text(json.dumps(document))
    return path


def corners(image: np.ndarray) -> np.ndarray:
    """Mean colours of the quadrants: top left, top right, bottom left, bottom right."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[:h, :w], image[:h, w:], image[h:, :w], image[h:, w:]
    return np.array([block[..., :3].mean((0, 1)) for block in blocks])


def test_gltf_emission_texture_is_upright(tmp_path: Path) -> None:
    quad = np.float32([[[1, 0, 0], [0, 1, 0]], [[0, 0, 1], [1, 1, 1]]])
    write_png(tmp_path / "quad.png", np.repeat(np.repeat(quad, 8, 0), 8, 1))
    path = gltf(
        tmp_path,
        {
            "emissiveFactor": [1, 1, 1],
            "emissiveTexture": {"index": 0},
            "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 1], "metallicFactor": 1},
            "extensions": {"KHR_materials_emissive_strength": {"emissiveStrength": 2.0}},
        },
        textures=[{"source": 0}],
        images=[{"uri": "quad.png"}],
    )
    built = build(load_scene(path))
    assert built.size == (480, 480) and built.shapes == ("Square.001",)
    seen = corners(render(build(load_scene(path), size=(32, 32)), 16))
    np.testing.assert_allclose(seen, 2 * quad.reshape(4, 3), atol=0.25)


def test_gltf_transparent_parts_let_light_through(tmp_path: Path) -> None:
    material = {"alphaMode": "MASK", "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 0, 0.2]}}
    built = build(load_scene(gltf(tmp_path, material)), size=(16, 16))
    assert any("transparent" in note for note in built.notes)
    assert render(built, 16)[8, 8, :3].mean() > 0.05


@pytest.mark.parametrize("roughness", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("color", [0.2, 0.7])
def test_a_dielectrics_albedo_does_not_depend_on_its_roughness(
    tmp_path: Path, roughness: float, color: float
) -> None:
    pbr = {
        "metallicFactor": 0,
        "roughnessFactor": roughness,
        "baseColorFactor": [color, color, color, 1],
    }
    scene = load_scene(gltf(tmp_path, {"pbrMetallicRoughness": pbr}))
    built = build(scene, size=(16, 16), max_depth=2)
    import mitsuba as mi

    white = mi.load_dict({"type": "constant"})
    shapes = {f"shape{i}": shape for i, shape in enumerate(built.mi_scene.shapes())}
    furnace = mi.load_dict(
        {"type": "scene", "light": white, "camera": built.mi_scene.sensors()[0], **shapes}
    )
    from etendue.render.path.drjit import render

    image = render(furnace, spp=256, seed=2, max_depth=2).rgb
    f0 = 0.04
    assert image.mean() == pytest.approx(f0 + (1 - f0) * color, rel=0.04)


def test_metal_and_coat_lose_no_more_than_a_rough_lobe_does(tmp_path: Path) -> None:
    material = {
        "pbrMetallicRoughness": {"metallicFactor": 1, "roughnessFactor": 0.3},
        "extensions": {"KHR_materials_clearcoat": {"clearcoatFactor": 1.0}},
    }
    built = build(load_scene(gltf(tmp_path, material)), size=(16, 16))
    assert np.isfinite(render(built, 64)).all()
    assert len(built.mi_scene.shapes()[0].bsdf().inline.material.stacks) == 1


def test_a_replaced_material_and_an_unknown_shape(tmp_path: Path) -> None:
    red = tmp_path / "red.mtlx"
    red.write_text(
        """<?xml version="1.0"?><materialx version="1.39">
  <standard_surface name="s" type="surfaceshader">
    <input name="base_color" type="color3" value="0.8, 0.02, 0.02"/>
    <input name="specular" type="float" value="0"/>
  </standard_surface>
  <surfacematerial name="red" type="material">
    <input name="surfaceshader" type="surfaceshader" nodename="s"/>
  </surfacematerial>
</materialx>"""
    )
    scene = load_scene(gltf(tmp_path, {}))
    image = render(build(scene, size=(16, 16), materials={"Square*": red}), 16)
    assert image[8, 8, 0] > 5 * image[8, 8, 1]
    named = render(build(scene, size=(16, 16), materials={"Square.001": Path(f"{red}#red")}), 16)
    np.testing.assert_array_equal(image, named)
    with pytest.raises(InputError, match="has no shape 'Cube'"):
        build(scene, materials={"Cube": red})
    with pytest.raises(InputError, match="blue"):
        build(scene, materials={"*": Path(f"{red}#blue")})


def test_without_llvm_mitsubas_plugins_stand_in_and_inline_materials_say_what_they_need(
    tmp_path: Path,
) -> None:
    from etendue.device.drjit import activate
    from etendue.render.mitsuba_path import render as render_scalar

    material = {"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 1}}
    scene = load_scene(gltf(tmp_path, material))
    try:
        built = build(scene, size=(8, 8), variant="scalar_rgb")
        assert any("stands in" in note for note in built.notes)
        assert render_scalar(built.mi_scene, spp=4).parts["rgb"].mean() > 0.1
        (tmp_path / "m.mtlx").write_text("<materialx version='1.39'/>")
        with pytest.raises(DeviceError, match="needs a usable LLVM"):
            build(scene, materials={"*": tmp_path / "m.mtlx"}, variant="scalar_rgb")
        path = tmp_path / "scene.xml"
        path.write_text(
            '<scene version="3.0.0"><shape type="sphere"><bsdf type="layered">'
            '<string name="filename" value="m.mtlx"/></bsdf></shape></scene>'
        )
        with pytest.raises(DeviceError, match="needs a usable LLVM"):
            build(load_scene(path), variant="scalar_rgb")
    finally:
        activate()
