"""Multiresolution hash grid with a small network (Müller et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from etendue.field.base import FEATURES, Params, head, init_head, init_layers, layers, mix

# of the spatial hash (Teschner et al. 2003), as signed 32-bit numbers
PRIMES = (1, 2654435761 - (1 << 32), 805459861)


def _xor(a: Tensor, b: Tensor) -> Tensor:
    return a ^ b


def _corners(ends: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """All eight (..., 8) of `ends` (..., 3, 2), joined over the axes; x changes fastest."""
    x, y, z = ends.unbind(-2)
    plane = join(x[..., None, :], y[..., :, None])
    return join(plane[..., None, :, :], z[..., :, None, None]).flatten(-3)


@dataclass(frozen=True)
class HashGrid:
    """`levels` grids from `coarsest` to `finest` cells, each in a table of 2^`log2_table` rows."""

    kind: ClassVar[str] = "hashgrid"
    has_features: ClassVar[bool] = True
    rate: ClassVar[float] = 1e-2
    taught_rate: ClassVar[float] = 1e-2

    levels: int = 8
    coarsest: int = 8
    finest: int = 128
    log2_table: int = 14
    channels: int = 2
    width: int = 64

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Cells per side of each level, growing geometrically (Eq. 2 and 3)."""
        growth = (self.finest / self.coarsest) ** (1 / max(1, self.levels - 1))
        return tuple(round(self.coarsest * growth**k) for k in range(self.levels))

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters; table entries are uniform in +-1e-4."""
        rows = self.levels << self.log2_table
        table = 1e-4 * (2 * torch.rand(rows, self.channels, generator=generator) - 1)
        sizes = (self.levels * self.channels, self.width, FEATURES)
        return {"table": table} | init_layers("net", sizes, generator) | init_head(generator)

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16)."""
        index, weight = self.lookup(x)
        rows = mix(params["table"], index.flatten(0, 1), weight.flatten(0, 1))
        return layers(rows.unflatten(0, (len(x), self.levels)).flatten(1), params, "net")

    def lookup(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the table and weights (n, levels, 8) of the eight corners on every level.

        Levels that fit into the table are dense, the others are hashed by exclusive or.
        """
        cells = torch.tensor(self.resolutions, dtype=torch.int32)
        place = x.clamp(0, 1)[:, None] * cells[:, None].to(x.dtype)
        first = torch.minimum(place.to(torch.int32), cells[:, None] - 1)
        t = place - first
        dense = [(n + 1) ** 3 <= 1 << self.log2_table for n in self.resolutions]
        steps = torch.tensor(
            [(1, n + 1, (n + 1) ** 2) if d else PRIMES
             for n, d in zip(self.resolutions, dense, strict=True)], dtype=torch.int32
        )  # fmt: skip
        low = first * steps  # of each axis; what overflows is cut off below
        split = sum(dense)
        parts = []
        for levels, join in ((slice(0, split), torch.add), (slice(split, None), _xor)):
            a = low[:, levels]
            ends = torch.stack([a, a + steps[levels]], -1)  # (n, levels, axis, end)
            parts.append(_corners(ends, join))
        rows = torch.cat(parts, 1) & ((1 << self.log2_table) - 1)
        base = torch.arange(self.levels, dtype=torch.int32)[:, None] << self.log2_table
        return rows + base, _corners(torch.stack([1 - t, t], -1), torch.mul)

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        f = self.features(params, x)
        return head(params, f, d), f[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return self.features(params, x)[:, 0]
