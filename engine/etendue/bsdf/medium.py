"""Henyey-Greenstein scattering for the media between interfaces."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi


def henyey_greenstein(cos_theta: Any, g: Any) -> Any:
    """p = (1 - g^2) / (4 pi (1 + g^2 - 2 g cos)^(3/2)), cos between old and new travel direction.

    Henyey and Greenstein 1941.
    """
    e = dr.maximum(1.0 + g * g - 2.0 * g * cos_theta, 1e-8)
    return (0.25 * dr.inv_pi) * (1.0 - g * g) / (e * dr.sqrt(e))


def sample_henyey_greenstein(d: Any, g: Any, u1: Any, u2: Any) -> Any:
    """A new travel direction around `d` with density `henyey_greenstein`."""
    small = dr.abs(g) < 1e-3
    safe_g = dr.select(small, 1.0, g)
    q = (1.0 - g * g) / (1.0 + g * (2.0 * u1 - 1.0))
    cos_theta = dr.select(small, 2.0 * u1 - 1.0, (1.0 + g * g - q * q) / (2.0 * safe_g))
    cos_theta = dr.clip(cos_theta, -1.0, 1.0)
    sin_theta = dr.safe_sqrt(1.0 - cos_theta * cos_theta)
    s, c = dr.sincos(dr.two_pi * u2)
    return mi.Frame3f(d).to_world(mi.Vector3f(sin_theta * c, sin_theta * s, cos_theta))
