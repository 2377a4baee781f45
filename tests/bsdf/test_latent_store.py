"""Latents decoded in a kernel: bit for bit what numpy decodes, in every format and level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.bsdf.latent_store import store_of
from etendue.bsdf.pyramid import LatentPyramid, level_offsets
from etendue.formats import latents

RESOLUTION = 64
TEXELS = level_offsets(RESOLUTION)[-1]


def make(seed: int = 0, texels: int = TEXELS) -> np.ndarray:
    """Latents whose channels differ in offset and by powers of ten in size."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** np.array([-3, -2, -1, 0, 0, 1, 2, 3])
    return (scale * (rng.normal(size=(texels, 8)) + rng.normal(size=8))).astype(np.float32)


@pytest.mark.parametrize("form", latents.FORMATS)
def test_kernel_equals_numpy_bit_for_bit(mi: Any, form: str) -> None:
    tensors = latents.encode(make(), form).tensors
    expected = latents.decode("x", form, tensors, TEXELS)
    store = store_of(mi, form, tensors)
    # every texel, the last ones too, in an order of no use to caches
    order = np.random.default_rng(1).permutation(TEXELS).astype(np.uint32)
    seen = store.gather(mi.UInt(order), mi.Bool(True))
    for channel in range(8):
        np.testing.assert_array_equal(seen[channel].numpy(), expected[order, channel])


@pytest.mark.parametrize("form", latents.FORMATS)
def test_lanes_that_are_off_read_nothing(mi: Any, form: str) -> None:
    store = store_of(mi, form, latents.encode(make(), form).tensors)
    seen = store.gather(mi.UInt([3, 4_000_000_000]), mi.Bool([True, False]))
    assert np.isfinite([value.numpy() for value in seen]).all()


@pytest.mark.parametrize("form", latents.FORMATS)
@pytest.mark.parametrize("level", [0, 2, 5, 6])
def test_lookup_interpolates_the_decoded_texels(mi: Any, form: str, level: int) -> None:
    tensors = latents.encode(make(), form).tensors
    whole = latents.decode("x", form, tensors, TEXELS).astype(np.float64)
    side, start = RESOLUTION >> level, level_offsets(RESOLUTION)[level]
    grid = whole[start : start + side * side].reshape(side, side, 8)
    uv = 3 * np.random.default_rng(2).random((500, 2)) - 1
    q = (uv - np.floor(uv)) * side - 0.5
    corner = np.floor(q).astype(int)
    t = (q - corner)[:, None]
    expected = np.zeros((500, 8))
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (t[..., 0] if dx else 1 - t[..., 0]) * (t[..., 1] if dy else 1 - t[..., 1])
            expected += weight * grid[(corner[:, 1] + dy) % side, (corner[:, 0] + dx) % side]
    pyramid = LatentPyramid(mi, store_of(mi, form, tensors), RESOLUTION)
    point = mi.Point2f(*np.ascontiguousarray(uv.T, np.float32))
    seen = pyramid.lookup(point, mi.UInt([level] * 500), mi.Bool(True))
    scale = np.abs(grid).max((0, 1)) + 1e-6
    for channel in range(8):
        error = np.abs(seen[channel].numpy() - expected[:, channel])
        assert error.max() < 5e-5 * scale[channel]


@pytest.mark.parametrize("form", latents.FORMATS)
def test_a_single_texel(mi: Any, form: str) -> None:
    tensors = latents.encode(make(texels=1), form).tensors
    pyramid = LatentPyramid(mi, store_of(mi, form, tensors), 1)
    seen = pyramid.lookup(mi.Point2f([0.2, 7.5], [0.1, -3.0]), mi.UInt([0, 0]), mi.Bool(True))
    expected = latents.decode("x", form, tensors, 1)[0]
    for channel in range(8):
        np.testing.assert_array_equal(seen[channel].numpy(), expected[channel])
