"""Reflectance of a thin dielectric film between two dielectrics, as RGB.

Airy's formula for real amplitudes a (above / film) and b (film / below), per polarisation,

    1 - R = K (1 + 2 sum_m q^m cos(m phi)),  K = (1 - a^2)(1 - b^2) / (1 - a^2 b^2),  q = -a b,

with phi = 2 pi D / lambda and D = 2 n d cos theta in the film. The eye's response to cos(m phi) has
a closed form for Gaussian matching functions (Belcour and Barla 2017, section 3, with their fits).
Differs from theirs in that the series is written for the transmittance, whose terms vanish at
grazing angles, and in the target space, linear sRGB with an equal-energy white.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from .fresnel import fresnel_dielectric

ORDERS = 12
# matching functions over 1 / lambda (1/m): weight sqrt(2 var), centre, half the variance
LOBES = (
    ((5.4856e-13, 1.6810e6, 4.3278e9), (9.7470e-14, 2.2399e6, 4.5282e9)),
    ((4.4201e-13, 1.7953e6, 9.3046e9),),
    ((5.2481e-13, 2.2084e6, 6.6121e9),),
)
# XYZ to linear sRGB (IEC 61966-2-1), rows scaled so that (1, 1, 1) is white
TO_RGB = tuple(
    tuple(x / sum(row) for x in row)
    for row in (
        (3.2404542, -1.5371385, -0.4985314),
        (-0.9692660, 1.8760108, 0.0415560),
        (0.0556434, -0.2040259, 1.0572252),
    )
)


def film_reflectance(cos_i: Any, eta_film: Any, eta: Any, thickness: Any) -> Any:
    """Unpolarised reflectance (Color3f) seen from above at `cos_i`.

    `eta_film` and `eta` are the indices of the film and below, relative to above; `thickness` is
    in nanometres. Without a film, and where light cannot enter it, Fresnel's value.
    """
    sin2 = 1.0 - cos_i * cos_i
    bare, cos_t = fresnel_dielectric(cos_i, eta)
    inside = sin2 < eta_film * eta_film
    cos_f = dr.safe_sqrt(1.0 - sin2 / (eta_film * eta_film))
    one = mi.Float(1.0)
    upper, lower = (
        _amplitudes(one, cos_i, eta_film, cos_f),
        _amplitudes(eta_film, cos_f, eta, cos_t),
    )
    terms = []
    for a, b in zip(upper, lower, strict=True):
        a2, b2 = a * a, b * b
        terms.append((0.5 * (1.0 - a2) * (1.0 - b2) / dr.maximum(1.0 - a2 * b2, 1e-9), -a * b))
    path = 2e-9 * eta_film * thickness * cos_f
    through = mi.Color3f(terms[0][0] + terms[1][0])
    powers = [k for k, _ in terms]
    for m in range(1, ORDERS + 1):
        powers = [power * q for power, (_, q) in zip(powers, terms, strict=True)]
        through += 2.0 * (powers[0] + powers[1]) * response(m * path)
    film = dr.clip(1.0 - through, 0.0, 1.0)
    film = dr.select(inside & (thickness > 0.0), film, bare)
    return dr.select(cos_t > 0.0, film, 1.0)


def response(path: Any) -> Any:
    """RGB seen of cos(2 pi path / lambda) in equal-energy light; 1 for path 0 (metres)."""
    phase = dr.two_pi * path
    xyz = []
    for lobes in LOBES:
        total, whole = mi.Float(0.0), 0.0
        for weight, centre, spread in lobes:
            area = weight * spread**0.5
            total += area * dr.cos(centre * phase) * dr.exp(-spread * phase * phase)
            whole += area
        xyz.append(total / whole)
    return mi.Color3f(*(sum(w * x for w, x in zip(row, xyz, strict=True)) for row in TO_RGB))


def _amplitudes(n1: Any, c1: Any, n2: Any, c2: Any) -> tuple[Any, Any]:
    """Fresnel's reflection coefficients, s and p (p with the sign that agrees at the normal)."""
    s = (n1 * c1 - n2 * c2) / dr.maximum(n1 * c1 + n2 * c2, 1e-9)
    p = (n1 * c2 - n2 * c1) / dr.maximum(n1 * c2 + n2 * c1, 1e-9)
    return s, p
