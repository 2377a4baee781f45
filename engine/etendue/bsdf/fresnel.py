"""Fresnel reflectance of smooth boundaries: exact for dielectrics, Schlick with F82 for metals."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

F82_COSINE = 1.0 / 7.0  # about 82 degrees, where the F82 parameter is measured


def fresnel_dielectric(cos_i: Any, eta: Any) -> tuple[Any, Any]:
    """Unpolarised reflectance F and cosine of the refracted direction, `eta` = n_t / n_i.

    r_s = (c_i - eta c_t) / (c_i + eta c_t),  r_p = (eta c_i - c_t) / (eta c_i + c_t),
    F = (r_s^2 + r_p^2) / 2, and F = 1 under total internal reflection.
    """
    sin2_t = (1.0 - cos_i * cos_i) / (eta * eta)
    total = sin2_t >= 1.0
    cos_t = dr.safe_sqrt(1.0 - sin2_t)
    r_s = (cos_i - eta * cos_t) / (cos_i + eta * cos_t)
    r_p = (eta * cos_i - cos_t) / (eta * cos_i + cos_t)
    reflectance = 0.5 * (r_s * r_s + r_p * r_p)
    return dr.select(total, 1.0, dr.minimum(reflectance, 1.0)), dr.select(total, 0.0, cos_t)


def fresnel_f82(cos_i: Any, f0: Any, f82: Any, f90: Any) -> Any:
    """Schlick's curve with a dip near 82 degrees.

    F = f0 + (f90 - f0)(1 - c)^5 - b c (1 - c)^6, where b makes F(c = 1/7) equal to f82 times the
    value without b. Kutz et al. 2021, "Novel aspects of the Adobe Standard Material"; differs in
    that f90 is free. Clamped to [0, 1].
    """
    rest = 1.0 - F82_COSINE
    scale = 1.0 / (F82_COSINE * rest**6)
    at_82 = f0 + (f90 - f0) * rest**5
    dip = at_82 * (1.0 - f82) * scale
    x = dr.clip(1.0 - cos_i, 0.0, 1.0)
    x2 = x * x
    x5 = x2 * x2 * x
    value = f0 + (f90 - f0) * x5 - dip * (cos_i * x5 * x)
    return dr.clip(mi.Color3f(value), 0.0, 1.0)
