"""What can happen to a walk inside a layer stack: base, interface, medium (see `layered_walk`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from .conductor import conductor, sample_conductor
from .dielectric import is_delta, mirror, reflect_lobe, refract_lobe
from .diffuse import eon, lambert
from .fresnel import fresnel_dielectric
from .ggx import (
    masking,
    reflection,
    reflection_weight,
    refract,
    sample_visible_normal,
    sampled_refraction,
)
from .layered_params import LayerValues
from .layered_walk import (
    TINY,
    Exit,
    Slots,
    flip,
    heuristic,
    leave_top,
    matched,
    pick,
    transmittance,
)
from .medium import henyey_greenstein, sample_henyey_greenstein


@dataclass
class Ray:
    """A walk in flight; a Dr.Jit PyTree and the loop state."""

    d: Any  # travel direction, shading frame
    k: Any  # position it flies towards: an interface, or `count` for the base
    depth: Any  # where in its slab it starts: 0 at the top, 1 at the bottom
    beta: Any  # throughput
    mq: Any  # (1 + S_{i+1}) / q_i^b of its direction in slab i, valid while it flies upwards
    active: Any
    events: Any


def base_value(slots: Slots, w: Any, o: Any) -> tuple[Any, Any]:
    """f cos(o) of the opaque base and the density of `sample_base`, in the base's frame."""
    b = slots.base
    value, pdf = mi.Color3f(0.0), mi.Float(0.0)
    if slots.conductor is not False:
        value, pdf = conductor(w, o, b.ax, b.ay, b.f0, b.f82, b.f90)
    if slots.conductor is not True:
        matte = eon(w, o, b.albedo, b.roughness) if slots.rough else lambert(w, o, b.albedo)
        matte_pdf = dr.select(w.z > 0.0, dr.inv_pi * dr.maximum(o.z, 0.0), 0.0)
        value = dr.select(slots.conductor, value, matte)
        pdf = dr.select(slots.conductor, pdf, matte_pdf)
    return dr.select(slots.black, 0.0, value), pdf


def sample_base(slots: Slots, w: Any, u1: Any, u2: Any) -> tuple[Any, Any, Any]:
    """Direction, weight and density in the base's frame."""
    b = slots.base
    o, weight, pdf = w, mi.Color3f(0.0), mi.Float(0.0)
    if slots.conductor is not False:
        o, weight, pdf = sample_conductor(w, b.ax, b.ay, b.f0, b.f82, b.f90, u1, u2)
    if slots.conductor is not True:
        m = mi.warp.square_to_cosine_hemisphere(mi.Point2f(u1, u2))
        m_pdf = dr.inv_pi * m.z
        if slots.rough:
            m_weight = eon(w, m, b.albedo, b.roughness) / dr.maximum(m_pdf, 1e-12)
        else:
            m_weight = b.albedo
        o = dr.select(slots.conductor, o, m)
        weight = dr.select(slots.conductor, weight, m_weight)
        pdf = dr.select(slots.conductor, pdf, m_pdf)
    return o, dr.select(slots.black, 0.0, weight), pdf


def at_base(
    slots: Slots, ray: Ray, here: Any, chains: list[list[Exit]], outs: list[Any], rng: Any
) -> None:
    """Connect to the exit chains and reflect off the base."""
    last = slots.count - 1
    slab, base = pick(last, slots.interfaces), slots.base
    w = base.to_local(-ray.d)
    beta = ray.beta
    if not any(slots.scattering):
        beta = beta * transmittance(slab, ray.d.z, False)
    for i, chain in enumerate(chains):
        e = pick(last, chain)
        value, q = base_value(slots, w, base.to_local(e.direction))
        weight = e.weight * transmittance(slab, e.direction.z, any(slots.scattering))
        found = beta * value * weight / (1.0 + heuristic(q) * e.ratio)
        outs[i] = outs[i] + dr.select(here, found, 0.0)
    o, weight, q = sample_base(slots, w, rng.next_float32(), rng.next_float32())
    d = base.to_shading(o)
    ok = (w.z > 0.0) & (o.z > 0.0) & (d.z > 0.0) & (q > 0.0)
    ray.d = dr.select(here, d, ray.d)
    ray.beta = dr.select(here, beta * weight, ray.beta)
    ray.mq = dr.select(here, 1.0 / heuristic(dr.maximum(q, TINY)), ray.mq)
    ray.k = dr.select(here, last, ray.k)
    ray.depth = dr.select(here, 1.0, ray.depth)
    ray.active &= ~here | (ok & (dr.max(ray.beta) > 0.0))


