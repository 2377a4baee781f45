"""The readable reference: what it computes, its equation, its source, what differs from that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from etendue.plugins.slots import Tensor, to_numpy


@dataclass(frozen=True)
class Diffuse:
    """f = albedo / pi on both directions' side of the surface; the local normal is +z."""

    albedo: tuple[float, float, float] = (0.8, 0.5, 0.2)

    def eval(self, wi: Tensor, wo: Tensor) -> Tensor:
        """f |cos wo| (n, 3) for directions (n, 3); `wi` points to the viewer."""
        return self.pdf(wi, wo)[:, None] * np.asarray(self.albedo, np.float32)

    def pdf(self, wi: Tensor, wo: Tensor) -> Tensor:
        """cos wo / pi (n,)."""
        above = to_numpy(wi)[:, 2] > 0
        return np.where(above, np.maximum(to_numpy(wo)[:, 2], 0.0) / np.pi, 0.0).astype(np.float32)

    def sample(self, wi: Tensor, u1: Tensor, u2: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Directions (n, 3), density (n,) and weight (n, 3) from numbers u1 (n,) and u2 (n, 2)."""
        u = to_numpy(u2)
        r, phi = np.sqrt(u[:, 0]), 2 * np.pi * u[:, 1]
        z = np.sqrt(np.maximum(1.0 - u[:, 0], 0.0))
        wo = np.stack([r * np.cos(phi), r * np.sin(phi), z], 1).astype(np.float32)
        weight = np.broadcast_to(np.asarray(self.albedo, np.float32), wo.shape)
        return wo, self.pdf(wi, wo), np.ascontiguousarray(weight)


def build(seed: int) -> Diffuse:
    """The material; this one is the same for every `seed`."""
    return Diffuse()
