"""Light through open stacks of rough interfaces: a forward walk with connections where it leaves.

Basic radiance, as in `layered_walk`: what differs is that a walk may start on either side and may
leave on either side, and that there is no exit chain, so that paths are only connected at the
interface they leave through. One interface alone needs no random number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from .dielectric import is_delta
from .ggx import (
    masking,
    reflection,
    reflection_weight,
    refract,
    refraction,
    sample_visible_normal,
)
from .layered import roulette
from .layered_params import LayerValues
from .layered_walk import flip, pick
from .medium import sample_henyey_greenstein
from .open_layers import fresnel


@dataclass
class OpenRay:
    """A walk in flight; a Dr.Jit PyTree and the loop state."""

    d: Any  # travel direction, shading frame
    k: Any  # interface it flies towards
    depth: Any  # where in its slab it starts: 0 at the top, 1 at the bottom
    inside: Any  # whether it is in a slab, not outside the stack
    beta: Any
    active: Any
    events: Any


def open_values(
    layers: list[LayerValues],
    scattering: tuple[bool, ...],
    wi: Any,
    wos: list[Any],
    rng: Any,
    active: Any,
) -> list[Any]:
    """Unbiased f |cos| of basic radiance for each of `wos`; `scattering` by slab."""
    last = len(layers) - 1
    start = OpenRay(
        d=-wi,
        k=dr.select(wi.z > 0.0, mi.Int(0), mi.Int(last)),
        depth=mi.Float(0.0),
        inside=mi.Bool(False),
        beta=mi.Color3f(1.0),
        active=mi.Bool(active) & (wi.z != 0.0),
        events=mi.UInt(0),
    )
    outs = [mi.Color3f(0.0) for _ in wos]
    if last == 0:
        here = start.active
        return [
            dr.select(here, connect(layers[0], start.d, wo, mi.Bool(True), mi.Bool(True)), out)
            for wo, out in zip(wos, outs, strict=True)
        ]

    def body(ray: OpenRay, outs: list[Any], rng: Any) -> tuple[OpenRay, list[Any], Any]:
        ray, outs = OpenRay(**vars(ray)), list(outs)
        turned = _fly(layers, scattering, ray, rng)
        here = ray.active & ~turned
        layer = pick(ray.k, layers)
        for i, wo in enumerate(wos):
            found = connect(layer, ray.d, wo, ray.k == 0, ray.k == last)
            outs[i] = outs[i] + dr.select(here, ray.beta * found, 0.0)
        _scatter(layer, ray, here, last, rng)
        roulette(ray, rng)  # type: ignore[arg-type]
        return ray, outs, rng

    _, outs, after = dr.while_loop(
        (start, outs, mi.PCG32(rng)), lambda ray, outs, rng: ray.active, body
    )
    rng.state, rng.inc = after.state, after.inc
    return outs


def connect(v: LayerValues, d: Any, wo: Any, top: Any, bottom: Any) -> Any:
    """f |cos| of one interface from a ray along `d` to `wo`, where `wo` is outside the stack."""
    up = d.z > 0.0
    w, o = v.to_local(-d), v.to_local(wo)
    w, o = dr.select(up, flip(w), w), dr.select(up, flip(o), o)
    leaves = dr.select(wo.z > 0.0, top, bottom)
    back = (wo.z > 0.0) != up  # to the side it came from
    eta = dr.select(up, 1.0 / v.eta, v.eta)
    r, t = reflection(w, o, v.ax, v.ay), refraction(w, o, v.ax, v.ay, eta)
    cos_m = dr.select(back, r.cos_m, t.cos_m)
    f, _ = fresnel(v, dr.clip(cos_m, 0.0, 1.0), up)
    value = dr.select(back, v.reflect_tint * (f * r.value), v.transmit_tint * ((1.0 - f) * t.value))
    return dr.select(leaves & (wo.z != 0.0), value, 0.0)


def _fly(layers: list[LayerValues], scattering: tuple[bool, ...], ray: OpenRay, rng: Any) -> Any:
    """Cross the slab; absorb, perhaps scatter. Returns who scattered."""
    down = ray.d.z < 0.0
    j = dr.clip(dr.select(down, ray.k - 1, ray.k), 0, len(layers) - 2)
    slab = pick(j, layers)
    cos = dr.maximum(dr.abs(ray.d.z), 1e-4)
    room = dr.select(down, 1.0 - ray.depth, ray.depth)
    if not any(scattering):
        absorbed = dr.exp(-slab.tau_absorb * (room / cos))
        ray.beta = dr.select(ray.inside, ray.beta * absorbed, ray.beta)
        return mi.Bool(False)
    free = -dr.log(1.0 - rng.next_float32()) * cos / dr.maximum(slab.tau_scatter, 1e-12)
    turned = ray.active & ray.inside & (free < room)
    step = dr.minimum(free, room)
    beta = ray.beta * dr.exp(-slab.tau_absorb * (step / cos))
    ray.beta = dr.select(ray.inside, beta, ray.beta)
    ray.depth = dr.select(down, ray.depth + step, ray.depth - step)
    d = sample_henyey_greenstein(ray.d, slab.g, rng.next_float32(), rng.next_float32())
    ray.d = dr.select(turned, d, ray.d)
    ray.k = dr.select(turned, dr.select(d.z < 0.0, j + 1, j), ray.k)
    return turned


def _scatter(v: LayerValues, ray: OpenRay, here: Any, last: int, rng: Any) -> None:
    """Reflect or refract into a slab; what would leave has been counted by the connection."""
    up = ray.d.z > 0.0
    w = v.to_local(-ray.d)
    w = dr.select(up, flip(w), w)
    eta = dr.select(up, 1.0 / v.eta, v.eta)
    m = sample_visible_normal(w, v.ax, v.ay, rng.next_float32(), rng.next_float32())
    cos_m = dr.maximum(dr.dot(w, m), 0.0)
    f, cos_t = fresnel(v, cos_m, up)
    f = mi.Color3f(dr.select(is_delta(v.eta) & (not _filmed(v)), 0.0, f))
    share = dr.clip(dr.mean(f), 0.0, 1.0)
    # reflection leads outside when the ray came from there, refraction when it goes there
    no_back = ~ray.inside
    no_through = ray.inside & dr.select(up, ray.k == 0, ray.k == last)
    chance = dr.select(no_back, 0.0, dr.select(no_through, 1.0, share))
    back = rng.next_float32() < chance
    mirrored = dr.normalize(2.0 * cos_m * m - w)
    bent = dr.select(is_delta(v.eta), -w, refract(w, m, cos_m, cos_t, eta))
    o = dr.select(back, mirrored, bent)
    factor = dr.select(
        back,
        v.reflect_tint
        * f
        * (reflection_weight(w, mirrored, v.ax, v.ay) / dr.maximum(chance, 1e-6)),
        v.transmit_tint * (1.0 - f) * (masking(bent, v.ax, v.ay) / dr.maximum(1.0 - chance, 1e-6)),
    )
    d = v.to_shading(dr.select(up, flip(o), o))
    goes_up = up ^ back
    ok = (w.z > 0.0) & ((o.z > 0.0) == back) & ((d.z > 0.0) == goes_up) & (back | (cos_t > 0.0))
    ray.d = dr.select(here, d, ray.d)
    ray.beta = dr.select(here, ray.beta * factor, ray.beta)
    ray.depth = dr.select(here, dr.select(goes_up, 1.0, 0.0), ray.depth)
    ray.k = dr.select(here, dr.select(goes_up, ray.k - 1, ray.k + 1), ray.k)
    ray.inside = ray.inside | here
    ray.active &= ~here | (ok & (dr.max(ray.beta) > 0.0))


def _filmed(v: LayerValues) -> bool:
    return getattr(v, "film_thickness", None) is not None
