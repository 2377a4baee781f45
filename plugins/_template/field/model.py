"""The readable reference: what it computes, its equation, its source, what differs from that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.plugins.slots import Tensor, to_numpy


@dataclass(frozen=True)
class Ball:
    """A soft ball in the unit cube whose colour is the direction it is seen along."""

    center: tuple[float, float, float] = (0.5, 0.5, 0.5)
    radius: float = 0.3
    density: float = 20.0  # per length, inside

    def query(self, x: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """Radiance (n, 3) and density (n,) at `x` (n, 3) seen along unit `d` (n, 3)."""
        offset = to_numpy(x) - np.asarray(self.center, np.float32)
        distance = np.linalg.norm(offset, axis=1)
        sigma = self.density / (1.0 + np.exp(np.minimum(60 * (distance - self.radius), 80.0)))
        return (0.5 + 0.5 * to_numpy(d)).astype(np.float32), sigma.astype(np.float32)


def build(seed: int) -> Ball:
    """The field; this one is the same for every `seed`."""
    return Ball()
