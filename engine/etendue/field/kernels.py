"""Fields in Dr.Jit kernels; oracle: the torch models of the same names.

Every class answers `log_density(x) -> Float` and `query(x, d) -> (rgb, log sigma)` at points of the
unit cube (three Floats). Networks stand in the integrator body, see `device.networks`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.device.networks import PACKET, networks
from etendue.field.base import HEAD_SH, harmonics
from etendue.field.composed import HASH, LOW, own
from etendue.field.file import Field
from etendue.field.grid import SH
from etendue.field.hashgrid import PRIMES

Point = tuple[Any, Any, Any]


class Table:
    """Rows of numbers in a buffer, of which weighted sums are asked."""

    def __init__(self, mi: Any, rows: np.ndarray) -> None:
        import drjit as dr

        self._mi, self.channels = mi, rows.shape[1]
        self._packet = self.channels if self.channels <= 2 else PACKET
        self._packets = -(-self.channels // self._packet)
        padded = np.zeros((len(rows), self._packets * self._packet), np.float32)
        padded[:, : self.channels] = rows
        self._buffer = mi.Float(padded.ravel())
        self._kind = sys.modules[mi.Float.__module__].ArrayXf
        dr.eval(self._buffer)

    def mix(self, indices: list[Any], weights: list[Any]) -> list[Any]:
        """Sums (channels) of the rows `indices` times `weights`."""
        import drjit as dr

        total: list[Any] = [0.0] * (self._packets * self._packet)
        for index, weight in zip(indices, weights, strict=True):
            for k in range(self._packets):
                at = index * self._packets + k
                shape = (self._packet, 1)
                row = dr.gather(self._kind, self._buffer, at, True, shape=shape)
                for c in range(self._packet):
                    n = k * self._packet + c
                    total[n] = dr.fma(weight, row[c], total[n])
        return total[: self.channels]


def corners(mi: Any, x: Point, size: int, axes: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Rows and weights of a multilinear lookup, as `base.corners`."""
    import drjit as dr

    rows: list[Any] = [mi.UInt(0)]
    weights: list[Any] = [mi.Float(1.0)]
    for axis in axes:
        place = dr.clip(x[axis], 0.0, 1.0) * (size - 1)
        low = dr.minimum(dr.floor(place), max(size - 2, 0))
        t, first = place - low, mi.UInt(low)
        ends = ((first, 1.0 - t), (dr.minimum(first + 1, size - 1), t))
        rows = [row * size + end for row in rows for end, _ in ends]
        weights = [weight * part for weight in weights for _, part in ends]
    return rows, weights


class _WithHead:
    """What is common to kinds with features and the colour head, which a part of a sum lacks."""

    def __init__(self, mi: Any, params: Mapping[str, np.ndarray], parts: tuple[str, ...]) -> None:
        names = [n for n in params if n.partition(".")[0] in (*parts, "head")]
        self._mi = mi
        self._networks = networks(mi, {n: params[n] for n in names}, exact=True)

    def features(self, x: Point) -> list[Any]:
        """Log sigma and 15 features."""
        raise NotImplementedError

    def log_density(self, x: Point) -> Any:
        """Log sigma."""
        return self.features(x)[0]

    def query(self, x: Point, d: Point) -> tuple[list[Any], Any]:
        """rgb and log sigma."""
        import drjit as dr

        found = self.features(x)
        out = self._networks.mlp([*harmonics(*d, HEAD_SH), *found[1:]], "head")
        return [dr.rcp(1.0 + dr.exp(-value)) for value in out], found[0]


class MlpKernel(_WithHead):
    """`mlp.Mlp`."""

    def __init__(self, mi: Any, model: Any, params: Mapping[str, np.ndarray]) -> None:
        super().__init__(mi, params, ("low", "high"))
        self._bands = model.bands

    def features(self, x: Point) -> list[Any]:
        """Log sigma and 15 features."""
        import drjit as dr

        y = [2.0 * v - 1.0 for v in x]
        scaled = [math.pi * 2.0**k * v for k in range(self._bands) for v in y]
        encoded = [*y, *map(dr.sin, scaled), *map(dr.cos, scaled)]
        low = [dr.maximum(v, 0.0) for v in self._networks.mlp(encoded, "low")]
        return self._networks.mlp([*low, *encoded], "high")


