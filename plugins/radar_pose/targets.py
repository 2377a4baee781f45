"""What the network should say about a pose, how wrong it is, and what it means in metres.

Heat map: exp(-d^2 / (2 s^2)) around the pelvis' voxel, d in voxels, s = (2 R + 1) / 6, zero from
R = 2 voxels on in any axis (Zhou et al. 2019, Sec. 4; the published code has the exponent
-d^2 / (2 s^2)^1.5). Loss: the penalty-reduced focal loss of Law and Deng 2018, Eq. 1, and the
absolute error of the offsets in the pelvis' voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

RADIUS = 2  # voxels
ALPHA, BETA = 2, 4
CLAMP = 1e-4
WEIGHT = 0.5  # of the offsets' error


@dataclass(frozen=True)
class Targets:
    """Of a batch: heat maps (batch, z, y, x), pelvis voxels (batch, 3), offsets (batch, 45)."""

    heat: torch.Tensor
    voxels: torch.Tensor  # int64 (z, y, x)
    offsets: torch.Tensor  # (x, y, z) of each joint from the middle of the pelvis' voxel


def targets(joints: torch.Tensor, shape: tuple[int, int, int]) -> Targets:
    """From joints (batch, 15, 3) in voxels (z, y, x), where k is the middle of voxel k."""
    size = torch.tensor(shape)
    pelvis = joints[:, 0]
    voxels = torch.minimum(pelvis.round().long().clamp(min=0), size - 1)
    offsets = (joints - voxels[:, None]).flip(-1).flatten(1)
    sigma = (2 * RADIUS + 1) / 6
    heat = torch.ones(len(joints), *shape)
    for axis in range(3):
        steps = torch.arange(shape[axis]) - voxels[:, axis, None]
        line = torch.exp(-(steps.float() ** 2) / (2 * sigma**2)) * (steps.abs() <= RADIUS)
        view = [len(joints), 1, 1, 1]
        view[axis + 1] = shape[axis]
        heat = heat * line.reshape(view)
    return Targets(heat, voxels, offsets)


def loss(heat: torch.Tensor, offsets: torch.Tensor, wanted: Targets) -> torch.Tensor:
    """Mean over a batch; `heat` (batch, 1, z, y, x) are logits, `offsets` (batch, 45, z, y, x)."""
    return loss_at(heat, at(offsets, wanted.voxels), wanted)


def loss_at(heat: torch.Tensor, offsets: torch.Tensor, wanted: Targets) -> torch.Tensor:
    """`loss` from the offsets (batch, 45) in the pelvis' voxels."""
    p = torch.sigmoid(heat[:, 0]).clamp(CLAMP, 1 - CLAMP)
    near = wanted.heat
    hit = near == 1
    seen = (1 - p) ** ALPHA * torch.log(p)
    quiet = (1 - near) ** BETA * p**ALPHA * torch.log1p(-p)
    focal = -torch.where(hit, seen, quiet).sum() / len(p)
    return focal + WEIGHT * (offsets - wanted.offsets).abs().sum(1).mean()


def at(values: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """(batch, channels) of values (batch, channels, z, y, x) in voxels (batch, 3)."""
    rows = torch.arange(len(values))
    return values[rows, :, voxels[:, 0], voxels[:, 1], voxels[:, 2]]


def best(heat: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The one person in each tensor: joints (batch, 15, 3) in voxels (z, y, x), scores (batch,)."""
    shape = heat.shape[2:]
    score, flat = torch.sigmoid(heat).flatten(1).max(1)
    voxels = torch.stack(torch.unravel_index(flat, shape), -1)
    return _joints(at(offsets, voxels), voxels), score


def people(
    heat: torch.Tensor, offsets: torch.Tensor, most: int, threshold: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """All people in one tensor: joints (n, 15, 3) in voxels and falling scores (n,), n <= `most`.

    `heat` (1, z, y, x) and `offsets` (45, z, y, x); a person is a voxel that no neighbour within
    the radius exceeds.
    """
    p = torch.sigmoid(heat)
    top = functional.max_pool3d(heat[None], 2 * RADIUS + 1, 1, RADIUS)[0]  # p may be 1 all around
    flat = torch.where((heat == top) & (p >= threshold), p, torch.zeros_like(p)).flatten()
    scores, index = flat.topk(min(most, flat.numel()))
    index, scores = index[scores > 0], scores[scores > 0]
    voxels = torch.stack(torch.unravel_index(index, heat.shape[1:]), -1)
    found = offsets[:, voxels[:, 0], voxels[:, 1], voxels[:, 2]].T
    return _joints(found, voxels), scores


def _joints(offsets: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    return offsets.reshape(len(offsets), offsets.shape[1] // 3, 3).flip(-1) + voxels[:, None]
