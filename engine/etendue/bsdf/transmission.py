"""Materials that light passes through: open stacks beside opaque ones, over the whole sphere.

    f = sum over opaque stacks (`layered`) + sum over rough open stacks (`open_walk`)
      + delta directions of smooth open stacks (`open_layers.mirrors`).

Radiance: what crosses into a medium of relative index eta is divided by eta^2 (Veach 1997, section
5.2). The delta parts have no `eval` and no `pdf`; `sample` draws them with a probability of their
own and says so. Opaque stacks of a solid are seen from outside only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import drjit as dr
import mitsuba as mi

from ..scene.material import LayeredMaterial, Stack
from .base import BSDFSample, InlineBSDF, ShadingPoint
from .layered import Layered
from .layered_params import LayerValues, StackValues
from .open_layers import Mirrors, OpenFetch, OpenValues, check_open, is_smooth, mirrors
from .open_lobes import Interface, Pile
from .open_walk import open_values

SHARED = 0.1  # part of a smooth stack's draws that does not follow its reflectance
DARK = 0.02  # least energy that an opaque part is drawn with, per unit of its weight


@dataclass
class Part:
    """One alternative of `sample`: its probability and how it draws."""

    probability: Any
    kind: str  # "opaque", "rough" or "delta"
    lobes: Any = None  # of a rough stack
    direction: Any = None  # of a delta
    value: Any = None  # Color3f, delta coefficient for radiance
    eta: Any = None  # relative index crossed by a delta


class Transmissive:
    """`TransmittingBSDF` of a `LayeredMaterial`; `eval` averages `walks` independent walks."""

    transmits = True

    def __init__(self, material: LayeredMaterial, walks: int = 1) -> None:
        check_open(material)
        self.material, self.name, self.walks = material, material.name, walks
        self.two_sided = material.interior is None
        self.absorption = material.interior.absorption if material.interior else (0.0,) * 3
        self.fetch = OpenFetch(material)
        stacks = list(enumerate(material.stacks))
        opaque = tuple(s for _, s in stacks if not material.is_open(s))
        self.opaque = Layered(replace(material, stacks=opaque), walks) if opaque else None
        opened = [(i, s) for i, s in stacks if material.is_open(s)]
        self.smooth = [(i, s) for i, s in opened if is_smooth(material, s)]
        self.rough = [(i, s) for i, s in opened if not is_smooth(material, s)]

    @property
    def continuous(self) -> bool:
        """Whether there is anything beside delta directions."""
        return bool(self.rough) or self.opaque is not None

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """RGB value of f |cos theta_o| without the delta parts."""
        return self._estimate(p, [wo], rng, active)[0]

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density of `sample` without the delta parts (Float, 1/sr)."""
        return self._density(self._parts(p, active), p, wo, active)

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw a part, then its direction."""
        parts = self._parts(p, active)
        drawn = self._draw(parts, p, u, rng, active)
        return self._weighed(drawn, self._estimate(p, [drawn.wo], rng, active)[0])

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """All three, sharing lookups and walks."""
        parts = self._parts(p, active)
        drawn = self._draw(parts, p, u, rng, active)
        value, other = self._estimate(p, [wo, drawn.wo], rng, active)
        return value, self._density(parts, p, wo, active), self._weighed(drawn, other)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Approximate share of light that is not absorbed at the surface."""
        total = mi.Color3f(0.0)
        if self.opaque is not None:
            total += self.opaque.albedo(p, active)
        layers, stacks = self.fetch.around(p.uv, p.footprint, p.wi, active)
        for i, stack in (*self.smooth, *self.rough):
            seen = self._mirrors(layers, stack, p.wi)
            total += stacks[i].weight * (seen.reflected + seen.transmitted)
        return dr.select(active, dr.clip(total, 0.0, 1.0), 0.0)

    # ---- values

    def _estimate(self, p: ShadingPoint, wos: list[Any], rng: Any, active: Any) -> list[Any]:
        outs = [mi.Color3f(0.0) for _ in wos]
        if self.rough:
            outs = self._rough_values(p, wos, rng, active)
        if self.opaque is not None:
            above = active & (p.wi.z > 0.0)
            found = self.opaque._estimate(_above(p), wos, rng, above)
            outs = [a + b for a, b in zip(outs, found, strict=True)]
        return outs

    def _rough_values(self, p: ShadingPoint, wos: list[Any], rng: Any, active: Any) -> list[Any]:
        def once(rng: Any) -> list[Any]:
            layers, stacks = self._jittered(p, rng, active)
            totals = [mi.Color3f(0.0) for _ in wos]
            for i, stack in self.rough:
                own = _own(layers, stack)
                slabs = [self.material.layers[k].tau_scatter != 0.0 for k in stack.layers[:-2]]
                found = open_values(own, tuple(slabs), p.wi, wos, rng, active)
                eta = relative_index(own, p.wi)
                for n, (wo, value) in enumerate(zip(wos, found, strict=True)):
                    crossed = (wo.z > 0.0) != (p.wi.z > 0.0)
                    scale = stacks[i].weight * dr.select(crossed, dr.rcp(eta * eta), 1.0)
                    totals[n] += scale * value
            return totals

        needed = self.walks if any(len(s.layers) > 2 for _, s in self.rough) else 1
        if self.fetch.textured:
            needed = self.walks
        totals = repeated(once, needed, len(wos), dr.width(p.wi), rng)
        return [dr.select(active & (p.wi.z != 0.0), total, 0.0) for total in totals]

    def _jittered(
        self, p: ShadingPoint, rng: Any, active: Any
    ) -> tuple[list[LayerValues], list[StackValues]]:
        uv = p.uv
        if self.fetch.textured:
            jitter = mi.Point2f(rng.next_float32() - 0.5, rng.next_float32() - 0.5)
            uv = uv + p.footprint * jitter
        return self.fetch.at(uv, p.wi, active)

    def _mirrors(self, layers: list[LayerValues], stack: Stack, wi: Any) -> Mirrors:
        own = _own(layers, stack)
        return mirrors(own, own[0].to_local(wi) if own else mi.Vector3f(wi))

    # ---- sampling

    def _parts(self, p: ShadingPoint, active: Any) -> list[Part]:
        """What `sample` chooses from, with probabilities that sum to one."""
        layers, stacks = self.fetch.around(p.uv, p.footprint, p.wi, active)
        parts = []
        if self.opaque is not None:
            weight = mi.Float(0.0)
            for values, stack in zip(stacks, self.material.stacks, strict=True):
                if not self.material.is_open(stack):
                    weight += dr.mean(values.weight)
            energy = dr.mean(self.opaque.albedo(_above(p), active)) + DARK * weight
            parts.append(Part(dr.select(p.wi.z > 0.0, energy, 0.0), "opaque"))
        for i, stack in self.rough:
            own = _own(layers, stack)
            lobes = Interface(own[0]) if len(own) == 1 else Pile.of(own, p.wi)
            parts.append(Part(dr.mean(stacks[i].weight), "rough", lobes))
        for i, stack in self.smooth:
            parts += self._deltas(layers, stack, stacks[i].weight, p.wi)
        return normalised(parts)

    def _deltas(
        self, layers: list[LayerValues], stack: Stack, weight: Any, wi: Any
    ) -> tuple[Part, Part]:
        """Mirror image and the way through; probabilities are energies, slightly levelled."""
        own = _own(layers, stack)
        seen = self._mirrors(layers, stack, wi)
        r, t = weight * seen.reflected, weight * seen.transmitted
        first, second = seen.reflection, seen.refraction
        if own:
            first, second = own[0].to_shading(first), own[0].to_shading(second)
        up = wi.z > 0.0
        r = dr.select((first.z > 0.0) == up, r, 0.0)
        t = dr.select((second.z > 0.0) != up, t, 0.0)
        level = 0.5 * SHARED * (dr.mean(r) + dr.mean(t))
        chances = [
            dr.select(dr.max(x) > 0.0, (1.0 - SHARED) * dr.mean(x) + level, 0.0) for x in (r, t)
        ]
        one, scale = mi.Float(1.0), dr.rcp(dr.square(seen.eta))
        return (
            Part(chances[0], "delta", None, first, r, one),
            Part(chances[1], "delta", None, second, t * scale, seen.eta),
        )

    def _density(self, parts: list[Part], p: ShadingPoint, wo: Any, active: Any) -> Any:
        total = mi.Float(0.0)
        for part in parts:
            if part.kind == "rough":
                total += part.probability * part.lobes.pdf(p.wi, wo)
            elif part.kind == "opaque":
                above = active & (p.wi.z > 0.0)
                density = self.opaque.pdf(_above(p), wo, above)  # type: ignore[union-attr]
                total += dr.select(above, part.probability * density, 0.0)
        return dr.select(active & (p.wi.z != 0.0), total, 0.0)

    def _draw(
        self, parts: list[Part], p: ShadingPoint, u: Any, rng: Any, active: Any
    ) -> BSDFSample:
        """Direction and density; `weight` holds the finished weight of delta lanes only."""
        wo, weight = mi.Vector3f(0.0, 0.0, 1.0), mi.Color3f(0.0)
        delta, eta, before = mi.Bool(False), mi.Float(1.0), mi.Float(0.0)
        fresh = self._fresh(p, rng, active)
        for n, part in enumerate(parts):
            here = active & (u.x >= before) & (part.probability > 0.0)
            inner = dr.clip((u.x - before) / dr.maximum(part.probability, 1e-12), 0.0, ONE_BELOW)
            v = mi.Point3f(inner, u.y, u.z)
            before = before + part.probability
            if part.kind == "delta":
                found, value = part.direction, fresh[n] if fresh else part.value
                value = value / dr.maximum(part.probability, 1e-12)
                weight = dr.select(here, value, weight)
                eta = dr.select(here, part.eta, eta)
            else:
                if part.kind == "rough":
                    found = part.lobes.sample(p.wi, v)
                else:
                    assert self.opaque is not None
                    above = _above(p)
                    lobes = self.opaque._mixture(above, active)
                    found = self.opaque._draw(lobes, above, v, active)[0]
                eta = dr.select(here, 1.0, eta)
            wo = dr.select(here, found, wo)
            delta = dr.select(here, part.kind == "delta", delta)
        pdf = self._density(parts, p, wo, active & ~delta)
        pdf = dr.select(dr.squared_norm(wo) > 0.5, pdf, 0.0)
        if self.rough and not self.two_sided:
            crossed = ~delta & ((wo.z > 0.0) != (p.wi.z > 0.0))
            own = _own(self.fetch.around(p.uv, p.footprint, p.wi, active)[0], self.rough[0][1])
            eta = dr.select(crossed, relative_index(own, p.wi), eta)
        return BSDFSample(wo, pdf, weight, delta, eta)

    def _fresh(self, p: ShadingPoint, rng: Any, active: Any) -> dict[int, Any]:
        """Delta coefficients somewhere in the footprint, by part; none when nothing varies."""
        if not (self.smooth and self.fetch.textured):
            return {}
        layers, stacks = self._jittered(p, rng, active)
        n = len(self.rough) + (self.opaque is not None)
        found: dict[int, Any] = {}
        for i, stack in self.smooth:
            for part in self._deltas(layers, stack, stacks[i].weight, p.wi):
                found[n] = part.value
                n += 1
        return found

    def _weighed(self, drawn: BSDFSample, value: Any) -> BSDFSample:
        ok = drawn.pdf > 0.0
        weight = dr.select(ok, value / dr.select(ok, drawn.pdf, 1.0), 0.0)
        drawn.weight = dr.select(drawn.delta, drawn.weight, weight)
        drawn.pdf = dr.select(drawn.delta, 1.0, drawn.pdf)
        return drawn


