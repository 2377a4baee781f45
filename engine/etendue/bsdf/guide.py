"""Albedo guides: how far a material's quick guess is from its true directional albedo.

`InlineBSDF.albedo` of a layered material is arithmetic on layers; its shape over texels is right,
its level is not (rough interfaces lose light to masking, and what returns from below is trapped).
The ratio of truth to guess over the incidence, averaged over texels, corrects that.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from .base import InlineBSDF, ShadingPoint

KNOTS = 17  # of the table, over cos theta_i from 0 to 1
TEXELS = 256  # random places
WALKS = 32  # draws at each place and knot
LIMITS = (0.05, 2.0)  # of the ratio; a black material has none
_SEED = 11


def albedo_ratio(material: InlineBSDF) -> np.ndarray:
    """Table (KNOTS, 3) of E[weight] / E[albedo()], both over the same texels and incidences."""
    lane = dr.arange(mi.UInt, KNOTS * TEXELS * WALKS)
    rng = mi.PCG32(initstate=mi.UInt64(mi.sample_tea_64(lane, mi.UInt(_SEED))))
    place = lane // WALKS
    knot = place // TEXELS
    cosine = dr.maximum(mi.Float(knot) / (KNOTS - 1), 0.02)
    # places and azimuths of the additive sequence R3 (Roberts 2018)
    u, v, phi = (_fraction(mi.Float(place % TEXELS), step) for step in _STEPS)
    sine, turn = dr.sqrt(1.0 - cosine * cosine), 2.0 * dr.pi * phi
    wi = mi.Vector3f(sine * dr.cos(turn), sine * dr.sin(turn), cosine)
    p = ShadingPoint(mi.Point2f(u, v), wi, dr.zeros(mi.Float, dr.width(lane)))
    draw = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
    on = mi.Bool(True)
    truth, guess = material.sample(p, draw, rng, on).weight, material.albedo(p, on)
    sums = [dr.block_sum(channel, TEXELS * WALKS) for channel in (*truth, *guess)]
    table = np.stack([s.numpy().astype(np.float64) for s in sums], -1)
    return np.clip(table[:, :3] / np.maximum(table[:, 3:], 1e-9), *LIMITS).astype(np.float32)


def corrected(albedo: Any, table: Any, cosine: Any) -> Any:
    """`albedo` times a table (KNOTS * 3 buffer) at `cosine`, at most 1."""
    at = dr.clip(cosine, 0.0, 1.0) * float(KNOTS - 1)
    knot = dr.minimum(mi.UInt(at), KNOTS - 2)
    low, high = (dr.gather(mi.Color3f, table, knot + k) for k in (0, 1))
    return dr.clip(albedo * dr.lerp(low, high, at - mi.Float(knot)), 0.0, 1.0)


def _fraction(number: Any, step: float) -> Any:
    x = (number + 0.5) * step
    return x - dr.floor(x)


_STEPS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
