"""Low-rank tensors: vectors and matrices, or vectors alone (Chen et al. 2022, TensoRF)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

import torch
from torch import Tensor

from etendue.field.base import FEATURES, Params, corners, head, init_head, mix

Group = tuple[tuple[str, tuple[int, ...]], ...]  # tables and their axes, multiplied together


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

    @property
    def groups(self) -> tuple[Group, ...]:
        """What is multiplied to components; the groups' components stand side by side."""
        raise NotImplementedError

    def _products(self, params: Params, name: str, x: Tensor) -> Tensor:
        """(n, components) products of interpolated tables."""
        parts = []
        for group in self.groups:
            factors = (mix(params[f"{name}.{table}"], *corners(x, self.size, axes))
                       for table, axes in group)  # fmt: skip
            parts.append(reduce(torch.mul, factors))
        return torch.cat(parts, -1)

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

    @property
    def groups(self) -> tuple[Group, ...]:
        """A matrix over two axes with a vector over the third, three times."""
        planes, lines = ((0, 1), (0, 2), (1, 2)), (2, 1, 0)
        return tuple(
            ((f"plane{k}", plane), (f"line{k}", (line,)))
            for k, (plane, line) in enumerate(zip(planes, lines, strict=True))
        )


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

    @property
    def groups(self) -> tuple[Group, ...]:
        """A vector over each axis."""
        return (tuple((f"line{k}", (k,)) for k in range(3)),)