ONE_BELOW = 1.0 - 2.0**-24


def reference(material: LayeredMaterial, walks: int = 1) -> InlineBSDF:
    """The layered reference of any material."""
    return Transmissive(material, walks) if material.transmits else Layered(material, walks)


def normalised(parts: list[Part]) -> list[Part]:
    """The parts with probabilities that sum to one."""
    total = mi.Float(1e-12)
    for part in parts:
        total += part.probability
    for part in parts:
        part.probability = part.probability / total
    return parts


def relative_index(layers: list[LayerValues], wi: Any) -> Any:
    """Index of the far side over the near side."""
    product = mi.Float(1.0)
    for v in layers:
        product = product * v.eta
    return dr.select(wi.z > 0.0, product, dr.rcp(product))


def repeated(
    once: Callable[[Any], list[Any]], count: int, values: int, width: int, rng: Any
) -> list[Any]:
    """Mean of `count` calls; advances `rng`."""
    if count == 1:
        return once(rng)

    def body(i: Any, totals: list[Any], rng: Any) -> tuple[Any, list[Any], Any]:
        return i + 1, [a + b for a, b in zip(totals, once(rng), strict=True)], rng

    start = [dr.zeros(mi.Color3f, width) for _ in range(values)]
    _, totals, after = dr.while_loop(
        (mi.UInt(0), start, mi.PCG32(rng)), lambda i, totals, rng: i < count, body
    )
    rng.state, rng.inc = after.state, after.inc
    return [total / count for total in totals]


def _own(layers: list[LayerValues], stack: Stack) -> list[LayerValues]:
    """The interfaces of a stack, all with film fields or none."""
    own = [layers[k] for k in stack.layers[:-1]]
    if any(v.film_thickness is not None for v in own):  # type: ignore[attr-defined]
        own = [
            v
            if v.film_thickness is not None  # type: ignore[attr-defined]
            else OpenValues(**{**vars(v), "film_eta": mi.Float(1.0), "film_thickness": mi.Float(0)})
            for v in own
        ]
    return own


def _above(p: ShadingPoint) -> ShadingPoint:
    """`p` seen from outside, whichever side it is seen from."""
    return ShadingPoint(p.uv, mi.Vector3f(p.wi.x, p.wi.y, dr.abs(p.wi.z)), p.footprint)
