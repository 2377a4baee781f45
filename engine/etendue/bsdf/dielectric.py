"""Rough dielectric interface: reflection and refraction seen from either side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr

from .fresnel import fresnel_dielectric
from .ggx import (
    Lobe,
    masking,
    reflection,
    reflection_weight,
    refract,
    refraction,
    sample_visible_normal,
    sampled_refraction,
)

DELTA_ETA = 5e-3  # an interface whose index differs from 1 by less passes light straight through


@dataclass
class Crossing:
    """A drawn refraction `o` (below), its weight for a chosen refraction, and both densities."""

    o: Any
    weight: Any  # (1 - F) G1(o), or 1 through a matched interface
    transmitted: Any  # 1 - F at the facet
    pdf: Any
    reverse: Any


def is_delta(eta: Any) -> Any:
    """Whether the index is matched so closely that the interface has no lobes of its own."""
    return dr.abs(eta - 1.0) < DELTA_ETA


def cross(w: Any, ax: Any, ay: Any, eta: Any, u1: Any, u2: Any) -> Crossing:
    """Draw a refraction from `w` (z > 0) through the interface, reflection being excluded."""
    m = sample_visible_normal(w, ax, ay, u1, u2)
    cos_m = dr.maximum(dr.dot(w, m), 0.0)
    f, cos_t = fresnel_dielectric(cos_m, eta)
    o = refract(w, m, cos_m, cos_t, eta)
    lobe = sampled_refraction(w, o, m, cos_t, ax, ay, eta)
    ok = (w.z > 0.0) & (o.z < 0.0) & (cos_t > 0.0)
    delta = is_delta(eta)
    return Crossing(
        dr.select(delta, -w, o),
        dr.select(delta, 1.0, dr.select(ok, (1.0 - f) * masking(o, ax, ay), 0.0)),
        dr.select(delta, 1.0, 1.0 - f),
        dr.select(delta, 1.0, lobe.pdf),
        dr.select(delta, 1.0, lobe.reverse),
    )


def reflect_lobe(w: Any, o: Any, ax: Any, ay: Any, eta: Any) -> tuple[Any, Lobe]:
    """Fresnel reflectance at the half vector (0 for a matched interface) and the lobe."""
    lobe = reflection(w, o, ax, ay)
    f, _ = fresnel_dielectric(lobe.cos_m, eta)
    return dr.select(is_delta(eta), 0.0, f), lobe


def refract_lobe(w: Any, o: Any, ax: Any, ay: Any, eta: Any) -> tuple[Any, Lobe]:
    """Transmittance 1 - F at the half vector (0 for a matched interface) and the lobe."""
    lobe = refraction(w, o, ax, ay, eta)
    f, _ = fresnel_dielectric(dr.maximum(lobe.cos_m, 0.0), eta)
    return dr.select(is_delta(eta), 0.0, 1.0 - f), lobe


def mirror(w: Any, ax: Any, ay: Any, eta: Any, u1: Any, u2: Any) -> tuple[Any, Any, Any]:
    """Draw a reflection, transmission being excluded: direction, F, and G / G1(w)."""
    m = sample_visible_normal(w, ax, ay, u1, u2)
    cos_m = dr.maximum(dr.dot(w, m), 0.0)
    f, _ = fresnel_dielectric(cos_m, eta)
    o = dr.normalize(2.0 * cos_m * m - w)
    return o, dr.select(is_delta(eta), 0.0, f), reflection_weight(w, o, ax, ay)
