"""Importance sampling of layered materials: GGX lobes of interfaces and metals, a cosine lobe.

Lobes below rough interfaces are seen through refraction. For a chain of indices with product
eta and slopes of variance alpha^2, a facet below looks eta times as steep, and entering and leaving
through an interface of roughness alpha_c adds (eta_c - 1)^2 alpha_c^2 / 2 to the variance of the
half vector's slope (small-angle linearisation of refraction). The lobes only steer sampling; the
density of the mixture is exact whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from ..scene.material import LayeredMaterial, LayerKind
from .fresnel import fresnel_dielectric, fresnel_f82
from .ggx import reflection_pdf, sample_visible_normal
from .layered_params import LayerValues, StackValues, frame_of, visible_slopes

DEFENSIVE = 0.2  # least share of the cosine lobe
# mean path through an absorbing medium, in units of its depth, down to a base and back
GLOSSY_PATH = 2.2
MATTE_PATH = 2.5


@dataclass
class GgxLobe:
    """A reflection lobe in its own frame."""

    weight: Any
    slopes: Any  # None in the shading frame
    tangent: Any
    ax: Any
    ay: Any

    def frame(self) -> Any:
        """Layer frame, None in the shading frame."""
        return None if self.slopes is None else frame_of(self.slopes, self.tangent)


@dataclass
class Mixture:
    """Lobes with weights that sum, with `cosine`, to one, and the approximate albedo."""

    lobes: list[GgxLobe]
    cosine: Any
    albedo: Any

    def pdf(self, wi: Any, wo: Any) -> Any:
        """Density of `sample` at `wo`, zero below the horizon."""
        total = self.cosine * dr.inv_pi * wo.z
        for lobe in self.lobes:
            frame = lobe.frame()
            w = wi if frame is None else frame.to_local(wi)
            o = wo if frame is None else frame.to_local(wo)
            total = total + lobe.weight * reflection_pdf(w, o, lobe.ax, lobe.ay)
        return dr.select(wo.z > 0.0, total, 0.0)

    def sample(self, wi: Any, u: Any) -> Any:
        """A direction, which may be below the horizon (then it is lost)."""
        wo = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u.y, u.z))
        if not self.lobes:
            return wo
        before = self.cosine
        chosen = self.lobes[0]
        ax, ay, w, frame = chosen.ax, chosen.ay, None, None
        flat = all(lobe.slopes is None for lobe in self.lobes)
        if not flat:
            frame = full_frame(chosen)
        for lobe in self.lobes[1:]:
            before = before + chosen.weight
            here = u.x >= before
            ax, ay = dr.select(here, lobe.ax, ax), dr.select(here, lobe.ay, ay)
            if frame is not None:
                frame = dr.select(here, full_frame(lobe), frame)
            chosen = lobe
        w = wi if frame is None else frame.to_local(wi)
        m = sample_visible_normal(w, ax, ay, u.y, u.z)
        o = dr.normalize(2.0 * dr.dot(w, m) * m - w)
        o = o if frame is None else frame.to_world(o)
        return dr.select(u.x < self.cosine, wo, o)


def full_frame(lobe: GgxLobe) -> Any:
    """`lobe.frame()`, spelled out also for the shading frame."""
    zero, one = mi.Float(0.0), mi.Float(1.0)
    if lobe.slopes is None:
        return frame_of((zero, zero), (one, zero))
    return frame_of(lobe.slopes, lobe.tangent)


def mixture(
    material: LayeredMaterial, layers: list[LayerValues], stacks: list[StackValues], wi: Any
) -> Mixture:
    """Estimate where the energy goes and build the lobes."""
    lobes: dict[tuple[int, tuple[int, ...]], GgxLobe] = {}
    matte, albedo = mi.Float(0.0), mi.Color3f(0.0)
    for stack, values in zip(material.stacks, stacks, strict=True):
        energy = mi.Color3f(values.weight)
        albedo += energy * values.sheen_color * 0.3
        matte += dr.mean(energy * values.sheen_color) * 0.3
        eta, variance, tau = mi.Float(1.0), mi.Float(0.0), mi.Color3f(0.0)
        for position, k in enumerate(stack.layers):
            layer, v = material.layers[k], layers[k]
            if layer.kind == LayerKind.BLACK:
                break
            if layer.kind == LayerKind.DIFFUSE:
                out = energy * trapped(v.albedo * dr.exp(-MATTE_PATH * tau), eta)
                matte += dr.mean(out)
                albedo += out
                break
            lobe, cos = seen_through(v, eta, variance, wi)
            f = reflectance(layer.kind, v, cos) * dr.exp(-GLOSSY_PATH * tau)
            lobe.weight = dr.mean(energy * f)
            albedo += energy * f
            key = (k, stack.layers[:position])
            if key in lobes:
                lobes[key].weight += lobe.weight
            else:
                lobes[key] = lobe
            if layer.kind != LayerKind.DIELECTRIC:
                break
            energy = energy * (1.0 - f) * (1.0 - f) * v.transmit_tint * v.transmit_tint
            fog = 1.0 - dr.exp(-2.0 * v.tau_scatter)
            out = energy * (0.35 * fog)
            matte += dr.mean(out)
            albedo += out
            energy = energy * (1.0 - 0.5 * fog)
            tau = tau + v.tau_absorb
            step = (v.eta - 1.0) * eta
            variance += 0.25 * step * step * (v.ax * v.ax + v.ay * v.ay)
            eta = eta * v.eta
    return normalised(list(lobes.values()), matte, albedo)


def trapped(albedo: Any, eta: Any) -> Any:
    """Albedo of a matte base under a boundary that reflects most of the light back inside.

    (1 - F_in) a / (1 - a F_in) with F_in = 1 - 0.92 / eta^2, Saunderson 1942.
    """
    inside = dr.select(eta > 1.01, 1.0 - 0.92 / (eta * eta), 0.0)
    return albedo * (1.0 - inside) / (1.0 - albedo * inside)


def seen_through(v: LayerValues, eta: Any, variance: Any, wi: Any) -> tuple[GgxLobe, Any]:
    """The lobe of a layer as it appears outside, and the cosine of `wi` to its normal."""
    ax = dr.clip(dr.sqrt(eta * eta * v.ax * v.ax + variance), 0.0, 1.0)
    ay = dr.clip(dr.sqrt(eta * eta * v.ay * v.ay + variance), 0.0, 1.0)
    if v.slopes is None:
        return GgxLobe(mi.Float(0.0), None, None, ax, ay), wi.z
    slopes = visible_slopes(v.slopes, wi, eta)
    lobe = GgxLobe(mi.Float(0.0), slopes, v.tangent, ax, ay)
    return lobe, lobe.frame().to_local(wi).z


def reflectance(kind: LayerKind, v: LayerValues, cos: Any) -> Any:
    """Tinted reflectance at the layer's normal, softened towards its hemispherical mean."""
    if kind == LayerKind.CONDUCTOR:
        return fresnel_f82(cos, v.f0, v.f82, v.f90)
    return v.reflect_tint * fresnel_dielectric(cos, v.eta)[0]


def normalised(lobes: list[GgxLobe], matte: Any, albedo: Any) -> Mixture:
    """Scale the weights to a distribution with at least `DEFENSIVE` in the cosine lobe."""
    total = matte + 1e-6
    for lobe in lobes:
        total = total + lobe.weight
    scale = (1.0 - DEFENSIVE) / total
    cosine = 1.0
    for lobe in lobes:
        lobe.weight = lobe.weight * scale
        cosine = cosine - lobe.weight
    return Mixture(lobes, mi.Float(cosine), dr.clip(albedo, 0.0, 1.0))
