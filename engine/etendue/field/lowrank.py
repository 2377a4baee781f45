"""Low-rank tensors: vectors and matrices, or vectors alone (Chen et al. 2022, TensoRF)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from etendue.field.base import FEATURES, Params, corners, head, init_head, mix

_PLANES = ((0, 1), (0, 2), (1, 2))  # each goes with the axis it lacks
_LINES = (2, 1, 0)


@dataclass(frozen=True)
class _LowRank:
    """The common part: components of density and of appearance, and the colour head."""

    has_features: ClassVar[bool] = True
    rate: ClassVar[float] = 2e-2
    taught_rate: ClassVar[float] = 2e-2

    size: int = 64  # points per axis
    density_rank: int = 8
    color_rank: int = 16

    def init(self, generator: torch.Generator) -> Params:
        """Fresh parameters."""
        params: Params = {}
        for name, rank in (("density", self.density_rank), ("color", self.color_rank)):
            for key, rows in self._tables():
                table = torch.randn(rows, rank, generator=generator)
                params[f"{name}.{key}"] = self._spread(key) * table
        columns = self._components(self.color_rank)
        basis = torch.randn(FEATURES - 1, columns, generator=generator) / columns**0.5
        return params | {"basis": basis} | init_head(generator)

    def _tables(self) -> list[tuple[str, int]]:
        raise NotImplementedError

    def _components(self, rank: int) -> int:
        raise NotImplementedError

    def _spread(self, key: str) -> float:
        raise NotImplementedError

    def _products(self, params: Params, name: str, x: Tensor) -> Tensor:
        raise NotImplementedError

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16)."""
        appearance = self._products(params, "color", x) @ params["basis"].T
        return torch.cat([self.log_density(params, x)[:, None], appearance], -1)

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return self._products(params, "density", x).sum(-1)

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        f = self.features(params, x)
        return head(params, f, d), f[:, 0]


@dataclass(frozen=True)
class VectorMatrix(_LowRank):
    """Sums of a matrix over two axes times a vector over the third (Eq. 3)."""

    kind: ClassVar[str] = "vm"

    def _tables(self) -> list[tuple[str, int]]:
        rows = [(f"plane{k}", self.size**2) for k in range(3)]
        return rows + [(f"line{k}", self.size) for k in range(3)]

    def _components(self, rank: int) -> int:
        return 3 * rank

    def _spread(self, key: str) -> float:
        return 0.3

    def _products(self, params: Params, name: str, x: Tensor) -> Tensor:
        """(n, 3 rank) products of the interpolated matrices and vectors."""
        parts = []
        for k, (plane, line) in enumerate(zip(_PLANES, _LINES, strict=True)):
            a = mix(params[f"{name}.plane{k}"], *corners(x, self.size, plane))
            b = mix(params[f"{name}.line{k}"], *corners(x, self.size, (line,)))
            parts.append(a * b)
        return torch.cat(parts, -1)


@dataclass(frozen=True)
class Vectors(_LowRank):
    """CANDECOMP/PARAFAC: sums of products of one vector per axis (Eq. 1); small and smooth."""

    kind: ClassVar[str] = "cp"

    size: int = 128
    density_rank: int = 64
    color_rank: int = 96

    def _tables(self) -> list[tuple[str, int]]:
        return [(f"line{k}", self.size) for k in range(3)]

    def _components(self, rank: int) -> int:
        return rank

    def _spread(self, key: str) -> float:
        return 0.5

    def _products(self, params: Params, name: str, x: Tensor) -> Tensor:
        """(n, rank) products of the three interpolated vectors."""
        a, b, c = (mix(params[f"{name}.line{k}"], *corners(x, self.size, (k,))) for k in range(3))
        return a * b * c
