"""Multiresolution hash grid with a small network (Müller et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from etendue.field.base import FEATURES, Params, head, init_head, init_layers, layers, mix

_PRIMES = (1, 2654435761, 805459861)  # of the spatial hash (Teschner et al. 2003)


@dataclass(frozen=True)
class HashGrid:
    """`levels` grids from `coarsest` to `finest` cells, each in a table of 2^`log2_table` rows."""

    kind: ClassVar[str] = "hashgrid"
    has_features: ClassVar[bool] = True
    rate: ClassVar[float] = 1e-2

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
        """Rows of the table and weights (n, levels, 8) of the eight corners on every level."""
        cells = torch.tensor(self.resolutions)
        place = x.clamp(0, 1)[:, None] * cells[:, None].to(x.dtype)
        low = place.floor().clamp(max=1e9)
        low = torch.minimum(low, (cells[:, None] - 1).to(x.dtype))
        t, first = place - low, low.long()
        size = 1 << self.log2_table
        dense = (cells + 1) ** 3 <= size
        stride = torch.stack([torch.ones_like(cells), cells + 1, (cells + 1) ** 2], -1)
        index, weight = [], []
        for corner in range(8):
            bits = torch.tensor([corner >> k & 1 for k in range(3)])
            at = first + bits
            plain = (at * stride).sum(-1)
            hashed = at[..., 0] * _PRIMES[0] ^ at[..., 1] * _PRIMES[1] ^ at[..., 2] * _PRIMES[2]
            index.append(torch.where(dense, plain, hashed & (size - 1)))
            weight.append(torch.where(bits.bool(), t, 1 - t).prod(-1))
        base = torch.arange(self.levels)[:, None] * size
        return torch.stack(index, -1) + base, torch.stack(weight, -1)

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        f = self.features(params, x)
        return head(params, f, d), f[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return self.features(params, x)[:, 0]
