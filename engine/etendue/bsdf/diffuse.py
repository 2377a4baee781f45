"""Energy-preserving Oren-Nayar reflection."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

C1 = 0.5 - 2.0 / (3.0 * dr.pi)
C2 = 2.0 / 3.0 - 28.0 / (15.0 * dr.pi)


def directional_albedo(mu: Any, roughness: Any) -> Any:
    """Albedo of the single-scattering term for a white surface, Portsmouth et al. 2024, Eq. (24).

    E = A (1 + r G / pi), A = 1 / (1 + C1 r), written without cancellation at grazing angles.
    """
    s = dr.safe_sqrt(1.0 - mu * mu)
    third = s * mu * (1.0 + s + s * s) / (1.0 + s)  # (s / mu)(1 - s^3)
    g = s * (dr.safe_acos(mu) - s * mu) + (2.0 / 3.0) * (third - s)
    return (1.0 + roughness * dr.inv_pi * g) / (1.0 + C1 * roughness)


def eon(w: Any, o: Any, albedo: Any, roughness: Any) -> Any:
    """f cos(o) of the EON model (single plus multiple scattering) for w.z, o.z > 0.

    f = rho/pi A (1 + r s/t) + rho_ms/pi (1 - E(w))(1 - E(o)) / (1 - <E>).
    Portsmouth, Kutz and Hill 2024, "EON: a practical energy-preserving rough diffuse BRDF".
    """
    mu_w, mu_o = dr.maximum(w.z, 1e-6), dr.maximum(o.z, 1e-6)
    s = dr.dot(w, o) - mu_w * mu_o
    s_over_t = dr.select(s > 0.0, s / dr.maximum(mu_w, mu_o), s)
    a = 1.0 / (1.0 + C1 * roughness)
    single = a * dr.maximum(1.0 + roughness * s_over_t, 0.0)
    mean = a * (1.0 + C2 * roughness)
    lost_w = dr.maximum(1.0 - directional_albedo(mu_w, roughness), 0.0)
    lost_o = dr.maximum(1.0 - directional_albedo(mu_o, roughness), 0.0)
    lost_mean = dr.maximum(1.0 - mean, 1e-7)
    rho = mi.Color3f(albedo)
    rho_ms = rho * rho * mean / (1.0 - rho * (1.0 - mean))
    value = rho * single + rho_ms * (lost_w * lost_o / lost_mean)
    ok = (w.z > 0.0) & (o.z > 0.0)
    return dr.select(ok, value * (dr.inv_pi * o.z), 0.0)


def lambert(w: Any, o: Any, albedo: Any) -> Any:
    """f cos(o) = rho / pi cos(o), `eon` with zero roughness."""
    return dr.select((w.z > 0.0) & (o.z > 0.0), mi.Color3f(albedo) * (dr.inv_pi * o.z), 0.0)
