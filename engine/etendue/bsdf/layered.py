"""Layered reference material: an unbiased position-free walk through rough interfaces and media."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drjit as dr
import mitsuba as mi

from ..scene.material import LayeredMaterial, LayerKind
from .base import BSDFSample, ShadingPoint
from .conductor import conductor
from .dielectric import reflect_lobe
from .diffuse import eon
from .layered_events import Ray, at_base, at_interface, at_top, in_medium
from .layered_params import LayerValues, ParameterFetch, StackValues, select_values
from .layered_sampling import Mixture, mixture
from .layered_walk import (
    MAX_EVENTS,
    ROULETTE_FREE,
    ROULETTE_GAIN,
    ROULETTE_MAX,
    Slots,
    enter,
    exit_chain,
)
from .sheen import Sheen


class Layered:
    """`InlineBSDF` of a `LayeredMaterial`; `eval` averages `walks` independent walks.

    f = sum_s weight_s (sheen_s + (1 - E_sheen) f_s), where the reflection at the top interface of
    f_s is evaluated in closed form and everything below it by a random walk (`layered_walk`).
    A positive footprint is filtered by jittering uv over its square, once per walk.
    """

    rough_albedo = True  # `albedo` has the right shape but not the right level: see `guide`

    def __init__(self, material: LayeredMaterial, walks: int = 1) -> None:
        self.material = material
        self.name = material.name
        self.walks = walks
        self.fetch = ParameterFetch(material)
        if material.transmits:
            raise ValueError(f"{material.name} transmits light: use transmission.reference")
        self.deep = [i for i, s in enumerate(material.stacks) if len(s.layers) > 1]
        has_sheen = any(c != 0.0 for s in material.stacks for c in s.sheen_color)
        self.sheen = Sheen() if has_sheen else None

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """RGB value of f |cos theta_o|; an unbiased estimate when a stack has an interface."""
        return self._estimate(p, [wo], rng, active)[0]

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density of `sample` (Float, 1/sr), deterministic."""
        return self._mixture(p, active).pdf(p.wi, wo)

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw from the lobe mixture of the footprint's mean parameters."""
        lobes = self._mixture(p, active)
        wo, pdf = self._draw(lobes, p, u, active)
        return _finish(wo, pdf, self._estimate(p, [wo], rng, active & (pdf > 0.0))[0])

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """All three; one walk serves both directions, so the two estimates are correlated."""
        lobes = self._mixture(p, active)
        drawn, pdf = self._draw(lobes, p, u, active)
        value, other = self._estimate(p, [wo, drawn], rng, active)
        return value, lobes.pdf(p.wi, wo), _finish(drawn, pdf, other)

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Approximate reflectance from interface reflectances and base colours."""
        return self._mixture(p, active).albedo

    def _mixture(self, p: ShadingPoint, active: Any) -> Mixture:
        layers, stacks = self.fetch.around(p.uv, p.footprint, p.wi, active)
        return mixture(self.material, layers, stacks, p.wi)

    def _draw(self, lobes: Mixture, p: ShadingPoint, u: Any, active: Any) -> tuple[Any, Any]:
        wo = lobes.sample(p.wi, u)
        return wo, dr.select(active & (p.wi.z > 0.0), lobes.pdf(p.wi, wo), 0.0)

    def _estimate(self, p: ShadingPoint, wos: list[Any], rng: Any, active: Any) -> list[Any]:
        """f cos for each of `wos`, averaged over `self.walks` walks."""

        def once(rng: Any) -> list[Any]:
            uv = p.uv
            if self.fetch.textured:
                jitter = mi.Point2f(rng.next_float32() - 0.5, rng.next_float32() - 0.5)
                uv = uv + p.footprint * jitter
            return self._one(*self.fetch.at(uv, p.wi, active), p.wi, wos, rng, active)

        if self.walks == 1:
            totals = once(rng)
        else:

            def body(i: Any, totals: list[Any], rng: Any) -> tuple[Any, list[Any], Any]:
                return i + 1, [a + b for a, b in zip(totals, once(rng), strict=True)], rng

            start = [dr.zeros(mi.Color3f, dr.width(wo)) for wo in wos]
            _, totals, after = dr.while_loop(
                (mi.UInt(0), start, mi.PCG32(rng)), lambda i, totals, rng: i < self.walks, body
            )
            _advance(rng, after)
            totals = [total / self.walks for total in totals]
        lit = active & (p.wi.z > 0.0)
        return [
            dr.select(lit & (wo.z > 0.0), total, 0.0) for wo, total in zip(wos, totals, strict=True)
        ]

    def _one(
        self,
        layers: list[LayerValues],
        stacks: list[StackValues],
        wi: Any,
        wos: list[Any],
        rng: Any,
        active: Any,
    ) -> list[Any]:
        outs, scales = [], []
        for wo in wos:
            tops: dict[int, Any] = {}
            total, scale = mi.Color3f(0.0), []
            for stack, v in zip(self.material.stacks, stacks, strict=True):
                k = stack.layers[0]
                if k not in tops:
                    tops[k] = top_value(self.material.layers[k].kind, layers[k], wi, wo)
                below, cloth = self._sheen(v, wi, wo)
                total += v.weight * (cloth + below * tops[k])
                scale.append(v.weight * below)
            outs.append(total)
            scales.append(scale)
        if self.deep:
            chosen, probability = choose([stacks[i] for i in self.deep], rng)
            slots = self._slots(layers, chosen)
            found = walk(slots, wi, wos, rng, active)
            for i, scale in enumerate(scales):
                weight = scale[self.deep[-1]]
                for n, s in enumerate(self.deep[:-1]):
                    weight = dr.select(chosen == n, scale[s], weight)
                outs[i] = outs[i] + found[i] * weight / probability
        return outs

    def _sheen(self, v: StackValues, wi: Any, wo: Any) -> tuple[Any, Any]:
        if self.sheen is None:
            return mi.Float(1.0), mi.Color3f(0.0)
        r = v.sheen_roughness
        mu = dr.minimum(wi.z, dr.maximum(wo.z, 0.0))
        e = dr.maximum(self.sheen.albedo(wi.z, r), self.sheen.albedo(mu, r))
        below = dr.maximum(1.0 - dr.max(v.sheen_color) * e, 0.0)
        return below, v.sheen_color * self.sheen.value(wi, wo, r)

    def _slots(self, layers: list[LayerValues], chosen: Any) -> Slots:
        """Arrange the layers of each lane's stack by position."""
        kinds = self.material.layers
        deep = [self.material.stacks[i].layers for i in self.deep]
        most = max(len(s) for s in deep) - 1

        def by_stack(values: list[Any], select: Callable[[Any, Any, Any], Any]) -> Any:
            out = values[-1]
            for n in reversed(range(len(values) - 1)):
                out = select(chosen == n, values[n], out) if values[n] is not out else out
            return out

        def flag(kind: LayerKind) -> Any:
            flags = [kinds[s[-1]].kind == kind for s in deep]
            if all(flags) or not any(flags):
                return flags[0]
            return by_stack([mi.Bool(x) for x in flags], dr.select)

        def counts() -> Any:
            numbers = [len(s) - 1 for s in deep]
            return by_stack([mi.Int(n) for n in numbers], dr.select)

        interfaces = [
            by_stack([layers[s[min(i, len(s) - 2)]] for s in deep], select_values)
            for i in range(most)
        ]
        return Slots(
            interfaces=interfaces,
            base=by_stack([layers[s[-1]] for s in deep], select_values),
            count=counts(),
            conductor=flag(LayerKind.CONDUCTOR),
            black=flag(LayerKind.BLACK),
            rough=any(kinds[s[-1]].roughness != 0.0 for s in deep),
            scattering=tuple(
                any(i < len(s) - 1 and kinds[s[i]].tau_scatter != 0.0 for s in deep)
                for i in range(most)
            ),
        )


