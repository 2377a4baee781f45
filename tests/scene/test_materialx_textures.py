"""Images in graphs: orientation, tiling, addressing, filtering, decoding, prefixes, hashes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.color import srgb_to_linear
from etendue.core.image import write_png
from etendue.scene.material import ALPHA_MIN
from etendue.scene.materialx.textures import area_resize, to_components

RNG = np.random.default_rng(7)


def _albedo(documents: Any, plane: Any, body: str, resolution: int = 8) -> np.ndarray:
    """Base colour of a matte Standard Surface whose colour is node `n`."""
    text = documents.shader("standard_surface", body, base_color="color3 @ n", specular="float: 0")
    material = documents.load(text, resolution)
    (layer,) = material.layers
    return np.stack([plane(material, c) for c in layer.albedo], axis=-1)


def test_row_zero_is_the_top_and_colours_stay(documents: Any, node: Any, plane: Any) -> None:
    pixels = RNG.random((8, 8, 3))
    documents.image("a.exr", pixels)
    value = _albedo(documents, plane, node("image", "n", "color3", file="filename: a.exr"))
    np.testing.assert_allclose(value, pixels, atol=1e-6)


def test_gltf_image_has_the_same_top(documents: Any, node: Any, plane: Any) -> None:
    pixels = RNG.random((8, 8, 3))
    documents.image("a.exr", pixels)
    value = _albedo(documents, plane, node("gltf_image", "n", "color3", file="filename: a.exr"))
    np.testing.assert_allclose(value, pixels, atol=1e-6)


def test_tiling_repeats_and_minifies_by_area(documents: Any, node: Any, plane: Any) -> None:
    pixels = RNG.random((8, 8, 3))
    documents.image("a.exr", pixels)
    body = node("tiledimage", "n", "color3", file="filename: a.exr", uvtiling="vector2: 2, 4")
    value = _albedo(documents, plane, body)
    small = pixels.reshape(2, 4, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(value, np.tile(small, (4, 2, 1)), atol=1e-6)


def test_magnification_is_bilinear_and_wraps(documents: Any, node: Any, plane: Any) -> None:
    documents.image("a.exr", np.array([[0.0, 1.0]])[..., None].repeat(3, axis=2))
    value = _albedo(documents, plane, node("image", "n", "color3", file="filename: a.exr"))
    x = CENTRES * 2 - 0.5
    expected = np.where(x < 0, -x, np.where(x > 1, 2 - x, x))
    np.testing.assert_allclose(value[0, :, 0], expected, atol=1e-6)


CENTRES = (np.arange(8) + 0.5) / 8


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("periodic", [0.2, 0.8, 0.2, 0.8]),
        ("clamp", [0.2, 0.8, 0.8, 0.8]),
        ("mirror", [0.2, 0.8, 0.8, 0.2]),
        ("constant", [0.2, 0.8, 0.5, 0.5]),
    ],
)
def test_address_modes(
    documents: Any, node: Any, plane: Any, mode: str, expected: list[float]
) -> None:
    """u runs over [0, 2] with the nearest of two texels: four samples, two inside."""
    documents.image("a.exr", np.array([[0.2, 0.8]])[..., None].repeat(3, axis=2))
    body = node("texcoord", "t", "vector2")
    body += node("multiply", "m", "vector2", in1="vector2 @ t", in2="vector2: 2, 1")
    body += node(
        "image", "n", "color3", file="filename: a.exr", texcoord="vector2 @ m",
        filtertype="string: closest", default="color3: 0.5, 0.5, 0.5",
        uaddressmode=f"string: {mode}",
    )  # fmt: skip
    value = _albedo(documents, plane, body, resolution=4)
    np.testing.assert_allclose(value[0, :, 0], expected, atol=1e-6)


def test_srgb_is_decoded_before_filtering(documents: Any, node: Any, plane: Any) -> None:
    """The mean of a black-and-white checker is 0.5, not the decoded 0.5."""
    checker = (np.indices((16, 16)).sum(axis=0) % 2).astype(np.float64)[..., None].repeat(3, axis=2)
    write_png(documents.folder / "a.png", checker)
    body = node("image", "n", "color3", file="filename: a.png")
    body = body.replace('value="a.png"', 'value="a.png" colorspace="srgb_texture"')
    np.testing.assert_allclose(_albedo(documents, plane, body), 0.5, atol=1e-6)


def test_inherited_colour_space_and_raw(documents: Any, node: Any, plane: Any) -> None:
    """Colours follow the document's colour space unless the input names its own; data never."""
    stored = np.full((2, 2, 3), 0.25)
    documents.image("a.exr", stored)
    body = node("image", "n", "color3", file="filename: a.exr")
    rough = node("image", "r", "float", file="filename: a.exr")
    text = documents.shader(
        "standard_surface", body + rough, base_color="color3 @ n", diffuse_roughness="float @ r",
        specular="float: 0",
    )  # fmt: skip
    material = documents.load(text.replace('"lin_rec709"', '"srgb_texture"'))
    assert material.layers[0].albedo[0] == pytest.approx(float(srgb_to_linear(np.array(0.25))))
    assert material.layers[0].roughness == pytest.approx(0.25)
    text = text.replace('value="a.exr"', 'value="a.exr" colorspace="none"')
    material = documents.load(text.replace('"lin_rec709"', '"srgb_texture"'))
    assert material.layers[0].albedo[0] == pytest.approx(0.25)


