"""Cloth sheen: Charlie distribution with its directional albedo tabulated at construction."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from .ggx import half_vector

ALPHA_MIN = 0.07
SIZE = 32  # table: roughness (rows) x cosine (columns), both from 0 to 1


class Sheen:
    """f = D / (4 (c_i + c_o - c_i c_o)) / max(1, max_mu E), D = (2 + 1/a) sin(t)^(1/a) / (2 pi).

    Estevez and Kulla 2017, "Production friendly microfacet sheen BRDF", with the visibility term of
    Neubelt and Pettineo 2013. Differs by the last factor, which keeps the albedo below one.
    """

    def __init__(self) -> None:
        table = albedo_table()
        self.scale = mi.Float((1.0 / np.maximum(table.max(axis=1), 1.0)).astype(np.float32))
        table = table / np.maximum(table.max(axis=1, keepdims=True), 1.0)
        self.table = mi.Float(table.astype(np.float32).reshape(-1))

    def value(self, w: Any, o: Any, roughness: Any) -> Any:
        """f cos(o)."""
        m = half_vector(w + o)
        inverse = 1.0 / dr.maximum(roughness, ALPHA_MIN)
        sin2 = dr.maximum(1.0 - m.z * m.z, 1e-8)
        d = (2.0 + inverse) * dr.power(sin2, 0.5 * inverse) * (0.5 * dr.inv_pi)
        ci, co = dr.maximum(w.z, 0.0), dr.maximum(o.z, 0.0)
        value = d * co / dr.maximum(4.0 * (ci + co - ci * co), 1e-6)
        row, t = _cell(roughness)
        scale = dr.lerp(
            dr.gather(mi.Float, self.scale, row), dr.gather(mi.Float, self.scale, row + 1), t
        )
        return dr.select((w.z > 0.0) & (o.z > 0.0), value * scale, 0.0)

    def albedo(self, mu: Any, roughness: Any) -> Any:
        """Directional albedo E(mu), bilinear in the table."""
        row, t = _cell(roughness)
        column, s = _cell(mu)
        index = row * SIZE + column
        top = dr.lerp(self._at(index), self._at(index + 1), s)
        bottom = dr.lerp(self._at(index + SIZE), self._at(index + SIZE + 1), s)
        return dr.lerp(top, bottom, t)

    def _at(self, index: Any) -> Any:
        return dr.gather(mi.Float, self.table, index)


def _cell(x: Any) -> tuple[Any, Any]:
    position = dr.clip(x, 0.0, 1.0) * (SIZE - 1)
    cell = dr.minimum(mi.UInt(position), SIZE - 2)
    return cell, position - mi.Float(cell)


def albedo_table(cosines: int = 64, azimuths: int = 64) -> np.ndarray:
    """E[roughness, cosine] by Gauss-Legendre in cos(theta) and midpoint in azimuth."""
    node, weight = np.polynomial.legendre.leggauss(cosines)
    co, weight = (0.5 * (node + 1))[:, None], (0.5 * weight)[:, None]
    phi = (np.arange(azimuths) + 0.5)[None, :] * (np.pi / azimuths)
    so = np.sqrt(1 - co**2)
    alpha = np.maximum(np.linspace(0, 1, SIZE), ALPHA_MIN)
    out = np.empty((SIZE, SIZE))
    for k, ci in enumerate(np.maximum(np.linspace(0, 1, SIZE), 1e-3)):
        si = np.sqrt(1 - ci**2)
        cos_half = (ci + co) / np.sqrt(np.maximum(2 + 2 * (ci * co + si * so * np.cos(phi)), 1e-12))
        log_sin2 = np.log(np.maximum(1 - cos_half**2, 1e-12))
        base = weight * co / (4 * (ci + co - ci * co)) * (2 * np.pi / azimuths)
        for row, a in enumerate(alpha):
            d = (2 + 1 / a) * np.exp(log_sin2 * (0.5 / a)) / (2 * np.pi)
            out[row, k] = np.sum(base * d)
    return out