def top_value(kind: LayerKind, v: LayerValues, wi: Any, wo: Any) -> Any:
    """Closed-form f cos of the first surface."""
    if kind == LayerKind.BLACK:
        return mi.Color3f(0.0)
    w, o = v.to_local(wi), v.to_local(wo)
    if kind == LayerKind.CONDUCTOR:
        return conductor(w, o, v.ax, v.ay, v.f0, v.f82, v.f90)[0]
    if kind == LayerKind.DIFFUSE:
        return eon(w, o, v.albedo, v.roughness)
    f, lobe = reflect_lobe(w, o, v.ax, v.ay, v.eta)
    return v.reflect_tint * (f * lobe.value)


def choose(stacks: list[StackValues], rng: Any) -> tuple[Any, Any]:
    """Draw one stack in proportion to its mean weight: index and probability."""
    if len(stacks) == 1:
        return mi.UInt(0), mi.Float(1.0)
    means = [dr.mean(v.weight) for v in stacks]
    total = means[0]
    for mean in means[1:]:
        total = total + mean
    u = rng.next_float32() * total
    index, probability, before = mi.UInt(0), means[0], means[0]
    for n, mean in enumerate(means[1:], 1):
        here = (u >= before) & (mean > 0.0)
        index = dr.select(here, n, index)
        probability = dr.select(here, mean, probability)
        before = before + mean
    return index, dr.maximum(probability / dr.maximum(total, 1e-20), 1e-20)