def at_top(slots: Slots, ray: Ray, here: Any, wos: list[Any], outs: list[Any], rng: Any) -> None:
    """Stacks of one interface: connect through it to `wo`, then reflect back down."""
    top = slots.interfaces[0]
    beta = ray.beta
    if not slots.scattering[0]:
        beta = beta * transmittance(top, ray.d.z, False)
    for i, wo in enumerate(wos):
        found = beta * leave_top(top, ray.d, wo, ray.mq)
        outs[i] = outs[i] + dr.select(here, found, 0.0)
    w = flip(top.to_local(-ray.d))
    u1, u2 = rng.next_float32(), rng.next_float32()
    o, f, weight = mirror(w, top.ax, top.ay, 1.0 / top.eta, u1, u2)
    d = top.to_shading(flip(o))
    ok = (w.z > 0.0) & (d.z < 0.0)
    ray.d = dr.select(here, d, ray.d)
    ray.beta = dr.select(here, beta * top.reflect_tint * (f * weight), ray.beta)
    ray.k = dr.select(here, 1, ray.k)
    ray.depth = dr.select(here, 0.0, ray.depth)
    ray.active &= ~here | (ok & (dr.max(ray.beta) > 0.0))


def connect_interface(
    layer: LayerValues,
    w: Any,
    o: Any,
    up: Any,
    mq: Any,
    ratio: Any,
) -> Any:
    """MIS-weighted f cos: reflection for rays from above, refraction for rays from below."""
    eta = dr.select(up, 1.0 / layer.eta, layer.eta)
    f, r = reflect_lobe(w, o, layer.ax, layer.ay, eta)
    reflected = f * r.value / (1.0 + heuristic(f * r.pdf) * ratio)
    t, s = refract_lobe(w, o, layer.ax, layer.ay, eta)
    refracted = t * s.value / (1.0 + heuristic(s.reverse) * mq + heuristic(t * s.pdf) * ratio)
    return dr.select(up, layer.transmit_tint * refracted, layer.reflect_tint * reflected)


def at_interface(
    slots: Slots,
    ray: Ray,
    here: Any,
    wos: list[Any],
    chains: list[list[Exit]],
    outs: list[Any],
    rng: Any,
) -> None:
    """Stacks of several interfaces: connect, then reflect or refract."""
    layer, up = pick(ray.k, slots.interfaces), ray.d.z > 0.0
    above = pick(dr.maximum(ray.k, 1) - 1, slots.interfaces)  # owner of the slab above
    beta = ray.beta
    if not any(slots.scattering):
        beta = beta * transmittance(_where(up, layer, above), ray.d.z, False)
    w = layer.to_local(-ray.d)
    w = dr.select(up, flip(w), w)
    top = ray.k == 0
    for i, (wo, chain) in enumerate(zip(wos, chains, strict=True)):
        e = pick(dr.maximum(ray.k, 1) - 1, chain)
        o = layer.to_local(dr.select(top, wo, e.direction))
        o = dr.select(up, flip(o), o)
        found = connect_interface(layer, w, o, up, ray.mq, dr.select(top, 0.0, e.ratio))
        through = e.weight * transmittance(above, e.direction.z, any(slots.scattering))
        found = beta * found * dr.select(top, 1.0, through)
        outs[i] = outs[i] + dr.select(here, found, 0.0)
    _scatter_interface(layer, ray, here, w, up, beta, rng)


def _where(up: Any, layer: LayerValues, above: LayerValues) -> LayerValues:
    from .layered_params import select_values

    return select_values(up, layer, above)


