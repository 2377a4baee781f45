"""Variances of samplers against simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from etendue.bake import network
from etendue.bake.variance import LUMINANCE, ggx_density, sampler_variance, views
from etendue.bsdf.neural_numpy import Lobes, density, draw, evaluate


def _tensors(sampler: tuple[float, ...] | None = None) -> dict[str, np.ndarray]:
    """A random evaluator; `sampler` replaces the lobes by constant raw outputs."""
    generator = torch.Generator().manual_seed(6)
    params = network.init_params("2x16", "2x16", generator)
    tensors = {k: v.double().numpy() for k, v in params.items()}
    if sampler is not None:
        tensors["sampler.w2"] = np.zeros_like(tensors["sampler.w2"])
        tensors["sampler.b2"] = np.array(sampler)
    tensors["energy"] = np.ones((33, 3))
    tensors["latents"] = 0.3 * np.random.default_rng(0).normal(size=(50, 8))
    return tensors


def test_lambert_under_cosine_sampling_has_no_variance() -> None:
    tensors = _tensors((-0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -20.0, 20.0))
    tensors["evaluator.w2"] = np.zeros_like(tensors["evaluator.w2"])
    found = sampler_variance(tensors)
    assert abs(found.cosine) < 0.01 and abs(found.learned) < 0.01
    assert found.ggx > 0.02


def test_variances_are_those_of_simulated_draws() -> None:
    """Against drawing from each density, at points of its own random stream."""
    tensors, rng, points, samples = _tensors(), np.random.default_rng(3), 2000, 256
    found = sampler_variance(tensors, points=400)
    latent = np.repeat(tensors["latents"][rng.integers(0, 50, points)], samples, 0)
    wi = np.repeat(views(points, rng), samples, 0)
    flat = np.zeros(len(wi))
    single = Lobes(
        alpha_x=flat + found.ggx_alpha[0],
        alpha_y=flat + found.ggx_alpha[1],
        rho=flat,
        mean=np.zeros((len(wi), 2)),
        tilt=np.zeros((len(wi), 2)),
        specular=flat + 1,
    )
    cosine = Lobes(flat + 1, flat + 1, flat, single.mean, single.tilt, flat)
    for lobe, expected in ((single, found.ggx), (cosine, found.cosine)):
        wo = draw(lobe, wi, rng.random((len(wi), 3)))
        pdf = density(lobe, wi, wo)
        value = evaluate(latent, wi, wo, tensors) @ LUMINANCE / np.maximum(pdf, 1e-30)
        estimate = np.where(pdf > 0, value, 0.0).reshape(points, samples)
        simulated = estimate.var(1).sum() / (estimate.mean(1) ** 2).sum()
        assert simulated == pytest.approx(expected, rel=0.15)


def test_ggx_density_loses_what_it_mirrors_below_the_horizon() -> None:
    """At normal incidence that are the slopes above 1: alpha^2 / (1 + alpha^2) of them."""
    n, alpha = 400, 0.3
    theta, phi = (np.arange(n) + 0.5) * np.pi / 2 / n, (np.arange(n) + 0.5) * 2 * np.pi / n
    t, p = np.meshgrid(theta, phi, indexing="ij")
    wo = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1)
    wi = np.broadcast_to([0.0, 0.0, 1.0], wo.shape)
    value = ggx_density(wi, wo, (alpha, alpha)) * np.sin(t)
    total = value.sum() * (np.pi / 2 / n) * (2 * np.pi / n)
    assert total == pytest.approx(1 / (1 + alpha**2), abs=1e-3)