class HashKernel(_WithHead):
    """`hashgrid.HashGrid`."""

    def __init__(self, mi: Any, model: Any, params: Mapping[str, np.ndarray]) -> None:
        super().__init__(mi, params, ("net",))
        self._model = model
        self._table = Table(mi, params["table"])

    def features(self, x: Point) -> list[Any]:
        """Log sigma and 15 features."""
        inputs = []
        for level, size in enumerate(self._model.resolutions):
            inputs += self._table.mix(*self._lookup(x, level, size))
        return self._networks.mlp(inputs, "net")

    def _lookup(self, x: Point, level: int, size: int) -> tuple[list[Any], list[Any]]:
        import drjit as dr

        mi, rows = self._mi, 1 << self._model.log2_table
        dense = (size + 1) ** 3 <= rows
        steps = (1, size + 1, (size + 1) ** 2) if dense else PRIMES
        keys: list[Any] = [mi.UInt(0)]
        weights: list[Any] = [mi.Float(1.0)]
        for axis in (2, 1, 0):
            place = dr.clip(x[axis], 0.0, 1.0) * size
            first = dr.minimum(mi.UInt(place), size - 1)
            t = place - mi.Float(first)
            step = mi.UInt(steps[axis] & 0xFFFFFFFF)
            low = first * step
            ends = ((low, 1.0 - t), (low + step, t))
            keys = [key + e if dense else key ^ e for key in keys for e, _ in ends]
            weights = [weight * part for weight in weights for _, part in ends]
        return [(key & (rows - 1)) + level * rows for key in keys], weights


class LowRankKernel(_WithHead):
    """`lowrank.VectorMatrix` and `lowrank.Vectors`."""

    def __init__(self, mi: Any, model: Any, params: Mapping[str, np.ndarray]) -> None:
        super().__init__(mi, params, ("basis",))
        self._model = model
        names = [n for n in params if n.startswith(("density.", "color."))]
        self._tables = {n: Table(mi, params[n]) for n in names}

    def log_density(self, x: Point) -> Any:
        """Log sigma."""
        total: Any = 0.0
        for value in self._products("density", x):
            total = total + value
        return total

    def features(self, x: Point) -> list[Any]:
        """Log sigma and 15 features."""
        appearance = self._networks.linear(self._products("color", x), "basis")
        return [self.log_density(x), *appearance]

    def _products(self, name: str, x: Point) -> list[Any]:
        mi, size = self._mi, self._model.size
        factors = [
            [self._tables[f"{name}.{key}"].mix(*corners(mi, x, size, axes)) for key, axes in group]
            for group in self._model.groups
        ]
        found = []
        for group in factors:
            for values in zip(*group, strict=True):
                product = values[0]
                for value in values[1:]:
                    product = product * value
                found.append(product)
        return found


class SumKernel(_WithHead):
    """`composed.HashLowRank`."""

    def __init__(self, mi: Any, model: Any, params: Mapping[str, np.ndarray]) -> None:
        super().__init__(mi, params, ())
        fine, smooth = model.parts
        self._parts = (
            HashKernel(mi, fine, own(params, HASH)), LowRankKernel(mi, smooth, own(params, LOW))
        )  # fmt: skip

    def log_density(self, x: Point) -> Any:
        """Log sigma."""
        return self._parts[0].log_density(x) + self._parts[1].log_density(x)

    def features(self, x: Point) -> list[Any]:
        """Log sigma and 15 features."""
        fine, smooth = (part.features(x) for part in self._parts)
        return [a + b for a, b in zip(fine, smooth, strict=True)]


class GridKernel:
    """`grid.Grid`."""

    def __init__(self, mi: Any, model: Any, params: Mapping[str, np.ndarray]) -> None:
        self._mi, self._size = mi, model.size
        self._values = Table(mi, params["values"])
        self._thin = Table(mi, params["values"][:, :1])

    def log_density(self, x: Point) -> Any:
        """Log sigma."""
        return self._thin.mix(*corners(self._mi, x, self._size, (0, 1, 2)))[0]

    def query(self, x: Point, d: Point) -> tuple[list[Any], Any]:
        """rgb and log sigma."""
        import drjit as dr

        values = self._values.mix(*corners(self._mi, x, self._size, (0, 1, 2)))
        waves, rgb = harmonics(*d, SH), []
        for channel in range(3):
            own = values[1 + channel * SH * SH : 1 + (channel + 1) * SH * SH]
            total: Any = 0.0
            for value, wave in zip(own, waves, strict=True):
                total = dr.fma(value, wave, total)
            rgb.append(dr.rcp(1.0 + dr.exp(-total)))
        return rgb, values[0]


_KINDS: dict[str, Any] = {
    "mlp": MlpKernel,
    "hashgrid": HashKernel,
    "vm": LowRankKernel,
    "cp": LowRankKernel,
    "hashvm": SumKernel,
    "grid": GridKernel,
}


def kernel(mi: Any, field: Field) -> Any:
    """The kernel of a field."""
    if field.model.kind not in _KINDS:
        raise InputError(field.name, "has no kernel", got=field.model.kind)
    params = {n: v.detach().numpy() for n, v in field.params.items()}
    return _KINDS[field.model.kind](mi, field.model, params)
