"""The three surface models: each mapping rule against its formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.scene.material import LayeredMaterial, LayerKind
from etendue.scene.materialx.optics import (
    conductor_tints,
    eta_of_f0,
)
from etendue.scene.rough_base import pile

K15 = 0.5963


def _kinds(material: LayeredMaterial) -> list[list[str]]:
    return [[material.layers[i].kind.name for i in s.layers] for s in material.stacks]


def _layer(material: LayeredMaterial, name: str) -> Any:
    (found,) = [layer for layer in material.layers if layer.name == name]
    return found


def _seen(color: float, *etas: float) -> float:
    """The albedo behind a colour under smooth interfaces: c / (1 - k + k c)."""
    k = pile(*((np.zeros(1), np.full(1, e)) for e in etas)).returned.item()
    return color / (1.0 - k + k * color)


# --- Standard Surface ---


def test_standard_default_is_an_interface_over_a_raised_albedo(documents: Any) -> None:
    material = documents.load(
        documents.shader("standard_surface", base_color="color3: 0.5,0.5,0.5")
    )
    assert _kinds(material) == [["DIELECTRIC", "DIFFUSE"]]
    assert _layer(material, "specular").eta == pytest.approx(1.5)
    assert _layer(material, "specular").alpha == pytest.approx((0.04, 0.04))
    smooth = documents.load(
        documents.shader(
            "standard_surface", base_color="color3: 0.5,0.5,0.5", specular_roughness="float: 0"
        )
    )
    rho = _layer(smooth, "base").albedo[0]
    assert rho == pytest.approx(0.5 / (1 - K15 + K15 * 0.5), abs=1e-3)
    assert rho < _layer(material, "base").albedo[0] < 1.01 * rho
    assert material.notes == ()


def test_standard_specular_scales_the_reflectance(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", specular="float: 0.25", specular_color="color3: 1,0.5,2"
        )
    )
    interface = _layer(material, "specular")
    assert ((interface.eta - 1) / (interface.eta + 1)) ** 2 == pytest.approx(0.01)
    assert interface.reflect_tint == (1.0, 0.5, 1.0)
    material = documents.load(
        documents.shader("standard_surface", specular="float: 0", base_color="color3: 0.5,0.5,0.5")
    )
    assert _kinds(material) == [["DIFFUSE"]]
    assert _layer(material, "base").albedo[0] == pytest.approx(0.5)


def test_standard_anisotropy_and_rotation(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", specular_roughness="float: 0.5", specular_anisotropy="float: 0.75",
            specular_rotation="float: 0.125", metalness="float: 1",
        )
    )  # fmt: skip
    metal = _layer(material, "metal")
    assert metal.alpha == pytest.approx((0.5, 0.125))
    assert np.abs(metal.tangent) == pytest.approx([0.5**0.5, 0.5**0.5])
    assert _kinds(material) == [["CONDUCTOR"]]


def test_standard_metal_has_its_artistic_index(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", metalness="float: 1", base="float: 1",
            base_color="color3: 0.9,0.6,0.3", specular_color="color3: 1,0.9,0.8",
        )
    )  # fmt: skip
    metal = _layer(material, "metal")
    assert metal.f0 == pytest.approx((0.9, 0.6, 0.3))
    r, g = np.array([0.9, 0.6, 0.3]), np.array([1, 0.9, 0.8])
    n = (1 - g) * (1 + np.sqrt(r)) / (1 - np.sqrt(r)) + g * (1 - r) / (1 + r)
    k = np.sqrt(((n + 1) ** 2 * r - (n - 1) ** 2) / (1 - r))
    np.testing.assert_allclose(metal.f82, conductor_tints(n, k)[1], rtol=1e-6)


def test_standard_coat(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", coat="float: 1", coat_color="color3: 1, 0.5, 0.0001",
            coat_IOR="float: 1.6", coat_roughness="float: 0.3", base_color="color3: 0.5,0.5,0.5",
            specular_roughness="float: 0",
        )
    )  # fmt: skip
    assert _kinds(material) == [["DIELECTRIC", "DIELECTRIC", "DIFFUSE"]]
    coat = _layer(material, "coat")
    assert coat.eta == 1.6
    assert coat.alpha == pytest.approx((0.09, 0.09))
    assert coat.tau_absorb == pytest.approx((0.0, 0.5 * np.log(2), 0.5 * np.log(1000)))
    interfaces = ((np.full(1, a), np.full(1, e)) for a, e in ((0.09, 1.6), (0.0, 1.5)))
    expected = pile(*interfaces).albedo(np.array(0.5)).item()
    assert _layer(material, "base").albedo[0] == pytest.approx(expected)
    assert _seen(0.5, 1.6, 1.5) < expected < 1.05 * _seen(0.5, 1.6, 1.5)


def test_standard_fractional_coat_and_metal_share_layers(documents: Any) -> None:
    material = documents.load(
        documents.shader("standard_surface", coat="float: 0.25", metalness="float: 0.5")
    )
    assert len(material.layers) == 4
    assert len(material.stacks) == 4
    weights = [s.weight[0] for s in material.stacks]
    assert weights == pytest.approx([0.125, 0.125, 0.375, 0.375])


def test_standard_transmission_subsurface_and_sheen(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", transmission="float: 0.25", subsurface="float: 0.5",
            subsurface_color="color3: 1,0,0", base="float: 1", base_color="color3: 0,1,0",
            sheen="float: 0.5", sheen_color="color3: 1,0.5,0", sheen_roughness="float: 0.4",
            specular_roughness="float: 0",
        )
    )  # fmt: skip
    assert _kinds(material) == [["DIELECTRIC", "OPEN"], ["DIELECTRIC", "DIFFUSE"]]
    assert material.interior is not None
    assert [s.weight[0] for s in material.stacks] == [0.25, 0.75]
    seen = _seen(0.5, 1.5)
    assert _layer(material, "base").albedo == pytest.approx((seen, seen, 0.0))
    assert material.stacks[1].sheen_color == (0.5, 0.25, 0.0)
    assert material.stacks[1].sheen_roughness == 0.4
    assert material.stacks[0].sheen_color == (0.0, 0.0, 0.0)
    subjects = sorted(note.split(":")[0].split(" =")[0] for note in material.notes)
    assert subjects == ["sheen", "subsurface"]
    assert "subsurface = 0.5: not modelled; diffuse of subsurface_color" in " ".join(material.notes)


def test_standard_notes_name_each_input_once(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", emission="float: 1", thin_film_thickness="float: 500",
            opacity="color3: 1, 0.5, 1",
        )
    )  # fmt: skip
    assert len(material.notes) == 3
    for name in ("emission", "thin_film_thickness", "opacity = 1, 0.5, 1"):
        assert sum(note.startswith(name) for note in material.notes) == 1


# --- OpenPBR ---


def test_open_pbr_anisotropy_and_metal(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "open_pbr_surface", base_metalness="float: 1", specular_roughness="float: 0.6",
            specular_roughness_anisotropy="float: 0.5", base_weight="float: 0.5",
            base_color="color3: 0.8,0.6,0.4", specular_color="color3: 0.9,0.8,0.7",
            specular_weight="float: 0.5",
        )
    )  # fmt: skip
    metal = _layer(material, "metal")
    along = 0.36 * np.sqrt(2 / 1.25)
    assert metal.alpha == pytest.approx((along, along / 2))
    assert metal.f0 == pytest.approx((0.2, 0.15, 0.1))
    assert metal.f82 == pytest.approx((0.9, 0.8, 0.7))
    assert metal.f90 == pytest.approx((0.5, 0.5, 0.5))


def test_open_pbr_base_index_is_relative_to_the_coat(documents: Any) -> None:
    for base, coat, expected in ((1.5, 1.6, 1.6 / 1.5), (2.0, 1.6, 2.0 / 1.6)):
        material = documents.load(
            documents.shader(
                "open_pbr_surface", coat_weight="float: 1", specular_ior=f"float: {base}",
                coat_ior=f"float: {coat}", coat_color="color3: 0.25,1,1",
                base_color="color3: 0.5,0.5,0.5", specular_roughness="float: 0",
            )
        )  # fmt: skip
        assert _layer(material, "specular").eta == pytest.approx(expected)
        assert _layer(material, "coat").eta == coat
        assert _layer(material, "coat").tau_absorb == pytest.approx((np.log(2), 0, 0))
        assert _layer(material, "base").albedo[0] == pytest.approx(_seen(0.5, expected))


def test_open_pbr_coat_darkening_zero_is_undone(documents: Any) -> None:
    eta = 2.0 / 1.6
    for darkening, expected in ((1.0, _seen(0.5, eta)), (0.0, _seen(0.5, 1.6, eta))):
        material = documents.load(
            documents.shader(
                "open_pbr_surface", coat_weight="float: 1", specular_ior="float: 2",
                coat_darkening=f"float: {darkening}", base_color="color3: 0.5,0.5,0.5",
                specular_roughness="float: 0",
            )
        )  # fmt: skip
        assert _layer(material, "base").albedo[0] == pytest.approx(expected)


def test_open_pbr_specular_weight_and_fuzz(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "open_pbr_surface", specular_weight="float: 0.25", fuzz_weight="float: 0.5",
            fuzz_color="color3: 1,0.5,0", fuzz_roughness="float: 0.7", base_metalness="float: 0.5",
        )
    )  # fmt: skip
    eta = _layer(material, "specular").eta
    assert ((eta - 1) / (eta + 1)) ** 2 == pytest.approx(0.01)
    for stack in material.stacks:  # fuzz lies on everything
        assert stack.sheen_color == (0.5, 0.25, 0.0)
        assert stack.sheen_roughness == 0.7


# --- glTF ---


def test_gltf_metal_and_dielectric(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "gltf_pbr", metallic="float: 0.25", roughness="float: 0.5",
            base_color="color3: 0.5,0.4,0.3",
        )
    )  # fmt: skip
    assert _kinds(material) == [["CONDUCTOR"], ["DIELECTRIC", "DIFFUSE"]]
    assert [s.weight[0] for s in material.stacks] == [0.25, 0.75]
    assert _layer(material, "metal").alpha == pytest.approx((0.25, 0.25))
    assert _layer(material, "metal").f0 == (0.5, 0.4, 0.3)
    assert _layer(material, "metal").f82 == (1.0, 1.0, 1.0)
    assert _layer(material, "specular").eta == pytest.approx(1.5)
    assert _seen(0.5, 1.5) < _layer(material, "base").albedo[0] < 1.15 * _seen(0.5, 1.5)
    smooth = documents.load(
        documents.shader(
            "gltf_pbr", metallic="float: 0", roughness="float: 0", base_color="color3: 0.5,0.4,0.3"
        )
    )
    assert _layer(smooth, "base").albedo[0] == pytest.approx(_seen(0.5, 1.5), rel=1e-5)


def test_gltf_specular_extension(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "gltf_pbr", metallic="float: 0", specular="float: 0.5",
            specular_color="color3: 1,0.5,0.25", ior="float: 2", base_color="color3: 0.2,0.2,0.2",
        )
    )  # fmt: skip
    interface = _layer(material, "specular")
    assert interface.eta == pytest.approx(float(eta_of_f0(np.array(0.5 / 9))))
    assert interface.reflect_tint == pytest.approx((1.0, 0.5, 0.25))


def test_gltf_clearcoat_sheen_anisotropy(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "gltf_pbr", metallic="float: 1", clearcoat="float: 0.5", roughness="float: 0.5",
            clearcoat_roughness="float: 0.4", sheen_color="color3: 0.2,0.1,0",
            sheen_roughness="float: 0.5", anisotropy_strength="float: 0.5",
        )
    )  # fmt: skip
    assert _kinds(material) == [["DIELECTRIC", "CONDUCTOR"], ["CONDUCTOR"]]
    assert _layer(material, "clearcoat").alpha == pytest.approx((0.16, 0.16))
    assert _layer(material, "metal").alpha == pytest.approx((0.25 + 0.25 * 0.75, 0.25))
    assert material.stacks[0].sheen_color == (0.2, 0.1, 0.0)
    assert material.stacks[0].sheen_roughness == 0.25
    assert any(note.startswith("sheen: lies on top") for note in material.notes)


def test_no_model_makes_more_than_it_may(documents: Any) -> None:
    """Everything switched on at once stays within six layers and eight stacks."""
    inputs = {n: "float: 0.5" for n in ("coat", "metalness", "transmission", "sheen", "subsurface")}
    material = documents.load(documents.shader("standard_surface", **inputs))
    assert len(material.layers) <= 5
    assert len(material.stacks) == 6
    assert sum(s.weight[0] for s in material.stacks) == pytest.approx(1.0)
    assert {layer.kind for layer in material.layers} == set(LayerKind) - {LayerKind.BLACK}
