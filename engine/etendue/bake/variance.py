"""How noisy a material's sampler is, beside cosine sampling and the best single GGX lobe.

For a density p the estimator f / p of the reflectance mu has the variance

    E_p[(f / p)^2] - mu^2  =  E_q[f^2 / (p q)] - mu^2,

so that samples of one density q, which covers everything, measure every p at once. Variances and
squared means are summed over texels and views before they are divided: grazing views of a glossy
coat would dominate a mean of quotients.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from etendue.bsdf.neural_numpy import Lobes, density, draw, evaluate, lobes, normalize

Array = np.ndarray
ALPHAS = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.18, 0.27, 0.4, 0.6, 0.9)
UNIFORM = 0.25  # share of q that is uniform over the hemisphere
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True)
class SamplerVariance:
    """Relative variances of one-sample reflectance estimates over texels and views."""

    learned: float
    cosine: float
    ggx: float
    ggx_alpha: tuple[float, float]  # of the best single lobe


def views(count: int, rng: np.random.Generator) -> Array:
    """Viewer directions (count, 3), uniform over the hemisphere above 3 degrees."""
    z = rng.uniform(0.05, 1.0, count)
    phi = rng.uniform(0, 2 * np.pi, count)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)


def ggx_density(wi: Array, wo: Array, alpha: tuple[float, float]) -> Array:
    """Density of wo when half vectors follow a centred GGX with the axes of the surface."""
    zero = np.zeros(wo.shape[:-1])
    lobe = Lobes(
        alpha_x=zero + alpha[0],
        alpha_y=zero + alpha[1],
        rho=zero,
        mean=np.zeros((*wo.shape[:-1], 2)),
        tilt=np.zeros((*wo.shape[:-1], 2)),
        specular=zero + 1.0,
    )
    return density(lobe, wi, wo)


def sampler_variance(
    tensors: Mapping[str, Array], seed: int = 21, points: int = 192, samples: int = 512
) -> SamplerVariance:
    """Figures for the sampler in an artifact's `tensors`, at random texels and views."""
    rng = np.random.default_rng(seed)
    latents = np.asarray(tensors["latents"], np.float64)
    latent = np.repeat(latents[rng.integers(0, len(latents), points)], samples, 0)
    wi = np.repeat(views(points, rng), samples, 0)
    lobe = lobes(latent, wi, tensors)
    wo = draw(lobe, wi, rng.random((len(wi), 3)))
    uniform = rng.random(len(wi)) < UNIFORM
    sphere = normalize(rng.normal(size=wo.shape))
    wo[uniform] = sphere[uniform] * [1, 1, 0] + np.abs(sphere[uniform]) * [0, 0, 1]
    up = wo[:, 2] > 1e-6
    latent, wi, wo = latent[up], wi[up], wo[up]
    own = density(lobes(latent, wi, tensors), wi, wo)
    q = (1 - UNIFORM) * own + UNIFORM / (2 * np.pi)
    f = evaluate(latent, wi, wo, tensors) @ LUMINANCE
    place = np.repeat(np.arange(points), samples)[up]

    def mean(values: Array) -> Array:
        return np.bincount(place, values, points) / samples

    mu2 = mean(f / q) ** 2

    def relative(p: Array) -> float:
        second = mean(f * f / (np.maximum(p, 1e-30) * q))
        return float(second.sum() / mu2.sum() - 1)

    lobes_tried = {pair: ggx_density(wi, wo, pair) for pair in itertools.product(ALPHAS, ALPHAS)}
    found = {pair: relative(p) for pair, p in lobes_tried.items()}
    best = min(found, key=lambda pair: found[pair])
    return SamplerVariance(relative(own), relative(wo[:, 2] / np.pi), found[best], best)
