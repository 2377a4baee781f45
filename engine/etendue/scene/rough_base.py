"""The diffuse base below dielectric interfaces: which albedo shows the colour that is meant.

Models give a colour as seen from outside, and inside the base is lit again by what the interfaces
send back. A smooth interface returns the share k of diffuse light from below, and the base shows
c = (1 - k) rho / (1 - k rho); Saunderson 1942. A GGX interface without multiple scattering
(`bsdf.layered`) also loses light at every crossing, more the rougher it is: white under alpha = 1
shows a third of the light. Here

    c = tau rho / (1 - k rho),   tau = (what gets in and is not lost) x (what gets out),

both for the interface as it is, with tau = 1 - k where it is smooth, so that the albedo seen at
45 degrees is R + (1 - R) c with R the interface's own reflection there. Where even rho = 1 is too
dark, a share of the surface is diffuse without the interface (`split_base`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

Array = np.ndarray
COSINE = 0.5**0.5  # incidence at which the colour is to be met
MATCHED = 5e-3  # |eta - 1| below which an interface passes light straight through
_ALPHA = np.array([0.0, 0.03, 0.06, 0.09, 0.16, 0.25, 0.36, 0.49, 0.64, 0.81, 1.0])
_ETA = np.array([1.0, 1.05, 1.1, 1.2, 1.33, 1.5, 1.75, 2.1, 3.0])
_ETA = np.concatenate([1.0 / _ETA[:0:-1], _ETA])
_POINTS = 4096  # of the quadrature for one entry
_BARE_MAX = 0.98  # albedo of bare diffuse, below one so that energy is never gained
_SHARE_FROM, _SHARE_TO = 0.05, 0.50  # alpha where bare diffuse may begin and may be everything
_SHARE_MIN = 0.02  # smaller shares of a texel are left out,
_SHARE_MEAN = 0.01  # and all of them where they are less of the whole surface


@dataclass(frozen=True, eq=False)
class Pile:
    """What the base under a pile of interfaces meets: c = through rho / (1 - returned rho)."""

    through: Array  # tau, (..., 1)
    returned: Array  # k, (..., 1)

    def shown(self, rho: Array) -> Array:
        """Colour c of a base of albedo `rho`."""
        return self.through * rho / np.maximum(1.0 - self.returned * rho, 1e-9)

    def albedo(self, color: Array) -> Array:
        """Albedo rho = c / (tau + k c) <= 1 that shows `color` c, as far as any does."""
        c = np.clip(color, 0.0, 1.0)
        return np.minimum(c / np.maximum(self.through + self.returned * c, 1e-9), 1.0)

    def blended(self, other: Pile, amount: Array) -> Pile:
        """This pile where `amount` is 0, the other one where it is 1."""
        return Pile(
            self.through + (other.through - self.through) * amount,
            self.returned + (other.returned - self.returned) * amount,
        )


@dataclass(frozen=True, eq=False)
class Base:
    """Albedos (..., 3) below and without the interface, and the share (..., 1) without it."""

    under: Array
    bare: Array
    share: Array


def pile(*interfaces: tuple[Array, Array]) -> Pile:
    """The pile of interfaces (alpha, eta), top first; alpha (..., 1 or 2), eta (..., 1).

    Adding slabs: k = k_b + u_b t_b k_a / (1 - k_a k'_b), u = u_b u_a / (1 - k_a k'_b), with k' from
    above and t, u transmitted down and up; Kubelka 1948, "New contributions to the optics of
    intensely light-scattering materials". What is lost on the way down multiplies.
    """
    kept, up, back = np.ones((1,)), np.ones((1,)), np.zeros((1,))
    for alpha, eta in interfaces:
        rough = _roughened(alpha, eta)
        below = np.clip(internal_diffuse_reflectance(eta) + rough[0], 0.0, 1.0)
        above = np.clip(external_diffuse_reflectance(eta) + rough[1], 0.0, 1.0)
        u, t = (1.0 - below) * (1.0 - rough[2]), (1.0 - above) * (1.0 - rough[3])
        again = 1.0 / (1.0 - back * above)
        kept, up, back = kept * (1.0 - rough[4]), up * u * again, below + u * t * back * again
    return Pile(kept * up, back)


def split_base(color: Array, whole: Pile, over: Pile, alpha: Array, eta: Array) -> Base:
    """The base that shows `color` through `whole`, whose lowest interface is (alpha, eta).

    `over` is the pile without that interface. rho is at most 1; where this is too dark and the
    interface is rough, part of the surface has no interface and makes up for the rest, a part that
    is limited to (alpha - 0.05) / 0.45. Beyond that (bright colours at alpha about 0.1 to 0.2) the
    base stays darker than asked for, never brighter.
    """
    color = np.clip(np.asarray(color, np.float64), 0.0, 1.0)
    alpha = mean_alpha(alpha)
    rho = whole.albedo(color)
    first = _at_cosine(alpha, eta)
    wanted = first + (1.0 - first) * color
    reached = first + (1.0 - first) * np.minimum(whole.shown(rho), color)
    missing = wanted - reached
    most = np.minimum(over.shown(np.array(_BARE_MAX)), _BARE_MAX)
    needed = (missing / np.maximum(most - reached, 1e-3)).max(-1, keepdims=True)
    allowed = np.clip((alpha - _SHARE_FROM) / (_SHARE_TO - _SHARE_FROM), 0.0, 1.0)
    share = np.clip(np.minimum(needed, allowed), 0.0, 1.0)
    share = np.where(share < _SHARE_MIN, 0.0, share)
    share = share if share.mean() >= _SHARE_MEAN else np.zeros_like(share)
    bare = np.minimum(reached + missing / np.maximum(share, _SHARE_MIN), most)
    bare = np.minimum(over.albedo(bare), _BARE_MAX)
    return Base(rho, np.where(share > 0.0, bare, 0.0), share)


def mean_alpha(alpha: Array) -> Array:
    """Geometric mean (..., 1) of the roughness along the two axes."""
    alpha = np.clip(np.asarray(alpha, np.float64), 0.0, 1.0)
    return alpha if alpha.shape[-1] == 1 else np.sqrt(alpha.prod(-1, keepdims=True))


def fresnel_dielectric(cosine: Array, eta: Array) -> Array:
    """Unpolarised reflectance entering a medium `eta` times denser (Fresnel), 1 beyond TIR."""
    sine2 = (1.0 - cosine**2) / eta**2
    inner = np.sqrt(np.maximum(1.0 - sine2, 0.0))
    s = (cosine - eta * inner) / (cosine + eta * inner)
    p = (eta * cosine - inner) / (eta * cosine + inner)
    return np.where(sine2 >= 1.0, 1.0, 0.5 * (s**2 + p**2))


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


def _roughened(alpha: Array, eta: Array) -> Array:
    """How roughness changes an interface, zero where it is smooth or matched; (6, ..., 1).

    Added to the diffuse reflectance from below and above, share lost of what passes up, down, and
    down from 45 degrees, added to the reflectance at 45 degrees. Linear in alpha and ln eta.
    """
    alpha, eta = np.broadcast_arrays(mean_alpha(alpha), np.asarray(eta, np.float64))
    i, x = _cell(_ALPHA, alpha)
    j, y = _cell(np.log(_ETA), np.log(np.maximum(eta, 1e-6)))
    table = _table()
    value = (1.0 - x) * ((1.0 - y) * table[:, i, j] + y * table[:, i, j + 1])
    value = value + x * ((1.0 - y) * table[:, i + 1, j] + y * table[:, i + 1, j + 1])
    return np.where(np.abs(eta - 1.0) < MATCHED, 0.0, value)


def _cell(nodes: Array, x: Array) -> tuple[Array, Array]:
    index = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
    return index, np.clip((x - nodes[index]) / (nodes[index + 1] - nodes[index]), 0.0, 1.0)


def _at_cosine(alpha: Array, eta: Array) -> Array:
    """Reflectance of the rough interface at 45 degrees."""
    return np.clip(fresnel_dielectric(np.array(COSINE), eta) + _roughened(alpha, eta)[5], 0.0, 1.0)


@cache
def _table() -> Array:
    """`_roughened` at the nodes (6, alpha, eta) by quasi-random quadrature (Roberts' sequence)."""
    steps = np.array([0.8191725133961645, 0.6710436067037893, 0.5497004779019703])
    u = (np.arange(_POINTS)[:, None] + 0.5) * steps % 1.0
    diffuse, slanted = np.sqrt(u[:, 2]), np.full(_POINTS, COSINE)
    table = np.zeros((6, len(_ALPHA), len(_ETA)))
    smooth = external_diffuse_reflectance(_ETA)
    for j, eta in enumerate(_ETA):
        for i, alpha in enumerate(_ALPHA[1:], 1):
            below, up = _scattered(diffuse, alpha, 1.0 / eta, u)
            above, down = _scattered(diffuse, alpha, eta, u)
            first, slanted_down = _scattered(slanted, alpha, eta, u)
            table[:, i, j] = (
                below - smooth[-1 - j], above - smooth[j],
                1.0 - up / (1.0 - below), 1.0 - down / (1.0 - above),
                1.0 - slanted_down / (1.0 - first), first - fresnel_dielectric(slanted[0], eta),
            )  # fmt: skip
    return table


def _scattered(cosine: Array, alpha: float, eta: float, u: Array) -> tuple[float, float]:
    """Mean reflectance and transmittance of a GGX interface for light from directions `cosine`.

    Visible normals m (Dupuy and Benyoub 2023), reflected with weight F G / G1(w) (height-correlated
    masking) and refracted with (1 - F) G1(o), as in `bsdf.dielectric`.
    """
    stretched = np.sqrt(alpha**2 * (1.0 - cosine**2) + cosine**2)  # s(w)
    wx, wz = alpha * np.sqrt(1.0 - cosine**2) / stretched, cosine / stretched
    z = (1.0 - u[:, 1]) * (1.0 + wz) - wz
    radius, angle = np.sqrt(np.maximum(1.0 - z**2, 0.0)), 2.0 * np.pi * u[:, 0]
    m = np.stack([radius * np.cos(angle) + wx, radius * np.sin(angle), z + wz], -1)
    m *= (alpha, alpha, 1.0)
    m /= np.sqrt((m**2).sum(-1, keepdims=True))
    cos_m = np.maximum(np.sqrt(1.0 - cosine**2) * m[:, 0] + cosine * m[:, 2], 0.0)
    fresnel = fresnel_dielectric(cos_m, np.array(eta))
    up = 2.0 * cos_m * m[:, 2] - cosine
    root = np.sqrt(np.maximum(1.0 - (1.0 - cos_m**2) / eta**2, 0.0))
    down = cosine / eta - m[:, 2] * (cos_m / eta - root)
    gather = np.maximum(stretched * up + _stretched(up, alpha) * cosine, 1e-20)
    reflected = fresnel * (cosine + stretched) * np.maximum(up, 0.0) / gather
    down = np.maximum(down, 0.0)
    passed = (1.0 - fresnel) * 2.0 * down / (down + _stretched(down, alpha))
    return float(reflected.mean()), float(passed.mean())


def _stretched(z: Array, alpha: float) -> Array:
    return np.sqrt(alpha**2 * np.maximum(1.0 - z**2, 0.0) + z**2)
