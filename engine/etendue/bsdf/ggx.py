"""GGX microfacets: distribution, visible-normal sampling, reflection and refraction kernels.

All directions are in the interface's own frame and `w.z > 0` is the side that light is traced from.
Shadowing-masking is height-correlated for reflection, 1 / (1 + L(w) + L(o)), and separable for
refraction, 1 / ((1 + L(w)) (1 + L(o))), where the two sides of the surface are independent
(Heitz 2014, "Understanding the masking-shadowing function in microfacet-based BRDFs").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi


def ndf(m: Any, ax: Any, ay: Any) -> Any:
    """D(m) = 1 / (pi ax ay (mx^2/ax^2 + my^2/ay^2 + mz^2)^2), for m.z > 0."""
    x, y = m.x / ax, m.y / ay
    e = x * x + y * y + m.z * m.z
    return dr.select(m.z > 0.0, dr.inv_pi / (ax * ay * e * e), 0.0)


def stretched_length(w: Any, ax: Any, ay: Any) -> Any:
    """s(w) = sqrt(ax^2 wx^2 + ay^2 wy^2 + wz^2), so that 1 + L(w) = (|wz| + s) / (2 |wz|)."""
    x, y = ax * w.x, ay * w.y
    return dr.sqrt(x * x + y * y + w.z * w.z)


def half_vector(h: Any) -> Any:
    """h / |h|, zero where the two directions cancel (seen straight through or at grazing)."""
    return h * dr.rsqrt(dr.maximum(dr.squared_norm(h), 1e-20))


def sample_visible_normal(w: Any, ax: Any, ay: Any, u1: Any, u2: Any) -> Any:
    """A microfacet normal with density D_w(m) = 2 max(0, w.m) D(m) / (wz + s(w)).

    Dupuy and Benyoub 2023, "Sampling visible GGX normals with spherical caps".
    """
    stretched = dr.normalize(mi.Vector3f(ax * w.x, ay * w.y, w.z))
    z = dr.fma(1.0 - u2, 1.0 + stretched.z, -stretched.z)
    r = dr.safe_sqrt(1.0 - z * z)
    s, c = dr.sincos(dr.two_pi * u1)
    h = mi.Vector3f(r * c, r * s, z) + stretched
    return dr.normalize(mi.Vector3f(ax * h.x, ay * h.y, dr.maximum(h.z, 1e-7)))


@dataclass
class Lobe:
    """Value and densities of one microfacet event from `w` towards `o`, without Fresnel factor."""

    cos_m: Any  # w . m > 0, where Fresnel is to be evaluated
    value: Any  # f |cos o| / Fresnel factor
    pdf: Any  # density of o given w when this event has been chosen
    reverse: Any  # density of w given o when this event has been chosen


def reflection(w: Any, o: Any, ax: Any, ay: Any) -> Lobe:
    """Reflection: value D G o.z / (4 w.z o.z) and pdf D / (2 (wz + s(w))).

    Walter et al. 2007, Eq. (20), with the sampling of Heitz 2018.
    """
    m = half_vector(w + o)
    d = ndf(m, ax, ay)
    s_w, s_o = stretched_length(w, ax, ay), stretched_length(o, ax, ay)
    ok = (w.z > 0.0) & (o.z > 0.0)
    value = d * o.z / (2.0 * dr.maximum(s_w * o.z + s_o * w.z, 1e-20))
    pdf = d / (2.0 * (w.z + s_w))
    reverse = d / (2.0 * (o.z + s_o))
    return Lobe(
        dr.dot(w, m), dr.select(ok, value, 0.0), dr.select(ok, pdf, 0.0), dr.select(ok, reverse, 0)
    )


def reflection_pdf(w: Any, o: Any, ax: Any, ay: Any) -> Any:
    """Density of reflecting `w` (above its horizon) into `o`, whichever side `o` is on."""
    m = half_vector(w + o)
    return ndf(m, ax, ay) / (2.0 * (w.z + stretched_length(w, ax, ay)))


def reflection_weight(w: Any, o: Any, ax: Any, ay: Any) -> Any:
    """value / pdf = G(w, o) / G1(w) after sampling the visible normals of `w`."""
    s_w, s_o = stretched_length(w, ax, ay), stretched_length(o, ax, ay)
    weight = (w.z + s_w) * o.z / dr.maximum(s_w * o.z + s_o * w.z, 1e-20)
    return dr.select(o.z > 0.0, weight, 0.0)


def masking(o: Any, ax: Any, ay: Any) -> Any:
    """G1(o) = 2 |lz| / (|lz| + s(o)); value / pdf of refraction into `o`."""
    z = dr.abs(o.z)
    return 2.0 * z / (z + stretched_length(o, ax, ay))


def refraction(w: Any, o: Any, ax: Any, ay: Any, eta: Any) -> Lobe:
    """Refraction of basic radiance, `eta` = n(o side) / n(w side), `o.z < 0`.

    pdf = D_w(m) eta^2 |o.m| / (w.m + eta o.m)^2,  value = G1(o) pdf.
    Walter et al. 2007, Eqs. (17, 21). Differs from Eq. (21) by the factor (n_o / n_w)^2, that is
    radiance is divided by the squared index, and the factor cancels for light that leaves the
    stack through the side it entered.
    """
    h = -(w + eta * o)
    h = half_vector(dr.select(h.z < 0.0, -h, h))
    cos_w, cos_o = dr.dot(w, h), -dr.dot(o, h)
    ok = (w.z > 0.0) & (o.z < 0.0) & (cos_w > 0.0) & (cos_o > 0.0)
    return _refraction(w, o, h, cos_w, cos_o, ax, ay, eta, ok)


def sampled_refraction(
    w: Any,
    o: Any,
    m: Any,
    cos_t: Any,
    ax: Any,
    ay: Any,
    eta: Any,
) -> Lobe:
    """`refraction` where the microfacet normal is known because `o` was drawn through it."""
    cos_w = dr.dot(w, m)
    return _refraction(w, o, m, cos_w, cos_t, ax, ay, eta, (cos_t > 0.0) & (o.z < 0.0))


def _refraction(
    w: Any,
    o: Any,
    m: Any,
    cos_w: Any,
    cos_o: Any,
    ax: Any,
    ay: Any,
    eta: Any,
    ok: Any,
) -> Lobe:
    s_w, s_o = stretched_length(w, ax, ay), stretched_length(o, ax, ay)
    root = cos_w - eta * cos_o
    common = 2.0 * ndf(m, ax, ay) * cos_w * cos_o / dr.maximum(root * root, 1e-20)
    pdf = dr.select(ok, common * eta * eta / (w.z + s_w), 0.0)
    reverse = dr.select(ok, common / (s_o - o.z), 0.0)
    value = pdf * 2.0 * dr.maximum(-o.z, 0.0) / (s_o - o.z)
    return Lobe(cos_w, value, pdf, reverse)


def refract(w: Any, m: Any, cos_m: Any, cos_t: Any, eta: Any) -> Any:
    """Direction refracted at a facet `m`, pointing away from the surface; `eta` = n_t / n_i."""
    return dr.normalize(m * (cos_m / eta - cos_t) - w / eta)
