"""Slow readable twin of the neural material in numpy; oracle of `neural` and of the bake.

Model after Zeltner et al. 2024, "Real-Time Neural Appearance Models" (sections 4 and 5); the
equations are written once here and referred to from the fast versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LATENTS = 8
ALPHA_FLOOR = 1e-2  # narrowest sampling lobe; the evaluator is not bounded by it
LOBE_WIDTH = 0.03  # GGX alpha whose log profile is an evaluator input
ENERGY_KNOTS = 33  # of the table `energy`
DIRECT_INPUTS = LATENTS + 2 * (3 + 3 + 2)  # of the evaluator
SYMMETRIC_INPUTS = LATENTS + 2 * (3 + 4 + 2)  # of a reciprocal one
GRAZING = (2, 4, 8)  # powers of 1 - cos theta_i that the albedo guide knows
LOBE_SCALE = 0.25  # keeps that input of order one
Array = np.ndarray


@dataclass(frozen=True)
class Lobes:
    """Sampling density at a point: a tilted cosine lobe and a non-centred, correlated GGX."""

    alpha_x: Array
    alpha_y: Array
    rho: Array  # correlation of the slopes
    mean: Array  # (..., 2) mean slope of the GGX half vectors
    tilt: Array  # (..., 2) slope of the cosine lobe's axis
    specular: Array  # probability of the GGX component


def normalize(v: Array) -> Array:
    """Unit vectors along the last axis."""
    return v / np.sqrt((v * v).sum(-1, keepdims=True))


def mlp(x: Array, tensors: Mapping[str, Array], name: str) -> Array:
    """Fully connected ReLU network `<name>.w0, <name>.b0, ...` (weights are out x in)."""
    layer = 0
    while f"{name}.w{layer}" in tensors:
        x = np.maximum(x, 0) if layer else x
        x = x @ tensors[f"{name}.w{layer}"].T.astype(x.dtype) + tensors[f"{name}.b{layer}"]
        layer += 1
    return x


def frames(latent: Array, weight: Array) -> list[tuple[Array, Array, Array]]:
    """Two learned shading frames (Zeltner et al. 2024, section 4.2): tangent, bitangent, normal.

    A bias-free 12 x 8 layer offsets the canonical normal and tangent; the tangent is not made
    orthogonal to the normal, the bitangent is their normalised cross product.
    """
    raw = latent @ weight.T.astype(latent.dtype)
    result = []
    for k in (0, 6):
        n = normalize(raw[..., k : k + 3] + np.array([0.0, 0.0, 1.0]))
        t = normalize(raw[..., k + 3 : k + 6] + np.array([1.0, 0.0, 0.0]))
        result.append((t, normalize(np.cross(n, t)), n))
    return result


def is_reciprocal(tensors: Mapping[str, Array]) -> bool:
    """Whether the evaluator reads symmetric features, so that f(wi, wo) = f(wo, wi) exactly."""
    return tensors["evaluator.w0"].shape[1] == SYMMETRIC_INPUTS


def features(latent: Array, wi: Array, wo: Array, weight: Array, symmetric: bool) -> Array:
    """Evaluator input: latents, then per frame `wi`, `wo` and the log slope of the half vector.

    Beside the paper's inputs, u = log(1 + s^2 / LOBE_WIDTH^2) of the half vector's slopes s along
    tangent and bitangent: a GGX lobe of that width is exp(-2 u), and every wider or anisotropic one
    is close to piecewise linear in u, which is what a small ReLU network can do.

    `symmetric` replaces the two directions by quantities that do not change when they are
    exchanged, in floating point too: the sums and products of their coordinates and the product of
    their (x + y), which tells the two mirror images apart.
    """
    parts = [latent]
    for t, b, n in frames(latent, weight):
        a, o = (np.stack([(w * axis).sum(-1) for axis in (t, b, n)], -1) for w in (wi, wo))
        half = a + o
        slopes = half[..., :2] ** 2 / (LOBE_WIDTH**2 * (half[..., 2:] ** 2 + 1e-4))
        if symmetric:
            parts += [half, a * o, (a[..., :1] + a[..., 1:2]) * (o[..., :1] + o[..., 1:2])]
        else:
            parts += [a, o]
        parts.append(LOBE_SCALE * np.log1p(slopes))
    return np.concatenate(parts, -1)


def evaluate(latent: Array, wi: Array, wo: Array, tensors: Mapping[str, Array]) -> Array:
    """f |cos theta_o| = e exp(net - 3) wo.z, and 0 below the horizon; (..., 3).

    e is `energy`(wi.z), or sqrt(energy(wi.z) energy(wo.z)) where the material is reciprocal.
    """
    symmetric = is_reciprocal(tensors)
    x = features(latent, wi, wo, tensors["frames"], symmetric)
    value = np.exp(mlp(x, tensors, "evaluator") - 3) * np.maximum(wo[..., 2:], 0)
    scale = energy(wi[..., 2], tensors["energy"])
    if symmetric:
        scale = np.sqrt(scale * energy(wo[..., 2], tensors["energy"]))
    return value * scale


def energy(cos_i: Array, table: Array) -> Array:
    """RGB factor by incidence: linear in a table (knots, 3) over cos theta_i from 0 to 1.

    It restores the reference's mean reflectance and holds the directional albedo below one.
    """
    at = np.linspace(0.0, 1.0, len(table))
    return np.stack([np.interp(cos_i, at, table[:, c]) for c in range(3)], -1)


def albedo(latent: Array, cos_i: Array, matrix: Array) -> Array:
    """Guess (n, 3) of the directional albedo, for guides only: A (z, 1, t^2, t^4, t^8).

    t = 1 - cos theta_i; a matrix of 9 columns, as older files have, knows no incidence.
    """
    return np.clip(guide_features(latent, cos_i)[:, : matrix.shape[1]] @ matrix.T, 0.0, 1.0)


def guide_features(latent: Array, cos_i: Array) -> Array:
    """What `albedo` is linear in (n, 12)."""
    powers = [(1.0 - cos_i)[:, None] ** k for k in GRAZING]
    return np.concatenate([latent, np.ones((len(latent), 1)), *powers], 1)


def tanh_approx(x: Array) -> Array:
    """x / sqrt(1 + x^2): an algebraic sigmoid onto (-1, 1)."""
    return x / np.sqrt(1 + x * x)


def sinh_approx(x: Array) -> Array:
    """x sqrt(1 + x^2): expands the tails of a slope."""
    return x * np.sqrt(1 + x * x)


def lobes(latent: Array, wi: Array, tensors: Mapping[str, Array]) -> Lobes:
    """Sampler network: 8 latents and `wi` to the nine numbers of the mixture."""
    y = mlp(np.concatenate([latent, wi], -1), tensors, "sampler")
    alpha = ALPHA_FLOOR + 0.5 * (1 + tanh_approx(y[..., :2]))
    return Lobes(
        alpha_x=alpha[..., 0],
        alpha_y=alpha[..., 1],
        rho=0.99 * tanh_approx(y[..., 2]),
        mean=sinh_approx(y[..., 3:5]),
        tilt=sinh_approx(y[..., 5:7]),
        specular=1 / (1 + np.exp(y[..., 8] - y[..., 7])),
    )


def density(lobe: Lobes, wi: Array, wo: Array) -> Array:
    """Density of `draw` per solid angle; exact, 0 below the horizon.

    Slopes s of half vectors follow P22(s) = |S|^-1/2 / (pi (1 + d^T S^-1 d)^2), d = s - mean, with
    S = ((ax^2, rho ax ay), (rho ax ay, ay^2)); then p(h) = P22 / h.z^3 and p(wo) = p(h) / 4 |wi.h|.
    """
    half = normalize(wi + wo)
    cos_h = np.maximum(half[..., 2], 1e-6)
    d = -half[..., :2] / cos_h[..., None] - lobe.mean
    x, y = d[..., 0] / lobe.alpha_x, d[..., 1] / lobe.alpha_y
    free = 1 - lobe.rho**2
    q = (x * x - 2 * lobe.rho * x * y + y * y) / free
    p22 = 1 / (np.pi * lobe.alpha_x * lobe.alpha_y * np.sqrt(free) * (1 + q) ** 2)
    glossy = p22 / cos_h**3 / (4 * np.abs((wi * half).sum(-1)))
    axis = _axis(lobe.tilt)
    cosine = np.maximum((axis * wo).sum(-1), 0) / np.pi
    mixed = lobe.specular * glossy + (1 - lobe.specular) * cosine
    return np.where(wo[..., 2] > 0, mixed, 0.0)


def draw(lobe: Lobes, wi: Array, u: Array) -> Array:
    """Direction from the mixture; `u` (..., 3): component, then two for the direction."""
    phi, r2 = 2 * np.pi * u[..., 1], u[..., 2]
    radius = np.sqrt(r2 / (1 - r2))
    a, b = radius * np.cos(phi), radius * np.sin(phi)
    sx = lobe.mean[..., 0] + lobe.alpha_x * a
    sy = lobe.mean[..., 1] + lobe.alpha_y * (lobe.rho * a + np.sqrt(1 - lobe.rho**2) * b)
    half = normalize(np.stack([-sx, -sy, np.ones_like(sx)], -1))
    glossy = 2 * (wi * half).sum(-1, keepdims=True) * half - wi
    disk = np.sqrt(r2)
    local = np.stack([disk * np.cos(phi), disk * np.sin(phi), np.sqrt(1 - r2)], -1)
    axis = _axis(lobe.tilt)
    t, b2 = _basis(axis)
    cosine = local[..., :1] * t + local[..., 1:2] * b2 + local[..., 2:] * axis
    return np.where((u[..., :1] < lobe.specular[..., None]), glossy, cosine)


def _axis(tilt: Array) -> Array:
    return normalize(np.stack([-tilt[..., 0], -tilt[..., 1], np.ones_like(tilt[..., 0])], -1))


def _basis(n: Array) -> tuple[Array, Array]:
    """Orthonormal tangents of unit `n` with n.z > 0 (Duff et al. 2017)."""
    a = -1 / (1 + n[..., 2])
    b = n[..., 0] * n[..., 1] * a
    t = np.stack([1 + n[..., 0] ** 2 * a, b, -n[..., 0]], -1)
    return t, np.stack([b, 1 + n[..., 1] ** 2 * a, -n[..., 1]], -1)
