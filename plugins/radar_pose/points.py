"""The baseline that sees points: detections of a tensor, and a network that takes them as a set.

Detection is cell averaging CFAR (Finn and Johnson 1968) along x; the network is a small PointNet
(Qi et al. 2017): the same layers for every point, then the maximum over points.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch

from etendue.plugins.radar_pose.grids import Grid

GUARD = 2  # voxels on either side of the one under test that are left out
TRAINING = 8  # voxels beyond those, on either side
THRESHOLD = 1.0  # bels (10 dB) that a detection is above the mean of the training voxels
FEATURES = 5  # x, y, z in m, speed from -1 to 1, value in bels
OFFSETS = 45
SIZES = (64, 64, 256)


def cfar(
    tensor: np.ndarray, most: int, grid: Grid, threshold: float = THRESHOLD
) -> tuple[np.ndarray, np.ndarray]:
    """The strongest detections: points (most, 5) float32 and which are points, bool (most,).

    `tensor` (D, Z, Y, X) is in bels. A voxel is detected where its power is `threshold` bels above
    the mean power of up to 2 × 8 voxels along x, outside 2 × 2 guard voxels; there are fewer at the
    ends. Columns are x, y, z in metres, the speed bin as -1..1, and the value; unused rows are 0.
    Equal values are taken in the order of the tensor.
    """
    power = 10.0 ** np.asarray(tensor, dtype=np.float64)
    around = _average(power)
    found = np.flatnonzero((power > around * 10.0**threshold).ravel() & (tensor.ravel() > 0))
    strengths = tensor.ravel()[found]
    best = found[np.argsort(-strengths, kind="stable")[:most]]
    d, *zyx = np.unravel_index(best, tensor.shape)
    points = np.zeros((most, FEATURES), np.float32)
    n = len(best)
    points[:n, :3] = grid.to_metres(np.stack(zyx, -1))
    points[:n, 3] = (2 * d + 1) / len(tensor) - 1
    points[:n, 4] = tensor.ravel()[best]
    return points, np.arange(most) < n


def _average(power: np.ndarray) -> np.ndarray:
    """Mean of the training voxels of every voxel along the last axis; infinite without any."""
    n = power.shape[-1]
    sums = np.concatenate([np.zeros((*power.shape[:-1], 1)), np.cumsum(power, -1)], -1)
    at = np.arange(n)
    total, count = np.zeros_like(power), np.zeros(n)
    for low, high in (
        (at - GUARD - TRAINING, at - GUARD),
        (at + GUARD + 1, at + GUARD + 1 + TRAINING),
    ):
        low, high = np.clip(low, 0, n), np.clip(high, 0, n)
        total += sums[..., high] - sums[..., low]
        count += high - low
    return np.where(count > 0, total / np.maximum(count, 1), np.inf)


class PointPose(torch.nn.Module):
    """Pelvis and offsets of the joints from it, from a set of points; 93 thousand weights.

    Positions are relative to the mean of the points, so that the network need not know the room;
    the pelvis is that mean plus what it says.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        widths = (FEATURES, *SIZES)
        self.each = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in pairwise(widths))
        self.hidden = torch.nn.Linear(2 * SIZES[-1], 128)
        self.last = torch.nn.Linear(128, 3 + OFFSETS)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():  # from the seed, whatever the global generator is at
            for parameter in self.parameters():
                bound = parameter.shape[-1] ** -0.5
                parameter.uniform_(-bound, bound, generator=generator)

    def forward(
        self, points: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pelvis (b, 3) and offsets (b, 45) in metres from points (b, n, 5) and mask (b, n).

        The offsets are those of 15 joints, as x, y, z. Rows whose mask is false play no part;
        without any point, the pelvis is what the network says of nothing, from the radar.
        """
        there = mask[..., None]
        count = there.sum(1).clamp(min=1)
        centre = torch.where(there, points[..., :3], 0.0).sum(1) / count
        h = torch.cat([points[..., :3] - centre[:, None], points[..., 3:]], -1)
        h = torch.where(there, h, 0.0)
        for layer in self.each:
            h = torch.relu(layer(h))
        h = torch.where(there, h, 0.0)  # at least 0 by relu: no point is no maximum
        together = torch.cat([h.amax(1), h.sum(1) / count], -1)
        out = self.last(torch.relu(self.hidden(together)))
        return centre + out[:, :3], out[:, 3:]

    def poses(self, points: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Joints (b, 15, 3) in metres."""
        pelvis, offsets = self(points, mask)
        return pelvis[:, None] + offsets.reshape(-1, OFFSETS // 3, 3)


def point_loss(pelvis: torch.Tensor, offsets: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean absolute errors of the pelvis and of the offsets, added; `true` (b, 15, 3), metres."""
    wanted = (true - true[:, :1]).reshape(len(true), -1)
    return (pelvis - true[:, 0]).abs().mean() + (offsets - wanted).abs().mean()
