"""A hash grid and a low-rank tensor added up: fine detail over a smooth, compact whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from etendue.field.base import Params, head
from etendue.field.hashgrid import HashGrid
from etendue.field.lowrank import VectorMatrix

HASH, LOW = "hash.", "low."  # before the names of the parts' parameters
T = TypeVar("T")


@dataclass(frozen=True)
class HashLowRank:
    """Log sigma and features are the sums of both parts'; the colour head is one."""

    kind: ClassVar[str] = "hashvm"
    has_features: ClassVar[bool] = True
    rate: ClassVar[float] = 1e-2
    taught_rate: ClassVar[float] = 1e-2

    levels: int = 4
    coarsest: int = 32
    finest: int = 128
    log2_table: int = 14
    channels: int = 2
    width: int = 32
    size: int = 32
    density_rank: int = 4
    color_rank: int = 8

    @property
    def parts(self) -> tuple[HashGrid, VectorMatrix]:
        """The two models."""
        return (
            HashGrid(self.levels, self.coarsest, self.finest, self.log2_table, self.channels,
                     self.width),
            VectorMatrix(self.size, self.density_rank, self.color_rank),
        )  # fmt: skip

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters."""
        params: Params = {}
        for prefix, part in zip((HASH, LOW), self.parts, strict=True):
            for name, value in part.init(generator).items():
                if not name.startswith("head."):
                    params[prefix + name] = value
                elif prefix == HASH:
                    params[name] = value
        return params

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16)."""
        fine, smooth = self.parts
        return fine.features(own(params, HASH), x) + smooth.features(own(params, LOW), x)

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        f = self.features(params, x)
        return head(params, f, d), f[:, 0]

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        fine, smooth = self.parts
        return fine.log_density(own(params, HASH), x) + smooth.log_density(own(params, LOW), x)


def own(params: Mapping[str, T], prefix: str) -> dict[str, T]:
    """The parameters of a part, under their own names."""
    return {n[len(prefix) :]: v for n, v in params.items() if n.startswith(prefix)}
