"""Importance sampling of rough open stacks over the whole sphere, with exact densities.

One interface is sampled as it is: a visible normal, then reflection or refraction in proportion to
what each returns. Several interfaces get a mixture: the facing interface's reflection, a wider one
for what lies below, a lobe around the straight way through, and a little of both hemispheres.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from ..scene.material import ALPHA_MIN
from .fresnel import fresnel_dielectric
from .ggx import reflection, reflection_pdf, refract, refraction, sample_visible_normal
from .layered_params import LayerValues, select_values
from .layered_walk import flip
from .open_layers import fresnel, mirrors

COSINE = 0.05  # share of the uniform-ish lobe of each side, and what fog adds to it
COSINE_FOG = 0.15
THIN = 0.05  # |eta - 1| below which light passes nearly straight


@dataclass
class Interface:
    """Lobes of one rough interface."""

    v: LayerValues
    back: float | None = None  # chance of reflection, None = in proportion to what returns

    def only(self, through: bool) -> Interface:
        """Refraction alone, or reflection alone."""
        return Interface(self.v, 0.0 if through else 1.0)

    def chance(self, f: Any) -> Any:
        """Chance of reflection at facets of reflectance `f`."""
        return _share(self.v, f) if self.back is None else mi.Float(self.back)

    def pdf(self, wi: Any, wo: Any) -> Any:
        """Density of `sample` at `wo`."""
        v, up = self.v, wi.z < 0.0
        w, o = _sided(v, wi, up), _sided(v, wo, up)
        r = reflection(w, o, v.ax, v.ay)
        t = refraction(w, o, v.ax, v.ay, dr.select(up, 1.0 / v.eta, v.eta))
        back = o.z > 0.0
        cos_m = dr.clip(dr.select(back, r.cos_m, t.cos_m), 0.0, 1.0)
        chance = self.chance(fresnel(v, cos_m, up)[0])
        return dr.select(back, chance * r.pdf, (1.0 - chance) * t.pdf)

    def sample(self, wi: Any, u: Any) -> Any:
        """A direction, which may be lost (density 0)."""
        v, up = self.v, wi.z < 0.0
        w = _sided(v, wi, up)
        m = sample_visible_normal(w, v.ax, v.ay, u.y, u.z)
        cos_m = dr.maximum(dr.dot(w, m), 0.0)
        f, cos_t = fresnel(v, cos_m, up)
        eta = dr.select(up, 1.0 / v.eta, v.eta)
        bent = refract(w, m, cos_m, cos_t, eta)
        back = u.x < self.chance(f)
        o = dr.select(back, dr.normalize(2.0 * cos_m * m - w), bent)
        # lost where the facet sends it to the wrong side or lets nothing through
        o = dr.select(((o.z > 0.0) == back) & (back | (cos_t > 0.0)), o, mi.Vector3f(0.0))
        return v.to_shading(dr.select(up, flip(o), o))


@dataclass
class Pile:
    """Lobes of several rough interfaces, seen from the facing one's frame."""

    facing: LayerValues
    eta: Any  # far side over near side
    wide: Any  # alpha of reflections below the facing interface
    through: Any  # alpha of the lobe straight through
    weights: tuple[Any, ...]  # facing, wide, through, cosine on the near and on the far side

    @classmethod
    def of(cls, layers: list[LayerValues], wi: Any) -> Pile:
        """Estimate where the energy goes."""
        up = wi.z < 0.0
        facing = select_values(up, layers[-1], layers[0])
        w = facing.to_local(wi)
        seen = mirrors(layers, w)
        product, spread, fog = mi.Float(1.0), mi.Float(0.0), mi.Float(0.0)
        for v in layers:
            step = (v.eta - 1.0) * product
            spread += 0.5 * step * step * (v.ax * v.ax + v.ay * v.ay)
            product = product * v.eta
        for v in layers[:-1]:
            fog += v.tau_scatter
        spread = dr.select(up, spread / (product * product), spread)
        bend = dr.square(seen.eta - 1.0)
        thin = dr.abs(seen.eta - 1.0) < THIN
        through = dr.sqrt(spread / dr.select(thin, 4.0, bend))
        far = select_values(up, layers[0], layers[-1])
        near = dr.select(up, 1.0 / facing.eta, facing.eta)
        wide = dr.sqrt(_mean_square(facing) + near * near * _mean_square(far))
        r, t = dr.mean(seen.reflected), dr.mean(seen.transmitted)
        first = dr.minimum(dr.mean(mi.Color3f(fresnel(facing, dr.abs(w.z), up)[0])), r)
        cosine = COSINE + COSINE_FOG * (1.0 - dr.exp(-fog))
        scale = (1.0 - 2.0 * cosine) / dr.maximum(r + t, 1e-6)
        third = t * scale
        second = 1.0 - 2.0 * cosine - third - first * scale
        weights = (first * scale, second, third, cosine, cosine)
        clip = (ALPHA_MIN, 1.0)
        return cls(facing, seen.eta, dr.clip(wide, *clip), dr.clip(through, *clip), weights)

    def only(self, through: bool) -> Pile:
        """The lobes of one side."""
        zero = mi.Float(0.0)
        a, b, c, near, far = self.weights
        kept = (zero, zero, c, zero, far) if through else (a, b, zero, near, zero)
        total = dr.maximum(sum(kept, zero), 1e-6)
        return replace(self, weights=tuple(x / total for x in kept))

    def pdf(self, wi: Any, wo: Any) -> Any:
        """Density of `sample` at `wo`."""
        v, up = self.facing, wi.z < 0.0
        w, o = _sided(v, wi, up), _sided(v, wo, up)
        ok = w.z > 0.0
        first = reflection_pdf(w, o, v.ax, v.ay)
        wide = reflection_pdf(w, o, self.wide, self.wide)
        straight = reflection_pdf(w, flip(o), self.through, self.through)
        bent = refraction(w, o, self.through, self.through, self.eta).pdf
        through = dr.select(dr.abs(self.eta - 1.0) < THIN, straight, bent)
        a, b, c, near, far = self.weights
        total = dr.select(ok, a * first + b * wide + c * through, 0.0)
        cosine = dr.select((wo.z > 0.0) == (wi.z > 0.0), near, far)
        return total + cosine * dr.inv_pi * dr.abs(wo.z)

    def sample(self, wi: Any, u: Any) -> Any:
        """A direction, which may be lost (density 0)."""
        v, up = self.facing, wi.z < 0.0
        w = _sided(v, wi, up)
        a, b, c, near, _ = self.weights
        first, wide, through = u.x < a, u.x < a + b, u.x < a + b + c
        ax = dr.select(first, v.ax, dr.select(wide, self.wide, self.through))
        ay = dr.select(first, v.ay, dr.select(wide, self.wide, self.through))
        m = sample_visible_normal(w, ax, ay, u.y, u.z)
        cos_m = dr.maximum(dr.dot(w, m), 0.0)
        mirrored = dr.normalize(2.0 * cos_m * m - w)
        cos_t = fresnel_dielectric(cos_m, self.eta)[1]
        bent = refract(w, m, cos_m, cos_t, self.eta)
        bent = dr.select(cos_t > 0.0, bent, mi.Vector3f(0.0))
        straight = dr.abs(self.eta - 1.0) < THIN
        o = dr.select(wide, mirrored, dr.select(straight, flip(mirrored), bent))
        lobe = v.to_shading(dr.select(up, flip(o), o))
        around = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u.y, u.z))
        around = dr.select((u.x < a + b + c + near) != up, around, flip(around))
        return dr.select(through & (w.z > 0.0), lobe, dr.select(through, mi.Vector3f(0.0), around))


def _mean_square(v: LayerValues) -> Any:
    return 0.5 * (v.ax * v.ax + v.ay * v.ay)


def _sided(v: LayerValues, w: Any, up: Any) -> Any:
    """In the layer's frame, turned so that the viewer's side is above."""
    w = v.to_local(w)
    return dr.select(up, flip(w), w)


def _share(v: LayerValues, f: Any) -> Any:
    """Chance of reflection: its part of what both events return."""
    back = dr.mean(mi.Color3f(v.reflect_tint * f))
    through = dr.mean(mi.Color3f(v.transmit_tint * (1.0 - f)))
    return dr.select(back + through > 0.0, back / dr.maximum(back + through, 1e-12), 1.0)
