"""pbrlib graphs: each node, their nesting, and surfaces built from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.scene.material import Interior, LayeredMaterial, LayerKind
from etendue.scene.materialx.optics import (
    conductor_tints,
    eta_of_f0,
)
from etendue.scene.rough_base import internal_diffuse_reflectance


def _names(material: LayeredMaterial) -> list[list[str]]:
    return [[material.layers[i].name for i in s.layers] for s in material.stacks]


def _layer(material: LayeredMaterial, name: str) -> Any:
    (found,) = [layer for layer in material.layers if layer.name == name]
    return found


@pytest.fixture
def parts(node: Any) -> str:
    """A matte, a metal and a coat to build with."""
    return (
        node("oren_nayar_diffuse_bsdf", "matte", "BSDF", color="color3: 0.5,0.5,0.5")
        + node("conductor_bsdf", "metal", "BSDF", roughness="vector2: 0.2, 0.1")
        + node("dielectric_bsdf", "coat", "BSDF", ior="float: 1.5", roughness="vector2: 0.1, 0.1")
    )


def test_matte_alone_keeps_its_colour(documents: Any, node: Any) -> None:
    body = node(
        "oren_nayar_diffuse_bsdf", "a", "BSDF", color="color3: 0.2,0.4,0.6", weight="float: 0.5",
        roughness="float: 0.3",
    )  # fmt: skip
    material = documents.load(documents.surface(body, "a"))
    assert material.layers[0].albedo == pytest.approx((0.1, 0.2, 0.3))
    assert material.layers[0].roughness == 0.3
    assert material.stacks[0].weight == (1.0, 1.0, 1.0)


def test_conductor_follows_its_index(documents: Any, node: Any) -> None:
    body = node(
        "conductor_bsdf", "a", "BSDF", ior="color3: 0.2,0.5,1.1", extinction="color3: 3.9,2.5,2.4",
        roughness="vector2: 0.3, 0.1", tangent="vector3: 0, 1, 0", weight="float: 0.5",
    )  # fmt: skip
    (layer,) = documents.load(documents.surface(body, "a")).layers
    f0, f82 = conductor_tints(np.array([0.2, 0.5, 1.1]), np.array([3.9, 2.5, 2.4]))
    assert layer.f0 == pytest.approx(0.5 * f0)
    assert layer.f82 == pytest.approx(f82)
    assert layer.f90 == (0.5, 0.5, 0.5)
    assert layer.alpha == (0.3, 0.1)
    assert layer.tangent == (0.0, 1.0)


def test_layer_over_matte(documents: Any, node: Any, parts: str) -> None:
    smooth = parts.replace("0.1, 0.1", "0, 0")
    body = smooth + node("layer", "l", "BSDF", top="BSDF @ coat", base="BSDF @ matte")
    material = documents.load(documents.surface(body, "l"))
    assert _names(material) == [["coat", "matte"]]
    k = internal_diffuse_reflectance(np.array([1.5])).item()
    assert _layer(material, "matte").albedo[0] == pytest.approx(0.5 / (1 - k + k * 0.5))


def test_a_bright_matte_under_a_rough_layer_is_partly_bare(
    documents: Any, node: Any, parts: str
) -> None:
    rough = parts.replace("0.1, 0.1", "0.5, 0.5").replace("0.5,0.5,0.5", "0.8,0.1,0")
    body = rough + node("layer", "l", "BSDF", top="BSDF @ coat", base="BSDF @ matte")
    material = documents.load(documents.surface(body, "l"))
    assert _names(material) == [["coat", "matte"], ["matte.bare"]]
    assert _layer(material, "matte").albedo[0] == 1.0
    bare = _layer(material, "matte.bare").albedo
    assert 0.8 < bare[0] <= 0.98 and 0.1 < bare[1] < 0.2
    assert sum(s.weight[0] for s in material.stacks) == pytest.approx(1.0)


def test_two_interfaces_over_a_mix(documents: Any, node: Any, parts: str) -> None:
    body = parts + node("dielectric_bsdf", "upper", "BSDF", ior="float: 1.3")
    body += node("mix", "m", "BSDF", fg="BSDF @ metal", bg="BSDF @ matte", mix="float: 0.25")
    body += node("layer", "l", "BSDF", top="BSDF @ coat", base="BSDF @ m")
    body += node("layer", "ll", "BSDF", top="BSDF @ upper", base="BSDF @ l")
    material = documents.load(documents.surface(body, "ll"))
    assert _names(material) == [["upper", "coat", "metal"], ["upper", "coat", "matte"]]
    assert [s.weight[0] for s in material.stacks] == [0.25, 0.75]


def test_weight_of_an_interface_is_coverage(documents: Any, node: Any, parts: str) -> None:
    body = parts.replace('name="coat" type="BSDF">', 'name="coat" type="BSDF">'
                         '<input name="weight" type="float" value="0.25"/>')  # fmt: skip
    body += node("layer", "l", "BSDF", top="BSDF @ coat", base="BSDF @ metal")
    material = documents.load(documents.surface(body, "l"))
    assert _names(material) == [["coat", "metal"], ["metal"]]
    assert [s.weight[0] for s in material.stacks] == [0.25, 0.75]


def test_multiply_scales_stacks_and_tints_tops(documents: Any, node: Any, parts: str) -> None:
    body = parts + node("multiply", "m", "BSDF", in1="BSDF @ matte", in2="color3: 0.1,0.2,0.3")
    material = documents.load(documents.surface(body, "m"))
    assert material.stacks[0].weight == pytest.approx((0.1, 0.2, 0.3))
    body = parts + node("multiply", "t", "BSDF", in1="BSDF @ coat", in2="color3: 0.1,0.2,0.3")
    body += node("layer", "l", "BSDF", top="BSDF @ t", base="BSDF @ metal")
    material = documents.load(documents.surface(body, "l"))
    assert material.stacks[0].weight == (1.0, 1.0, 1.0)
    assert _layer(material, "coat").reflect_tint == pytest.approx((0.1, 0.2, 0.3))


def test_add_is_both(documents: Any, node: Any, parts: str) -> None:
    body = parts + node("add", "a", "BSDF", in1="BSDF @ metal", in2="BSDF @ matte")
    material = documents.load(documents.surface(body, "a"))
    assert _names(material) == [["metal"], ["matte"]]
    assert [s.weight[0] for s in material.stacks] == [1.0, 1.0]


def test_sheen_over_matte(documents: Any, node: Any, parts: str) -> None:
    body = parts + node(
        "sheen_bsdf", "s", "BSDF", weight="float: 0.5", color="color3: 1,0.5,0",
        roughness="float: 0.6",
    )  # fmt: skip
    body += node("layer", "l", "BSDF", top="BSDF @ s", base="BSDF @ matte")
    material = documents.load(documents.surface(body, "l"))
    assert _names(material) == [["matte"]]
    assert material.stacks[0].sheen_color == (0.5, 0.25, 0.0)
    assert material.stacks[0].sheen_roughness == 0.6
    body += node("layer", "ll", "BSDF", top="BSDF @ coat", base="BSDF @ l")
    material = documents.load(documents.surface(body, "ll"))
    assert any("sheen below an interface" in note for note in material.notes)


def test_generalised_schlick_alone_and_on_top(documents: Any, node: Any, parts: str) -> None:
    body = parts + node(
        "generalized_schlick_bsdf", "g", "BSDF", color0="color3: 0.04,0.02,0.01",
        color82="color3: 0.9,0.9,0.9", roughness="vector2: 0.2,0.2",
    )  # fmt: skip
    alone = documents.load(documents.surface(body, "g"))
    assert alone.layers[0].kind == LayerKind.CONDUCTOR
    assert alone.layers[0].f0 == pytest.approx((0.04, 0.02, 0.01))
    assert alone.layers[0].f82 == pytest.approx((0.9, 0.9, 0.9))
    body += node("multiply", "m", "BSDF", in1="BSDF @ g", in2="float: 0.5")
    body += node("layer", "l", "BSDF", top="BSDF @ m", base="BSDF @ matte")
    material = documents.load(documents.surface(body, "l"))
    assert _names(material) == [["g", "matte"]]
    interface = _layer(material, "g")
    assert interface.kind == LayerKind.DIELECTRIC
    assert interface.eta == pytest.approx(float(eta_of_f0(np.array(0.04))))
    assert interface.reflect_tint == pytest.approx((0.5, 0.25, 0.125))


def test_transmission(documents: Any, node: Any) -> None:
    """RT bounds a solid or, where the surface says so, a thin wall; T reflects nothing."""
    for mode, reflects in (("RT", 1.0), ("T", 0.0)):
        body = node("dielectric_bsdf", "glass", "BSDF", scatter_mode=f"string: {mode}")
        material = documents.load(documents.surface(body, "glass"))
        assert [layer.kind for layer in material.layers] == [LayerKind.DIELECTRIC, LayerKind.OPEN]
        assert material.layers[0].reflect_tint == (reflects,) * 3
        assert material.interior == Interior()
        assert material.notes == ()
    volume = node("absorption_vdf", "v", "VDF", absorption="vector3: 0.1,0.2,0.3")
    layered = node("layer", "l", "BSDF", top="BSDF @ glass", base="VDF @ v")
    body = node("dielectric_bsdf", "glass", "BSDF", scatter_mode="string: RT") + volume + layered
    material = documents.load(documents.surface(body, "l"))
    assert material.interior.absorption == pytest.approx((0.1, 0.2, 0.3))
    body = node("dielectric_bsdf", "glass", "BSDF", scatter_mode="string: RT")
    wall = node("surface", "S", "surfaceshader", bsdf="BSDF @ glass", thin_walled="boolean: true")
    material = documents.load(documents.document(body + wall))
    assert material.interior is None
    assert len(material.stacks[0].layers) == 3
    etas = [material.layers[k].eta for k in material.stacks[0].layers[:2]]
    assert etas[0] * etas[1] == pytest.approx(1.0)


def test_volume_below_an_interface(documents: Any, node: Any, parts: str) -> None:
    body = parts + node(
        "anisotropic_vdf", "v", "VDF", absorption="vector3: 0.1,0.2,0.3",
        scattering="vector3: 0.3,0.6,0.9", anisotropy="float: 0.4",
    )  # fmt: skip
    body += node("layer", "c", "BSDF", top="BSDF @ coat", base="VDF @ v")
    body += node("layer", "l", "BSDF", top="BSDF @ c", base="BSDF @ matte")
    material = documents.load(documents.surface(body, "l"))
    coat = _layer(material, "coat")
    assert coat.tau_absorb == (0.1, 0.2, 0.3)
    assert coat.tau_scatter == pytest.approx(0.6)
    assert coat.g == 0.4


def test_what_stands_in_for_other_bsdfs(documents: Any, node: Any) -> None:
    for category, stands in (
        ("burley_diffuse_bsdf", "Oren-Nayar"),
        ("subsurface_bsdf", "diffuse of its color"),
    ):
        body = node(category, "a", "BSDF", color="color3: 0.3,0.3,0.3")
        material = documents.load(documents.surface(body, "a"))
        assert material.layers[0].kind == LayerKind.DIFFUSE
        assert stands in material.notes[0]
    material = documents.load(documents.surface(node("translucent_bsdf", "a", "BSDF"), "a"))
    assert material.layers[0].kind == LayerKind.BLACK


def test_models_defined_by_graphs_come_through_their_graphs(documents: Any) -> None:
    """UsdPreviewSurface has no mapping of its own: the library defines it over pbrlib."""
    material = documents.load(
        documents.shader("UsdPreviewSurface", diffuseColor="color3: 0.5,0.2,0.1")
    )
    kinds = [[material.layers[i].kind.name for i in s.layers] for s in material.stacks]
    assert ["DIELECTRIC", "DIFFUSE"] in kinds


def test_mixed_surface_shaders(documents: Any, node: Any) -> None:
    body = node("gltf_pbr", "a", "surfaceshader", metallic="float: 1")
    body += node("standard_surface", "b", "surfaceshader", specular="float: 0")
    text = documents.shader(
        "mix", body, fg="surfaceshader @ a", bg="surfaceshader @ b", mix="float: 0.25"
    )
    material = documents.load(text)
    assert _names(material) == [["metal"], ["base"]]
    assert [s.weight[0] for s in material.stacks] == [0.25, 0.75]


def test_emission_opacity_and_empty_surface(documents: Any, node: Any) -> None:
    body = node("uniform_edf", "e", "EDF")
    body += node("surface", "S", "surfaceshader", edf="EDF @ e", opacity="float: 0.5")
    material = documents.load(documents.document(body))
    assert [layer.kind for layer in material.layers] == [LayerKind.BLACK]
    assert len(material.notes) == 2


def test_what_never_shows_leaves_no_trace(documents: Any, node: Any, parts: str) -> None:
    """A side of weight zero is not evaluated: no notes, no missing images; black emits nothing."""
    body = parts + node("image", "gone", "color3", file="filename: gone.png")
    body += node("subsurface_bsdf", "hidden", "BSDF", color="color3 @ gone")
    body += node("mix", "m", "BSDF", fg="BSDF @ hidden", bg="BSDF @ matte", mix="float: 0")
    body += node("uniform_edf", "dark", "EDF", color="color3: 0,0,0")
    body += node("surface", "S", "surfaceshader", bsdf="BSDF @ m", edf="EDF @ dark")
    material = documents.load(documents.document(body))
    assert _names(material) == [["matte"]]
    assert material.notes == ()
