"""Fresnel arithmetic used when material parameters become layers."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
F0_MAX = 0.99


def f0_of_eta(eta: Array) -> Array:
    """Normal reflectance ((eta - 1)/(eta + 1))^2."""
    return ((eta - 1.0) / (eta + 1.0)) ** 2


def eta_of_f0(f0: Array) -> Array:
    """Index (1 + sqrt f0)/(1 - sqrt f0) >= 1 with normal reflectance `f0`, at most 0.99."""
    root = np.sqrt(np.clip(f0, 0.0, F0_MAX))
    return (1.0 + root) / (1.0 - root)


def fresnel_conductor(cosine: Array, n: Array, k: Array) -> Array:
    """Unpolarised reflectance of index n + i k from air (Born & Wolf 1999, section 14.2)."""
    cosine2, sine2 = cosine**2, 1.0 - cosine**2
    t0 = n**2 - k**2 - sine2
    a2b2 = np.sqrt(t0**2 + 4.0 * n**2 * k**2)
    a = np.sqrt(np.maximum(0.5 * (a2b2 + t0), 0.0))
    rs = (a2b2 + cosine2 - 2.0 * a * cosine) / (a2b2 + cosine2 + 2.0 * a * cosine)
    t3, t4 = cosine2 * a2b2 + sine2**2, 2.0 * a * cosine * sine2
    return 0.5 * rs * (1.0 + (t3 - t4) / (t3 + t4))


def conductor_tints(n: Array, k: Array) -> tuple[Array, Array]:
    """f0 and f82 of a complex index: F(1), and F(1/7) over Schlick's value there.

    Kutz et al. 2021, "Novel aspects of the Adobe Standard Material", section 2.
    """
    f0 = fresnel_conductor(np.ones(()), n, k)
    schlick = f0 + (1.0 - f0) * (6.0 / 7.0) ** 5
    return f0, np.clip(fresnel_conductor(np.full((), 1.0 / 7.0), n, k) / schlick, 0.0, 1.0)
