"""Fields with a box cut out, or nothing but a box kept: teachers of what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.field.base import LOG_SIGMA, Model, Params
from etendue.field.file import Field

EMPTY = LOG_SIGMA[0] - 8.0  # log sigma of what is taken away
HOW = ("cut", "keep")


@dataclass(frozen=True)
class Edited:
    """A `Model` that is empty inside a box of the cube, or outside of it."""

    kind: ClassVar[str] = "edited"
    rate: ClassVar[float] = 0.0  # nothing teaches it
    taught_rate: ClassVar[float] = 0.0

    model: Model
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    keeps: bool

    @property
    def has_features(self) -> bool:  # type: ignore[override]
        """Those of the model."""
        return self.model.has_features

    def init(self, generator: torch.Generator) -> Params:
        """Parameters of the model."""
        return self.model.init(generator)

    def gone(self, x: Tensor) -> Tensor:
        """Whether points (n, 3) are taken away."""
        inside = ((x >= torch.tensor(self.low)) & (x < torch.tensor(self.high))).all(-1)
        return inside != self.keeps

    def log_density(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma (n,)."""
        return torch.where(self.gone(x), EMPTY, self.model.log_density(params, x))

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Log sigma and features (n, 16)."""
        found = self.model.features(params, x)
        first = torch.where(self.gone(x), EMPTY, found[:, 0])
        return torch.cat([first[:, None], found[:, 1:]], -1)

    def query(self, params: Params, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """rgb (n, 3) and log sigma (n,)."""
        rgb, log_sigma = self.model.query(params, x, d)
        return rgb, torch.where(self.gone(x), EMPTY, log_sigma)


def edited(field: Field, how: str, box: Sequence[float]) -> Field:
    """`field` without ("cut"), or with nothing but ("keep"), the box (x0, y0, z0, x1, y1, z1).

    The box is one of the world. `InputError` for one that is none, or that leaves nothing.
    """
    if field.occupancy.contracted:
        raise InputError("--edit", "does not know fields without bounds", got=field.name,
                         fix="Train one without --unbounded")  # fmt: skip
    low, high = np.asarray(box[:3], float), np.asarray(box[3:], float)
    if how not in HOW or len(box) != 6 or not (np.isfinite(box).all() and (low < high).all()):
        raise InputError("--edit", "is no change", got=f"{how}:{','.join(map(str, box))}",
                         expected="cut: or keep:X0,Y0,Z0,X1,Y1,Z1")  # fmt: skip
    a, b = ((p - np.array(field.cube.centre)) / field.cube.side + 0.5 for p in (low, high))
    model: Any = Edited(field.model, tuple(a.tolist()), tuple(b.tolist()), how == "keep")
    occupancy, n = field.occupancy, field.occupancy.cells
    axis = torch.arange(n) / n
    cells = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    low_, high_ = (torch.tensor(v.tolist()) for v in (a, b))
    if how == "keep":  # cells that lie outside, all of them
        empty = ((cells + 1 / n <= low_) | (cells >= high_)).any(-1)
    else:
        empty = ((cells >= low_) & (cells + 1 / n <= high_)).all(-1)
    left = replace(occupancy, sigma=torch.where(empty, 0.0, occupancy.sigma))
    if not left.mask.any():
        raise InputError("--edit", f"leaves nothing of {field.name}", got=how)
    return replace(field, model=model, occupancy=left)
