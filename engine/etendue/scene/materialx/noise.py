"""Gradient, cell and Worley noise of the MaterialX standard library, vectorised.

The integer hash is Bob Jenkins' lookup3 mix, the gradients are Perlin's improved noise, as
specified by Open Shading Language and by MaterialX `mx_noise.glsl`; values agree with those.
Points are arrays (..., 2) or (..., 3); results are arrays (..., k).
"""

from __future__ import annotations

from itertools import product

import numpy as np

_SCALE = {2: 0.6616, 3: 0.9820}  # normalise 2-D and 3-D gradient noise to about [-1, 1]


def _rotl(x: np.ndarray, k: int) -> np.ndarray:
    return (x << np.uint32(k)) | (x >> np.uint32(32 - k))


def _mix(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    for k in (4, 6, 8, 16, 19, 4):
        a = (a - c) ^ _rotl(c, k)
        c = c + b
        a, b, c = b, c, a
    return a, b, c


def _final(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    for k in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _rotl(b, k)
        a, b, c = b, c, a
    return b


def hash_integers(*values: np.ndarray) -> np.ndarray:
    """uint32 hash of 1 to 4 integer arrays (lookup3 with seed 0xdeadbeef + 4 n + 13)."""
    seed = np.uint32((0xDEADBEEF + (len(values) << 2) + 13) & 0xFFFFFFFF)
    words = [np.asarray(v).astype(np.int64).astype(np.uint32) for v in values]
    zero = np.zeros_like(words[0])
    a, b, c = (seed + (words[i] if i < len(words) else zero) for i in range(3))
    if len(words) > 3:
        a, b, c = _mix(a, b, c)
        a = a + words[3]
    return _final(a, b, c)


def _unit(bits: np.ndarray) -> np.ndarray:
    return bits / float(0xFFFFFFFF)


def cell_noise(p: np.ndarray) -> np.ndarray:
    """One uniform number in [0, 1] per integer cell; (..., 1)."""
    cell = np.floor(p)
    return _unit(hash_integers(*np.moveaxis(cell, -1, 0)))[..., None]


def cell_noise3(p: np.ndarray) -> np.ndarray:
    """Three uniform numbers per integer cell, hashed with an appended 0, 1, 2; (..., 3)."""
    cell = list(np.moveaxis(np.floor(p), -1, 0))
    parts = [hash_integers(*cell, np.full_like(cell[0], k)) for k in range(3)]
    return _unit(np.stack(parts, axis=-1))


def _gradient(bits: np.ndarray, offset: list[np.ndarray]) -> np.ndarray:
    if len(offset) == 2:
        x, y = offset
        h = bits & np.uint32(7)
        u, v = np.where(h < 4, x, y), 2.0 * np.where(h < 4, y, x)
    else:
        x, y, z = offset
        h = bits & np.uint32(15)
        u = np.where(h < 8, x, y)
        v = np.where(h < 4, y, np.where((h == 12) | (h == 14), x, z))
    return np.where(h & 1, -u, u) + np.where(h & 2, -v, v)


def perlin_noise(p: np.ndarray, components: int = 1) -> np.ndarray:
    """Gradient noise in about [-1, 1]; three components share one hash, split by bytes."""
    dimensions = p.shape[-1]
    cell = np.floor(p)
    fraction = np.moveaxis(p - cell, -1, 0)
    fade = fraction**3 * (fraction * (fraction * 6.0 - 15.0) + 10.0)
    total = np.zeros((*p.shape[:-1], components))
    for corner in product((0, 1), repeat=dimensions):
        bits = hash_integers(*(cell[..., i] + corner[i] for i in range(dimensions)))
        offset = [fraction[i] - corner[i] for i in range(dimensions)]
        weight = np.ones(p.shape[:-1])
        for i in range(dimensions):
            weight = weight * (fade[i] if corner[i] else 1.0 - fade[i])
        for k in range(components):
            part = bits if components == 1 else (bits >> np.uint32(8 * k)) & np.uint32(0xFF)
            total[..., k] += weight * _gradient(part, offset)
    return _SCALE[dimensions] * total


def noise(p: np.ndarray, components: int, shift: tuple[float, ...]) -> np.ndarray:
    """Noise of 1 to 4 components; the fourth is scalar noise at `p + shift`."""
    if components < 4:
        return perlin_noise(p, 1 if components == 1 else 3)[..., :components]
    return np.concatenate([perlin_noise(p, 3), perlin_noise(p + np.array(shift), 1)], axis=-1)


def fractal_noise(
    p: np.ndarray, components: int, octaves: int, lacunarity: float, diminish: float
) -> np.ndarray:
    """sum_i diminish^i perlin(lacunarity^i p); 2 and 4 components shift the last one."""
    shift = np.array((19.0, 193.0, 17.0)[: p.shape[-1]])
    if components in (2, 4):
        head = fractal_noise(p, components - 1, octaves, lacunarity, diminish)
        tail = fractal_noise(p + shift, 1, octaves, lacunarity, diminish)
        return np.concatenate([head, tail], axis=-1)
    total = np.zeros((*p.shape[:-1], components))
    for i in range(octaves):
        total += diminish**i * perlin_noise(p * lacunarity**i, components)
    return total


def worley_noise(
    p: np.ndarray, components: int, jitter: np.ndarray, style: int, metric: int = 0
) -> np.ndarray:
    """Distance to the 1 to 3 nearest jittered cell points (style 0), or their cell noise (1)."""
    dimensions = p.shape[-1]
    cell = np.floor(p)
    best = np.full((*p.shape[:-1], 3), 1e6)
    nearest = np.zeros(p.shape)
    for shift in product((-1.0, 0.0, 1.0), repeat=dimensions):
        offset = cell_noise3(cell + np.array(shift))[..., :dimensions]
        position = np.array(shift) + (offset - 0.5) * jitter + 0.5 - (p - cell)
        distance = _distance(position, metric)
        closer = distance < best[..., 0]
        nearest = np.where(closer[..., None], position, nearest)
        best = np.sort(np.concatenate([best, distance[..., None]], axis=-1), axis=-1)[..., :3]
    if style == 1:
        point = nearest + p
        return cell_noise(point) if components == 1 else cell_noise3(point)[..., :components]
    return (np.sqrt(best) if metric == 0 else best)[..., :components]


def _distance(difference: np.ndarray, metric: int) -> np.ndarray:
    if metric == 2:
        return np.abs(difference).sum(axis=-1)
    if metric == 3:
        return np.abs(difference).max(axis=-1)
    return (difference**2).sum(axis=-1)
