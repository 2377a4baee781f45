"""Which cells of the cube hold anything: what the marcher need not ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from etendue.field.base import density
from etendue.field.space import step_scale

CELLS = 32  # per side
OPAQUE = 0.005  # a cell counts when one marching step in it could absorb so much
DECAY = 0.9  # of what was seen in a cell before, per update


@dataclass(frozen=True)
class Occupancy:
    """The largest density that was seen lately in each of `cells`^3 cells, x slowest."""

    sigma: Tensor  # (cells^3,)
    cells: int
    step: float  # length of a marching step
    contracted: bool = False  # whether the unit cube holds all of the world (`space`)

    @classmethod
    def full(cls, step: float, cells: int = CELLS, *, contracted: bool = False) -> Occupancy:
        """Every cell counts."""
        return cls(torch.full((cells**3,), torch.inf), cells, step, contracted)

    @cached_property
    def mask(self) -> Tensor:
        """Whether each cell counts (cells^3,)."""
        step = self.step * step_scale(self.middles()) if self.contracted else self.step
        return self.sigma * step > OPAQUE

    def middles(self) -> Tensor:
        """The middles (cells^3, 3) of the cells."""
        axis = (torch.arange(self.cells) + 0.5) / self.cells
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)

    def at(self, x: Tensor) -> Tensor:
        """Whether points (n, 3) lie in cells that count."""
        return self.mask[self.index(x)]

    def grown(self) -> Occupancy:
        """With the neighbours of the cells that count."""
        n = self.cells
        most = torch.nn.functional.max_pool3d(self.sigma.reshape(1, 1, n, n, n), 3, 1, 1)
        return replace(self, sigma=most.reshape(-1))

    def points(self, count: int, generator: torch.Generator) -> Tensor:
        """Random points (count, 3) of the cells that count; of the cube where none does."""
        cells = torch.nonzero(self.mask)[:, 0]
        if not len(cells):
            return torch.rand(count, 3, generator=generator)
        cell = cells[torch.randint(len(cells), (count,), generator=generator)]
        n = self.cells
        low = torch.stack([cell // (n * n), cell // n % n, cell % n], -1)
        return (low + torch.rand(count, 3, generator=generator)) / n

    def index(self, x: Tensor) -> Tensor:
        """Cells (n,) of points (n, 3)."""
        place = (x * self.cells).long().clamp(0, self.cells - 1)
        return (place[:, 0] * self.cells + place[:, 1]) * self.cells + place[:, 2]


def look(
    occupancy: Occupancy,
    log_density: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    decay: float = DECAY,
) -> Occupancy:
    """Look at one random point of every cell and remember the largest density, fading."""
    n = occupancy.cells
    where = torch.stack(torch.meshgrid(*[torch.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    x = (where + torch.rand(n**3, 3, generator=generator)) / n
    with torch.no_grad():
        seen = torch.cat([density(log_density(part)) for part in x.split(1 << 15)])
    before = occupancy.sigma.nan_to_num(posinf=0.0) * decay
    return replace(occupancy, sigma=torch.maximum(seen, before))


def survey(
    log_density: Callable[[Tensor], Tensor],
    step: float,
    seed: int,
    rounds: int = 16,
    *,
    contracted: bool = False,
) -> Occupancy:
    """What a finished field fills, by `rounds` random points in each cell."""
    generator = torch.Generator().manual_seed(seed)
    found = Occupancy.full(step, contracted=contracted)
    for _ in range(rounds):
        found = look(found, log_density, generator, decay=1.0)
    return found


def pack(occupancy: Occupancy) -> np.ndarray:
    """One bit per cell, for a file."""
    return np.packbits(occupancy.mask.numpy())


def unpack(bits: np.ndarray, cells: int, step: float, contracted: bool = False) -> Occupancy:
    """Inverse of `pack`; what counts does so for good."""
    mask = np.unpackbits(bits, count=cells**3).astype(bool)
    sigma = torch.from_numpy(np.where(mask, np.inf, 0.0).astype(np.float32))
    return Occupancy(sigma, cells, step, contracted)
