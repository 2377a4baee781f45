"""Slow readable twin of `neural_transmission`, one direction at a time in numpy.

Networks are evaluated by `neural_numpy`; the smooth stacks that carry delta directions are summed
here by following the light up and down until nothing is left, which is what `open_layers.mirrors`
has in closed form. Films are Airy's formula summed over the spectrum (`thin_film` has the series).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.bsdf import neural_numpy

Array = np.ndarray
WAVENUMBERS = np.linspace(0.8e6, 3.2e6, 600)  # 1 / m
BOUNCES = 200


@dataclass(frozen=True)
class Draw:
    """A drawn direction; for a delta `pdf` is 1."""

    wo: Array
    pdf: float
    weight: Array
    delta: bool
    eta: float


FAILED = Draw(np.array([0.0, 0.0, 1.0]), 0.0, np.zeros(3), False, 1.0)


def scaled_up(w: Array, factor: float) -> Array | None:
    """`hemispheres.scaled_up`, None where there is no such direction."""
    x, y = w[0] * factor, w[1] * factor
    z2 = 1.0 - x * x - y * y
    return np.array([x, y, math.sqrt(z2)]) if z2 > 0.0 else None


def chart_sines(through: bool, eta: float) -> tuple[float, float]:
    """`hemispheres.Chart.near` and `.far`."""
    if not through:
        return 1.0, 1.0
    return (1.0 / eta, 1.0) if eta > 1.0 else (1.0, eta)


def lookup(table: Array, cosine: float) -> Array:
    """Linear in a table (knots, 3) over the cosine from 0 to 1."""
    at = np.linspace(0.0, 1.0, len(table))
    return np.array([np.interp(cosine, at, table[:, c]) for c in range(3)])


def lobe_value(
    tensors: Mapping[str, Array], latent: Array, through: bool, eta: float, scale: Array,
    wi: Array, wo: Array,
) -> Array:  # fmt: skip
    """f |cos| of one lobe for true directions on its sides."""
    near, far = chart_sines(through, eta)
    a, b = scaled_up(wi, near), scaled_up(wo, far)
    if a is None or b is None:
        return np.zeros(3)
    value = neural_numpy.evaluate(latent, a, b, tensors) * scale
    return value * jacobian(far, wo) / (eta**2 if through else 1.0)


def jacobian(far: float, wo: Array) -> float:
    """`hemispheres.Chart.jacobian`."""
    b = scaled_up(wo, far)
    return 0.0 if b is None else far**2 * abs(wo[2]) / b[2]


def lobe_density(
    tensors: Mapping[str, Array], latent: Array, through: bool, eta: float, wi: Array, wo: Array
) -> float:
    """Density of drawing `wo` in this lobe."""
    near, far = chart_sines(through, eta)
    a, b = scaled_up(wi, near), scaled_up(wo, far)
    if a is None or b is None:
        return 0.0
    lobes = neural_numpy.lobes(latent, a, tensors)
    return float(neural_numpy.density(lobes, a, b)) * jacobian(far, wo)


def lobe_draw(
    tensors: Mapping[str, Array], latent: Array, through: bool, eta: float, wi: Array, u: Array
) -> Array | None:
    """A true direction on the lobe's side, None when there is none."""
    near, far = chart_sines(through, eta)
    a = scaled_up(wi, near)
    if a is None:
        return None
    b = neural_numpy.draw(neural_numpy.lobes(latent, a, tensors), a, u)
    if b[2] <= 0.0:
        return None
    w = scaled_up(b, 1.0 / far)
    return None if w is None else w * [1, 1, -1 if (wi[2] > 0) == through else 1]


# ---- smooth stacks


def interface(cosine: float, film: float, eta: float, thickness: float) -> Array:
    """RGB reflectance of one interface, with a film of `thickness` nm, met from above."""
    sine2 = 1.0 - cosine * cosine
    if sine2 >= eta * eta:
        return np.ones(3)
    inner = math.sqrt(1.0 - sine2 / (eta * eta))
    if thickness <= 0.0 or sine2 >= film * film:
        s = (cosine - eta * inner) / (cosine + eta * inner)
        p = (eta * cosine - inner) / (eta * cosine + inner)
        return np.full(3, 0.5 * (s * s + p * p))
    within = math.sqrt(1.0 - sine2 / (film * film))
    phase = np.exp(4j * np.pi * film * thickness * 1e-9 * within * WAVENUMBERS)
    total = np.zeros(len(WAVENUMBERS))
    for s in (True, False):
        a = _amplitude(1.0, cosine, film, within, s)
        b = _amplitude(film, within, eta, inner, s)
        total += 0.5 * np.abs((a + b * phase) / (1 + a * b * phase)) ** 2
    return np.clip(_rgb(total), 0.0, 1.0)


