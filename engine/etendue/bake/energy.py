"""Directional albedo of a fitted material and the table that keeps it below one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from etendue.bsdf.neural_numpy import (
    density,
    draw,
    evaluate,
    guide_features,
    is_reciprocal,
    lobes,
)

Array = np.ndarray
ROUNDS = 4  # at most, of lowering a reciprocal table
AZIMUTHS = 256  # at least, from which an incidence is looked at, over all texels
ALBEDO_LIMIT = 0.99  # leaves room for texels and directions between those measured


def view_grid(count: int) -> Array:
    """Viewer directions (count, 3) with cosines evenly from grazing to 1, spread over azimuth."""
    return views_at(np.linspace(0.0, 1.0, count), np.arange(count) * 2.399963)


def views_at(cosine: Array, phi: Array) -> Array:
    """Viewer directions (n, 3), not quite grazing."""
    z = np.maximum(cosine, 0.01)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)


def sequence(count: int) -> Array:
    """Rank-1 low-discrepancy points (count, 3) in the unit cube (Roberts 2018, R3)."""
    phi = 1.2207440846057596
    steps = np.array([1 / phi, 1 / phi**2, 1 / phi**3])
    return (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0


def directional_albedo(
    latent: Array, wi: Array, tensors: Mapping[str, Array], samples: int
) -> Array:
    """Integral of f |cos| over wo per row (n, 3), by the material's own sampler."""
    u = sequence(samples)
    total = np.zeros((len(latent), 3))
    lobe = lobes(latent, wi, tensors)
    for point in u:
        wo = draw(lobe, wi, np.broadcast_to(point, (len(latent), 3)))
        pdf = density(lobe, wi, wo)
        good = pdf > 0
        value = evaluate(latent[good], wi[good], wo[good], tensors) / pdf[good, None]
        total[good] += value
    return total / samples


def bound_energy(
    latents: Array, tensors: Mapping[str, Array], seed: int, texels: int = 512
) -> tuple[Array, Array]:
    """Table `energy` (knots, 3) lowered so that no albedo found exceeds the limit, and the peaks.

    Per incidence, candidates over random texels (the coarsest always), each from an azimuth of its
    own, are ranked with few samples and the worst in each colour are measured again with many. A
    knot takes the least factor of its neighbours, so that all between knots stays below too. A
    reciprocal material is scaled by the root of the table at both cosines; there the worst are
    measured again until they comply.
    """
    generator = np.random.default_rng(seed)
    table = tensors["energy"].astype(np.float64)
    random = generator.integers(0, len(latents), min(texels, len(latents)))
    chosen = np.unique([*random, *range(max(0, len(latents) - 21), len(latents))])
    chosen = np.repeat(chosen, -(-AZIMUTHS // len(chosen)))
    count = len(table)
    latent = np.repeat(latents[chosen].astype(np.float64), count, 0)
    knot = np.tile(np.arange(count), len(chosen))
    views = views_at(knot / (count - 1), generator.uniform(0, 2 * np.pi, len(knot)))
    rough = directional_albedo(latent, views, tensors, 64)
    here = (np.flatnonzero(knot == n) for n in range(count))
    worst = np.concatenate([k[np.unique(np.argsort(rough[k], 0)[-12:])] for k in here])

    def peaks(table: Array) -> Array:
        scaled = {**tensors, "energy": table}
        exact = directional_albedo(latent[worst], views[worst], scaled, 1024)
        return np.array([exact[knot[worst] == n].max(0) for n in range(count)])

    first = peak = peaks(table)
    reciprocal = is_reciprocal(tensors)
    for turn in range(ROUNDS if reciprocal else 1):
        factor = np.minimum(1.0, ALBEDO_LIMIT / np.maximum(peak, 1e-9))
        if turn == ROUNDS - 1:  # one bright incidence feels but half of its own factor
            factor = factor**2
        if turn == 0:
            padded = np.concatenate([factor[:1], factor, factor[-1:]])
            factor = np.minimum(np.minimum(padded[:-2], padded[2:]), factor)
        table = table * factor
        if reciprocal and (peak := peaks(table)).max() <= ALBEDO_LIMIT:
            break
    return table.astype(np.float32), first


def albedo_map(latents: Array, tensors: Mapping[str, Array], seed: int) -> Array:
    """Matrix (3, 12) of `neural_numpy.albedo`, by least squares over texels and incidences.

    A guide for denoisers and AOVs, not part of the BSDF.
    """
    generator = np.random.default_rng(seed)
    latent = latents[generator.integers(0, len(latents), 2048)].astype(np.float64)
    wi = np.tile(view_grid(32), (len(latent) // 32, 1))
    target = directional_albedo(latent, wi, tensors, 64)
    rows = guide_features(latent, wi[:, 2])
    ridge = 1e-4 * len(rows) * np.eye(rows.shape[1])
    return np.linalg.solve(rows.T @ rows + ridge, rows.T @ target).T.astype(np.float32)
