"""Transmission in the surface models: bottoms, tints, films, mirrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.scene.material import Channel, LayerKind
from etendue.scene.materialx import load_material

ASSETS = Path(__file__).parents[2] / "assets" / "materials"


def test_own_materials() -> None:
    frosted = load_material(ASSETS / "frosted_glass.mtlx", resolution=16)
    tinted = load_material(ASSETS / "tinted_glass.mtlx", resolution=16)
    bubble = load_material(ASSETS / "soap_bubble.mtlx", resolution=16)
    for material in (frosted, tinted, bubble):
        assert material.transmits
        assert material.notes == ()
    assert frosted.interior.absorption == (0.0, 0.0, 0.0)
    # Beer: the colour is reached at the depth
    left = np.exp(-1.5 * np.array(tinted.interior.absorption))
    assert left == pytest.approx((0.25, 0.75, 0.45))
    assert bubble.interior is None
    film = bubble.layers[0]
    assert film.smooth
    assert film.eta == 1.0
    assert isinstance(film.film_thickness, Channel)
    thickness = bubble.texture.data[..., film.film_thickness.index]
    assert 100 < thickness.min() < thickness.max() < 900  # nanometres


def test_tint_at_the_surface_and_in_a_wall(documents: Any) -> None:
    inputs = {
        "transmission_weight": "float: 1", "transmission_color": "color3: 0.25,0.5,1",
        "specular_roughness": "float: 0.5",
    }  # fmt: skip
    solid = documents.load(documents.shader("open_pbr_surface", **inputs))
    assert solid.layers[0].transmit_tint == pytest.approx((0.25, 0.5, 1.0))
    assert solid.interior.absorption == (0.0, 0.0, 0.0)
    assert not solid.layers[0].smooth
    wall = documents.load(
        documents.shader("open_pbr_surface", **inputs, geometry_thin_walled="boolean: true")
    )
    assert wall.interior is None
    top, back = (wall.layers[k] for k in wall.stacks[0].layers[:2])
    assert np.exp(-np.array(top.tau_absorb)) == pytest.approx((0.25, 0.5, 1.0))
    assert top.eta * back.eta == pytest.approx(1.0)
    assert back.alpha == top.alpha


def test_coated_wall_returns_to_air(documents: Any) -> None:
    wall = documents.load(
        documents.shader(
            "open_pbr_surface", transmission_weight="float: 1", coat_weight="float: 0.5",
            coat_ior="float: 1.6", geometry_thin_walled="boolean: true",
            specular_roughness="float: 0.4",
        )
    )  # fmt: skip
    assert len(wall.stacks) == 2
    for stack in wall.stacks:
        etas = [wall.layers[k].eta for k in stack.layers[:-1]]
        assert np.prod(etas) == pytest.approx(1.0)


def test_standard_surface_wall_with_film(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "standard_surface", transmission="float: 1", thin_walled="boolean: true",
            thin_film_thickness="float: 300", thin_film_IOR="float: 1.4",
            specular_roughness="float: 0",
        )
    )  # fmt: skip
    top = material.layers[material.stacks[0].layers[0]]
    assert (top.film_thickness, top.film_eta) == (300.0, 1.4)
    assert all(material.layers[k].smooth for k in material.stacks[0].layers[:-1])
    assert material.notes == ()


def test_gltf_volume(documents: Any) -> None:
    material = documents.load(
        documents.shader(
            "gltf_pbr", metallic="float: 0", roughness="float: 0.5", transmission="float: 1",
            thickness="float: 1", attenuation_distance="float: 2",
            attenuation_color="color3: 0.5,0.25,1",
        )
    )  # fmt: skip
    assert np.exp(-2 * np.array(material.interior.absorption)) == pytest.approx((0.5, 0.25, 1.0))
    thin = documents.load(
        documents.shader("gltf_pbr", metallic="float: 0", transmission="float: 1")
    )
    assert thin.interior is None


def test_opaque_parts_stay_opaque(documents: Any) -> None:
    """The film is left out of them, and said; fuzz is left out of what transmits, and said."""
    material = documents.load(
        documents.shader(
            "open_pbr_surface", transmission_weight="float: 0.5", thin_film_weight="float: 1",
            fuzz_weight="float: 1", specular_roughness="float: 0.5",
        )
    )  # fmt: skip
    kinds = [material.layers[s.layers[-1]].kind for s in material.stacks]
    assert LayerKind.OPEN in kinds
    assert LayerKind.DIFFUSE in kinds
    for stack in material.stacks:
        if material.is_open(stack):
            assert stack.sheen_color == (0.0, 0.0, 0.0)
    text = " ".join(material.notes)
    assert "thin_film_weight" in text
    assert "sheen: left out where the surface transmits" in text
