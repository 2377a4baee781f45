"""Texels that would reflect more light than they receive are drawn towards their surroundings.

A texel of the finest level is seen a few dozen times in a short bake, so some latents end as
outliers. A factor for the whole material that tames the worst of them darkens all the others; here
only the outliers move, z' = z + t (mean of the 8 neighbours - z) with the least t that is enough,
and where none is, likewise towards the mean of the whole texture, its coarsest texel. What happens
nearer to the horizon than `LOWEST` (where many texels are too bright after a short bake, and hardly
a pixel shows it) is left to the table of `energy.bound_energy`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from etendue.artifact import Artifact
from etendue.bake.energy import ALBEDO_LIMIT
from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.pyramid import level_offsets, level_sizes

Array = np.ndarray
BLENDS = (0.25, 0.5, 0.75, 1.0)
FAR_BLENDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
LANES = 1 << 22


LOWEST = 0.1  # least cosine that is looked at; peaks are at grazing views


@dataclass(frozen=True)
class Look:
    """How closely texels are looked at, and from what estimate on the next closer look follows."""

    cosines: int
    azimuths: int
    samples: int
    beyond: float


LOOKS = (Look(4, 4, 4, 0.75), Look(4, 4, 32, 0.85), Look(7, 8, 128, ALBEDO_LIMIT))


def views_of(look: Look) -> Array:
    """Viewer directions (cosines * azimuths, 3), cosines evenly in their logarithm."""
    z = np.repeat(np.geomspace(LOWEST, 1.0, look.cosines), look.azimuths)
    turn = np.arange(len(z)) // look.azimuths * 2.399963  # so that cones do not line up
    phi = turn + np.arange(len(z)) % look.azimuths * (2 * np.pi / look.azimuths)
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], -1)


def peak_albedo(material: NeuralBSDF, texels: Array, look: Look, seed: int = 0) -> Array:
    """Estimate (n,) of each texel's largest directional albedo over a spread of incidences.

    Each texel turns the views by its own azimuth, so that together they see all of them.
    """
    import drjit as dr
    import mitsuba as mi

    grid, peaks = views_of(look), []
    step = max(1, LANES // len(grid))
    for first in range(0, len(texels), step):
        some = texels[first : first + step]
        texel = np.repeat(some, len(grid)).astype(np.uint32)
        turn = texel * 2.399963
        wi = np.tile(grid, (len(some), 1))
        x = np.cos(turn) * wi[:, 0] - np.sin(turn) * wi[:, 1]
        y = np.sin(turn) * wi[:, 0] + np.cos(turn) * wi[:, 1]
        lanes = [np.ascontiguousarray(v, np.float32) for v in (x, y, wi[:, 2])]
        rng = mi.PCG32(size=len(texel), initstate=dr.opaque(mi.UInt64, seed))
        found = material.reflectance(mi.UInt(texel), mi.Vector3f(*lanes), look.samples, rng)
        peaks.append(found.numpy().max(0).reshape(-1, len(grid)).max(1))
    return np.concatenate(peaks) if peaks else np.zeros(0)


def outliers(material: NeuralBSDF, texels: Array) -> Array:
    """Those of `texels` whose albedo exceeds the limit, by ever closer looks at fewer of them."""
    for look in LOOKS:
        texels = texels[peak_albedo(material, texels, look) > look.beyond]
    return texels


def neighbours(texels: Array, resolution: int) -> Array:
    """Flat indices (n, 8) of the wrapped neighbours on each texel's own level."""
    offsets = np.array(level_offsets(resolution))
    level = np.searchsorted(offsets, texels, side="right") - 1
    size, base = np.array(level_sizes(resolution))[level], offsets[level]
    x, y = (texels - base) % size, (texels - base) // size
    around = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dx or dy]
    return np.stack([base + (y + dy) % size * size + (x + dx) % size for dx, dy in around], -1)


def tame(artifact: Artifact) -> tuple[Array, int]:
    """Latents (texels, 8) whose outliers were blended, and how many outliers there were."""
    stored = artifact.tensors["latents"]
    latents = stored.astype(np.float32)
    resolution = int(artifact.header["lod"]["resolution"])
    material = NeuralBSDF(artifact, exact=True)
    left = found = outliers(material, np.arange(len(latents)))
    for target, blends in (
        (lambda texels: latents[neighbours(texels, resolution)].mean(1), BLENDS),
        (lambda texels: latents[-1], FAR_BLENDS),
    ):
        start, calm = latents[left], target(left)
        first = left
        for t in blends:
            if not len(left):
                break
            rows = np.searchsorted(first, left)
            latents[left] = (start + t * (calm - start))[rows]
            tensors = {**artifact.tensors, "latents": latents.astype(stored.dtype)}
            blended = NeuralBSDF(dataclasses.replace(artifact, tensors=tensors), exact=True)
            left = left[peak_albedo(blended, left, LOOKS[-1]) > ALBEDO_LIMIT]
        latents[left] = stored[left]
    return latents, len(found)
