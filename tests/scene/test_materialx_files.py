"""Real documents: the lent examples and the project's own materials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.material import ALPHA_MIN, Channel, Layer, LayeredMaterial, LayerKind
from etendue.scene.materialx import load_material

ASSETS = Path(__file__).parents[2] / "assets" / "materials"
OWN = (
    "car_paint",
    "glazed_ceramic",
    "lacquered_brushed_metal",
    "pearl_candy",
    "varnished_wood",
)
CLEAR = ("frosted_glass", "tinted_glass", "soap_bubble")
# Example: kinds of the layers of each stack, number of channels, inputs noted as not modelled.
EXAMPLES: dict[str, tuple[str, int, tuple[str, ...]]] = {
    "GltfPbr/gltf_pbr_boombox": ("c id", 11, ("emissive", "occlusion")),
    "GltfPbr/gltf_pbr_default": ("c", 0, ("occlusion",)),
    "GltfPbr/gltf_pbr_gold": ("c", 0, ()),
    "OpenPbr/open_pbr_aluminum_brushed": ("c", 0, ()),
    "OpenPbr/open_pbr_default": ("id", 0, ()),
    "OpenPbr/open_pbr_glass": ("io", 0, ("transmission_dispersion_scale",)),
    "OpenPbr/open_pbr_honey": ("io", 0, ("transmission_scatter",)),
    "OpenPbr/open_pbr_soapbubble": ("io", 0, ()),
    "OpenPbr/open_pbr_velvet": ("id", 0, ()),
    "StandardSurface/standard_surface_brick_procedural": ("id", 6, ()),
    "StandardSurface/standard_surface_copper": ("ic", 0, ()),
    "StandardSurface/standard_surface_default": ("id", 0, ()),
    "StandardSurface/standard_surface_glass": ("io", 0, ()),
    "StandardSurface/standard_surface_gold": ("c", 0, ()),
    "StandardSurface/standard_surface_greysphere": ("id", 0, ()),
    "StandardSurface/standard_surface_jade": ("id", 0, ("subsurface",)),
    "StandardSurface/standard_surface_marble_solid": ("id", 2, ("subsurface",)),
    "StandardSurface/standard_surface_metal_brushed": ("c", 0, ()),
    "StandardSurface/standard_surface_plastic": ("id", 0, ()),
    "StandardSurface/standard_surface_thin_film": ("id", 0, ("thin_film_thickness",)),
    "StandardSurface/standard_surface_velvet": ("d", 0, ()),
    "StandardSurface/standard_surface_wood_tiled": ("iid id", 5, ()),
}  # fmt: skip
_LETTERS = {
    LayerKind.BLACK: "b", LayerKind.DIFFUSE: "d", LayerKind.CONDUCTOR: "c",
    LayerKind.DIELECTRIC: "i", LayerKind.OPEN: "o",
}  # fmt: skip


def _examples(shared_data: Path) -> Path:
    return shared_data / "materialx" / "resources" / "Materials" / "Examples"


def _shape(material: LayeredMaterial) -> str:
    return " ".join(
        "".join(_LETTERS[material.layers[i].kind] for i in s.layers) for s in material.stacks
    )


def _require_sound(material: LayeredMaterial) -> None:
    """Finite, in range, weights at most one, every channel used, every index valid."""
    data = material.texture.data
    assert data.dtype == np.float32
    assert np.isfinite(data).all()
    assert data.shape[2] == len(material.texture.channels)
    used: set[int] = set()

    def bounds(value: object) -> tuple[float, float]:
        if isinstance(value, Channel):
            used.add(value.index)
            return float(data[..., value.index].min()), float(data[..., value.index].max())
        assert isinstance(value, float)
        return value, value

    def require(values: tuple, low: float, high: float) -> None:
        for lowest, highest in map(bounds, values):
            assert low - 1e-6 <= lowest
            assert highest <= high + 1e-6

    for layer in material.layers:
        require(layer.alpha, ALPHA_MIN, 1.0)
        for name in ("f0", "f82", "f90", "reflect_tint", "transmit_tint", "albedo"):
            require(getattr(layer, name), 0.0, 1.0)
        require((layer.roughness,), 0.0, 1.0)
        require(layer.tau_absorb, 0.0, 50.0)
        require((layer.eta,), 0.2, 20.0)
        require((layer.tau_scatter, layer.g), -0.99, 50.0)
        require((*layer.normal, *layer.tangent), -20.0, 20.0)
    total = np.zeros(data.shape[:2])
    for stack in material.stacks:
        kinds = [material.layers[i].kind for i in stack.layers]
        assert all(k == LayerKind.DIELECTRIC for k in kinds[:-1])
        assert kinds[-1] != LayerKind.DIELECTRIC
        require((*stack.weight, *stack.sheen_color, stack.sheen_roughness), 0.0, 1.0)
        weight = stack.weight[0]
        total += data[..., weight.index] if isinstance(weight, Channel) else weight
    np.testing.assert_allclose(total, 1.0, atol=1e-3)
    assert used == set(range(data.shape[2]))
    assert len(material.source_hash) == 64


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(shared_data: Path, name: str) -> None:
    shape, channels, noted = EXAMPLES[name]
    material = load_material(_examples(shared_data) / f"{name}.mtlx", resolution=64)
    assert _shape(material) == shape
    assert len(material.texture.channels) == channels
    assert tuple(note.split(" =")[0] for note in material.notes) == noted
    _require_sound(material)


def test_no_example_is_left_out(shared_data: Path) -> None:
    folder = _examples(shared_data)
    found = {str(p.relative_to(folder).with_suffix("")) for p in folder.rglob("*.mtlx")}
    assert found == EXAMPLES.keys() | {"StandardSurface/standard_surface_brass_tiled"}


def test_example_with_a_missing_image(shared_data: Path) -> None:
    path = _examples(shared_data) / "StandardSurface" / "standard_surface_brass_tiled.mtlx"
    with pytest.raises(InputError, match=r"NG_brass1/image_color/file.*brass_color\.jpg"):
        load_material(path, resolution=64)


def test_loading_is_repeatable(shared_data: Path) -> None:
    path = _examples(shared_data) / "StandardSurface" / "standard_surface_marble_solid.mtlx"
    one, two = (load_material(path, resolution=32) for _ in range(2))
    assert one.layers == two.layers
    assert one.source_hash == two.source_hash
    np.testing.assert_array_equal(one.texture.data, two.texture.data)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("car_paint", "d ic id"),
        ("glazed_ceramic", "iid"),
        ("lacquered_brushed_metal", "ic"),
        ("pearl_candy", "d iiic iiid"),
        ("varnished_wood", "iid"),
    ],
)
def test_own_materials(name: str, shape: str) -> None:
    material = load_material(ASSETS / f"{name}.mtlx", resolution=64)
    assert _shape(material) == shape
    _require_sound(material)
    assert isinstance(_interfaces(material)[0].normal[0], Channel)
    media = [c for layer in _interfaces(material) for c in layer.tau_absorb]
    assert any(max(_levels(c, material)) > 0.05 for c in media)


def _interfaces(material: LayeredMaterial) -> list[Layer]:
    return [layer for layer in material.layers if layer.kind == LayerKind.DIELECTRIC]


def _levels(value: float | Channel, material: LayeredMaterial) -> list[float]:
    if isinstance(value, Channel):
        return [float(material.texture.data[..., value.index].max())]
    return [value]


def test_own_materials_are_small_and_listed() -> None:
    files = [p for p in ASSETS.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 3_000_000
    assert {p.stem for p in ASSETS.glob("*.mtlx")} == {*OWN, *CLEAR}
    listed = (ASSETS.parent / "SOURCES.md").read_text(encoding="utf-8")
    for path in files:
        assert f"`materials/{path.relative_to(ASSETS)}`" in listed
