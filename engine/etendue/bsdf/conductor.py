"""Rough conductor: GGX reflection with the F82 Fresnel curve."""

from __future__ import annotations

from typing import Any

import drjit as dr

from .fresnel import fresnel_f82
from .ggx import reflection, reflection_weight, sample_visible_normal


def conductor(
    w: Any,
    o: Any,
    ax: Any,
    ay: Any,
    f0: Any,
    f82: Any,
    f90: Any,
) -> tuple[Any, Any]:
    """f cos(o) and the density of `sample_conductor` at `o`."""
    lobe = reflection(w, o, ax, ay)
    return fresnel_f82(lobe.cos_m, f0, f82, f90) * lobe.value, lobe.pdf


def sample_conductor(
    w: Any, ax: Any, ay: Any, f0: Any, f82: Any, f90: Any, u1: Any, u2: Any
) -> tuple[Any, Any, Any]:
    """Direction, weight f cos / pdf, and pdf."""
    m = sample_visible_normal(w, ax, ay, u1, u2)
    cos_m = dr.maximum(dr.dot(w, m), 0.0)
    o = dr.normalize(2.0 * cos_m * m - w)
    weight = fresnel_f82(cos_m, f0, f82, f90) * reflection_weight(w, o, ax, ay)
    return o, weight, reflection(w, o, ax, ay).pdf