def test_file_prefix_and_subfolder(documents: Any, node: Any, plane: Any) -> None:
    (documents.folder / "maps").mkdir()
    documents.image("maps/a.exr", np.full((2, 2, 3), 0.25))
    body = node("image", "n", "color3", file="filename: a.exr")
    body = body.replace('name="n"', 'name="n" fileprefix="maps/"')
    np.testing.assert_allclose(_albedo(documents, plane, body), 0.25)


def test_normal_map_is_y_up(documents: Any, node: Any, plane: Any) -> None:
    """Green above one half tilts the normal towards +y, the image's top."""
    encoded = np.array([0.5 + 0.5 * 0.36, 0.5 + 0.5 * 0.48, 0.5 + 0.5 * 0.8])
    documents.image("a.exr", np.broadcast_to(encoded, (4, 4, 3)))
    body = node("image", "i", "vector3", file="filename: a.exr")
    body += node("normalmap", "n", "vector3", in_="vector3 @ i")
    material = documents.load(documents.shader("gltf_pbr", body, normal="vector3 @ n"))
    assert material.layers[0].normal == pytest.approx((0.45, 0.60), abs=1e-6)


def test_source_hash_follows_document_and_images(documents: Any, node: Any) -> None:
    body = node("image", "n", "color3", file="filename: a.exr")
    text = documents.shader("standard_surface", body, base_color="color3 @ n")
    documents.image("a.exr", np.full((2, 2, 3), 0.25))
    first = documents.load(text).source_hash
    assert len(first) == 64
    assert documents.load(text).source_hash == first
    assert documents.load(text + "\n").source_hash != first
    documents.image("a.exr", np.full((2, 2, 3), 0.26))
    assert documents.load(text).source_hash != first


def test_constants_have_no_channels_and_equal_ones_are_shared(documents: Any, node: Any) -> None:
    material = documents.load(documents.shader("standard_surface"), 16)
    assert material.texture.data.shape == (1, 1, 0)
    assert material.texture.channels == ()
    documents.image("a.exr", RNG.random((16, 16, 3)))
    grey = node("image", "g", "float", file="filename: a.exr")
    body = grey + node("convert", "n", "color3", in_="float @ g")
    material = documents.load(
        documents.shader("standard_surface", body, base_color="color3 @ n", base="float: 1"), 16
    )
    assert material.texture.data.shape == (16, 16, 1)
    assert material.texture.data.dtype == np.float32


def test_alpha_is_raised_to_what_is_modelled(documents: Any) -> None:
    (layer, _) = documents.load(
        documents.shader("standard_surface", specular_roughness="float: 0.01")
    ).layers
    assert layer.alpha == (ALPHA_MIN, ALPHA_MIN)


def test_area_resize_keeps_the_mean_and_monotone_ramps() -> None:
    image = RNG.random((37, 23, 3))
    small = area_resize(area_resize(image, 10, axis=0), 7, axis=1)
    assert small.shape == (10, 7, 3)
    np.testing.assert_allclose(small.mean(axis=(0, 1)), image.mean(axis=(0, 1)), atol=1e-12)
    ramp = area_resize(np.arange(37.0)[:, None], 10, axis=0)[:, 0]
    np.testing.assert_allclose(np.diff(ramp), 3.7, atol=0.03)  # texels are steps
    assert area_resize(image, 99, axis=0) is image


@pytest.mark.parametrize(("channels", "components", "expected"), [
    (1, 3, [0, 0, 0]), (1, 4, [0, 0, 0, None]), (2, 4, [0, 0, 0, 1]), (3, 1, [0]),
    (4, 3, [0, 1, 2]), (4, 4, [0, 1, 2, 3]), (3, 4, [0, 1, 2, None]), (3, 2, [0, 1]),
])  # fmt: skip
def test_components(channels: int, components: int, expected: list) -> None:
    stored = RNG.random((2, 2, channels))
    value = to_components(stored, components)
    for i, source in enumerate(expected):
        wanted = 1.0 if source is None else stored[..., source]
        np.testing.assert_array_equal(value[..., i], wanted)
