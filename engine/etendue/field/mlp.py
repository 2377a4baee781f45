"""NeRF: a network of sines and cosines of the position (Mildenhall et al. 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from etendue.field.base import FEATURES, Params, head, init_head, init_layers, layers


@dataclass(frozen=True)
class Mlp:
    """`depth` layers of `width`; the encoded position enters again half way."""

    kind: ClassVar[str] = "mlp"
    has_features: ClassVar[bool] = True
    rate: ClassVar[float] = 4e-3
    taught_rate: ClassVar[float] = 1.2e-2

    width: int = 128
    depth: int = 4
    bands: int = 8  # frequencies pi 2^k of the encoding

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters."""
        inputs, half = 3 + 6 * self.bands, self.depth // 2
        params = init_layers("low", (inputs, *(self.width,) * half), generator)
        rest = (self.width,) * (self.depth - half)
        params |= init_layers("high", (self.width + inputs, *rest, FEATURES), generator)
        return params | init_head(generator)

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16)."""
        e = encode(x, self.bands)
        low = torch.relu(layers(e, params, "low"))
        return layers(torch.cat([low, e], -1), params, "high")

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        f = self.features(params, x)
        return head(params, f, d), f[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return self.features(params, x)[:, 0]


def encode(x: Tensor, bands: int) -> Tensor:
    """(n, 3 + 6 bands): the point about the cube's centre, sines and cosines (Eq. 4)."""
    y = 2 * x - 1
    scaled = (math.pi * y[:, None] * 2.0 ** torch.arange(bands, dtype=x.dtype)[:, None]).flatten(1)
    return torch.cat([y, scaled.sin(), scaled.cos()], -1)
