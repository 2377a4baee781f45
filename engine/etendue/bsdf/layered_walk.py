"""Position-free Monte Carlo walk below the top interface of a layer stack.

Guo, Hašan and Zhao 2018, "Position-free Monte Carlo simulation for arbitrary layered BSDFs".
Radiance is carried divided by the squared refractive index, so that entering and leaving cancel.

Interfaces are numbered 0, 1, ... from the top; slab i is the medium below interface i. A walk from
the viewer meets an *exit chain* sampled from the light direction `wo`: direction d_i in slab i,
drawn by refracting d_{i-1} down through interface i. Every path that leaves the stack has a last
vertex v after which it only refracts upwards, through interfaces j, ..., 0. It can be found by
connecting v to d_j, or by letting the walk refract up to interface t and connecting there to
d_{t-1} (to `wo` for t = 0). These j + 2 strategies are combined by multiple importance sampling;
with q_i the density of d_i given d_{i+1} (walk) and p_i that of d_i given d_{i-1} (chain),

    w_t = 1 / (1 + S_t + C_t),  S_t = (p_t / q_t)^b (1 + S_{t+1}),
                                C_t = (q_{t-1} / p_{t-1})^b (1 + C_{t-1}),

and strategies at index-matched interfaces, which pass light straight through, are left out.
Differs from pbrt-v4's `LayeredBxDF` in that all strategies share one exact set of weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

from .dielectric import cross, is_delta, refract_lobe
from .layered_params import LayerValues, select_values

EXPONENT = 2  # b: 1 is the balance heuristic, 2 the power heuristic
TINY = 1e-15  # keeps squared densities normal numbers
MAX_EVENTS = 4096  # never reached: Russian roulette has ended every walk long before
ROULETTE_MAX = 0.97
ROULETTE_FREE = 8  # events before bright walks are ended as well
ROULETTE_GAIN = 3.0  # survival probability per unit of throughput


@dataclass
class Slots:
    """The layers of each lane's stack by position, bottom layer apart."""

    interfaces: list[LayerValues]
    base: LayerValues
    count: Any  # number of interfaces of the lane's stack
    conductor: Any  # whether the base is a conductor; True / False when the same for all lanes
    black: Any  # whether the base absorbs everything
    rough: bool  # whether any diffuse base is not Lambertian
    scattering: tuple[bool, ...]  # by slab, whether its medium can scatter


@dataclass
class Exit:
    """The exit chain in one slab."""

    direction: Any  # towards the light, z > 0
    weight: Any  # factor from a vertex in this slab to the light, own slab's transmittance apart
    ratio: Any  # (1 + C_i) / p_i^b


def heuristic(x: Any) -> Any:
    """A density or ratio as it enters the weights."""
    return x if EXPONENT == 1 else x * x


def matched(eta: Any) -> Any:
    """1 for an interface with lobes, 0 for an index-matched one."""
    return dr.select(is_delta(eta), 0.0, 1.0)


def transmittance(layer: LayerValues, cos: Any, scattering: bool) -> Any:
    """exp(-tau / |cos|) through the whole medium below `layer`."""
    tau = layer.tau_absorb
    if scattering:
        tau = tau + layer.tau_scatter
    return dr.exp(-tau / dr.maximum(dr.abs(cos), 1e-4))


def exit_chain(slots: Slots, wo: Any, rng: Any) -> list[Exit]:
    """Draw one chain of refractions from `wo` down through all interfaces."""
    chain: list[Exit] = []
    above, weight, ratio = wo, mi.Color3f(1.0), mi.Float(0.0)
    for i, layer in enumerate(slots.interfaces):
        o = layer.to_local(above)
        c = cross(o, layer.ax, layer.ay, layer.eta, rng.next_float32(), rng.next_float32())
        below = -layer.to_shading(c.o)
        ok = (c.weight > 0.0) & (below.z > 0.0) & (c.pdf > 0.0)
        if chain:
            weight = weight * transmittance(
                slots.interfaces[i - 1], above.z, slots.scattering[i - 1]
            )
            ratio = heuristic(c.transmitted * c.reverse) * chain[-1].ratio
        # reciprocity of basic radiance: f(v, o) cos o = f(o, v) cos v (cos o / cos v) / eta^2
        factor = c.weight * o.z / dr.maximum(-c.o.z * layer.eta * layer.eta, 1e-6)
        factor = dr.select(is_delta(layer.eta), 1.0, factor)
        weight = weight * layer.transmit_tint * dr.select(ok, factor, 0.0)
        weight = dr.select(i < slots.count, weight, 0.0)
        ratio = (matched(layer.eta) + ratio) / heuristic(dr.maximum(c.pdf, TINY))
        ratio = dr.minimum(ratio, 1.0 / heuristic(TINY))  # finite, so that 0 ratio = 0
        chain.append(Exit(below, weight, ratio))
        above = below
    return chain


def pick(index: Any, items: list[Any]) -> Any:
    """items[index] by selection; an index past the end gives the last item."""
    value = items[-1]
    for i in reversed(range(len(items) - 1)):
        here = index == i
        a = items[i]
        value = select_values(here, a, value) if _is_record(a) else dr.select(here, a, value)
    return value


def _is_record(x: Any) -> bool:
    return isinstance(x, LayerValues | Exit)


def enter(slots: Slots, wi: Any, rng: Any) -> tuple[Any, Any]:
    """Refract `wi` through the top interface: travel direction in slab 0 and throughput."""
    top = slots.interfaces[0]
    c = cross(top.to_local(wi), top.ax, top.ay, top.eta, rng.next_float32(), rng.next_float32())
    d = top.to_shading(c.o)
    return d, top.transmit_tint * dr.select(d.z < 0.0, c.weight, 0.0)


def leave_top(top: LayerValues, d: Any, wo: Any, mq: Any) -> Any:
    """Connection at the top interface of a ray that travels up along `d`: MIS-weighted f cos."""
    w = flip(top.to_local(-d))
    o = flip(top.to_local(wo))
    transmitted, lobe = refract_lobe(w, o, top.ax, top.ay, 1.0 / top.eta)
    s = heuristic(lobe.reverse) * mq
    value = transmitted * lobe.value / (1.0 + s)
    return top.transmit_tint * dr.select(value > 0.0, value, 0.0)


def flip(w: Any) -> Any:
    """Exchange the two sides of an interface."""
    return mi.Vector3f(w.x, w.y, -w.z)
