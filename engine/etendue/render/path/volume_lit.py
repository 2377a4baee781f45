"""Fields that the scene lights: one scattering event in each segment, lit directly.

Along a segment a point is drawn in proportion to the light that is taken away there (reservoir
sampling over the marcher's steps), and a light is sampled from it. The field's colour, decoded, is
its albedo. What scatters is a diffuse surface, whose normal is the descent of log sigma, with the
probability s = 1 - exp(-|grad log sigma| / EDGE), or else an isotropic phase function: so a surface
is shaded like one, and fog is fog. Single scattering in a volume would send back less than half of
what a surface does, however thin its skin; so what counts as a surface is left by `LEAVE` steps
along its normal before other matter can shade it. Light that was scattered before is not counted,
and the rest of the scene receives what scatters here along its own segments.
"""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi

from etendue.render.path.volume import Grain, Volume, ask_grain, decoded, reach

EDGE = 8.0  # |grad log sigma|, per side of the cube, from which on a field is more surface than fog
LEAVE = 2.0  # steps
REACH = 0.5  # of a step: half the distance between points whose densities are compared


def scattered(volume: Volume, scene: Any, ray: Any, far: Any, rng: Any, active: Any) -> Any:
    """Radiance (Color3f) that lit fields send back along a segment up to `far`."""
    weight, t, albedo, slope, step = _event(volume, ray, far, rng, active)
    lit = active & (weight > 0.0)
    size = dr.norm(slope)
    normal = -slope / dr.maximum(size, 1e-6)
    surface = rng.next_float32() >= dr.exp(-size / EDGE)
    at = dr.zeros(mi.Interaction3f, dr.width(ray))
    at.p = ray.o + t * ray.d + dr.select(surface, LEAVE * step, 0.0) * normal
    u = mi.Point2f(rng.next_float32(), rng.next_float32())
    ds, emitted = scene.sample_emitter_direction(at, u, True, lit)
    lit &= ds.pdf != 0.0
    diffuse = dr.inv_pi * dr.maximum(dr.dot(normal, ds.d), 0.0)
    phase = dr.select(surface, diffuse, dr.inv_four_pi)
    lit &= phase > 0.0
    passed = volume.transmittance(mi.Ray3f(at.p, ds.d), reach(ds), rng.next_float32(), lit)
    return dr.select(lit, weight * phase * passed * albedo * emitted, 0.0)


def _event(volume: Volume, ray: Any, far: Any, rng: Any, active: Any) -> tuple[Any, ...]:
    """Share of the light that scatters, and where: distance, albedo, gradient of log sigma, step.

    The gradient is in the world, per side of the field's cube, whose marching step is the last.
    """
    steps = volume.steps(ray, far, active)
    jitter = rng.next_float32()
    own = mi.PCG32(initstate=mi.UInt64(rng.next_uint32()), initseq=mi.UInt64(rng.next_uint32()))

    def body(
        k: Any, through: Any, own: Any, total: Any, place: Any, color: Any, kind: Any
    ) -> tuple[Any, Any, Any, Any, Any, Any, Any]:
        start, dt = steps.t(mi.Float(k)), steps.length(mi.Float(k))
        p = mi.Point3f(ray.o + steps.t(mi.Float(k) + jitter) * ray.d)
        thick, scattering, mixed, chief = mi.Float(0.0), mi.Float(0.0), mi.Color3f(0.0), mi.UInt(0)
        densest = mi.Float(-1.0)
        for number, grain in enumerate(volume.grains):
            one, other = ask_grain(grain, p, ray.d, grain.lit)
            part = one * dt / grain.side
            thick += part
            if grain.lit:
                scattering, mixed = scattering + part, mixed + part * decoded(other)
                chief = dr.select(part > densest, number, chief)
                densest = dr.maximum(densest, part)
        absorbed = 1.0 - dr.exp(-thick)
        share = dr.select(thick > 0.0, through * absorbed * scattering / thick, 0.0)
        total += share
        chosen = own.next_float32() * total < share
        depth = _depth(own.next_float32(), thick, absorbed)
        place = dr.select(chosen, start + depth * dt, place)
        color = dr.select(chosen, mixed / dr.maximum(scattering, 1e-12), color)
        kind = dr.select(chosen, chief, kind)
        return k + 1, through * (1.0 - absorbed), own, total, place, color, kind

    nothing = mi.Float(0.0), mi.Float(0.0), mi.Color3f(0.0), mi.UInt(0)
    first = (mi.UInt(0), mi.Float(1.0), own, *nothing)
    _, _, _, total, place, color, kind = dr.while_loop(
        first,
        lambda k, through, *_: (k < steps.count) & volume.goes_on(through),
        body,
        label="lit field",
    )
    p, slope, step = mi.Point3f(ray.o + place * ray.d), mi.Vector3f(0.0), mi.Float(0.0)
    here = active & (total > 0.0)
    for number, grain in enumerate(volume.grains):
        if grain.lit:
            mine = kind == number
            slope = dr.select(mine, _slope(grain, p, here & mine), slope)
            step = dr.select(mine, grain.step, step)
    return total, place, color, slope, step


def _depth(u: Any, thick: Any, absorbed: Any) -> Any:
    """Where in a step of optical thickness `thick` light is taken away, from 0 to 1."""
    free = -dr.log(dr.maximum(1.0 - u * absorbed, 1e-30)) / dr.maximum(thick, 1e-12)
    return dr.select(thick > 1e-3, dr.minimum(free, 1.0), u)


def _slope(grain: Grain, p: Any, active: Any) -> Any:
    """Gradient of log sigma by central differences, in the world's directions, per side."""
    h = REACH * grain.step
    found = []
    for axis in range(3):
        offset = mi.Vector3f(0.0)
        offset[axis] = h
        ends = [_log_sigma(grain, p + sign * offset, active) for sign in (1.0, -1.0)]
        found.append((ends[0] - ends[1]) * (grain.side / (2.0 * h)))
    return mi.Vector3f(*found)


def _log_sigma(grain: Grain, p: Any, active: Any) -> Any:
    """Log sigma, also where the field counts as empty: the slope at its edge is wanted."""
    x = grain.at(mi.Point3f(p))
    inside = mi.Point3f(dr.clip(x, 0.0, 1.0))

    def ask(x: Any) -> Any:
        return grain.kernel.log_density(tuple(x))

    return dr.if_stmt((inside,), active, ask, lambda x: mi.Float(0.0))