def _scatter_interface(
    layer: LayerValues, ray: Ray, here: Any, w: Any, up: Any, beta: Any, rng: Any
) -> None:
    ax, ay = layer.ax, layer.ay
    delta = is_delta(layer.eta)
    eta = dr.select(up, 1.0 / layer.eta, layer.eta)
    m = sample_visible_normal(w, ax, ay, rng.next_float32(), rng.next_float32())
    cos_m = dr.maximum(dr.dot(w, m), 0.0)
    f, cos_t = fresnel_dielectric(cos_m, eta)
    f = dr.select(delta, 0.0, f)
    closed = up & (ray.k == 0)  # what leaves here has been counted by the connection
    reflect = closed | (rng.next_float32() < f)
    mirrored = dr.normalize(2.0 * cos_m * m - w)
    bent = dr.select(delta, -w, refract(w, m, cos_m, cos_t, eta))
    o = dr.select(reflect, mirrored, bent)
    r_weight = reflection_weight(w, mirrored, ax, ay) * dr.select(closed, f, 1.0)
    t_weight = dr.select(delta, 1.0, masking(bent, ax, ay))
    weight = dr.select(reflect, layer.reflect_tint * r_weight, layer.transmit_tint * t_weight)
    s = sampled_refraction(w, bent, m, cos_t, ax, ay, eta)
    p = dr.select(delta, 1.0, s.reverse)
    q_up = dr.select(delta, 1.0, (1.0 - f) * s.pdf)
    q_down = f * reflection(w, mirrored, ax, ay).pdf
    mq_up = (matched(layer.eta) + heuristic(p) * ray.mq) / heuristic(dr.maximum(q_up, TINY))
    mq_up = dr.minimum(mq_up, 1.0 / heuristic(TINY))
    mq = dr.select(reflect, 1.0 / heuristic(dr.maximum(q_down, TINY)), mq_up)
    d = layer.to_shading(dr.select(up, flip(o), o))
    goes_up = up ^ reflect
    sided = (w.z > 0.0) & ((o.z > 0.0) == reflect)
    ok = (delta | sided) & ((d.z > 0.0) == goes_up)
    ray.d = dr.select(here, d, ray.d)
    ray.beta = dr.select(here, beta * weight, ray.beta)
    ray.mq = dr.select(here, mq, ray.mq)
    ray.depth = dr.select(here, dr.select(goes_up, 1.0, 0.0), ray.depth)
    ray.k = dr.select(here, dr.select(goes_up, ray.k - 1, ray.k + 1), ray.k)
    ray.active &= ~here | (ok & (dr.max(ray.beta) > 0.0))


def in_medium(slots: Slots, ray: Ray, chains: list[list[Exit]], outs: list[Any], rng: Any) -> Any:
    """Fly through the slab; where the ray scatters, connect and turn. Returns who scattered."""
    down = ray.d.z < 0.0
    j = dr.select(down, ray.k - 1, ray.k)
    slab = pick(j, slots.interfaces)
    cos = dr.maximum(dr.abs(ray.d.z), 1e-4)
    room = dr.select(down, 1.0 - ray.depth, ray.depth)
    free = -dr.log(1.0 - rng.next_float32()) * cos / dr.maximum(slab.tau_scatter, 1e-12)
    scattered = ray.active & (free < room)
    step = dr.minimum(free, room)
    depth = dr.select(down, ray.depth + step, ray.depth - step)
    beta = ray.beta * dr.exp(-slab.tau_absorb * (step / cos))
    for i, chain in enumerate(chains):
        e = pick(j, chain)
        q = henyey_greenstein(dr.dot(ray.d, e.direction), slab.g)
        tau = (slab.tau_absorb + slab.tau_scatter) * depth / dr.maximum(e.direction.z, 1e-4)
        # the chain's weight is per projected direction at a surface; a phase function has no cosine
        found = beta * dr.exp(-tau) * e.weight * (q / (1.0 + heuristic(q) * e.ratio))
        outs[i] = outs[i] + dr.select(scattered, found, 0.0)
    d = sample_henyey_greenstein(ray.d, slab.g, rng.next_float32(), rng.next_float32())
    q = henyey_greenstein(dr.dot(ray.d, d), slab.g)
    ray.beta = dr.select(ray.active, beta, ray.beta)
    ray.depth = depth
    ray.d = dr.select(scattered, d, ray.d)
    ray.k = dr.select(scattered, dr.select(d.z < 0.0, j + 1, j), ray.k)
    ray.mq = dr.select(scattered, 1.0 / heuristic(dr.maximum(q, TINY)), ray.mq)
    return scattered
