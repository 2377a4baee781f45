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


def fresnel_dielectric(cosine: Array, eta: Array) -> Array:
    """Unpolarised reflectance entering a medium `eta` times denser (Fresnel), 1 beyond TIR."""
    sine2 = (1.0 - cosine**2) / eta**2
    inner = np.sqrt(np.maximum(1.0 - sine2, 0.0))
    s = (cosine - eta * inner) / (cosine + eta * inner)
    p = (eta * cosine - inner) / (eta * cosine + inner)
    return np.where(sine2 >= 1.0, 1.0, 0.5 * (s**2 + p**2))


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


def external_diffuse_reflectance(eta: Array) -> Array:
    """Mean Fresnel reflectance of diffuse light from outside, int_0^1 F(mu, eta) 2 mu dmu."""
    values, inverse = np.unique(eta, return_inverse=True)
    nodes, weights = np.polynomial.legendre.leggauss(48)
    t = 0.5 * (nodes + 1.0)  # mu = t^2 resolves the steep rise of F at grazing angles
    dense = np.maximum(values, 1.0 / np.maximum(values, 1e-6))
    table = fresnel_dielectric(t[None, :] ** 2, dense[:, None]) @ (2.0 * weights * t**3)
    # From the denser side: 1 - k(1/eta) = (1 - k(eta)) / eta^2 (reciprocity).
    table = np.where(values >= 1.0, table, 1.0 - (1.0 - table) / dense**2)
    return table[inverse].reshape(np.shape(eta))


def internal_diffuse_reflectance(eta: Array) -> Array:
    """Mean reflectance of diffuse light hitting the interface from below; 0.596 at eta 1.5."""
    return external_diffuse_reflectance(1.0 / eta)


def stacked_internal_reflectance(etas: tuple[Array, ...]) -> Array:
    """Diffuse light from below a pile of interfaces (top first) that comes back down.

    Adding two slabs: k = k_b + (1 - k_b)(1 - k'_b) k_a / (1 - k_a k'_b), with k' from outside;
    Kubelka 1948, "New contributions to the optics of intensely light-scattering materials".
    """
    above = np.zeros((1, 1, 1))
    for eta in etas:
        below, outside = internal_diffuse_reflectance(eta), external_diffuse_reflectance(eta)
        above = below + (1.0 - below) * (1.0 - outside) * above / (1.0 - above * outside)
    return above


def inner_albedo(observed: Array, k: Array) -> Array:
    """Albedo rho of a diffuse base seen as `observed` c through interfaces returning k.

    (1 - k) rho / (1 - k rho) = c  =>  rho = c / (1 - k + k c); Saunderson 1942.
    """
    c = np.clip(observed, 0.0, 1.0)
    return c / np.maximum(1.0 - k + k * c, 1e-9)