def walk(slots: Slots, wi: Any, wos: list[Any], rng: Any, active: Any) -> list[Any]:
    """One walk from `wi` below the top interface; unbiased f cos for each of `wos`."""
    chains = [exit_chain(slots, wo, rng) for wo in wos]
    d, beta = enter(slots, wi, rng)
    ray = Ray(
        d=d,
        k=mi.Int(1),
        depth=mi.Float(0.0),
        beta=mi.Color3f(beta),
        mq=mi.Float(0.0),
        active=mi.Bool(active) & (dr.max(beta) > 0.0),
        events=mi.UInt(0),
    )
    outs = [mi.Color3f(0.0) for _ in wos]
    simple = len(slots.interfaces) == 1

    def body(ray: Ray, outs: list[Any], rng: Any) -> tuple[Ray, list[Any], Any]:
        outs = list(outs)
        ray = Ray(**vars(ray))
        scattered = mi.Bool(False)
        if any(slots.scattering):
            scattered = in_medium(slots, ray, chains, outs, rng)
        down = ray.d.z < 0.0
        base = ray.active & ~scattered & down & (ray.k == slots.count)
        at_base(slots, ray, base, chains, outs, rng)
        free = ray.active & ~scattered
        if any(slots.scattering):
            free &= ~base
        interface = free & ((ray.d.z > 0.0) | (ray.k < slots.count))
        if simple:
            at_top(slots, ray, interface, wos, outs, rng)
        else:
            at_interface(slots, ray, interface, wos, chains, outs, rng)
        roulette(ray, rng)
        return ray, outs, rng

    _, outs, after = dr.while_loop(
        (ray, outs, mi.PCG32(rng)), lambda ray, outs, rng: ray.active, body
    )
    _advance(rng, after)
    return outs


def roulette(ray: Ray, rng: Any) -> None:
    """End weak walks without bias."""
    ray.events += 1
    most = dr.select(ray.events <= ROULETTE_FREE, 1.0, ROULETTE_MAX)
    survive = dr.clip(ROULETTE_GAIN * dr.max(ray.beta), 0.0, most)
    ray.active &= (rng.next_float32() < survive) & (ray.events < MAX_EVENTS)
    ray.beta = ray.beta / dr.maximum(survive, 1e-12)


def _advance(rng: Any, after: Any) -> None:
    rng.state, rng.inc = after.state, after.inc


def _finish(wo: Any, pdf: Any, value: Any) -> BSDFSample:
    ok = pdf > 0.0
    weight = dr.select(ok, value / dr.select(ok, pdf, 1.0), 0.0)
    return BSDFSample(wo=wo, pdf=pdf, weight=weight)
