"""The torch network against its numpy twin, and the twin's sampler against quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from etendue.bake import network
from etendue.bsdf import neural_numpy


def _hemisphere(rng: np.random.Generator, *shape: int) -> np.ndarray:
    w = rng.normal(size=(*shape, 3))
    w[..., 2] = np.abs(w[..., 2]) + 0.02
    return neural_numpy.normalize(w)


def _params(seed: int, reciprocal: bool = False) -> network.Params:
    generator = torch.Generator().manual_seed(seed)
    params = network.init_params("2x32", "2x16", generator, reciprocal)
    for name, value in params.items():
        params[name] = (value + 0.1 * torch.randn(value.shape, generator=generator)).double()
    return params


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_torch_equals_numpy(seed: int, reciprocal: bool) -> None:
    params = _params(seed, reciprocal)
    rng = np.random.default_rng(seed)
    latent, wi, wo = (
        0.5 * rng.normal(size=(50, 8)),
        _hemisphere(rng, 50, 4),
        _hemisphere(rng, 50, 4),
    )
    tensors = {k: v.numpy() for k, v in params.items()} | {"energy": np.ones((33, 3))}
    wide = np.repeat(latent[:, None], 4, 1)
    args = [torch.from_numpy(a) for a in (latent, wi, wo)]
    np.testing.assert_allclose(
        network.evaluate(*args, params).numpy(),
        neural_numpy.evaluate(wide, wi, wo, tensors),
        rtol=1e-9,
    )
    lobe = neural_numpy.lobes(wide, wi, tensors)
    np.testing.assert_allclose(
        network.log_density(*args, params).numpy(),
        np.log(neural_numpy.density(lobe, wi, wo)),
        rtol=1e-8,
        atol=1e-8,
    )
    u = rng.random((50, 4, 3))
    np.testing.assert_allclose(
        network.draw(args[0], args[1], torch.from_numpy(u), params).numpy(),
        neural_numpy.draw(lobe, wi, u),
        atol=1e-9,
    )


@pytest.mark.parametrize("seed", range(6))
def test_density_is_that_of_the_drawn_directions(seed: int) -> None:
    """Histogram of `draw` over an equal-area hemisphere grid against the integrated density."""
    rng = np.random.default_rng(seed)
    tensors = {k: v.numpy() for k, v in _params(seed).items()}
    latent, wi = 0.5 * rng.normal(size=(1, 8)), _hemisphere(rng, 1)
    lobe = neural_numpy.lobes(latent, wi, tensors)
    count, nz, nphi, fine = 400_000, 12, 24, 40
    wo = neural_numpy.draw(lobe, wi, rng.random((count, 3)))
    wo = wo[wo[:, 2] > 0]
    phi = np.arctan2(wo[:, 1], wo[:, 0]) % (2 * np.pi)
    seen, _, _ = np.histogram2d(wo[:, 2], phi, bins=(nz, nphi), range=((0, 1), (0, 2 * np.pi)))
    z = (np.arange(nz * fine) + 0.5) / (nz * fine)
    angle = (np.arange(nphi * fine) + 0.5) / (nphi * fine) * 2 * np.pi
    zz, aa = np.meshgrid(z, angle, indexing="ij")
    r = np.sqrt(1 - zz**2)
    grid = np.stack([r * np.cos(aa), r * np.sin(aa), zz], -1)
    value = neural_numpy.density(lobe, wi, grid) * 2 * np.pi / (zz.size)
    expected = count * value.reshape(nz, fine, nphi, fine).sum((1, 3))
    keep = expected > 10
    score = ((seen - expected) ** 2 / np.maximum(expected, 1))[keep].sum()
    assert score < keep.sum() + 6 * np.sqrt(2 * keep.sum())


def test_reciprocal_networks_exchange_directions_exactly() -> None:
    """f(a, b) = f(b, a) to the last bit in single precision, and depends on more than sums."""
    rng = np.random.default_rng(5)
    tensors = {k: v.numpy().astype(np.float32) for k, v in _params(5, reciprocal=True).items()}
    tensors["energy"] = rng.uniform(0.5, 1.0, (33, 3)).astype(np.float32)
    latent = (0.5 * rng.normal(size=(500, 8))).astype(np.float32)
    a, b = (_hemisphere(rng, 500).astype(np.float32) for _ in range(2))
    forward = neural_numpy.evaluate(latent, a, b, tensors) / b[:, 2:]
    backward = neural_numpy.evaluate(latent, b, a, tensors) / a[:, 2:]
    np.testing.assert_allclose(forward, backward, rtol=1e-6)
    mirrored = neural_numpy.evaluate(latent, a * [-1, 1, 1], b, tensors) / b[:, 2:]
    assert np.abs(mirrored / forward - 1).mean() > 1e-3


def test_no_direction_of_the_parameters_is_lost_at_first() -> None:
    """Inputs of unit variance keep at least half of it along every axis that eight latents hold."""
    for inputs in (3, 8, 15):
        params = network.init_encoder(inputs, torch.Generator().manual_seed(4))
        x = torch.randn(4000, inputs, generator=torch.Generator().manual_seed(5))
        latent = network.encode(x, params, "encoder")
        values = torch.linalg.svdvals(latent - latent.mean(0)) / 4000**0.5
        assert values[min(inputs, 8) - 1] > 0.5
