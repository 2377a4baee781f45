"""A grid of log density and spherical harmonics (Fridovich-Keil et al. 2022, Plenoxels).

It is dense in memory and sparse in files: points that no filled cell, nor a neighbour of one, asks
for are left out there, and come back as empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.field.base import LOG_SIGMA, Params, corners, mix, spherical_harmonics
from etendue.field.occupancy import Occupancy
from etendue.field.rays import sphere

SH = 3  # bands of the colour: 9 coefficients per channel
CHANNELS = 1 + 3 * SH * SH
COARSE = (2, 4, 8)  # of the full size, the coarser grids that are added while it learns
LOOKS = 24  # directions from which a point's colours are asked
POINTS = "points"  # the bits of a sparse grid, in files
DARKEST = 2e-3  # colour, so that its logit is finite


@dataclass(frozen=True)
class Grid:
    """`size` points per axis; it has no features, so distillation begins with densities."""

    kind: ClassVar[str] = "grid"
    has_features: ClassVar[bool] = False
    rate: ClassVar[float] = 5e-2
    taught_rate: ClassVar[float] = 1.5e-2  # begins with samples
    # per step and learning rate, towards what coarser grids say; fine noise is not kept
    decay: ClassVar[Mapping[str, float]] = MappingProxyType({"values": 0.2, "coarse2": 0.06})

    size: int = 64

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters: thin grey fog."""
        values = 0.01 * torch.randn(self.size**3, CHANNELS, generator=generator)
        return {"values": values}

    def learning(self, params: Params) -> Params:
        """Parameters that learn from few rays: coarser grids are added to the values.

        Without them a ray moves none but the points beside it. `learned` takes them in again.
        """
        sizes = {f"coarse{k}": max(2, self.size // k) for k in COARSE}
        return params | {n: torch.zeros(size**3, CHANNELS) for n, size in sizes.items()}

    def learned(self, params: Params) -> Params:
        """The values alone, to the same field but for what no coarser grid can say."""
        return {
            "values": torch.cat([self._values(params, x) for x in self._points().split(1 << 15)])
        }

    def _points(self) -> Tensor:
        axis = torch.linspace(0, 1, self.size)
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)

    def _values(self, params: Params, x: Tensor, channels: int = CHANNELS) -> Tensor:
        total = mix(params["values"][:, :channels], *corners(x, self.size, (0, 1, 2)))
        for name, value in params.items():
            if name.startswith("coarse"):
                size = round(len(value) ** (1 / 3))
                total = total + mix(value[:, :channels], *corners(x, size, (0, 1, 2)))
        return total

    @torch.no_grad()
    def sampled(
        self, log_density: Callable[[Tensor], Tensor], colors: Callable[[Tensor, Tensor], Tensor]
    ) -> Params:
        """What another field says at the points: log sigma, and colours by least squares.

        `colors` gives rgb (n, k, 3) at points (n, 3) in each of k directions (k, 3).
        """
        d = torch.from_numpy(sphere(LOOKS)).float()
        inverse = torch.linalg.pinv(spherical_harmonics(d, SH))  # (9, looks)
        parts = []
        for x in self._points().split(1 << 14):
            own = log_density(x).clamp(LOG_SIGMA[0] - 1, LOG_SIGMA[1] + 1)
            values = torch.cat([own[:, None], torch.zeros(len(x), CHANNELS - 1)], -1)
            seen = torch.nonzero(own > LOG_SIGMA[0])[:, 0]
            if len(seen):
                logits = torch.logit(colors(x[seen], d).clamp(DARKEST, 1 - DARKEST))
                values[seen, 1:] = torch.einsum("kl,nlc->nck", inverse, logits).flatten(1)
            parts.append(values)
        return {"values": torch.cat(parts)}

    def packed(self, params: Params, occupancy: Occupancy) -> Params:
        """What a file holds: a bit for each point, and the values of those whose bit is set."""
        wanted = self.asked(occupancy.grown())
        bits = torch.from_numpy(np.packbits(wanted.numpy()))
        return {POINTS: bits, "values": params["values"][wanted]}

    def unpacked(self, tensors: Params) -> Params:
        """Inverse of `packed`; what has no bits holds every point, or is no grid."""
        bits = tensors.get(POINTS)
        if bits is None or "values" not in tensors:
            return tensors
        wanted = torch.from_numpy(
            np.unpackbits(bits.numpy().astype(np.uint8), count=self.size**3).astype(bool)
        )
        values = torch.zeros(self.size**3, CHANNELS)
        values[:, 0] = LOG_SIGMA[0] - 8.0
        values[wanted] = tensors["values"]
        return {"values": values}

    def asked(self, occupancy: Occupancy) -> Tensor:
        """Which points (size^3,) lookups in the cells that count read."""
        cells, edge = occupancy.cells, torch.arange(occupancy.cells)[:, None] / occupancy.cells
        point = torch.arange(self.size)
        low = torch.floor(edge * (self.size - 1))
        high = torch.ceil((edge + 1 / cells) * (self.size - 1))
        near = ((point >= low) & (point <= high)).float()  # (cells, size)
        filled = occupancy.mask.float().reshape(cells, cells, cells)
        return (torch.einsum("abc,ai,bj,ck->ijk", filled, near, near, near) > 0).reshape(-1)

    def features(self, params: Params, x: Tensor) -> Tensor:
        """There are none."""
        raise InputError("grid", "has no features")

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        values = self._values(params, x)
        waves = values[:, 1:].unflatten(-1, (3, SH * SH))
        color = (waves * spherical_harmonics(d, SH)[:, None]).sum(-1)
        return torch.sigmoid(color), values[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return self._values(params, x, 1)[:, 0]
