"""Outliers of the directional albedo: found, and drawn towards their surroundings."""

from __future__ import annotations

import numpy as np
import torch

from etendue.artifact import Artifact
from etendue.bake import bound, network
from etendue.bake.energy import ALBEDO_LIMIT, directional_albedo, view_grid
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.pyramid import level_offsets

RESOLUTION = 8
TEXELS = level_offsets(RESOLUTION)[-1]


def _gray(latents: np.ndarray) -> Artifact:
    """Lambert with the albedo exp(first latent), drawn by cosine."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(1))
    tensors = {k: v.numpy().copy() for k, v in params.items()}
    for name in ("evaluator.w0", "evaluator.w1", "evaluator.w2", "sampler.w2"):
        tensors[name][:] = 0
    for name in ("evaluator.w0", "evaluator.w1"):
        tensors[name][0, 0], tensors[name][1, 0] = 1, -1  # z and -z, one of which passes the ReLU
    tensors["evaluator.w1"][:2] = 0
    tensors["evaluator.w1"][0, 0] = tensors["evaluator.w1"][1, 1] = 1
    tensors["evaluator.w2"][:, 0], tensors["evaluator.w2"][:, 1] = 1, -1
    tensors["evaluator.b2"][:] = 3 - np.log(np.pi)
    tensors["sampler.b2"][:] = (-0.5, -0.5, 0, 0, 0, 0, 0, -9, 9)
    tensors |= {
        "latents": latents.astype(np.float16),
        "energy": np.ones((33, 3), np.float32),
        "albedo": np.zeros((3, 9), np.float32),
    }
    return Artifact({"kind": "material", "lod": {"resolution": RESOLUTION}}, tensors)


def test_reflectance_in_the_kernel_is_that_of_the_twin() -> None:
    latents = np.zeros((TEXELS, 8))
    latents[:, 0] = np.log(np.linspace(0.1, 1.4, TEXELS))
    artifact = _gray(latents)
    twin = directional_albedo(
        artifact.tensors["latents"].astype(np.float64), view_grid(TEXELS), artifact.tensors, 256
    )
    found = bound.peak_albedo(NeuralBSDF(artifact), np.arange(TEXELS), bound.LOOKS[-1])
    np.testing.assert_allclose(found, twin[:, 0], rtol=0.01)
    np.testing.assert_allclose(found, np.linspace(0.1, 1.4, TEXELS), rtol=0.02)


def test_outliers_move_and_only_they() -> None:
    latents = np.full((TEXELS, 8), np.log(0.5))
    bright = np.array([9, 30, 66, 84])  # on the levels 0, 0, 1, 3
    latents[bright, 0] = np.log([1.3, 4.0, 1.1, 1.2])
    artifact = _gray(latents)
    np.testing.assert_array_equal(bound.outliers(NeuralBSDF(artifact), np.arange(TEXELS)), bright)
    calm, count = bound.tame(artifact)
    assert count == 4
    moved = np.flatnonzero((calm != artifact.tensors["latents"].astype(np.float32)).any(1))
    np.testing.assert_array_equal(moved, bright[:3])  # the only texel of its level has nobody
    assert np.exp(calm[bright[:3], 0]).max() <= ALBEDO_LIMIT
    assert np.exp(calm[9, 0]) > 0.6, "no further than needed"


def test_bright_surroundings_are_left_for_the_mean_of_the_texture() -> None:
    latents = np.full((TEXELS, 8), np.log(1.2))
    latents[10, 0] = np.log(0.3)
    latents[-1, 0] = np.log(0.5)
    calm, count = bound.tame(_gray(latents))
    assert count == TEXELS - 2
    assert np.exp(calm[:, 0]).max() <= ALBEDO_LIMIT
    index = np.arange(64).reshape(8, 8)
    nearby = {int(index[r, c]) for r in (0, 1, 2) for c in (1, 2, 3)}
    far = [k for k in range(TEXELS - 1) if k not in nearby]
    assert np.exp(calm[far, 0]).min() > 0.85, "no further than needed"


def test_one_azimuth_is_enough_to_be_found() -> None:
    """Cones of every look see each of eight azimuths within half the spacing of their views."""
    for look in bound.LOOKS:
        views = bound.views_of(look)
        assert np.allclose(np.linalg.norm(views, axis=1), 1)
        z = views[:, 2].reshape(look.cosines, look.azimuths)
        assert np.allclose(z, z[:, :1]) and z[0, 0] == bound.LOWEST and z[-1, 0] == 1
        phi = np.sort(np.arctan2(views[:, 1], views[:, 0])[: look.azimuths])
        assert np.allclose(np.diff(phi), 2 * np.pi / look.azimuths)


def test_neighbours_wrap_on_their_own_level() -> None:
    found = bound.neighbours(np.array([0, 64 + 5, TEXELS - 1]), RESOLUTION)
    assert sorted(found[0]) == [1, 7, 8, 9, 15, 56, 57, 63]
    assert sorted(found[1] - 64) == [0, 1, 2, 4, 6, 8, 9, 10]
    assert set(found[2]) == {TEXELS - 1}
