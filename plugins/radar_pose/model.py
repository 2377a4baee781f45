"""HRRadarPose: 3D poses from 4D radar tensors by a high-resolution network (Ho et al. 2024).

Branches of 1, 1/2, 1/4 and 1/8 of the resolution run beside each other (Sun et al. 2019) and are
summed into one another after every stage; brought back to full resolution and joined they feed two
heads, a heat map of where a person's pelvis is and 45 offsets in voxels, (x, y, z) of 15 joints
from the middle of the pelvis' voxel. Normalisation comes before each convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

JOINTS = 15
GROUPS = 8
HEAD = 32  # channels of the heads
RARE = -2.19  # bias of the heat map: a tenth everywhere


@dataclass(frozen=True)
class Size:
    """Channels of a network."""

    speeds: int  # of the input
    branches: tuple[int, ...]
    joined: int  # before the heads


SIZES = {
    "zyx": Size(1, (32, 32, 64, 64), 32),
    "doppler": Size(32, (32, 32, 64, 64), 128),
    "phase": Size(64, (64, 64, 128, 128), 256),
    "cpu": Size(16, (16, 16, 32, 32), 32),
    "cpu-zyx": Size(1, (16, 16, 32, 32), 32),
}


class Residual(nn.Module):
    """x + f(x), where f is twice a normalised convolution."""

    def __init__(self, entering: int, leaving: int) -> None:
        super().__init__()
        same = entering == leaving
        self.widen = nn.Identity() if same else nn.Conv3d(entering, leaving, 1)
        self.first = _conv(leaving, leaving)
        self.second = _conv(leaving, leaving)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, z, y, x), like its input."""
        x = self.widen(x)
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class Exchange(nn.Module):
    """Sums of all branches at every resolution: up by 1x1 and interpolation, down by strides."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    def forward(self, branches: list[torch.Tensor]) -> list[torch.Tensor]:
        """As many tensors of the same shapes."""
        found = []
        for k, own in enumerate(branches):
            paths = self.paths[k]
            parts = [path(x) for path, x in zip(paths, branches, strict=True)]  # type: ignore[arg-type]
            parts = [x if j <= k else _up(x, own) for j, x in enumerate(parts)]
            found.append(functional.relu(torch.stack(parts).sum(0)))
        return found


class PoseNet(nn.Module):
    """From tensors (batch, speeds, z, y, x) to a heat map and offsets."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels = size.branches
        self.size = size
        self.stem = Residual(size.speeds, channels[0])
        self.opening = nn.ModuleList(
            nn.Sequential(_conv(a, b, 2), nn.ReLU()) for a, b in pairwise(channels)
        )
        counts = range(2, len(channels) + 1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(Residual(c, c) for c in channels[:count]) for count in counts
        )
        self.exchanges = nn.ModuleList(Exchange(channels[:count]) for count in counts)
        self.join = nn.Conv3d(sum(channels), size.joined, 1)
        self.heat = _head(size.joined, 1)
        self.offsets = _head(size.joined, 3 * JOINTS)
        nn.init.constant_(self.heat[-1].bias, RARE)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (batch, 1, z, y, x) and offsets in voxels (batch, 45, z, y, x)."""
        features = self.features(x)
        return self.heat(features), self.offsets(features)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """What both heads see (batch, joined, z, y, x)."""
        branches = [self.stem(x)]
        for opening, blocks, exchange in zip(
            self.opening, self.blocks, self.exchanges, strict=True
        ):
            branches.append(opening(branches[-1]))
            through = [block(b) for block, b in zip(blocks, branches, strict=True)]  # type: ignore[arg-type]
            branches = exchange(through)
        full = branches[0]
        joined = torch.cat([full, *(_up(b, full) for b in branches[1:])], 1)
        return self.join(joined)

    def offsets_at(self, features: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
        """Offsets (batch, 45) in voxels (batch, 3) (z, y, x): the head sees 5^3 voxels around each.

        Equal to `forward`'s there, without the rest of the grid.
        """
        first, _, second = self.offsets
        assert isinstance(first, nn.Conv3d) and isinstance(second, nn.Conv3d)
        padded = functional.pad(features, (2,) * 6)
        found = []
        for k, (z, y, x) in enumerate(voxels.tolist()):
            patch = padded[k : k + 1, :, z : z + 5, y : y + 5, x : x + 5]
            middle = functional.relu(functional.conv3d(patch, first.weight, first.bias))
            inside = torch.ones(3, 3, 3)  # `forward` has zeros beyond the grid
            for axis, (at, size) in enumerate(zip((z, y, x), features.shape[2:], strict=True)):
                line = torch.tensor([0 <= at + d < size for d in (-1, 0, 1)], dtype=torch.float32)
                view = [1, 1, 1]
                view[axis] = 3
                inside = inside * line.reshape(view)
            found.append(functional.conv3d(middle * inside, second.weight, second.bias))
        return torch.cat(found).flatten(1)


def make_network(size: Size, seed: int = 0) -> PoseNet:
    """Weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PoseNet(size)


def count_parameters(network: nn.Module) -> int:
    """Numbers that are learnt."""
    return sum(p.numel() for p in network.parameters())


def count_products(network: nn.Module, speeds: int, grid: tuple[int, int, int]) -> float:
    """Products and sums (one each is one) of the convolutions for one tensor, by shapes alone."""
    total = 0.0

    def add(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv3d)
        weight = module.weight
        total += out.shape[2:].numel() * weight.numel()

    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    hooks = [m.register_forward_hook(add) for m in convolutions]
    try:
        network.to("meta")(torch.empty(1, speeds, *grid, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return total


def _conv(entering: int, leaving: int, stride: int = 1) -> nn.Sequential:
    groups = GROUPS if entering >= GROUPS else 1
    conv = nn.Conv3d(entering, leaving, 3, stride, 1, bias=False)
    return nn.Sequential(nn.GroupNorm(groups, entering), conv)


def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
    if source == target:
        return nn.Identity()
    a, b = channels[source], channels[target]
    if source > target:
        return nn.Sequential(nn.GroupNorm(GROUPS, a), nn.Conv3d(a, b, 1, bias=False))
    steps: list[nn.Module] = []
    for _ in range(target - source - 1):
        steps += [_conv(a, a, 2), nn.ReLU()]
    return nn.Sequential(*steps, _conv(a, b, 2))


def _up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, like.shape[2:], mode="trilinear", align_corners=True)


def _head(entering: int, leaving: int) -> nn.Sequential:
    first, second = nn.Conv3d(entering, HEAD, 3, 1, 1), nn.Conv3d(HEAD, leaving, 3, 1, 1)
    return nn.Sequential(first, nn.ReLU(), second)
