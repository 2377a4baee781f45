"""glTF materials as layered stacks: mapping, textures, transforms, notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.core.color import srgb_to_linear
from etendue.core.errors import InputError
from etendue.core.image import write_bytes_image
from etendue.scene.gltf_file import GltfFile, read_gltf
from etendue.scene.gltf_surface import ImportedSurface, import_surface
from etendue.scene.gltf_texture import resample
from etendue.scene.material import ALPHA_MIN, Channel, LayeredMaterial, LayerKind
from etendue.scene.rough_base import internal_diffuse_reflectance

CLEAR = "KHR_materials_clearcoat"


def surface(material: dict[str, Any], file: GltfFile | None = None) -> ImportedSurface:
    return import_surface(file or GltfFile(Path("x.gltf"), {}, ()), material, 0)


def values(material: LayeredMaterial, parameter: Any) -> np.ndarray:
    if isinstance(parameter, Channel):
        return material.texture.data[..., parameter.index]
    return np.array(parameter)


def textured(folder: Path, material: dict[str, Any], *images: np.ndarray) -> ImportedSurface:
    """Import with 8-bit images as textures 0, 1, ..."""
    for index, image in enumerate(images):
        write_bytes_image(folder / f"{index}.png", np.asarray(image, np.uint8))
    document = {
        "asset": {"version": "2.0"},
        "textures": [{"source": i} for i in range(len(images))],
        "images": [{"uri": f"{i}.png"} for i in range(len(images))],
    }
    (folder / "m.gltf").write_text(json.dumps(document))
    return surface(material, read_gltf(folder / "m.gltf"))


def test_the_default_material_is_a_rough_white_metal() -> None:
    material = surface({}).surface.material
    (stack,) = material.stacks
    (layer,) = (material.layers[i] for i in stack.layers)
    assert layer.kind == LayerKind.CONDUCTOR and layer.f0 == (1, 1, 1) and layer.alpha == (1, 1)
    assert stack.weight == (1, 1, 1)


def test_a_smooth_dielectric_gets_the_albedo_behind_its_colour() -> None:
    pbr = {"metallicFactor": 0, "roughnessFactor": 0, "baseColorFactor": [0.5, 0.2, 0, 1]}
    material = surface({"pbrMetallicRoughness": pbr}).surface.material
    (stack,) = material.stacks
    top, base = (material.layers[i] for i in stack.layers)
    assert (top.kind, base.kind) == (LayerKind.DIELECTRIC, LayerKind.DIFFUSE)
    assert top.alpha == pytest.approx((ALPHA_MIN, ALPHA_MIN))
    assert top.eta == pytest.approx(1.5)
    k = internal_diffuse_reflectance(np.array([1.5])).item()
    assert k == pytest.approx(0.596, abs=2e-3)
    rho = np.array([float(values(material, c)) for c in base.albedo])
    np.testing.assert_allclose(rho * (1 - k) / (1 - k * rho), [0.5, 0.2, 0], atol=0.01)


def test_metalness_and_coat_weights_sum_to_one() -> None:
    material = surface(
        {
            "pbrMetallicRoughness": {"metallicFactor": 0.25, "roughnessFactor": 0},
            "extensions": {CLEAR: {"clearcoatFactor": 0.4, "clearcoatRoughnessFactor": 0.5}},
        }
    ).surface.material
    weights = [float(values(material, stack.weight[0])) for stack in material.stacks]
    np.testing.assert_allclose(weights, [0.10, 0.30, 0.15, 0.45], atol=1e-6)
    kinds = [[material.layers[i].name for i in stack.layers] for stack in material.stacks]
    assert kinds == [
        ["clearcoat", "metal"],
        ["clearcoat", "specular", "base"],
        ["metal"],
        ["specular", "base"],
    ]
    layers = {layer.name: layer for layer in material.layers}
    assert layers["metal"].alpha == pytest.approx((ALPHA_MIN, ALPHA_MIN))
    assert layers["clearcoat"].alpha == (0.25, 0.25)


def test_textures_become_channels_of_one_resolution(tmp_path: Path) -> None:
    base = np.zeros((2, 2, 3))
    base[0, 0], base[1, 1] = 255, 128
    orm = np.zeros((4, 4, 3))
    orm[..., 1], orm[:2, :, 2] = 51, 255  # roughness 0.2, metallic above
    pbr = {
        "baseColorTexture": {"index": 0},
        "metallicRoughnessTexture": {"index": 1},
        "baseColorFactor": [1, 0.5, 1, 1],
    }
    material = textured(tmp_path, {"pbrMetallicRoughness": pbr}, base, orm).surface.material
    assert material.texture.data.shape[:2] == (4, 4)
    metal = material.layers[0]
    green = values(material, metal.f0[1])
    np.testing.assert_allclose(green[0, 0], 0.5 * (0.75**2 + 0.25**2 * 0.2158), atol=1e-3)
    assert metal.alpha[0] == pytest.approx(0.04, abs=1e-5)
    weight = values(material, material.stacks[0].weight[0])
    np.testing.assert_allclose(weight[:, 0], [0.75, 1, 0.25, 0], atol=0.3)
    assert weight[1, 0] > 0.7 > 0.3 > weight[2, 0]
    total = sum(values(material, stack.weight[0]) for stack in material.stacks)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)


def test_normal_maps_become_slopes(tmp_path: Path) -> None:
    n = np.array([0.6, 0.0, 0.8])
    image = np.round((np.tile(n, (2, 2, 1)) + 1) / 2 * 255)
    image[0] = [128, 128, 255]
    material = textured(
        tmp_path, {"normalTexture": {"index": 0, "scale": 0.5}}, image
    ).surface.material
    slope = values(material, material.layers[0].normal[0])
    np.testing.assert_allclose(slope[1], 0.375, atol=0.01)
    np.testing.assert_allclose(slope[0], 0.0, atol=0.01)


def test_a_shared_transform_goes_to_the_mesh(tmp_path: Path) -> None:
    info = {"index": 0, "texCoord": 0}
    info["extensions"] = {
        "KHR_texture_transform": {"offset": [0.25, 0], "scale": [2, 3], "texCoord": 1}
    }
    image = np.arange(12).reshape(2, 2, 3) * 20
    found = textured(tmp_path, {"pbrMetallicRoughness": {"baseColorTexture": info}}, image)
    assert found.uv_set == 1 and found.uv_matrix is not None
    np.testing.assert_allclose(found.uv_matrix @ [0.5, 1 / 3, 1], [1.25, 1, 1])
    red = values(found.surface.material, found.surface.material.layers[0].f0[0])
    np.testing.assert_allclose(red, srgb_to_linear(image[..., 0] / 255), atol=1e-6)


def test_different_transforms_are_resampled(tmp_path: Path) -> None:
    base = np.zeros((8, 8, 3))
    base[:, :4] = 255
    twice = {"index": 0, "extensions": {"KHR_texture_transform": {"scale": [2, 1]}}}
    material = {
        "pbrMetallicRoughness": {"baseColorTexture": twice},
        "emissiveFactor": [1, 1, 1],
        "emissiveTexture": {"index": 0},
    }
    found = textured(tmp_path, material, base)
    assert found.uv_matrix is None and found.surface.emission is not None
    red = values(found.surface.material, found.surface.material.layers[0].f0[0])
    np.testing.assert_allclose(red[3], np.array([1, 1, 0, 0] * 2), atol=0.51)
    assert red[3, 0] > red[3, 2] and red[3, 4] > red[3, 6]
    np.testing.assert_allclose(found.surface.emission[..., 0], base[..., 0] / 255, atol=1e-6)


def test_rotation_turns_as_the_extension_says(tmp_path: Path) -> None:
    info = {"index": 0, "extensions": {"KHR_texture_transform": {"rotation": np.pi / 2}}}
    image = np.arange(12).reshape(2, 2, 3)
    found = textured(tmp_path, {"pbrMetallicRoughness": {"baseColorTexture": info}}, image)
    assert found.uv_matrix is not None
    # the extension's matrix for a quarter turn: u' = v, v' = -u
    np.testing.assert_allclose(found.uv_matrix @ [1, 0, 1], [0, -1, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("mode", "alpha", "expected"),
    [("OPAQUE", 0.2, None), ("MASK", 0.4, 0.0), ("MASK", 0.6, None), ("BLEND", 0.4, 0.4)],
)
def test_alpha_modes(mode: str, alpha: float, expected: float | None) -> None:
    pbr = {"baseColorFactor": [1, 1, 1, alpha]}
    opacity = surface({"alphaMode": mode, "pbrMetallicRoughness": pbr}).surface.opacity
    assert (opacity is None) == (expected is None)
    if opacity is not None:
        np.testing.assert_allclose(opacity, expected, atol=1e-6)


def _glass(**extensions: Any) -> LayeredMaterial:
    rough = {"metallicFactor": 0.0, "roughnessFactor": 0.0, "baseColorFactor": [0.9, 1, 0.8, 1]}
    named = {f"KHR_materials_{n}": v for n, v in extensions.items()}
    return surface({"pbrMetallicRoughness": rough, "extensions": named}).surface.material


def test_transmission_is_a_thin_wall_or_a_solid() -> None:
    """Without thickness two faces about a tint; with it the boundary of what absorbs."""
    clear = {"transmissionFactor": 1.0}
    wall = _glass(transmission=clear)
    assert wall.transmits and wall.interior is None
    front, back, end = (wall.layers[i] for i in wall.stacks[0].layers)
    assert end.kind == LayerKind.OPEN and front.smooth and back.smooth
    assert front.eta == pytest.approx(1.5) and back.eta == pytest.approx(1 / 1.5)
    np.testing.assert_allclose(np.exp(-np.array(front.tau_absorb)), [0.9, 1, 0.8], rtol=1e-5)
    volume = {"thicknessFactor": 1.0, "attenuationColor": [0.5, 1, 0.25], "attenuationDistance": 2}
    solid = _glass(transmission=clear, volume=volume, ior={"ior": 1.33})
    assert solid.interior is not None
    np.testing.assert_allclose(solid.interior.absorption, -np.log([0.5, 1, 0.25]) / 2, atol=1e-6)
    face, end = (solid.layers[i] for i in solid.stacks[0].layers)
    assert face.eta == pytest.approx(1.33) and end.kind == LayerKind.OPEN
    np.testing.assert_allclose(face.transmit_tint, [0.9, 1, 0.8], rtol=1e-6)
    half = _glass(transmission={"transmissionFactor": 0.25})
    weights = {half.is_open(stack): stack.weight[0] for stack in half.stacks}
    assert weights == {True: pytest.approx(0.25), False: pytest.approx(0.75)}


def test_iridescence_is_a_film_on_what_transmits() -> None:
    film = {"iridescenceFactor": 1.0, "iridescenceIor": 1.4, "iridescenceThicknessMaximum": 350}
    made = _glass(transmission={"transmissionFactor": 1.0}, iridescence=film)
    front = made.layers[made.stacks[0].layers[0]]
    assert (front.film_thickness, front.film_eta) == (350.0, pytest.approx(1.4))
    opaque = surface({"extensions": {"KHR_materials_iridescence": film}})
    assert any("iridescence: not modelled; the film is left out" in n for n in opaque.notes)


def test_textures_of_extensions(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 4))
    image[:, :2] = [255, 0, 0, 255]
    image[:, 2:] = [0, 255, 0, 51]
    extensions = {
        "KHR_materials_transmission": {"transmissionFactor": 0.5,
                                       "transmissionTexture": {"index": 0}},
        "KHR_materials_specular": {"specularColorTexture": {"index": 0}},
        "KHR_materials_sheen": {"sheenColorFactor": [1, 1, 1], "sheenColorTexture": {"index": 0}},
    }  # fmt: skip
    smooth = {"metallicFactor": 0.0, "roughnessFactor": 0.2}
    material = {"pbrMetallicRoughness": smooth, "extensions": extensions}
    made = textured(tmp_path, material, image).surface.material
    weights = {made.is_open(s): values(made, s.weight[0]) for s in made.stacks}
    assert weights[True][2, 0] > 0.4 > 0.1 > weights[True][2, 2]
    stack = next(s for s in made.stacks if not made.is_open(s))
    red = values(made, stack.sheen_color[0])
    assert red[2, 0] > 0.8 > 0.2 > red[2, 2]
    interface = made.layers[stack.layers[0]]
    green = values(made, interface.reflect_tint[1])
    assert green[2, 2] > 0.8 > 0.2 > green[2, 0]


def test_emission_strength_and_notes() -> None:
    found = surface(
        {
            "name": "lamp",
            "emissiveFactor": [1, 0.5, 0],
            "occlusionTexture": {"index": 0},
            "extensions": {
                "KHR_materials_emissive_strength": {"emissiveStrength": 4},
                "KHR_materials_dispersion": {},
            },
        }
    )
    assert found.surface.emission is not None
    np.testing.assert_allclose(found.surface.emission[0, 0], [4, 2, 0])
    notes = " / ".join(found.notes)
    assert "material lamp: dispersion" in notes and "occlusion" in notes
    assert found.surface.material.notes == found.notes


@pytest.mark.parametrize(
    "material",
    [
        {"pbrMetallicRoughness": {"baseColorFactor": [1, 1]}},
        {"pbrMetallicRoughness": {"roughnessFactor": "rough"}},
        {"pbrMetallicRoughness": {"metallicFactor": float("nan")}},
        {"normalTexture": {"index": 5}},
        {"normalTexture": 3},
        {"extensions": {"KHR_materials_transmission": 3}},
        {"extensions": {"KHR_materials_transmission": {"transmissionFactor": "all"}}},
        {"extensions": {"KHR_materials_volume": {"attenuationColor": [1, float("inf"), 1]}}},
        {"extensions": {"KHR_materials_ior": {"ior": "glass"}}},
    ],
)
def test_bad_values_are_input_errors(material: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        surface(material)


def test_a_damaged_image_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    document = {
        "asset": {"version": "2.0"},
        "textures": [{"source": 0}],
        "images": [{"uri": "0.png", "name": "Label"}],
    }
    (tmp_path / "m.gltf").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"m\.gltf: Label"):
        surface({"normalTexture": {"index": 0}}, read_gltf(tmp_path / "m.gltf"))


def test_resampling_keeps_the_mean() -> None:
    pixels = np.random.default_rng(3).random((12, 10, 4), np.float32)
    for shape in ((6, 5), (12, 10), (24, 30), (5, 7)):
        small = resample(pixels, *shape, np.eye(3))
        assert small.shape == (*shape, 4)
        tolerance = 1e-6 if 12 % shape[0] == 0 and 10 % shape[1] == 0 else 0.02
        np.testing.assert_allclose(small.mean((0, 1)), pixels.mean((0, 1)), atol=tolerance)
