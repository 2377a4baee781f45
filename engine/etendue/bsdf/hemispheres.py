"""A material over the sphere, seen as several ordinary materials over pairs of hemispheres.

A neural material knows directions above the surface only. What a transmitting one does is cut into
reflection and transmission, seen from above and, for solids, from below; each `Lobe` is a function
of two directions of the upper hemisphere, a chart of the true ones:

* Reflection: both directions mirrored to the upper side.
* Transmission: both directions as they run in the denser medium, that is, the one in the rarer
  medium is refracted by the smooth boundary first. What passes straight through then is mirrored at
  the normal, as in a reflection, and every direction of the denser side has its place.

With E the index of the far side over that of the near side, and b the chart's wo,

    g(a, b) = f_radiance |cos theta_o| E^2 |d wo / d b|,

so that the chart's integral is the share of basic radiance that takes this way (<= 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from .base import BSDFSample, ShadingPoint
from .transmission import Transmissive, normalised
from .transmission_artifact import Lobe

EDGE = 0.999  # the chart's rim, as a part of the sine of the critical angle
FALL = 8.0  # decay of the continuation beyond the rim


def scaled_up(w: Any, factor: Any) -> Any:
    """The direction above the surface with `factor` times the tangential part of `w`."""
    x, y = w.x * factor, w.y * factor
    return mi.Vector3f(x, y, dr.safe_sqrt(1.0 - x * x - y * y))


@dataclass(frozen=True)
class Chart:
    """Between true directions and a lobe's; `eta` = E, the far side's index over the near's."""

    lobe: Lobe
    eta: float

    @property
    def near(self) -> float:
        """Sine in the chart over the sine of `wi`."""
        return 1.0 / self.eta if self.lobe.through and self.eta > 1.0 else 1.0

    @property
    def far(self) -> float:
        """Sine in the chart over the sine of `wo`."""
        return self.eta if self.lobe.through and self.eta < 1.0 else 1.0

    def wi(self, w: Any) -> Any:
        """True `wi` to the chart."""
        return scaled_up(w, self.near)

    def wo(self, w: Any) -> Any:
        """True `wo` to the chart."""
        return scaled_up(w, self.far)

    def true_wi(self, a: Any) -> Any:
        """Chart to the true `wi`."""
        return _placed(scaled_up(a, 1.0 / self.near), self.lobe.above)

    def true_wo(self, b: Any) -> tuple[Any, Any]:
        """Chart to the true `wo`, and whether there is one."""
        x, y = b.x / self.far, b.y / self.far
        z2 = 1.0 - x * x - y * y
        w = mi.Vector3f(x, y, dr.safe_sqrt(z2))
        return _placed(w, self.lobe.above != self.lobe.through), z2 > 0.0

    def jacobian(self, wo: Any) -> Any:
        """d b / d wo: density of wo = density of b times this."""
        if self.far == 1.0:
            return mi.Float(1.0)
        return self.far**2 * dr.abs(wo.z) / dr.maximum(self.wo(wo).z, 1e-6)


def _placed(w: Any, above: bool) -> Any:
    return w if above else mi.Vector3f(w.x, w.y, -w.z)


class HemisphereView:
    """`InlineBSDF` in a lobe's chart, of a layered reference; what a bake learns from."""

    def __init__(self, reference: Transmissive, lobe: Lobe, eta: float) -> None:
        self.reference, self.chart = reference, Chart(lobe, eta)
        self.name = f"{reference.name}.{lobe.name}"

    def view(self, wi: Any) -> Any:
        """A uniform direction to one of the chart's `wi`, uniform in truth."""
        return self.chart.wi(wi)

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """g at chart directions; beyond the rim a continuation that falls off."""
        chart, true = self.chart, self._true(p)
        sine = dr.sqrt(wo.x * wo.x + wo.y * wo.y)
        rim = EDGE * chart.far
        over = dr.maximum(sine - rim, 0.0) if chart.far < 1.0 else mi.Float(0.0)
        inside = scaled_up(wo, dr.select(over > 0.0, rim / dr.maximum(sine, 1e-6), 1.0))
        direction, _ = chart.true_wo(inside)
        value = self.reference.eval(true, direction, rng, active)
        crossed = chart.eta**2 if chart.lobe.through else 1.0
        return value * (crossed * dr.exp(-FALL * over) / chart.jacobian(direction))

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density of `sample` in the chart."""
        direction, ok = self.chart.true_wo(wo)
        true = self._true(p)
        density = self.reference._density(self._parts(true, active), true, direction, active)
        density = density / dr.maximum(self.chart.jacobian(direction), 1e-9)
        return dr.select(ok & (dr.abs(direction.z) > 1e-6), density, 0.0)

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw in the chart; without weight, which the bake does not ask for."""
        true = self._true(p)
        drawn = self.reference._draw(self._parts(true, active), true, u, rng, active)
        lobe = self.chart.lobe
        ok = (drawn.pdf > 0.0) & ((drawn.wo.z > 0.0) == (lobe.above != lobe.through))
        wo = self.chart.wo(drawn.wo)
        pdf = drawn.pdf / dr.maximum(self.chart.jacobian(drawn.wo), 1e-9)
        return BSDFSample(wo, dr.select(ok, pdf, 0.0), mi.Color3f(0.0))

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """The three calls."""
        value, pdf = self.eval(p, wo, rng, active), self.pdf(p, wo, active)
        return value, pdf, self.sample(p, u, rng, active)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Of the whole material."""
        return self.reference.albedo(self._true(p), active)

    def _true(self, p: ShadingPoint) -> ShadingPoint:
        return ShadingPoint(p.uv, self.chart.true_wi(p.wi), p.footprint)

    def _parts(self, p: ShadingPoint, active: Any) -> list[Any]:
        """The reference's alternatives on this side alone."""
        lobe, kept = self.chart.lobe, []
        for part in self.reference._parts(p, active):
            if part.kind == "rough":
                part.lobes = part.lobes.only(lobe.through)
            if part.kind == "rough" or (part.kind == "opaque" and not lobe.through):
                kept.append(part)
        return normalised(kept)