def _amplitude(n1: float, c1: float, n2: float, c2: float, s: bool) -> float:
    x, y = (n1 * c1, n2 * c2) if s else (n1 * c2, n2 * c1)
    return (x - y) / (x + y)


def _rgb(spectrum: Array) -> Array:
    # the constants of `thin_film`, which cannot be imported without Dr.Jit
    lobes = (
        ((5.4856e-13, 1.6810e6, 4.3278e9), (9.7470e-14, 2.2399e6, 4.5282e9)),
        ((4.4201e-13, 1.7953e6, 9.3046e9),),
        ((5.2481e-13, 2.2084e6, 6.6121e9),),
    )
    matrix = np.array(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.9692660, 1.8760108, 0.0415560],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    xyz = []
    for parts in lobes:
        match = sum(w * np.exp(-((WAVENUMBERS - c) ** 2) / (4 * h)) for w, c, h in parts)
        xyz.append((match * spectrum).sum() / np.sum(match))
    return (matrix / matrix.sum(1, keepdims=True)) @ np.array(xyz)


def mirrors(layers: list[Mapping[str, Any]], w: Array) -> tuple[Array, Array, float]:
    """RGB reflected and transmitted (basic radiance) and the index of the far side.

    `layers` hold numbers named like the fields of `Layer`; light bounces between the interfaces.
    """
    index = [1.0]
    for layer in layers:
        index.append(index[-1] * layer["eta"])
    sine2 = (1.0 - w[2] ** 2) * (index[-1] ** 2 if w[2] < 0 else 1.0)
    cosines = [math.sqrt(max(1.0 - sine2 / n**2, 0.0)) for n in index]
    closed = [sine2 >= n * n for n in index]
    r, t, slab = [], [], []
    for i, layer in enumerate(layers):
        film, thickness = layer["film_eta"], layer["film_thickness"]
        f = interface(cosines[i], film, layer["eta"], thickness)
        if closed[i] or closed[i + 1]:
            f = np.ones(3)
        r.append(np.array(layer["reflect_tint"]) * f)
        t.append(np.array(layer["transmit_tint"]) * (1.0 - f))
        slab.append(np.exp(-np.array(layer["tau_absorb"]) / max(cosines[i + 1], 1e-4)))
    count = len(layers)
    # energy travelling down and up in every medium; media 0 and `count` are outside
    down, up = np.zeros((count + 1, 3)), np.zeros((count + 1, 3))
    out = np.zeros((2, 3))
    (down if w[2] > 0 else up)[0 if w[2] > 0 else count] = 1.0
    for _ in range(BOUNCES):
        down_next, up_next = np.zeros_like(down), np.zeros_like(up)
        for i in range(count):
            up_next[i] += down[i] * r[i] + up[i + 1] * t[i]
            down_next[i + 1] += down[i] * t[i] + up[i + 1] * r[i]
        if not count:
            up_next[0], down_next[0] = up[0], down[0]
        out[0] += up_next[0]
        out[1] += down_next[count]
        up_next[0], down_next[count] = 0.0, 0.0
        for i in range(1, count):
            up_next[i] *= slab[i - 1]
            down_next[i] *= slab[i - 1]
        down, up = down_next, up_next
    far = index[-1] if w[2] > 0 else 1.0 / index[-1]
    back, on = (out[0], out[1]) if w[2] > 0 else (out[1], out[0])
    return back, on, far


def mirrored(w: Array, eta: float) -> tuple[Array, Array | None]:
    """Mirror image of `w`, and its refraction to the far side (None beyond the critical angle)."""
    bent = scaled_up(np.array([-w[0], -w[1], 0.0]), 1.0 / eta)
    if bent is not None:
        bent = bent * [1, 1, -1 if w[2] > 0 else 1]
    return np.array([-w[0], -w[1], w[2]]), bent


def values_at(layer: Any, texel: Callable[[Any], float]) -> dict[str, Any]:
    """A layer's fields as numbers; `texel` reads a number or a channel."""
    names = ("eta", "film_eta", "film_thickness")
    colors = ("reflect_tint", "transmit_tint", "tau_absorb")
    found: dict[str, Any] = {n: texel(getattr(layer, n)) for n in names}
    return found | {n: [texel(x) for x in getattr(layer, n)] for n in colors}
