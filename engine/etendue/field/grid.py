"""A dense grid of log density and spherical harmonics (Fridovich-Keil et al. 2022, Plenoxels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.field.base import Params, corners, mix, spherical_harmonics

SH = 3  # bands of the colour: 9 coefficients per channel
CHANNELS = 1 + 3 * SH * SH


@dataclass(frozen=True)
class Grid:
    """`size` points per axis; it has no features, so distillation begins with densities."""

    kind: ClassVar[str] = "grid"
    has_features: ClassVar[bool] = False
    rate: ClassVar[float] = 5e-2

    size: int = 64

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters: thin grey fog."""
        values = 0.01 * torch.randn(self.size**3, CHANNELS, generator=generator)
        return {"values": values}

    def features(self, params: Params, x: Tensor) -> Tensor:
        """There are none."""
        raise InputError("grid", "has no features")

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        values = mix(params["values"], *corners(x, self.size, (0, 1, 2)))
        waves = values[:, 1:].unflatten(-1, (3, SH * SH))
        color = (waves * spherical_harmonics(d, SH)[:, None]).sum(-1)
        return torch.sigmoid(color), values[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return mix(params["values"][:, :1], *corners(x, self.size, (0, 1, 2)))[:, 0]
