"""The space of unbounded fields: all of the world, drawn into the unit cube.

The contraction of Barron et al. 2022 (Eq. 10) with the maximum norm, so that cubes stay cubes: what
lies in a field's cube fills the middle half of the unit cube along each axis, unchanged but for its
size, and the rest of the world fills the shell around it.
"""

from __future__ import annotations

import torch
from torch import Tensor

FAR = 64.0  # sides of the cube beyond the bend of a ray, where it ends
GROWTH = 4.0  # beyond the bend a step is so many times as long, and again for each side's distance


def contract(x: Tensor) -> Tensor:
    """Points (n, 3) of the world, in the cube's coordinates, in the unit cube."""
    w = 2 * x - 1
    size = w.abs().amax(-1, keepdim=True).clamp(min=1.0)
    return 0.5 + 0.25 * w * (2 - 1 / size) / size


def expand(u: Tensor) -> Tensor:
    """Inverse of `contract`; the faces of the unit cube are as far away as numbers allow."""
    c = 4 * u - 2
    size = c.abs().amax(-1, keepdim=True).clamp(1.0, 2 - 1e-4)
    return 0.5 + 0.5 * c / (size * (2 - size))


def bend(origin: Tensor, direction: Tensor) -> Tensor:
    """Distance (n,) up to which steps are equal: where a ray leaves a cube of twice the side."""
    d = torch.where(direction.abs() < 1e-9, torch.full_like(direction, 1e-9), direction)
    a, b = (-0.5 - origin) / d, (1.5 - origin) / d
    near, far = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    return torch.where(far > near.clamp(min=0), far, 0.5)


def stretched(s: Tensor, bend: Tensor) -> Tensor:
    """Distances at places `s` along rays: the same up to the bend, then more and more."""
    return torch.where(s <= bend, s, bend + torch.expm1(GROWTH * (s - bend).clamp(min=0)))


def ends(bend: Tensor) -> Tensor:
    """The places along rays at which they end, `FAR` beyond the bend."""
    return bend + torch.log1p(torch.full_like(bend, FAR)) / GROWTH


def step_scale(u: Tensor) -> Tensor:
    """How many times the equal step a step is at points (n, 3) of the unit cube, about."""
    beyond = (2 * expand(u) - 1).abs().amax(-1) - 2
    return (1 + GROWTH * beyond.clamp(min=0)).clamp(max=GROWTH * FAR)
