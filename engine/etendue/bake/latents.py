"""The latent pyramid in torch and the filtered material parameters the encoder sees."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from etendue.bsdf.pyramid import level_offsets, level_sizes


def taps(uv: Tensor, level: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Flat indices (n, 4) and bilinear weights (n, 4) of wrapping lookups at integer levels."""
    offsets = torch.tensor(level_offsets(resolution)[:-1], device=level.device)
    size = resolution >> level
    p = uv * size[:, None] - 0.5
    corner = torch.floor(p)
    t = p - corner
    x0, y0 = (corner.long() % size[:, None]).unbind(-1)
    x1, y1 = (x0 + 1) % size, (y0 + 1) % size
    base = offsets[level]
    index = torch.stack([base + y * size + x for y in (y0, y1) for x in (x0, x1)], -1)
    weight = torch.stack(
        [wy * wx for wy in (1 - t[:, 1], t[:, 1]) for wx in (1 - t[:, 0], t[:, 0])], -1
    )
    return index, weight


def lookup(latents: Tensor, uv: Tensor, level: Tensor, resolution: int) -> Tensor:
    """Bilinear latents (n, 8); gradients reach the four texels."""
    index, weight = taps(uv, level, resolution)
    return torch.nn.functional.embedding_bag(
        index, latents, per_sample_weights=weight.to(latents.dtype), mode="sum"
    )


def texel_uv(index: Tensor, level: Tensor, resolution: int) -> Tensor:
    """Centre (n, 2) of the texel with the flat `index` on its `level`."""
    local = index - torch.tensor(level_offsets(resolution)[:-1])[level]
    size = resolution >> level
    return (torch.stack([local % size, local // size], -1) + 0.5) / size[:, None]


def parameter_pyramid(data: np.ndarray) -> np.ndarray:
    """Encoder inputs (texels, 2 C + 1): per channel mean and deviation in the texel, and level.

    Channels are scaled to zero mean and unit deviation over the finest level.
    """
    size, _, channels = data.shape
    mean = data.reshape(-1, channels).mean(0)
    scale = data.reshape(-1, channels).std(0) + 1e-6
    first = ((data - mean) / scale).astype(np.float64)
    second = first * first
    rows = []
    for k, side in enumerate(level_sizes(size)):
        if k:
            first, second = (a.reshape(side, 2, side, 2, -1).mean((1, 3)) for a in (first, second))
        deviation = np.sqrt(np.maximum(second - first * first, 0))
        level = np.full((side * side, 1), k / max(1, len(level_sizes(size)) - 1))
        rows.append(np.concatenate([a.reshape(side * side, -1) for a in (first, deviation)], 1))
        rows[-1] = np.concatenate([rows[-1], level], 1)
    return np.concatenate(rows).astype(np.float32)
